//! Bits and prefix codes of lossless WebP (RFC 9649 sections 3.2 and 6.2).

use std::io::{self, BufRead};

/// Number of bits that are looked up at once.
const FAST: u32 = 8;
/// Maximum length of a code in bits.
const LONGEST: u32 = 15;

/// The codes for green and lengths, red, blue, alpha, and distances.
pub(super) type Group = [Code; 5];

/// A prefix code.
#[derive(Default)]
pub(super) struct Code {
    /// For each prefix of [`FAST`] bits, the symbol and length of the code it begins with; length zero if the code is
    /// longer. Empty if there is only one symbol, which takes no bits.
    fast: Vec<u16>,
    /// For each length, the first value of [`LONGEST`] bits that no code of this or a shorter length is a prefix of.
    limits: [u16; 16],
    /// For each length, the difference between a code and the index of its symbol.
    offsets: [u16; 16],
    /// Sorted by code.
    symbols: Vec<u16>,
}

impl Code {
    fn of_one(symbol: u16) -> Self {
        Self { symbols: vec![symbol], ..Self::default() }
    }

    /// Builds the code from the length of each symbol's code, zero for unused symbols. `None` if there is no such code.
    fn new(lengths: &[u8]) -> Option<Self> {
        let mut counts = [0_u16; 16];
        for length in lengths {
            counts[usize::from(*length)] += 1;
        }
        counts[0] = 0;
        let mut used: Vec<u16> =
            (0..).zip(lengths).filter(|(_, l)| **l > 0).map(|(symbol, _)| symbol).collect();
        used.sort_by_key(|symbol| lengths[usize::from(*symbol)]);
        if let [only] = *used {
            return Some(Self::of_one(only));
        }
        let mut code = Self { fast: vec![0; 1 << FAST], symbols: used, ..Self::default() };
        let (mut next, mut first) = (0_u32, 0_u16);
        for length in 1..=LONGEST {
            let at = length as usize;
            next <<= 1;
            code.offsets[at] = first.wrapping_sub(u16::try_from(next).ok()?);
            for place in 0..counts[at] {
                if length <= FAST {
                    let symbol = code.symbols[usize::from(first + place)];
                    let bits = (next + u32::from(place)).reverse_bits() >> (32 - length);
                    let starts = code.fast.get_mut(bits as usize..)?;
                    let entry = symbol << 4 | u16::try_from(length).ok()?;
                    starts.iter_mut().step_by(1 << length).for_each(|start| *start = entry);
                }
            }
            next += u32::from(counts[at]);
            first += counts[at];
            if next > 1 << length {
                return None;
            }
            code.limits[at] = u16::try_from(next << (LONGEST - length)).ok()?;
        }
        // Every sequence of bits must be decodable.
        (next == 1 << LONGEST).then_some(code)
    }

    /// Size in bytes.
    pub(super) fn memory(&self) -> u64 {
        (size_of::<Self>() + 2 * (self.fast.capacity() + self.symbols.capacity())) as u64
    }
}

/// Reads bits, starting with the lowest one of each byte. Zeros follow the last one.
pub(super) struct Bits<R> {
    source: R,
    held: u64,
    count: u32,
    /// Number of bits that were appended after the data.
    appended: u32,
}

