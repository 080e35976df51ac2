//! Plans for PNG and APNG files (PNG specification, third edition, section 11).
//!
//! Decides which chunks stay: critical chunks, and those that affect how pixels look or in which order frames play. Of
//! `eXIf` the orientation stays, and of XMP what rendering needs. Any other chunk becomes [`VOID`], a private chunk of
//! zeros with a valid CRC, which readers ignore. Bytes after `IEND`, which readers don't show, become zeros: some
//! cropping tools leave the removed part of a screenshot there.

use std::io::{self, Read, Seek};
use std::ops::Range;

use super::plan::{Plan, read_up_to};
use super::{exif, xmp};
use crate::media::boxes::read_at;
use crate::media::orientation;

const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1A\n";
/// The type of blanked chunks: ancillary, private, safe to copy (section 5.4).
const VOID: [u8; 4] = *b"voId";

/// The beginning of a text chunk that contains XMP: keyword, uncompressed, no language.
const XMP: &[u8] = b"XML:com.adobe.xmp\0\0\0\0\0";

/// Ancillary chunks that stay: transparency, colour, physical size, animation, and how viewers rotate or stretch the
/// image.
const KEPT: [&[u8; 4]; 26] = [
    b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"mDCv",
    b"cLLi", b"bKGD", b"hIST", b"pHYs", b"sPLT", b"acTL", b"fcTL", b"fdAT", b"oFFs", b"sCAL",
    b"pCAL", b"sTER", b"iDOT", b"orNT", b"npTc", &VOID,
];

/// Plans for the PNG in `file`.
pub(super) fn plan(
    source: &mut (impl Read + Seek),
    file: Range<u64>,
    plan: &mut Plan,
) -> io::Result<()> {
    if file.end - file.start < 8 || read_at(source, file.start)? != SIGNATURE {
        return Ok(());
    }
    let mut at = file.start + 8;
    while file.end - at >= 8 {
        let [a, b, c, d, kind @ ..] = read_at::<8>(source, at)?;
        let length = u32::from_be_bytes([a, b, c, d]);
        if length > i32::MAX.unsigned_abs() || !kind.iter().all(u8::is_ascii_alphabetic) {
            plan.mark_incomplete();
            break;
        }
        let data = at + 8..(at + 8 + u64::from(length)).min(file.end);
        at = (at + 12 + u64::from(length)).min(file.end);
        let ancillary = kind[0].is_ascii_lowercase();
        if &kind == b"IEND" {
            plan.zero(at..file.end);
            break;
        } else if ancillary && !KEPT.contains(&&kind) {
            let kept = match &kind {
                b"eXIf" => exif_replacement(source, data.clone())?,
                b"iTXt" => xmp_replacement(source, data.clone())?,
                _ => None,
            };
            match kept {
                Some(bytes) => {
                    let is_wrong = !is_right(source, data.start - 4..at)?;
                    replace(kind, &bytes, data, is_wrong, plan);
                }
                None => replace(VOID, &[], data, false, plan),
            }
        }
    }
    Ok(())
}

/// The replacement for an `eXIf` chunk, if it has an orientation and there is space for it.
fn exif_replacement(
    source: &mut (impl Read + Seek),
    data: Range<u64>,
) -> io::Result<Option<Vec<u8>>> {
    let head = read_up_to(source, data, orientation::HEAD)?;
    let fits = head.len() >= exif::MINIMAL;
    Ok(exif::reduced(&head).filter(|_| fits).map(Vec::from))
}

/// The replacement for a text chunk, if it contains XMP that is kept in part.
fn xmp_replacement(
    source: &mut (impl Read + Seek),
    data: Range<u64>,
) -> io::Result<Option<Vec<u8>>> {
    let packet = data.start + XMP.len() as u64..data.end;
    if read_up_to(source, data, XMP.len())? != XMP {
        return Ok(None);
    }
    Ok(xmp::read(source, &packet)?.map(|packet| [XMP, &packet].concat()))
}

/// Whether a chunk's CRC, its last four bytes, is right. Some readers skip a chunk with a wrong CRC and others don't,
/// so a wrong CRC stays wrong.
fn is_right(source: &mut (impl Read + Seek), chunk: Range<u64>) -> io::Result<bool> {
    let Some(end) = chunk.end.checked_sub(4) else { return Ok(false) };
    let mut sum = crc32fast::Hasher::new();
    let mut rest = chunk.start..end;
    while rest.start < end {
        let block = read_up_to(source, rest.clone(), orientation::HEAD)?;
        sum.update(&block);
        rest.start += block.len() as u64;
    }
    Ok(sum.finalize().to_be_bytes() == read_at(source, end)?)
}

/// Replaces a chunk with this data by one of type `kind` that contains `bytes` and then zeros.
fn replace(kind: [u8; 4], bytes: &[u8], data: Range<u64>, is_wrong: bool, plan: &mut Plan) {
    let crc = crc(kind, bytes, data.end - data.start - bytes.len() as u64);
    let crc = if is_wrong { !crc } else { crc };
    plan.write(data.start - 4..data.end, &[&kind, bytes].concat());
    plan.write(data.end..data.end + 4, &crc.to_be_bytes());
}

/// Computes the CRC over a type, bytes and a run of zeros, without reading the run.
fn crc(kind: [u8; 4], bytes: &[u8], zeros: u64) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&kind);
    sum.update(bytes);
    // Combine the CRCs of runs of 1, 2, 4, … zeros that add up to `zeros`.
    let mut run = crc32fast::Hasher::new();
    run.update(&[0]);
    let mut left = zeros;
    while left > 0 {
        if left & 1 == 1 {
            sum.combine(&run);
        }
        run.combine(&run.clone());
        left >>= 1;
    }
    sum.finalize()
}

#[cfg(test)]
mod tests {
    use super::crc;

    #[test]
    fn the_crc_of_a_run_of_zeros_needs_no_reading() {
        for zeros in [0, 1, 2, 3, 63, 64, 1000, 65_537] {
            let all = [b"eXIf".as_slice(), b"abc", &vec![0; zeros]].concat();
            assert_eq!(crc(*b"eXIf", b"abc", zeros as u64), crc32fast::hash(&all), "{zeros}");
        }
    }
}
