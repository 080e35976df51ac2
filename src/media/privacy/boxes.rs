//! Helpers for the planners of box-based formats (ISO 14496-12 section 4.2).
//!
//! Lists sibling boxes, and blanks those that are to be removed. Doesn't decide which ones are.

use std::io::{self, Read, Seek};
use std::ops::Range;

use super::plan::Plan;
use crate::media::boxes::{BoxHeader, Boxes, read_at};

/// Maximum number of sibling boxes that are read. While it grows, a list of this many takes 16 MiB.
const MAX_BOXES: u32 = 200_000;
/// Maximum number of sample positions that are kept: enough for days of video.
pub(super) const MAX_NEEDED: usize = 1_000_000;

/// `uuid` boxes that players need (Protected Interoperable File Format, Smooth Streaming).
const KEPT_UUIDS: [u128; 5] = [
    0xA239_4F52_5A9B_4F14_A244_6C42_7C64_8DF4, // sample encryption
    0x8974_DBCE_7BE7_4C51_84F9_7148_F988_2554, // track encryption
    0xD08A_4F18_10F3_4A82_B6C8_32D8_ABA1_83D3, // protection system header (licence server)
    0x6D1D_9B05_42D5_44E6_80E2_141D_AFF7_57B2, // time of a fragment
    0xD480_7EF2_CA39_4695_8E54_26CB_9E46_A79F, // times of the next fragments
];

/// The base of file offsets, and where media data lies.
pub(super) struct Media {
    pub(super) base: u64,
    pub(super) data: Vec<Range<u64>>,
    /// Whether samples may lie in fragments, which aren't searched.
    pub(super) in_fragments: bool,
}

/// Lists the boxes in a range.
pub(super) fn children(
    source: &mut (impl Read + Seek),
    range: Range<u64>,
) -> io::Result<Vec<BoxHeader>> {
    Ok(Siblings::read(source, range)?.boxes)
}

/// Sibling boxes. All are kept in memory, because where media data lies must be known before any of them is judged.
pub(super) struct Siblings {
    pub(super) boxes: Vec<BoxHeader>,
    /// The bytes after the last box.
    pub(super) rest: Range<u64>,
    /// Whether the last box claims to be longer than the range.
    pub(super) last_is_cut: bool,
    /// Whether there are more boxes than were read.
    pub(super) has_more: bool,
}

impl Siblings {
    pub(super) fn read(source: &mut (impl Read + Seek), range: Range<u64>) -> io::Result<Self> {
        let mut walk = Boxes::limited(range, MAX_BOXES);
        let mut boxes = Vec::new();
        while let Some(header) = walk.next(source)? {
            boxes.push(header);
        }
        let (last_is_cut, has_more) = (walk.is_cut(), walk.is_spent());
        Ok(Self { boxes, rest: walk.rest(), last_is_cut, has_more })
    }
}

/// Handles boxes that are allowed anywhere.
pub(super) fn common(
    source: &mut (impl Read + Seek),
    header: &BoxHeader,
    plan: &mut Plan,
) -> io::Result<()> {
    match &header.kind {
        b"free" | b"skip" => plan.zero(header.body.clone()), // dashboard cameras store positions there
        b"uuid" if !is_kept_uuid(source, header)? => blank(header, plan),
        _ => {}
    }
    Ok(())
}

fn is_kept_uuid(source: &mut (impl Read + Seek), header: &BoxHeader) -> io::Result<bool> {
    if header.body.end - header.body.start < 16 {
        return Ok(false);
    }
    let uuid = u128::from_be_bytes(read_at(source, header.body.start)?);
    Ok(KEPT_UUIDS.contains(&uuid))
}

/// Turns a box into a `free` box of zeros.
pub(super) fn blank(header: &BoxHeader, plan: &mut Plan) {
    if header.body.start - header.start == 8 {
        plan.write(header.start + 4..header.body.end, b"free");
    } else {
        plan.write(header.start + 4..header.start + 8, b"free"); // keep the 64-bit size that follows
        plan.zero(header.body.clone());
    }
}
