//! Frame headers of elementary audio streams (MPEG audio and ADTS), and the `ID3v2` tag that may precede them.
//!
//! Parses single headers. Doesn't know where frames lie or decode them.

/// A parsed frame header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// Header bits that are the same in all frames of a stream.
    traits: [u8; 3],
    /// Length in bytes, header included.
    pub(super) length: usize,
    /// Number of samples per channel.
    pub(super) samples: u32,
    /// Sample rate in Hz; never zero.
    pub(super) rate: u32,
}

impl Frame {
    /// Number of bytes needed to parse any header.
    pub(super) const HEADER: usize = 7;

    /// Whether both frames belong to the same stream.
    pub(super) fn continues(&self, other: &Self) -> bool {
        self.traits == other.traits
    }
}

/// Length of an `ID3v2` tag (ID3v2.4.0 section 3.1), stored as four 7-bit bytes.
pub(super) fn id3_length(head: &[u8]) -> Option<usize> {
    let [b'I', b'D', b'3', major, revision, flags, size @ ..] = *head.first_chunk::<10>()? else {
        return None;
    };
    if !(2..=4).contains(&major) || revision == 0xFF || size.iter().any(|b| *b >= 0x80) {
        return None;
    }
    let body = size.iter().fold(0, |sum, b| sum << 7 | usize::from(*b));
    let footer = if flags & 0x10 == 0 { 0 } else { 10 };
    Some(10 + body + footer)
}

/// Parses an MPEG audio frame header, layer II or III (ISO 11172-3 section 2.4.1.3; ISO 13818-3 for half sample rates,
/// and MPEG 2.5 for quarter ones).
pub(super) fn mpeg(head: &[u8]) -> Option<Frame> {
    const V1_L2: [usize; 15] = [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384];
    const V1_L3: [usize; 15] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
    const V2: [usize; 15] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];

    let [0xFF, second, third, _] = *head.first_chunk::<4>()? else {
        return None;
    };
    let version = second >> 3 & 3;
    let layer = second >> 1 & 3;
    let (is_v1, rate_shift) = match version {
        3 => (true, 0),
        2 => (false, 1),
        0 => (false, 2),
        _ => return None,
    };
    let (kilobits, samples) = match (layer, is_v1) {
        (2, true) => (&V1_L2, 1152_u16),
        (2, false) => (&V2, 1152),
        (1, true) => (&V1_L3, 1152),
        (1, false) => (&V2, 576),
        _ => return None,
    };
    if second & 0xE0 != 0xE0 {
        return None;
    }
    // Index 0 is "free format", which is unused in practice; 15 is forbidden.
    let bits = *kilobits.get(usize::from(third >> 4)).filter(|k| **k > 0)? * 1000;
    let rate = [44_100_u16, 48_000, 32_000].get(usize::from(third >> 2 & 3))? >> rate_shift;
    let padding = usize::from(third >> 1 & 1);
    Some(Frame {
        traits: [version, layer, third >> 2 & 3],
        length: usize::from(samples) / 8 * bits / usize::from(rate) + padding,
        samples: samples.into(),
        rate: rate.into(),
    })
}

/// Parses an ADTS frame header (ISO 13818-7 section 6.2).
pub(super) fn adts(head: &[u8]) -> Option<Frame> {
    const RATES: [u32; 13] = [
        96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025,
        8_000, 7_350,
    ];

    let [0xFF, second, third, fourth, fifth, sixth, seventh] = *head.first_chunk::<7>()? else {
        return None;
    };
    // Twelve sync bits, any MPEG version, layer 0.
    if second & 0xF6 != 0xF0 {
        return None;
    }
    let index = third >> 2 & 15;
    let rate = *RATES.get(usize::from(index))?;
    let length = usize::from(fourth & 3) << 11 | usize::from(fifth) << 3 | usize::from(sixth >> 5);
    let samples = 1024 * (u32::from(seventh & 3) + 1);
    (length > 7).then_some(Frame { traits: [second, third >> 6, index], length, samples, rate })
}
