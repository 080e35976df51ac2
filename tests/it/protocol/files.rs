//! Section 1: files, for the application's backend.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Form, Server, new_uuid, png};

#[tokio::test]
async fn files_come_in_the_order_asked_with_null_for_the_unknown() {
    let server = Server::start().await;
    let (user, service) = (server.user(1), server.service());
    let a = user.store("a.txt", "a").await["uuid"].clone();
    let b = user.store("b.txt", "b").await["uuid"].clone();
    let unfinished = user.begin(2, "first").await;
    let wanted = json!({"uuids": [b, new_uuid(), a, "no uuid", unfinished, b]});
    let files = service.files(&wanted).await.ok();
    let uuids: Vec<_> = files.as_array().unwrap().iter().map(|f| &f["uuid"]).collect();
    let null = Value::Null;
    assert_eq!(uuids, [&b, &null, &a, &null, &null, &b]);
    assert_eq!(files[1], null);
}

#[tokio::test]
async fn an_entry_is_the_file_object_with_a_link_that_works() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.store_any().await;
    let files = server.service().files(&json!({"uuids": [uuid]})).await.ok();
    assert_eq!(files[0], user.file(&uuid).await.ok());
    assert_eq!(server.anonymous().contents(&files[0]).await, "some bytes");
}

#[tokio::test]
async fn a_thumbnails_uuid_gives_its_parent() {
    let server = Server::start().await;
    let user = server.user(1);
    let parent = user.store_any().await;
    let thumbnail = user.upload(Form::thumbnail(&parent, png())).await.ok();
    let wanted = json!({"uuids": [thumbnail["file_uuid"]]});
    let files = server.service().files(&wanted).await.ok();
    assert_eq!(files[0]["uuid"], parent);
}

#[tokio::test]
async fn a_deleted_file_is_unknown() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.store_any().await;
    user.delete(&uuid).await.ok();
    let files = server.service().files(&json!({"uuids": [uuid]})).await;
    assert_eq!(files.ok(), json!([null]));
}

#[tokio::test]
async fn an_attached_file_is_not_its_owners_to_delete() {
    let server = Server::start().await;
    let (user, service) = (server.user(1), server.service());
    let uuid = user.store_any().await;
    let attach = json!({"uuids": [uuid], "attach": true});
    service.files(&attach).await.ok();
    let refused = user.delete(&uuid).await.refused(409, "attached");
    assert!(refused.prevent_retry);
    user.post_delete(&uuid).await.refused(409, "attached");
    user.file(&uuid).await.ok();
}

#[tokio::test]
async fn attaching_twice_changes_nothing() {
    let server = Server::start().await;
    let (user, service) = (server.user(1), server.service());
    let uuid = user.store_any().await;
    let attach = json!({"uuids": [uuid, uuid], "attach": true});
    let first = service.files(&attach).await.ok();
    assert_eq!(service.files(&attach).await.ok(), first);
}

#[tokio::test]
async fn attach_false_attaches_nothing() {
    let server = Server::start().await;
    let (user, service) = (server.user(1), server.service());
    let uuid = user.store_any().await;
    let ask = json!({"uuids": [uuid], "attach": false});
    service.files(&ask).await.ok();
    user.delete(&uuid).await.ok();
}

#[tokio::test]
async fn attaching_a_thumbnails_uuid_attaches_its_parent() {
    let server = Server::start().await;
    let (user, service) = (server.user(1), server.service());
    let parent = user.store_any().await;
    let thumbnail = user.upload(Form::thumbnail(&parent, png())).await.ok();
    let attach = json!({"uuids": [thumbnail["file_uuid"]], "attach": true});
    service.files(&attach).await.ok();
    user.delete(&parent).await.refused(409, "attached");
}

#[tokio::test]
async fn the_backend_deletes_attached_files_too() {
    let server = Server::start().await;
    let (user, service) = (server.user(1), server.service());
    let uuid = user.store_any().await;
    let attach = json!({"uuids": [uuid], "attach": true});
    service.files(&attach).await.ok();
    service.delete(&uuid).await.ok();
    user.file(&uuid).await.refused(410, "gone");
    assert!(server.stored().is_empty());
}

#[tokio::test]
async fn the_backend_deletes_anybodys_files() {
    let server = Server::start().await;
    let uuid = server.user(7).store_any().await;
    server.service().delete(&uuid).await.ok();
    server.user(7).file(&uuid).await.refused(410, "gone");
}

#[tokio::test]
async fn the_backend_gets_404_for_deleting_what_never_was() {
    let server = Server::start().await;
    let reply = server.service().delete(&new_uuid()).await;
    reply.refused(404, "not_found");
}

#[tokio::test]
async fn with_user_id_someone_elses_file_is_unknown() {
    let server = Server::start().await;
    let own = server.user(1).store_any().await;
    let other = server.user(2).store_any().await;
    let ask = json!({"uuids": [own, other], "user_id": 1});
    let files = server.service().files(&ask).await.ok();
    assert_eq!(files[0]["uuid"], own);
    assert_eq!(files[1], Value::Null);
}

#[tokio::test]
async fn with_user_id_someone_elses_file_is_not_attached() {
    let server = Server::start().await;
    let other = server.user(2).store_any().await;
    let ask = json!({"uuids": [other], "user_id": 1, "attach": true});
    assert_eq!(server.service().files(&ask).await.ok(), json!([null]));
    server.user(2).delete(&other).await.ok();
}

#[tokio::test]
async fn a_thousand_files_are_asked_for_at_once_and_no_more() {
    let server = Server::start().await;
    let service = server.service();
    let uuid = server.user(1).store_any().await;
    let files = service.files(&json!({"uuids": vec![&uuid; 1000]})).await.ok();
    assert_eq!(files.as_array().unwrap().len(), 1000);
    let reply = service.files(&json!({"uuids": vec![&uuid; 1001]})).await;
    let refused = reply.refused(400, "too_many").of_field("uuids");
    refused.saying(&["1000"]);
}

#[tokio::test]
async fn files_are_not_for_users() {
    let server = Server::start().await;
    let reply = server.user(1).files(&json!({"uuids": []})).await;
    reply.refused(403, "forbidden");
}

#[tokio::test]
async fn a_question_for_files_is_json() {
    let server = Server::start().await;
    let service = server.service();
    for malformed in [
        "",
        "[]",
        "{}",
        "{",
        r#"{"uuids": "x"}"#,
        r#"{"uuids": [1]}"#,
        r#"{"uuids": [], "uuids": []}"#,
        r#"{"uuids": [], "attach": true, "attach": false}"#,
    ] {
        let request = service.request(Method::POST, "/api/v2/pm/files/");
        let request = request.header("content-type", "application/json");
        let reply = service.send(request.body(malformed)).await;
        reply.refused(400, "malformed_json").saying(&["uuids"]);
    }
    let request = service.request(Method::POST, "/api/v2/pm/files/");
    let reply = service.send(request.form(&[("uuids", "x")])).await;
    let refused = reply.refused(415, "unsupported_media_type");
    refused.saying(&["application/json"]);
}

#[tokio::test]
async fn a_malformed_question_is_not_answered_in_words_of_our_source() {
    let server = Server::start().await;
    let reply = server.service().files(&json!([])).await;
    let refused = reply.refused(400, "malformed_json");
    assert!(!refused.message.contains("struct"), "{}", refused.message);
}
