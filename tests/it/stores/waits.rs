//! Transactions in each other's way: rows are held in one order, so nobody waits for somebody who waits for him, and whoever
//! was sent away comes again.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{self, Either};
use haversack::ids::UploadId;
use haversack::metadata::jobs::{JobKind, JobQueue, Outcome};
use haversack::metadata::postgres::{PostgresOptions, PostgresStore};
use haversack::metadata::quota::Quota;
use haversack::metadata::{Error, MetadataStore, NewSingle, Recorded, Removed, State, Stored};
use haversack::storage::Durability;

use super::cluster::Cluster;
use super::postgres::{open, options};
use super::records::{NO_CAP, begin, finish, plain_part, single, state, upload};
use crate::harness::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn attaching_holds_media_before_their_thumbnails() {
    let cluster = Cluster::shared();
    let url = format!("{}?options=-c%20deadlock_timeout%3D20ms", cluster.database("attaching"));
    let options = PostgresOptions { retry_timeout: Duration::from_mins(2), ..options(&url) };
    let store = PostgresStore::open(options, Durability::default()).await.expect("it opens");
    // Their uuids are in another order than that.
    let ids = [3, 2, 1].map(|byte| UploadId::from_bytes([byte; 16]));
    let [media, between, thumbnail] = ids;
    for (id, of) in [(media, None), (between, None), (thumbnail, Some(media))] {
        let new = NewSingle { id, ..single(1, of) };
        store.store_single(new, Quota::NONE, 5).await.expect("stored");
    }
    let (client, connection) =
        tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("connected");
    let driving = tokio::spawn(connection);
    let hold = format!("BEGIN; SELECT 1 FROM uploads WHERE id = '{between}' FOR UPDATE");
    client.batch_execute(&hold).await.expect("held");
    let waiting = async || {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'attaching' AND wait_event_type = 'Lock'";
        cluster.sql("postgres", sql)
    };
    let attaching = store.attach(vec![thumbnail, between, media]);
    let removing = async {
        eventually("it waits", async || waiting().await == "1").await;
        let removed = pin!(store.remove(media, true, 6, 66));
        // It is removed, or waits for the thumbnail.
        let waits = eventually("both wait", async || waiting().await == "2");
        let removed = match future::select(removed, pin!(waits)).await {
            Either::Left((removed, _)) => {
                client.batch_execute("COMMIT").await.expect("let go");
                removed
            }
            Either::Right((_, removed)) => {
                client.batch_execute("COMMIT").await.expect("let go");
                removed.await
            }
        };
        removed.expect("no error");
    };
    let (attached, ()) = tokio::join!(attaching, removing);
    attached.expect("no error");
    store.close().await.expect("closed");
    driving.abort();
    tokio::task::block_in_place(|| assert_no_deadlocks(cluster, "attaching"));
}

