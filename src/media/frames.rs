//! Frames of bare sound: MPEG audio and ADTS, and the `ID3v2` tag they may stand behind.
//!
//! Owns what a frame's first bytes say. Refuses to know where frames lie, and what sounds in them.

/// What a frame says of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// What the frames of one stream have in common.
    traits: [u8; 3],
    /// In bytes, header included.
    pub(super) length: usize,
    /// How many samples of each channel are in it.
    pub(super) samples: u32,
    /// Samples a second; never zero.
    pub(super) rate: u32,
}

impl Frame {
    /// As many bytes tell any frame.
    pub(super) const HEADER: usize = 7;

    /// Whether both are of one stream.
    pub(super) fn continues(&self, other: &Self) -> bool {
        self.traits == other.traits
    }
}

/// The length of an `ID3v2` tag (ID3v2.4.0 section 3.1): four bytes of seven bits.
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

/// An MPEG audio frame of layer II or III (ISO 11172-3 section 2.4.1.3, with
/// the half sampling rates of ISO 13818-3 and the quarter ones of MPEG 2.5).
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
    // Rate 0 is "free format", which no one sends; 15 is forbidden.
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

/// An ADTS frame (ISO 13818-7 section 6.2).
pub(super) fn adts(head: &[u8]) -> Option<Frame> {
    const RATES: [u32; 13] = [
        96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025,
        8_000, 7_350,
    ];

    let [0xFF, second, third, fourth, fifth, sixth, seventh] = *head.first_chunk::<7>()? else {
        return None;
    };
    // Twelve bits of sync, any MPEG version, layer 0.
    if second & 0xF6 != 0xF0 {
        return None;
    }
    let index = third >> 2 & 15;
    let rate = *RATES.get(usize::from(index))?;
    let length = usize::from(fourth & 3) << 11 | usize::from(fifth) << 3 | usize::from(sixth >> 5);
    let samples = 1024 * (u32::from(seventh & 3) + 1);
    (length > 7).then_some(Frame { traits: [second, third >> 6, index], length, samples, rate })
}
