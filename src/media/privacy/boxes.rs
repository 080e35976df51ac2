//! Boxes side by side (ISO 14496-12 section 4.2), as the plans for films and pictures find and overwrite them.
//!
//! Owns how boxes are listed, and what becomes of one that goes. Refuses to know which ones go.

use std::io::{self, Read, Seek};
use std::ops::Range;

use super::plan::Plan;
use crate::media::boxes::{BoxHeader, Boxes, read_at};

/// No more boxes are looked at side by side: so many take 16 MiB while their list grows.
const MAX_BOXES: u32 = 200_000;
/// No more places of samples are remembered: those of days.
pub(super) const MAX_NEEDED: usize = 1_000_000;

/// Kinds of `uuid` boxes that players need: Protected Interoperable File Format, Smooth Streaming's fragments.
const KEPT_UUIDS: [u128; 5] = [
    0xA239_4F52_5A9B_4F14_A244_6C42_7C64_8DF4, // which samples are encrypted
    0x8974_DBCE_7BE7_4C51_84F9_7148_F988_2554, // how a track is encrypted
    0xD08A_4F18_10F3_4A82_B6C8_32D8_ABA1_83D3, // what a licence server needs
    0x6D1D_9B05_42D5_44E6_80E2_141D_AFF7_57B2, // a fragment's time
    0xD480_7EF2_CA39_4695_8E54_26CB_9E46_A79F, // the next fragments' times
];

/// What places in a file are counted from, and where its media lie.
pub(super) struct Media {
    pub(super) base: u64,
    pub(super) data: Vec<Range<u64>>,
    /// Whether samples may lie in fragments, where none is looked for.
    pub(super) in_fragments: bool,
}

/// The boxes in a range.
pub(super) fn children(
    source: &mut (impl Read + Seek),
    range: Range<u64>,
) -> io::Result<Vec<BoxHeader>> {
    Ok(Row::read(source, range)?.boxes)
}

/// Boxes side by side. All are held: where media lie has to be known before any of them is judged.
pub(super) struct Row {
    pub(super) boxes: Vec<BoxHeader>,
    /// What after them isn't one.
    pub(super) rest: Range<u64>,
    /// Whether the last one says it is longer than there is room.
    pub(super) last_is_cut: bool,
    /// Whether there are more than were looked at.
    pub(super) is_endless: bool,
}

impl Row {
    pub(super) fn read(source: &mut (impl Read + Seek), range: Range<u64>) -> io::Result<Self> {
        let mut walk = Boxes::limited(range, MAX_BOXES);
        let mut boxes = Vec::new();
        while let Some(header) = walk.next(source)? {
            boxes.push(header);
        }
        let (last_is_cut, is_endless) = (walk.is_cut(), walk.is_spent());
        Ok(Self { boxes, rest: walk.rest(), last_is_cut, is_endless })
    }
}

/// Boxes that may be anywhere.
pub(super) fn common(
    source: &mut (impl Read + Seek),
    header: &BoxHeader,
    plan: &mut Plan,
) -> io::Result<()> {
    match &header.kind {
        b"free" | b"skip" => plan.zero(header.body.clone()), // dashboard cameras keep places there
        b"uuid" if !is_kept_uuid(source, header)? => forget(header, plan),
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

/// The box is to be a `free` one of zeros.
pub(super) fn forget(header: &BoxHeader, plan: &mut Plan) {
    if header.body.start - header.start == 8 {
        plan.write(header.start + 4..header.body.end, b"free");
    } else {
        plan.write(header.start + 4..header.start + 8, b"free"); // the long size stays behind it
        plan.zero(header.body.clone());
    }
}
