//! What to overwrite in files of boxes (ISO 14496-12, `QuickTime` File Format): MP4, MOV, M4A, 3GP, HEIF, AVIF.
//!
//! Owns which of a file's own boxes stay, and what becomes of bytes after the last one. Those that go become `free`
//! boxes of zeros. What isn't understood stays only where a track or picture that stays has its media in it. The
//! index is `movie`'s, pictures' items are `items`'. Left alone: metadata inside media (encoders' messages,
//! subtitles, time codes) and inside fragments.

use std::io::{self, Read, Seek};
use std::ops::Range;

use super::boxes::{MAX_NEEDED, Media, Row, common, forget};
use super::plan::{Plan, first_other};
use super::ranges::Ranges;
use super::{items, movie};

/// A file's own boxes that stay as they are; those with rules of their own aren't among them.
const KEPT: [&[u8; 4]; 12] = [
    b"ftyp", b"styp", b"mdat", b"imda", b"moof", b"mfra", b"sidx", b"ssix", b"pdin", b"wide",
    b"pssh", b"mpvd",
];
/// Boxes that stay where media lie in them.
const SPARE: [&[u8; 4]; 3] = [b"free", b"skip", b"uuid"];
/// Boxes at a file's beginning that tell it from what may lie behind a picture.
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
    let row = row_of_file(source, file.clone())?;
    each(source, file.start, &row, plan)?;
    for clip in row.boxes.iter().filter(|header| header.kind == *b"mpvd") {
        // A motion photo's clip; none is looked for in a clip.
        let row = row_of_file(source, clip.body.clone())?;
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

/// A file's own boxes: a trailer's first bytes may look like a box of unheard-of kind and length.
fn row_of_file(source: &mut (impl Read + Seek), file: Range<u64>) -> io::Result<Row> {
    let mut row = Row::read(source, file)?;
    if row.last_is_cut
        && let Some(trailer) = row.boxes.pop_if(|last| !KNOWN.contains(&&last.kind))
    {
        row.rest = trailer.range();
    }
    Ok(row)
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
    let mut strange = Vec::new();
    for header in &row.boxes {
        match &header.kind {
            b"moov" => movie::plan(source, &media, header, &mut tracks, plan)?,
            b"meta" => {
                if !items::plan(source, &media, header, &mut needed, plan)? {
                    forget(header, plan);
                }
            }
            b"udta" | b"jumb" | b"sefd" => forget(header, plan),
            spare if SPARE.contains(&spare) => {}
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
    for header in row.boxes.iter().filter(|header| SPARE.contains(&&header.kind)) {
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
