//! A standby that takes over, and databases that take no changes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use haversack::config::{Config, Settings};
use haversack::metadata::postgres::{Finding, PostgresOptions, PostgresStore, check};
use haversack::metadata::{Error, MetadataStore};
use haversack::storage::Durability;
use tokio::task::block_in_place;

use super::cluster::Cluster;
use super::postgres::{disturbed, open, open_with_long_retries, options};
use super::records::{ANNA, NO_CAP, finished, state, upload};
use crate::harness::{Form, Server, eventually};

/// A server, and a standby that every commit of it waits for.
struct Pair {
    primary: Cluster,
    standby: Cluster,
}

impl Pair {
    fn start() -> Self {
        let primary = Cluster::start();
        let standby = primary.standby();
        primary.set("synchronous_standby_names", "*");
        let states = || primary.sql("postgres", "SELECT sync_state FROM pg_stat_replication");
        primary.wait_until("commits wait for the standby", || states() == "sync");
        Self { primary, standby }
    }

    /// The URL of whichever takes changes, as the parameters say.
    fn url(&self, parameters: &str) -> String {
        let (first, second) = (self.primary.port(), self.standby.port());
        format!("postgres://haversack@127.0.0.1:{first},127.0.0.1:{second}/haversack{parameters}")
    }

    /// What happens where the primary's machine breaks.
    fn fail_over(&self) {
        self.primary.kill();
        self.standby.promote();
    }
}

