//! Names in the index of a movie: of handlers, compressors, purchasers and files.
//!
//! Encoders write paths, user names, dates and devices into handler names. These are replaced by the usual names, which
//! players show in menus. Doesn't decide which tracks stay.

use std::io::{self, Read, Seek};

use super::boxes::{blank, children, common};
use super::plan::{Plan, read_up_to};
use crate::media::boxes::{BoxHeader, read_at};

/// Length of the fields between handler type and name: the manufacturer in `QuickTime`, otherwise reserved.
const MAKER: u64 = 12;
/// Offsets in a video sample entry (ISO 14496-12 section 12.1.3): of the compressor name, which has 32 bytes, and of
/// the child boxes.
const COMPRESSOR: u64 = 42;
const BOXES_OF_PICTURES: u64 = 78;
/// Compressor names by which ffmpeg and others choose a decoder.
const KEPT_COMPRESSORS: [&[u8]; 2] = [b"Planar Y'CbCr 8-bit 4:2:0", b"Sorenson H263"];

/// The handler type in a `hdlr` box; zeros if the box is too short.
pub(super) fn handler_of(
    source: &mut (impl Read + Seek),
    header: &BoxHeader,
) -> io::Result<[u8; 4]> {
    let at = header.body.start + 8;
    if at + 4 > header.body.end { Ok([0; 4]) } else { read_at(source, at) }
}

/// Replaces a handler's name by the usual one, or by none if there is no space for it.
pub(super) fn replace_handler_name(
    source: &mut (impl Read + Seek),
    header: &BoxHeader,
    plan: &mut Plan,
) -> io::Result<()> {
    let maker = header.body.start + 12;
    let name = maker + MAKER;
    if name >= header.body.end {
        return Ok(());
    }
    // With a length prefix, as in `QuickTime`. Other files terminate names with a zero.
    let usual: &[u8] = match &handler_of(source, header)? {
        b"vide" => b"\x0CVideoHandler",
        b"soun" => b"\x0CSoundHandler",
        b"text" | b"sbtl" | b"subt" | b"clcp" => b"\x0FSubtitleHandler",
        b"tmcd" => b"\x0FTimeCodeHandler",
        b"url " | b"alis" => b"\x0BDataHandler",
        _ => b"\0",
    };
    let has_room = usual.len() as u64 <= header.body.end - name;
    // `QuickTime` writes the component type before the handler type.
    let is_quicktime = read_at::<4>(source, header.body.start + 4)? != [0; 4];
    let written = match (has_room, is_quicktime) {
        (false, _) => &[], // zeros mean an empty name in both
        (true, true) => usual,
        (true, false) => &usual[1..],
    };
    plan.zero(maker..name);
    plan.write(name..header.body.end, written);
    Ok(())
}

/// Plans for the names in a track's `minf`.
pub(super) fn plan(
    source: &mut (impl Read + Seek),
    handler: [u8; 4],
    minf: &BoxHeader,
    plan: &mut Plan,
) -> io::Result<()> {
    for header in children(source, minf.body.clone())? {
        match &header.kind {
            b"hdlr" => replace_handler_name(source, &header, plan)?,
            b"dinf" => zero_file_paths(source, &header, plan)?,
            b"stbl" => {
                for table in children(source, header.body.clone())? {
                    match &table.kind {
                        b"stsd" => plan_sample_entries(source, handler, &table, plan)?,
                        b"udta" | b"meta" => blank(&table, plan),
                        _ => common(source, &table, plan)?,
                    }
                }
            }
            b"udta" | b"meta" => blank(&header, plan),
            _ => common(source, &header, plan)?,
        }
    }
    Ok(())
}

/// Zeroes data references: `QuickTime` writes the original path of the file there, even if the media is in the same
/// file.
fn zero_file_paths(
    source: &mut (impl Read + Seek),
    dinf: &BoxHeader,
    plan: &mut Plan,
) -> io::Result<()> {
    for list in children(source, dinf.body.clone())? {
        if list.kind != *b"dref" || list.body.end - list.body.start < 8 {
            continue;
        }
        for reference in children(source, list.body.start + 8..list.body.end)? {
            let says = reference.body.start + 4..reference.body.end;
            if says.is_empty() {
                continue;
            }
            let [.., flags] = read_at::<4>(source, reference.body.start)?;
            if flags & 1 == 1 {
                plan.zero(says);
            } else {
                plan.mark_incomplete(); // the media is in another file
            }
        }
    }
    Ok(())
}

/// Plans for the sample descriptions.
fn plan_sample_entries(
    source: &mut (impl Read + Seek),
    handler: [u8; 4],
    table: &BoxHeader,
    plan: &mut Plan,
) -> io::Result<()> {
    if table.body.end - table.body.start < 8 {
        return Ok(());
    }
    for entry in children(source, table.body.start + 8..table.body.end)? {
        let start = entry.body.start;
        let boxes = match &handler {
            b"vide" | b"auxv" | b"pict" => {
                zero_compressor(source, &entry, plan)?;
                start + BOXES_OF_PICTURES
            }
            b"soun" if entry.body.end - start >= 28 => {
                // Audio entries have more fields in later `QuickTime` versions.
                start
                    + match read_at(source, start + 8)? {
                        [0, 1] => 44,
                        [0, 2] => 64,
                        _ => 28,
                    }
            }
            b"tmcd" => start + 26, // the name of the reel
            _ => continue,
        };
        for inner in children(source, boxes.min(entry.body.end)..entry.body.end)? {
            match &inner.kind {
                b"sinf" => zero_purchaser(source, &inner, plan)?,
                b"udta" | b"meta" | b"name" => blank(&inner, plan),
                _ => common(source, &inner, plan)?,
            }
        }
    }
    Ok(())
}

fn zero_compressor(
    source: &mut (impl Read + Seek),
    entry: &BoxHeader,
    plan: &mut Plan,
) -> io::Result<()> {
    let name = entry.body.start + COMPRESSOR;
    let name = name..name + 32;
    if name.end > entry.body.end {
        return Ok(());
    }
    let written = read_up_to(source, name.clone(), 32)?;
    if !KEPT_COMPRESSORS.iter().any(|kept| written[1..].starts_with(kept)) {
        plan.zero(name);
    }
    Ok(())
}

/// Zeroes the purchaser's name in files protected by `FairPlay`. The account number is part of the key, and stays.
fn zero_purchaser(
    source: &mut (impl Read + Seek),
    sinf: &BoxHeader,
    plan: &mut Plan,
) -> io::Result<()> {
    for schi in children(source, sinf.body.clone())? {
        if schi.kind != *b"schi" {
            continue;
        }
        for of in children(source, schi.body)? {
            match &of.kind {
                b"name" => plan.zero(of.body),
                b"user" => plan.mark_incomplete(),
                _ => {}
            }
        }
    }
    Ok(())
}
