//! Serving: the accept loop, time-outs, and the graceful stop. Knows no route.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::app::App;
use crate::{router, sweep};

/// The most that is read from a connection at once, and the longest head of a request.
const READ_BYTES: usize = 512 * 1024;
/// A pause after running out of descriptors: the connections that hold them need time to end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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
    let free = Arc::new(Semaphore::new(app.config.max_connections));
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        // At the cap, new connections wait in the system's queue.
        let next = async {
            let place = Arc::clone(&free).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            () = &mut shutdown => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let header_timeout = app.config.header_timeout;
                let connection =
                    connection(stream, peer, router.clone(), header_timeout, stop.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    header_timeout: Duration,
    stop: CancellationToken,
) {
    let _ = stream.set_nodelay(true);
    let service =
        router.map_request(move |request: Request<Incoming>| router::prepare(request, peer));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .half_close(true) // a client may close its side once it has sent its request
        .header_read_timeout(header_timeout)
        .max_buf_size(READ_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
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