/// How many connections there are to the database, and how many of them are in the middle of a transaction.
fn connections(cluster: &Cluster) -> (usize, usize) {
    let sql = "SELECT count(*) || ' ' || count(*) FILTER (WHERE state LIKE 'idle in%') FROM pg_stat_activity
               WHERE datname = 'haversack' AND application_name = 'haversack'";
    let counted = cluster.sql("postgres", sql);
    let (all, open) = counted.split_once(' ').expect("two numbers");
    (all.parse().expect("a number"), open.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_a_standby_takes_over() {
    let pair = block_in_place(Pair::start);
    let store = open_with_long_retries(&pair.url("")).await;
    let is_first = AtomicBool::new(true);
    disturbed(&store, 2, || {
        if !is_first.swap(false, Ordering::Relaxed) {
            pair.fail_over();
        }
    })
    .await;
    finished(&store, ANNA, 7).await;
    assert_eq!(store.usage(ANNA.into()).await.expect("no error").user_files, 5);
    let (all, in_transaction) = block_in_place(|| connections(&pair.standby));
    assert!((1..=16).contains(&all), "{all} connections");
    assert_eq!(in_transaction, 0);
}

/// A server whose database is this, and which waits so long for it.
async fn server(url: &str, adjust: fn(&mut Config)) -> Server {
    let settings =
        Settings { database_url: Some(url.parse().expect("a URL")), ..Settings::default() };
    Server::adjusted(settings, adjust).await
}

fn impatient(config: &mut Config) {
    config.database.as_mut().expect("a database").retry_timeout = Duration::from_millis(300);
}

fn patient(config: &mut Config) {
    config.database.as_mut().expect("a database").retry_timeout = Duration::from_mins(2);
}

/// Once the server is ready, the second chunk of the first user's upload finishes it.
async fn goes_on(server: &Server, uuid: &str) {
    let (anna, anybody) = (server.user(1), server.anonymous());
    let ready = async || anybody.get("/health/ready").await.status == 200;
    eventually("it is ready", ready).await;
    anna.upload(Form::chunk(1, 2, "56789").uuid(uuid)).await.ok();
    assert_eq!(anna.finish(uuid).await, "0123456789");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_during_a_fail_over_are_told_to_come_back_and_later_ones_go_on() {
    let pair = block_in_place(Pair::start);
    let server = server(&pair.url("?target_session_attrs=read-write"), impatient).await;
    let (anna, anybody) = (server.user(1), server.anonymous());
    let uuid = anna.begin(2, "01234").await;
    block_in_place(|| pair.primary.kill());
    for _ in 0..3 {
        let reply = anna.upload(Form::chunk(1, 2, "56789").uuid(&uuid)).await;
        assert_eq!(reply.header("retry-after"), "2");
        reply.refused(503, "unavailable");
    }
    anybody.get("/health/ready").await.refused(503, "not_ready");
    block_in_place(|| pair.standby.promote());
    goes_on(&server, &uuid).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_during_a_fail_over_wait_for_its_end() {
    let pair = block_in_place(Pair::start);
    let server = server(&pair.url(""), patient).await;
    let anna = server.user(1);
    let uuid = anna.begin(2, "01234").await;
    block_in_place(|| pair.primary.kill());
    let (sender, id) = (anna.clone(), uuid.clone());
    let waiting = tokio::spawn(async move {
        sender.upload(Form::chunk(1, 2, "56789").uuid(&id)).await.ok();
        sender.finish(&id).await
    });
    block_in_place(|| pair.standby.promote());
    assert_eq!(waiting.await.expect("no panic"), "0123456789");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_takes_no_changes_is_not_ready_and_answers_questions() {
    let pair = block_in_place(Pair::start);
    let server = server(&pair.url("?target_session_attrs=any"), impatient).await;
    let (anna, anybody) = (server.user(1), server.anonymous());
    let uuid = anna.begin(2, "01234").await;
    let stored = anna.store_any().await;
    block_in_place(|| {
        // The last commit has come to the standby's log, and is soon seen there.
        pair.standby.wait_until("it has what the primary has", || {
            let files = "SELECT count(*) FROM uploads";
            pair.standby.sql("haversack", files) == pair.primary.sql("haversack", files)
        });
        pair.primary.kill();
    });
    let file = async || anna.file(&stored).await.status == 200;
    eventually("the standby is asked", file).await;
    anna.status(&uuid).await.ok();
    let refused = anna.upload(Form::chunk(1, 2, "56789").uuid(&uuid)).await;
    refused.refused(503, "unavailable");
    let unready = anybody.get("/health/ready").await.refused(503, "not_ready");
    assert!(unready.message.contains("the database accepts no changes"), "{unready:?}");
    assert_eq!(unready.json["checks"]["files"], "ready");
    block_in_place(|| pair.standby.promote());
    goes_on(&server, &uuid).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_waits_for_its_standby_is_not_ready_until_that_is_back() {
    let pair = block_in_place(Pair::start);
    let server = server(&pair.url(""), patient).await;
    let (anna, anybody) = (server.user(1), server.anonymous());
    let uuid = anna.begin(2, "01234").await;
    block_in_place(|| pair.standby.kill());
    let (sender, id) = (anna.clone(), uuid.clone());
    let waiting = tokio::spawn(async move {
        sender.upload(Form::chunk(1, 2, "56789").uuid(&id)).await.ok();
        sender.finish(&id).await
    });
    for _ in 0..3 {
        anybody.get("/health/ready").await.refused(503, "not_ready");
    }
    let (all, _) = block_in_place(|| connections(&pair.primary));
    assert!(all <= 16, "{all} connections");
    anna.status(&uuid).await.ok();
    assert!(!waiting.is_finished(), "it was acknowledged and is not on the standby");
    block_in_place(|| pair.standby.start_again());
    assert_eq!(waiting.await.expect("no panic"), "0123456789");
    let ready = async || anybody.get("/health/ready").await.status == 200;
    eventually("it is ready", ready).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_that_hang_take_no_more_connections_than_there_may_be() {
    let pair = block_in_place(Pair::start);
    drop(open(&pair.url("")).await); // which makes the tables, however long it takes
    let options = PostgresOptions {
        retry_timeout: Duration::from_secs(1),
        statement_timeout: Duration::from_millis(100),
        connections: 3,
        ..options(&pair.url(""))
    };
    let mut opened = None;
    eventually("it opens", async || {
        opened = PostgresStore::open(options.clone(), Durability::default()).await.ok();
        opened.is_some()
    })
    .await;
    let store = opened.expect("it does");
    block_in_place(|| pair.standby.kill());
    for user in 1..12_i64 {
        // Of one user's, the second would wait for the first, not for the standby.
        let begun = store.begin_upload(upload(user, 1), NO_CAP, 6).await;
        assert!(matches!(begun, Err(Error::Unavailable(_))), "{begun:?}");
    }
    let (all, _) = block_in_place(|| connections(&pair.primary));
    assert!(all <= 3, "{all} connections");
    block_in_place(|| pair.standby.start_again());
    eventually("it goes on", async || {
        store.begin_upload(upload(20_i64, 1), NO_CAP, 7).await.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_only_look_find_the_primary_among_several_hosts() {
    let pair = block_in_place(Pair::start);
    let kept = finished(&open(&pair.url("")).await, ANNA, 5).await;
    let (first, second) = (pair.standby.port(), pair.primary.port());
    for parameters in ["", "?target_session_attrs=read-write"] {
        let hosts = format!("127.0.0.1:{first},127.0.0.1:{second}");
        let options = options(&format!("postgres://haversack@{hosts}/haversack{parameters}"));
        let found = check(&options).await.expect("it can be looked at");
        assert!(found.contains(&Finding::Good("role: accepts changes".into())), "{found:?}");
        let store = PostgresStore::open_read_only(options).await.expect("it opens");
        state(&store, kept.id).await;
        let removed = store.remove(kept.id, false, 6, 0).await;
        removed.expect_err("nothing can be changed");
        state(&store, kept.id).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_does_not_start_on_a_standby_and_says_why() {
    let pair = block_in_place(Pair::start);
    drop(open(&pair.url("")).await);
    let port = pair.standby.port();
    let options = options(&format!("postgres://haversack@127.0.0.1:{port}/haversack"));
    let found = check(&options).await.expect("it can be looked at");
    let standby = |finding: &&Finding| matches!(finding, Finding::Missing(what) if what.contains("this is a standby"));
    assert!(found.iter().find(standby).is_some(), "{found:?}");
    let opened = PostgresStore::open(options, Durability::default()).await;
    let error = opened.err().expect("it is refused").to_string();
    assert!(error.contains("the database accepts no changes: it is a standby"), "{error}");
}
