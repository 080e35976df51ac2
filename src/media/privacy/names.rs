//! Names within a film's index: of handlers, compressors, buyers, files.
//!
//! Encoders put paths, user names, dates and devices into handlers' names; they become the usual ones, which players
//! show in their menus. Refuses to know which tracks stay.

use std::io::{self, Read, Seek};

use super::boxes::{children, common, forget};
use super::plan::{Plan, read_up_to};
use crate::media::boxes::{BoxHeader, read_at};

/// What follows the handler in its box before the name: the maker, in `QuickTime`; reserved otherwise.
const MAKER: u64 = 12;
/// Where a picture's sample entry has its compressor's name (ISO 14496-12 section 12.1.3), of 32 bytes, and where
/// the boxes in it begin.
const COMPRESSOR: u64 = 42;
const BOXES_OF_PICTURES: u64 = 78;
/// By these names of compressors ffmpeg and others choose how to decode.
const KEPT_COMPRESSORS: [&[u8]; 2] = [b"Planar Y'CbCr 8-bit 4:2:0", b"Sorenson H263"];

/// What a `hdlr` box says its track or its items are; zeros where it is too short.
pub(super) fn handler_of(
    source: &mut (impl Read + Seek),
    header: &BoxHeader,
) -> io::Result<[u8; 4]> {
    let at = header.body.start + 8;
    if at + 4 > header.body.end { Ok([0; 4]) } else { read_at(source, at) }
}

/// The name of a handler becomes the usual one, or none where that has no room.
pub(super) fn forget_handler(
    source: &mut (impl Read + Seek),
    header: &BoxHeader,
    plan: &mut Plan,
) -> io::Result<()> {
    let maker = header.body.start + 12;
    let name = maker + MAKER;
    if name >= header.body.end {
        return Ok(());
    }
    // With its length before it, as `QuickTime` writes names; others end them with a zero.
    let usual: &[u8] = match &handler_of(source, header)? {
        b"vide" => b"\x0CVideoHandler",
        b"soun" => b"\x0CSoundHandler",
        b"text" | b"sbtl" | b"subt" | b"clcp" => b"\x0FSubtitleHandler",
        b"tmcd" => b"\x0FTimeCodeHandler",
        b"url " | b"alis" => b"\x0BDataHandler",
        _ => b"\0",
    };
    let has_room = usual.len() as u64 <= header.body.end - name;
    // `QuickTime` says before the handler what kind of handler it is.
    let is_quicktime = read_at::<4>(source, header.body.start + 4)? != [0; 4];
    let written = match (has_room, is_quicktime) {
        (false, _) => &[], // zeros are an empty name in both
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
            b"hdlr" => forget_handler(source, &header, plan)?,
            b"dinf" => forget_files(source, &header, plan)?,
            b"stbl" => {
                for table in children(source, header.body.clone())? {
                    match &table.kind {
                        b"stsd" => forget_in_entries(source, handler, &table, plan)?,
                        b"udta" | b"meta" => forget(&table, plan),
                        _ => common(source, &table, plan)?,
                    }
                }
            }
            b"udta" | b"meta" => forget(&header, plan),
            _ => common(source, &header, plan)?,
        }
    }
    Ok(())
}

/// Where media lie: `QuickTime` writes the file's old path there, even where they are in the same file.
fn forget_files(
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
                plan.leave(); // the media are elsewhere
            }
        }
    }
    Ok(())
}

/// Plans for the descriptions of samples.
fn forget_in_entries(
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
                forget_compressor(source, &entry, plan)?;
                start + BOXES_OF_PICTURES
            }
            b"soun" if entry.body.end - start >= 28 => {
                // Sound has more fields in later versions, of QuickTime alone.
                start
                    + match read_at(source, start + 8)? {
                        [0, 1] => 44,
                        [0, 2] => 64,
                        _ => 28,
                    }
            }
            b"tmcd" => start + 26, // the reel's name
            _ => continue,
        };
        for inner in children(source, boxes.min(entry.body.end)..entry.body.end)? {
            match &inner.kind {
                b"sinf" => forget_buyer(source, &inner, plan)?,
                b"udta" | b"meta" | b"name" => forget(&inner, plan),
                _ => common(source, &inner, plan)?,
            }
        }
    }
    Ok(())
}

fn forget_compressor(
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

/// The name of who bought what `FairPlay` protects. The account's number is part of the key, and stays.
fn forget_buyer(
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
                b"user" => plan.leave(),
                _ => {}
            }
        }
    }
    Ok(())
}
