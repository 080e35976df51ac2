mod real;

use proptest::prelude::*;

use super::{SNIFF_LEN, archive, photo, signature, sniff, text};
use crate::filename::Filename;
use crate::media::types::{DOCX, PPTX, SVG, XLSX};
use crate::media::{MediaType, content_type_header};

fn told(head: &[u8], name: &str) -> String {
    let name = Filename::parse(name);
    sniff(head, name.as_ref()).as_str().to_owned()
}

fn padded(start: &[u8]) -> Vec<u8> {
    join(&[start, &[0; 600]])
}

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn ftyp(brands: &str) -> Vec<u8> {
    let (major, compatible) = brands.split_at(4);
    let size = u32::try_from(16 + compatible.len()).unwrap();
    let start = join(&[
        &size.to_be_bytes(),
        b"ftyp",
        major.as_bytes(),
        &[0, 0, 2, 0],
        compatible.as_bytes(),
    ]);
    padded(&start)
}

fn mp4_with_handlers(kinds: &[&[u8; 4]]) -> Vec<u8> {
    let mut index = Vec::new();
    for kind in kinds {
        index.extend(join(&[&[0, 0, 0, 32], b"hdlr", &[0; 8], *kind, &[0; 12]]));
    }
    let size = u32::try_from(8 + index.len()).unwrap().to_be_bytes();
    join(&[&[0, 0, 0, 16], b"ftypisom\0\0\x02\0", &size, b"moov", &index, &[0; 64]])
}

fn ebml(doc_type: &str, codecs: &[&str]) -> Vec<u8> {
    let length = u8::try_from(doc_type.len()).unwrap();
    let header = join(&[&[0x42, 0x86, 0x81, 1, 0x42, 0x82, 0x80 | length], doc_type.as_bytes()]);
    let mut file = join(&[
        &[0x1A, 0x45, 0xDF, 0xA3],
        &[0x80 | u8::try_from(header.len()).unwrap()],
        &header,
        &[0x18, 0x53, 0x80, 0x67, 0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
    ]);
    for codec in codecs {
        file.extend([0x86, 0x80 | u8::try_from(codec.len()).unwrap()]);
        file.extend(codec.as_bytes());
    }
    file
}

fn ogg(first_pages: &[&[u8]]) -> Vec<u8> {
    let mut file = Vec::new();
    for payload in first_pages {
        file.extend(b"OggS\0\x02");
        file.extend([0; 20]);
        file.extend([1, u8::try_from(payload.len()).unwrap()]);
        file.extend(*payload);
    }
    file
}

fn zip(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut file = Vec::new();
    for (name, content) in entries {
        file.extend(b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0");
        for length in [content.len(), content.len()] {
            file.extend(u32::try_from(length).unwrap().to_le_bytes());
        }
        file.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        file.extend([0, 0]);
        file.extend(name.as_bytes());
        file.extend(content.as_bytes());
    }
    file
}

/// The same as written to a pipe, with sizes after the content.
fn streamed_zip(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut file = Vec::new();
    for (name, content) in entries {
        let mut entry = zip(&[(name, content)]);
        entry[6] = 8;
        entry[18..26].fill(0);
        file.extend(entry);
        file.extend(b"PK\x07\x08\0\0\0\0\0\0\0\0\0\0\0\0");
    }
    file
}

fn frames(header: &[u8], length: usize) -> Vec<u8> {
    let frame = join(&[header, &vec![0; length - header.len()]]);
    frame.repeat(3)
}

/// MPEG 1 layer III, 128 kbit/s, 44.1 kHz: frames of 417 bytes.
fn mp3() -> Vec<u8> {
    frames(&[0xFF, 0xFB, 0x90, 0x00], 417)
}

/// ADTS AAC LC, 44.1 kHz, stereo, frames of 100 bytes.
fn adts() -> Vec<u8> {
    frames(&[0xFF, 0xF1, 0x50, 0x80, 0x0C, 0x9F, 0xFC], 100)
}

fn id3(length: u8, after: &[u8]) -> Vec<u8> {
    let tag = vec![0; usize::from(length)];
    join(&[b"ID3\x04\0\0\0\0\0", &[length], &tag, after])
}

fn bmp() -> Vec<u8> {
    padded(b"BM\x36\x10\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0")
}

fn tar() -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..5].copy_from_slice(b"a.txt");
    block[257..263].copy_from_slice(b"ustar\0");
    block
}

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    "\u{FEFF}".encode_utf16().chain(text.encode_utf16()).flat_map(bytes).collect()
}

