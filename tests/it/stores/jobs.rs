//! The contract of a `JobQueue`: turns, leases and outcomes.

use haversack::ids::{JobId, LeaseId, UserId};
use haversack::metadata::MetadataStore;
use haversack::metadata::jobs::{Job, JobKind, JobStatus, NewJob, Outcome, PERIODIC};

use super::Records;
use super::records::{ANNA, BERT, begin, finished, subjects, take_drawing, undrawn, upload};

const LATER: u64 = u32::MAX as u64;

fn job(kind: JobKind, number: u8, user: Option<UserId>) -> NewJob {
    NewJob { kind, subject: [number; 16], user, payload: vec![number], run_at: 10 }
}

async fn add(store: &dyn MetadataStore, new: NewJob) {
    store.add_job(new).await.expect("no error");
}

/// Takes jobs at `now`, under leases that end 60 seconds later.
async fn take(store: &dyn MetadataStore, kinds: &[JobKind], limit: u32, now: u64) -> Vec<Job> {
    store.take_jobs(kinds, &[], limit, now, now + 60).await.expect("no error")
}

async fn settle(store: &dyn MetadataStore, job: &Job, outcome: Outcome) -> bool {
    store.settle_job(job.id, job.lease, outcome).await.expect("no error")
}

async fn all(store: &dyn MetadataStore, now: u64) -> Vec<JobStatus> {
    store.list_jobs(0, 1000, now).await.expect("no error").0
}

fn numbers(jobs: &[Job]) -> Vec<u8> {
    jobs.iter().map(|job| job.subject[0]).collect()
}

pub(crate) async fn a_job_is_taken_once_it_is_due(records: &dyn Records) {
    let store = records.open();
    add(store.as_ref(), job(JobKind::Delete, 1, None)).await;
    assert_eq!(take(store.as_ref(), &[JobKind::Delete], 9, 9).await, []);
    assert_eq!(take(store.as_ref(), &[JobKind::Thumbnail], 9, 10).await, []);
    let taken = take(store.as_ref(), &[JobKind::Delete], 9, 10).await;
    assert_eq!(numbers(&taken), [1]);
    assert_eq!((taken[0].payload.as_slice(), taken[0].deaths), (&[1][..], 0));
    assert_eq!(take(store.as_ref(), &[JobKind::Delete], 9, 69).await, [], "the job is leased");
    assert!(settle(store.as_ref(), &taken[0], Outcome::Done).await);
    assert!(!settle(store.as_ref(), &taken[0], Outcome::Done).await, "repeating it is harmless");
    assert_eq!(all(store.as_ref(), 70).await, []);
}

pub(crate) async fn only_one_job_per_kind_and_subject_is_recorded(records: &dyn Records) {
    let store = records.open();
    add(store.as_ref(), job(JobKind::Delete, 1, None)).await;
    add(store.as_ref(), NewJob { run_at: 99, ..job(JobKind::Delete, 1, None) }).await;
    add(store.as_ref(), job(JobKind::Finish, 1, None)).await;
    let taken = take(store.as_ref(), JobKind::ALL, 9, 10).await;
    let kinds: Vec<JobKind> = taken.iter().map(|job| job.kind).collect();
    assert_eq!(kinds, [JobKind::Delete, JobKind::Finish]);
}

pub(crate) async fn users_take_turns(records: &dyn Records) {
    let store = records.open();
    for number in 1..=4 {
        add(store.as_ref(), job(JobKind::Thumbnail, number, Some(ANNA.into()))).await;
    }
    let first = take(store.as_ref(), &[JobKind::Thumbnail], 1, 10).await;
    assert!(settle(store.as_ref(), &first[0], Outcome::Done).await);
    for number in 5..=6 {
        add(store.as_ref(), job(JobKind::Thumbnail, number, Some(BERT.into()))).await;
    }
    let taken = take(store.as_ref(), &[JobKind::Thumbnail], 9, 10).await;
    assert_eq!(numbers(&taken), [2, 5, 3, 6, 4]);
}

