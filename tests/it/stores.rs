//! The contracts of both stores, written once as functions over the traits and run on every store.
//!
//! A contract takes a *fixture* that opens the store, and opens it again as after a restart. A new store
//! joins by a fixture and one line of `on_every_store!`.

#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::similar_names)] // test data is small, and a test has the names of its subject

mod append;
mod away;
pub(crate) mod blobs;
pub(crate) mod cluster;
mod disk;
mod extents;
mod full;
mod generations;
mod hunt;
mod jobs;
mod listing;
mod lost_replies;
mod memory;
mod moved;
mod pictures;
pub(crate) mod postgres;
mod proxy;
mod quotas;
mod races;
pub(crate) mod records;
mod singles;
mod sqlite;
mod standby;
mod tls;
mod trips;
mod uploads;
mod waits;
mod withdrawn;

use std::path::Path;
use std::sync::Arc;

use haversack::metadata::MetadataStore;
use haversack::metadata::postgres::{PostgresOptions, PostgresStore};
use haversack::metadata::sqlite::SqliteStore;
use haversack::storage::{BlobStore, Durability};

pub(crate) use memory::MemoryStore;

/// The variable that selects the byte store of servers: `memory`; the disk if it is unset.
pub(crate) const STORE: &str = "HAVERSACK_TEST_STORE";

/// Returns the byte store of a new server; `None` for its data directory.
pub(crate) fn store_of_bytes() -> Option<MemoryStore> {
    match std::env::var(STORE).as_deref() {
        Err(_) => None,
        Ok("memory") => Some(MemoryStore::default()),
        Ok(other) => panic!("{STORE} is {other}"),
    }
}

/// The variable that selects the database of servers: `postgres`; SQLite in the data directory if it is unset.
pub(crate) const DATABASE: &str = "HAVERSACK_TEST_DATABASE";

/// Returns the database URL of a new server; `None` for the database in its data directory.
pub(crate) fn database_of_records() -> Option<String> {
    match std::env::var(DATABASE).as_deref() {
        Err(_) => None,
        Ok("postgres") => Some(cluster::Cluster::shared().fresh()),
        Ok(other) => panic!("{DATABASE} is {other}"),
    }
}

/// The records of two servers. Each connects to PostgreSQL itself, as a process of its own would; a SQLite database, which
/// only one process can use, they share.
pub(crate) async fn records_of_two_servers(dir: &Path) -> [Arc<dyn MetadataStore>; 2] {
    let Some(url) = database_of_records() else {
        let shared: Arc<dyn MetadataStore> =
            Arc::new(SqliteStore::open(dir).expect("the store opens"));
        return [shared.clone(), shared];
    };
    let connect = async |node: &str| {
        let options = PostgresOptions { node: node.into(), ..postgres::options(&url) };
        let opened = PostgresStore::open(options, Durability::default()).await;
        Arc::new(opened.expect("the store opens")) as Arc<dyn MetadataStore>
    };
    [connect("first").await, connect("second").await]
}

/// A place for blobs that outlives the store opened on it.
pub(crate) trait Blobs {
    /// Opens the store, or opens it again after it was dropped.
    fn open(&self) -> Arc<dyn BlobStore>;
}

/// A place for records that outlives the store opened on it.
pub(crate) trait Records {
    /// Opens the store, or opens it again after it was dropped.
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
            writing_returns_size_and_checksum,
            parts_written_in_any_order_make_the_file,
            parts_written_concurrently_make_the_file,
            a_body_up_to_the_limit_is_accepted_and_one_byte_more_is_refused,
            an_interrupted_body_keeps_the_bytes_that_arrived,
            each_frame_is_dropped_before_the_next_is_polled,
            settling_missing_bytes_fails,
            settling_again_is_harmless,
            a_file_may_be_empty,
            every_range_of_a_file_of_several_extents_can_be_read,
            a_reader_seeks_anywhere_in_a_file_of_several_extents,
            reading_missing_bytes_returns_the_matching_error,
            rewriting_changes_only_the_patched_bytes,
            deleting_blobs_is_idempotent,
            blobs_are_listed_by_their_age,
            bytes_outlive_the_store,
            the_check_of_a_healthy_store_succeeds_and_leaves_no_blob,
            a_store_keeps_its_marker,
        });
    };
}
pub(crate) use on_every_store_of_bytes;

