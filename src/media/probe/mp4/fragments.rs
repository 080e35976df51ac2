//! The time range of a track's fragments (ISO 14496-12 section 8.8): start times, and durations of samples.

use std::io::{self, Read, Seek};
use std::ops::Range;

use super::super::super::boxes::{BoxHeader, Boxes};
use super::super::window::Window;
use super::track::Track;

/// Adds a fragment, the body of a `moof`, to the tracks it continues.
pub(super) fn read<R: Read + Seek>(
    file: &mut Window<R>,
    moof: Range<u64>,
    tracks: &mut [Track],
) -> io::Result<()> {
    let mut boxes = Boxes::within(moof);
    while let Some(header) = boxes.find(b"traf", file)? {
        read_track(file, header.body, tracks)?;
    }
    Ok(())
}

fn read_track<R: Read + Seek>(
    file: &mut Window<R>,
    traf: Range<u64>,
    tracks: &mut [Track],
) -> io::Result<()> {
    let mut track: Option<&mut Track> = None;
    let mut sample_duration = 0;
    let mut start = None;
    let mut lasts = 0_u64;
    let mut boxes = Boxes::within(traf);
    while let Some(header) = boxes.next(file)? {
        match &header.kind {
            b"tfhd" => {
                let (id, own) = fragment_header(file, &header)?;
                track = tracks.iter_mut().find(|track| track.id == id);
                let usual = track.as_ref().map(|track| track.sample_duration);
                sample_duration = own.or(usual).unwrap_or(0);
            }
            b"tfdt" => start = Some(decode_time(file, &header)?),
            b"trun" => lasts = lasts.saturating_add(run(file, &header, sample_duration)?),
            _ => {}
        }
    }
    if let Some(track) = track {
        // A fragment without a start time follows the previous one.
        let whole = track.fragments.get_or_insert(start.unwrap_or(0)..0);
        let start = start.unwrap_or(whole.end);
        whole.start = whole.start.min(start);
        whole.end = whole.end.max(start.saturating_add(lasts));
    }
    Ok(())
}

/// Returns the track's id, and its default sample duration if `tfhd` has one.
fn fragment_header<R: Read + Seek>(
    file: &mut Window<R>,
    header: &BoxHeader,
) -> io::Result<(u32, Option<u32>)> {
    let [_, flags @ .., a, b, c, d] = file.peek_in::<8>(&header.body, 0)?;
    let flags = u32::from_be_bytes([0, flags[0], flags[1], flags[2]]);
    // A data offset and a description index may come before.
    let before = if flags & 1 == 0 { 0 } else { 8 } + if flags & 2 == 0 { 0 } else { 4 };
    let duration = u32::from_be_bytes(file.peek_in(&header.body, 8 + before)?);
    Ok((u32::from_be_bytes([a, b, c, d]), (flags & 8 != 0).then_some(duration)))
}

fn decode_time<R: Read + Seek>(file: &mut Window<R>, header: &BoxHeader) -> io::Result<u64> {
    let [version] = file.peek_in(&header.body, 0)?;
    Ok(if version == 1 {
        u64::from_be_bytes(file.peek_in(&header.body, 4)?)
    } else {
        u32::from_be_bytes(file.peek_in(&header.body, 4)?).into()
    })
}

/// Returns the total duration of the samples in a `trun`.
fn run<R: Read + Seek>(
    file: &mut Window<R>,
    header: &BoxHeader,
    sample_duration: u32,
) -> io::Result<u64> {
    let [_, flags @ .., a, b, c, d] = file.peek_in::<8>(&header.body, 0)?;
    let flags = u32::from_be_bytes([0, flags[0], flags[1], flags[2]]);
    let count = u32::from_be_bytes([a, b, c, d]);
    if flags & 0x100 == 0 {
        return Ok(u64::from(count) * u64::from(sample_duration));
    }
    // A data offset and the flags of the first sample may come before.
    let before = u64::from((flags & 5).count_ones()) * 4;
    // Each sample has its duration first, then up to three more numbers.
    let step = u64::from((flags >> 8 & 15).count_ones()) * 4;
    let mut samples = header.body.clone();
    samples.start = samples.start.saturating_add(8 + before);
    let mut lasts = 0_u64;
    for _ in 0..count {
        if samples.start >= samples.end {
            break;
        }
        let duration = u32::from_be_bytes(file.peek_in(&samples, 0)?);
        lasts = lasts.saturating_add(duration.into());
        samples.start = samples.start.saturating_add(step);
    }
    Ok(lasts)
}
