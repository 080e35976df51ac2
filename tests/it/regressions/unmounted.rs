//! The disk with the stored files was unmounted while the server ran: every file seems to be gone, and none may be
//! given up.

use std::path::{Path, PathBuf};

use haversack::fsck;
use haversack::ids::BlobId;
use haversack::storage::BlobStore;
use haversack::storage::disk::DiskStore;
use serde_json::{Value, json};

use crate::harness::{Client, Form, Server, new_uuid};
use crate::process::program;

const PHOTO: &[u8] = include_bytes!("../../media/gps/exif.jpg");

fn away(server: &Server) -> PathBuf {
    server.blobs().with_file_name("away")
}

/// Leaves an empty folder, as unmounting does.
fn unmount(server: &Server) {
    std::fs::rename(server.blobs(), away(server)).unwrap();
    std::fs::create_dir(server.blobs()).unwrap();
}

fn mount(server: &Server) {
    std::fs::remove_dir_all(server.blobs()).unwrap();
    std::fs::rename(away(server), server.blobs()).unwrap();
}

/// Records a job of this kind.
fn job(server: &Server, kind: &str, subject: &str) {
    let sql = format!(
        "INSERT INTO jobs (id, kind, subject, payload, run_at)
         VALUES (randomblob(16), '{kind}', {subject}, x'', 0)"
    );
    database(server, &sql);
}

fn database(server: &Server, sql: &str) {
    let database = rusqlite::Connection::open(server.blobs().with_file_name("haversack.db"));
    assert!(database.unwrap().execute(sql, ()).unwrap() > 0);
}

async fn file(user: &Client, bytes: &[u8]) -> Value {
    user.upload(Form::single(bytes)).await.ok()
}

async fn plays(server: &Server, file: &Value, bytes: &[u8]) {
    let reply = server.anonymous().get(file["url"].as_str().unwrap()).await;
    assert_eq!((reply.status.as_u16(), &reply.body[..]), (200, bytes));
}

/// An upload of two chunks, both of which are stored.
async fn received(user: &Client) -> String {
    let uuid = new_uuid();
    for index in 0..2 {
        user.upload(Form::chunk(index, 2, b"ten bytes.").uuid(&uuid)).await.ok();
    }
    uuid
}

#[tokio::test]
async fn a_done_gives_no_chunk_up() {
    let server = Server::start().await;
    let user = server.user(1);
    let (plain, with_md5) = (received(&user).await, received(&user).await);
    let md5 = [("uuid", with_md5.as_str()), ("md5", "00000000000000000000000000000000")];
    unmount(&server);
    user.done(&plain).await.refused(500, "internal");
    user.done_urlencoded(&md5).await.refused(500, "internal");
    mount(&server);
    assert_eq!(user.done(&plain).await.ok()["filesize"], 20);
    user.done_urlencoded(&md5).await.refused(400, "md5_mismatch");
    assert_eq!(user.done(&with_md5).await.ok()["filesize"], 20);
}

#[tokio::test]
async fn what_is_compared_after_a_boot_is_not_given_up() {
    let server = Server::start().await;
    let user = server.user(1);
    let (file, upload) = (file(&user, b"some bytes").await, received(&user).await);
    unmount(&server);
    database(&server, "UPDATE uploads SET suspect = 1");
    job(&server, "compare", "zeroblob(16)");
    server.sweep().await;
    mount(&server);
    server.sweep().await;
    plays(&server, &file, b"some bytes").await;
    assert_eq!(user.status(&upload).await.ok()["received"], 20);
}

#[tokio::test]
async fn a_repair_gives_nothing_up() {
    let server = Server::start().await;
    let user = server.user(1);
    let (file, upload) = (file(&user, b"some bytes").await, received(&user).await);
    unmount(&server);
    let refused = fsck::repair(&server.app, false, true).await.expect_err("nothing is there");
    assert!(refused.to_string().contains("mounted"), "{refused}");
    mount(&server);
    assert!(fsck::repair(&server.app, true, false).await.unwrap().clean);
    plays(&server, &file, b"some bytes").await;
    assert_eq!(user.status(&upload).await.ok()["received"], 20);
}

