//! The scans of a JPEG (ITU T.81 sections B.2.3 and E.2, annexes F and G).
//!
//! Decodes a damaged scan up to the damage, and continues at the next restart marker, if there is one. Missing samples
//! stay gray.

use super::band::{self, Band};
use super::frame::Frame;
use super::huffman::{Bits, Broken, Table};
use super::plane::{Block, Plane, ZIGZAG, clamp};
use super::tables::Tables;

/// The decoded data of a component.
pub(super) struct Part {
    pub(super) plane: Plane,
    /// Whether no block has been decoded yet.
    pub(super) is_empty: bool,
    /// Size of the plane in blocks, as in scans that interleave other components.
    size: (u32, u32),
    /// For a progressive image, [`Frame::kept`] coefficients per block, in coding order.
    coefficients: Vec<i16>,
    /// As of its first scan (section B.2.4.1).
    quantization: Option<[u16; 64]>,
}

impl Part {
    pub(super) fn all_of(frame: &Frame) -> Vec<Self> {
        let (across, down) = frame.groups();
        let part = |component: &super::frame::Component| {
            let size = (across * component.across, down * component.down);
            let blocks = size.0 as usize * size.1 as usize;
            Self {
                plane: Plane::new(size, frame.scale),
                is_empty: true,
                size,
                coefficients: vec![0; blocks * frame.kept()],
                quantization: None,
            }
        };
        frame.components.iter().map(part).collect()
    }

    fn kept(&mut self, (x, y): (u32, u32), kept: usize) -> Result<&mut [i16], Broken> {
        let start = (y as usize * self.size.0 as usize + x as usize) * kept;
        self.coefficients.get_mut(start..start + kept).ok_or(Broken)
    }

    /// Turns the coefficients of a progressive image into samples.
    pub(super) fn finish(&mut self, frame: &Frame) {
        let (kept, Some(quantization)) = (frame.kept(), self.quantization) else { return };
        if kept == 0 {
            return;
        }
        let places = (0..self.size.1).flat_map(|y| (0..self.size.0).map(move |x| (x, y)));
        for (place, coefficients) in places.zip(self.coefficients.chunks_exact(kept)) {
            let mut block = [0.0; 64];
            for ((at, step), coefficient) in ZIGZAG.iter().zip(&quantization).zip(coefficients) {
                block[usize::from(*at)] = f32::from(*coefficient) * f32::from(*step);
            }
            self.plane.put(place, &block);
        }
    }
}

/// A scan header (section B.2.3).
struct Scan {
    /// The index of each component, and those of its DC and AC tables.
    components: Vec<(usize, usize, usize)>,
    band: Band,
}

impl Scan {
    fn parse(frame: &Frame, body: &[u8]) -> Option<Self> {
        let (count, rest) = body.split_first()?;
        let (pairs, rest) = rest.split_at_checked(usize::from(*count) * 2)?;
        let [first, last, bits] = *rest.first_chunk()?;
        let mut components: Vec<(usize, usize, usize)> = Vec::new();
        for [id, tables] in pairs.as_chunks().0 {
            let at = frame.components.iter().position(|component| component.id == *id)?;
            let is_new = components.iter().all(|(other, ..)| *other != at);
            components.push((at, usize::from(tables >> 4 & 3), usize::from(tables & 3)));
            is_new.then_some(())?;
        }
        let [first, last] = if frame.is_progressive { [first, last] } else { [0, 63] };
        let bits = if frame.is_progressive { bits } else { 0 };
        let is_possible = first <= last && last < 64 && bits & 15 < 14 && !components.is_empty();
        // Only the lowest frequency may be interleaved, and only by itself.
        let is_possible = is_possible
            && (!frame.is_progressive
                || (first == 0 && last == 0)
                || (first > 0 && components.len() == 1));
        is_possible.then(|| Self {
            components,
            band: Band {
                first: first.into(),
                last: last.into(),
                is_refinement: bits >> 4 > 0,
                missing_bits: u32::from(bits & 15),
            },
        })
    }
}

