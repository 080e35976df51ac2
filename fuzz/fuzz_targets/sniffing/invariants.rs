//! Owns what must hold for the type told of any bytes under any name, for the fuzz target and for the tests that
//! replay its corpus.

use haversack::filename::Filename;
use haversack::media::{MediaType, SNIFF_LEN, content_type_header, sniff};

/// An input is the name's length, the name, and the file.
pub(crate) fn check(input: &[u8]) {
    let Some((length, rest)) = input.split_first() else { return };
    let (name, file) = rest.split_at(rest.len().min(usize::from(*length)));
    let name = String::from_utf8_lossy(name);
    let (filename, nameless) = (Filename::parse(&name), sniff(file, None));
    let named = sniff(file, filename.as_ref());
    for told in [&nameless, &named] {
        check_type(told);
        assert_eq!(MediaType::parse(told.as_str()).as_ref(), Some(told), "stored and read");
    }
    assert!(nameless.is_inline() || !named.is_inline(), "{name:?} makes {named} of {nameless}");
    assert!(nameless.is_image() || !named.is_image(), "{name:?} makes {named} of {nameless}");
    let head = &file[..file.len().min(SNIFF_LEN)];
    assert_eq!(sniff(head, filename.as_ref()), named, "only the head counts");
    check_markup(head, &named);
    let claimed = named.clone().or_claimed(Some(&name));
    check_type(&claimed);
    assert!(claimed == named || (named == MediaType::OCTET_STREAM && !claimed.is_inline()));
}

/// What goes into a header fits there, on one line.
fn check_type(told: &MediaType) {
    let header = content_type_header(told);
    assert!(header.bytes().all(|b| (b'!'..=b'~').contains(&b) || b == b' '), "{header:?}");
    assert!(told.essence().split('/').filter(|half| !half.is_empty()).count() == 2, "{header}");
}

/// What a browser that guesses would take for a page (WHATWG MIME Sniffing, section 7.1) is never shown as a
/// picture, sound or film.
fn check_markup(head: &[u8], told: &MediaType) {
    let start = head.iter().position(|b| !b"\t\n\x0C\r ".contains(b)).unwrap_or(head.len());
    let rest = &head[start..];
    let is_page =
        ["<!doctype html", "<html", "<head", "<script", "<iframe", "<body", "<svg", "<?xml"]
            .iter()
            .any(|tag| {
                let same =
                    rest.get(..tag.len()).is_some_and(|b| b.eq_ignore_ascii_case(tag.as_bytes()));
                same && rest.get(tag.len()).is_some_and(|b| b" >\t\n".contains(b))
            });
    let shown = ["image/", "audio/", "video/"].iter().any(|top| told.essence().starts_with(top));
    assert!(!is_page || !told.is_inline() || !shown, "a page is {told}");
}
