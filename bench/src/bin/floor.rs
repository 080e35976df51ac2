//! The floor: what receiving a chunk and writing it at its offset costs when nothing else is done. One thread a
//! connection, one buffer a thread, the body written as it comes. It refuses to know forms, records, tokens and
//! hostile clients: `bench/run` compares servers with it and nothing else should run it.
//!
//! `PUT /NAME` with `Content-Length` and `Content-Range: bytes FIRST-LAST/TOTAL` writes the body into the file
//! NAME of the folder given as argument, at FIRST.

use std::fs::{File, OpenOptions};
use std::io::{self, Error, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;

const BUFFER_BYTES: usize = 256 * 1024;
const REPLY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

fn main() -> io::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or_else(|| invalid("which folder?"))?);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("listening on http://{}", listener.local_addr()?);
    for stream in listener.incoming() {
        let (stream, folder) = (stream?, folder.clone());
        thread::spawn(move || {
            if let Err(error) = serve(stream, &folder) {
                eprintln!("{error}");
            }
        });
    }
    Ok(())
}

/// One connection until its client closes it.
fn serve(mut stream: TcpStream, folder: &Path) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut open: Option<(String, File)> = None;
    loop {
        let Some((head, filled)) = receive_head(&mut stream, &mut buffer)? else {
            return Ok(());
        };
        let file = match open.take() {
            Some((name, file)) if name == head.name => file,
            _ => OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(folder.join(&head.name))?,
        };
        receive_body(&mut stream, &mut buffer, &head, filled, &file)?;
        stream.write_all(REPLY)?;
        open = Some((head.name, file));
    }
}

fn receive_body(
    stream: &mut TcpStream,
    buffer: &mut [u8],
    head: &Head,
    filled: usize,
    file: &File,
) -> io::Result<()> {
    let early = &buffer[head.end..filled];
    file.write_all_at(early, head.offset)?;
    let mut written = early.len() as u64;
    while written < head.length {
        let most = usize::try_from(head.length - written).unwrap_or(usize::MAX).min(buffer.len());
        let count = stream.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        file.write_all_at(&buffer[..count], head.offset + written)?;
        written += count as u64;
    }
    Ok(())
}

struct Head {
    name: String,
    offset: u64,
    /// Of the body, bytes.
    length: u64,
    /// Where the body begins in the buffer.
    end: usize,
}

/// The next request's head and how much of `buffer` is filled; none where the client has gone.
fn receive_head(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<Option<(Head, usize)>> {
    let mut filled = 0;
    loop {
        let count = stream.read(&mut buffer[filled..])?;
        if count == 0 {
            return if filled == 0 { Ok(None) } else { Err(ErrorKind::UnexpectedEof.into()) };
        }
        filled += count;
        // A head has a few hundred bytes; the body behind it is not searched.
        let searched = &buffer[..filled.min(4096)];
        if let Some(at) = searched.windows(4).position(|four| four == b"\r\n\r\n") {
            return Ok(Some((parse(&buffer[..at], at + 4)?, filled)));
        }
    }
}

fn parse(head: &[u8], end: usize) -> io::Result<Head> {
    let text = std::str::from_utf8(head).map_err(|_| invalid("the head is not text"))?;
    let mut lines = text.split("\r\n");
    let name = lines
        .next()
        .and_then(|line| line.strip_prefix("PUT /"))
        .and_then(|line| line.split(' ').next())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'))
        .ok_or_else(|| invalid("PUT /NAME is all there is"))?;
    let (mut length, mut offset) = (None, None);
    for (key, value) in lines.filter_map(|line| line.split_once(": ")) {
        if key.eq_ignore_ascii_case("content-length") {
            length = value.parse().ok();
        } else if key.eq_ignore_ascii_case("content-range") {
            let range = value.strip_prefix("bytes ").and_then(|range| range.split_once('-'));
            offset = range.and_then(|(first, _)| first.parse().ok());
        }
    }
    Ok(Head {
        name: name.to_owned(),
        offset: offset.ok_or_else(|| invalid("Content-Range is missing"))?,
        length: length.ok_or_else(|| invalid("Content-Length is missing"))?,
        end,
    })
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::InvalidData, message)
}
