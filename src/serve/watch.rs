//! Checks once a minute whether uploads can be accepted.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::words;

/// How often to check.
const EVERY: Duration = Duration::from_mins(1);

/// Checks until `stop`, and logs an error each time if uploads are refused because a disk is full or missing. That
/// `--max-storage` is reached is a warning, once.
pub(super) async fn run(app: Arc<App>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut limit = StorageLimit::default();
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        for (what, outcome) in app.uploads.checks().await {
            if let Err(unready) = outcome {
                let (error, folder) = (unready.cause(), app.config.data_dir.display());
                tracing::error!(what, error, %folder, "refusing uploads");
            }
        }
        limit.look(&app).await;
    }
}

/// Whether uploads are refused because of `--max-storage`.
#[derive(Default)]
struct StorageLimit {
    /// Refusals at the last look.
    refusals: u64,
    /// Bytes that were stored when the last ones were seen, until fewer are.
    reached_at: Option<u64>,
}

/// What has changed since the last look.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Reached,
    Relieved,
}

impl StorageLimit {
    async fn look(&mut self, app: &App) {
        let Some(limit) = app.config.limits.quota.total_bytes else { return };
        let refusals = app.metrics.http.over_limit.with_label_values(&["max_storage"]).get();
        let Ok(stored) = app.stores().0.total_bytes().await else { return };
        let change = self.change(refusals, stored);
        let (stored, limit) = (words::bytes(stored), words::bytes(limit));
        match change {
            Some(Change::Reached) => {
                tracing::warn!(stored, limit, "refusing uploads that don't fit into --max-storage");
            }
            Some(Change::Relieved) => {
                tracing::info!(stored, limit, "there is more room in --max-storage again");
            }
            None => {}
        }
    }

    fn change(&mut self, refusals: u64, stored: u64) -> Option<Change> {
        let refused = refusals > std::mem::replace(&mut self.refusals, refusals);
        match self.reached_at {
            _ if refused => self.reached_at.replace(stored).is_none().then_some(Change::Reached),
            Some(before) if stored < before => {
                self.reached_at = None;
                Some(Change::Relieved)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_the_storage_limit_is_reached_and_that_it_no_longer_is_are_told_once() {
        let mut limit = StorageLimit::default();
        let looks = [(0, 90), (2, 99), (3, 100), (3, 100), (3, 80), (3, 70), (4, 99)];
        let changes = looks.map(|(refusals, stored)| limit.change(refusals, stored));
        let (reached, relieved) = (Some(Change::Reached), Some(Change::Relieved));
        assert_eq!(changes, [None, reached, None, None, relieved, None, Some(Change::Reached)]);
    }
}