/// Decodes the scan with this header. `data` is its entropy-coded data, up to the next marker other than a restart
/// marker. A scan that is invalid or lacks its tables is skipped.
pub(super) fn decode(frame: &Frame, tables: &Tables, parts: &mut [Part], body: &[u8], data: &[u8]) {
    let Some(scan) = Scan::parse(frame, body) else { return };
    for (at, ..) in &scan.components {
        let number = frame.components[*at].quantization;
        let part = &mut parts[*at];
        part.quantization = part.quantization.or(tables.quantization[number]);
        if part.quantization.is_none() {
            return;
        }
    }
    // None of the other frequencies would be kept.
    if scan.band.first >= frame.kept() && frame.is_progressive {
        return;
    }
    let (across, down) = match &*scan.components {
        [(only, ..)] => frame.blocks(&frame.components[*only]),
        _ => frame.groups(),
    };
    let mut decoder =
        Decoder { frame, tables, scan: &scan, across, parts, before: [0; 4], skipped_blocks: 0 };
    // A damaged scan counts as one that ends early.
    let _ = decoder.run(data, across * down);
}

struct Decoder<'a> {
    frame: &'a Frame,
    tables: &'a Tables,
    scan: &'a Scan,
    /// Number of groups in a row: of the blocks of all components, or of single blocks if there is only one component.
    across: u32,
    parts: &'a mut [Part],
    /// The lowest frequency of each component's previous block.
    before: [i32; 4],
    /// Number of further blocks without coefficients in this band (section G.1.2.2).
    skipped_blocks: u32,
}

impl Decoder<'_> {
    /// Decodes this number of groups, one restart interval after the other.
    fn run(&mut self, mut data: &[u8], groups: u32) -> Result<(), Broken> {
        let interval = match self.tables.restart_interval {
            0 => groups,
            interval => interval,
        };
        let (mut group, mut restarts) = (0, 0);
        while group < groups {
            let end = group.saturating_add(interval).min(groups);
            let mut bits = Bits::new(data);
            (self.before, self.skipped_blocks) = ([0; 4], 0);
            let _ = (group..end).try_for_each(|group| self.group(&mut bits, group));
            let (lost, rest) = next_restart(&data[bits.position()..], restarts).ok_or(Broken)?;
            restarts += lost + 1;
            group = end.saturating_add(lost.saturating_mul(interval));
            data = rest;
        }
        Ok(())
    }

    fn group(&mut self, bits: &mut Bits, group: u32) -> Result<(), Broken> {
        let (x, y) = (group % self.across, group / self.across);
        let scan = self.scan;
        if let [(only, dc, ac)] = *scan.components {
            return self.block(bits, (only, 0), (dc, ac), (x, y));
        }
        for (number, (at, dc, ac)) in scan.components.iter().enumerate() {
            let component = &self.frame.components[*at];
            let (across, down) = (component.across, component.down);
            for row in 0..down {
                for column in 0..across {
                    let place = (x * across + column, y * down + row);
                    self.block(bits, (*at, number), (*dc, *ac), place)?;
                }
            }
        }
        Ok(())
    }

    /// Decodes a block of a component. `number` is the component's index in the scan.
    fn block(
        &mut self,
        bits: &mut Bits,
        (at, number): (usize, usize),
        (dc, ac): (usize, usize),
        place: (u32, u32),
    ) -> Result<(), Broken> {
        let (tables, scan) = (self.tables, self.scan);
        let before = &mut self.before[number & 3];
        let part = &mut self.parts[at];
        let dc = || tables.dc[dc].as_ref().ok_or(Broken);
        let ac = || tables.ac[ac].as_ref().ok_or(Broken);
        if !self.frame.is_progressive {
            let decode = if self.frame.scale == 1 { sequential_mean } else { sequential };
            decode(bits, dc()?, ac()?, before, part, place)?;
            part.is_empty = false;
            return Ok(());
        }
        let kept = part.kept(place, self.frame.kept())?;
        let band = &scan.band;
        match (band.first, band.is_refinement) {
            (0, false) => {
                let value = before.wrapping_add(difference(bits, dc()?)?);
                unless_overrun(bits)?;
                *before = value;
                kept[0] = clamp(value << band.missing_bits);
            }
            (0, true) => {
                let bit = bits.take(1);
                unless_overrun(bits)?;
                kept[0] |= clamp((bit << band.missing_bits).cast_signed());
            }
            (_, false) => band::first(bits, ac()?, band, &mut self.skipped_blocks, kept)?,
            (_, true) => band::refined(bits, ac()?, band, &mut self.skipped_blocks, kept)?,
        }
        unless_overrun(bits)?;
        part.is_empty = false;
        Ok(())
    }
}

