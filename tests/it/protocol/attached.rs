//! Section 1: what a message shows doesn't change.

use serde_json::{Value, json};

use crate::harness::{Client, Form, Server, eventually, jpeg, png};

/// Tells the server that a message shows this file. Returns the File as the message shows it.
async fn attach(server: &Server, uuid: &str) -> Value {
    let attach = json!({"uuids": [uuid], "attach": true});
    server.service().files(&attach).await.ok()[0].clone()
}

/// Checks that nothing of the file that receivers see has changed.
async fn stays(user: &Client, shown: &Value) {
    let uuid = shown["uuid"].as_str().unwrap();
    assert_eq!(user.file(uuid).await.ok(), *shown);
    assert_eq!(user.get(shown["url"].as_str().unwrap()).await.status, 200);
    if let Some(thumbnail) = shown["thumbnail"].as_str() {
        assert_eq!(user.get(thumbnail).await.status, 200);
    }
}

#[tokio::test]
async fn an_attached_files_thumbnail_is_not_replaced() {
    let server = Server::start().await;
    let user = server.user(1);
    let photo = user.store("photo.jpg", jpeg()).await["uuid"].as_str().unwrap().to_owned();
    let plain = user.store_any().await;
    let sent = user.upload(Form::thumbnail(&plain, png())).await.ok();
    let bare = user.store("b.txt", "without a picture").await["uuid"].as_str().unwrap().to_owned();
    for uuid in [&photo, &plain, &bare] {
        let shown = attach(&server, uuid).await;
        let refused = user.upload(Form::thumbnail(uuid, jpeg())).await.refused(409, "attached");
        assert!(refused.prevent_retry);
        stays(&user, &shown).await;
    }
    let of_thumbnail = Form::thumbnail(sent["file_uuid"].as_str().unwrap(), jpeg());
    user.upload(of_thumbnail).await.refused(409, "attached");
    eventually("three files and two thumbnails", async || server.stored().len() == 5).await;
}

#[tokio::test]
async fn an_attached_files_thumbnail_is_not_its_owners_to_delete() {
    let server = Server::start().await;
    let user = server.user(1);
    let parent = user.store_any().await;
    let sent = user.upload(Form::thumbnail(&parent, png())).await.ok();
    let uuid = sent["file_uuid"].as_str().unwrap();
    let shown = attach(&server, &parent).await;
    assert_ne!(shown["thumbnail"], Value::Null);
    user.delete(uuid).await.refused(409, "attached");
    user.post_delete(uuid).await.refused(409, "attached");
    stays(&user, &shown).await;
    server.service().delete(uuid).await.ok();
    assert_eq!(user.file(&parent).await.ok()["thumbnail"], Value::Null);
}

#[tokio::test]
async fn an_attached_file_is_not_renamed() {
    let server = Server::start().await;
    let user = server.user(1);
    let single = user.store("first.txt", "some bytes").await;
    let uuid = single["uuid"].as_str().unwrap();
    let shown = attach(&server, uuid).await;
    let done = json!({"uuid": uuid, "filename": "second.txt"});
    let refused = user.done_json(&done).await.refused(409, "attached");
    assert!(refused.prevent_retry);
    stays(&user, &shown).await;
    // What changes nothing gets the usual reply.
    user.upload(Form::single("some bytes").named("third.txt").uuid(uuid)).await.ok();
    assert_eq!(user.done(uuid).await.ok()["filename"], "first.txt");
    let same = json!({"uuid": uuid, "filename": "first.txt"});
    assert_eq!(user.done_json(&same).await.ok()["filename"], "first.txt");
    stays(&user, &shown).await;
}

#[tokio::test]
async fn a_done_repeated_once_a_message_shows_its_file_is_answered_as_before() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(1, "abc").await;
    user.done(&uuid).await.ok();
    let shown = attach(&server, &uuid).await;
    user.done_json(&json!({"uuid": uuid, "filename": "late.txt"})).await.ok();
    user.upload(Form::chunk(0, 1, "abc").uuid(&uuid)).await.ok();
    stays(&user, &shown).await;
}
