//! A connection that sends what no well-behaved client would: half a request, a wrong length, too much.

use std::io::{self, ErrorKind};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::{Client, Form, PATIENCE, Reply, Server};

/// A connection that sends bytes as they are.
pub(crate) struct Raw {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Raw {
    /// Connects.
    pub(crate) async fn connect(server: &Server) -> Self {
        let stream = TcpStream::connect(server.address).await.unwrap();
        Self { stream, received: Vec::new() }
    }

    /// Connects from another address of this machine.
    pub(crate) async fn connect_from(server: &Server, source: [u8; 4]) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((source, 0).into()).unwrap();
        Self { stream: socket.connect(server.address).await.unwrap(), received: Vec::new() }
    }

    /// Connects, and sends a form up to `missing` bytes before its end.
    pub(crate) async fn half_sent(
        server: &Server,
        client: &Client,
        form: &Form,
        missing: usize,
    ) -> Self {
        let request = Self::form(client, form);
        let mut raw = Self::connect(server).await;
        raw.send(&request[..request.len() - missing]).await;
        raw
    }

    /// The bytes of a complete request with this form.
    pub(crate) fn form(client: &Client, form: &Form) -> Vec<u8> {
        let body = form.encode();
        let range = form.content_range.as_ref();
        let range = range.map_or(String::new(), |range| format!("Content-Range: {range}\r\n"));
        let lines = format!(
            "{range}Content-Type: {}\r\nContent-Length: {}\r\n",
            Form::content_type(),
            body.len()
        );
        let head = Self::head("POST /api/v2/pm/upload/", client, &lines);
        [head.into_bytes(), body].concat()
    }

    /// The head of a request: method and path, the client's headers, and these lines.
    pub(crate) fn head(what: &str, client: &Client, lines: &str) -> String {
        let own = client.head_lines();
        format!("{what} HTTP/1.1\r\nHost: localhost\r\n{own}{lines}\r\n")
    }

    /// Sends.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        timeout(PATIENCE, self.write(bytes)).await.expect("the server reads").unwrap();
    }

    /// Sends to a server that may have closed the connection. Returns whether everything was sent.
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> bool {
        timeout(PATIENCE, self.write(bytes)).await.is_ok_and(|sent| sent.is_ok())
    }

    /// Sends these bytes repeatedly, one at a time with a pause in between, until the server replies or closes the
    /// connection. Returns the reply.
    pub(crate) async fn drip(&mut self, bytes: &[u8], pause: Duration) -> Option<Reply> {
        let mut pauses = tokio::time::interval(pause);
        let mut bytes = bytes.iter().cycle();
        let dripped = timeout(PATIENCE, async {
            loop {
                tokio::select! {
                    read = self.read() => return read.is_ok_and(|count| count > 0),
                    _ = pauses.tick() => {}
                }
                if self.write(&[*bytes.next().unwrap()]).await.is_err() {
                    return false;
                }
            }
        });
        if dripped.await.expect("the server loses patience") {
            return Some(self.reply().await);
        }
        None
    }

    /// Waits until the server closes the connection without sending anything more.
    pub(crate) async fn closed(&mut self) {
        let end = timeout(PATIENCE, self.read()).await.expect("the server closes");
        assert!(matches!(end, Ok(0) | Err(_)), "the server answers: {self:?}");
    }

    async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.stream.writable().await?;
            match self.stream.try_write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn read(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 4096];
        loop {
            self.stream.readable().await?;
            match self.stream.try_read(&mut buffer) {
                Ok(count) => {
                    self.received.extend(&buffer[..count]);
                    return Ok(count);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads one reply with a declared length.
    pub(crate) async fn reply(&mut self) -> Reply {
        timeout(PATIENCE, self.read_reply()).await.expect("the server answers")
    }

    async fn read_reply(&mut self) -> Reply {
        let head_end = loop {
            let end = self.received.windows(4).position(|w| w == b"\r\n\r\n");
            match end {
                Some(end) => break end + 4,
                None => self.read_more().await,
            }
        };
        let head = String::from_utf8(self.received[..head_end].to_vec()).unwrap();
        let mut lines = head.trim_end().lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let headers: http::HeaderMap = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| {
                let name: http::HeaderName = name.parse().unwrap();
                (name, http::HeaderValue::from_str(value).unwrap())
            })
            .collect();
        let length = headers.get("content-length");
        let length: usize = length.map_or(0, |length| length.to_str().unwrap().parse().unwrap());
        while self.received.len() < head_end + length {
            self.read_more().await;
        }
        let rest = self.received.split_off(head_end + length);
        let whole = std::mem::replace(&mut self.received, rest);
        Reply {
            status: status.parse().unwrap(),
            headers,
            body: Bytes::from(whole).slice(head_end..),
        }
    }

    async fn read_more(&mut self) {
        let count = self.read().await.unwrap();
        assert!(count > 0, "the server closed the connection: {self:?}");
    }
}

impl std::fmt::Debug for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.received))
    }
}