const OCTETS: &str = "application/octet-stream";
const OLE: &[u8] = &[0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1];
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const GIF: &[u8] = b"GIF89a\x01\0\x01\0\x80\0\0\xff\xff\xff\0\0\0,";
const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0";

fn check(table: &[(Vec<u8>, &str, &str)]) {
    for (head, name, want) in table {
        let start = String::from_utf8_lossy(&head[..head.len().min(40)]);
        assert_eq!(told(head, name), *want, "{name:?}: {start:?}");
    }
}

#[test]
fn images_are_detected_by_their_bytes() {
    check(&[
        (JPEG.to_vec(), "a.jpg", "image/jpeg"),
        (b"\xff\xd8\xff\xdb".to_vec(), "", "image/jpeg"),
        (padded(b"\xff\xd8\xff\xe1\0\x20Exif\0\0"), "a.png", "image/jpeg"),
        (padded(PNG), "a.png", "image/png"),
        (PNG.to_vec(), "a.jpg", "image/png"),
        (GIF.to_vec(), "a.gif", "image/gif"),
        (padded(b"GIF87a\x01\0"), "a.exe", "image/gif"),
        (bmp(), "a.bmp", "image/bmp"),
        (padded(b"RIFF\x24\0\0\0WEBPVP8X"), "a.webp", "image/webp"),
        (ftyp("avifmif1miafMA1B"), "a.avif", "image/avif"),
        (ftyp("mif1avifmiaf"), "a.heic", "image/avif"),
        (ftyp("heicmif1heic"), "IMG_1.HEIC", "image/heic"),
        (ftyp("mif1heic"), "a.jpg", "image/heic"),
        (ftyp("avcimif1"), "a.avci", "image/heif"),
        (padded(b"\0\0\0\x10ftypmif3avif"), "a.avif", "image/avif"),
        (b"\xff\xd8\xff\xff\xff\xe0\0\x10JFIF\0".to_vec(), "", "image/jpeg"),
        (b"\xff\xd8\xff\xff\xff\0".to_vec(), "", OCTETS),
        (padded(b"II*\0\x08\0\0\0\x01\x02"), "a.tif", "image/tiff"),
        (padded(b"8BPS\0\x01"), "a.psd", "image/vnd.adobe.photoshop"),
        (padded(b"\0\0\0\x0cJXL \r\n\x87\n"), "a.jxl", "image/jxl"),
    ]);
}

