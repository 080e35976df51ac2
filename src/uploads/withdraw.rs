//! Withdrawing uploads that a chunk began which was then refused or broke off: they have no bytes, so nobody knows of them,
//! but they would count against their user's limits until they expire.
//!
//! The record must be there before the first byte is written, as it names the blob. So it is taken back afterwards, in one
//! transaction that finds no chunk in it, when nobody sends to it any more.

use std::sync::Arc;

use tracing::Instrument as _;

use super::entries::Entry;
use super::shared::Shared;
use super::{Refusal, records};
use crate::metadata::Generation;

/// Uploads looked for at once.
const BATCH: u32 = 1000;

/// [`withdraw`] in a task of its own.
pub(super) fn spawn(shared: &Arc<Shared>, entry: &Arc<Entry>) {
    let (shared, entry) = (Arc::clone(shared), Arc::clone(entry));
    tokio::spawn(async move { withdraw(&shared, &entry).await }.in_current_span());
}

/// Withdraws the upload if it never had a chunk and nobody sends to it. Whoever comes meanwhile waits, and begins it anew.
pub(super) async fn withdraw(shared: &Shared, entry: &Entry) {
    let _loading = entry.loading.lock().await;
    let Some(unused) = entry.take_unused() else { return };
    if let Err(error) = forget(shared, unused).await {
        let id = unused.upload;
        tracing::debug!(%id, %error, "an upload without chunks could not be withdrawn; it will be later");
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

/// Withdraws the uploads that a crash, or a failing database, has left without chunks.
pub(super) async fn withdraw_left(shared: &Shared) -> Result<usize, Refusal> {
    // Their senders, if there are any in another process, would have ended by then.
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
