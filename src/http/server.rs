//! Connections: the accept loop, their caps and time-outs, and the graceful stop. Serves any service.

mod listen;
mod patience;
mod stream;

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::Poll;
use std::time::Duration;

use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::send_memory::UNSENT_BYTES;
use crate::admission::{self, Address, Admission, Turn};
use crate::words::counted;
pub use listen::{BindError, Listen};
pub use patience::ConnectionTimes;
use patience::HeadTimer;
use stream::PatientStream;

/// The most that is read from a connection at once, and the longest head of a request. A connection has two such
/// buffers: one is filled while the other is written.
const READ_BYTES: usize = 96 * 1024;
/// The same for the first [`FEW`] connections: larger reads cost less for each byte, but not in memory.
const READ_BYTES_OF_FEW: usize = 256 * 1024;
const FEW: usize = 16;
/// A pause after running out of descriptors: the connections that hold them need time to end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections that wait because their address has too many; they hold a descriptor and nothing else.
const MAX_PARKED: usize = 256;
/// Descriptors beside those of connections: databases, the log, the listening socket, thumbnails, commands.
const OTHER_FILES: u64 = 128;
/// Fewer descriptors leave too few connections to serve anybody.
pub const FEWEST_FILES: u64 = 256;

/// Descriptors that so many connections may take: each has one of its own and one of the file that it reads or
/// writes; others are parked.
pub fn files_of(connections: usize) -> u64 {
    let parked = connections.min(MAX_PARKED);
    OTHER_FILES.saturating_add((connections.saturating_mul(2) as u64).saturating_add(parked as u64))
}

/// How many connections so many descriptors are enough for.
pub fn connections_within(files: u64) -> usize {
    let spare = usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX);
    (spare / 3).max(spare.saturating_sub(MAX_PARKED) / 2)
}

/// What connections may take.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Connections at once.
    pub count: usize,
    /// Waits for heads, between requests and for clients to take replies.
    pub times: ConnectionTimes,
    /// How long requests in flight may take to finish at the stop.
    pub shutdown: Duration,
}

/// Serves until `shutdown` is complete; then no new connections are taken, and requests in flight finish within the
/// configured time. Connections are taken from all listeners alike. `connected` gives the service for a connection from an address.
pub async fn serve<S>(
    listeners: Vec<TcpListener>,
    limits: ConnectionLimits,
    admission: Arc<Admission>,
    connected: impl Fn(IpAddr) -> S,
    shutdown: impl Future<Output = ()>,
) where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
{
    let stop = CancellationToken::new();
    let connections = TaskTracker::new();
    let doors = Doors {
        limits,
        admission,
        free: Arc::new(Semaphore::new(limits.count)),
        parked: Arc::new(Semaphore::new(MAX_PARKED.min(limits.count))),
    };
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        // At the cap, new connections wait in the system's queue.
        let next = async {
            let free = Arc::clone(&doors.free).acquire_owned().await;
            (free, accept(&listeners).await)
        };
        let (free, accepted) = tokio::select! {
            next = next => next,
            () = &mut shutdown => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (doors, stop, service) = (doors.clone(), stop.clone(), connected(peer.ip()));
                connections.spawn(async move {
                    let place = stop.run_until_cancelled(doors.place(free.ok(), peer)).await;
                    if let Some(Some(place)) = place {
                        connection(stream, peer, service, place, stop).await;
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listeners);
    stop.cancel();
    connections.close();
    if tokio::time::timeout(limits.shutdown, connections.wait()).await.is_err() {
        let requests = counted(connections.len(), "request");
        tracing::warn!("stopping with {requests} unfinished");
    }
}

/// The next connection of any of them.
async fn accept(listeners: &[TcpListener]) -> io::Result<(TcpStream, SocketAddr)> {
    poll_fn(|cx| {
        let ready = listeners.iter().map(|listener| listener.poll_accept(cx)).find(Poll::is_ready);
        ready.unwrap_or(Poll::Pending)
    })
    .await
}

/// How many connections there may be, in all and from one address.
#[derive(Clone)]
struct Doors {
    limits: ConnectionLimits,
    admission: Arc<Admission>,
    free: Arc<Semaphore>,
    parked: Arc<Semaphore>,
}

/// A connection's place among all and among those of its address; free again when dropped.
struct Place {
    doors: Doors,
    address: Option<Turn<Address>>,
    _free: OwnedSemaphorePermit,
}

impl Doors {
    /// A place for a connection that has been accepted. Where its address has too many, it gives back what it
    /// holds of the places of all and waits; nothing is read meanwhile. `None`: there is no place for it, or no
    /// room to wait. Then it is closed without an answer, as a reply to a request that nobody reads gets lost.
    async fn place(self, free: Option<OwnedSemaphorePermit>, peer: SocketAddr) -> Option<Place> {
        let addresses = self.admission.addresses();
        let Some(address) = self.admission.counted(peer.ip()) else {
            return Some(Place { _free: free?, address: None, doors: self });
        };
        if let Some(turn) = addresses.try_enter(address) {
            return Some(Place { _free: free?, address: Some(turn), doors: self });
        }
        drop(free);
        let turn = {
            let _parked = self.parked.try_acquire().ok()?;
            let turn = tokio::time::timeout(admission::PATIENCE, addresses.enter(address)).await;
            turn.ok()?.ok()?
        };
        let free = Arc::clone(&self.free).acquire_owned().await.ok()?;
        Some(Place { _free: free, address: Some(turn), doors: self })
    }
}

impl Place {
    /// The most to read from this connection at once.
    fn read_bytes(&self) -> usize {
        let taken = self.doors.limits.count - self.doors.free.available_permits();
        if taken <= FEW { READ_BYTES_OF_FEW } else { READ_BYTES }
    }

    /// Whether few places are left.
    fn is_scarce(&self) -> bool {
        let few = self.doors.limits.count / 4;
        self.doors.free.available_permits() < few
            || self.address.as_ref().is_some_and(Turn::is_scarce)
    }
}

async fn connection<S>(
    stream: TcpStream,
    peer: SocketAddr,
    service: S,
    place: Place,
    stop: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
{
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT_BYTES);
    let (waits, read_bytes) = (place.doors.limits.times, place.read_bytes());
    let came = Arc::new(AtomicBool::new(false));
    let stream = PatientStream::new(stream, waits.send, Arc::clone(&came));
    // The timer lives as long as the connection, and so does the place.
    let head_timer = HeadTimer::new(waits, came, Arc::new(move || place.is_scarce()));
    let connection = http1::Builder::new()
        .timer(head_timer)
        .half_close(true) // a client may close its side once it has sent its request
        .header_read_timeout(waits.head)
        .max_buf_size(read_bytes)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection ended early");
    }
}
