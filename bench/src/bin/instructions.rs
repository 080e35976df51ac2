//! Parses one kind of form repeatedly, and prints how many bytes of files and fields it contained: `instructions KIND
//! COUNT`. `bench/instructions` counts the instructions. The forms are the same in every run; reads no clock.

use bytes::Bytes;

use http::multipart::{Boundary, Event, Limits, ParseError, Parser};

// Only the parser: nothing else has to be built with optimization, and nothing else can change the count.
#[allow(
    dead_code,
    unused_imports,
    clippy::struct_field_names,
    reason = "half of it is for the server, which has lints of its own"
)]
#[path = "../../../src/http"]
mod http {
    pub mod multipart;
}

const BOUNDARY: &str = "----WebKitFormBoundary7MA4YWxkTrZu0gW";
/// The size of one read from a connection.
const FRAME_BYTES: usize = 96 * 1024;
const CHUNK_BYTES: usize = 200 * 1024;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let kind = arguments.next().ok_or("which kind?")?;
    let count: usize = arguments.next().ok_or("how many?")?.parse()?;
    let body = Bytes::from(match kind.as_str() {
        "chunk" => form(&noise()),
        "crlf" => form(&b"\r\n".repeat(CHUNK_BYTES / 2)),
        "delimiters" => {
            form(&format!("\r\n--{}", &BOUNDARY[..30]).repeat(CHUNK_BYTES / 34).into_bytes())
        }
        "fields" => form(&[]),
        _ => return Err("chunk, crlf, delimiters or fields".into()),
    });
    let boundary =
        Boundary::from_content_type(&format!("multipart/form-data; boundary={BOUNDARY}"))?;
    let mut total = 0;
    for _ in 0..count {
        total += parse(&body, &boundary)?;
    }
    println!("{total}");
    Ok(())
}

fn parse(body: &Bytes, boundary: &Boundary) -> Result<usize, ParseError> {
    let mut parser = Parser::new(boundary, Limits::default());
    let mut frames = (0..body.len()).step_by(FRAME_BYTES);
    let mut bytes = 0;
    loop {
        match parser.next_event()? {
            Event::NeedData => match frames.next() {
                Some(at) => parser.feed(body.slice(at..body.len().min(at + FRAME_BYTES))),
                None => parser.finish(),
            },
            Event::Data(data) => bytes += data.len(),
            Event::Head(_) | Event::PartEnd => {}
            Event::End => return Ok(bytes),
        }
    }
}

/// A chunk as clients send it.
fn form(file: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in [
        ("partindex", "17"),
        ("totalparts", "52"),
        ("uuid", "3f0a5b7e-6c1d-4e8f-9a2b-0c1d2e3f4a5b"),
        ("partbyteoffset", "3481600"),
        ("chunksize", "204800"),
        ("totalfilesize", "10485760"),
    ] {
        let field = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
        body.extend_from_slice(field.as_bytes());
    }
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"clip.mp4\"\r\n\
         Content-Type: video/mp4\r\n\r\n"
    );
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(file);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    body
}

/// A chunk of a compressed file: all bytes are equally frequent (xorshift).
fn noise() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(CHUNK_BYTES);
    while bytes.len() < CHUNK_BYTES {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes
}
