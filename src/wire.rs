//! The protocol's vocabulary: forms, replies, errors and the grammar of headers.

pub mod body;
pub mod disposition;
pub mod error;
pub mod form;
pub mod multipart;
pub mod pace;
pub mod range;
pub mod reply;
