//! Decodes lossless WebP, and the lossless alpha of lossy WebP (RFC 9649 section 3), row by row.
//!
//! Limits memory: it keeps a window of pixels, a few rows, and codes within a budget. The memory that codes need can't
//! be told from the size of a file. image-webp 0.2, which decodes the rest of WebP here, neither limits that memory nor
//! returns anything for a truncated file, and needs seven bytes per pixel besides. Doesn't know containers, or what
//! happens to the rows.

use std::io::{self, BufRead};

use super::limits::{ThumbnailError, undecodable};
use codes::{Bits, Code, Group};
use transform::Transform;

mod codes;
mod transform;

/// Slightly more than the maximum distance that pixels are copied from (sections 3.4 and 4.2.2: 40 prefix codes).
const WINDOW: usize = 1 << 20;

/// A colour's index in the cache is in the top bits of its product with this number (section 4.2.3).
const CACHE_HASH: u32 = 0x1E35_A7BD;

/// Number of length codes in the alphabet for green.
const LENGTHS: u32 = 24;

/// A lossless image.
pub(super) struct Lossless<R> {
    bits: Bits<R>,
    size: (u32, u32),
    has_alpha: bool,
    /// Number of bytes that may still be allocated.
    budget: u64,
}

impl<R: BufRead> Lossless<R> {
    /// Reads the header (section 3.4), which contains the size.
    pub(super) fn open(source: R) -> Result<Self, ThumbnailError> {
        let mut bits = Bits::new(source);
        let signature = bits.take(8)?;
        let (width, height) = (bits.take(14)? + 1, bits.take(14)? + 1);
        let (has_alpha, version) = (bits.take(1)? == 1, bits.take(3)?);
        if (signature, version) != (0x2F, 0) || bits.is_overrun() {
            return Err(undecodable("not a lossless image"));
        }
        Ok(Self { bits, size: (width, height), has_alpha, budget: 0 })
    }

    /// An image without a header, such as alpha, which is stored in the green channel.
    pub(super) fn headless(source: R, size: (u32, u32)) -> Self {
        Self { bits: Bits::new(source), size, has_alpha: false, budget: 0 }
    }

    pub(super) fn size(&self) -> (u32, u32) {
        self.size
    }

    pub(super) fn has_alpha(&self) -> bool {
        self.has_alpha
    }

    /// Decodes all rows that are present, from the top, and returns their number. Pixels are ARGB. Fails if it would
    /// need more than `budget` bytes.
    pub(super) fn decode(
        mut self,
        budget: u64,
        mut row: impl FnMut(&[u32]),
    ) -> Result<u32, ThumbnailError> {
        self.budget = budget;
        let (mut transforms, width) = self.read_transforms()?;
        let mut rows = 0;
        self.read_pixels((width, self.size.1), true, &mut |pixels| {
            row(transforms
                .iter_mut()
                .rev()
                .fold(pixels, |pixels, transform| transform.undo(pixels)));
            rows += 1;
        })?;
        Ok(rows)
    }

    /// Reads the transforms (section 4.1), in the order in which they were applied. Returns the width of the coded
    /// image.
    fn read_transforms(&mut self) -> Result<(Vec<Transform>, u32), ThumbnailError> {
        let (mut width, height) = self.size;
        let mut transforms: Vec<Transform> = Vec::new();
        let mut seen = [false; 4];
        while self.bits.take(1)? == 1 {
            let kind = self.bits.take(2)?;
            let is_repeated = std::mem::replace(&mut seen[kind as usize], true);
            if is_repeated || self.bits.is_overrun() {
                return Err(undecodable("a transform comes twice, or is cut off"));
            }
            transforms.push(match kind {
                0 | 1 => {
                    let shift = self.bits.take(3)? + 2;
                    let blocks = (blocks(width, shift), blocks(height, shift));
                    let pixels = self.read_image(blocks)?;
                    self.take_budget(u64::from(width) * 8)?;
                    if kind == 0 {
                        Transform::predictor(shift, blocks.0, pixels, width)
                    } else {
                        Transform::colours(shift, blocks.0, pixels)
                    }
                }
                2 => Transform::subtract_green(),
                _ => {
                    let colours = self.bits.take(8)? + 1;
                    let palette = self.read_image((colours, 1))?;
                    self.take_budget(u64::from(width) * 4)?;
                    let transform = Transform::palette(palette, width);
                    width = blocks(width, transform.packed_shift());
                    transform
                }
            });
        }
        Ok((transforms, width))
    }

    /// Reads an image that other data depends on. Fails if it is incomplete.
    fn read_image(&mut self, size: (u32, u32)) -> Result<Vec<u32>, ThumbnailError> {
        let count = u64::from(size.0) * u64::from(size.1);
        self.take_budget(4 * count)?;
        let mut pixels = Vec::with_capacity(usize::try_from(count).unwrap_or_default());
        self.read_pixels(size, false, &mut |row| pixels.extend_from_slice(row))?;
        if pixels.len() as u64 == count {
            Ok(pixels)
        } else {
            Err(undecodable("the image is cut off"))
        }
    }

