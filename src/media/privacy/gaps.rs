//! Gapless playback information (`iTunSMPB`): the number of samples to skip at the beginning and end of the audio.
//!
//! This entry is the only user data of a movie that is kept, in a list of its own. Without it, AAC audio starts up to
//! 48 ms later, and consecutive songs no longer play without a gap.

use std::io::{self, Read, Seek};

use super::boxes::children;
use super::items;
use super::plan::read_up_to;
use crate::media::boxes::BoxHeader;

const MEAN: &[u8] = b"\0\0\0\0com.apple.iTunes";
const NAME: &[u8] = b"\0\0\0\0iTunSMPB";
/// Version, type (text), and no language.
const TEXT: &[u8] = b"\0\0\0\x01\0\0\0\0";
/// Maximum length of the value; it consists of twelve numbers.
const MAX_NUMBERS: usize = 256;
/// The handler of Apple's metadata lists.
const HANDLER: &[u8] = b"\0\0\0\0\0\0\0\0mdirappl\0\0\0\0\0\0\0\0\0";

/// Returns the replacement for user data with gapless playback information: this entry, followed by an empty box.
/// `None` if there is no such entry or no space for it.
pub(super) fn kept(
    source: &mut (impl Read + Seek),
    udta: &BoxHeader,
) -> io::Result<Option<Vec<u8>>> {
    let Some(numbers) = numbers(source, udta)? else {
        return Ok(None);
    };
    let entry = [of(*b"mean", MEAN), of(*b"name", NAME), of(*b"data", &[TEXT, &numbers].concat())];
    let list = of(*b"ilst", &of(*b"----", &entry.concat()));
    let mut kept = of(*b"meta", &[&[0; 4], of(*b"hdlr", HANDLER).as_slice(), &list].concat());
    let room = udta.body.end - udta.body.start;
    let Some(rest) = room.checked_sub(kept.len() as u64) else {
        return Ok(None);
    };
    if let Some(rest) = u32::try_from(rest).ok().filter(|rest| *rest >= 8) {
        kept.extend(rest.to_be_bytes());
        kept.extend(b"free");
    }
    Ok(Some(kept))
}

fn of(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len() + 8).unwrap_or_default().to_be_bytes();
    [size.as_slice(), &kind, body].concat()
}

/// Finds the first gapless playback value in user data.
fn numbers(source: &mut (impl Read + Seek), udta: &BoxHeader) -> io::Result<Option<Vec<u8>>> {
    for meta in inner(source, udta, *b"meta")? {
        let contents = items::contents(source, &meta)?;
        for list in children(source, contents)?.iter().filter(|list| list.kind == *b"ilst") {
            for entry in inner(source, list, *b"----")? {
                if let Some(numbers) = numbers_of(source, &entry)? {
                    return Ok(Some(numbers));
                }
            }
        }
    }
    Ok(None)
}

fn inner(
    source: &mut (impl Read + Seek),
    outer: &BoxHeader,
    kind: [u8; 4],
) -> io::Result<Vec<BoxHeader>> {
    let mut boxes = children(source, outer.body.clone())?;
    boxes.retain(|header| header.kind == kind);
    Ok(boxes)
}

/// Returns an entry's value if the entry contains gapless playback information and nothing else.
fn numbers_of(source: &mut (impl Read + Seek), entry: &BoxHeader) -> io::Result<Option<Vec<u8>>> {
    let mut parts = Vec::new();
    for part in children(source, entry.body.clone())?.iter().take(3) {
        parts.push((part.kind, read_up_to(source, part.body.clone(), MAX_NUMBERS + TEXT.len())?));
    }
    let [(_, mean), (_, name), (_, data)] = parts.as_slice() else {
        return Ok(None);
    };
    let kinds = parts.iter().map(|(kind, _)| kind).eq([b"mean", b"name", b"data"]);
    if !kinds || mean != MEAN || name != NAME {
        return Ok(None);
    }
    let numbers = data.strip_prefix(TEXT).filter(|numbers| numbers.len() < MAX_NUMBERS);
    let are_numbers = |text: &&[u8]| text.iter().all(|c| c.is_ascii_hexdigit() || *c == b' ');
    Ok(numbers.filter(are_numbers).map(<[u8]>::to_vec))
}
