//! What to overwrite in files of boxes (ISO 14496-12, `QuickTime` File Format): MP4, MOV, M4A, 3GP, HEIF, AVIF.
//!
//! Owns which boxes stay. User data, Apple's keys, XMP, content credentials, maker's boxes and tracks of timed
//! metadata become `free` boxes of zeros, times of creation and change become 0. In the index and its tracks only
//! what players need stays; among the file's own boxes only those named here go, as what isn't understood may be
//! media. With user data go the music tags of M4A, what encoders say of gaps, and chapters; with makers' boxes what
//! old panoramic clips say of their projection.
//! Left alone: metadata inside media (encoders' messages, subtitles, time codes, names of handlers and codecs),
//! inside fragments, and in trailers that aren't boxes.

use std::io::{self, Read, Seek};
use std::ops::Range;

use super::plan::Plan;
use super::ranges::Ranges;
use super::{items, samples};
use crate::media::boxes::{BoxHeader, Boxes, read_at};

/// Kinds of `uuid` boxes that players need: Protected Interoperable File Format, Smooth Streaming's fragments.
const KEPT_UUIDS: [u128; 5] = [
    0xA239_4F52_5A9B_4F14_A244_6C42_7C64_8DF4, // which samples are encrypted
    0x8974_DBCE_7BE7_4C51_84F9_7148_F988_2554, // how a track is encrypted
    0xD08A_4F18_10F3_4A82_B6C8_32D8_ABA1_83D3, // what a licence server needs
    0x6D1D_9B05_42D5_44E6_80E2_141D_AFF7_57B2, // a fragment's time
    0xD480_7EF2_CA39_4695_8E54_26CB_9E46_A79F, // the next fragments' times
];

/// The index's boxes that stay; `trak` has its own rules.
const KEPT_IN_MOVIE: [&[u8; 4]; 13] = [
    b"mvhd", b"trak", b"mvex", b"iods", b"pssh", b"ainf", b"rmra", b"cmov", b"ctab", b"clip",
    b"prfl", b"mdat", b"grpl",
];
/// A track's boxes that stay.
const KEPT_IN_TRACK: [&[u8; 4]; 13] = [
    b"tkhd", b"mdia", b"tref", b"edts", b"tapt", b"clip", b"matt", b"load", b"imap", b"trgr",
    b"txas", b"strk", b"mdat",
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
}

