//! The form dialect (docs/protocol.md): fields, with their current names and Fine Uploader's; replies and statuses; and
//! handlers, one file per resource.

pub mod error;
pub mod fields;
pub mod files;
pub mod reader;
pub mod reply;
pub mod tokens;
pub mod uploads;
