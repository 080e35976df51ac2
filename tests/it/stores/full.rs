//! Databases whose disk is full: what needs room is refused, what is there stays readable, and everything goes on without a
//! restart of the server once there is room.
//!
//! Mounts small volumes, which requires root.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use haversack::config::{Config, Settings};
use tokio::task::block_in_place;

use super::cluster::Cluster;
use crate::faults::full::fill;
use crate::harness::{Client, Form, Server, eventually};

/// A server whose database has a volume of its own.
struct Rig {
    cluster: Cluster,
    volume: PathBuf,
    server: Server,
}

impl Rig {
    async fn start(is_log: bool) -> Self {
        let (cluster, volume) = block_in_place(|| Cluster::on_volume(is_log, 64));
        let settings = Settings {
            database_url: Some(cluster.url("haversack").parse().expect("a URL")),
            ..Settings::default()
        };
        let impatient = |config: &mut Config| {
            config.database.as_mut().expect("a database").retry_timeout =
                Duration::from_millis(300);
        };
        let server = Server::adjusted(settings, impatient).await;
        Self { cluster, volume, server }
    }

    /// What other programs have on the volume.
    fn others(&self) -> PathBuf {
        self.volume.join("others")
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.volume).status();
    }
}

/// What is on record before the disk is full: a chunk of two, and a file.
async fn begin(anna: &Client) -> (String, String) {
    (anna.begin(2, "01234").await, anna.store_any().await)
}

/// That what was begun is there, and can be finished.
async fn go_on(rig: &Rig, anna: &Client, uuid: &str, stored: &str) {
    eventually("it takes uploads", async || {
        rig.server.anonymous().get("/health/ready").await.status == 200
            && anna.upload(Form::single("after")).await.status == 200
    })
    .await;
    anna.upload(Form::chunk(1, 2, "56789").uuid(uuid)).await.ok();
    assert_eq!(anna.finish(uuid).await, "0123456789");
    anna.file(stored).await.ok();
}

fn make_room(others: &Path) {
    std::fs::remove_file(others).expect("removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_room_for_its_tables_refuses_what_needs_some() {
    let rig = Rig::start(false).await;
    let anna = rig.server.user(1);
    let (uuid, stored) = begin(&anna).await;
    block_in_place(|| fill(&rig.others()));
    let mut kept = Vec::new();
    let refused = loop {
        assert!(kept.len() < 5000, "there is still room");
        let reply = anna.upload(Form::single("more")).await;
        if reply.status != 200 {
            break reply.refused(507, "storage_full");
        }
        kept.push(reply.ok()["uuid"].as_str().expect("a uuid").to_owned());
    };
    assert!(!refused.prevent_retry && !refused.reset, "{refused:?}");
    anna.file(&stored).await.ok();
    anna.status(&uuid).await.ok();
    assert_eq!(anna.contents(&anna.file(&stored).await.ok()).await, "some bytes");
    block_in_place(|| make_room(&rig.others()));
    go_on(&rig, &anna, &uuid, &stored).await;
    for file in kept {
        anna.file(&file).await.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_room_for_its_log_is_away_until_there_is_some() {
    let rig = Rig::start(true).await;
    let anna = rig.server.user(1);
    let (uuid, stored) = begin(&anna).await;
    block_in_place(|| fill(&rig.others()));
    let (client, connection) =
        tokio_postgres::connect(&rig.cluster.url("haversack"), tokio_postgres::NoTls)
            .await
            .expect("connected");
    let driving = tokio::spawn(connection);
    let sql = "SELECT pg_logical_emit_message(true, 'filler', repeat('x', 400000))";
    while client.batch_execute(sql).await.is_ok() {}
    driving.abort();
    let reply = anna.upload(Form::chunk(1, 2, "56789").uuid(&uuid)).await;
    assert_eq!(reply.header("retry-after"), "2");
    reply.refused(503, "unavailable");
    rig.server.anonymous().get("/health/ready").await.refused(503, "not_ready");
    block_in_place(|| {
        make_room(&rig.others());
        // It gives up where it can't even recover, and whoever supervises it starts it again.
        rig.cluster.wait_until("it takes connections", || {
            if rig.cluster.postmaster().is_none() {
                rig.cluster.start_again();
            }
            rig.cluster.is_ready()
        });
    });
    go_on(&rig, &anna, &uuid, &stored).await;
}
