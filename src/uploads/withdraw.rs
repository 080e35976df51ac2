//! Withdraws uploads whose first chunk was refused or broke off. They have no bytes, so no client knows about them, but
//! they would count against their user's limits until they expire.
//!
//! The record must exist before the first byte is written, because it names the blob. It is therefore withdrawn
//! afterwards, when it has no sender, in one transaction that checks that it has no chunk.

use std::sync::Arc;

use super::entries::Entry;
use super::shared::Shared;
use super::{Refusal, records};
use crate::metadata::Generation;
use crate::telemetry::on_behalf;

/// Number of uploads looked up at once.
const BATCH: u32 = 1000;

/// Calls [`withdraw`] in a task of its own.
pub(super) fn spawn(shared: &Arc<Shared>, entry: &Arc<Entry>) {
    let (shared, entry) = (Arc::clone(shared), Arc::clone(entry));
    tokio::spawn(on_behalf(async move { withdraw(&shared, &entry).await }));
}

/// Withdraws the upload if it never had a chunk and has no sender. A request that arrives meanwhile waits, and begins
/// it anew.
pub(super) async fn withdraw(shared: &Shared, entry: &Entry) {
    let _loading = entry.loading.lock().await;
    let Some(unused) = entry.take_unused() else { return };
    if let Err(error) = forget(shared, unused).await {
        let id = unused.upload;
        tracing::debug!(%id, %error, "can't withdraw an upload without chunks yet");
    }
}

async fn forget(shared: &Shared, unused: Generation) -> Result<bool, Refusal> {
    let now = shared.clock.unix_secs();
    let is_withdrawn = shared.metadata.withdraw_upload(unused, now).await?;
    if is_withdrawn {
        shared.jobs.job_added(); // to delete its blob
    }
    Ok(is_withdrawn)
}

/// Withdraws the uploads without chunks that a crash or a failing database left behind.
pub(super) async fn withdraw_unused(shared: &Shared) -> Result<usize, Refusal> {
    // Senders in another process, if there were any, would have ended by then.
    let begun_before = shared.clock.unix_secs_ago(shared.limits.max_age);
    let mut count = 0;
    for id in shared.metadata.unused_uploads(begun_before, BATCH).await? {
        let entry = shared.entries.get(id);
        let _loading = entry.loading.lock().await;
        if records::loaded(shared, &entry).await?
            && let Some(unused) = entry.take_unused()
        {
            count += usize::from(forget(shared, unused).await?);
        }
    }
    Ok(count)
}
