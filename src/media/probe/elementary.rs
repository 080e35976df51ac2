//! The dimensions in video stream headers: MPEG-1 and 2 (ISO 13818-2 section 6.2.2), H.264 (ITU-T H.264 section
//! 7.3.2.1), H.265 (ITU-T H.265 section 7.3.2.2).
//!
//! Parses headers of elementary streams. Doesn't know which containers they come from.

/// Returns the displayed size stated in the first header of a stream.
pub(super) fn size(stream: &[u8]) -> Option<(u32, u32)> {
    let units =
        || memchr::memmem::find_iter(stream, &[0, 0, 1]).filter_map(|at| stream.get(at + 3..));
    let of_mpeg = |unit: &[u8]| mpeg(unit.strip_prefix(&[0xB3])?);
    let of_others = |unit: &[u8]| match unit {
        [0x42, 0x01, header @ ..] => h265(header),
        [first, ..] if first & 0x9F == 7 => h264(unit),
        _ => None,
    };
    // Slices in MPEG-1 and 2 look like the headers of the other formats, and come first if a video was cut out of a
    // longer one.
    units().find_map(of_mpeg).or_else(|| units().find_map(of_others))
}

/// Parses an MPEG sequence header. In MPEG-2, an extension follows, and its aspect ratio is that of the whole picture.
fn mpeg(header: &[u8]) -> Option<(u32, u32)> {
    let [a, b, c, aspect, _, _, mark, ..] = *header else { return None };
    // These fields aren't zero, and the marker bit is set. MPEG-4 part 2 uses this start code for something else.
    if aspect >> 4 == 0 || aspect << 4 == 0 || mark & 0x20 == 0 {
        return None;
    }
    let mut width = u32::from(a) << 4 | u32::from(b >> 4);
    let mut height = u32::from(b & 15) << 8 | u32::from(c);
    // What follows the header decides. Tables may come before it.
    let next = memchr::memmem::find(header, &[0, 0, 1])? + 3;
    let [0xB5, 0x10..=0x1F, second, third] = *header.get(next..next + 4)? else {
        return Some((width, height)); // MPEG-1
    };
    width |= u32::from(second & 1) << 13 | u32::from(third >> 7) << 12;
    height |= u32::from(third >> 5 & 3) << 12;
    let (across, down) = match aspect >> 4 {
        2 => (4, 3),
        3 => (16, 9),
        4 => (221, 100),
        _ => return Some((width, height)),
    };
    Some(((height * across + down / 2) / down, height))
}

/// Parses an H.264 sequence parameter set, starting with the byte that contains its type.
pub(super) fn h264(unit: &[u8]) -> Option<(u32, u32)> {
    let mut bits = Bits::new(unit.get(1..)?);
    let profile = bits.take(8)?;
    bits.take(16)?; // constraint flags and level
    bits.number()?;
    let mut chroma = 1;
    if [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135].contains(&profile) {
        chroma = bits.number()?;
        if chroma == 3 {
            bits.take(1)?;
        }
        bits.number()?;
        bits.number()?;
        bits.take(1)?;
        if bits.take(1)? == 1 {
            skip_scaling(&mut bits, if chroma == 3 { 12 } else { 8 })?;
        }
    }
    bits.number()?;
    match bits.number()? {
        0 => drop(bits.number()?),
        1 => {
            bits.take(1)?;
            bits.number()?;
            bits.number()?;
            for _ in 0..bits.number()?.min(255) {
                bits.number()?;
            }
        }
        _ => {}
    }
    bits.number()?;
    bits.take(1)?;
    let blocks = (bits.number()?.checked_add(1)?, bits.number()?.checked_add(1)?);
    let is_whole = bits.take(1)?;
    if is_whole == 0 {
        bits.take(1)?;
    }
    bits.take(1)?;
    let lines = 2 - is_whole;
    let unit = match chroma {
        1 => (2, 2 * lines),
        2 => (2, lines),
        _ => (1, lines),
    };
    let coded = (blocks.0.checked_mul(16)?, blocks.1.checked_mul(16 * lines)?);
    let (width, height) = cropped(&mut bits, coded, unit)?;
    let (across, down) = sample_shape(&mut bits)?;
    let shown =
        (u64::from(width) * u64::from(across) + u64::from(down / 2)) / u64::from(down.max(1));
    Some((u32::try_from(shown).ok().filter(|shown| *shown > 0).unwrap_or(width), height))
}

fn skip_scaling(bits: &mut Bits<'_>, lists: u32) -> Option<()> {
    for list in 0..lists {
        if bits.take(1)? == 0 {
            continue;
        }
        let (mut last, mut next) = (8, 8);
        for _ in 0..if list < 6 { 16 } else { 64 } {
            if next != 0 {
                let code = bits.number()?;
                // Signed numbers are coded in the order 1, -1, 2, -2 and so on.
                let delta = i64::from(code.div_ceil(2)) * if code % 2 == 1 { 1 } else { -1 };
                next = (last + delta).rem_euclid(256);
            }
            last = if next == 0 { last } else { next };
        }
    }
    Some(())
}