pub(crate) async fn jobs_of_users_who_must_wait_are_passed_over(records: &dyn Records) {
    let store = records.open();
    add(store.as_ref(), job(JobKind::Thumbnail, 1, Some(ANNA.into()))).await;
    add(store.as_ref(), job(JobKind::Thumbnail, 2, Some(BERT.into()))).await;
    add(store.as_ref(), job(JobKind::Thumbnail, 3, None)).await;
    let taken = store.take_jobs(&[JobKind::Thumbnail], &[ANNA.into()], 9, 10, 70).await;
    assert_eq!(numbers(&taken.expect("no error")), [2, 3]);
}

pub(crate) async fn a_lease_can_be_renewed_until_the_job_is_taken_by_another(
    records: &dyn Records,
) {
    let store = records.open();
    add(store.as_ref(), job(JobKind::Delete, 1, None)).await;
    let slow = take(store.as_ref(), &[JobKind::Delete], 1, 10).await.remove(0);
    assert!(store.renew_job(slow.id, slow.lease, 100).await.expect("no error"));
    assert_eq!(take(store.as_ref(), &[JobKind::Delete], 1, 99).await, []);
    let second = take(store.as_ref(), &[JobKind::Delete], 1, 100).await.remove(0);
    assert_eq!((second.id, second.deaths), (slow.id, 1));
    assert!(!store.renew_job(slow.id, slow.lease, LATER).await.expect("no error"));
    assert!(!settle(store.as_ref(), &slow, Outcome::Done).await, "another lease holds the job");
    assert!(settle(store.as_ref(), &second, Outcome::Done).await);
    assert!(!store.renew_job(JobId::random(), LeaseId::random(), LATER).await.expect("no error"));
}

pub(crate) async fn a_job_that_ends_the_process_three_times_is_set_aside(records: &dyn Records) {
    let store = records.open();
    add(store.as_ref(), job(JobKind::Thumbnail, 1, Some(ANNA.into()))).await;
    for deaths in 0..3 {
        let taken =
            take(store.as_ref(), &[JobKind::Thumbnail], 1, 10 + u64::from(deaths) * 60).await;
        assert_eq!(taken[0].deaths, deaths);
    }
    add(store.as_ref(), job(JobKind::Thumbnail, 2, Some(BERT.into()))).await;
    assert_eq!(numbers(&take(store.as_ref(), &[JobKind::Thumbnail], 9, 500).await), [2]);
    let status = all(store.as_ref(), 500).await.remove(0);
    assert_eq!((status.set_aside, status.deaths, status.running), (true, 3, false));
    assert!(status.error.is_some_and(|error| error.contains("the process ended")));

    let id = JobId::parse(&status.id);
    assert!(id.is_some());
    assert_eq!(store.retry_jobs(id, 500).await.expect("no error"), 1);
    let again = take(store.as_ref(), &[JobKind::Thumbnail], 9, 500).await;
    assert_eq!((numbers(&again), again[0].deaths), (vec![1], 0));
}

pub(crate) async fn returning_a_job_counts_as_no_failure(records: &dyn Records) {
    let store = records.open();
    add(store.as_ref(), job(JobKind::Thumbnail, 1, Some(ANNA.into()))).await;
    for _ in 0..5 {
        let taken = take(store.as_ref(), &[JobKind::Thumbnail], 1, 10).await.remove(0);
        assert_eq!((taken.deaths, taken.failures), (0, 0));
        assert!(settle(store.as_ref(), &taken, Outcome::Returned).await);
    }
}

pub(crate) async fn a_failed_job_is_delayed_and_keeps_its_error(records: &dyn Records) {
    let store = records.open();
    add(store.as_ref(), job(JobKind::Delete, 1, None)).await;
    let taken = take(store.as_ref(), &[JobKind::Delete], 1, 10).await.remove(0);
    let failed = Outcome::Failed { error: "the disk is on fire".into(), retry_at: 50 };
    assert!(settle(store.as_ref(), &taken, failed).await);
    let status = all(store.as_ref(), 20).await.remove(0);
    assert_eq!((status.failures, status.run_at, status.set_aside), (1, 50, false));
    assert_eq!(status.error.as_deref(), Some("the disk is on fire"));
    assert_eq!(take(store.as_ref(), &[JobKind::Delete], 1, 49).await, []);
    assert_eq!(store.retry_jobs(None, 20).await.expect("no error"), 1, "retries it at once");
    assert_eq!(take(store.as_ref(), &[JobKind::Delete], 1, 20).await.len(), 1);
}

