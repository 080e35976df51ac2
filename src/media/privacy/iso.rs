//! What to overwrite in files of boxes (ISO 14496-12, `QuickTime` File Format): MP4, MOV, M4A, 3GP, HEIF, AVIF.
//!
//! Owns which of a file's own boxes stay, and what becomes of bytes after the last one. Those that go become `free`
//! boxes of zeros. What isn't understood stays only where a track or picture that stays has its media in it. The
//! index is `movie`'s, pictures' items are `items`'. Left alone: metadata inside media (encoders' messages,
//! subtitles, time codes) and inside fragments.

use std::io::{self, Read, Seek};
use std::ops::Range;

use super::plan::{Plan, first_other};
use super::ranges::Ranges;
use super::{items, movie};
use crate::media::boxes::{BoxHeader, Boxes, read_at};

/// No more boxes are looked at side by side.
const MAX_BOXES: u32 = 400_000;
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

/// A file's own boxes that stay as they are; those with rules of their own aren't among them.
const KEPT: [&[u8; 4]; 12] = [
    b"ftyp", b"styp", b"mdat", b"imda", b"moof", b"mfra", b"sidx", b"ssix", b"pdin", b"wide",
    b"pssh", b"mpvd",
];
/// Boxes at a file's beginning that tell it from what may lie behind a picture.
const KNOWN: [&[u8; 4]; 17] = [
    b"ftyp", b"styp", b"moov", b"mdat", b"moof", b"mfra", b"sidx", b"pdin", b"free", b"skip",
    b"wide", b"meta", b"udta", b"uuid", b"emsg", b"prft", b"pssh",
];

/// What places in a file are counted from, and where its media lie.
pub(super) struct Media {
    pub(super) base: u64,
    pub(super) data: Vec<Range<u64>>,
    /// Whether samples may lie in fragments, where none is looked for.
    pub(super) in_fragments: bool,
}

/// Plans for the boxes of `file`.
pub(super) fn plan(
    source: &mut (impl Read + Seek),
    file: Range<u64>,
    plan: &mut Plan,
) -> io::Result<()> {
    let row = Row::of_file(source, file.clone())?;
    each(source, file.start, &row, plan)?;
    for clip in row.boxes.iter().filter(|header| header.kind == *b"mpvd") {
        // A motion photo's clip; none is looked for in a clip.
        let row = Row::of_file(source, clip.body.clone())?;
        each(source, clip.body.start, &row, plan)?;
    }
    Ok(())
}

/// Plans for a file at the beginning of `range`, which ends with the last box that is known; where that is, if
/// there is any.
pub(super) fn plan_embedded(
    source: &mut (impl Read + Seek),
    range: Range<u64>,
    plan: &mut Plan,
) -> io::Result<Option<u64>> {
    let mut row = Row::read(source, range.clone())?;
    let known = row.boxes.iter().take_while(|header| KNOWN.contains(&&header.kind)).count();
    row.boxes.truncate(known);
    let Some(end) = row.boxes.last().map(|header| header.body.end) else {
        return Ok(None);
    };
    row.rest = end..end;
    each(source, range.start, &row, plan)?;
    Ok(Some(end))
}

/// The boxes in a range.
pub(super) fn children(
    source: &mut (impl Read + Seek),
    range: Range<u64>,
) -> io::Result<Vec<BoxHeader>> {
    Ok(Row::read(source, range)?.boxes)
}

/// Boxes side by side. All are held: where media lie has to be known before any of them is judged.
struct Row {
    boxes: Vec<BoxHeader>,
    /// What after them isn't one.
    rest: Range<u64>,
    /// Whether the last one says it is longer than there is room.
    last_is_cut: bool,
    /// Whether there are more than were looked at.
    is_endless: bool,
}

impl Row {
    fn read(source: &mut (impl Read + Seek), range: Range<u64>) -> io::Result<Self> {
        let mut walk = Boxes::limited(range, MAX_BOXES);
        let mut boxes = Vec::new();
        while let Some(header) = walk.next(source)? {
            boxes.push(header);
        }
        let (last_is_cut, is_endless) = (walk.is_cut(), walk.is_spent());
        Ok(Self { boxes, rest: walk.rest(), last_is_cut, is_endless })
    }

    /// A file's own: a trailer's first bytes may look like a box of unheard-of kind and length.
    fn of_file(source: &mut (impl Read + Seek), file: Range<u64>) -> io::Result<Self> {
        let mut row = Self::read(source, file)?;
        if row.last_is_cut
            && let Some(trailer) = row.boxes.pop_if(|last| !KNOWN.contains(&&last.kind))
        {
            row.rest = trailer.range();
        }
        Ok(row)
    }
}

/// Plans for a file's own boxes.
fn each(source: &mut (impl Read + Seek), start: u64, row: &Row, plan: &mut Plan) -> io::Result<()> {
    let of = |kind: &'static [u8; 4]| row.boxes.iter().filter(move |header| header.kind == *kind);
    let media = Media {
        base: start,
        data: of(b"mdat").map(|header| header.body.clone()).collect(),
        in_fragments: of(b"moof").next().is_some(),
    };
    let (mut tracks, mut needed) = (Vec::new(), Vec::new());
    let (mut spare, mut strange) = (Vec::new(), Vec::new());
    for header in &row.boxes {
        match &header.kind {
            b"moov" => movie::plan(source, &media, header, &mut tracks, plan)?,
            b"meta" => {
                if !items::plan(source, &media, header, &mut needed, plan)? {
                    forget(header, plan);
                }
            }
            b"udta" | b"jumb" | b"sefd" => forget(header, plan),
            b"free" | b"skip" | b"uuid" => spare.push(header),
            kept if KEPT.contains(&kept) => {}
            _ => strange.push(header.range()),
        }
    }
    if !row.is_endless {
        strange.push(row.rest.clone());
    }
    movie::starts(source, &media, &tracks, &mut needed)?;
    let is_all = needed.len() < MAX_NEEDED;
    let needed = Ranges::new(needed);
    for header in spare {
        if is_all && !needed.touches(&header.body) {
            common(source, header, plan)?;
        } else {
            plan.leave();
        }
    }
    let has_index = of(b"moov").chain(of(b"meta")).next().is_some();
    for range in strange {
        if has_index && is_all && !needed.touches(&range) {
            free(source, range, plan)?;
        } else if !range.is_empty() {
            plan.leave();
        }
    }
    if row.is_endless {
        plan.leave();
    }
    movie::telemetry(source, &media, &tracks, &needed, plan) // last: it may be too much for the plan
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

/// These bytes are to be a `free` box of zeros; zeros alone where there is no room for its header, or where they
/// begin as padding does.
fn free(source: &mut (impl Read + Seek), range: Range<u64>, plan: &mut Plan) -> io::Result<()> {
    let length = range.end - range.start;
    let is_padding =
        first_other(source, range.start..range.end.min(range.start + 64), &[0])?.is_none();
    match u32::try_from(length) {
        _ if is_padding || length < 8 => plan.zero(range),
        Ok(short) => plan.write(range, &[short.to_be_bytes(), *b"free"].concat()),
        Err(_) => plan.write(range, &[b"\0\0\0\x01free", length.to_be_bytes().as_slice()].concat()),
    }
    Ok(())
}
