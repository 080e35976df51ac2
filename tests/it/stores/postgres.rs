//! The PostgreSQL store: the contract of a `MetadataStore`, and an unavailable database.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_util::future;
use haversack::app::App;
use haversack::clock::Clock;
use haversack::config::{Config, Settings};
use haversack::metadata::postgres::{PostgresOptions, PostgresStore};
use haversack::metadata::quota::{OverQuota, Quota};
use haversack::metadata::{Begun, Caps, Error, MetadataStore, NewPart, Recorded};
use haversack::storage::Durability;

use super::Records;
use super::cluster::Cluster;
use super::records::{
    ANNA, NO_CAP, begin, finished, plain_part, record, state, unfinished, upload,
};

use crate::harness::eventually;

/// A new schema in the database that all tests share.
struct Schema(String);

impl Default for Schema {
    fn default() -> Self {
        Self(Cluster::shared().fresh())
    }
}

/// Returns the settings of a store with this URL.
pub(crate) fn options(url: &str) -> PostgresOptions {
    PostgresOptions { node: "a node".into(), ..PostgresOptions::new(url.parse().expect("a URL")) }
}

pub(super) async fn open(url: &str) -> PostgresStore {
    PostgresStore::open(options(url), Durability::default()).await.expect("the store opens")
}

impl Records for Schema {
    fn open(&self) -> Arc<dyn MetadataStore> {
        let opened = || tokio::runtime::Handle::current().block_on(open(&self.0));
        Arc::new(tokio::task::block_in_place(opened))
    }
}

super::on_every_store_of_records!(Schema);

/// Number of parts of each upload that are recorded while connections are lost.
const PARTS: u32 = 200;

/// Opens a store that retries long enough for a loaded machine.
pub(super) async fn open_with_long_retries(url: &str) -> PostgresStore {
    let options = PostgresOptions { retry_timeout: Duration::from_mins(2), ..options(url) };
    PostgresStore::open(options, Durability::default()).await.expect("the store opens")
}

/// Records parts one by one, each once, and counts them.
pub(super) async fn record_all(store: &dyn MetadataStore, recorded_so_far: &AtomicU32) {
    let new = upload(ANNA, PARTS);
    begin(store, &new, 5).await;
    for index in 0..PARTS {
        let part = plain_part(index, u64::from(index) * 10, 10);
        assert_eq!(record(store, new.generation(), part, 6).await, Recorded::Stored, "{index}");
        recorded_so_far.fetch_add(1, Ordering::Relaxed);
    }
    let layout = unfinished(store, new.id).await.layout;
    assert_eq!((layout.parts().len(), layout.received_bytes()), (PARTS as usize, 2000));
}

