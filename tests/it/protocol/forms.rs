//! Section 3: what kind of request a form is.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Form, Server, new_uuid, png};

#[tokio::test]
async fn a_partindex_makes_a_chunk() {
    let server = Server::start().await;
    let reply = server.user(1).upload(Form::chunk(0, 1, "abc")).await.ok();
    assert!(reply.get("url").is_none(), "{reply}");
}

#[tokio::test]
async fn a_partindex_behind_the_file_makes_a_chunk() {
    let server = Server::start().await;
    let user = server.user(1);
    let form = Form::chunk(0, 1, "abc").file_first();
    let reply = user.upload(form).await.ok();
    assert!(reply.get("url").is_none(), "{reply}");
    assert_eq!(user.finish(reply["file_uuid"].as_str().unwrap()).await, "abc");
}

#[tokio::test]
async fn a_partindex_decides_before_a_parentuuid() {
    let server = Server::start().await;
    let user = server.user(1);
    let parent = user.store_any().await;
    let form = Form::chunk(0, 1, "abc").field("parentuuid", parent);
    let reply = user.upload(form).await.ok();
    assert!(reply.get("parent_file_uuid").is_none(), "{reply}");
}

#[tokio::test]
async fn a_parentuuid_without_a_uuid_makes_a_thumbnail() {
    let server = Server::start().await;
    let user = server.user(1);
    let parent = user.store_any().await;
    let first = Form::thumbnail(&parent, png());
    let last = Form::single(png()).field("parentuuid", &parent);
    for form in [first.clone(), last, first.in_seed_dialect()] {
        let reply = user.upload(form).await.ok();
        assert_eq!(reply["parent_file_uuid"], parent);
    }
}

#[tokio::test]
async fn a_scaled_copy_with_a_uuid_of_its_own_is_an_ordinary_file() {
    let server = Server::start().await;
    let user = server.user(1);
    let parent = user.store_any().await;
    let uuid = new_uuid();
    let form = Form::single(png()).uuid(&uuid).field("parentuuid", &parent);
    let copy = user.upload(form.in_seed_dialect()).await.ok();
    assert_eq!(copy["uuid"], uuid);
    assert_eq!(user.file(&uuid).await.ok()["uuid"], uuid);
    assert_eq!(user.file(&parent).await.ok()["thumbnail"], Value::Null);
}

#[tokio::test]
async fn the_parent_of_a_scaled_copy_is_only_recorded_and_need_not_exist() {
    let server = Server::start().await;
    let user = server.user(1);
    let parent = new_uuid();
    let single = Form::single(png()).uuid(&new_uuid()).field("parentuuid", &parent);
    user.upload(single).await.ok();
    let chunk = Form::chunk(0, 2, "abc").uuid(&new_uuid());
    user.upload(chunk.field("parentuuid", parent)).await.ok();
}

#[tokio::test]
async fn anything_else_is_a_single_file() {
    let server = Server::start().await;
    let user = server.user(1);
    let plain = Form::single("abc");
    for form in [
        plain.clone(),
        plain.clone().content_range("bytes 0-2/3"),
        plain.clone().field("totalparts", 1),
        plain.clone().uuid(&new_uuid()).field("totalfilesize", 3),
    ] {
        let file = user.upload(form).await.ok();
        assert_eq!(user.contents(&file).await, "abc");
    }
}

#[tokio::test]
async fn the_vendors_single_file_is_followed_by_a_done_that_only_names_it() {
    let server = Server::start().await;
    let user = server.user(1);
    let form = Form::single("abc").content_range("bytes 0-2/3");
    let stored = user.upload(form).await.ok();
    let uuid = stored["file_uuid"].as_str().unwrap();
    let fields = [("uuid", uuid), ("totalparts", "1"), ("filename", "named.txt")];
    let done = user.done_urlencoded(&fields).await.ok();
    assert_eq!(done["filename"], "named.txt");
    assert_eq!(done["uuid"], stored["uuid"]);
    assert_eq!(user.contents(&done).await, "abc");
}

#[tokio::test]
async fn fine_uploaders_single_file_is_finished_as_it_arrives() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = new_uuid();
    let form = Form::single("abc").uuid(&uuid).field("totalfilesize", 3).field("filename", "a.txt");
    let file = user.upload(form.in_seed_dialect()).await.ok();
    assert_eq!(file["file_uuid"], uuid);
    assert_eq!(user.file(&uuid).await.ok()["filename"], "a.txt");
}

#[tokio::test]
async fn a_done_with_a_file_in_it_touches_no_bytes() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(1, "abc").await;
    let form = Form::chunk(0, 1, "xyz").uuid(&uuid);
    let file = user.done_form(form).await.ok();
    assert_eq!(user.contents(&file).await, "abc");
}

#[tokio::test]
async fn a_json_body_outside_done_is_told_to_be_multipart() {
    let server = Server::start().await;
    let user = server.user(1);
    let request = user.request(Method::POST, "/api/v2/pm/upload/");
    let reply = user.send(request.json(&json!({"partindex": 0}))).await;
    let refused = reply.refused(415, "unsupported_media_type");
    assert!(refused.prevent_retry);
    refused.saying(&["multipart/form-data"]);
}

#[tokio::test]
async fn bodies_of_other_types_are_told_to_be_multipart() {
    let server = Server::start().await;
    let user = server.user(1);
    for body_type in [
        "application/x-www-form-urlencoded",
        "application/octet-stream",
        "text/plain",
        "multipart/mixed; boundary=x",
    ] {
        let request = user.request(Method::POST, "/api/v2/pm/upload/");
        let request = request.header("content-type", body_type);
        let reply = user.send(request.body("a=b")).await;
        let refused = reply.refused(415, "unsupported_media_type");
        refused.saying(&["multipart/form-data"]);
    }
}

#[tokio::test]
async fn a_done_of_another_type_is_told_the_three_it_may_have() {
    let server = Server::start().await;
    let user = server.user(1);
    let request = user.request(Method::POST, "/api/v2/pm/upload/?done");
    let request = request.header("content-type", "text/plain");
    let reply = user.send(request.body("uuid")).await;
    let refused = reply.refused(415, "unsupported_media_type");
    refused.saying(&["multipart/form-data", "urlencoded", "application/json"]);
}

#[tokio::test]
async fn a_form_without_a_file_is_refused_by_the_files_name() {
    let server = Server::start().await;
    let user = server.user(1);
    let reply = user.upload(Form::new().field("partindex", 0)).await;
    reply.refused(400, "required").of_field("file");
}

#[tokio::test]
async fn a_form_with_two_files_is_refused_by_the_files_name() {
    let server = Server::start().await;
    let user = server.user(1);
    let form = Form::single("abc").after("qqfile", "xyz");
    let refused = user.upload(form).await.refused(400, "more_than_one");
    refused.of_field("file");
    assert_eq!(user.list("").await.ok()["results"], json!([]));
}
