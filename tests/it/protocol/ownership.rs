//! Sections 4, 7 and 8: what belongs to somebody else doesn't exist.

use serde_json::json;

use crate::harness::{Form, Reply, Server, new_uuid, png};

/// The replies to every request that names this uuid, for user 2.
async fn every_request(server: &Server, uuid: &str) -> Vec<Reply> {
    let other = server.user(2);
    let chunk = Form::chunk(0, 2, "abc").uuid(uuid);
    vec![
        other.upload(chunk.clone()).await,
        other.upload(chunk.file_first()).await,
        other.upload(Form::single("some bytes").uuid(uuid)).await,
        other.done(uuid).await,
        other.status(uuid).await,
        other.file(uuid).await,
        other.delete(uuid).await,
        other.post_delete(uuid).await,
    ]
}

async fn hidden(server: &Server, uuid: &str) {
    for reply in every_request(server, uuid).await {
        assert!(reply.refused(404, "not_found").prevent_retry);
    }
}

#[tokio::test]
async fn someone_elses_unfinished_upload_is_404_for_every_request() {
    let server = Server::start().await;
    let uuid = server.user(1).begin(2, "abc").await;
    hidden(&server, &uuid).await;
    server.user(1).status(&uuid).await.ok();
}

#[tokio::test]
async fn someone_elses_file_is_404_even_with_identical_bytes() {
    let server = Server::start().await;
    let uuid = server.user(1).store_any().await; // "some bytes"
    hidden(&server, &uuid).await;
    server.user(1).file(&uuid).await.ok();
}

#[tokio::test]
async fn someone_elses_thumbnail_is_404_for_every_request() {
    let server = Server::start().await;
    let user = server.user(1);
    let parent = user.store_any().await;
    let reply = user.upload(Form::thumbnail(&parent, png())).await.ok();
    hidden(&server, reply["file_uuid"].as_str().unwrap()).await;
}

#[tokio::test]
async fn someone_elses_cancelled_upload_is_404_for_every_request() {
    let server = Server::start().await;
    let uuid = server.user(1).begin(2, "abc").await;
    server.user(1).delete(&uuid).await.ok();
    hidden(&server, &uuid).await;
}

#[tokio::test]
async fn someone_elses_deleted_file_is_404_for_every_request() {
    let server = Server::start().await;
    let uuid = server.user(1).store_any().await;
    server.user(1).delete(&uuid).await.ok();
    hidden(&server, &uuid).await;
}

#[tokio::test]
async fn someone_elses_expired_upload_is_404_and_stays_expired() {
    let server = Server::start().await;
    let uuid = server.user(1).begin(2, "abc").await;
    server.skip(9 * crate::harness::DAY);
    server.sweep().await;
    hidden(&server, &uuid).await;
    server.user(1).done(&uuid).await.refused(410, "expired");
}

#[tokio::test]
async fn someone_elses_and_unknown_can_not_be_told_apart() {
    let server = Server::start().await;
    let (mine, unknown) = (server.user(1).store_any().await, new_uuid());
    for method in ["status", "file", "done", "delete"] {
        let mut answers = Vec::new();
        for uuid in [&mine, &unknown] {
            let other = server.user(2);
            let reply = match method {
                "status" => other.status(uuid).await,
                "file" => other.file(uuid).await,
                "done" => other.done(uuid).await,
                _ => other.delete(uuid).await,
            };
            answers.push(reply.comparable());
        }
        assert_eq!(answers[0], answers[1], "{method}");
    }
}

#[tokio::test]
async fn a_path_that_can_be_no_uuid_is_404() {
    let server = Server::start().await;
    let user = server.user(1);
    for path in ["x", "0", "%00", "..%2f..", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"] {
        user.status(path).await.refused(404, "not_found");
        user.file(path).await.refused(404, "not_found");
        user.delete(path).await.refused(404, "not_found");
    }
}

#[tokio::test]
async fn an_upload_belongs_to_the_user_and_not_to_the_token() {
    let server = Server::start().await;
    let uuid = server.user(1).begin(2, "abc").await;
    let refreshed = server.user(1); // another token of the same user
    let form = Form::chunk(1, 2, "def").uuid(&uuid);
    refreshed.upload(form).await.ok();
    assert_eq!(server.user(1).finish(&uuid).await, "abcdef");
}

#[tokio::test]
async fn a_list_shows_only_ones_own() {
    let server = Server::start().await;
    server.user(1).store_any().await;
    server.user(1).begin(2, "abc").await;
    let list = server.user(2).list("").await.ok();
    assert_eq!(list["results"], json!([]));
}
