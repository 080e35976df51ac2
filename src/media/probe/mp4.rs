//! Duration, tracks and dimensions of MP4, `QuickTime` and 3GP files (ISO 14496-12, `QuickTime` File Format).
//!
//! Reads what the index (`moov`) says about the movie and each track. `fragments` reads fragments, if the media is in
//! them.

mod fragments;
mod track;

use std::io::{self, Read, Seek};
use std::ops::Range;
use std::time::Duration;

use super::super::MediaType;
use super::super::boxes::Boxes;
use super::found::{Found, length, with_tracks};
use super::window::Window;
use track::{Clock, Track, read_duration};

/// Limit on the number of tracks, higher than in any real file.
const TRACKS: usize = 64;

/// Reads the top-level boxes, the relevant boxes of the index, and every fragment.
pub(super) fn read<R: Read + Seek>(
    file: &mut Window<R>,
    sniffed: &MediaType,
    found: &mut Found,
) -> io::Result<()> {
    let mut movie: Option<Movie> = None;
    let mut is_cut = false;
    let mut boxes = Boxes::within(0..file.size());
    while let Some(header) = boxes.next(file)? {
        match &header.kind {
            b"moov" if movie.is_none() && !boxes.is_cut() => {
                let index = Movie::read(file, header.body)?;
                found.media_type = index.media_type(sniffed);
                found.size = index.size();
                movie = Some(index);
            }
            b"moof" => {
                if let Some(movie) = &mut movie {
                    fragments::read(file, header.body, &mut movie.tracks)?;
                }
            }
            b"mdat" | b"moov" => {}
            // Bytes after the last box need not be a box.
            _ => continue,
        }
        is_cut |= boxes.is_cut();
    }
    found.duration = movie.filter(|_| !is_cut).and_then(|movie| movie.duration());
    Ok(())
}

/// The content of the index.
#[derive(Debug, Default)]
struct Movie {
    clock: Clock,
    /// Total duration of the fragments if fragments may follow; zero if it isn't stated.
    fragmented: Option<u64>,
    tracks: Vec<Track>,
}

impl Movie {
    fn read<R: Read + Seek>(file: &mut Window<R>, moov: Range<u64>) -> io::Result<Self> {
        let mut movie = Self::default();
        let mut extends = None;
        let mut boxes = Boxes::within(moov);
        while let Some(header) = boxes.next(file)? {
            match &header.kind {
                b"mvhd" => movie.clock = Clock::read(file, &header)?,
                b"trak" if movie.tracks.len() < TRACKS => {
                    let mut track = Track::default();
                    track.read(file, header.body)?;
                    movie.tracks.push(track);
                }
                b"mvex" => extends = Some(header.body),
                _ => {}
            }
        }
        if let Some(extends) = extends {
            movie.read_extends(file, extends)?;
        }
        Ok(movie)
    }

    /// Reads `mvex`, which announces fragments (ISO 14496-12 section 8.8.1).
    fn read_extends<R: Read + Seek>(
        &mut self,
        file: &mut Window<R>,
        extends: Range<u64>,
    ) -> io::Result<()> {
        self.fragmented = Some(0);
        let mut boxes = Boxes::within(extends);
        while let Some(header) = boxes.next(file)? {
            let body = &header.body;
            match &header.kind {
                b"mehd" => {
                    let [version] = file.peek_in(body, 0)?;
                    self.fragmented = Some(read_duration(file, body, version, 4)?);
                }
                b"trex" => {
                    let id = u32::from_be_bytes(file.peek_in(body, 4)?);
                    let duration = u32::from_be_bytes(file.peek_in(body, 12)?);
                    if let Some(track) = self.tracks.iter_mut().find(|track| track.id == id) {
                        track.sample_duration = duration;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn media_type(&self, sniffed: &MediaType) -> Option<MediaType> {
        let has_sound = self.tracks.iter().any(|track| track.handler == *b"soun");
        with_tracks(sniffed, has_sound, self.tracks.iter().any(Track::is_video))
    }

    fn size(&self) -> Option<(u32, u32)> {
        let mut videos = self.tracks.iter().filter(|track| track.is_video());
        videos.find(|track| track.size.0 > 0 && track.size.1 > 0).map(|track| track.size)
    }

    /// The duration of the movie, or else of its longest track. With fragments, the end of the last one.
    fn duration(&self) -> Option<Duration> {
        let own = match self.clock.duration {
            0 => self.tracks.iter().filter_map(|track| track.clock.length()).max(),
            _ => self.clock.length(),
        };
        let Some(stated) = self.fragmented else {
            return own;
        };
        if stated > 0 {
            return length(stated, self.clock.scale.into());
        }
        let fragments = self.tracks.iter().filter_map(|track| {
            let range = track.fragments.as_ref()?;
            length(range.end.saturating_sub(range.start), track.clock.scale.into())
        });
        fragments.chain(own).max()
    }
}