#[test]
fn video_and_audio_are_detected_by_their_containers() {
    check(&[
        (ftyp("isomisomiso2avc1mp41"), "a.mp4", "video/mp4"),
        (ftyp("mp42isom"), "a.mov", "video/mp4"),
        (ftyp("iso5iso6mp41"), "", "video/mp4"),
        (ftyp("M4V mp42"), "a.m4v", "video/mp4"),
        (ftyp("XAVCmp42"), "a.mp4", "video/mp4"),
        (ftyp("zzzz"), "a.mp4", "application/mp4"),
        (ftyp("M4A mp42isom"), "a.m4a", "audio/mp4"),
        (ftyp("qt  "), "IMG_1.MOV", "video/quicktime"),
        (ftyp("3gp4isom"), "a.3gp", "video/3gpp"),
        (ftyp("3g2a"), "a.3g2", "video/3gpp2"),
        (mp4_with_handlers(&[b"soun"]), "voice.mp4", "audio/mp4"),
        (mp4_with_handlers(&[b"soun", b"vide"]), "", "video/mp4"),
        (padded(b"\0\0\0\x08wide\0\0\x10\0mdat"), "a.mov", "video/quicktime"),
        (padded(b"\0\0\x10\0moov\0\0\0\x6cmvhd"), "a.mov", "video/quicktime"),
        (padded(b"\0\0\x10\0moov\0\0\0\x6cjunk"), "a.mov", OCTETS),
        (ebml("webm", &["V_VP9", "A_OPUS"]), "a.webm", "video/webm"),
        (ebml("webm", &["A_OPUS"]), "voice.webm", "audio/webm"),
        (ebml("webm", &[]), "a.mkv", "video/webm"),
        (ebml("webm\0\0", &["V_VP8"]), "", "video/webm"),
        (ebml("matroska", &["V_MPEG4/ISO/AVC"]), "a.webm", "video/matroska"),
        (ebml("matroska", &["A_FLAC"]), "a.mka", "audio/matroska"),
        (ebml("matrix", &[]), "a.webm", OCTETS),
        (ogg(&[b"OpusHead\x01\x02"]), "a.opus", "audio/ogg"),
        (ogg(&[b"\x01vorbis\0\0\0\0"]), "a.ogg", "audio/ogg"),
        (ogg(&[b"fishead\0", b"\x01vorbis", b"\x80theora"]), "a.ogg", "video/ogg"),
        (ogg(&[b"fishead\0"]), "a.ogg", "application/ogg"),
        (padded(b"RIFF\x24\0\0\0WAVEfmt "), "a.wav", "audio/wav"),
        (padded(b"RIFF\x24\0\0\0AVI LIST"), "a.avi", "video/x-msvideo"),
        (padded(b"RF64\xff\xff\xff\xffWAVEds64"), "a.wav", "audio/wav"),
        (padded(b"BW64\xff\xff\xff\xffWAVEds64"), "a.wav", "audio/wav"),
        (padded(b"FORM\0\0\x10\0AIFFCOMM"), "a.aif", "audio/aiff"),
        (padded(b"FORM\0\0\x10\0AIFCFVER"), "a.wav", "audio/aiff"),
        (padded(b"FORM\0\0\x10\0ILBMBMHD"), "a.aif", OCTETS),
        (padded(b"caff\0\x01\0\0desc"), "a.caf", "audio/x-caf"),
        (join(&[b"\0\0\x23\x30free", &[0; 9000]]), "a.mov", "video/quicktime"),
        (join(&[b"\0\0\x23\x30free", &[0; 99], &[1; 9000]]), "a.mov", OCTETS),
        (padded(b"RIFF\x24\0\0\0WEBPjunk"), "a.webp", OCTETS),
        (padded(b"fLaC\0\0\0\x22"), "a.flac", "audio/flac"),
        (mp3(), "a.mp3", "audio/mpeg"),
        (id3(20, &mp3()), "a.mp3", "audio/mpeg"),
        (id3(20, &adts()), "a.mp3", "audio/aac"),
        (id3(20, &padded(b"fLaC")), "a.mp3", "audio/flac"),
        (b"ID3\x03\0\0\x7f\x7f\x7f\x7fTIT2".to_vec(), "", "audio/mpeg"),
        (adts(), "a.aac", "audio/aac"),
        (padded(&[0xFF, 0xFB, 0x90, 0x00]), "a.mp3", OCTETS),
        (padded(&[0xFF, 0xF1, 0x50, 0x80, 0x0C, 0x9F, 0xFC]), "a.aac", OCTETS),
        (padded(b"#!AMR\n\x3c"), "a.amr", "audio/amr"),
        (padded(b"#!AMR-WB\n\x44"), "a.amr", "audio/amr-wb"),
        (padded(b"#!AMR-WB_MC1.0\n\0"), "a.amr", "audio/amr-wb"),
        (padded(b"#!AMR_MC1.0\n\0"), "a.amr", "audio/amr"),
        (padded(b"\0\0\x01\xba\x44"), "a.mpg", "video/mpeg"),
        (frames(&[0x47, 0x40], 188), "a.ts", "video/mp2t"),
        (frames(&[0, 0, 0, 0, 0x47, 0x40], 192), "a.mts", "video/mp2t"),
    ]);
}

