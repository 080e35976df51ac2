//! The SQLite store: the contract of records, and what one file of it promises beyond it.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use haversack::metadata::sqlite::SqliteStore;
use haversack::metadata::{MetadataStore, NewUpload};
use rusqlite::Connection;
use tokio_util::sync::CancellationToken;

use super::Records;
use super::records::{ANNA, begin, finish, finished, name, upload};
use crate::harness::eventually;

struct Folder(tempfile::TempDir);

impl Default for Folder {
    fn default() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }
}

impl Records for Folder {
    fn open(&self) -> Arc<dyn MetadataStore> {
        Arc::new(SqliteStore::open(self.0.path()).expect("the store opens"))
    }
}

super::on_every_store!(Folder:
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

#[tokio::test]
async fn only_the_owner_may_read_the_database_and_its_log() {
    let folder = Folder::default();
    let store = folder.open();
    finished(store.as_ref(), ANNA, 5).await;
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder.0.path()).expect("listed") {
        let entry = entry.expect("an entry");
        let mode = entry.metadata().expect("there").permissions().mode() & 0o777;
        names.push(entry.file_name().into_string().expect("a name"));
        assert_eq!(mode, 0o600, "{names:?}");
    }
    assert!(names.contains(&"haversack.db".into()) && names.contains(&"haversack.db-wal".into()));
}

/// Rows that grow move from page to page, and leave copies of themselves behind.
#[tokio::test]
async fn what_was_scrubbed_is_in_no_file() {
    let folder = Folder::default();
    let store = folder.open();
    let named = |number: u32| NewUpload {
        filename: Some(name(&format!("annabella-{number:04}.txt"))),
        ..upload(ANNA, 1 + number % 9)
    };
    let uploads: Vec<NewUpload> = (0..400).map(named).collect();
    for (at, new) in uploads.iter().enumerate() {
        begin(store.as_ref(), new, 5).await;
        if at % 3 > 0 {
            finish(store.as_ref(), &uploads[at - 1], 6).await;
        }
    }
    let kept = &uploads[7];
    for new in uploads.iter().filter(|new| new.id != kept.id) {
        store.remove(new.id, false, 7, 0).await.expect("removed");
    }
    store.forget_user(ANNA.into()).await.expect("forgotten");
    store.scrub().await.expect("scrubbed");
    for entry in std::fs::read_dir(folder.0.path()).expect("listed") {
        let path = entry.expect("an entry").path();
        let bytes = std::fs::read(&path).expect("read");
        let names = bytes.windows(10).filter(|window| window == b"annabella-").count();
        let expected = usize::from(path.ends_with("haversack.db"));
        assert_eq!(names, expected, "{}", path.display());
    }
    assert!(store.load(kept.id).await.expect("no error").is_some());
}

#[tokio::test]
async fn closing_leaves_everything_in_the_database_itself() {
    let folder = Folder::default();
    let store = folder.open();
    let new = finished(store.as_ref(), ANNA, 5).await;
    store.close().await.expect("closed");
    let copy = Folder::default();
    let name = "haversack.db";
    std::fs::copy(folder.0.path().join(name), copy.0.path().join(name)).expect("copied");
    let found = copy.open().load(new.id).await.expect("no error");
    assert!(found.is_some(), "the database without its log is complete");
}

/// A connection of another program's, such as a backup's.
fn beside(folder: &Folder) -> Connection {
    let connection = Connection::open(folder.0.path().join("haversack.db")).expect("opened");
    connection.busy_timeout(Duration::from_mins(1)).expect("set");
    connection
}

/// Copies the log into the database; `false` when another checkpoint is under way.
fn checkpoint(connection: &Connection, mode: &str) -> bool {
    let sql = format!("PRAGMA wal_checkpoint({mode})");
    let busy = connection.query_row(&sql, (), |row| row.get::<_, bool>(0));
    !busy.expect("no error")
}

fn log_length(folder: &Folder) -> u64 {
    std::fs::metadata(folder.0.path().join("haversack.db-wal")).expect("there").len()
}

#[tokio::test]
async fn scrubbing_waits_for_a_checkpoint_under_way() {
    let folder = Folder::default();
    let store = folder.open();
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    let other = beside(&folder);
    // One begins while the database is rewritten, and ends after that.
    tokio::task::spawn_blocking(move || {
        while !stop.is_cancelled() {
            checkpoint(&other, "FULL");
        }
    });
    for _ in 0..5 {
        finished(store.as_ref(), ANNA, 5).await;
        store.scrub().await.expect("scrubbed");
    }
}

#[tokio::test]
async fn closing_waits_for_a_checkpoint_under_way() {
    let folder = Folder::default();
    let store = folder.open();
    finished(store.as_ref(), ANNA, 5).await;
    let reader = beside(&folder);
    reader.execute_batch("BEGIN; SELECT * FROM uploads").expect("read");
    finished(store.as_ref(), ANNA, 6).await;
    // A checkpoint that waits for the reader.
    let other = beside(&folder);
    let checkpoint_under_way = tokio::task::spawn_blocking(move || {
        while !checkpoint(&other, "RESTART") {} // no other one is waited for
    });
    eventually("the checkpoint begins", async || !checkpoint(&beside(&folder), "PASSIVE")).await;
    let ends = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(reader);
        checkpoint_under_way.await.expect("no panic");
    };
    let (closed, ()) = tokio::join!(store.close(), ends);
    closed.expect("closed");
    assert_eq!(log_length(&folder), 0);
}

#[test]
fn what_is_no_database_is_refused() {
    let folder = Folder::default();
    let text = "this is no database at all. ".repeat(100);
    std::fs::write(folder.0.path().join("haversack.db"), text).expect("written");
    assert!(SqliteStore::open(folder.0.path()).is_err());
}
