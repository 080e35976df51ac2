//! Duration and dimensions of Flash video (Adobe's `Flash Video File Format Specification` 10.1, annex E).
//!
//! The metadata contains both if the recorder wrote any; otherwise they come from the time of the last tag and the
//! header of the video stream. The libraries we tried (symphonia 0.6, lofty 0.25, imagesize 0.14) don't read FLV.

use std::io::{self, Read, Seek};
use std::time::Duration;

use super::elementary;
use super::found::{Found, LONGEST, length};
use super::window::Window;

/// Maximum number of tags that are examined before the first video tag.
const TAGS: u32 = 64;
/// Maximum number of metadata bytes that are read.
const METADATA: u64 = 64 << 10;

/// A tag (section E.4.1): what it contains, and where.
struct Tag {
    kind: u8,
    /// In milliseconds.
    time: u32,
    start: u64,
    length: u64,
}

impl Tag {
    /// Reads the tag at this offset, if it is complete.
    fn read<R: Read + Seek>(file: &mut Window<R>, at: u64) -> io::Result<Option<Self>> {
        let head = file.peek::<11>(at)?;
        if head[8..] != [0; 3] {
            return Ok(None);
        }
        let tag = Self {
            kind: head[0] & 0x1F,
            // The highest byte comes last.
            time: u32::from_be_bytes([head[7], head[4], head[5], head[6]]),
            start: at.saturating_add(11),
            length: u32::from_be_bytes([0, head[1], head[2], head[3]]).into(),
        };
        let is_whole = tag.start.saturating_add(tag.length) <= file.size();
        Ok((is_whole && matches!(tag.kind, 8 | 9 | 18)).then_some(tag))
    }

    /// Where the next tag begins, after the length of this one.
    fn end(&self) -> u64 {
        self.start.saturating_add(self.length).saturating_add(4)
    }
}

/// Reads the first tags and the last one.
pub(super) fn read<R: Read + Seek>(file: &mut Window<R>, found: &mut Found) -> io::Result<()> {
    let mut at = u64::from(u32::from_be_bytes(file.peek(5)?)).saturating_add(4);
    let (mut first, mut metadata) = (None, Metadata::default());
    let mut coded = None;
    for _ in 0..TAGS {
        let Some(tag) = Tag::read(file, at)? else { break };
        match tag.kind {
            18 => metadata.read(file, &tag)?,
            9 if coded.is_none() => coded = coded_size(file, &tag)?,
            _ => {}
        }
        if tag.kind != 18 {
            first = first.or(Some(tag.time));
        }
        at = tag.end();
    }
    found.size = coded.or(metadata.size());
    // A file that doesn't end with a complete tag is truncated.
    let Some(last) = last_time(file)? else { return Ok(()) };
    let played = u64::from(last.saturating_sub(first.unwrap_or(0)));
    found.duration = metadata.duration().or_else(|| length(played, 1000));
    Ok(())
}

/// The time of the last tag, whose length is in the last bytes of the file.
fn last_time<R: Read + Seek>(file: &mut Window<R>) -> io::Result<Option<u32>> {
    let Some(end) = file.size().checked_sub(4) else { return Ok(None) };
    let length = u32::from_be_bytes(file.peek(end)?);
    let Some(start) = end.checked_sub(length.into()) else { return Ok(None) };
    let tag = Tag::read(file, start)?.filter(|tag| tag.length + 11 == u64::from(length));
    Ok(tag.map(|tag| tag.time))
}

/// The dimensions in the header of an H.264 stream (ISO 14496-15 section 5.3.3), which has its own tag.
fn coded_size<R: Read + Seek>(file: &mut Window<R>, tag: &Tag) -> io::Result<Option<(u32, u32)>> {
    let bytes = file.peek_in::<256>(&(tag.start..tag.start.saturating_add(tag.length)), 0)?;
    let [codec, 0, _, _, _, configuration @ ..] = &bytes else { return Ok(None) };
    // Version, profile, field widths, number of headers, and the length of the first one.
    let [_, _, _, _, _, _, high, low, header @ ..] = configuration;
    let header = header.get(..u16::from_be_bytes([*high, *low]).into());
    Ok(header.filter(|_| codec & 15 == 7).and_then(elementary::h264))
}

/// The content of the `onMetaData` tag.
#[derive(Default)]
struct Metadata {
    duration: f64,
    width: f64,
    height: f64,
}

impl Metadata {
    /// Finds numbers by their names (AMF 0): a length, the name, and the marker of a number.
    fn read<R: Read + Seek>(&mut self, file: &mut Window<R>, tag: &Tag) -> io::Result<()> {
        let mut bytes = Vec::new();
        file.seek(io::SeekFrom::Start(tag.start))?;
        file.by_ref().take(tag.length.min(METADATA)).read_to_end(&mut bytes)?;
        let number = |name: &[u8]| {
            let at = memchr::memmem::find(&bytes, name)? + name.len();
            let bits = bytes.get(at..)?.first_chunk()?;
            Some(f64::from_be_bytes(*bits)).filter(|number| number.is_finite() && *number > 0.0)
        };
        self.duration = number(b"\0\x08duration\0").unwrap_or(self.duration);
        self.width = number(b"\0\x05width\0").unwrap_or(self.width);
        self.height = number(b"\0\x06height\0").unwrap_or(self.height);
        Ok(())
    }

    fn duration(&self) -> Option<Duration> {
        let lasts = Duration::try_from_secs_f64(self.duration).ok()?;
        (Duration::ZERO < lasts && lasts <= LONGEST).then_some(lasts)
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked before
    fn size(&self) -> Option<(u32, u32)> {
        let is_side = |side: f64| (1.0..=65_535.0).contains(&side);
        (is_side(self.width) && is_side(self.height))
            .then_some((self.width as u32, self.height as u32))
    }
}