#[test]
fn archives_and_documents_are_told_apart() {
    let word: &[_] = &[("[Content_Types].xml", "x"), ("word/document.xml", "y")];
    let odt = "application/vnd.oasis.opendocument.text";
    let template = "application/vnd.oasis.opendocument.text-template";
    check(&[
        (zip(&[("a.txt", "hello")]), "a.zip", "application/zip"),
        (zip(&[("a.txt", "hello")]), "photo.jpg", "application/zip"),
        (b"PK\x05\x06".repeat(6), "a.docx", "application/zip"),
        (zip(word), "", DOCX),
        (zip(word), "a.xlsx", DOCX),
        (streamed_zip(word), "a.zip", DOCX),
        (zip(word), "a.docm", "application/vnd.ms-word.document.macroenabled.12"),
        (zip(&[("_rels/.rels", ""), ("xl/workbook.xml", "")]), "", XLSX),
        (zip(&[("docProps/app.xml", ""), ("ppt/p.xml", "")]), "", PPTX),
        (zip(&[("word/notes.txt", "")]), "a.zip", "application/zip"),
        (zip(&[("[Content_Types].xml", "x")]), "a.pptx", PPTX),
        (zip(&[("mimetype", odt), ("content.xml", "")]), "a.docx", odt),
        (zip(&[("mimetype", template)]), "", template),
        (streamed_zip(&[("mimetype", "application/epub+zip")]), "", "application/epub+zip"),
        (zip(&[("mimetype", "text/html")]), "a.zip", "application/zip"),
        (zip(&[("x", "")]), "book.EPUB", "application/epub+zip"),
        (zip(&[("META-INF/MANIFEST.MF", "")]), "a.zip", "application/java-archive"),
        (
            zip(&[("META-INF/MANIFEST.MF", ""), ("AndroidManifest.xml", "")]),
            "a.jar",
            "application/vnd.android.package-archive",
        ),
        (padded(OLE), "a.doc", "application/msword"),
        (padded(OLE), "a.XLS", "application/vnd.ms-excel"),
        (padded(OLE), "a.jpg", "application/x-ole-storage"),
        (padded(OLE), "a.xlsx", XLSX),
        (padded(OLE), "a.docx", DOCX),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj".to_vec(), "a.pdf", "application/pdf"),
        (b"%PDF-1.4\n1 0 obj".to_vec(), "a.txt", "application/pdf"),
        (b"{\\rtf1\\ansi hello}".to_vec(), "a.doc", "application/rtf"),
        (padded(b"\x1f\x8b\x08\0"), "a.tgz", "application/gzip"),
        (padded(b"7z\xbc\xaf\x27\x1c"), "", "application/x-7z-compressed"),
        (padded(b"Rar!\x1a\x07\x01\0"), "a.cbr", "application/vnd.rar"),
        (tar(), "a.tar", "application/x-tar"),
        (padded(b"\xfd7zXZ\0"), "", "application/x-xz"),
        (padded(b"SQLite format 3\0"), "", "application/vnd.sqlite3"),
    ]);
}

#[test]
fn programs_are_recognised_under_any_name() {
    check(&[
        (padded(b"MZ\x90\0"), "holiday.jpg", "application/vnd.microsoft.portable-executable"),
        (padded(b"\x7fELF\x02\x01\x01\0"), "a.mp4", "application/x-executable"),
        (padded(b"\xcf\xfa\xed\xfe"), "", "application/x-mach-binary"),
        (padded(b"\xca\xfe\xba\xbe\0\0\0\x34"), "a.png", "application/java-vm"),
        (padded(b"\0asm\x01\0\0\0"), "", "application/wasm"),
        (b"#!/bin/sh\nrm -rf /\n".to_vec(), "a.txt", "text/x-shellscript"),
        (padded(b"#!/bin/sh\n"), "a.run", "text/x-shellscript"),
        (padded(b"#!AMX"), "a.run", OCTETS),
        (b"#![allow(missing_docs)]\n".to_vec(), "a.rs", "text/plain"),
        (b"<?php echo 1;".to_vec(), "a.txt", "text/x-php"),
        (b"alert(1)".to_vec(), "a.js", "text/javascript"),
        (b"@echo off".to_vec(), "a.bat", "application/x-bat"),
    ]);
}

