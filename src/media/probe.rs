//! Reads a finished file's duration, dimensions and kinds of tracks.
//!
//! Chooses the reader for a format, and drops what can't be trusted: anything unknown, truncated, endless, implausible
//! or too expensive is left out. A probe never fails or panics. It reads at most 16 MiB in at most 20,000 reads and two
//! seconds, and keeps less than 1 MiB in memory, whatever the file claims (`window`). Doesn't know storage, or how
//! pictures and sound are decoded.
//!
//! The readers are our own because the libraries we tried fall short. symphonia 0.6 finds no duration in fragmented
//! MP4, in `WebM` recorded by browsers, or in FLAC and WAV written to a pipe, and estimates that of MP3 without an
//! index from the first frames (2.9 s for 6 s). lofty 0.25 also returns wrong values and takes quadratic time (it read
//! 70 GB of a 150 MB ADTS file). `image` reads a whole JPEG before it returns the size.

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

/// What a file's content says about it, beyond what its first bytes reveal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The sniffed type, changed to `audio/*` if a container holds no video, and to `video/*` if it does.
    ///
    /// `QuickTime` always stays `video/quicktime`: it has no other registered type, and a player of `audio/mp4` may not
    /// play it.
    pub media_type: MediaType,
    /// Duration in seconds, rounded, at least one. `None` for pictures, if the file doesn't say, and if the file is
    /// shorter than it claims.
    pub duration_secs: Option<u64>,
    /// Width in pixels as displayed, after rotation. Known only together with [`Self::height`].
    pub width: Option<u32>,
    /// Height in pixels as displayed, after rotation.
    pub height: Option<u32>,
}

/// Types that share a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Mp4,
    Matroska,
    Ogg,
    Wav,
    Flac,
    /// MP3 and ADTS without a container.
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

/// Whether [`probe`] can find anything in files of this type.
#[must_use]
pub fn is_probed(media_type: &MediaType) -> bool {
    Format::of(media_type).is_some()
}

/// Reads the facts of a file of `size` bytes whose head [`super::sniff()`] found to be of type `sniffed`.
///
/// Blocks while reading, for at most two seconds plus the last read of the source. Never fails: what can't be read or
/// trusted is left unknown.
#[must_use]
pub fn probe<R: Read + Seek>(source: R, size: u64, sniffed: &MediaType) -> Facts {
    let mut found = Found::default();
    if let Some(format) = Format::of(sniffed) {
        let mut file = Window::new(source, size);
        // Keep what was found before an error.
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

/// Rounds to the nearest second, but never down to zero.
fn whole_seconds(length: Duration) -> Option<u64> {
    (Duration::ZERO < length && length <= LONGEST)
        .then(|| (length + Duration::from_millis(500)).as_secs().max(1))
}
