//! What to overwrite in the index of a film (ISO 14496-12 section 8, `QuickTime` File Format).
//!
//! Owns which boxes of the index and of its tracks stay, and which tracks: those that players show, let hear or turn
//! pages by. Others hold telemetry; their samples become zeros, and where all of them could, the track goes too.
//! Times of creation and change become 0. With user data go music tags and chapters; with makers' boxes what old
//! panoramic clips say of their projection. A compressed index can't be overwritten in place and stays.

use std::io::{self, Read, Seek};

use super::boxes::{MAX_NEEDED, Media, children, common, forget};
use super::plan::Plan;
use super::ranges::Ranges;
use super::{gaps, items, names, samples};
use crate::media::boxes::{BoxHeader, read_at};

/// The index's boxes that stay; `trak` has its own rules.
const KEPT_IN_MOVIE: [&[u8; 4]; 12] = [
    b"mvhd", b"trak", b"mvex", b"iods", b"pssh", b"ainf", b"rmra", b"ctab", b"clip", b"prfl",
    b"mdat", b"grpl",
];
/// A track's boxes that stay.
const KEPT_IN_TRACK: [&[u8; 4]; 13] = [
    b"tkhd", b"mdia", b"tref", b"edts", b"tapt", b"clip", b"matt", b"load", b"imap", b"trgr",
    b"txas", b"strk", b"mdat",
];
/// The boxes of a track's `mdia` that stay.
const KEPT_IN_MEDIA: [&[u8; 4]; 4] = [b"mdhd", b"hdlr", b"minf", b"elng"];
/// Handlers of tracks that stay: pictures, sound, texts, time codes, streaming hints and old presentations. None of
/// these at all: a damaged track, which stays too.
const KEPT_HANDLERS: [&[u8; 4]; 16] = [
    b"vide", b"auxv", b"pict", b"soun", b"text", b"sbtl", b"subt", b"subp", b"clcp", b"tmcd",
    b"hint", b"odsm", b"sdsm", b"MPEG", b"musi", &[0; 4],
];

/// Plans for the index and its tracks, but for those of telemetry; adds all of them to `tracks`.
pub(super) fn plan(
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
                track.plan(source, media, plan)?;
                tracks.push(track);
            }
            b"cmov" => plan.leave(),
            b"udta" => match gaps::kept(source, &header)? {
                Some(kept) => plan.write(header.body, &kept),
                None => forget(&header, plan),
            },
            other if KEPT_IN_MOVIE.contains(&other) => {}
            _ => rest(source, media, &header, plan)?,
        }
    }
    Ok(())
}

/// Adds where each chunk of the tracks that stay begins.
pub(super) fn starts(
    source: &mut (impl Read + Seek),
    media: &Media,
    tracks: &[Track],
    starts: &mut Vec<std::ops::Range<u64>>,
) -> io::Result<()> {
    for track in tracks.iter().filter(|track| !track.is_telemetry) {
        samples::starts(source, media.base, &track.mdia, MAX_NEEDED, starts)?;
    }
    Ok(())
}

/// Plans for the samples of telemetry tracks. A damaged table may point anywhere: they are overwritten only where
/// media lie, and not where others need them.
pub(super) fn telemetry(
    source: &mut (impl Read + Seek),
    media: &Media,
    tracks: &[Track],
    needed: &Ranges,
    plan: &mut Plan,
) -> io::Result<()> {
    let data = Ranges::new(media.data.clone());
    for track in tracks.iter().filter(|track| track.is_telemetry) {
        let ours = |chunk: &std::ops::Range<u64>| data.holds(chunk) && !needed.touches(chunk);
        let all = samples::zero(source, media.base, &track.mdia, ours, plan)?;
        if all && !media.in_fragments {
            forget(&track.header, plan);
        } else {
            plan.leave();
        }
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
            items::plan(source, media, header, &mut Vec::new(), plan)?; // what it points at goes too
            forget(header, plan);
        }
        _ => forget(header, plan),
    }
    Ok(())
}

/// A track's boxes.
pub(super) struct Track {
    header: BoxHeader,
    boxes: Vec<BoxHeader>,
    /// Those of its `mdia`.
    mdia: Vec<BoxHeader>,
    handler: [u8; 4],
    is_telemetry: bool,
}

impl Track {
    fn read(source: &mut (impl Read + Seek), header: &BoxHeader) -> io::Result<Self> {
        let boxes = children(source, header.body.clone())?;
        let mdia = match boxes.iter().find(|header| header.kind == *b"mdia") {
            Some(mdia) => children(source, mdia.body.clone())?,
            None => Vec::new(),
        };
        let handler = match mdia.iter().find(|header| header.kind == *b"hdlr") {
            Some(handler) => names::handler_of(source, handler)?,
            None => [0; 4],
        };
        let is_telemetry = !KEPT_HANDLERS.contains(&&handler);
        Ok(Self { header: header.clone(), boxes, mdia, handler, is_telemetry })
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
                b"hdlr" => names::forget_handler(source, header, plan)?,
                b"minf" => names::plan(source, self.handler, header, plan)?,
                other if KEPT_IN_MEDIA.contains(&other) => {}
                _ => rest(source, media, header, plan)?,
            }
        }
        Ok(())
    }
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
