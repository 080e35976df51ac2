//! Example-based tests of the parser: framing, heads, limits, and the contract of the stream.
//! `properties` tests generated bodies, and `oracle` compares with another parser.

mod heads;
mod oracle;
mod properties;

use std::cell::Cell;
use std::convert::Infallible;
use std::sync::Arc;

use futures_util::{FutureExt, stream};

use super::*;

const BOUNDARY: &str = "bound";
const HEAD: &str = "Content-Disposition: form-data; name=\"a\"\r\n\r\n";

const LIMITS: Limits =
    Limits { max_parts: 8, max_header_bytes: 512, max_preamble_bytes: 64, max_epilogue_bytes: 64 };

/// A part: its head, and all of its data.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    head: PartHead,
    data: Vec<u8>,
}

fn boundary() -> Boundary {
    Boundary::from_content_type("multipart/form-data; boundary=bound").unwrap()
}

/// Splits a body into frames of these sizes; the last size repeats.
fn frames(body: &[u8], sizes: &[usize]) -> Vec<Bytes> {
    let mut rest = Bytes::copy_from_slice(body);
    let mut frames = Vec::new();
    for size in sizes {
        frames.push(rest.split_to(rest.len().min(*size)));
    }
    let size = sizes.last().map_or(usize::MAX, |size| (*size).max(1));
    while !rest.is_empty() {
        frames.push(rest.split_to(rest.len().min(size)));
    }
    frames
}

fn drive(
    parser: &mut Parser,
    frames: impl IntoIterator<Item = Bytes>,
) -> Result<Vec<Part>, ParseError> {
    let mut frames = frames.into_iter();
    let mut parts: Vec<Part> = Vec::new();
    loop {
        match parser.next_event()? {
            Event::NeedData => match frames.next() {
                Some(frame) => parser.feed(frame),
                None => parser.finish(),
            },
            Event::Head(head) => parts.push(Part { head, data: vec![] }),
            Event::Data(slice) => {
                assert!(!slice.is_empty());
                parts.last_mut().unwrap().data.extend_from_slice(&slice);
            }
            Event::PartEnd => {}
            Event::End => return Ok(parts),
        }
    }
}

fn parse_split(body: &[u8], sizes: &[usize], limits: Limits) -> Result<Vec<Part>, ParseError> {
    drive(&mut Parser::new(&boundary(), limits), frames(body, sizes))
}

/// Parses in one frame and byte by byte, with the same result.
fn parse(body: &[u8]) -> Result<Vec<Part>, ParseError> {
    let whole = parse_split(body, &[], LIMITS);
    assert_eq!(parse_split(body, &[1], LIMITS), whole);
    whole
}

fn error(body: &str) -> ParseError {
    parse(body.as_bytes()).unwrap_err()
}

/// The data of every part.
fn data(body: &str) -> Vec<Vec<u8>> {
    let parts = parse(body.as_bytes()).unwrap();
    parts.into_iter().map(|part| part.data).collect()
}

/// A stream that yields the frames without ever pending.
fn ready(frames: Vec<Bytes>) -> impl Stream<Item = Result<Bytes, Infallible>> + Unpin {
    stream::iter(frames.into_iter().map(Ok))
}

#[test]
fn reads_every_part_of_a_form() {
    let parts = parse(
        b"--bound\r\nContent-Disposition: form-data; name=\"partindex\"\r\n\r\n12\r\n\
          --bound\r\nContent-Disposition: form-data; name=\"file\"; filename=\"cat.jpg\"\r\n\
          Content-Type: image/jpeg\r\n\r\n\xff\xd8\r\n\xff\r\n--bound--\r\n",
    )
    .unwrap();
    let head = |name: &str, filename: Option<&str>, content_type: Option<&str>| PartHead {
        name: name.to_owned(),
        filename: filename.map(str::to_owned),
        content_type: content_type.map(str::to_owned),
    };
    assert_eq!(parts[0].head, head("partindex", None, None));
    assert_eq!(parts[0].data, b"12");
    let file = head("file", Some("cat.jpg"), Some("image/jpeg"));
    assert_eq!(parts[1].head, file);
    assert_eq!(parts[1].data, b"\xff\xd8\r\n\xff");
    assert_eq!(parts.len(), 2);
}

#[test]
fn a_form_may_have_no_parts() {
    assert!(data("--bound--\r\n").is_empty());
    assert!(data("--bound--").is_empty());
}

