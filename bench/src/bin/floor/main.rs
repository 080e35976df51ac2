//! The floor: the cost of receiving a chunk and writing it at its offset, and nothing else. It has no forms, records,
//! tokens, or protection from hostile clients: `bench/run` compares servers with it, and it isn't meant for anything
//! else.
//!
//! `floor FOLDER threads` has one thread per connection, and `floor FOLDER epoll` one for all. `floor FOLDER sync` has
//! threads, and syncs each file before the reply to its last byte. `PUT /NAME` with `Content-Length` and
//! `Content-Range: bytes FIRST-LAST/TOTAL` writes the body into FOLDER/NAME at FIRST.

mod epoll;
mod request;
mod threads;

use std::io;
use std::net::TcpListener;
use std::path::PathBuf;

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder =
        PathBuf::from(arguments.next().ok_or_else(|| io::Error::other("no folder given"))?);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("listening on http://{}", listener.local_addr()?);
    match arguments.next().as_deref() {
        Some("threads") => threads::serve(&listener, &folder, false),
        Some("sync") => threads::serve(&listener, &folder, true),
        Some("epoll") => epoll::serve(&listener, &folder),
        _ => Err(io::Error::other("the mode must be threads, epoll or sync")),
    }
}
