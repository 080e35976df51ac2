//! The two store contracts, written once as functions over the traits and run on every store there is.
//!
//! A contract takes a *fixture* that opens the store, and opens it again as after a restart. A new store
//! joins by a fixture and one line of `on_every_store!`.

#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::similar_names)] // test data is small, and a test has the names of its subject

mod append;
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

/// Makes a test of each contract of a store of bytes: `on_every_store_of_bytes!(Fixture)`.
macro_rules! on_every_store_of_bytes {
    ($fixture:ident) => {
        crate::stores::on_every_store!($fixture: blobs::{
            written_bytes_are_told_by_size_and_checksum,
            parts_written_in_any_order_make_the_file,
            parts_written_side_by_side_make_the_file,
            a_body_up_to_its_limit_is_taken_and_one_byte_more_refused,
            of_a_body_that_breaks_off_is_kept_what_came,
            each_frame_is_dropped_before_the_next_is_polled,
            settling_bytes_that_are_not_there_fails,
            settling_again_is_harmless,
            a_file_may_be_empty,
            every_range_of_a_file_in_pieces_can_be_read,
            a_reader_goes_anywhere_in_a_file_in_pieces,
            reading_what_is_not_there_fails_by_its_kind,
            rewriting_changes_the_patched_bytes_alone,
            deleted_blobs_are_gone_and_may_be_deleted_again,
            blobs_are_listed_by_their_age,
            bytes_outlive_the_store,
            a_healthy_store_says_so_and_its_probe_leaves_no_blob,
            a_store_keeps_its_mark,
        });
    };
}
pub(crate) use on_every_store_of_bytes;
