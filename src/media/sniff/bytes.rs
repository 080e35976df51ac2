//! Looking at the beginning of a file.

/// How many bytes of a file's beginning are looked at.
///
/// Enough for an office document's first zip entries and an Ogg file's first
/// pages; longer heads are cut, shorter ones are the whole file.
pub const SNIFF_LEN: usize = 8 * 1024;

/// Where `needle` first lies in `bytes`.
pub(super) fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|w| w == needle)
}

/// `N` bytes at `at`, if the head holds them.
pub(super) fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}
