//! What a finished file says of itself, beyond its first bytes: which kind of tracks it has, how long it plays,
//! how large it is shown.
//!
//! Owns the choice of reader and what a caller may believe: anything unknown, cut, endless, implausible or too
//! costly is left out, never an error and never a panic. A probe reads at most 16 MiB, in at most 20,000 reads and
//! two seconds, and keeps less than 1 MiB in memory, whatever the file claims (`window`). Refuses to know storage,
//! and how pictures and sound are decoded.
//!
//! The readers are small and our own. Of the libraries looked at, symphonia 0.6 tells no length of fragmented MP4,
//! of `WebM` as browsers record it, of FLAC and WAV from a pipe, and guesses that of MP3 without an index from its
//! first frames (2.9 s for 6 s); lofty 0.25 adds wrong or quadratic answers (70 GB read for 150 MB of ADTS); `image`
//! reads all of a JPEG before it tells its size.

mod aiff;
mod amr;
mod asf;
mod avi;
mod ebml;
mod elementary;
mod flac;
mod flv;
mod found;
mod heif;
mod matroska;
mod midi;
mod mp4;
mod mpeg;
mod ogg;
mod picture;
mod streams;
mod tiff;
mod wav;
mod window;

#[cfg(test)]
mod tests;

use std::io::{self, Read, Seek};
use std::time::Duration;

use super::MediaType;
use found::{Found, LONGEST};
use window::Window;

/// What a file's own bytes say, beyond its first ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The sniffed type, but `audio/*` where a container holds no video, and `video/*` where it does.
    ///
    /// `QuickTime` stays `video/quicktime` in any case: it has no other registered type, and what plays `audio/mp4`
    /// may not play it.
    pub media_type: MediaType,
    /// How long it plays: seconds, rounded, at least one. `None` for pictures, and where the bytes don't tell or
    /// the file is shorter than it says.
    pub duration_secs: Option<u64>,
    /// Pixels from left to right, as shown: after rotation. Known only together with [`Self::height`].
    pub width: Option<u32>,
    /// Pixels from top to bottom, as shown: after rotation.
    pub height: Option<u32>,
}

/// A kind of file that is read the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Mp4,
    Matroska,
    Ogg,
    Wav,
    Flac,
    /// Bare frames, MP3 and ADTS.
    Frames,
    Heif,
    Jpeg,
    Png,
    Gif,
    Webp,
    Bmp,
    Tiff,
    Ico,
    Jpeg2000,
    Amr,
    Aiff,
    Midi,
    Avi,
    Asf,
    Flv,
    TransportStream,
    ProgramStream,
}

impl Format {
    fn of(media_type: &MediaType) -> Option<Self> {
        Some(match media_type.essence() {
            "video/mp4" | "audio/mp4" | "application/mp4" | "video/quicktime" | "video/3gpp"
            | "audio/3gpp" | "video/3gpp2" | "audio/3gpp2" => Self::Mp4,
            "video/webm" | "audio/webm" | "video/matroska" | "audio/matroska" => Self::Matroska,
            "video/ogg" | "audio/ogg" | "application/ogg" => Self::Ogg,
            "audio/wav" => Self::Wav,
            "audio/flac" => Self::Flac,
            "audio/mpeg" | "audio/aac" => Self::Frames,
            "image/avif" | "image/heic" | "image/heif" => Self::Heif,
            "image/jpeg" => Self::Jpeg,
            "image/png" => Self::Png,
            "image/gif" => Self::Gif,
            "image/webp" => Self::Webp,
            "image/bmp" => Self::Bmp,
            "image/tiff" => Self::Tiff,
            "image/vnd.microsoft.icon" => Self::Ico,
            "image/jp2" => Self::Jpeg2000,
            "audio/amr" | "audio/amr-wb" => Self::Amr,
            "audio/aiff" => Self::Aiff,
            "audio/midi" => Self::Midi,
            "video/x-msvideo" => Self::Avi,
            "video/x-ms-asf" => Self::Asf,
            "video/x-flv" => Self::Flv,
            "video/mp2t" => Self::TransportStream,
            "video/mpeg" => Self::ProgramStream,
            _ => return None,
        })
    }
}

/// Whether [`probe`] can find anything in a file of this type.
#[must_use]
pub fn is_probed(media_type: &MediaType) -> bool {
    Format::of(media_type).is_some()
}

/// Reads what a file of `size` bytes says of itself; `sniffed` is what [`super::sniff()`] told from its head.
///
/// Blocks for reading, two seconds at most beside the source's own last read. Never fails: what can't be read or
/// believed is unknown.
#[must_use]
pub fn probe<R: Read + Seek>(source: R, size: u64, sniffed: &MediaType) -> Facts {
    let mut found = Found::default();
    if let Some(format) = Format::of(sniffed) {
        let mut file = Window::new(source, size);
        // What was found before an error stays.
        let _ = read(format, &mut file, sniffed, &mut found);
    }
    let size = found.size.filter(|(width, height)| *width > 0 && *height > 0);
    Facts {
        media_type: found.media_type.unwrap_or_else(|| sniffed.clone()),
        duration_secs: found.duration.and_then(whole_seconds),
        width: size.map(|(width, _)| width),
        height: size.map(|(_, height)| height),
    }
}

fn read<R: Read + Seek>(
    format: Format,
    file: &mut Window<R>,
    sniffed: &MediaType,
    found: &mut Found,
) -> io::Result<()> {
    match format {
        Format::Mp4 => mp4::read(file, sniffed, found)?,
        Format::Matroska => matroska::read(file, sniffed, found)?,
        Format::Ogg => ogg::read(file, found)?,
        Format::Wav => found.duration = wav::duration(file)?,
        Format::Flac => found.duration = flac::duration(file, 0)?,
        Format::Frames => mpeg::read(file, found)?,
        Format::Heif => found.size = heif::size(file)?,
        Format::Jpeg => found.size = picture::jpeg(file)?,
        Format::Png => found.size = picture::png(file)?,
        Format::Gif => found.size = picture::gif(file)?,
        Format::Webp => found.size = picture::webp(file)?,
        Format::Bmp => found.size = picture::bmp(file)?,
        Format::Tiff => found.size = tiff::size(file)?,
        Format::Ico => found.size = picture::ico(file)?,
        Format::Jpeg2000 => found.size = picture::jpeg_2000(file)?,
        Format::Amr => found.duration = amr::duration(file)?,
        Format::Aiff => found.duration = aiff::duration(file)?,
        Format::Midi => found.duration = midi::duration(file)?,
        Format::Avi => avi::read(file, found)?,
        Format::Asf => asf::read(file, found)?,
        Format::Flv => flv::read(file, found)?,
        Format::TransportStream => streams::transport(file, found)?,
        Format::ProgramStream => streams::program(file, found)?,
    }
    Ok(())
}

/// To the nearest second, but never to zero what can be heard.
fn whole_seconds(length: Duration) -> Option<u64> {
    (Duration::ZERO < length && length <= LONGEST)
        .then(|| (length + Duration::from_millis(500)).as_secs().max(1))
}
