//! Section 5 and "what was acknowledged survives": a server stopped and started on the same data.

use serde_json::json;

use crate::harness::{Form, Server, dimensions, png};

/// The path and query of a link.
fn path(link: &serde_json::Value) -> String {
    let link = link.as_str().unwrap();
    let (_, path) = link.split_once("/media/").unwrap();
    format!("/media/{path}")
}

#[tokio::test]
async fn an_unfinished_upload_goes_on_after_a_restart() {
    let server = Server::start().await;
    let uuid = server.user(1).begin(3, "abc").await;
    let form = Form::chunk(2, 3, "g").uuid(&uuid);
    server.user(1).upload(form).await.ok();
    let before = server.user(1).status(&uuid).await.ok();
    let server = server.restart().await;
    let user = server.user(1);
    assert_eq!(user.status(&uuid).await.ok(), before);
    user.upload(Form::chunk(1, 3, "def").uuid(&uuid)).await.ok();
    assert_eq!(user.finish(&uuid).await, "abcdefg");
}

#[tokio::test]
async fn a_recorded_chunk_is_compared_after_a_restart() {
    let server = Server::start().await;
    let uuid = server.user(1).begin(2, "abc").await;
    let server = server.restart().await;
    let user = server.user(1);
    user.upload(Form::chunk(0, 2, "abc").uuid(&uuid)).await.ok();
    let reply = user.upload(Form::chunk(0, 2, "xyz").uuid(&uuid)).await;
    reply.refused(409, "chunk_conflict");
}

#[tokio::test]
async fn an_even_cut_is_remembered_over_a_restart() {
    let server = Server::start().await;
    let uuid = crate::harness::new_uuid();
    let form = Form::chunk(1, 4, "def").uuid(&uuid);
    server.user(1).upload(form).await.ok();
    let server = server.restart().await;
    let form = Form::chunk(2, 4, "gh").uuid(&uuid);
    let refused = server.user(1).upload(form).await;
    assert!(refused.refused(400, "uneven_chunk").reset);
}

#[tokio::test]
async fn a_done_repeated_after_a_restart_answers_the_same_file() {
    let server = Server::start().await;
    let uuid = server.user(1).begin(1, "abc").await;
    let first = [("uuid", &*uuid), ("filename", "first.txt")];
    server.user(1).done_urlencoded(&first).await.ok();
    let server = server.restart().await;
    let user = server.user(1);
    let second = [("uuid", &*uuid), ("filename", "second.txt")];
    let file = user.done_urlencoded(&second).await.ok();
    assert_eq!(file["uuid"], uuid);
    assert_eq!(file["filename"], "first.txt");
    assert_eq!(user.contents(&file).await, "abc");
}

#[tokio::test]
async fn a_chunk_repeated_after_done_and_a_restart_is_compared() {
    let server = Server::start().await;
    let uuid = server.user(1).begin(1, "abc").await;
    server.user(1).done(&uuid).await.ok();
    let server = server.restart().await;
    let user = server.user(1);
    user.upload(Form::chunk(0, 1, "abc").uuid(&uuid)).await.ok();
    let reply = user.upload(Form::chunk(0, 1, "xyz").uuid(&uuid)).await;
    reply.refused(409, "upload_finished");
}

#[tokio::test]
async fn a_tombstone_outlives_a_restart() {
    let server = Server::start().await;
    let uuid = server.user(1).begin(2, "abc").await;
    server.user(1).delete(&uuid).await.ok();
    let server = server.restart().await;
    let form = Form::chunk(0, 2, "abc").uuid(&uuid);
    let user = server.user(1);
    user.upload(form).await.refused(410, "gone");
    user.status(&uuid).await.refused(410, "gone");
}

#[tokio::test]
async fn attached_files_stay_attached_over_a_restart() {
    let server = Server::start().await;
    let uuid = server.user(1).store_any().await;
    let attach = json!({"uuids": [uuid], "attach": true});
    server.service().files(&attach).await.ok();
    let server = server.restart().await;
    let reply = server.user(1).delete(&uuid).await;
    reply.refused(409, "attached");
}

#[tokio::test]
async fn links_and_entity_tags_outlive_a_restart() {
    let server = Server::start().await;
    let file = server.user(1).store("a.txt", "abc").await;
    let before = server.anonymous().get(&path(&file["url"])).await;
    let server = server.restart().await;
    let after = server.anonymous().get(&path(&file["url"])).await;
    assert_eq!(after.body, "abc");
    assert_eq!(after.header("etag"), before.header("etag"));
}

#[tokio::test]
async fn a_thumbnail_outlives_a_restart() {
    let server = Server::start().await;
    let uuid = server.user(1).store_any().await;
    let form = Form::thumbnail(&uuid, png());
    server.user(1).upload(form).await.ok();
    let server = server.restart().await;
    let file = server.user(1).illustrated(&uuid).await;
    let link = file["thumbnail"].as_str().unwrap();
    assert_eq!(dimensions(&server.anonymous().get(link).await.body), (12, 20));
}
