//! The two store contracts, written once as functions over the traits and run on every store there is.
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
mod generations;
mod jobs;
mod listing;
mod lost_replies;
mod memory;
mod moved;
mod pictures;
mod postgres;
mod quotas;
mod races;
pub(crate) mod records;
mod singles;
mod sqlite;
mod uploads;
mod withdrawn;

use std::path::Path;
use std::sync::Arc;

use haversack::metadata::MetadataStore;
use haversack::metadata::postgres::{PostgresOptions, PostgresStore};
use haversack::metadata::sqlite::SqliteStore;
use haversack::storage::{BlobStore, Durability};

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

/// The variable that names the database in which servers keep records: `postgres`, or else the one in the data directory.
pub(crate) const RECORDS: &str = "HAVERSACK_TEST_RECORDS";

/// The URL of a new server's database; `None`: its data directory.
pub(crate) fn database_of_records() -> Option<String> {
    match std::env::var(RECORDS).as_deref() {
        Err(_) => None,
        Ok("postgres") => Some(cluster::Cluster::shared().fresh()),
        Ok(other) => panic!("{RECORDS} is {other}"),
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

/// Makes a test of each contract of a store of records: `on_every_store_of_records!(Fixture)`.
macro_rules! on_every_store_of_records {
    ($fixture:ident) => {
        crate::stores::on_every_store!($fixture:
            append::{
                bytes_count_only_at_the_end,
                large_pieces_are_parts_of_their_own,
                the_total_is_told_once,
                the_last_byte_makes_finishing_a_job,
                an_upload_is_indexed_or_in_order_and_never_both,
                joined_pieces_keep_their_bytes_where_they_are,
                what_is_no_whole_piece_is_not_joined,
                a_copy_takes_the_place_of_what_was_joined,
            },
            extents::{
                parts_that_lie_apart_are_found_again,
                a_refused_part_claims_nothing,
                a_file_lies_where_its_parts_lay_or_where_cleaning_put_it,
                removing_deletes_all_blobs_in_one_job,
                an_upload_whose_parts_lie_apart_can_begin_again,
                a_part_that_was_lost_can_come_again_elsewhere,
                an_empty_file_has_no_blob,
            },
            records::{
                removing_an_upload_gives_its_bytes_once,
                a_removed_upload_takes_nothing_any_more,
                removing_a_file_takes_its_thumbnails_along,
                removing_a_thumbnail_leaves_its_media,
                an_attached_file_is_removed_by_the_backend_alone,
                of_what_a_user_once_had_the_uuids_are_left,
                users_whose_names_differ_in_a_byte_are_two,
                an_unfinished_upload_can_not_be_attached,
                blobs_of_records_are_claimed_until_these_forget_them,
                the_keys_of_links_are_made_once,
                rotated_keys_are_accepted_until_their_date,
                a_healthy_store_says_so,
                what_is_unknown_is_not_found,
            },
            uploads::{
                a_new_upload_is_on_record_as_it_was_begun,
                a_uuid_begins_once_whoever_asks,
                at_the_cap_only_an_idle_upload_makes_room,
                the_cap_counts_one_users_unfinished_uploads_alone,
                parts_are_on_record_in_any_order,
                a_parts_numbers_are_kept_up_to_their_limits,
                a_recorded_index_is_refused_and_stays_as_it_was,
                parts_that_belong_to_nothing_are_refused,
                a_part_that_contradicts_the_whole_is_refused,
                finishing_makes_a_file_once,
                what_an_earlier_boot_left_is_suspect_until_it_is_compared,
                what_an_upload_is_about_to_become_is_kept_until_it_is,
                an_upload_that_begins_again_is_about_to_become_nothing,
                uploads_expire_when_nothing_was_stored_for_long,
                no_more_expire_at_once_than_asked_for,
                an_expired_uuid_begins_afresh_once_it_is_forgotten,
                only_expired_uploads_are_forgotten,
                every_record_outlives_the_store,
            },
            withdrawn::{
                an_upload_that_never_had_a_chunk_is_withdrawn_once,
                what_somebody_uses_is_not_withdrawn,
            },
            generations::{
                who_began_with_an_expired_upload_changes_nothing_of_its_successor,
                who_began_before_a_restart_changes_nothing_after_it,
                of_two_parts_that_share_bytes_the_first_counts,
                offsets_of_parts_ascend_with_their_indexes,
                an_ended_upload_takes_no_part_however_it_ended,
                what_was_examined_before_parts_were_taken_away_finishes_nothing,
                a_suspect_upload_is_not_finished_before_it_is_compared,
                no_parts_are_taken_away_from_what_is_being_overwritten,
                of_two_who_finish_one_does_and_its_facts_stand,
                a_file_is_made_of_all_parts_and_no_others,
                bytes_of_a_restarted_upload_are_deleted_once,
                very_many_parts_of_what_ended_are_forgotten_little_by_little,
                few_parts_of_what_ended_go_at_once,
                parts_of_what_receives_are_not_forgotten,
            },
            singles::{
                a_single_file_is_finished_as_it_is_stored,
                a_uuid_is_stored_once_whatever_it_named_before,
                a_thumbnail_of_nothing_is_refused,
                a_thumbnail_of_somebody_elses_is_refused,
                what_a_message_shows_keeps_its_name,
                the_first_name_a_done_gives_is_final,
                a_name_that_came_while_a_done_made_one_up_counts,
            },
            quotas::{
                what_is_taken_is_counted_until_it_is_forgotten,
                finishing_gives_back_what_it_does_not_take,
                more_is_reserved_only_where_there_is_room,
                what_has_no_room_leaves_nothing_on_record,
                a_thumbnail_is_no_file_and_its_picture_costs_nothing,
            },
            pictures::{
                a_sent_thumbnail_shows_itself_once_a_picture_was_made_of_it,
                a_second_thumbnail_replaces_the_first,
                an_older_thumbnail_whose_picture_comes_late_replaces_nothing,
                a_thumbnail_of_which_no_picture_can_be_made_is_never_shown,
                a_thumbnail_that_waits_for_its_picture_is_replaced_at_once,
                a_thumbnail_without_a_picture_leaves_the_one_made_here,
                what_a_message_shows_takes_no_other_thumbnail,
                a_picture_that_comes_late_does_not_change_what_a_message_shows,
                a_message_shows_the_picture_that_comes_late_where_it_showed_none,
                the_media_may_still_be_on_its_way,
                a_picture_of_a_media_becomes_its_thumbnail,
                a_sent_thumbnail_replaces_the_one_made_here,
                a_media_with_a_thumbnail_needs_no_picture,
                a_picture_of_what_is_gone_is_unwanted,
                of_two_who_make_the_picture_the_one_that_holds_the_job_counts,
                only_one_picture_is_made,
            },
            jobs::{
                a_job_is_taken_once_it_is_due,
                a_job_of_one_kind_and_subject_is_on_record_once,
                users_take_turns,
                jobs_of_users_who_must_wait_are_passed_over,
                a_lease_can_be_renewed_until_somebody_else_has_the_job,
                a_job_that_ends_the_process_three_times_is_set_aside,
                a_job_given_back_counts_nothing,
                a_failed_job_waits_and_tells_why,
                a_periodic_job_runs_again,
                a_job_put_off_by_a_clock_that_was_ahead_is_due,
                jobs_taken_at_once_are_taken_by_one_each,
                jobs_are_listed_page_by_page,
                jobs_outlive_the_store,
                what_is_doubted_is_to_be_compared,
                no_job_about_what_is_gone_is_left_of_a_forgotten_user,
            },
            listing::{
                uploads_and_files_are_listed_newest_first,
                the_list_leaves_out_thumbnails_and_what_is_gone_or_empty,
                a_user_without_anything_has_an_empty_list,
                a_page_is_not_shifted_by_what_comes_meanwhile,
                a_list_tells_how_far_each_has_come,
                files_are_found_in_the_order_asked_for,
            },
            races::{
                of_many_begins_of_one_uuid_one_begins,
                the_cap_is_exact_when_many_begin_at_once,
                of_many_records_of_one_part_one_counts,
                parts_recorded_at_once_are_all_there,
                of_contradicting_totals_one_stands,
                of_many_finishes_one_makes_the_file,
                a_removal_and_a_finish_at_once_leave_nothing_behind,
                an_attachment_and_a_removal_at_once_agree,
                of_many_single_files_of_one_uuid_one_is_stored,
                of_many_thumbnails_all_but_one_are_replaced,
                a_late_part_saves_an_upload_or_is_refused,
                a_change_whose_caller_is_gone_breaks_nothing,
            },
        );
    };
}
pub(crate) use on_every_store_of_records;