    /// Reads the pixels of an image (section 5.2.3) up to where the data ends.
    fn read_pixels(
        &mut self,
        size: (u32, u32),
        is_main: bool,
        row: &mut dyn FnMut(&[u32]),
    ) -> Result<(), ThumbnailError> {
        let cache_bits = if self.bits.take(1)? == 1 { Some(self.bits.take(4)?) } else { None };
        if cache_bits.is_some_and(|bits| !(1..=11).contains(&bits)) {
            return Err(undecodable("a cache of no size"));
        }
        let cache_size = cache_bits.map_or(0, |bits| 1 << bits);
        let groups = self.read_groups(size, is_main, cache_size)?;
        let mut canvas = Canvas::new(size, cache_bits, row);
        // Released after this image.
        let held = canvas.memory() + groups.memory;
        self.take_budget(held)?;
        while !canvas.is_full() {
            let group = groups.at(canvas.x, canvas.y);
            let green = self.bits.symbol(&group[0])?;
            if green < 256 {
                let [red, blue, alpha] = [1, 2, 3].map(|channel| self.bits.symbol(&group[channel]));
                let pixel = alpha? << 24 | red? << 16 | green << 8 | blue?;
                if self.bits.is_overrun() {
                    break;
                }
                canvas.push(pixel);
            } else if green < 256 + LENGTHS {
                let length = self.read_number(green - 256)?;
                let distance = self.bits.symbol(&group[4])?;
                let distance = distance_of(self.read_number(distance)?, size.0);
                if self.bits.is_overrun() {
                    break;
                }
                canvas.copy(length, distance)?;
            } else {
                if self.bits.is_overrun() {
                    break;
                }
                canvas.push_cached(green - 256 - LENGTHS)?;
            }
        }
        self.budget += held;
        Ok(())
    }

    /// Reads a number with this prefix (section 5.2.2).
    fn read_number(&mut self, prefix: u32) -> io::Result<u32> {
        if prefix < 4 {
            return Ok(prefix + 1);
        }
        let more = (prefix - 2) >> 1;
        Ok(((2 + (prefix & 1)) << more) + self.bits.take(more)? + 1)
    }

    /// Reads the groups of codes, and where each one applies (section 5.2.2, "meta prefix codes").
    fn read_groups(
        &mut self,
        size: (u32, u32),
        is_main: bool,
        cache_size: usize,
    ) -> Result<Groups, ThumbnailError> {
        let mut groups =
            Groups { all: Vec::new(), shift: 31, across: 1, places: vec![0], memory: 0 };
        if is_main && self.bits.take(1)? == 1 {
            groups.shift = self.bits.take(3)? + 2;
            groups.across = blocks(size.0, groups.shift);
            let image = self.read_image((groups.across, blocks(size.1, groups.shift)))?;
            // The index of the group is in the red and green channels.
            groups.places = image
                .iter()
                .map(|pixel| pixel.to_be_bytes())
                .map(|[_, r, g, _]| u16::from_be_bytes([r, g]))
                .collect();
        }
        let count = usize::from(groups.places.iter().copied().max().unwrap_or(0)) + 1;
        for _ in 0..count {
            let group = self.read_group(cache_size)?;
            let memory = group.iter().map(Code::memory).sum::<u64>();
            if self.budget < groups.memory + memory {
                return Err(ThumbnailError::TooLarge("its codes".to_owned()));
            }
            groups.memory += memory;
            groups.all.push(group);
        }
        Ok(groups)
    }

    fn read_group(&mut self, cache_size: usize) -> Result<Group, ThumbnailError> {
        let mut group = Group::default();
        let sizes = [256 + LENGTHS as usize + cache_size, 256, 256, 256, 40];
        for (code, symbols) in group.iter_mut().zip(sizes) {
            *code =
                self.bits.read_code(symbols)?.ok_or_else(|| undecodable("a code that can't be"))?;
        }
        if self.bits.is_overrun() { Err(undecodable("the codes are cut off")) } else { Ok(group) }
    }

    fn take_budget(&mut self, bytes: u64) -> Result<(), ThumbnailError> {
        let left = self.budget.checked_sub(bytes);
        let (width, height) = self.size;
        self.budget =
            left.ok_or_else(|| ThumbnailError::TooLarge(format!("{width} x {height} pixels")))?;
        Ok(())
    }
}

/// Number of blocks of size `1 << shift` along a side.
fn blocks(side: u32, shift: u32) -> u32 {
    side.div_ceil(1 << shift)
}

/// The groups of codes, and where each one applies.
struct Groups {
    all: Vec<Group>,
    shift: u32,
    across: u32,
    places: Vec<u16>,
    /// Size of the codes in bytes.
    memory: u64,
}

impl Groups {
    fn at(&self, x: u32, y: u32) -> &Group {
        let place = (y >> self.shift) * self.across + (x >> self.shift);
        &self.all[usize::from(self.places[place as usize])]
    }
}

