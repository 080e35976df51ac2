//! Plans for box-based files (ISO 14496-12, `QuickTime` File Format): MP4, MOV, M4A, 3GP, HEIF and AVIF.
//!
//! Decides which top-level boxes stay, and what happens to bytes after the last one. Removed boxes become `free` boxes
//! of zeros. Unknown boxes stay only if they contain media of a track or picture that stays. `movie` handles the index
//! (`moov`), and `items` the items of pictures. Left alone: metadata inside media data (encoder messages, subtitles,
//! time codes) and inside fragments.

use std::io::{self, Read, Seek};
use std::ops::Range;

use super::boxes::{MAX_NEEDED, Media, Siblings, blank, common};
use super::plan::{Plan, first_other};
use super::ranges::Ranges;
use super::{items, movie};

/// Top-level boxes that stay unchanged, apart from those with their own rules.
const KEPT: [&[u8; 4]; 12] = [
    b"ftyp", b"styp", b"mdat", b"imda", b"moof", b"mfra", b"sidx", b"ssix", b"pdin", b"wide",
    b"pssh", b"mpvd",
];
/// Boxes that stay only if media lies in them.
const SPARE: [&[u8; 4]; 3] = [b"free", b"skip", b"uuid"];
/// Boxes that a file appended to a picture may begin with.
const KNOWN: [&[u8; 4]; 17] = [
    b"ftyp", b"styp", b"moov", b"mdat", b"moof", b"mfra", b"sidx", b"pdin", b"free", b"skip",
    b"wide", b"meta", b"udta", b"uuid", b"emsg", b"prft", b"pssh",
];

/// Plans for the boxes of `file`.
pub(super) fn plan(
    source: &mut (impl Read + Seek),
    file: Range<u64>,
    plan: &mut Plan,
) -> io::Result<()> {
    let siblings = top_level_boxes(source, file.clone())?;
    plan_boxes(source, file.start, &siblings, plan)?;
    for clip in siblings.boxes.iter().filter(|header| header.kind == *b"mpvd") {
        // The video of a motion photo. A video isn't searched for another one.
        let siblings = top_level_boxes(source, clip.body.clone())?;
        plan_boxes(source, clip.body.start, &siblings, plan)?;
    }
    Ok(())
}

/// Plans for a file embedded at the beginning of `range`, up to its last known box. Returns where that box ends, or
/// `None` if there is no known box.
pub(super) fn plan_embedded(
    source: &mut (impl Read + Seek),
    range: Range<u64>,
    plan: &mut Plan,
) -> io::Result<Option<u64>> {
    let mut siblings = Siblings::read(source, range.clone())?;
    let known = siblings.boxes.iter().take_while(|header| KNOWN.contains(&&header.kind)).count();
    siblings.boxes.truncate(known);
    let Some(end) = siblings.boxes.last().map(|header| header.body.end) else {
        return Ok(None);
    };
    siblings.rest = end..end;
    plan_boxes(source, range.start, &siblings, plan)?;
    Ok(Some(end))
}

/// Lists the top-level boxes, without a trailer whose first bytes look like a box of an unknown type and an impossible
/// length.
fn top_level_boxes(source: &mut (impl Read + Seek), file: Range<u64>) -> io::Result<Siblings> {
    let mut siblings = Siblings::read(source, file)?;
    if siblings.last_is_cut
        && let Some(trailer) = siblings.boxes.pop_if(|last| !KNOWN.contains(&&last.kind))
    {
        siblings.rest = trailer.range();
    }
    Ok(siblings)
}

/// Plans for the top-level boxes.
fn plan_boxes(
    source: &mut (impl Read + Seek),
    start: u64,
    siblings: &Siblings,
    plan: &mut Plan,
) -> io::Result<()> {
    let of =
        |kind: &'static [u8; 4]| siblings.boxes.iter().filter(move |header| header.kind == *kind);
    let media = Media {
        base: start,
        data: of(b"mdat").map(|header| header.body.clone()).collect(),
        in_fragments: of(b"moof").next().is_some(),
    };
    let (mut tracks, mut needed) = (Vec::new(), Vec::new());
    let mut strange = Vec::new();
    for header in &siblings.boxes {
        match &header.kind {
            b"moov" => movie::plan(source, &media, header, &mut tracks, plan)?,
            b"meta" => {
                if !items::plan(source, &media, header, &mut needed, plan)? {
                    blank(header, plan);
                }
            }
            b"udta" | b"jumb" | b"sefd" => blank(header, plan),
            spare if SPARE.contains(&spare) => {}
            kept if KEPT.contains(&kept) => {}
            _ => strange.push(header.range()),
        }
    }
    if !siblings.has_more {
        strange.push(siblings.rest.clone());
    }
    movie::chunk_starts(source, &media, &tracks, &mut needed)?;
    let is_all = needed.len() < MAX_NEEDED;
    let needed = Ranges::new(needed);
    for header in siblings.boxes.iter().filter(|header| SPARE.contains(&&header.kind)) {
        if is_all && !needed.touches(&header.body) {
            common(source, header, plan)?;
        } else {
            plan.mark_incomplete();
        }
    }
    let has_index = of(b"moov").chain(of(b"meta")).next().is_some();
    for range in strange {
        if has_index && is_all && !needed.touches(&range) {
            free(source, range, plan)?;
        } else if !range.is_empty() {
            plan.mark_incomplete();
        }
    }
    if siblings.has_more {
        plan.mark_incomplete();
    }
    movie::zero_telemetry(source, &media, &tracks, &needed, plan) // last, because it may exceed the plan's limits
}

/// Turns a range into a `free` box of zeros. It becomes plain zeros if there is no space for a box header, or if it
/// begins with zero padding.
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
