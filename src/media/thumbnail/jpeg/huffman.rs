//! A reader of entropy-coded bits (ITU T.81 annexes C and F.2.2), and Huffman codes.

use super::standard;

/// Number of bits that are looked up at once. Longer codes are rare and take a second step.
const FAST: u32 = 10;

/// An invalid code, or a read beyond the end of the data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Broken;

/// A Huffman code.
pub(super) struct Table {
    /// For each prefix of [`FAST`] bits, the length and symbol of the code it begins with; zero if the code is longer.
    fast: Vec<u16>,
    /// For each length, the first 16-bit value that no code of this or a shorter length is a prefix of.
    limits: [u32; 17],
    /// For each length, the difference between a code and the index of its symbol.
    offsets: [u32; 17],
    symbols: Vec<u8>,
}

impl Table {
    /// Builds the code from the number of symbols of each length, 1 to 16 bits. `None` if there is no such code.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut table = Self {
            fast: vec![0; 1 << FAST],
            limits: [0; 17],
            offsets: [0; 17],
            symbols: symbols.to_vec(),
        };
        let (mut code, mut first) = (0_u32, 0_u32);
        for (length, count) in (1_u32..).zip(counts) {
            let count = u32::from(*count);
            table.offsets[length as usize] = first.wrapping_sub(code);
            for place in 0..count.min(1 << length) {
                let symbol = *symbols.get((first + place) as usize)?;
                if length <= FAST {
                    let starts = (code + place) << (FAST - length);
                    let starts = table.fast.get_mut(starts as usize..)?;
                    let entry = u16::try_from(length << 8).ok()? | u16::from(symbol);
                    starts.iter_mut().take(1 << (FAST - length)).for_each(|start| *start = entry);
                }
            }
            code += count;
            first += count;
            if code > 1 << length {
                return None;
            }
            table.limits[length as usize] = code << (16 - length);
            code <<= 1;
        }
        Some(table)
    }

    /// The tables for a file without any (T.81 annex K.3), by class (DC, AC) and number.
    pub(super) fn standard() -> [[Option<Self>; 4]; 2] {
        let table = |(counts, symbols): (&[u8; 16], &[u8])| Self::new(counts, symbols);
        [standard::DC.map(table), standard::AC.map(table)]
            .map(|[luminance, chrominance]| [luminance, chrominance, None, None])
    }
}

/// Reads bits. Zeros follow the last one; [`Self::is_overrun`] tells whether any of those were used.
pub(super) struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    /// The next bits, starting with the most significant one.
    held: u64,
    count: u32,
    /// Number of bits that were appended after the data.
    appended: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, held: 0, count: 0, appended: 0 }
    }

    /// Where reading stopped: at the end, at a marker, or slightly after the last bit used.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn is_overrun(&self) -> bool {
        self.count < self.appended
    }

    /// Makes sure that 32 bits are available, the maximum for a code and the bits after it.
    #[inline]
    fn refill(&mut self) {
        if self.count >= 32 {
            return;
        }
        if let Some(next) = self.data.get(self.at..).and_then(<[u8]>::first_chunk)
            && let word = u64::from_be_bytes(*next)
            && !has_marker_byte(word)
        {
            self.held |= word >> self.count;
            let bytes = (64 - self.count) / 8;
            self.count += bytes * 8;
            self.at += bytes as usize;
        } else {
            self.refill_bytewise();
        }
    }

    #[cold]
    fn refill_bytewise(&mut self) {
        while self.count <= 56 {
            let (byte, length) = match self.data.get(self.at..).unwrap_or_default() {
                [0xFF, 0, ..] => (0xFF, 2),
                [0xFF, ..] | [] => (0, 0),
                [byte, ..] => (*byte, 1),
            };
            self.held |= u64::from(byte) << (56 - self.count);
            self.at += length;
            self.count += 8;
            if length == 0 {
                self.appended += 8;
            }
        }
    }

    #[inline]
    fn consume(&mut self, bits: u32) {
        self.held <<= bits;
        self.count -= bits;
    }

    /// Reads up to 16 bits as a number.
    #[inline]
    pub(super) fn take(&mut self, bits: u32) -> u32 {
        self.refill();
        let value = (self.held >> 32 >> (32 - bits)) as u32;
        self.consume(bits);
        value
    }

    /// Returns the next symbol and the length of its code, without consuming it.
    #[inline]
    fn look_up(&mut self, table: &Table) -> Result<(u8, u32), Broken> {
        self.refill();
        let next = (self.held >> 48) as u32;
        let [length, symbol] = table.fast[(next >> (16 - FAST)) as usize].to_be_bytes();
        if length > 0 {
            return Ok((symbol, length.into()));
        }
        for length in FAST + 1..=16 {
            if next < table.limits[length as usize] {
                let place = (next >> (16 - length)).wrapping_add(table.offsets[length as usize]);
                let symbol = table.symbols.get(place as usize).ok_or(Broken)?;
                return Ok((*symbol, length));
            }
        }
        Err(Broken)
    }

    #[inline]
    pub(super) fn symbol(&mut self, table: &Table) -> Result<u8, Broken> {
        let (symbol, length) = self.look_up(table)?;
        self.consume(length);
        Ok(symbol)
    }

    /// Reads a symbol and skips the bits after it, whose number is in the lower half of the symbol.
    #[inline]
    pub(super) fn skip_value(&mut self, table: &Table) -> Result<u8, Broken> {
        let (symbol, length) = self.look_up(table)?;
        self.consume(length + u32::from(symbol & 15));
        Ok(symbol)
    }

    /// Reads a signed number of `bits` bits (T.81 section F.2.2.1, `EXTEND`).
    #[inline]
    pub(super) fn value(&mut self, bits: u32) -> i32 {
        if bits == 0 {
            return 0;
        }
        let value = self.take(bits).cast_signed();
        if value < 1 << (bits - 1) { value - (1 << bits) + 1 } else { value }
    }
}