/// Makes a test of each contract of a store of records: `on_every_store_of_records!(Fixture)`.
macro_rules! on_every_store_of_records {
    ($fixture:ident) => {
        crate::stores::on_every_store!($fixture:
            append::{
                bytes_are_accepted_only_at_the_end,
                of_concurrent_appends_at_one_offset_the_first_wins,
                large_appends_are_separate_parts,
                the_total_can_be_set_only_once,
                the_last_byte_adds_the_job_that_finishes,
                an_upload_is_either_indexed_or_in_order,
                joining_partial_uploads_moves_no_bytes,
                a_joined_upload_that_restarts_keeps_its_job,
                only_complete_partial_uploads_are_joined,
                a_copy_replaces_the_joined_blobs,
            },
            extents::{
                parts_in_separate_blobs_are_loaded,
                a_refused_part_claims_nothing,
                a_file_has_the_extents_of_its_parts_or_of_the_rewritten_bytes,
                removing_deletes_all_blobs_in_one_job,
                an_upload_with_parts_in_separate_blobs_can_restart,
                a_lost_part_can_be_recorded_again_in_another_blob,
                an_empty_file_has_no_blob,
            },
            records::{
                removing_an_upload_deletes_its_bytes_once,
                a_removed_upload_accepts_nothing_any_more,
                removing_a_file_removes_its_thumbnails,
                removing_a_thumbnail_keeps_its_media,
                only_the_backend_can_remove_an_attached_file,
                only_uuids_remain_of_an_erased_user,
                users_whose_ids_differ_in_one_byte_are_different,
                an_unfinished_upload_cannot_be_attached,
                blobs_are_claimed_until_their_records_forget_them,
                the_first_link_key_is_made_once,
                rotated_keys_are_accepted_until_their_date,
                the_check_of_a_healthy_store_succeeds,
                unknown_uuids_are_not_found,
            },
            uploads::{
                a_new_upload_is_recorded_as_given,
                a_uuid_can_begin_only_once,
                at_the_cap_only_an_idle_upload_is_evicted,
                the_cap_counts_only_unfinished_uploads_of_one_user,
                parts_are_recorded_in_any_order,
                numbers_of_a_part_are_stored_up_to_their_limits,
                a_second_part_with_the_same_index_is_refused,
                parts_outside_any_receiving_upload_are_refused,
                a_part_that_contradicts_the_whole_is_refused,
                finishing_makes_a_file_once,
                what_an_earlier_boot_left_is_suspect_until_it_is_compared,
                finalizing_survives_a_crash_until_the_upload_is_finished,
                a_restarted_upload_is_not_finalizing,
                idle_uploads_expire,
                at_most_the_requested_number_of_uploads_expires,
                a_forgotten_expired_uuid_can_begin_again,
                only_expired_uploads_are_forgotten,
                all_records_outlive_the_store,
            },
            withdrawn::{
                an_upload_that_never_had_a_chunk_is_withdrawn_once,
                used_uploads_are_not_withdrawn,
            },
            generations::{
                requests_of_an_expired_generation_do_not_change_its_successor,
                requests_begun_before_a_restart_change_nothing_after_it,
                the_first_of_two_overlapping_parts_is_kept,
                offsets_of_parts_ascend_with_their_indexes,
                an_ended_upload_accepts_no_part,
                a_snapshot_from_before_parts_were_lost_cannot_finish,
                a_suspect_upload_is_not_finished_before_it_is_compared,
                no_parts_are_forgotten_while_bytes_are_overwritten,
                one_of_two_finishes_wins_and_its_facts_are_kept,
                a_file_is_made_of_exactly_the_parts_of_the_upload,
                bytes_of_a_restarted_upload_are_deleted_once,
                many_parts_of_an_ended_upload_are_forgotten_in_batches,
                few_parts_of_an_ended_upload_are_forgotten_at_once,
                parts_of_a_receiving_upload_are_not_forgotten,
            },
            singles::{
                a_single_file_is_finished_as_it_is_stored,
                a_uuid_is_stored_once_whatever_it_named_before,
                a_thumbnail_of_an_unknown_or_removed_media_is_refused,
                a_thumbnail_of_another_users_media_is_refused,
                an_attached_file_keeps_its_name,
                the_first_name_set_by_a_done_request_is_final,
                a_name_that_arrives_during_a_done_request_replaces_a_made_up_one,
            },
            quotas::{
                bytes_and_files_count_until_they_are_forgotten,
                finishing_releases_unneeded_reservations,
                reservations_beyond_the_quota_are_refused,
                uploads_over_the_quota_leave_no_record,
                a_thumbnail_does_not_count_as_a_file_and_its_picture_is_free,
            },
            pictures::{
                a_sent_thumbnail_is_shown_once_a_picture_was_made_of_it,
                a_second_thumbnail_replaces_the_first,
                a_late_picture_of_an_older_thumbnail_replaces_nothing,
                a_broken_thumbnail_is_never_shown,
                a_thumbnail_without_its_picture_yet_is_replaced_at_once,
                a_broken_thumbnail_keeps_the_one_that_the_server_made,
                an_attached_media_accepts_no_other_thumbnail,
                a_late_picture_does_not_change_an_attached_media,
                an_attached_media_without_a_thumbnail_accepts_a_late_picture,
                a_thumbnail_may_arrive_before_its_media_is_finished,
                a_picture_of_a_media_becomes_its_thumbnail,
                a_sent_thumbnail_replaces_the_one_that_the_server_made,
                a_media_with_a_thumbnail_needs_no_picture,
                a_picture_of_a_removed_file_is_deleted,
                only_the_picture_of_the_lease_holder_is_kept,
                ending_a_drawing_again_discards_the_second_picture,
            },
            jobs::{
                a_job_is_taken_once_it_is_due,
                only_one_job_per_kind_and_subject_is_recorded,
                users_take_turns,
                jobs_of_users_who_must_wait_are_passed_over,
                a_lease_can_be_renewed_until_the_job_is_taken_by_another,
                a_job_that_ends_the_process_three_times_is_set_aside,
                returning_a_job_counts_as_no_failure,
                a_failed_job_is_delayed_and_keeps_its_error,
                a_periodic_job_runs_again,
                a_job_postponed_by_a_fast_clock_is_due,
                jobs_taken_concurrently_are_taken_once_each,
                jobs_are_listed_page_by_page,
                jobs_outlive_the_store,
                doubting_an_upload_adds_a_compare_job,
                forgetting_a_user_forgets_jobs_on_removed_uploads,
            },
            listing::{
                uploads_and_files_are_listed_newest_first,
                the_list_omits_thumbnails_and_removed_or_unused_uploads,
                a_user_without_uploads_has_an_empty_list,
                new_uploads_do_not_shift_later_pages,
                the_list_shows_the_progress_of_each_upload,
                files_are_returned_in_the_requested_order,
            },
            races::{
                one_of_many_concurrent_begins_wins,
                the_cap_is_exact_under_concurrent_begins,
                one_of_many_concurrent_parts_with_one_index_wins,
                all_concurrently_recorded_parts_are_kept,
                one_of_many_contradicting_totals_wins,
                one_of_many_concurrent_finishes_wins,
                a_concurrent_removal_and_finish_leave_no_bytes_behind,
                a_concurrent_attachment_and_removal_agree,
                one_of_many_concurrent_single_files_wins,
                all_but_one_of_many_concurrent_thumbnails_are_replaced,
                a_late_part_saves_an_upload_or_is_refused,
                cancelling_the_caller_of_a_change_breaks_nothing,
            },
        );
    };
}
pub(crate) use on_every_store_of_records;