/// Decodes a block of a sequential image (section F.2.2).
fn sequential(
    bits: &mut Bits,
    dc: &Table,
    ac: &Table,
    before: &mut i32,
    part: &mut Part,
    place: (u32, u32),
) -> Result<(), Broken> {
    let steps = part.quantization.as_ref().ok_or(Broken)?;
    let lowest = before.wrapping_add(difference(bits, dc)?);
    let mut block: Block = [0.0; 64];
    block[0] = f32::from(clamp(lowest)) * f32::from(steps[0]);
    let mut at = 1;
    while at < 64 {
        let symbol = bits.symbol(ac)?;
        match (symbol >> 4, symbol & 15) {
            (15, 0) => at += 16,
            (_, 0) => break,
            (zeros, size) => {
                at += usize::from(zeros);
                let value = clamp(bits.value(size.into()));
                let (place, step) = ZIGZAG.get(at).zip(steps.get(at)).ok_or(Broken)?;
                block[usize::from(*place)] = f32::from(value) * f32::from(*step);
                at += 1;
            }
        }
    }
    // Samples that come from bits after the end of the data aren't shown.
    unless_overrun(bits)?;
    *before = lowest;
    part.plane.put(place, &block);
    Ok(())
}

/// Decodes only the mean of a block; other frequencies are skipped.
fn sequential_mean(
    bits: &mut Bits,
    dc: &Table,
    ac: &Table,
    before: &mut i32,
    part: &mut Part,
    place: (u32, u32),
) -> Result<(), Broken> {
    let lowest = before.wrapping_add(difference(bits, dc)?);
    let mut at = 1;
    while at < 64 {
        let symbol = bits.skip_value(ac)?;
        match (symbol >> 4, symbol & 15) {
            (15, 0) => at += 16,
            (_, 0) => break,
            (zeros, _) => at += zeros + 1,
        }
    }
    if at > 64 {
        return Err(Broken);
    }
    unless_overrun(bits)?;
    *before = lowest;
    let step = part.quantization.ok_or(Broken)?[0];
    part.plane.put_mean(place, f32::from(clamp(lowest)) * f32::from(step));
    Ok(())
}

fn difference(bits: &mut Bits, table: &Table) -> Result<i32, Broken> {
    match bits.symbol(table)? {
        size @ 0..=15 => Ok(bits.value(size.into())),
        _ => Err(Broken),
    }
}

fn unless_overrun(bits: &Bits) -> Result<(), Broken> {
    if bits.is_overrun() { Err(Broken) } else { Ok(()) }
}

/// Returns the data after the next restart marker, and how many restart markers are missing before it: up to three, by
/// their numbers (section E.2.4). Markers out of order are skipped.
fn next_restart(data: &[u8], restarts: u32) -> Option<(u32, &[u8])> {
    let markers = memchr::memchr_iter(0xFF, data).filter_map(|at| {
        let marker = *data.get(at + 1)?;
        Some((u32::from(marker), &data[at + 2..]))
            .filter(|(marker, _)| (0xD0..=0xD7).contains(marker))
    });
    let mut numbered =
        markers.map(|(marker, rest)| ((marker.wrapping_sub(0xD0 + restarts)) & 7, rest));
    numbered.find(|(lost, _)| *lost < 4)
}
