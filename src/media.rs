//! Reads media files: detects types, finds durations and dimensions, plans the removal of metadata, draws thumbnails.
//! Pure functions over a reader, each with its own limits; knows no store.

pub mod boxes;
mod frames;
mod orientation;
mod patch;
pub mod privacy;
pub mod probe;
pub mod sniff;
pub mod thumbnail;
mod types;

pub use patch::Patch;
pub use probe::{Facts, is_probed, probe};
pub use sniff::{SNIFF_LEN, sniff};
pub use types::{MediaType, content_type_header};
