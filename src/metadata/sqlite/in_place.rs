//! The part of the records that only byte stores that write in place need.

use rusqlite::Connection;

use super::{SqliteStore, rows, steps};
use crate::ids::UploadId;
use crate::metadata::jobs::Job;
use crate::metadata::{Error, Finalizing, Generation, InPlaceRecords, Record, Snapshot};
use crate::part::{Part, PartIndex};

#[async_trait::async_trait]
impl InPlaceRecords for SqliteStore {
    async fn begin_boot(&self, boot: String) -> Result<(), Error> {
        self.committer.submit_durable(move |tx| steps::begin_boot(tx, &boot)).await
    }

    async fn suspects(&self, limit: u32) -> Result<Vec<Record>, Error> {
        self.read_long(move |connection| rows::suspects(connection, limit)).await
    }

    async fn doubt(&self, of: Generation) -> Result<(), Error> {
        self.committer.submit(move |tx| steps::doubt(tx, of)).await
    }

    async fn believe_upload(
        &self,
        of: Generation,
        lost: Vec<(PartIndex, Part)>,
    ) -> Result<(), Error> {
        self.committer.submit_durable(move |tx| steps::believe_upload(tx, of, &lost)).await
    }

    async fn believe_file(&self, id: UploadId) -> Result<(), Error> {
        self.committer.submit_durable(move |tx| steps::believe_file(tx, id)).await
    }

    async fn finalize_upload(
        &self,
        of: Snapshot,
        finalizing: Finalizing,
        leased_until: u64,
    ) -> Result<Option<(Job, Snapshot)>, Error> {
        let finalize =
            move |tx: &Connection| steps::finalize_upload(tx, of, &finalizing, leased_until);
        self.committer.submit_durable(finalize).await
    }
}