#[test]
fn preamble_and_epilogue_are_dropped() {
    let body = format!("see\r\nRFC 2046\r\n--bound\r\n{HEAD}x\r\n--bound--\r\nbye --bound\r\n");
    assert_eq!(data(&body), [b"x"]);
}

#[test]
fn a_line_end_before_the_first_boundary_is_ignored() {
    assert_eq!(data(&format!("\r\n--bound\r\n{HEAD}x\r\n--bound--")), [b"x"]);
    assert_eq!(data(&format!("\r\n\r\n--bound\r\n{HEAD}x\r\n--bound--")), [b"x"]);
}

#[test]
fn the_first_boundary_must_begin_its_line() {
    let body = "x--bound--\n--bound--\r\n";
    assert_eq!(error(body), ParseError::Truncated);
    assert!(data(&format!("{body}--bound--")).is_empty());
}

#[test]
fn white_space_may_follow_a_boundary() {
    let body = format!("--bound \t\r\n{HEAD}x\r\n--bound\t\r\n{HEAD}y\r\n--bound-- \t \r\n");
    assert_eq!(data(&body), [b"x", b"y"]);
}

#[test]
fn the_last_line_end_may_be_missing_or_truncated() {
    for end in ["", " ", "\r", "\r\n"] {
        assert_eq!(data(&format!("--bound\r\n{HEAD}x\r\n--bound--{end}")), [b"x"]);
    }
}

#[test]
fn a_part_may_be_empty() {
    let body = format!("--bound\r\n{HEAD}\r\n--bound\r\n{HEAD}\r\n--bound--\r\n");
    assert_eq!(data(&body), [b"", b""]);
}

#[test]
fn an_empty_parts_boundary_may_share_the_blank_lines_end() {
    let body = format!("--bound\r\n{HEAD}--bound\r\n{HEAD}x\r\n--bound--\r\n");
    assert_eq!(data(&body), [&b""[..], b"x"]);
}

#[test]
fn what_only_looks_like_a_boundary_is_data() {
    for look_alike in [
        "\r",
        "\r\r\r\n",
        "\r\n",
        "\r\n-",
        "\r\n--",
        "\r\n--boun",
        "\r\n--bounD",
        "\r\n--boun\r\n--boun",
        "\r\n-\r\n--b",
        "\n--bound",
        "-",
        "--",
        "--boun",
        "--boun\r",
        "x--bound--",
    ] {
        for after in ["", "x", "\r\n"] {
            let expected = format!("{look_alike}{after}");
            let body = format!("--bound\r\n{HEAD}{expected}\r\n--bound--\r\n");
            assert_eq!(data(&body), [expected.as_bytes()], "{expected:?}");
        }
    }
}

#[test]
fn garbage_after_a_boundary_is_refused() {
    for garbage in ["x\r\n", "-\r\n", "-x\r\n", "--x\r\n", " x\r\n", "--\r\r\n"] {
        let body = format!("--bound\r\n{HEAD}x\r\n--bound{garbage}");
        assert_eq!(error(&body), ParseError::GarbageAfterBoundary, "{garbage:?}");
    }
    let endless = format!("--bound\r\n{HEAD}x\r\n--bound--{}", " ".repeat(300));
    assert_eq!(error(&endless), ParseError::GarbageAfterBoundary);
}

#[test]
fn bare_line_feeds_are_refused_with_their_own_error() {
    let disposition = "Content-Disposition: form-data; name=\"a\"";
    for body in [
        format!("--bound\n{disposition}\n\nx\n--bound--\n"),
        format!("--bound\r\n{disposition}\n\r\nx\r\n--bound--\r\n"),
        format!("--bound\r\n{disposition}\r\n\nx\r\n--bound--\r\n"),
        format!("--bound\r\n{HEAD}x\r\n--bound--\n"),
    ] {
        assert_eq!(error(&body), ParseError::BareLineFeed, "{body:?}");
    }
}

#[test]
fn a_body_cut_at_any_byte_is_truncated() {
    let body = format!("pre\r\n--bound\r\n{HEAD}x\r\n\r\n--bound \r\n{HEAD}y\r\n--bound--");
    for cut in 0..body.len() {
        assert_eq!(error(&body[..cut]), ParseError::Truncated, "{cut}");
    }
    assert_eq!(data(&body).len(), 2);
}

