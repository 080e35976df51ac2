//! The blocking pool.

use std::io;

use crate::telemetry::in_thread;

/// Runs file operations that may wait for the disk on the blocking pool.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(in_thread(work))
        .await
        .unwrap_or_else(|panic| Err(io::Error::other(panic)))
}
