//! The two store contracts, written once as functions over the traits and run on every store there is.
//!
//! A contract takes a *fixture* that opens the store, and opens it again as after a restart. A new store
//! joins by a fixture and one line of `on_every_store!`.

#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::similar_names)] // test data is small, and a test has the names of its subject

pub(crate) mod blobs;
mod disk;
mod extents;
mod generations;
mod jobs;
mod listing;
mod memory;
mod pictures;
mod quotas;
mod races;
pub(crate) mod records;
mod singles;
mod sqlite;
mod uploads;

use std::sync::Arc;

use haversack::metadata::MetadataStore;
use haversack::storage::BlobStore;

pub(crate) use memory::MemoryStore;

/// The variable that names the store in which servers keep bytes: `memory`, or else the disk.
pub(crate) const STORE: &str = "HAVERSACK_TEST_STORE";

/// The store of a new server's bytes; `None`: its data directory.
pub(crate) fn store_of_bytes() -> Option<MemoryStore> {
    match std::env::var(STORE).as_deref() {
        Err(_) => None,
        Ok("memory") => Some(MemoryStore::default()),
        Ok(other) => panic!("{STORE} is {other}"),
    }
}

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
