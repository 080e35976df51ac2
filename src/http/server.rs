//! Connections: the accept loop, limits and time-outs, and graceful shutdown. Serves any service.

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
use crate::admission::{self, Address, Admission, Permit};
use crate::words::counted;
pub use listen::{BindError, Listen};
pub use patience::ConnectionTimes;
use patience::HeadTimer;
use stream::PatientStream;

/// Maximum number of bytes read from a connection at once, and maximum size of a request head. A connection has two
/// buffers of this size: one is filled while the other is written to disk.
const READ_BYTES: usize = 96 * 1024;
/// The same for the first [`FEW`] connections: larger reads take less time per byte, but more memory.
const READ_BYTES_OF_FEW: usize = 256 * 1024;
const FEW: usize = 16;
/// Pause after running out of descriptors, during which connections may end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Maximum number of connections that are parked because their address has too many. A parked connection holds only a
/// descriptor.
const MAX_PARKED: usize = 256;
/// Descriptors for everything but connections: databases, the log, listening sockets, thumbnails, commands.
const OTHER_FILES: u64 = 128;
/// Minimum number of descriptors; fewer would allow too few connections.
pub const FEWEST_FILES: u64 = 256;

/// Number of descriptors needed for this many connections: one for each, one for the file that each may read or write,
/// and those of parked connections.
pub fn files_of(connections: usize) -> u64 {
    let parked = connections.min(MAX_PARKED);
    OTHER_FILES.saturating_add((connections.saturating_mul(2) as u64).saturating_add(parked as u64))
}

/// Number of connections that this many descriptors allow.
pub fn connections_within(files: u64) -> usize {
    let spare = usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX);
    (spare / 3).max(spare.saturating_sub(MAX_PARKED) / 2)
}

/// Limits on connections.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Maximum number of connections.
    pub count: usize,
    /// Time-outs for heads, between requests, and for clients to read replies.
    pub times: ConnectionTimes,
    /// How long shutdown waits for requests in progress.
    pub shutdown: Duration,
}

/// Serves until `shutdown` completes. Then it accepts no new connections and waits for requests in progress, for the
/// configured time. `connected` returns the service for a connection from an address. `head_refused` is told who sent a
/// head that isn't valid HTTP or is too large: hyper answers it, and closes the connection.
pub async fn serve<S>(
    listeners: Vec<TcpListener>,
    limits: ConnectionLimits,
    admission: Arc<Admission>,
    connected: impl Fn(IpAddr) -> S,
    head_refused: impl Fn(IpAddr, &hyper::Error) + Clone + Send + 'static,
    shutdown: impl Future<Output = ()>,
) where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
{
    let stop = CancellationToken::new();
    let connections = TaskTracker::new();
    let limiter = ConnectionLimiter {
        limits,
        admission,
        free: Arc::new(Semaphore::new(limits.count)),
        parked: Arc::new(Semaphore::new(MAX_PARKED.min(limits.count))),
    };
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        // At the limit, new connections wait in the system's queue.
        let next = async {
            let free = Arc::clone(&limiter.free).acquire_owned().await;
            (free, accept(&listeners).await)
        };
        let (free, accepted) = tokio::select! {
            next = next => next,
            () = &mut shutdown => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (limiter, stop, service) =
                    (limiter.clone(), stop.clone(), connected(peer.ip()));
                let head_refused = head_refused.clone();
                connections.spawn(async move {
                    let permit = stop.run_until_cancelled(limiter.admit(free.ok(), peer)).await;
                    if let Some(Some(permit)) = permit {
                        let ended = connection(stream, service, permit, stop).await;
                        if let Err(error) = ended {
                            tracing::debug!(%peer, %error, "connection ended early");
                            if error.is_parse() {
                                head_refused(peer.ip(), &error);
                            }
                        }
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "can't accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listeners);
    stop.cancel();
    connections.close();
    if tokio::time::timeout(limits.shutdown, connections.wait()).await.is_err() {
        let requests = counted(connections.len(), "request");
        tracing::warn!("stopped waiting: {requests} cut off");
    }
}

/// Accepts the next connection from any listener.
async fn accept(listeners: &[TcpListener]) -> io::Result<(TcpStream, SocketAddr)> {
    poll_fn(|cx| {
        let ready = listeners.iter().map(|listener| listener.poll_accept(cx)).find(Poll::is_ready);
        ready.unwrap_or(Poll::Pending)
    })
    .await
}

/// Limits connections, in total and per address.
#[derive(Clone)]
struct ConnectionLimiter {
    limits: ConnectionLimits,
    admission: Arc<Admission>,
    free: Arc<Semaphore>,
    parked: Arc<Semaphore>,
}

/// Counts a connection in the total and for its address, until dropped.
struct ConnectionPermit {
    limiter: ConnectionLimiter,
    address: Option<Permit<Address>>,
    _free: OwnedSemaphorePermit,
}

impl ConnectionLimiter {
    /// Admits an accepted connection. If its address has too many connections, the connection stops counting in the
    /// total and is parked: nothing is read from it until there is a permit. Returns `None` if too many are parked.
    /// Then the connection is closed without a reply, which would be lost anyway because the request was not read.
    async fn admit(
        self,
        free: Option<OwnedSemaphorePermit>,
        peer: SocketAddr,
    ) -> Option<ConnectionPermit> {
        let addresses = self.admission.addresses();
        let Some(address) = self.admission.counted(peer.ip()) else {
            return Some(ConnectionPermit { _free: free?, address: None, limiter: self });
        };
        if let Some(permit) = addresses.try_enter(address) {
            return Some(ConnectionPermit { _free: free?, address: Some(permit), limiter: self });
        }
        drop(free);
        let permit = {
            let _parked = self.parked.try_acquire().ok()?;
            let permit = tokio::time::timeout(admission::PATIENCE, addresses.enter(address)).await;
            permit.ok()?.ok()?
        };
        let free = Arc::clone(&self.free).acquire_owned().await.ok()?;
        Some(ConnectionPermit { _free: free, address: Some(permit), limiter: self })
    }
}

impl ConnectionPermit {
    /// Maximum number of bytes to read from this connection at once.
    fn read_bytes(&self) -> usize {
        let taken = self.limiter.limits.count - self.limiter.free.available_permits();
        if taken <= FEW { READ_BYTES_OF_FEW } else { READ_BYTES }
    }

    /// Whether connections are scarce.
    fn is_scarce(&self) -> bool {
        let few = self.limiter.limits.count / 4;
        self.limiter.free.available_permits() < few
            || self.address.as_ref().is_some_and(Permit::is_scarce)
    }
}

async fn connection<S>(
    stream: TcpStream,
    service: S,
    permit: ConnectionPermit,
    stop: CancellationToken,
) -> hyper::Result<()>
where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
{
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT_BYTES);
    let (waits, read_bytes) = (permit.limiter.limits.times, permit.read_bytes());
    let came = Arc::new(AtomicBool::new(false));
    let stream = PatientStream::new(stream, waits.send, Arc::clone(&came));
    // The timer lives as long as the connection, and so does the permit.
    let head_timer = HeadTimer::new(waits, came, Arc::new(move || permit.is_scarce()));
    let connection = http1::Builder::new()
        .timer(head_timer)
        .half_close(true) // a client may close its side after sending its request
        .header_read_timeout(waits.head)
        .max_buf_size(read_bytes)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}