impl<R: BufRead> Bits<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, held: 0, count: 0, appended: 0 }
    }

    /// Whether bits after the end of the data were used.
    pub(super) fn is_overrun(&self) -> bool {
        self.count < self.appended
    }

    /// Makes sure that 32 bits are available.
    #[inline]
    fn refill(&mut self) -> io::Result<()> {
        if self.count >= 32 {
            return Ok(());
        }
        let next = self.source.fill_buf()?;
        let (bytes, word) = match next.first_chunk() {
            Some(word) => (4, u32::from_le_bytes(*word)),
            None => (next.len().min(1), next.first().copied().unwrap_or(0).into()),
        };
        self.source.consume(bytes);
        self.held |= u64::from(word) << self.count;
        if bytes == 4 {
            self.count += 32;
            return Ok(());
        }
        if bytes == 0 {
            self.appended += 8;
        }
        self.count += 8;
        self.refill()
    }

    fn consume(&mut self, bits: u32) {
        self.held >>= bits;
        self.count -= bits;
    }

    /// Reads up to 24 bits as a number.
    #[inline]
    pub(super) fn take(&mut self, bits: u32) -> io::Result<u32> {
        self.refill()?;
        let value = low(self.held) & ((1 << bits) - 1);
        self.consume(bits);
        Ok(value)
    }

    #[inline]
    pub(super) fn symbol(&mut self, code: &Code) -> io::Result<u32> {
        self.refill()?;
        let next = low(self.held);
        let Some(entry) = code.fast.get((next & ((1 << FAST) - 1)) as usize) else {
            return Ok(code.symbols.first().copied().unwrap_or(0).into());
        };
        let length = u32::from(entry & 15);
        if length > 0 {
            self.consume(length);
            return Ok((entry >> 4).into());
        }
        let [first, second, ..] = next.to_le_bytes();
        let next = u16::from_le_bytes([first, second]).reverse_bits() >> (16 - LONGEST);
        // A code is complete, so one of these lengths fits.
        let length = (FAST + 1..LONGEST)
            .find(|length| next < code.limits[*length as usize])
            .unwrap_or(LONGEST);
        let place = (next >> (LONGEST - length)).wrapping_add(code.offsets[length as usize]);
        self.consume(length);
        Ok(code.symbols.get(usize::from(place)).copied().unwrap_or(0).into())
    }

    /// Reads a code for this number of symbols (section 6.2.1). `None` if it is invalid.
    pub(super) fn read_code(&mut self, symbols: usize) -> io::Result<Option<Code>> {
        let mut lengths = vec![0_u8; symbols];
        if self.take(1)? == 1 {
            let has_two = self.take(1)? == 1;
            let bits = if self.take(1)? == 1 { 8 } else { 1 };
            let first = self.take(bits)?;
            let second = if has_two { self.take(8)? } else { first };
            for symbol in [first, second] {
                let Some(length) = lengths.get_mut(symbol as usize) else { return Ok(None) };
                *length = 1;
            }
            return Ok(Code::new(&lengths));
        }
        let Some(code) = self.read_code_of_lengths()? else { return Ok(None) };
        let mut left = symbols;
        if self.take(1)? == 1 {
            let bits = 2 + 2 * self.take(3)?;
            left = 2 + self.take(bits)? as usize;
        }
        let (mut at, mut before) = (0, 8);
        while at < symbols && left > 0 && !self.is_overrun() {
            left -= 1;
            let (length, repeats) = match self.symbol(&code)? {
                16 => (before, 3 + self.take(2)?),
                17 => (0, 3 + self.take(3)?),
                18 => (0, 11 + self.take(7)?),
                length => (u8::try_from(length).unwrap_or(0), 1),
            };
            if length > 0 {
                before = length;
            }
            let Some(run) = lengths.get_mut(at..at + repeats as usize) else { return Ok(None) };
            run.fill(length);
            at += run.len();
        }
        Ok(Code::new(&lengths))
    }

    /// Reads the code in which the lengths of other codes are written.
    fn read_code_of_lengths(&mut self) -> io::Result<Option<Code>> {
        const ORDER: [u8; 19] = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
        let mut lengths = [0; 19];
        let count = 4 + self.take(4)? as usize;
        for symbol in &ORDER[..count] {
            lengths[usize::from(*symbol)] = u8::try_from(self.take(3)?).unwrap_or(0);
        }
        Ok(Code::new(&lengths))
    }
}

/// The lower 32 bits.
fn low(bits: u64) -> u32 {
    let [a, b, c, d, ..] = bits.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::{Bits, Code};

    #[test]
    fn codes_of_all_lengths_are_read() {
        // 0, 10, 110, up to fifteen ones.
        let lengths: Vec<u8> = (1..=15).chain([15]).collect();
        let code = Code::new(&lengths).unwrap();
        for symbol in 0_u32..16 {
            let ones = ((1_u64 << symbol.min(15)) - 1).to_le_bytes(); // the lowest bit comes first
            let mut bits = Bits::new(&ones[..]);
            assert_eq!(bits.symbol(&code).unwrap(), symbol);
            assert_eq!(bits.take(1).unwrap(), 0);
        }
    }

    #[test]
    fn incomplete_and_ambiguous_codes_are_refused() {
        assert!(Code::new(&[1, 1]).is_some());
        assert!(Code::new(&[1, 2]).is_none());
        assert!(Code::new(&[1, 1, 1]).is_none());
        assert!(Code::new(&[0, 0]).is_none());
        assert!(Code::new(&[15; 200]).is_none());
        assert!(Code::new(&[11; 2048]).is_some());
    }

    #[test]
    fn the_only_symbol_takes_no_bits() {
        let code = Code::new(&[0, 0, 7]).unwrap();
        let mut bits = Bits::new(&b"\xFF"[..]);
        assert_eq!((bits.symbol(&code).unwrap(), bits.take(8).unwrap()), (2, 0xFF));
    }

    #[test]
    fn missing_bits_are_zeros_and_are_reported() {
        let mut bits = Bits::new(&b"\x05\x80"[..]);
        assert_eq!((bits.take(3).unwrap(), bits.take(13).unwrap()), (5, 0x1000));
        assert!(!bits.is_overrun());
        assert_eq!(bits.take(1).unwrap(), 0);
        assert!(bits.is_overrun());
    }
}
