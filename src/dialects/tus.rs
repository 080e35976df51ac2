//! The tus dialect (docs/tus.md): version 1.0.0 of <https://tus.io/protocols/resumable-upload> on the same uploads.

pub mod announce;
pub mod concat;
pub mod error;
pub mod headers;
pub mod metadata;
pub mod names;
pub mod reply;
pub mod uploads;
