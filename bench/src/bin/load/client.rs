//! A kept-alive HTTP/1.1 connection that costs its own process as little as possible: bodies are slices of existing
//! buffers, and everything is sent in one vectored call. Doesn't know what requests mean.

use std::io::{self, Error, ErrorKind, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A server that sends nothing for this long has failed.
const PATIENCE: Duration = Duration::from_mins(2);
/// The end of a chunked body; good enough for replies of a few words.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// A complete reply.
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// The `Location` header.
    pub(crate) location: Option<String>,
    pub(crate) body: Vec<u8>,
    closes: bool,
}

impl Reply {
    /// Fails with the reply's text unless the status is 2xx.
    pub(crate) fn accepted(self) -> io::Result<Self> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        let text = String::from_utf8_lossy(&self.body);
        Err(Error::other(format!("status {}: {text}", self.status)))
    }
}

/// A connection, reopened if the server closed it.
pub(crate) struct Connection {
    address: SocketAddr,
    stream: TcpStream,
    /// For replies; reused.
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { address, stream: connect(address)?, buffer: vec![0; 256 * 1024] })
    }

    /// Sends the slices one after the other, and reads the reply.
    pub(crate) fn request(&mut self, slices: &[&[u8]]) -> io::Result<Reply> {
        self.send(slices)?;
        self.reply()
    }

    /// Sends the slices one after the other.
    pub(crate) fn send(&mut self, slices: &[&[u8]]) -> io::Result<()> {
        let mut slices: Vec<IoSlice> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
        let mut rest = &mut slices[..];
        while !rest.is_empty() {
            let count = self.stream.write_vectored(rest)?;
            if count == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
            IoSlice::advance_slices(&mut rest, count);
        }
        Ok(())
    }

    /// Reads the reply.
    pub(crate) fn reply(&mut self) -> io::Result<Reply> {
        let (head, body) = self.head()?;
        let mut reply =
            Reply { status: head.status, location: head.location, body, closes: head.closes };
        if let Some(length) = head.length {
            let missing = length - reply.body.len() as u64;
            (&mut self.stream).take(missing).read_to_end(&mut reply.body)?;
        } else {
            while !reply.body.ends_with(LAST_CHUNK) {
                let count = self.stream.read(&mut self.buffer)?;
                if count == 0 {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                reply.body.extend_from_slice(&self.buffer[..count]);
            }
        }
        if reply.closes {
            self.stream = connect(self.address)?;
        }
        Ok(reply)
    }

    /// Reads the reply and discards its body. Returns the status and the size of the body.
    pub(crate) fn discard_reply(&mut self) -> io::Result<(u16, u64)> {
        let (head, early) = self.head()?;
        let length = head.length.ok_or_else(|| invalid("a file without a length"))?;
        let mut missing = length - early.len() as u64;
        while missing > 0 {
            let most = usize::try_from(missing).unwrap_or(usize::MAX).min(self.buffer.len());
            let count = self.stream.read(&mut self.buffer[..most])?;
            if count == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            missing -= count as u64;
        }
        Ok((head.status, length))
    }

    /// Reads the head of a reply, and the part of its body that came with it.
    fn head(&mut self) -> io::Result<(Head, Vec<u8>)> {
        let mut filled = 0;
        loop {
            let count = self.stream.read(&mut self.buffer[filled..])?;
            if count == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            filled += count;
            let read = &self.buffer[..filled];
            if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                return Ok((Head::parse(&read[..at])?, read[at + 4..].to_vec()));
            }
        }
    }
}

struct Head {
    status: u16,
    /// Size of the body in bytes; `None` if it is chunked (RFC 9112, section 7.1).
    length: Option<u64>,
    location: Option<String>,
    closes: bool,
}

impl Head {
    fn parse(head: &[u8]) -> io::Result<Self> {
        let text = std::str::from_utf8(head).map_err(|_| invalid("a head that is not text"))?;
        let mut lines = text.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1))
            .and_then(|status| status.parse().ok())
            .ok_or_else(|| invalid("a reply without a status"))?;
        let mut head = Self { status, length: Some(0), location: None, closes: false };
        for (key, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            if key.eq_ignore_ascii_case("content-length") {
                head.length =
                    Some(value.parse().map_err(|_| invalid("a length that is no number"))?);
            } else if key.eq_ignore_ascii_case("transfer-encoding") {
                head.length = None;
            } else if key.eq_ignore_ascii_case("location") {
                head.location = Some(value.to_owned());
            } else if key.eq_ignore_ascii_case("connection") {
                head.closes = value.eq_ignore_ascii_case("close");
            }
        }
        Ok(head)
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}
