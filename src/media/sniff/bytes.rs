//! Helpers for reading the head of a file.

/// Maximum number of bytes at the beginning of a file that are examined.
///
/// Enough for the first zip entries of an office document and the first pages of an Ogg file.
/// Longer heads are cut; a shorter head is the whole file.
pub const SNIFF_LEN: usize = 8 * 1024;

/// The first offset of `needle` in `bytes`.
pub(super) fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|w| w == needle)
}

/// The `N` bytes at `at`, if the head is long enough.
pub(super) fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}
