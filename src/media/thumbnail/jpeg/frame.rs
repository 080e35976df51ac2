//! The frame header of a JPEG (ITU T.81 section B.2.2): size, components and subsampling.

use super::super::limits::{MAX_SIDE, ThumbnailError, undecodable};

/// The longest side of a decoded image has at least this many pixels, unless the source is smaller. This is 1.5 times
/// the size of a thumbnail, so that the final scaling smooths out what the first one left.
const ENOUGH: u32 = MAX_SIDE + MAX_SIDE / 2;

/// A frame header.
pub(super) struct Frame {
    pub(super) is_progressive: bool,
    pub(super) size: (u32, u32),
    pub(super) components: Vec<Component>,
    /// The largest sampling factors.
    pub(super) across: u32,
    pub(super) down: u32,
    /// Width and height, in pixels, at which a block of eight by eight is decoded: 1, 2, 4 or 8.
    pub(super) scale: u32,
}

/// One of the components, such as a colour.
pub(super) struct Component {
    pub(super) id: u8,
    /// Sampling factors, 1 to 4.
    pub(super) across: u32,
    pub(super) down: u32,
    pub(super) quantization: usize,
}

impl Frame {
    /// Parses a frame header. `is_progressive` follows from its marker.
    pub(super) fn parse(is_progressive: bool, body: &[u8]) -> Result<Self, ThumbnailError> {
        let [8, h1, h0, w1, w0, count, components @ ..] = body else {
            return Err(undecodable("a frame of unusual precision, or without size"));
        };
        let (components, rest) = components.as_chunks::<3>();
        if components.len() != usize::from(*count) || !rest.is_empty() || ![1, 3, 4].contains(count)
        {
            return Err(undecodable("a frame of unusual components"));
        }
        let mut components: Vec<_> = components.iter().copied().map(Component::parse).collect();
        if components.iter().any(|c| !(1..=4).contains(&c.across) || !(1..=4).contains(&c.down)) {
            return Err(undecodable("unusual sampling factors"));
        }
        // A single component is stored block by block, whatever its factors (section A.2.2).
        if let [only] = &mut *components {
            (only.across, only.down) = (1, 1);
        }
        let size = (u16::from_be_bytes([*w1, *w0]).into(), u16::from_be_bytes([*h1, *h0]).into());
        Ok(Self {
            is_progressive,
            size,
            across: components.iter().map(|c| c.across).max().unwrap_or(1),
            down: components.iter().map(|c| c.down).max().unwrap_or(1),
            scale: scale(size),
            components,
        })
    }

    /// Number of groups of interleaved blocks (MCUs, section A.2.3) across and down.
    pub(super) fn groups(&self) -> (u32, u32) {
        let (width, height) = self.size;
        (width.div_ceil(8 * self.across), height.div_ceil(8 * self.down))
    }

    /// Number of a component's blocks that contain pixels of the image: the blocks in a scan of its own.
    pub(super) fn blocks(&self, component: &Component) -> (u32, u32) {
        let (width, height) = self.size;
        let sampled =
            |side: u32, factor: u32, most: u32| (side * factor).div_ceil(most).div_ceil(8);
        (sampled(width, component.across, self.across), sampled(height, component.down, self.down))
    }

    /// The size of the decoded image.
    pub(super) fn scaled_size(&self) -> (u32, u32) {
        let (width, height) = self.size;
        ((width * self.scale).div_ceil(8), (height * self.scale).div_ceil(8))
    }

    /// Number of coefficients per block that are kept until the last scan of a progressive image.
    pub(super) fn kept(&self) -> usize {
        match (self.is_progressive, self.scale) {
            (false, _) => 0,
            (true, 1) => 1,
            (true, _) => 64,
        }
    }

    /// Number of bytes in memory while decoding: samples, 16-bit coefficients, and the result.
    pub(super) fn memory(&self) -> u64 {
        let (across, down) = self.groups();
        let groups = u64::from(across) * u64::from(down);
        let blocks: u32 = self.components.iter().map(|c| c.across * c.down).sum();
        let of_block = u64::from(self.scale * self.scale) + 2 * self.kept() as u64;
        let (width, height) = self.scaled_size();
        groups * u64::from(blocks) * of_block + u64::from(width) * u64::from(height) * 3
    }
}

impl Component {
    fn parse([id, factors, quantization]: [u8; 3]) -> Self {
        Self {
            id,
            across: u32::from(factors >> 4),
            down: u32::from(factors & 15),
            quantization: usize::from(quantization & 3),
        }
    }
}

fn scale((width, height): (u32, u32)) -> u32 {
    [1, 2, 4].into_iter().find(|scale| width.max(height) * scale / 8 >= ENOUGH).unwrap_or(8)
}

#[cfg(test)]
mod tests {
    use super::{Frame, scale};

    #[test]
    fn no_more_is_decoded_than_a_thumbnail_needs() {
        for (longest, expected) in
            [(65_535, 1), (6144, 1), (6143, 2), (3072, 2), (3071, 4), (1536, 4), (1535, 8), (1, 8)]
        {
            assert_eq!(scale((longest, 1)), expected, "{longest}");
            assert_eq!(scale((1, longest)), expected, "{longest}");
        }
    }

    #[test]
    fn a_component_by_itself_has_no_sampling() {
        let body = [8, 0, 17, 0, 33, 1, 1, 0x22, 0];
        let frame = Frame::parse(false, &body).unwrap();
        assert_eq!(frame.groups(), (5, 3));
        assert_eq!(frame.blocks(&frame.components[0]), (5, 3));
    }

    #[test]
    fn scans_of_one_component_have_its_own_blocks() {
        let body = [8, 0, 17, 0, 33, 3, 1, 0x22, 0, 2, 0x11, 0, 3, 0x21, 0];
        let frame = Frame::parse(false, &body).unwrap();
        assert_eq!(frame.groups(), (3, 2));
        let blocks: Vec<_> = frame.components.iter().map(|c| frame.blocks(c)).collect();
        assert_eq!(blocks, [(5, 3), (3, 2), (5, 2)]);
    }
}