/// Plans for the boxes of `file`.
pub(super) fn plan(
    source: &mut (impl Read + Seek),
    file: Range<u64>,
    plan: &mut Plan,
) -> io::Result<()> {
    let boxes = children(source, file.clone())?;
    let inner = each(source, file, &boxes, plan)?;
    for clip in inner {
        // A motion photo's clip; none is looked for in a clip.
        let boxes = children(source, clip.clone())?;
        each(source, clip, &boxes, plan)?;
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
    let mut boxes = children(source, range.clone())?;
    let known = boxes.iter().take_while(|header| KNOWN.contains(&&header.kind)).count();
    boxes.truncate(known);
    let Some(end) = boxes.last().map(|header| header.body.end) else {
        return Ok(None);
    };
    each(source, range.start..end, &boxes, plan)?;
    Ok(Some(end))
}

/// The boxes in a range. All are held: where media lie has to be known before any of them is judged.
pub(super) fn children(
    source: &mut (impl Read + Seek),
    range: Range<u64>,
) -> io::Result<Vec<BoxHeader>> {
    let mut walk = Boxes::within(range);
    let mut boxes = Vec::new();
    while let Some(header) = walk.next(source)? {
        boxes.push(header);
    }
    Ok(boxes)
}

/// Plans for a file's own boxes; where in it other files lie.
fn each(
    source: &mut (impl Read + Seek),
    file: Range<u64>,
    boxes: &[BoxHeader],
    plan: &mut Plan,
) -> io::Result<Vec<Range<u64>>> {
    let of = |kind: &'static [u8; 4]| boxes.iter().filter(move |header| header.kind == *kind);
    let data = of(b"mdat").map(|header| header.body.clone()).collect();
    let media = Media { base: file.start, data };
    let mut tracks = Vec::new();
    for header in boxes {
        match &header.kind {
            b"moov" => movie(source, &media, header, &mut tracks, plan)?,
            b"meta" => {
                if !items::plan(source, &media, header, plan)? {
                    forget(header, plan);
                }
            }
            b"udta" | b"jumb" | b"sefd" | b"thum" | b"pnot" | b"PICT" | b"gps0" | b"gsen"
            | b"GPS " => forget(header, plan),
            _ => common(source, header, plan)?,
        }
    }
    telemetry(source, &media, &tracks, plan)?; // last: it may be too much for the plan
    Ok(of(b"mpvd").map(|header| header.body.clone()).collect())
}

/// Boxes that may be anywhere.
fn common(source: &mut (impl Read + Seek), header: &BoxHeader, plan: &mut Plan) -> io::Result<()> {
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

/// Plans for the index and its tracks, but for those of telemetry; adds all of them to `tracks`.
fn movie(
    source: &mut (impl Read + Seek),
    media: &Media,
    movie: &BoxHeader,
    tracks: &mut Vec<Track>,
    plan: &mut Plan,
) -> io::Result<()> {
    for header in children(source, movie.body.clone())? {
        match &header.kind {
            b"mvhd" => forget_times(source, &header, plan)?,
            b"trak" => {
                let track = Track::read(source, &header)?;
                if !track.is_telemetry {
                    track.plan(source, media, plan)?;
                }
                tracks.push(track);
            }
            other if KEPT_IN_MOVIE.contains(&other) => {}
            _ => rest(source, media, &header, plan)?,
        }
    }
    Ok(())
}

/// Plans for tracks of telemetry and their samples.
fn telemetry(
    source: &mut (impl Read + Seek),
    media: &Media,
    tracks: &[Track],
    plan: &mut Plan,
) -> io::Result<()> {
    let (going, staying): (Vec<_>, Vec<_>) = tracks.iter().partition(|track| track.is_telemetry);
    if going.is_empty() {
        return Ok(());
    }
    // A damaged table may point anywhere: samples are overwritten only where media lie, and no other track's.
    let mut theirs = Vec::new();
    for track in staying {
        samples::starts(source, media.base, &track.mdia, &mut theirs)?;
    }
    let (data, theirs) = (Ranges::new(media.data.clone()), Ranges::new(theirs));
    for track in going {
        let ours = |chunk: &Range<u64>| data.holds(chunk) && !theirs.touches(chunk);
        samples::zero(source, media.base, &track.mdia, ours, plan)?;
        forget(&track.header, plan);
    }
    Ok(())
}

/// A box of the index, or of a track, that isn't among those that stay.
fn rest(
    source: &mut (impl Read + Seek),
    media: &Media,
    header: &BoxHeader,
    plan: &mut Plan,
) -> io::Result<()> {
    match &header.kind {
        b"uuid" | b"free" | b"skip" => common(source, header, plan)?,
        b"meta" => {
            items::plan(source, media, header, plan)?; // what it points at goes too
            forget(header, plan);
        }
        _ => forget(header, plan),
    }
    Ok(())
}

/// A track's boxes.
struct Track {
    header: BoxHeader,
    boxes: Vec<BoxHeader>,
    /// Those of its `mdia`.
    mdia: Vec<BoxHeader>,
    is_telemetry: bool,
}

impl Track {
    fn read(source: &mut (impl Read + Seek), header: &BoxHeader) -> io::Result<Self> {
        let boxes = children(source, header.body.clone())?;
        let mdia = match boxes.iter().find(|header| header.kind == *b"mdia") {
            Some(mdia) => children(source, mdia.body.clone())?,
            None => Vec::new(),
        };
        let is_telemetry = match mdia.iter().find(|header| header.kind == *b"hdlr") {
            Some(handler) => matches!(&handler_of(source, handler)?, b"meta" | b"camm"),
            None => false,
        };
        Ok(Self { header: header.clone(), boxes, mdia, is_telemetry })
    }

    fn plan(
        &self,
        source: &mut (impl Read + Seek),
        media: &Media,
        plan: &mut Plan,
    ) -> io::Result<()> {
        for header in &self.boxes {
            match &header.kind {
                b"tkhd" => forget_times(source, header, plan)?,
                other if KEPT_IN_TRACK.contains(&other) => {}
                _ => rest(source, media, header, plan)?,
            }
        }
        for header in &self.mdia {
            match &header.kind {
                b"mdhd" => forget_times(source, header, plan)?,
                b"udta" | b"meta" => forget(header, plan),
                _ => common(source, header, plan)?,
            }
        }
        Ok(())
    }
}

/// What a `hdlr` box says its track or its items are; zeros where it is too short.
pub(super) fn handler_of(
    source: &mut (impl Read + Seek),
    header: &BoxHeader,
) -> io::Result<[u8; 4]> {
    let at = header.body.start + 8;
    if at + 4 > header.body.end { Ok([0; 4]) } else { read_at(source, at) }
}

/// Times of creation and change come first in `mvhd`, `tkhd` and `mdhd`, of 64 bits in version 1.
fn forget_times(
    source: &mut (impl Read + Seek),
    header: &BoxHeader,
    plan: &mut Plan,
) -> io::Result<()> {
    if header.body.end - header.body.start < 12 {
        return Ok(());
    }
    let [version] = read_at(source, header.body.start)?;
    let length = if version == 1 { 16 } else { 8 };
    let times = header.body.start + 4;
    plan.zero(times..(times + length).min(header.body.end));
    Ok(())
}
