//! The part of the records that only byte stores that write in place need.

use super::attempts::{statement, step};
use super::{PostgresStore, finish, trust};
use crate::ids::UploadId;
use crate::metadata::jobs::Job;
use crate::metadata::{Error, Finalizing, Generation, InPlaceRecords, Record, Snapshot};
use crate::part::{Part, PartIndex};

#[async_trait::async_trait]
impl InPlaceRecords for PostgresStore {
    async fn begin_boot(&self, boot: String) -> Result<(), Error> {
        step!(&self.database, tx => trust::begin_boot(tx, &boot, &self.database.options.node))
    }

    async fn suspects(&self, limit: u32) -> Result<Vec<Record>, Error> {
        Ok(self.page("suspect", &[], limit).await?.0)
    }

    async fn doubt(&self, of: Generation) -> Result<(), Error> {
        step!(&self.database, tx => trust::doubt(tx, of))
    }

    async fn believe_upload(
        &self,
        of: Generation,
        lost: Vec<(PartIndex, Part)>,
    ) -> Result<(), Error> {
        step!(&self.database, tx => trust::believe_upload(tx, of, &lost))
    }

    async fn believe_file(&self, id: UploadId) -> Result<(), Error> {
        statement!(write, &self.database, |pg, _again| trust::believe_file(pg, id))
    }

    async fn finalize_upload(
        &self,
        of: Snapshot,
        finalizing: Finalizing,
        leased_until: u64,
    ) -> Result<Option<(Job, Snapshot)>, Error> {
        step!(&self.database, tx => finish::finalize_upload(tx, of, &finalizing, self.holder(leased_until)))
    }
}
