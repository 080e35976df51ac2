//! What both kinds of floor share: heads, files and replies. Doesn't read from sockets.

use std::fs::{File, OpenOptions};
use std::io::{self, Error, ErrorKind, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Size of the buffer between socket and file.
pub(crate) const BUFFER_BYTES: usize = 256 * 1024;
const REPLY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
/// Longer than any head that the load generator sends.
const MAX_HEAD_BYTES: usize = 4096;

/// The state of a connection: the file it wrote to last, and the current request.
#[derive(Default)]
pub(crate) struct Exchange {
    file: Option<(String, File)>,
    /// Remaining bytes of the body; `None` between requests.
    missing: Option<u64>,
    /// Offset of the next byte.
    offset: u64,
    /// Size of the file.
    end: u64,
    /// Whether files are synced once they are complete.
    syncs: bool,
}

impl Exchange {
    /// Creates an exchange. `syncs` means that a file is synced before the reply to its last byte.
    pub(crate) fn syncing(syncs: bool) -> Self {
        Self { syncs, ..Self::default() }
    }

    /// Maximum number of bytes to read, so that none of a later request are among them.
    pub(crate) fn room(&self) -> usize {
        self.missing.map_or(usize::MAX, |missing| usize::try_from(missing).unwrap_or(usize::MAX))
    }

    /// Takes the bytes that were read, at least a whole head at first, and replies once the body is complete.
    pub(crate) fn take(
        &mut self,
        read: &[u8],
        stream: &mut TcpStream,
        folder: &Path,
    ) -> io::Result<()> {
        let body = if self.missing.is_none() { &read[self.begin(read, folder)?..] } else { read };
        let (Some((_, file)), Some(missing)) = (&self.file, &mut self.missing) else {
            return Err(invalid("no request"));
        };
        file.write_all_at(body, self.offset)?;
        self.offset += body.len() as u64;
        *missing -= body.len() as u64;
        if *missing == 0 {
            self.missing = None;
            if self.syncs && self.offset == self.end {
                file.sync_all()?;
            }
            stream.write_all(REPLY)?;
        }
        Ok(())
    }

    /// Reads a head and opens its file. Returns where the body begins.
    fn begin(&mut self, read: &[u8], folder: &Path) -> io::Result<usize> {
        let searched = &read[..read.len().min(MAX_HEAD_BYTES)];
        let end = searched
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .ok_or_else(|| invalid("the head came in pieces"))?;
        let head = Head::parse(&read[..end])?;
        if self.file.as_ref().is_none_or(|(name, _)| name != head.name) {
            let path = folder.join(head.name);
            let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
            self.file = Some((head.name.to_owned(), file));
        }
        (self.missing, self.offset, self.end) = (Some(head.length), head.offset, head.total);
        Ok(end + 4)
    }
}

struct Head<'a> {
    name: &'a str,
    offset: u64,
    /// Size of the file in bytes.
    total: u64,
    /// Size of the body in bytes.
    length: u64,
}

impl<'a> Head<'a> {
    fn parse(head: &'a [u8]) -> io::Result<Self> {
        let text = std::str::from_utf8(head).map_err(|_| invalid("the head is not text"))?;
        let mut lines = text.split("\r\n");
        let name = lines
            .next()
            .and_then(|line| line.strip_prefix("PUT /"))
            .and_then(|line| line.split(' ').next())
            .filter(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'))
            .ok_or_else(|| invalid("PUT /NAME is all there is"))?;
        let (mut length, mut offset, mut total) = (None, None, None);
        for (key, value) in lines.filter_map(|line| line.split_once(": ")) {
            if key.eq_ignore_ascii_case("content-length") {
                length = value.parse().ok();
            } else if key.eq_ignore_ascii_case("content-range") {
                let range = value.strip_prefix("bytes ").and_then(|range| range.split_once('-'));
                offset = range.and_then(|(first, _)| first.parse().ok());
                total = range.and_then(|(_, rest)| rest.split_once('/')?.1.parse().ok());
            }
        }
        Ok(Self {
            name,
            offset: offset.ok_or_else(|| invalid("Content-Range is missing"))?,
            total: total.ok_or_else(|| invalid("Content-Range has no total"))?,
            length: length.ok_or_else(|| invalid("Content-Length is missing"))?,
        })
    }
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::InvalidData, message)
}
