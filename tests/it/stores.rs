//! The two store contracts, written once as functions over the traits and run on every store there is.
//!
//! A contract takes a *fixture* that opens the store, and opens it again as after a restart. A new store
//! joins by a fixture and one line of `on_every_store!`.

#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::similar_names)] // test data is small, and a test has the names of its subject

mod blobs;
mod disk;
mod generations;
mod jobs;
mod listing;
mod pictures;
mod quotas;
mod races;
mod records;
mod singles;
mod sqlite;
mod uploads;

use std::sync::Arc;

use haversack::metadata::MetadataStore;
use haversack::storage::BlobStore;

/// A place for blobs that outlives the store opened on it.
pub(crate) trait Blobs {
    /// Opens the store, also again after the one before was dropped.
    fn open(&self) -> Arc<dyn BlobStore>;
}

/// A place for records that outlives the store opened on it.
pub(crate) trait Records {
    /// Opens the store, also again after the one before was dropped.
    fn open(&self) -> Arc<dyn MetadataStore>;
}

/// Makes a test of each contract: `on_every_store!(Fixture: module::{contract, …}, …)`.
macro_rules! on_every_store {
    ($fixture:ident: $($module:ident::{$($contract:ident),* $(,)?}),* $(,)?) => {
        $(mod $module {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $contract() {
                let fixture = super::$fixture::default();
                crate::stores::$module::$contract(&fixture).await;
            })*
        })*
    };
}
pub(crate) use on_every_store;
