//! Parts of an upload whose bytes arrive in order: how appended bytes are recorded.

use super::{Layout, Part, PartIndex};

/// Maximum size of such a part in bytes. While a request streams, this many bytes are recorded at once, and smaller
/// requests share a part. An upload thus has few parts, however small its requests are, and a power failure loses few
/// of them.
pub const PIECE: u64 = 8 << 20;

/// The part that appended bytes become, with its index. Bytes that fit into the last part are merged into it.
pub fn appended(last: Option<(PartIndex, Part)>, more: Part) -> (PartIndex, Part) {
    match last {
        Some((index, part)) if part.size + more.size <= PIECE => (index, joined(part, more)),
        Some((index, _)) => (index + 1, more),
        None => (0, more),
    }
}

/// Merges two adjacent parts into one.
pub fn joined(first: Part, second: Part) -> Part {
    let mut crc = crc32fast::Hasher::new_with_initial_len(first.crc32, first.size);
    crc.combine(&crc32fast::Hasher::new_with_initial_len(second.crc32, second.size));
    Part { offset: first.offset, size: first.size + second.size, crc32: crc.finalize() }
}

impl Layout {
    /// The end of the contiguous parts from the beginning of the file. In an upload whose bytes arrive in order, all
    /// parts are contiguous.
    pub fn end(&self) -> u64 {
        self.prefix.1
    }

    /// Appends bytes.
    pub fn append(&mut self, more: Part) {
        let last = self.last().map(|(index, part)| (index, *part));
        let (index, part) = appended(last, more);
        self.parts.insert(index, part);
        self.received += more.size;
        self.prefix = (index + 1, self.received);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part(offset: u64, bytes: &[u8]) -> Part {
        Part { offset, size: bytes.len() as u64, crc32: crc32fast::hash(bytes) }
    }

    #[test]
    fn small_requests_share_a_part_and_large_ones_have_their_own() {
        let of = |size| Part { offset: 0, size, crc32: 0 };
        assert_eq!(appended(None, of(5)).0, 0);
        assert_eq!(appended(Some((3, of(5))), of(PIECE - 5)).0, 3);
        assert_eq!(appended(Some((3, of(5))), of(PIECE - 4)).0, 4);
        assert_eq!(appended(Some((3, of(PIECE))), of(0)).0, 3, "no bytes make no part");
    }

    proptest! {
        #[test]
        fn bytes_appended_in_any_pieces_make_the_same_file(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..20),
        ) {
            let mut layout = Layout::default();
            for piece in &pieces {
                let more = part(layout.end(), piece);
                layout.append(more);
            }
            let whole = pieces.concat();
            prop_assert_eq!(layout.end(), whole.len() as u64);
            prop_assert_eq!(layout.received_bytes(), layout.end());
            prop_assert_eq!(layout.contiguous_size(), Ok(layout.end()));
            let parts = layout.parts().map(|(_, part)| *part);
            let all = parts.reduce(joined).unwrap_or(part(0, b""));
            prop_assert_eq!(all, part(0, &whole));
        }
    }
}