#[test]
fn texts_are_detected_by_content_and_then_by_name() {
    check(&[
        (b"hello".to_vec(), "a.txt", "text/plain"),
        (b"hello".to_vec(), "", "text/plain"),
        (b"hello".to_vec(), "photo.jpg", "text/plain"),
        (b"hello".to_vec(), "a.docx", "text/plain"),
        ("na\u{ef}ve \u{4f60}\u{597d} \u{1f600}".into(), "a", "text/plain"),
        ("\u{4f60}\u{597d}".as_bytes()[..5].to_vec(), "a.txt", "text/plain"),
        (b"\xef\xbb\xbfhello".to_vec(), "a.txt", "text/plain"),
        (b"log \x1b[31mred\x1b[0m".to_vec(), "a.log", "text/plain"),
        (utf16("hello", u16::to_le_bytes), "a.txt", "text/plain;charset=utf-16le"),
        (utf16("hello", u16::to_be_bytes), "a.txt", "text/plain;charset=utf-16be"),
        (b"a\0b".to_vec(), "a.txt", OCTETS),
        (b"a\x01b".to_vec(), "a.txt", OCTETS),
        (b"{\"a\": 1}".to_vec(), "a.json", "application/json"),
        (b"{\"a\": 1}".to_vec(), "a.txt", "text/plain"),
        (b"a,b\n1,2\n".to_vec(), "a.CSV", "text/csv"),
        (padded(b"a,b"), "a.csv", OCTETS),
        (b"BEGIN:VCARD\r\nVERSION:3.0".to_vec(), "a", "text/vcard"),
        (b"BM is my name".to_vec(), "a.bmp", "text/plain"),
        (b"ID3 tags explained, at length".to_vec(), "a.mp3", "text/plain"),
        (b"MZ and BC and SQLite and GIF".to_vec(), "a.exe", "text/plain"),
        (b"about the %PDF-1.7 header".to_vec(), "a.txt", "text/plain"),
        (b"-----BEGIN CERTIFICATE-----\n".to_vec(), "a.pem", "text/plain"),
        (b"<3 you".to_vec(), "a.txt", "text/plain"),
        (b"<me@example.org> wrote:".to_vec(), "a.txt", "text/plain"),
        (b"if a <b> then".to_vec(), "a.txt", "text/plain"),
        (b"".to_vec(), "a.txt", OCTETS),
    ]);
}

