//! What a file's own bytes say of it.

use std::io::{Read, Seek};

use super::MediaType;

/// What a file's own bytes say, beyond its first ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// From its bytes.
    pub media_type: MediaType,
    /// Whole seconds, where known.
    pub duration_secs: Option<u64>,
    /// Pixels, as displayed.
    pub width: Option<u32>,
    /// Pixels, as displayed.
    pub height: Option<u32>,
}

/// Reads them.
pub fn probe(_source: &mut (impl Read + Seek), _size: u64, sniffed: &MediaType) -> Facts {
    Facts { media_type: sniffed.clone(), ..Facts::default() }
}
