//! One thread and one buffer for all connections. Knows no heads.

use std::io::{self, ErrorKind, Read};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use crate::request::{BUFFER_BYTES, Exchange};

const LISTENER: u64 = u64::MAX;

pub(crate) fn serve(listener: &TcpListener, folder: &Path) -> io::Result<()> {
    let waiting = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&waiting, listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut connections: Vec<Option<(TcpStream, Exchange)>> = Vec::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut events = Vec::with_capacity(64);
    loop {
        events.clear();
        epoll::wait(&waiting, spare_capacity(&mut events), None)?;
        for event in &events {
            let data = event.data;
            if data.u64() == LISTENER {
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                let key = EventData::new_u64(connections.len() as u64);
                epoll::add(&waiting, &stream, key, EventFlags::IN)?;
                connections.push(Some((stream, Exchange::default())));
                continue;
            }
            let slot = usize::try_from(data.u64()).ok().and_then(|at| connections.get_mut(at));
            let Some(slot) = slot else { continue };
            if let Some(connection) = slot
                && let Err(error) = read_once(connection, &mut buffer, folder)
            {
                if error.kind() != ErrorKind::UnexpectedEof {
                    eprintln!("{error}");
                }
                *slot = None; // closing also removes it from epoll
            }
        }
    }
}

fn read_once(
    (stream, exchange): &mut (TcpStream, Exchange),
    buffer: &mut [u8],
    folder: &Path,
) -> io::Result<()> {
    let most = exchange.room().min(buffer.len());
    let count = stream.read(&mut buffer[..most])?; // doesn't block, because there is something to read
    if count == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    exchange.take(&buffer[..count], stream, folder)
}
