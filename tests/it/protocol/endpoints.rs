//! Section 1: methods and paths.

use http::Method;
use serde_json::json;

use crate::harness::{Form, Server, new_uuid};

#[tokio::test]
async fn every_spelling_of_done_finalizes() {
    let server = Server::start().await;
    let user = server.user(1);
    for query in ["?done", "?done=", "?done/", "?done=1", "?done=true&x=y"] {
        for path in ["/api/v2/pm/upload/", "/api/v2/pm/upload"] {
            let uuid = user.begin(1, "bytes").await;
            let request = user.request(Method::POST, &format!("{path}{query}"));
            let reply = user.send(request.form(&[("uuid", &uuid)])).await;
            assert_eq!(reply.ok()["file_uuid"], uuid, "{path}{query}");
        }
    }
}

#[tokio::test]
async fn a_query_that_only_resembles_done_does_not_finalize() {
    let server = Server::start().await;
    let user = server.user(1);
    for query in ["?undone", "?x=done", "?donee", "?DONE"] {
        let form = Form::single("bytes").field("filename", "a.txt");
        let path = format!("/api/v2/pm/upload/{query}");
        let reply = user.post_form(&path, &form).await.ok();
        assert_eq!(reply["filename"], "a.txt", "{query}: it is a single file");
    }
}

#[tokio::test]
async fn chunks_are_taken_with_and_without_the_trailing_slash() {
    let server = Server::start().await;
    let user = server.user(1);
    for path in ["/api/v2/pm/upload/", "/api/v2/pm/upload"] {
        let reply = user.post_form(path, &Form::chunk(0, 1, "bytes")).await;
        assert_eq!(reply.ok()["success"], true, "{path}");
    }
}

#[tokio::test]
async fn every_get_answers_the_same_without_the_trailing_slash() {
    let server = Server::start().await;
    let user = server.user(1);
    let unfinished = user.begin(2, "first").await;
    let finished = user.store_any().await;
    for path in [
        "/api/v2/pm/upload".to_owned(),
        format!("/api/v2/pm/upload/{unfinished}"),
        format!("/api/v2/pm/upload/{finished}/file"),
    ] {
        let with = user.get(&format!("{path}/")).await.ok();
        assert_eq!(user.get(&path).await.ok(), with, "{path}");
    }
}

#[tokio::test]
async fn links_are_followed_with_a_slash_before_their_query() {
    let server = Server::start().await;
    let user = server.user(1);
    let file = user.store("note.txt", "some bytes").await;
    let link = file["url"].as_str().unwrap().replace('?', "/?");
    assert_eq!(server.anonymous().get(&link).await.body, "some bytes");
}

#[tokio::test]
async fn deletes_are_taken_in_every_spelling_of_the_path() {
    let server = Server::start().await;
    let user = server.user(1);
    for (before, after) in [("/", "/"), ("/", ""), ("//", ""), ("//", "/")] {
        let uuid = user.store_any().await;
        let path = format!("/api/v2/pm/upload{before}{uuid}{after}");
        let reply = user.send(user.request(Method::DELETE, &path)).await.ok();
        assert_eq!(reply["success"], true, "{path}");
        user.status(&uuid).await.refused(410, "gone");
    }
}

#[tokio::test]
async fn a_post_with_method_delete_deletes_a_file() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.store_any().await;
    assert_eq!(user.post_delete(&uuid).await.ok()["success"], true);
    user.status(&uuid).await.refused(410, "gone");
}

#[tokio::test]
async fn a_post_with_method_delete_cancels_an_upload() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "first").await;
    user.post_delete(&uuid).await.ok();
    user.status(&uuid).await.refused(410, "gone");
}

#[tokio::test]
async fn a_post_with_method_delete_needs_a_uuid() {
    let server = Server::start().await;
    let user = server.user(1);
    let request = user.request(Method::POST, "/api/v2/pm/upload/");
    let reply = user.send(request.form(&[("_method", "DELETE")])).await;
    reply.refused(400, "required").of_field("uuid");
}

#[tokio::test]
async fn a_post_with_method_delete_is_never_taken_for_a_single_file() {
    let server = Server::start().await;
    let user = server.user(1);
    user.post_delete(&new_uuid()).await.refused(404, "not_found");
}

#[tokio::test]
async fn cancelling_an_upload_removes_its_bytes() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "first").await;
    assert_eq!(server.written(), 5);
    user.delete(&uuid).await.ok();
    assert!(server.stored().is_empty());
}

#[tokio::test]
async fn deleting_a_file_removes_its_bytes_and_those_of_its_thumbnail() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.store_any().await;
    let thumbnail = Form::thumbnail(&uuid, crate::harness::png());
    user.upload(thumbnail).await.ok();
    user.delete(&uuid).await.ok();
    assert!(server.stored().is_empty());
}

#[tokio::test]
async fn verify_token_is_asked_with_and_without_the_trailing_slash() {
    let server = Server::start().await;
    let anybody = server.anonymous();
    for path in ["/api/v2/jwt/verify_token/", "/api/v2/jwt/verify_token"] {
        let request = anybody.request(Method::POST, path);
        let reply = anybody.send(request.json(&json!({"token": "x"}))).await;
        reply.refused(401, "not_authenticated");
    }
}

#[tokio::test]
async fn files_are_asked_for_with_and_without_the_trailing_slash() {
    let server = Server::start().await;
    let service = server.service();
    for path in ["/api/v2/pm/files/", "/api/v2/pm/files"] {
        let request = service.request(Method::POST, path);
        let reply = service.send(request.json(&json!({"uuids": []}))).await;
        assert_eq!(reply.ok(), json!([]), "{path}");
    }
}
