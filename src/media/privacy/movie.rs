//! Plans for the index of a movie (`moov`; ISO 14496-12 section 8, `QuickTime` File Format).
//!
//! Decides which boxes of the index and of its tracks stay, and which tracks: those that players present or use for
//! navigation. Other tracks contain telemetry. Their samples are zeroed, and the track is removed if all of them could
//! be. Creation and modification times become 0. Music tags and chapters are removed along with the user data, and the
//! projection of old panoramic clips along with the manufacturers' boxes. A compressed index can't be overwritten in
//! place and stays.

use std::io::{self, Read, Seek};

use super::boxes::{MAX_NEEDED, Media, blank, children, common};
use super::plan::Plan;
use super::ranges::Ranges;
use super::{gaps, items, names, samples};
use crate::media::boxes::{BoxHeader, read_at};

/// Children of `moov` that stay; `trak` has its own rules.
const KEPT_IN_MOVIE: [&[u8; 4]; 12] = [
    b"mvhd", b"trak", b"mvex", b"iods", b"pssh", b"ainf", b"rmra", b"ctab", b"clip", b"prfl",
    b"mdat", b"grpl",
];
/// Children of `trak` that stay.
const KEPT_IN_TRACK: [&[u8; 4]; 13] = [
    b"tkhd", b"mdia", b"tref", b"edts", b"tapt", b"clip", b"matt", b"load", b"imap", b"trgr",
    b"txas", b"strk", b"mdat",
];
/// Children of `mdia` that stay.
const KEPT_IN_MEDIA: [&[u8; 4]; 4] = [b"mdhd", b"hdlr", b"minf", b"elng"];
/// Handlers of tracks that stay: video, audio, text, time codes, streaming hints and old presentations. A damaged track
/// without a handler stays too.
const KEPT_HANDLERS: [&[u8; 4]; 16] = [
    b"vide", b"auxv", b"pict", b"soun", b"text", b"sbtl", b"subt", b"subp", b"clcp", b"tmcd",
    b"hint", b"odsm", b"sdsm", b"MPEG", b"musi", &[0; 4],
];

/// Plans for the index and its tracks, apart from telemetry samples. Adds all tracks to `tracks`.
pub(super) fn plan(
    source: &mut (impl Read + Seek),
    media: &Media,
    movie: &BoxHeader,
    tracks: &mut Vec<Track>,
    plan: &mut Plan,
) -> io::Result<()> {
    for header in children(source, movie.body.clone())? {
        match &header.kind {
            b"mvhd" => zero_times(source, &header, plan)?,
            b"trak" => {
                let track = Track::read(source, &header)?;
                track.plan(source, media, plan)?;
                tracks.push(track);
            }
            b"cmov" => plan.mark_incomplete(),
            b"udta" => match gaps::kept(source, &header)? {
                Some(kept) => plan.write(header.body, &kept),
                None => blank(&header, plan),
            },
            other if KEPT_IN_MOVIE.contains(&other) => {}
            _ => rest(source, media, &header, plan)?,
        }
    }
    Ok(())
}

/// Adds the start of each chunk of the tracks that stay.
pub(super) fn chunk_starts(
    source: &mut (impl Read + Seek),
    media: &Media,
    tracks: &[Track],
    starts: &mut Vec<std::ops::Range<u64>>,
) -> io::Result<()> {
    for track in tracks.iter().filter(|track| !track.is_telemetry) {
        samples::chunk_starts(source, media.base, &track.mdia, MAX_NEEDED, starts)?;
    }
    Ok(())
}

/// Plans for the samples of telemetry tracks. A damaged table may point anywhere, so samples are overwritten only where
/// they lie in media data that no other track needs.
pub(super) fn zero_telemetry(
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
            blank(&track.header, plan);
        } else {
            plan.mark_incomplete();
        }
    }
    Ok(())
}

/// Plans for a box of the index or of a track that isn't on the list of those that stay.
fn rest(
    source: &mut (impl Read + Seek),
    media: &Media,
    header: &BoxHeader,
    plan: &mut Plan,
) -> io::Result<()> {
    match &header.kind {
        b"uuid" | b"free" | b"skip" => common(source, header, plan)?,
        b"meta" => {
            items::plan(source, media, header, &mut Vec::new(), plan)?; // also remove what it points to
            blank(header, plan);
        }
        _ => blank(header, plan),
    }
    Ok(())
}

/// A track's boxes.
pub(super) struct Track {
    header: BoxHeader,
    boxes: Vec<BoxHeader>,
    /// The children of its `mdia`.
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
                b"tkhd" => zero_times(source, header, plan)?,
                other if KEPT_IN_TRACK.contains(&other) => {}
                _ => rest(source, media, header, plan)?,
            }
        }
        for header in &self.mdia {
            match &header.kind {
                b"mdhd" => zero_times(source, header, plan)?,
                b"hdlr" => names::replace_handler_name(source, header, plan)?,
                b"minf" => names::plan(source, self.handler, header, plan)?,
                other if KEPT_IN_MEDIA.contains(&other) => {}
                _ => rest(source, media, header, plan)?,
            }
        }
        Ok(())
    }
}

/// Zeroes creation and modification times, the first fields of `mvhd`, `tkhd` and `mdhd`. They have 64 bits in version
/// 1.
fn zero_times(
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