/// Records parts of four uploads concurrently, and calls `disturb` several times meanwhile.
pub(super) async fn disturbed(store: &dyn MetadataStore, times: u32, disturb: impl Fn()) {
    let recorded = AtomicU32::new(0);
    let recording = future::join_all((0..4).map(|_| record_all(store, &recorded)));
    let disturbing = async {
        for time in 0..times {
            let enough = 4 * PARTS * time / times;
            eventually("more parts are recorded", async || {
                recorded.load(Ordering::Relaxed) >= enough
            })
            .await;
            tokio::task::block_in_place(&disturb);
        }
    };
    tokio::join!(recording, disturbing);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_do_not_notice_terminated_connections() {
    let cluster = Cluster::shared();
    let store = open_with_long_retries(&cluster.database("terminated")).await;
    let terminated = AtomicU32::new(0);
    disturbed(&store, 20, || {
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                   WHERE datname = 'terminated' AND pid <> pg_backend_pid()";
        let count = cluster.sql("postgres", sql).parse().expect("a count");
        terminated.fetch_add(count, Ordering::Relaxed);
    })
    .await;
    assert!(terminated.into_inner() >= 20);
    finished(&store, ANNA, 7).await;
    assert_eq!(store.usage(ANNA.into()).await.expect("no error").user_files, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_part_is_lost_when_the_database_crashes() {
    let cluster = Cluster::start();
    let store = open_with_long_retries(&cluster.url("haversack")).await;
    disturbed(&store, 3, || {
        cluster.stop();
        cluster.start_again();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_return_unavailable_until_the_database_is_back() {
    let cluster = Cluster::start();
    let retry_timeout = Duration::from_millis(500);
    let options = PostgresOptions { retry_timeout, ..options(&cluster.url("haversack")) };
    let store = PostgresStore::open(options, Durability::default()).await.expect("the store opens");
    let kept = finished(&store, ANNA, 5).await;
    tokio::task::block_in_place(|| cluster.stop());
    let new = upload(ANNA, 1);
    let begun = store.begin_upload(new.clone(), NO_CAP, 6).await;
    assert!(matches!(begun, Err(Error::Unavailable(_))), "{begun:?}");
    let loaded = store.load(kept.id).await;
    assert!(matches!(loaded, Err(Error::Unavailable(_))), "{loaded:?}");
    store.check().await.expect_err("the database is unavailable");
    tokio::task::block_in_place(|| cluster.start_again());
    store.check().await.expect("ready again");
    state(&store, kept.id).await;
    begin(&store, &new, 7).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_on_a_hanging_database_time_out() {
    let url = Cluster::shared().database("hangs");
    let options = PostgresOptions {
        retry_timeout: Duration::from_millis(500),
        statement_timeout: Duration::from_millis(300),
        connections: 2,
        ..options(&url)
    };
    let store = PostgresStore::open(options, Durability::default()).await.expect("the store opens");
    let (client, connection) =
        tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("connected");
    let driving = tokio::spawn(connection);
    client
        .batch_execute("BEGIN; LOCK TABLE uploads IN ACCESS EXCLUSIVE MODE")
        .await
        .expect("locked");
    let begun = Instant::now();
    let all = (0..8).map(|_| store.begin_upload(upload(ANNA, 1), NO_CAP, 5));
    for begun in future::join_all(all).await {
        assert!(matches!(begun, Err(Error::Unavailable(_))), "{begun:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    client.batch_execute("COMMIT").await.expect("unlocked");
    begin(&store, &upload(ANNA, 1), 6).await;
    assert_eq!(store.usage(ANNA.into()).await.expect("no error").user_files, 1);
    driving.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_exact_when_two_servers_begin_uploads_at_once() {
    let url = Cluster::shared().fresh();
    let stores = [open(&url).await, open(&url).await];
    let quota = Quota { user_files: Some(10), ..Quota::NONE };
    let caps = Caps { quota, ..NO_CAP };
    let begins = (0..64).map(|number| stores[number % 2].begin_upload(upload(ANNA, 1), caps, 5));
    let outcomes = future::join_all(begins).await;
    let begun = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Begun::Begun { .. })));
    assert_eq!(begun.count(), 10);
    let over = Begun::Over(OverQuota::UserFiles { max: 10 });
    assert_eq!(outcomes.iter().filter(|outcome| outcome.as_ref().ok() == Some(&over)).count(), 54);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_expires_while_the_clocks_differ() {
    let cluster = Cluster::shared();
    let url = cluster.database("clocks");
    // The database's own functions come last: a clock of the tests' takes the place of theirs.
    let store = open(&format!("{url}?options=-c%20search_path%3Dpublic%2Cpg_catalog")).await;
    let (unfinished, unused) = (upload(ANNA, 1), upload(ANNA, 1));
    begin(&store, &unfinished, 5).await;
    record(&store, unfinished.generation(), plain_part(0, 0, 10), 5).await;
    begin(&store, &unused, 5).await;
    let whole = finished(&store, ANNA, 5).await;
    for (off_by, expire) in [("6 minutes", false), ("-6 minutes", false), ("4 minutes", true)] {
        let clock = format!(
            "CREATE OR REPLACE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql
             AS $$ SELECT pg_catalog.clock_timestamp() + interval '{off_by}' $$"
        );
        cluster.sql("clocks", &clock);
        let unattached = store.unattached(100, 10).await.expect("no error");
        assert_eq!(unattached.iter().any(|file| file.id == whole.id), expire, "{off_by}");
        let never_used = store.unused_uploads(100, 10).await.expect("no error");
        assert_eq!(never_used == [unused.id], expire, "{off_by}");
        let mut expired = store.expire(100, 10, 101).await.expect("no error");
        expired.sort();
        let mut both = [unfinished.id, unused.id];
        both.sort();
        assert_eq!(expired == both, expire, "{off_by}: {expired:?}");
    }
}

/// Another server may have recorded parts since this one read the layout, so recording checks what placing relied on.
#[tokio::test(flavor = "multi_thread")]
async fn a_part_placed_by_a_stale_layout_is_refused() {
    let store = open(&Cluster::shared().fresh()).await;
    let even = |index, size, even_size| NewPart {
        even_size,
        ..plain_part(index, u64::from(index) * 10, size)
    };
    let total =
        |index, total_size| NewPart { total_size, ..plain_part(index, u64::from(index) * 10, 10) };
    let cases = [
        ("of another size than all", vec![even(0, 10, Some(10)), even(1, 9, None)]),
        ("all of one size, after some of others", vec![even(1, 9, None), even(0, 10, Some(10))]),
        ("all of one size, after some larger", vec![even(1, 10, None), even(0, 9, Some(9))]),
        ("beyond the end", vec![total(0, Some(15)), total(1, None)]),
        ("an end before one that is there", vec![total(1, None), total(0, Some(15))]),
        ("in another one's place", vec![even(0, 10, None), plain_part(1, 9, 10)]),
        ("before one of a lower index", vec![even(1, 10, None), plain_part(2, 0, 10)]),
    ];
    for (what, parts) in cases {
        let new = upload(ANNA, 4);
        begin(&store, &new, 5).await;
        let [first, second] = &parts[..] else { panic!("{parts:?}") };
        let outcome = record(&store, new.generation(), first.clone(), 6).await;
        assert_eq!(outcome, Recorded::Stored, "{what}");
        let outcome = record(&store, new.generation(), second.clone(), 6).await;
        assert_eq!(outcome, Recorded::Refused, "{what}");
        let layout = unfinished(&store, new.id).await.layout;
        assert_eq!((layout.parts().len(), layout.received_bytes()), (1, first.part.size), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_start_concurrently_migrate_once() {
    let url = Cluster::shared().fresh();
    let stores = future::join_all((0..4).map(|_| open(&url))).await;
    let kept = finished(&stores[0], ANNA, 5).await;
    state(&stores[3], kept.id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_with_its_own_data_directory_is_refused() {
    let url = Cluster::shared().fresh();
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let settings = |folder: &tempfile::TempDir| Settings {
        data_dir: folder.path().to_owned(),
        database_url: Some(url.parse().expect("not empty")),
        ..Settings::default()
    };
    let config = |folder| Config::new(settings(folder)).expect("the settings are valid");
    let first = App::open(config(&folders[0]), Clock::system()).await.expect("the store opens");
    let second = App::open(config(&folders[1]), Clock::system()).await;
    let error = second.err().expect("refused").to_string();
    assert!(error.contains("another server keeps the files"), "{error}");
    drop(first);
    App::open(config(&folders[0]), Clock::system()).await.expect("the same server opens it again");
}
