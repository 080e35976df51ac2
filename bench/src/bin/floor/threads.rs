//! One thread per connection, with blocking reads and writes. Knows no heads.

use std::io::{self, Read};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;

use crate::request::{BUFFER_BYTES, Exchange};

pub(crate) fn serve(listener: &TcpListener, folder: &Path, syncs: bool) -> io::Result<()> {
    for stream in listener.incoming() {
        let (stream, folder) = (stream?, folder.to_owned());
        thread::spawn(move || {
            if let Err(error) = connection(stream, &folder, syncs) {
                eprintln!("{error}");
            }
        });
    }
    Ok(())
}

fn connection(mut stream: TcpStream, folder: &Path, syncs: bool) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut exchange = Exchange::syncing(syncs);
    loop {
        let most = exchange.room().min(BUFFER_BYTES);
        let count = stream.read(&mut buffer[..most])?;
        if count == 0 {
            return Ok(());
        }
        exchange.take(&buffer[..count], &mut stream, folder)?;
    }
}