/// The pixels decoded so far; of the earlier ones, only the most recent.
struct Canvas<'a> {
    row: &'a mut dyn FnMut(&[u32]),
    width: u32,
    height: u32,
    x: u32,
    y: u32,
    /// The row that is being decoded.
    current: Vec<u32>,
    /// A ring buffer; its length is a power of two.
    window: Vec<u32>,
    count: usize,
    cache: Vec<u32>,
    cache_shift: u32,
}

impl<'a> Canvas<'a> {
    fn new(
        (width, height): (u32, u32),
        cache_bits: Option<u32>,
        row: &'a mut dyn FnMut(&[u32]),
    ) -> Self {
        let all = width as usize * height as usize;
        Self {
            row,
            width,
            height,
            x: 0,
            y: 0,
            current: vec![0; width as usize],
            window: vec![0; all.next_power_of_two().min(WINDOW)],
            count: 0,
            cache: vec![0; cache_bits.map_or(0, |bits| 1 << bits)],
            cache_shift: 32 - cache_bits.unwrap_or(1),
        }
    }

    fn memory(&self) -> u64 {
        4 * (self.current.len() + self.window.len() + self.cache.len()) as u64
    }

    fn is_full(&self) -> bool {
        self.y >= self.height
    }

    fn push(&mut self, pixel: u32) {
        let at = self.count & (self.window.len() - 1);
        self.window[at] = pixel;
        self.count += 1;
        if !self.cache.is_empty() {
            self.cache[(pixel.wrapping_mul(CACHE_HASH) >> self.cache_shift) as usize] = pixel;
        }
        self.current[self.x as usize] = pixel;
        self.x += 1;
        if self.x == self.width {
            (self.row)(&self.current);
            (self.x, self.y) = (0, self.y + 1);
        }
    }

    fn push_cached(&mut self, at: u32) -> Result<(), ThumbnailError> {
        let pixel =
            self.cache.get(at as usize).ok_or_else(|| undecodable("a colour of no cache"))?;
        self.push(*pixel);
        Ok(())
    }

    fn copy(&mut self, length: u32, distance: usize) -> Result<(), ThumbnailError> {
        if distance > self.count || distance > self.window.len() {
            return Err(undecodable("a copy of what isn't there"));
        }
        for _ in 0..length {
            if self.is_full() {
                break;
            }
            self.push(self.window[(self.count - distance) & (self.window.len() - 1)]);
        }
        Ok(())
    }
}

/// Converts a distance code to a number of pixels (section 5.2.2). Small codes refer to a nearby pixel.
fn distance_of(code: u32, width: u32) -> usize {
    match NEARBY.get(code as usize - 1) {
        Some((left, up)) => {
            let distance = i64::from(*up) * i64::from(width) + i64::from(*left);
            usize::try_from(distance.max(1)).unwrap_or(1)
        }
        None => code as usize - NEARBY.len(),
    }
}

/// Offsets to the left and up.
#[rustfmt::skip]
const NEARBY: [(i8, i8); 120] = [
    (0, 1),  (1, 0),  (1, 1),  (-1, 1), (0, 2),  (2, 0),  (1, 2),  (-1, 2),
    (2, 1),  (-2, 1), (2, 2),  (-2, 2), (0, 3),  (3, 0),  (1, 3),  (-1, 3),
    (3, 1),  (-3, 1), (2, 3),  (-2, 3), (3, 2),  (-3, 2), (0, 4),  (4, 0),
    (1, 4),  (-1, 4), (4, 1),  (-4, 1), (3, 3),  (-3, 3), (2, 4),  (-2, 4),
    (4, 2),  (-4, 2), (0, 5),  (3, 4),  (-3, 4), (4, 3),  (-4, 3), (5, 0),
    (1, 5),  (-1, 5), (5, 1),  (-5, 1), (2, 5),  (-2, 5), (5, 2),  (-5, 2),
    (4, 4),  (-4, 4), (3, 5),  (-3, 5), (5, 3),  (-5, 3), (0, 6),  (6, 0),
    (1, 6),  (-1, 6), (6, 1),  (-6, 1), (2, 6),  (-2, 6), (6, 2),  (-6, 2),
    (4, 5),  (-4, 5), (5, 4),  (-5, 4), (3, 6),  (-3, 6), (6, 3),  (-6, 3),
    (0, 7),  (7, 0),  (1, 7),  (-1, 7), (5, 5),  (-5, 5), (7, 1),  (-7, 1),
    (4, 6),  (-4, 6), (6, 4),  (-6, 4), (2, 7),  (-2, 7), (7, 2),  (-7, 2),
    (3, 7),  (-3, 7), (7, 3),  (-7, 3), (5, 6),  (-5, 6), (6, 5),  (-6, 5),
    (8, 0),  (4, 7),  (-4, 7), (7, 4),  (-7, 4), (8, 1),  (8, 2),  (6, 6),
    (-6, 6), (8, 3),  (5, 7),  (-5, 7), (7, 5),  (-7, 5), (8, 4),  (6, 7),
    (-6, 7), (7, 6),  (-7, 6), (8, 5),  (7, 7),  (-7, 7), (8, 6),  (8, 7),
];