#[test]
fn markup_is_recognised_however_it_is_wrapped() {
    let svg = |before: &str| format!("{before}<svg xmlns='x' onload='alert(1)'/>").into_bytes();
    check(&[
        (b"<!DOCTYPE html><p>".to_vec(), "photo.jpg", "text/html"),
        (b"<HTML>".to_vec(), "a.txt", "text/html"),
        (b"<script>alert(1)</script>".to_vec(), "a.json", "text/html"),
        (b"<img/src=x onerror=alert(1)>".to_vec(), "a.csv", "text/html"),
        (b"<x onclick=alert(1)>".to_vec(), "a.txt", "application/xml"),
        (b"\xef\xbb\xbf \r\n\t<html>".to_vec(), "a.txt", "text/html"),
        ("\u{FEFF}\u{FEFF}\u{A0}<body>".into(), "a.txt", "text/html"),
        (b"<!-- a --> \n<!-- <b> --><script>".to_vec(), "a.txt", "text/html"),
        (b"<!-- never closed".to_vec(), "a.txt", "text/html"),
        (b"<!-- just a remark --> text".to_vec(), "a.txt", "text/html"),
        (b"</p>".to_vec(), "a.txt", "text/html"),
        (b"<html>caf\xe9 \x00".to_vec(), "a.txt", "text/html"),
        (b"  <!doctype HTML>\xff".to_vec(), "a.png", "text/html"),
        (utf16("<script>", u16::to_le_bytes), "a.txt", "text/html"),
        (utf16(" <svg>", u16::to_be_bytes), "a.txt", SVG),
        (svg(""), "a.png", SVG),
        (svg("<?xml version='1.0'?>\n"), "a.txt", SVG),
        (svg("<?xml version='1.0'?><!-- x -->\n<!-- y -->"), "", SVG),
        (svg("\u{FEFF}<!-- x --><?xml-stylesheet href='a'?>"), "", SVG),
        (svg("<!DOCTYPE svg PUBLIC '-//W3C//DTD SVG 1.1//EN' 'x'>"), "", SVG),
        (b"<s:svg xmlns:s='http://www.w3.org/2000/svg'>".to_vec(), "a", SVG),
        (b"<?xml version='1.0'?><html xmlns='x'>".to_vec(), "", "application/xhtml+xml"),
        (b"<?xml version='1.0'?><feed>".to_vec(), "a.txt", "application/xml"),
        (b"<?xml".to_vec(), "a.txt", "application/xml"),
        (b"<!DOCTYPE foo [<!ENTITY a SYSTEM 'file:'>]>".to_vec(), "", "application/xml"),
        (b"<note>hi</note>".to_vec(), "a.txt", "application/xml"),
        (b"nothing but words".to_vec(), "a.html", "text/html"),
        (b"nothing but words".to_vec(), "a.SVG", SVG),
    ]);
}

#[test]
fn polyglots_get_a_type_that_runs_nothing() {
    let gif_script = join(&[GIF, b";<script>alert(1)</script>"]);
    let jpeg_page = join(&[JPEG, b"<html><script>alert(1)</script>"]);
    let gif_pdf = join(&[GIF, b"%PDF-1.4"]);
    check(&[
        // Complete headers are images, and browsers told not to sniff agree.
        (gif_script, "a.html", "image/gif"),
        (jpeg_page, "a.html", "image/jpeg"),
        (gif_pdf, "a.pdf", "image/gif"),
        // A signature with nothing after it is a page.
        (b"GIF89a<script>alert(1)</script>".to_vec(), "a.gif", "text/html"),
        (b"GIF89a <svg onload=alert(1)>".to_vec(), "a.gif", SVG),
        (b"\xff\xd8\xff\xe0<html><script>".to_vec(), "a.jpg", "text/html"),
        (join(&[PNG, b"\n<!DOCTYPE html>"]), "a.png", "text/html"),
        // A script that starts with the letters of an image signature is a text.
        (b"GIF89a=1;alert(1)//".to_vec(), "a.gif", "text/plain"),
        (b"GIF89a=1;alert(1)//".to_vec(), "a.js", "text/javascript"),
        (b"BM=1;/* */alert(1)".to_vec(), "a.bmp", "text/plain"),
        // PDF after junk, as lenient readers accept it.
        (padded(b"\0\x01junk%PDF-1.4"), "a.jpg", "application/pdf"),
        (b"junk\n%PDF-1.4\n".to_vec(), "a.txt", "application/pdf"),
        (join(&[&[0; 1100], b"%PDF-1.4"]), "a.pdf", OCTETS),
        // An image followed by an archive is an image.
        (join(&[GIF, &zip(&[("a", "b")])]), "a.jar", "image/gif"),
        (join(&[b"<html>", PNG]), "a.png", "text/html"),
    ]);
}

#[test]
fn certificates_are_not_offered_for_installation() {
    check(&[(padded(b"\x30\x82\x03\x01"), "a.cer", OCTETS)]);
}

#[test]
fn only_the_head_is_examined() {
    let mut long = vec![b'a'; SNIFF_LEN];
    long.push(0);
    assert_eq!(told(&long, "a.txt"), "text/plain");
}

