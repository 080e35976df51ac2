//! A connection that sends bytes as they are, and reads everything that comes back, to its end.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// Maximum time that a test waits for the end of a connection. Only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a server sent on one connection before it closed it.
#[derive(Debug)]
pub(super) struct Said {
    /// The statuses of its replies, in order.
    pub(super) statuses: Vec<u16>,
    /// All bytes.
    pub(super) text: String,
}

/// Sends these bytes and reads until the server closes the connection. Bytes that it no longer reads are not an error.
pub(super) fn said(host: &str, bytes: &[u8]) -> Said {
    let mut stream = connect(host);
    let _ = stream.write_all(bytes);
    read(stream)
}

/// The same, and closes the sending side.
pub(super) fn said_to_all(host: &str, bytes: &[u8]) -> Said {
    let mut stream = connect(host);
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    read(stream)
}

/// Sends `head`, and then `piece` repeatedly, until the server stops reading or `most` bytes have been sent. Returns
/// the number of bytes.
pub(super) fn flood(host: &str, head: &[u8], piece: &[u8], most: u64) -> (Said, u64) {
    let mut stream = connect(host);
    let mut reader = stream.try_clone().expect("cloned");
    let answer = std::thread::spawn(move || read_to_end(&mut reader));
    let mut sent = 0;
    let _ = stream.write_all(head);
    while sent < most && stream.write_all(piece).is_ok() {
        sent += piece.len() as u64;
    }
    let _ = stream.shutdown(Shutdown::Write);
    (parse(&answer.join().expect("read")), sent)
}

fn connect(host: &str) -> TcpStream {
    let stream = TcpStream::connect(host).expect("connected");
    stream.set_nodelay(true).expect("set");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    stream.set_write_timeout(Some(PATIENCE)).expect("set");
    stream
}

fn read(mut stream: TcpStream) -> Said {
    parse(&read_to_end(&mut stream))
}

fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return all,
            Ok(length) => all.extend(&buffer[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return all,
            Err(error) => panic!("{error}: left open after {}", String::from_utf8_lossy(&all)),
        }
    }
}

fn parse(bytes: &[u8]) -> Said {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let heads = text.split("HTTP/1.1 ").skip(1);
    let statuses = heads.filter_map(|head| head.get(..3)?.parse().ok()).collect();
    Said { statuses, text }
}