pub(crate) async fn a_periodic_job_runs_again(records: &dyn Records) {
    let store = records.open();
    add(store.as_ref(), job(JobKind::Expire, 0, None)).await;
    let taken = take(store.as_ref(), &[JobKind::Expire], 1, 10).await.remove(0);
    assert!(settle(store.as_ref(), &taken, Outcome::Again { run_at: 70 }).await);
    add(store.as_ref(), job(JobKind::Expire, 0, None)).await; // the next start adds it again
    assert_eq!(take(store.as_ref(), &[JobKind::Expire], 1, 69).await, []);
    assert_eq!(take(store.as_ref(), &[JobKind::Expire], 1, 70).await.len(), 1);
}

pub(crate) async fn a_job_postponed_by_a_fast_clock_is_due(records: &dyn Records) {
    let store = records.open();
    add(store.as_ref(), NewJob { run_at: 1_000_000, ..job(JobKind::Delete, 1, None) }).await;
    assert_eq!(take(store.as_ref(), &[JobKind::Delete], 1, 1_000_000 - 7200).await, []);
    assert_eq!(take(store.as_ref(), &[JobKind::Delete], 1, 1_000_000 - 7201).await.len(), 1);
}

pub(crate) async fn jobs_taken_concurrently_are_taken_once_each(records: &dyn Records) {
    let store = records.open();
    for number in 0..64 {
        add(store.as_ref(), job(JobKind::Delete, number, None)).await;
    }
    let takers = (0..64).map(|_| take(store.as_ref(), &[JobKind::Delete], 1, 10));
    let mut taken: Vec<u8> = futures_util::future::join_all(takers)
        .await
        .iter()
        .flat_map(|jobs| numbers(jobs))
        .collect();
    taken.sort_unstable();
    assert_eq!(taken, Vec::from_iter(0..64));
}

pub(crate) async fn jobs_are_listed_page_by_page(records: &dyn Records) {
    let store = records.open();
    for number in 0..5 {
        add(store.as_ref(), job(JobKind::Delete, number, None)).await;
    }
    let mut subjects = Vec::new();
    let mut after = 0;
    loop {
        let (page, next) = store.list_jobs(after, 2, 10).await.expect("no error");
        subjects.extend(page.iter().map(|job| job.subject[..2].to_owned()));
        match next {
            Some(next) => after = next,
            None => break,
        }
    }
    assert_eq!(subjects, ["00", "01", "02", "03", "04"]);
}

pub(crate) async fn jobs_outlive_the_store(records: &dyn Records) {
    let store = records.open();
    add(store.as_ref(), job(JobKind::Delete, 1, None)).await;
    let held = take(store.as_ref(), &[JobKind::Delete], 1, 10).await.remove(0);
    drop(store);
    let store = records.open();
    let again = take(store.as_ref(), &[JobKind::Delete], 1, LATER).await.remove(0);
    assert_eq!((again.id, again.payload, again.deaths), (held.id, held.payload, 1));
}

pub(crate) async fn doubting_an_upload_adds_a_compare_job(records: &dyn Records) {
    let store = records.open();
    let new = upload(ANNA, 1);
    begin(store.as_ref(), &new, 5).await;
    store.in_place().doubt(new.generation()).await.expect("no error");
    assert_eq!(subjects(store.as_ref(), JobKind::Compare).await, [PERIODIC]);
}

pub(crate) async fn forgetting_a_user_forgets_jobs_on_removed_uploads(records: &dyn Records) {
    let store = records.open();
    let gone = finished(store.as_ref(), ANNA, 5).await;
    take_drawing(store.as_ref(), gone.id)
        .await
        .expect("its lease is held when the file is removed");
    store.remove(gone.id, false, 7, 8).await.expect("removed");
    let begun_meanwhile = finished(store.as_ref(), ANNA, 7).await;
    let others = finished(store.as_ref(), BERT, 7).await;
    store.forget_user(ANNA.into()).await.expect("no error");
    assert_eq!(undrawn(store.as_ref()).await, [begun_meanwhile.id, others.id]);
}