/// Holds what all of a user's steps count by, until it is let go.
async fn hold_usage(url: &str) -> (tokio_postgres::Client, tokio::task::JoinHandle<()>) {
    let (client, connection) =
        tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("connected");
    let driving = tokio::spawn(async move { drop(connection.await) });
    client.batch_execute("BEGIN; SELECT * FROM usage FOR UPDATE").await.expect("held");
    (client, driving)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_thumbnail_outlives_its_media_that_is_removed_meanwhile() {
    let cluster = Cluster::shared();
    let url = cluster.database("outliving");
    let options = PostgresOptions { retry_timeout: Duration::from_mins(2), ..options(&url) };
    let store = PostgresStore::open(options, Durability::default()).await.expect("it opens");
    let media = single(1, None);
    store.store_single(media.clone(), Quota::NONE, 5).await.expect("stored");
    let (client, driving) = hold_usage(&url).await;
    let waiting = async |count: &str| {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'outliving' AND wait_event_type = 'Lock'";
        eventually("they wait", async || cluster.sql("postgres", sql) == count).await;
    };
    let thumbnail = single(1, Some(media.id));
    let adding = store.store_single(thumbnail.clone(), Quota::NONE, 6);
    let removing = async {
        waiting("1").await;
        store.remove(media.id, true, 7, 67).await
    };
    let letting_go = async {
        waiting("2").await;
        client.batch_execute("COMMIT").await.expect("let go");
    };
    let (added, removed, ()) = tokio::join!(adding, removing, letting_go);
    assert_eq!(added.expect("no error"), Stored::Stored);
    assert!(matches!(removed, Ok(Removed::Removed { thumbnails: 1, .. })), "{removed:?}");
    for id in [media.id, thumbnail.id] {
        assert!(matches!(state(&store, id).await, State::Removed));
    }
    driving.abort();
}

/// A removal forgets the job of a media before the older one of its thumbnail, so whoever waits for them in another order
/// may wait for a removal that waits for him.
#[tokio::test(flavor = "multi_thread")]
async fn retrying_jobs_waits_for_nobody_who_changes_one() {
    let url = Cluster::shared().database("retrying");
    let store = open(&url).await;
    let media = upload(1, 1);
    begin(&store, &media, 5).await;
    let thumbnail = single(1, Some(media.id));
    store.store_single(thumbnail.clone(), Quota::NONE, 5).await.expect("stored");
    finish(&store, &media, 5).await;
    for job in store.take_jobs(&[JobKind::Thumbnail], &[], 9, 6, 7).await.expect("taken") {
        let failed = Outcome::Failed { error: "no".into(), retry_at: 99 };
        assert!(store.settle_job(job.id, job.lease, failed).await.expect("settled"));
    }
    let (client, connection) =
        tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("connected");
    let driving = tokio::spawn(connection);
    let hold = format!("BEGIN; SELECT 1 FROM jobs WHERE subject = '{}' FOR UPDATE", thumbnail.id);
    client.batch_execute(&hold).await.expect("held");
    assert_eq!(store.retry_jobs(None, 8).await.expect("no error"), 1, "the job of the media");
    client.batch_execute("COMMIT").await.expect("let go");
    driving.abort();
}

/// That no two transactions in this database, which nobody uses any more, waited for each other.
pub(super) fn assert_no_deadlocks(cluster: &Cluster, database: &str) {
    let gone = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'");
    cluster.wait_until("the stores are gone", || cluster.sql("postgres", &gone) == "0");
    let deadlocks = format!("SELECT deadlocks FROM pg_stat_database WHERE datname = '{database}'");
    assert_eq!(cluster.sql("postgres", &deadlocks), "0", "deadlocks");
}

/// Lets the next changes of uploads fail with this error, so many times: a sequence isn't rolled back.
async fn fail(client: &tokio_postgres::Client, code: &str, times: u32) {
    let sql = format!(
        "DROP TRIGGER IF EXISTS injected ON uploads; DROP SEQUENCE IF EXISTS failures; CREATE SEQUENCE failures;
         CREATE OR REPLACE FUNCTION injected() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF nextval('failures') <= {times} THEN RAISE EXCEPTION 'injected' USING ERRCODE = '{code}'; END IF;
             RETURN new;
         END $$;
         CREATE TRIGGER injected BEFORE INSERT OR UPDATE ON uploads FOR EACH ROW EXECUTE FUNCTION injected()"
    );
    client.batch_execute(&sql).await.expect("injected");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_because_of_another_transaction_is_repeated() {
    let url = Cluster::shared().database("injected");
    let options = PostgresOptions { retry_timeout: Duration::from_mins(2), ..options(&url) };
    let store = PostgresStore::open(options, Durability::default()).await.expect("it opens");
    let (client, connection) =
        tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("connected");
    let driving = tokio::spawn(connection);
    let attempts = async || {
        let row = client.query_one("SELECT last_value FROM failures", &[]).await.expect("counted");
        row.get::<_, i64>(0)
    };
    for code in ["40001", "40P01", "55P03", "57014", "57P01", "25006"] {
        let new = upload(1, 1);
        fail(&client, code, 3).await;
        begin(&store, &new, 5).await;
        assert_eq!(attempts().await, 4, "{code}: a transaction");
        fail(&client, code, 3).await;
        let recorded = store.record_part(new.generation(), plain_part(0, 0, 10), 6).await;
        assert_eq!(recorded.expect("repeated"), Recorded::Stored);
        assert_eq!(attempts().await, 4, "{code}: a statement");
    }
    fail(&client, "22000", 9).await;
    let refused = store.begin_upload(upload(1, 1), NO_CAP, 5).await;
    assert!(matches!(refused, Err(Error::Failed(_))), "{refused:?}");
    assert_eq!(attempts().await, 1, "what fails again is not repeated");
    driving.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_held_for_longer_than_a_statement_may_take_is_waited_for() {
    let url = Cluster::shared().database("held");
    let options = PostgresOptions {
        retry_timeout: Duration::from_mins(2),
        statement_timeout: Duration::from_secs(2), // longer than the pauses in between, in which nobody waits
        ..options(&url)
    };
    let store = PostgresStore::open(options, Durability::default()).await.expect("it opens");
    begin(&store, &upload(1, 1), 5).await;
    let (client, driving) = hold_usage(&url).await;
    let new = upload(1, 1);
    let holding = async {
        let waits =
            "SELECT pid FROM pg_stat_activity WHERE datname = 'held' AND wait_event_type = 'Lock'";
        let mut waiting = BTreeSet::new();
        eventually("it has waited twice", async || {
            waiting.extend(Cluster::shared().sql("postgres", waits).lines().map(str::to_owned));
            waiting.len() > 1
        })
        .await;
        client.batch_execute("COMMIT").await.expect("let go");
    };
    let (begun, ()) = tokio::join!(store.begin_upload(new, NO_CAP, 6), holding);
    begun.expect("it was waited for");
    driving.abort();
}
