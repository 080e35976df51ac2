//! Owns what must hold for any body whatever, for the fuzz target and for the
//! tests that replay its corpus; both bring the parser's names into scope.

use bytes::Bytes;

use super::{Boundary, Event, Limits, MAX_BOUNDARY_BYTES, ParseError, Parser, PartHead};

/// Small, so that a short input can reach each of them.
const LIMITS: Limits =
    Limits { max_parts: 3, max_header_bytes: 200, max_preamble_bytes: 16, max_epilogue_bytes: 16 };

/// All that a reader learns of a body, however it is cut.
#[derive(Debug, PartialEq, Eq)]
struct Reading {
    parts: Vec<PartRead>,
    end: Result<(), ParseError>,
}

#[derive(Debug, PartialEq, Eq)]
struct PartRead {
    head: PartHead,
    data: Vec<u8>,
    complete: bool,
}

/// An input is a number of frame sizes, the sizes, and the body; or, from 128
/// on, a Content-Type value.
pub(crate) fn check(input: &[u8]) {
    match input {
        [] => {}
        [128..=255, value @ ..] => check_content_type(value),
        [count, rest @ ..] => {
            let (sizes, body) = rest.split_at(rest.len().min(usize::from(count % 8)));
            check_body(body, sizes);
        }
    }
}

/// The same reading for frames of these sizes, in turn, for single bytes, and
/// for one frame; and no more data than there is body.
pub(crate) fn check_body(body: &[u8], sizes: &[u8]) {
    let whole = read(std::iter::once(body));
    assert_eq!(whole, read(body.chunks(1)), "in single bytes");
    assert_eq!(whole, read(cut(body, sizes)), "in frames of {sizes:?}");
    let data: usize = whole.parts.iter().map(|part| part.data.len()).sum();
    assert!(data <= body.len());
    assert!(whole.end.is_err() || whole.parts.iter().all(|part| part.complete));
    assert!(whole.parts.len() <= LIMITS.max_parts);
}

fn check_content_type(value: &[u8]) {
    let value = String::from_utf8_lossy(value);
    if let Ok(boundary) = Boundary::from_content_type(&value) {
        let boundary = boundary.as_str();
        assert!((1..=MAX_BOUNDARY_BYTES).contains(&boundary.len()));
        let again = format!("multipart/form-data; boundary=\"{boundary}\"");
        let again = Boundary::from_content_type(&again);
        assert_eq!(again.as_ref().map(Boundary::as_str), Ok(boundary));
    }
}

fn cut<'a>(mut body: &'a [u8], sizes: &[u8]) -> impl Iterator<Item = &'a [u8]> {
    let sizes = if sizes.is_empty() { &[255] } else { sizes };
    let mut sizes: Vec<usize> = sizes.iter().map(|size| usize::from(*size)).collect();
    // Sizes of nothing alone would never reach the end.
    sizes.push(5);
    let mut next = 0;
    std::iter::from_fn(move || {
        let size = sizes[next % sizes.len()].min(body.len());
        next += 1;
        let (frame, rest) = body.split_at(size);
        let more = !body.is_empty();
        body = rest;
        more.then_some(frame)
    })
}

fn read<'a>(mut frames: impl Iterator<Item = &'a [u8]>) -> Reading {
    let boundary = Boundary::from_content_type("multipart/form-data; boundary=bound")
        .expect("a valid Content-Type");
    let mut parser = Parser::new(&boundary, LIMITS);
    let mut parts: Vec<PartRead> = Vec::new();
    let end = loop {
        match parser.next_event() {
            Ok(Event::NeedData) => match frames.next() {
                Some(frame) => parser.feed(Bytes::copy_from_slice(frame)),
                None => parser.finish(),
            },
            Ok(Event::Head(head)) => {
                parts.push(PartRead { head, data: Vec::new(), complete: false });
            }
            Ok(Event::Data(slice)) => {
                let part = open_part(&mut parts);
                assert!(!slice.is_empty());
                part.data.extend_from_slice(&slice);
            }
            Ok(Event::PartEnd) => open_part(&mut parts).complete = true,
            Ok(Event::End) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    // Whatever the outcome, it stays.
    assert_eq!(parser.next_event().map(|event| assert_eq!(event, Event::End)), end);
    Reading { parts, end }
}

fn open_part(parts: &mut [PartRead]) -> &mut PartRead {
    let part = parts.last_mut().expect("a head comes first");
    assert!(!part.complete, "nothing comes after a part's end");
    part
}
