//! The dialect of forms, the current names of fields and the seed's (docs/protocol.md): its fields, replies and
//! statuses, and one file of handlers a resource.

pub mod error;
pub mod fields;
pub mod files;
pub mod reader;
pub mod reply;
pub mod tokens;
pub mod uploads;
