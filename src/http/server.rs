//! Serving: the accept loop, caps and time-outs of connections, and the graceful stop. Knows no route.

mod patience;
mod stream;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::{Address, Turn};
use crate::app::App;
use crate::http::send_memory::UNSENT_BYTES;
use crate::{admission, router, sweep};
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

/// Serves until `shutdown` is complete; then no new connections are taken, requests in flight finish
/// within the configured time, and the records are closed.
pub async fn serve(
    listener: TcpListener,
    app: Arc<App>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let stop = CancellationToken::new();
    let connections = TaskTracker::new();
    let sweeper = tokio::spawn(sweep::run(Arc::clone(&app), stop.clone()));
    accept(listener, &app, &connections, &stop, shutdown).await;
    stop.cancel();
    connections.close();
    if tokio::time::timeout(app.config.shutdown_timeout, connections.wait()).await.is_err() {
        tracing::warn!(open = connections.len(), "stopping with requests unfinished");
    }
    sweeper.abort(); // between its transactions it leaves nothing half done
    let _ = sweeper.await; // a step that is just being taken would fail without what is closed next
    app.uploads.close().await.map_err(io::Error::other)
}

async fn accept(
    listener: TcpListener,
    app: &Arc<App>,
    connections: &TaskTracker,
    stop: &CancellationToken,
    shutdown: impl Future<Output = ()>,
) {
    let router = router::router(Arc::clone(app));
    let doors = Doors {
        app: Arc::clone(app),
        free: Arc::new(Semaphore::new(app.config.max_connections)),
        parked: Arc::new(Semaphore::new(MAX_PARKED.min(app.config.max_connections))),
    };
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        // At the cap, new connections wait in the system's queue.
        let next = async {
            let free = Arc::clone(&doors.free).acquire_owned().await;
            (free, listener.accept().await)
        };
        let (free, accepted) = tokio::select! {
            next = next => next,
            () = &mut shutdown => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (doors, router, stop) = (doors.clone(), router.clone(), stop.clone());
                connections.spawn(async move {
                    let place = stop.run_until_cancelled(doors.place(free.ok(), peer)).await;
                    if let Some(Some(place)) = place {
                        connection(stream, peer, router, place, stop).await;
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// How many connections there may be, in all and from one address.
#[derive(Clone)]
struct Doors {
    app: Arc<App>,
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
        let addresses = self.app.admission.addresses();
        let Some(address) = self.app.admission.counted(peer.ip()) else {
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
        let taken = self.doors.app.config.max_connections - self.doors.free.available_permits();
        if taken <= FEW { READ_BYTES_OF_FEW } else { READ_BYTES }
    }

    /// Whether few places are left.
    fn is_scarce(&self) -> bool {
        let few = self.doors.app.config.max_connections / 4;
        self.doors.free.available_permits() < few
            || self.address.as_ref().is_some_and(Turn::is_scarce)
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    place: Place,
    stop: CancellationToken,
) {
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT_BYTES);
    let app = Arc::clone(&place.doors.app);
    let (waits, read_bytes) = (app.config.connection, place.read_bytes());
    let share = app.send_memory.share();
    let service = service_fn(move |request| {
        router::answer(Arc::clone(&app), router.clone(), request, peer.ip(), Arc::clone(&share))
    });
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
