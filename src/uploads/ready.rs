//! Checks within a bounded time whether files and records can be written. A readiness probe doesn't wait long, least of
//! all while a disk hangs.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::shared::Shared;
use crate::storage::Unready;

/// Maximum duration of a check.
pub const TIMEOUT: Duration = Duration::from_secs(3);

/// The running checks. There is one of each kind at a time, since a check that hangs blocks a thread.
#[derive(Default)]
pub(super) struct Checks {
    files: Arc<Mutex<()>>,
    records: Arc<Mutex<()>>,
}

pub(super) async fn check(
    shared: &Shared,
    checks: &Checks,
) -> [(&'static str, Result<(), Unready>); 2] {
    let (blobs, metadata) = (Arc::clone(&shared.blobs), Arc::clone(&shared.metadata));
    let files = with_timeout("stored files", &checks.files, async move { blobs.check().await });
    let records = with_timeout("records", &checks.records, async move { metadata.check().await });
    let (files, records) = tokio::join!(files, records);
    [("files", files), ("records", records)]
}

/// Runs a check to its end, but waits for it only for a limited time.
async fn with_timeout(
    what: &'static str,
    running: &Arc<Mutex<()>>,
    check: impl Future<Output = Result<(), Unready>> + Send + 'static,
) -> Result<(), Unready> {
    let running = Arc::clone(running);
    let checked = async {
        let guard = running.lock_owned().await;
        let check = async move {
            let checked = check.await;
            drop(guard);
            checked
        };
        tokio::spawn(check)
            .await
            .unwrap_or_else(|panic| Err(Unready::Failed { what, source: Box::new(panic) }))
    };
    let secs = TIMEOUT.as_secs();
    tokio::time::timeout(TIMEOUT, checked).await.unwrap_or(Err(Unready::Slow { what, secs }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_hanging_check_is_reported_in_time_and_no_second_one_starts() {
        let running = Arc::default();
        for _ in 0..3 {
            let begun = tokio::time::Instant::now();
            let checked = with_timeout("records", &running, std::future::pending()).await;
            assert!(matches!(checked, Err(Unready::Slow { what: "records", .. })), "{checked:?}");
            assert_eq!(begun.elapsed(), TIMEOUT);
        }
        assert_eq!(Arc::strong_count(&running), 2, "only one check is running");
    }
}
