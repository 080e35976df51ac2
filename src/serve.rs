//! The running server: routes on connections, and background work.

pub mod metrics;
mod routes;
mod watch;

use std::io;
use std::sync::Arc;

use hyper::service::service_fn;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::http::answer::answer;
use crate::http::send_memory::SendMemory;
use crate::http::server::{self, ConnectionLimits};

/// Serves until `shutdown` completes. Then it accepts no new connections, waits for requests in progress for the
/// configured time, and closes the records.
pub async fn serve(
    listeners: Vec<TcpListener>,
    app: Arc<App>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let config = &app.config;
    let limits = ConnectionLimits {
        count: config.max_connections,
        times: config.connection,
        shutdown: config.shutdown_timeout,
    };
    let stop = CancellationToken::new();
    let watch = tokio::spawn(watch::run(Arc::clone(&app), stop.clone()));
    let jobs = tokio::spawn(Arc::clone(&app.jobs).run());
    let shutdown = async {
        shutdown.await;
        stop.cancel();
    };
    let routes = Arc::new(routes::routes(config, Arc::clone(&app.http)));
    let memory = SendMemory::new(config.max_connections);
    let connected = |peer| {
        let (context, routes, share) = (Arc::clone(&app.http), Arc::clone(&routes), memory.share());
        service_fn(move |request| {
            answer(Arc::clone(&context), Arc::clone(&routes), request, peer, Arc::clone(&share))
        })
    };
    let context = Arc::clone(&app.http);
    let head_refused = move |peer, error: &hyper::Error| context.requests.head_refused(peer, error);
    let admission = Arc::clone(&app.http.admission);
    server::serve(listeners, limits, admission, connected, head_refused, shutdown).await;
    watch.abort();
    let _ = watch.await;
    app.jobs.stop();
    let _ = jobs.await; // a step that is still running would fail once the records are closed
    app.uploads.close().await.map_err(io::Error::other)
}
