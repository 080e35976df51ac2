//! The length of bare frames: MP3 and ADTS AAC, also behind `ID3v2` tags.
//!
//! An MP3 may begin with a frame that says how many follow (Xing's, LAME's or Fraunhofer's); otherwise frames are
//! counted, in a very long file its first ones.

use std::io::{self, Read, Seek};
use std::time::Duration;

use super::super::MediaType;
use super::super::frames::{self, Frame};
use super::flac;
use super::found::{Found, length};
use super::window::Window;

/// Frames are counted in so many bytes; what follows is taken to be like them.
const COUNTED: u64 = 8 << 20;
/// So many bytes in which no frame begins end the sound: tags, mostly.
const JUNK: u64 = 64 << 10;

/// Reads the length; and behind a tag, where the head didn't tell, what kind of sound it is.
pub(super) fn read<R: Read + Seek>(file: &mut Window<R>, found: &mut Found) -> io::Result<()> {
    let start = after_tags(file)?;
    let head = file.peek::<{ Frame::HEADER }>(start)?;
    if head.starts_with(b"fLaC") {
        found.media_type = Some(MediaType::known("audio/flac"));
        found.duration = flac::duration(file, start)?;
    } else if frames::adts(&head).is_some() {
        found.media_type = Some(MediaType::known("audio/aac"));
        found.duration = count(file, start, frames::adts)?;
    } else if let Some(promised) = promised(file, start)? {
        found.duration = promised.duration;
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

/// What the first frame says of all; no duration if more than the file holds.
struct Promise {
    duration: Option<Duration>,
}

/// The index in a first frame: "Xing" or "Info" behind the side information (whose size depends on version and
/// channels), or "VBRI" at a fixed place.
fn promised<R: Read + Seek>(file: &mut Window<R>, start: u64) -> io::Result<Option<Promise>> {
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
    Ok(Some(Promise { duration: length(samples, frame.rate.into()).filter(|_| !is_cut) }))
}

/// Counts frames from `start` on; `None` if most of what is there are none.
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
        // Between frames any bytes may look like one: there a second one has to follow.
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

    /// The length that a file of one frame, with this index in it, promises.
    fn promise(index: &[u8], size: usize) -> Option<Duration> {
        let mut file = vec![0; size];
        file[..4].copy_from_slice(&[0xFF, 0xFB, 0x90, 0]); // 44,100 samples a second, 1152 in a frame
        file[36..36 + index.len()].copy_from_slice(index);
        let mut file = Window::new(Cursor::new(&file), size as u64);
        promised(&mut file, 0).unwrap().unwrap().duration
    }

    #[test]
    fn an_index_says_how_many_frames_follow() {
        let xing = b"Xing\0\0\0\x03\0\0\0\x64\0\0\x03\xE8";
        let vbri = b"VBRI\0\x01\0\0\0\0\0\0\x03\xE8\0\0\0\x64";
        for index in [&xing[..], vbri] {
            assert_eq!(promise(index, 1000), Some(Duration::from_nanos(2_612_244_897)));
        }
    }

    #[test]
    fn an_index_of_more_than_there_is_says_nothing() {
        assert_eq!(promise(b"Info\0\0\0\x03\0\0\0\x64\0\0\x03\xE8", 999), None);
    }
}