#[test]
fn a_part_cut_within_the_boundary_that_ends_it_never_ends() {
    let body = format!("--bound\r\n{HEAD}x\r\n--bound-");
    let mut parser = Parser::new(&boundary(), LIMITS);
    parser.feed(Bytes::from(body));
    let mut events = vec![];
    while let Ok(event) = parser.next_event() {
        if event == Event::NeedData {
            parser.finish();
        }
        events.push(event);
    }
    assert!(!events.contains(&Event::PartEnd), "{events:?}");
}

#[test]
fn parts_are_counted_up_to_the_limit() {
    let form = |parts: usize| format!("--bound\r\n{HEAD}x\r\n").repeat(parts) + "--bound--";
    assert_eq!(data(&form(8)).len(), 8);
    assert_eq!(error(&form(9)), ParseError::TooManyParts { limit: 8 });
}

#[test]
fn a_parts_headers_are_measured_up_to_the_limit() {
    let form = |bytes: usize| {
        let padding = "p".repeat(bytes - HEAD.len() - "X: \r\n".len());
        format!("--bound\r\n{HEAD}1\r\n--bound\r\nX: {padding}\r\n{HEAD}2\r\n--bound--")
    };
    assert_eq!(data(&form(512)).len(), 2);
    let too_long = ParseError::HeadersTooLong { part: 2, limit: 512 };
    assert_eq!(error(&form(513)), too_long);
}

#[test]
fn preamble_and_epilogue_are_measured_up_to_the_limit() {
    let form = |preamble: usize, epilogue: usize| {
        let (preamble, epilogue) = ("\r".repeat(preamble), "-".repeat(epilogue));
        format!("{preamble}\r\n--bound\r\n{HEAD}x\r\n--bound--\r\n{epilogue}")
    };
    assert_eq!(data(&form(64, 64)), [b"x"]);
    assert_eq!(error(&form(65, 0)), ParseError::PreambleTooLong { limit: 64 });
    assert_eq!(error(&form(0, 65)), ParseError::EpilogueTooLong { limit: 64 });
}

#[test]
fn limits_of_zero_and_of_the_largest_number_hold() {
    let zero =
        Limits { max_parts: 0, max_header_bytes: 0, max_preamble_bytes: 0, max_epilogue_bytes: 0 };
    assert_eq!(parse_split(b"--bound--\r\n", &[1], zero), Ok(vec![]));
    let form = format!("--bound\r\n{HEAD}x\r\n--bound--\r\n");
    assert_eq!(
        parse_split(form.as_bytes(), &[1], zero),
        Err(ParseError::TooManyParts { limit: 0 })
    );
    let unlimited = Limits {
        max_parts: usize::MAX,
        max_header_bytes: usize::MAX,
        max_preamble_bytes: usize::MAX,
        max_epilogue_bytes: usize::MAX,
    };
    let parts = parse_split(format!("pre\r\n{form}post").as_bytes(), &[3], unlimited);
    assert_eq!(parts.unwrap().len(), 1);
}

#[test]
fn only_excess_counts_as_a_limit() {
    assert!(ParseError::TooManyParts { limit: 8 }.is_limit());
    assert!(!ParseError::Truncated.is_limit());
}

#[test]
fn messages_name_the_limit_and_the_part() {
    let too_long = ParseError::HeadersTooLong { part: 3, limit: 8192 };
    assert_eq!(too_long.to_string(), "the headers of multipart part 3 are longer than 8192 bytes");
}

#[test]
fn data_is_a_slice_of_the_frame() {
    let body = Bytes::from(format!("--bound\r\n{HEAD}data\r\n--bound--"));
    let mut parser = Parser::new(&boundary(), LIMITS);
    parser.feed(body.clone());
    assert!(matches!(parser.next_event(), Ok(Event::Head(_))));
    let Ok(Event::Data(slice)) = parser.next_event() else {
        panic!("no data");
    };
    assert!(body.as_ptr_range().contains(&slice.as_ptr()));
}

#[test]
fn an_endless_header_line_takes_bounded_memory() {
    let mut parser = Parser::new(&boundary(), LIMITS);
    let body = b"--bound\r\nX: ".iter().chain([b'x'; 4096].iter());
    let frames = body.map(|byte| Bytes::copy_from_slice(&[*byte]));
    let result = drive(&mut parser, frames);
    assert!(matches!(result, Err(ParseError::HeadersTooLong { .. })));
    assert!(parser.kept_line_bytes() <= LIMITS.max_header_bytes);
}