#[test]
fn sniffed_text_is_served_with_its_charset() {
    let header = |head: &[u8]| content_type_header(&sniff(head, None));
    assert_eq!(header(b"hello"), "text/plain; charset=utf-8");
    assert_eq!(header(&utf16("hi", u16::to_be_bytes)), "text/plain; charset=utf-16be");
    assert_eq!(header(PNG), "image/png");
}

#[test]
fn no_name_and_no_borrowed_rule_leads_to_the_inline_list() {
    let tables = [
        text::BY_EXTENSION,
        archive::ZIP_BY_EXTENSION,
        archive::OLE_BY_EXTENSION,
        photo::TIFF_BY_EXTENSION,
        signature::RARE,
    ];
    for (extension, kind) in tables.into_iter().flatten() {
        let media = MediaType::parse(kind).unwrap();
        assert_eq!(media.as_str(), *kind, "types are written in lower case");
        assert!(!media.is_inline(), "{extension}: {kind}");
    }
}

/// Heads that are almost those of some type.
fn near_misses() -> impl Strategy<Value = Vec<u8>> {
    let seeds = vec![
        JPEG.to_vec(),
        PNG.to_vec(),
        GIF.to_vec(),
        bmp(),
        ftyp("isommp41"),
        mp4_with_handlers(&[b"soun"]),
        ebml("webm", &["A_OPUS"]),
        ogg(&[b"fishead\0", b"\x01vorbis"]),
        zip(&[("mimetype", "application/epub+zip"), ("word/", "")]),
        streamed_zip(&[("[Content_Types].xml", "x"), ("word/a", "")]),
        mp3(),
        adts(),
        id3(20, &mp3()),
        tar(),
        padded(OLE),
        b"RIFF\x24\0\0\0WEBPVP8X".to_vec(),
        b"<?xml version='1.0'?><!-- a --><!DOCTYPE svg><svg>".to_vec(),
        utf16("<html>\u{1f600}", u16::to_le_bytes),
        b"\x50\x2a\x4d\x18\xff\xff\xff\xff".to_vec(),
    ];
    let change = (any::<prop::sample::Index>(), any::<u8>());
    (
        prop::sample::select(seeds),
        prop::collection::vec(change, 0..4),
        any::<prop::sample::Index>(),
        prop::collection::vec(any::<u8>(), 0..40),
    )
        .prop_map(|(mut head, changes, cut, tail)| {
            for (at, byte) in changes {
                let at = at.index(head.len());
                head[at] = byte;
            }
            head.truncate(cut.index(head.len() + 1));
            head.extend(tail);
            head
        })
}

fn any_name() -> impl Strategy<Value = Option<Filename>> {
    "a\\.(jpg|png|mp4|mp3|txt|html|svg|js|json|csv|docx|apk|jar|pdf|doc|xyz)"
        .prop_map(|name| Filename::parse(&name))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_head_gets_a_valid_type(
        head in prop_oneof![near_misses(), prop::collection::vec(any::<u8>(), 0..400)],
        name in any_name(),
    ) {
        let media = sniff(&head, name.as_ref());
        prop_assert_eq!(MediaType::parse(media.as_str()), Some(media.clone()));
        prop_assert!(content_type_header(&media).bytes().all(|b| (b' '..=b'~').contains(&b)));
    }

    #[test]
    fn a_name_never_leads_to_the_inline_list(head in near_misses(), name in any_name()) {
        let named = sniff(&head, name.as_ref());
        if named.is_inline() {
            prop_assert_eq!(named, sniff(&head, None));
        }
    }

    #[test]
    fn a_page_is_never_inline(
        before in "[ \t\r\n\u{FEFF}]{0,5}(<!--[^-]{0,9}-->[ \n]{0,3}){0,3}",
        tag in "<(html|script|svg|iframe|body|IMG|a|x:svg|unknown-tag)[ >/\n]",
        after in prop::collection::vec(any::<u8>(), 0..100),
        name in any_name(),
    ) {
        let head = [before.as_bytes(), tag.as_bytes(), &after].concat();
        prop_assert!(!sniff(&head, name.as_ref()).is_inline());
    }
}
