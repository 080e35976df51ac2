//! Bugs that the executable model found and no other test covered: the protocol said one thing, and the server did
//! another.

use serde_json::json;

use crate::harness::{Client, Form, Server, new_uuid, png};

/// Sends a thumbnail. Returns its uuid.
async fn thumbnail(user: &Client, parent: &str) -> String {
    let reply = user.upload(Form::thumbnail(parent, png())).await.ok();
    reply["file_uuid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_repeated_chunk_is_refused_for_what_it_says_behind_its_file() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = new_uuid();
    let form = Form::chunk(0, 2, "abc").uuid(&uuid).field("totalfilesize", 6);
    user.upload(form).await.ok();
    let again = Form::single("abc").uuid(&uuid).field("partindex", 0);
    for (field, wrong) in [("totalparts", 3), ("totalfilesize", 7)] {
        let reply = user.upload(again.clone().after(field, wrong)).await;
        reply.refused(400, "changed").of_field(field);
    }
}

#[tokio::test]
async fn an_upload_is_named_by_a_field_behind_its_first_file() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = new_uuid();
    let form = Form::chunk(0, 1, "abc").uuid(&uuid).after("filename", "a.txt");
    user.upload(form).await.ok();
    assert_eq!(user.list("").await.ok()["results"][0]["filename"], "a.txt");
    assert_eq!(user.done(&uuid).await.ok()["filename"], "a.txt");
}

#[tokio::test]
async fn a_repeated_single_files_md5_is_verified() {
    let server = Server::start().await;
    let user = server.user(1);
    let form = Form::single("abc").uuid(&new_uuid());
    user.upload(form.clone()).await.ok();
    let reply = user.upload(form.field("md5", "0".repeat(32))).await;
    reply.refused(400, "md5_mismatch");
}

#[tokio::test]
async fn a_thumbnails_uuid_stands_for_an_unfinished_parent_too() {
    let server = Server::start().await;
    let user = server.user(1);
    let parent = user.begin(2, "abc").await;
    let (replaced, current) = (thumbnail(&user, &parent).await, thumbnail(&user, &parent).await);
    for uuid in [replaced, current] {
        assert_eq!(user.status(&uuid).await.ok()["parts"], json!([[0, 0]]));
        user.done(&uuid).await.refused(404, "not_found");
    }
}

#[tokio::test]
async fn a_chunk_under_a_thumbnails_uuid_is_told_that_it_went_with_its_file() {
    let server = Server::start().await;
    let user = server.user(1);
    let parent = user.store_any().await;
    let uuid = thumbnail(&user, &parent).await;
    let form = Form::chunk(0, 1, "abc").uuid(&uuid);
    user.upload(form.clone()).await.refused(409, "upload_finished");
    user.delete(&parent).await.ok();
    user.upload(form).await.refused(410, "gone");
}

#[tokio::test]
async fn what_comes_under_the_uuid_of_a_picture_made_here_is_told_so() {
    let server = Server::start().await;
    let user = server.user(1);
    let file = user.store_picture("a.png", png()).await;
    let link = file["thumbnail"].as_str().expect("it was made");
    let uuid = link.split('/').nth_back(1).unwrap();
    user.upload(Form::chunk(0, 1, "abc").uuid(uuid)).await.refused(409, "upload_finished");
    user.upload(Form::single("abc").uuid(uuid)).await.refused(409, "file_conflict");
}

#[tokio::test]
async fn an_empty_chunk_of_a_file_that_is_not_empty_is_refused() {
    let server = Server::start().await;
    let user = server.user(1);
    let empty = || Form::chunk(0, 1, "").uuid(&new_uuid());
    for form in [empty().field("partbyteoffset", 4), empty().after("totalfilesize", 4)] {
        user.upload(form).await.refused(400, "empty_chunk").of_field("file");
    }
}