#[test]
fn an_error_is_returned_again() {
    let mut parser = Parser::new(&boundary(), LIMITS);
    parser.feed(Bytes::from_static(b"--bound?\r\n--bound--\r\n"));
    let first = parser.next_event();
    assert_eq!(first, Err(ParseError::GarbageAfterBoundary));
    parser.feed(Bytes::from_static(b"--bound--\r\n"));
    parser.finish();
    assert_eq!(parser.next_event(), first);
}

#[test]
fn the_end_is_returned_again() {
    let mut parser = Parser::new(&boundary(), LIMITS);
    assert_eq!(drive(&mut parser, [Bytes::from("--bound--")]), Ok(vec![]));
    parser.abort();
    assert_eq!(parser.next_event(), Ok(Event::End));
}

/// The transport reuses its buffer only if nobody keeps a slice of it.
#[tokio::test]
async fn no_frame_is_kept_when_the_next_one_is_polled() {
    struct Frame(Bytes, #[expect(dead_code, reason = "counts who is alive")] Arc<()>);
    impl AsRef<[u8]> for Frame {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    let body = format!("p\r\n--bound\r\n{HEAD}x\r\ny\r\n--bound\r\n{HEAD}\r\n--bound--\r\nend");
    for size in 1..=body.len() {
        let alive = Arc::new(());
        let watched = frames(body.as_bytes(), &[size]).into_iter().map(|frame| {
            assert_eq!(Arc::strong_count(&alive), 1, "frames of {size}");
            let owner = Frame(frame, Arc::clone(&alive));
            Ok::<_, Infallible>(Bytes::from_owner(owner))
        });
        let mut form = Multipart::new(stream::iter(watched), &boundary(), LIMITS);
        while form.next_part().await.unwrap().is_some() {
            while form.data().await.unwrap().is_some() {}
        }
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}

#[tokio::test]
async fn next_part_skips_the_rest_of_a_part() {
    let body = format!("--bound\r\n{HEAD}long data\r\n--bound\r\n{HEAD}y\r\n--bound--");
    let mut form = Multipart::new(ready(frames(body.as_bytes(), &[2])), &boundary(), LIMITS);
    assert!(form.next_part().await.unwrap().is_some());
    assert!(form.data().await.unwrap().is_some());
    assert!(form.next_part().await.unwrap().is_some());
    assert_eq!(form.data().await.unwrap().unwrap(), "y");
    assert_eq!(form.data().await.unwrap(), None);
    assert_eq!(form.data().await.unwrap(), None);
    assert_eq!(form.next_part().await.unwrap(), None);
    assert_eq!(form.next_part().await.unwrap(), None);
    assert_eq!(form.data().await.unwrap(), None);
}

#[tokio::test]
async fn there_is_no_data_before_the_first_part() {
    let body = format!("--bound\r\n{HEAD}x\r\n--bound--");
    let mut form = Multipart::new(ready(frames(body.as_bytes(), &[])), &boundary(), LIMITS);
    assert_eq!(form.data().await.unwrap(), None);
    assert!(form.next_part().await.unwrap().is_some());
}

#[tokio::test]
async fn after_an_error_of_the_stream_the_form_is_never_complete() {
    let reset = MultipartError::Body("reset");
    let truncated = MultipartError::Parse(ParseError::Truncated);
    let whole = format!("--bound\r\n{HEAD}x\r\n--bound--\r\n");
    let broken = stream::iter([Ok(Bytes::from(whole)), Err("reset")]);
    let mut form = Multipart::new(broken, &boundary(), LIMITS);
    assert!(form.next_part().await.unwrap().is_some());
    assert_eq!(form.next_part().await, Err(reset));
    assert_eq!(form.next_part().await, Err(truncated));

    let cut = Bytes::from(format!("--bound\r\n{HEAD}x"));
    let broken = stream::iter([Ok(cut), Err("reset")]);
    let mut form = Multipart::new(broken, &boundary(), LIMITS);
    assert!(form.next_part().await.unwrap().is_some());
    assert_eq!(form.data().await, Ok(Some(Bytes::from("x"))));
    assert_eq!(form.data().await, Err(reset));
    assert_eq!(form.data().await, Err(truncated));
    assert_eq!(form.next_part().await, Err(truncated));
}

#[test]
fn a_dropped_call_loses_nothing() {
    let polls = Cell::new(0_usize);
    let body = format!("--bound\r\n{HEAD}some data\r\n--bound--");
    let mut left = frames(body.as_bytes(), &[1]).into_iter();
    let stalling = stream::poll_fn(|_| {
        polls.set(polls.get() + 1);
        if polls.get() % 2 == 1 {
            std::task::Poll::Pending
        } else {
            std::task::Poll::Ready(left.next().map(Ok::<_, Infallible>))
        }
    });
    let mut form = Multipart::new(stalling, &boundary(), LIMITS);
    // Each `None` below is a future that was dropped while pending.
    while form.next_part().now_or_never().is_none() {}
    let mut read = Vec::new();
    loop {
        match form.data().now_or_never() {
            None => {}
            Some(Ok(Some(slice))) => read.extend_from_slice(&slice),
            Some(end) => break assert_eq!(end, Ok(None)),
        }
    }
    assert_eq!(read, b"some data");
}

#[test]
fn a_dropped_skip_never_costs_the_next_head() {
    let body = format!("--bound\r\n{HEAD}x\r\n--bound\r\n{HEAD}y\r\n--bound--");
    for calls_before_drop in 0..body.len() {
        let mut polls = 0;
        let mut left = frames(body.as_bytes(), &[1]).into_iter();
        let stalling_once = stream::poll_fn(|_| {
            polls += 1;
            if polls == calls_before_drop {
                return std::task::Poll::Pending;
            }
            std::task::Poll::Ready(left.next().map(Ok::<_, Infallible>))
        });
        let mut form = Multipart::new(stalling_once, &boundary(), LIMITS);
        let mut heads = 0;
        loop {
            match form.next_part().now_or_never() {
                Some(Ok(Some(_))) => heads += 1,
                Some(end) => break assert_eq!(end, Ok(None)),
                None => while let Some(Ok(Some(_))) = form.data().now_or_never() {},
            }
        }
        assert_eq!(heads, 2, "dropped at frame {calls_before_drop}");
    }
}

#[test]
fn a_boundary_is_read_from_the_content_type() {
    for (value, expected) in [
        ("multipart/form-data; boundary=abc", "abc"),
        ("Multipart/Form-Data;BOUNDARY=aBc", "aBc"),
        ("multipart/form-data; boundary=\"a b\"", "a b"),
        (" multipart/form-data ; charset=utf-8 ; boundary = abc ; ", "abc"),
        ("multipart/form-data; boundary=----=_Part_1:2/3", "----=_Part_1:2/3"),
    ] {
        let boundary = Boundary::from_content_type(value);
        assert_eq!(boundary.as_ref().map(Boundary::as_str), Ok(expected));
    }
    let longest = "x".repeat(MAX_BOUNDARY_BYTES);
    let value = format!("multipart/form-data; boundary={longest}");
    assert!(Boundary::from_content_type(&value).is_ok());
}

#[test]
fn a_content_type_without_a_valid_boundary_is_explained() {
    use BoundaryError::{Duplicate, Invalid, Missing, NotMultipart};
    let too_long = format!("multipart/form-data; boundary={}", "x".repeat(MAX_BOUNDARY_BYTES + 1));
    for (value, expected) in [
        ("", NotMultipart),
        ("application/json", NotMultipart),
        ("multipart/mixed; boundary=abc", NotMultipart),
        ("multipart/form-data-x; boundary=abc", NotMultipart),
        ("multipart/form-data", Missing),
        ("multipart/form-data; charset=utf-8;", Missing),
        ("multipart/form-data; boundary=", Invalid),
        ("multipart/form-data; boundary=\"\"", Invalid),
        ("multipart/form-data; boundary=\"abc", Invalid),
        ("multipart/form-data; boundary=\"abc\"d", Invalid),
        ("multipart/form-data; boundary=\"abc \"", Invalid),
        ("multipart/form-data; boundary=a b", Invalid),
        ("multipart/form-data; boundary=a\"b", Invalid),
        ("multipart/form-data; boundary=\"a\r\nb\"", Invalid),
        ("multipart/form-data; boundary=ab\u{e9}", Invalid),
        ("multipart/form-data; boundary", Invalid),
        (too_long.as_str(), Invalid),
        ("multipart/form-data; boundary=a; boundary=a", Duplicate),
        ("multipart/form-data; boundary=a; Boundary=\"b\"", Duplicate),
    ] {
        assert_eq!(Boundary::from_content_type(value), Err(expected), "{value}");
    }
}
