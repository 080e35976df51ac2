//! Uploads of one dialect, seen and touched by the other.

use http::Method;

use crate::harness::{Form, Server, TUS, uuid_in};

#[tokio::test]
async fn status_and_list_show_an_upload_that_is_sent_in_order() {
    let server = Server::start().await;
    let user = server.user(1);
    let url = user.created(5).await;
    let list = user.list("").await.ok();
    assert_eq!(list["results"][0]["received"], 0, "what counts is listed");
    user.patch(&url, 0, "he").await;
    let status = user.status(uuid_in(&url)).await.ok();
    assert_eq!(status["received"], 2);
    assert_eq!(status["totalfilesize"], 5);
    assert_eq!(status["totalparts"], serde_json::Value::Null);
    assert_eq!(status["parts"], serde_json::json!([]));
    let list = user.list("").await.ok();
    let [entry] = &list["results"].as_array().unwrap()[..] else { panic!("{list}") };
    assert_eq!((&entry["state"], &entry["received"]), (&"unfinished".into(), &2.into()));
    assert_eq!(entry["totalparts"], serde_json::Value::Null);
    user.patch(&url, 2, "llo").await;
    let list = user.list("").await.ok();
    assert_eq!(list["results"][0]["state"], "finished");
}

#[tokio::test]
async fn a_chunk_for_an_upload_that_is_sent_in_order_is_refused() {
    let server = Server::start().await;
    let user = server.user(1);
    let url = user.created(6).await;
    user.patch(&url, 0, "abc").await;
    let uuid = uuid_in(&url);
    for form in
        [Form::chunk(0, 2, "abc"), Form::chunk(1, 2, "def"), Form::chunk(1, 2, "def").file_first()]
    {
        user.upload(form.uuid(uuid)).await.refused(409, "sent_in_order");
    }
    user.upload(Form::single("abcdef").uuid(uuid)).await.refused(409, "file_conflict");
    user.done(uuid).await.refused(400, "bytes_missing");
    user.patch(&url, 3, "def").await;
    assert_eq!(user.behind(&url).await, b"abcdef");
    let file = user.done(uuid).await.ok();
    assert_eq!(file["filesize"], 6, "a done of what is a File already is a repeat");
}

#[tokio::test]
async fn bytes_for_an_upload_that_is_sent_in_chunks_are_refused() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    let url = format!("{TUS}{uuid}");
    let told = user.progress(&url).await;
    assert_eq!((told.status.as_u16(), told.header("upload-offset")), (200, "3"));
    user.patch(&url, 3, "def").await.refused(403, "forbidden").saying(&["chunks"]);
    user.upload(Form::chunk(1, 2, "def").uuid(&uuid)).await.ok();
    assert_eq!(user.finish(&uuid).await, "abcdef");
    assert_eq!(user.progress(&url).await.header("file-state"), "finished");
    assert_eq!(user.behind(&url).await, b"abcdef");
}

#[tokio::test]
async fn an_upload_whose_chunks_are_all_there_waits_for_its_done() {
    let server = Server::start().await;
    let user = server.user(1);
    let reply = user.upload(Form::chunk(0, 1, "abc").field("totalfilesize", 3)).await.ok();
    let uuid = reply["file_uuid"].as_str().unwrap();
    let told = user.progress(&format!("{TUS}{uuid}")).await;
    assert_eq!((told.header("upload-offset"), told.header("upload-length")), ("3", "3"));
    assert_eq!(told.header("file-state"), "", "nobody finishes it");
    assert!(told.header("upload-expires").ends_with(" GMT"));
}

#[tokio::test]
async fn either_dialect_ends_an_upload_of_the_other() {
    let server = Server::start().await;
    let user = server.user(1);
    let url = user.created(5).await;
    user.patch(&url, 0, "he").await;
    user.delete(uuid_in(&url)).await.ok();
    user.patch(&url, 2, "llo").await.refused(410, "gone");
    let uuid = user.begin(2, "abc").await;
    let url = format!("{TUS}{uuid}");
    assert_eq!(user.tus(Method::DELETE, &url, &[], "").await.status, 204);
    user.upload(Form::chunk(1, 2, "def").uuid(&uuid)).await.refused(410, "gone");
}

#[tokio::test]
async fn a_file_that_a_message_shows_stays() {
    let server = Server::start().await;
    let user = server.user(1);
    let url = user.created(5).await;
    user.patch(&url, 0, "hello").await;
    let uuid = uuid_in(&url);
    server.service().files(&serde_json::json!({"uuids": [uuid], "attach": true})).await.ok();
    user.tus(Method::DELETE, &url, &[], "").await.refused(409, "attached");
    assert_eq!(user.behind(&url).await, b"hello");
}
