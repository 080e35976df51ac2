//! After a reboot that lost unsynced bytes: lost chunks are missing again, and no wrong bytes are ever made a File or
//! served.

use std::path::{Path, PathBuf};

use haversack::config::Settings;
use haversack::storage::Durability;
use serde_json::{Value, json};

use crate::harness::{Client, Form, Server, new_uuid};

/// The only blob.
fn blob(server: &Server) -> PathBuf {
    let entries = |path: &Path| std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let shards = entries(&server.blobs()).filter(|path| path.is_dir());
    let blobs: Vec<PathBuf> =
        shards.flat_map(|shard| entries(&shard).collect::<Vec<_>>()).collect();
    assert_eq!(blobs.len(), 1);
    blobs[0].clone()
}

/// Stops the server, makes the machine lose something, and starts the server in another boot.
async fn reboot(server: Server, lose: impl FnOnce(&Path)) -> Server {
    let (path, data) = (blob(&server), server.blobs().parent().unwrap().to_owned());
    server
        .restart_after(move || {
            let database = rusqlite::Connection::open(data.join("haversack.db")).unwrap();
            database.execute("UPDATE store SET boot = 'an earlier one'", ()).unwrap();
            lose(&path);
        })
        .await
}

/// Zeroes a range, as blocks read that were never written.
fn zero(path: &Path, range: std::ops::Range<usize>) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[range].fill(0);
    std::fs::write(path, bytes).unwrap();
}

fn cut(path: &Path, length: u64) {
    std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
}

async fn chunk(user: &Client, uuid: &str, index: u32) {
    let bytes = [b'a' + index as u8; 10];
    user.upload(Form::chunk(index, 4, bytes).uuid(uuid)).await.ok();
}

/// An upload of four chunks, the last of which has not been sent.
async fn begun() -> (Server, String) {
    let server = Server::start().await;
    let uuid = new_uuid();
    for index in 0..3 {
        chunk(&server.user(1), &uuid, index).await;
    }
    (server, uuid)
}

async fn present(user: &Client, uuid: &str) -> Value {
    user.status(uuid).await.ok()["parts"].clone()
}

const WHOLE: &str = "aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd";

#[tokio::test]
async fn chunks_whose_bytes_are_gone_are_missing_again() {
    for (lose, left) in [
        ((|path| zero(path, 10..20)) as fn(&Path), json!([[0, 0], [2, 2]])),
        (|path| cut(path, 15), json!([[0, 0]])),
        (|path| std::fs::remove_file(path).unwrap(), json!([])),
        (|_| {}, json!([[0, 2]])),
    ] {
        let (server, uuid) = begun().await;
        let server = reboot(server, lose).await;
        let user = server.user(1);
        assert_eq!(present(&user, &uuid).await, left);
        for index in 0..4 {
            chunk(&user, &uuid, index).await;
        }
        let file = user.done(&uuid).await.ok();
        assert_eq!(user.contents(&file).await, WHOLE);
    }
}

#[tokio::test]
async fn a_done_finds_what_is_gone_and_names_it() {
    let (server, uuid) = begun().await;
    chunk(&server.user(1), &uuid, 3).await;
    let server = reboot(server, |path| zero(path, 5..25)).await;
    let user = server.user(1);
    let refused = user.done(&uuid).await.refused(400, "chunks_missing");
    assert_eq!(refused.json["missing"], json!([0, 1, 2]));
    for index in 0..3 {
        chunk(&user, &uuid, index).await;
    }
    let file = user.done(&uuid).await.ok();
    assert_eq!(user.contents(&file).await, WHOLE);
}

#[tokio::test]
async fn a_chunk_that_is_sent_on_finds_what_is_gone() {
    let (server, uuid) = begun().await;
    let server = reboot(server, |path| zero(path, 0..1)).await;
    let user = server.user(1);
    chunk(&user, &uuid, 3).await;
    let refused = user.done(&uuid).await.refused(400, "chunks_missing");
    assert_eq!(refused.json["missing"], json!([0]));
}

#[tokio::test]
async fn what_nobody_asks_for_is_compared_in_the_background() {
    let (server, uuid) = begun().await;
    let server = reboot(server, |path| zero(path, 0..1)).await;
    server.sweep().await;
    assert!(!server.app.uploads.compare_suspects().await.unwrap(), "all was compared");
    assert_eq!(present(&server.user(1), &uuid).await, json!([[1, 2]]));
}

#[tokio::test]
async fn in_the_same_boot_everything_is_believed() {
    let (server, uuid) = begun().await;
    let path = blob(&server);
    let server = server.restart().await;
    zero(&path, 0..1); // as only a broken disk would do; found by fsck, not at every start
    assert_eq!(present(&server.user(1), &uuid).await, json!([[0, 2]]));
}

#[tokio::test]
async fn a_file_that_was_never_synced_is_given_up_when_it_is_gone() {
    for (durability, served) in [(Durability::Process, false), (Durability::Finish, true)] {
        let settings = Settings { durability, ..Settings::default() };
        let server = Server::with(settings).await;
        let uuid = server.user(1).store_any().await;
        let server = reboot(server, |path| zero(path, 0..1)).await;
        server.sweep().await;
        let reply = server.user(1).file(&uuid).await;
        if served {
            reply.ok(); // it was synced, so only a broken disk could lose it
        } else {
            reply.refused(410, "gone");
        }
    }
}

#[tokio::test]
async fn a_file_that_was_never_synced_but_is_whole_stays() {
    let settings = Settings { durability: Durability::Process, ..Settings::default() };
    let server = Server::with(settings).await;
    let uuid = server.user(1).store_any().await;
    let server = reboot(server, |_| {}).await;
    server.sweep().await;
    let file = server.user(1).file(&uuid).await.ok();
    assert_eq!(server.user(1).contents(&file).await, "some bytes");
    assert!(!server.app.uploads.compare_suspects().await.unwrap());
}
