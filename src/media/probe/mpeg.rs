//! The duration of MP3 and ADTS AAC without a container, with or without `ID3v2` tags before them.
//!
//! An MP3 may begin with a frame that contains the number of frames (written by Xing, LAME or Fraunhofer encoders).
//! Otherwise frames are counted; in a very long file, only the first ones.

use std::io::{self, Read, Seek};
use std::time::Duration;

use super::super::MediaType;
use super::super::frames::{self, Frame};
use super::flac;
use super::found::{Found, length};
use super::window::Window;

/// Number of bytes in which frames are counted. The rest of a longer file is assumed to be similar.
const COUNTED: u64 = 8 << 20;
/// Number of bytes without a frame, mostly tags, after which the audio has ended.
const JUNK: u64 = 64 << 10;

/// Reads the duration and, for audio after a tag, the type that the head didn't reveal.
pub(super) fn read<R: Read + Seek>(file: &mut Window<R>, found: &mut Found) -> io::Result<()> {
    let start = after_tags(file)?;
    let head = file.peek::<{ Frame::HEADER }>(start)?;
    if head.starts_with(b"fLaC") {
        found.media_type = Some(MediaType::known("audio/flac"));
        found.duration = flac::duration(file, start)?;
    } else if frames::adts(&head).is_some() {
        found.media_type = Some(MediaType::known("audio/aac"));
        found.duration = count(file, start, frames::adts)?;
    } else if let Some(index) = index(file, start)? {
        found.duration = index.duration;
    } else {
        found.duration = count(file, start, frames::mpeg)?;
    }
    Ok(())
}

fn after_tags<R: Read + Seek>(file: &mut Window<R>) -> io::Result<u64> {
    let mut at = 0_u64;
    while let Some(tag) = frames::id3_length(&file.peek::<10>(at)?) {
        at = at.saturating_add(tag as u64);
    }
    Ok(at)
}

/// The number of frames that the first one states; no duration if that is more than the file can hold.
struct Index {
    duration: Option<Duration>,
}

/// Reads the index in the first frame: "Xing" or "Info" after the side information (whose size depends on version and
/// channels), or "VBRI" at a fixed offset.
fn index<R: Read + Seek>(file: &mut Window<R>, start: u64) -> io::Result<Option<Index>> {
    let head = file.peek::<64>(start)?;
    let Some(frame) = frames::mpeg(&head) else {
        return Ok(None);
    };
    let is_v1 = head[1] & 0x08 != 0;
    let is_mono = head[3] >> 6 == 3;
    let side = match (is_v1, is_mono) {
        (true, false) => 36,
        (true, true) | (false, false) => 21,
        (false, true) => 13,
    };
    let number = |at: usize| head[at..].first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    let (count, bytes) = if [b"Xing", b"Info"].iter().any(|tag| head[side..].starts_with(*tag)) {
        let flags = number(side + 4);
        if flags & 1 == 0 {
            return Ok(None);
        }
        (number(side + 8), if flags & 2 == 0 { 0 } else { number(side + 12) })
    } else if head[36..].starts_with(b"VBRI") {
        (number(50), number(46))
    } else {
        return Ok(None);
    };
    if count == 0 {
        return Ok(None);
    }
    let is_cut = u64::from(bytes) > file.size().saturating_sub(start);
    let samples = u64::from(count) * u64::from(frame.samples);
    Ok(Some(Index { duration: length(samples, frame.rate.into()).filter(|_| !is_cut) }))
}

/// Counts frames from `start`. Returns `None` if most bytes there aren't in frames.
fn count<R: Read + Seek>(
    file: &mut Window<R>,
    start: u64,
    parse: fn(&[u8]) -> Option<Frame>,
) -> io::Result<Option<Duration>> {
    let mut first: Option<Frame> = None;
    let (mut samples, mut sound) = (0_u64, 0_u64);
    let (mut at, mut heard_until) = (start, start);
    while at < file.size() && at - start < COUNTED && at - heard_until < JUNK {
        let frame = parse(&file.peek::<{ Frame::HEADER }>(at)?)
            .filter(|frame| first.is_none_or(|first| frame.continues(&first)))
            .filter(|frame| frame.length as u64 <= file.size().saturating_sub(at));
        // Between frames, arbitrary bytes may look like a frame, so a second one must follow.
        let frame = match frame {
            Some(frame) if at > heard_until && !is_followed(file, at, frame, parse)? => None,
            other => other,
        };
        let Some(frame) = frame else {
            at += 1;
            continue;
        };
        first = first.or(Some(frame));
        samples += u64::from(frame.samples);
        sound += frame.length as u64;
        at += frame.length as u64;
        heard_until = at;
    }
    let Some(first) = first.filter(|_| sound > (heard_until - start) / 2) else {
        return Ok(None);
    };
    let has_more = at - start >= COUNTED;
    let samples = if has_more {
        scale(samples, file.size().saturating_sub(start), at - start)
    } else {
        samples
    };
    Ok(length(samples, first.rate.into()))
}

fn is_followed<R: Read + Seek>(
    file: &mut Window<R>,
    at: u64,
    frame: Frame,
    parse: fn(&[u8]) -> Option<Frame>,
) -> io::Result<bool> {
    let next = file.peek::<{ Frame::HEADER }>(at + frame.length as u64)?;
    Ok(parse(&next).is_some_and(|next| next.continues(&frame)))
}

fn scale(count: u64, whole: u64, part: u64) -> u64 {
    let scaled = (u128::from(count) * u128::from(whole)).checked_div(part.into());
    scaled.and_then(|scaled| u64::try_from(scaled).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// The duration that a file promises which consists of one frame with this index.
    fn stated_duration(index: &[u8], size: usize) -> Option<Duration> {
        let mut file = vec![0; size];
        file[..4].copy_from_slice(&[0xFF, 0xFB, 0x90, 0]); // 44,100 Hz, 1152 samples per frame
        file[36..36 + index.len()].copy_from_slice(index);
        let mut file = Window::new(Cursor::new(&file), size as u64);
        super::index(&mut file, 0).unwrap().unwrap().duration
    }

    #[test]
    fn an_index_says_how_many_frames_follow() {
        let xing = b"Xing\0\0\0\x03\0\0\0\x64\0\0\x03\xE8";
        let vbri = b"VBRI\0\x01\0\0\0\0\0\0\x03\xE8\0\0\0\x64";
        for index in [&xing[..], vbri] {
            assert_eq!(stated_duration(index, 1000), Some(Duration::from_nanos(2_612_244_897)));
        }
    }

    #[test]
    fn an_index_of_a_longer_file_gives_no_duration() {
        assert_eq!(stated_duration(b"Info\0\0\0\x03\0\0\0\x64\0\0\x03\xE8", 999), None);
    }
}