/// Whether a byte is 0xFF, which needs special treatment: it is if a byte of the complement is zero.
fn has_marker_byte(word: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    (!word).wrapping_sub(ONES) & word & (ONES << 7) != 0
}

#[cfg(test)]
mod tests {
    use super::{Bits, Table, has_marker_byte};

    #[test]
    fn bytes_of_ones_are_found() {
        assert!(!has_marker_byte(0xFE7F_0001_80FE_FEFE));
        for at in 0..8 {
            assert!(has_marker_byte(0x0001_7F80_FE00_FE01 | 0xFF << (8 * at)));
        }
    }

    #[test]
    fn stuffing_is_dropped_and_markers_end_the_bits() {
        for data in
            [&b"\xFF\0\xAB\xFF\xD9\x11\x22\x33\x44\x55\x66"[..], b"\xFF\0\xAB", b"\xFF\0\xAB\xFF"]
        {
            let mut bits = Bits::new(data);
            assert_eq!((bits.take(12), bits.take(4)), (0xFFA, 0xB));
            assert!(!bits.is_overrun());
            assert_eq!(bits.position(), 3);
            assert_eq!(bits.take(1), 0);
            assert!(bits.is_overrun());
        }
    }

    #[test]
    fn codes_of_all_lengths_are_read() {
        // One code of each length: 0, 10, 110, and so on.
        let table = Table::new(&[1; 16], &(0..16).collect::<Vec<u8>>()).unwrap();
        for length in 1_u32..=16 {
            let code = (0xFFFF_u32 << (17 - length)) & 0xFFFF;
            let [.., a, b] = code.to_be_bytes();
            let data = [a, b, 0, 0].map(|byte| [byte, 0]); // each 0xFF is stuffed; other bytes get an extra zero
            let stuffed: Vec<u8> = data
                .into_iter()
                .flat_map(|[byte, zero]| if byte == 0xFF { vec![byte, zero] } else { vec![byte] })
                .collect();
            let mut bits = Bits::new(&stuffed);
            assert_eq!(bits.symbol(&table).unwrap(), u8::try_from(length - 1).unwrap());
        }
        assert!(Bits::new(b"\xFF\0\xFF\0").symbol(&table).is_err());
    }

    #[test]
    fn impossible_codes_are_refused() {
        let mut counts = [0; 16];
        counts[0] = 3;
        assert!(Table::new(&counts, &[1, 2, 3]).is_none());
        counts[0] = 2;
        assert!(Table::new(&counts, &[1]).is_none());
        assert!(Table::new(&counts, &[1, 2]).is_some());
        assert!(Table::new(&[255; 16], &[0; 4080]).is_none());
    }

    #[test]
    fn numbers_have_signs() {
        let mut bits = Bits::new(&[0b0101_1000, 0]);
        assert_eq!([bits.value(0), bits.value(1), bits.value(1), bits.value(3)], [0, -1, 1, -4]);
    }
}