/// Subtracts the four cropping offsets in a header.
fn cropped(
    bits: &mut Bits<'_>,
    (width, height): (u32, u32),
    unit: (u32, u32),
) -> Option<(u32, u32)> {
    if bits.take(1)? == 0 {
        return Some((width, height));
    }
    let [left, right, top, bottom] =
        [bits.number()?, bits.number()?, bits.number()?, bits.number()?];
    let across = left.checked_add(right)?.checked_mul(unit.0)?;
    let down = top.checked_add(bottom)?.checked_mul(unit.1)?;
    Some((width.checked_sub(across)?, height.checked_sub(down)?))
}

/// The sample aspect ratio (ITU-T H.264 table E-1); square if it isn't specified.
fn sample_shape(bits: &mut Bits<'_>) -> Option<(u32, u32)> {
    const SHAPES: [(u32, u32); 17] = [
        (1, 1),
        (1, 1),
        (12, 11),
        (10, 11),
        (16, 11),
        (40, 33),
        (24, 11),
        (20, 11),
        (32, 11),
        (80, 33),
        (18, 11),
        (15, 11),
        (64, 33),
        (160, 99),
        (4, 3),
        (3, 2),
        (2, 1),
    ];
    if bits.take(1)? == 0 || bits.take(1)? == 0 {
        return Some((1, 1));
    }
    let shape = match bits.take(8)? {
        255 => (bits.take(16)?, bits.take(16)?),
        number => *SHAPES.get(number as usize).unwrap_or(&(1, 1)),
    };
    Some(if shape.0 == 0 || shape.1 == 0 { (1, 1) } else { shape })
}

/// Parses an H.265 sequence parameter set, after its two-byte header.
fn h265(unit: &[u8]) -> Option<(u32, u32)> {
    let mut bits = Bits::new(unit);
    bits.take(4)?;
    let layers = bits.take(3)?;
    bits.take(1)?;
    bits.skip(96)?; // profile and level
    let said: Vec<(u32, u32)> =
        (0..layers).map(|_| Some((bits.take(1)?, bits.take(1)?))).collect::<Option<_>>()?;
    if layers > 0 {
        bits.skip(2 * (8 - layers))?;
    }
    for (profile, level) in said {
        bits.skip(88 * profile + 8 * level)?;
    }
    bits.number()?;
    let chroma = bits.number()?;
    if chroma == 3 {
        bits.take(1)?;
    }
    let coded = (bits.number()?, bits.number()?);
    let unit = match chroma {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    cropped(&mut bits, coded, unit)
}

/// Reads the bits of a header, without emulation prevention bytes (ITU-T H.264 section 7.4.1).
struct Bits<'a> {
    rest: &'a [u8],
    zeros: u8,
    held: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, zeros: 0, held: 0, count: 0 }
    }

    /// Reads up to 32 bits.
    fn take(&mut self, bits: u32) -> Option<u32> {
        while self.count < bits {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            if self.zeros >= 2 && *byte == 3 {
                self.zeros = 0;
                continue;
            }
            self.zeros = if *byte == 0 { self.zeros.saturating_add(1) } else { 0 };
            self.held = self.held << 8 | u64::from(*byte);
            self.count += 8;
        }
        self.count -= bits;
        let value = self.held >> self.count & ((1 << bits) - 1);
        u32::try_from(value).ok()
    }

    fn skip(&mut self, bits: u32) -> Option<()> {
        (0..bits).try_for_each(|_| self.take(1).map(drop))
    }

    /// Reads an unsigned Exp-Golomb number (section 9.1).
    fn number(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.take(1)? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1 << zeros) - 1 + self.take(zeros)?)
    }
}

#[cfg(test)]
mod tests {
    use super::{Bits, size};

    #[test]
    fn numbers_are_exp_golomb_coded() {
        let mut bits = Bits::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        let numbers: Vec<_> = (0..5).map(|_| bits.number().unwrap()).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
        assert_eq!(Bits::new(&[0; 9]).number(), None);
    }

    #[test]
    fn bytes_that_break_up_start_codes_are_left_out() {
        let mut bits = Bits::new(&[0, 0, 3, 1, 0, 3, 0]);
        let bytes: Vec<_> = std::iter::from_fn(|| bits.take(8)).collect();
        assert_eq!(bytes, [0, 0, 1, 0, 3, 0]);
    }

    #[test]
    fn truncated_headers_have_no_size() {
        let header = [0, 0, 1, 0x67, 66, 0, 10, 0xF8, 0x41, 0xA2];
        for end in 0..header.len() {
            let _ = size(&header[..end]);
        }
        assert_eq!(size(&[0, 0, 1, 0x67, 255, 255]), None);
    }

    #[test]
    fn an_mpeg_stream_that_begins_with_slices_has_the_size_in_its_header() {
        let slices =
            [b"\0\0\x01\x07".as_slice(), &[0x55; 40], b"\0\0\x01\xB5\x8F\xFF\xF7"].concat();
        let header = b"\0\0\x01\xB3\x16\x01\x20\x13\xFF\xFF\xE0\x18\0\0\x01\xB8\0\0\0";
        assert_eq!(size(&[&slices[..], header].concat()), Some((352, 288)));
        // In MPEG-4, this is a group of pictures header.
        assert_eq!(size(b"\0\0\x01\xB3\x10\x21\x07\0\0\x01\xB6\x55\x55"), None);
    }
}