#[tokio::test]
async fn a_thumbnail_is_still_to_be_made() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = file(&user, PHOTO).await["uuid"].clone();
    unmount(&server);
    database(&server, "UPDATE uploads SET thumbnail = NULL WHERE role = 0");
    job(&server, "thumbnail", "(SELECT id FROM uploads WHERE role = 0)");
    server.sweep().await;
    mount(&server);
    server.sweep().await;
    let file = user.file(uuid.as_str().unwrap()).await.ok();
    assert_ne!(file["thumbnail"], Value::Null);
}

#[tokio::test]
async fn a_deletion_is_refused_as_it_would_leave_the_bytes() {
    let server = Server::start().await;
    let user = server.user(1);
    let file = file(&user, b"some bytes").await;
    let uuid = file["uuid"].as_str().unwrap();
    unmount(&server);
    user.delete(uuid).await.refused(500, "internal");
    mount(&server);
    plays(&server, &file, b"some bytes").await;
    user.delete(uuid).await.ok();
    assert_eq!(server.stored(), [0; 0]);
}

#[tokio::test]
async fn chunks_of_an_upload_go_to_no_other_disk() {
    let server = Server::start().await;
    let (user, uuid) = (server.user(1), new_uuid());
    let chunk = |index| Form::chunk(index, 2, b"ten bytes.").uuid(&uuid);
    user.upload(chunk(0)).await.ok();
    unmount(&server);
    DiskStore::open(server.blobs().parent().unwrap()).unwrap(); // with its folders, but without a mark
    user.upload(chunk(1)).await.refused(500, "internal");
    let other = received(&user).await; // none of it was stored before
    user.done(&other).await.refused(500, "internal");
    mount(&server);
    user.upload(chunk(1)).await.ok();
    assert_eq!(user.done(&uuid).await.ok()["filesize"], 20);
    let lost = user.done(&other).await;
    assert!(lost.refused(503, "not_durable").reset);
}

#[tokio::test]
async fn the_bytes_of_another_store_in_its_place_are_not_swept() {
    let (server, other) = (Server::start().await, Server::start().await);
    file(&other.user(1), b"of another store").await;
    unmount(&server);
    std::fs::remove_dir(server.blobs()).unwrap();
    std::fs::rename(other.blobs(), server.blobs()).unwrap();
    server.skip(7 * 24 * 3600);
    server.app.jobs.run_all().await.expect_err("these are not its files");
    assert_eq!(server.stored(), [16]);
}

#[tokio::test]
async fn the_probe_says_so() {
    let server = Server::start().await;
    let ready = async || server.anonymous().get("/health/ready").await;
    unmount(&server);
    ready().await.refused(503, "not_ready");
    mount(&server);
    assert_eq!(ready().await.ok(), json!({"status": "ready"}));
}

#[tokio::test]
async fn a_start_without_the_disk_leaves_its_mount_point_alone() {
    let server = Server::start().await;
    let (blobs, data) = (server.blobs(), server.blobs().parent().unwrap().to_owned());
    file(&server.user(1), b"some bytes").await;
    let look = move |blobs: &Path| std::fs::read_dir(blobs).unwrap().count();
    server
        .restart_after(|| {
            let away = data.join("away");
            std::fs::rename(&blobs, &away).unwrap();
            std::fs::create_dir(&blobs).unwrap();
            let refused = program::Server::try_start(&mut program::serve(&data));
            let refused = refused.err().expect("it starts");
            assert!(refused.stderr.contains("Mount the disk"), "{}", refused.stderr);
            assert_eq!(look(&blobs), 0);
            std::fs::remove_dir(&blobs).unwrap();
            std::fs::rename(&away, &blobs).unwrap();
        })
        .await;
}

#[tokio::test]
async fn a_blob_is_missing_only_from_the_store_that_was_marked() {
    let dir = tempfile::tempdir().unwrap();
    let store = DiskStore::open(dir.path()).unwrap();
    let blob = BlobId::random();
    store.mark(BlobId::random()).await.unwrap();
    assert_eq!(store.size(blob).await.unwrap(), None);
    std::fs::remove_file(dir.path().join("blobs/store-id")).unwrap();
    store.size(blob).await.expect_err("who knows");
    store.delete(&[blob]).await.expect_err("who knows");
}
