//! Section 4: a uuid whose owner was erased belongs to nobody and can't be used again.

use haversack::ids::UserId;
use serde_json::{Value, json};

use crate::harness::{Form, Server, png};

#[tokio::test]
async fn what_was_erased_is_unknown_to_whoever_asks_and_gone_for_whoever_sends() {
    let server = Server::start().await;
    let (anna, bert, service) = (server.user(1), server.user(2), server.service());
    let single = anna.store("a.txt", "some bytes").await;
    let chunked = anna.begin(1, "abc").await;
    anna.done(&chunked).await.ok();
    let unfinished = anna.begin(2, "abc").await;
    let deleted = anna.store_any().await;
    anna.delete(&deleted).await.ok();
    let parent = single["uuid"].as_str().unwrap();
    let replaced = anna.upload(Form::thumbnail(parent, png())).await.ok()["file_uuid"].clone();
    let shown = anna.upload(Form::thumbnail(parent, png())).await.ok()["file_uuid"].clone();
    let theirs = bert.store_any().await;

    server.app.uploads.erase(&UserId::from(1)).await.expect("erased");
    let thumbnails = [&replaced, &shown].map(|uuid| uuid.as_str().unwrap());
    for uuid in [parent, &chunked, &unfinished, &deleted, thumbnails[0], thumbnails[1]] {
        for user in [&anna, &bert] {
            user.status(uuid).await.refused(404, "not_found");
            user.file(uuid).await.refused(404, "not_found");
            user.delete(uuid).await.refused(404, "not_found");
            user.upload(Form::thumbnail(uuid, png())).await.refused(404, "not_found");
            user.upload(Form::chunk(0, 1, "abc").uuid(uuid)).await.refused(410, "gone");
            user.upload(Form::chunk(0, 1, "abc").uuid(uuid).file_first())
                .await
                .refused(410, "gone");
            user.upload(Form::single("some bytes").uuid(uuid)).await.refused(410, "gone");
            user.done(uuid).await.refused(410, "gone");
        }
        service.delete(uuid).await.refused(404, "not_found");
        let files = service.files(&json!({"uuids": [uuid], "attach": true})).await.ok();
        assert_eq!(files, json!([Value::Null]));
    }
    server.anonymous().get(single["url"].as_str().unwrap()).await.refused(410, "gone");
    assert_eq!(anna.list("").await.ok()["results"], json!([]));
    bert.file(&theirs).await.ok();
    assert_eq!(server.written(), 10, "what is somebody else's");

    let server = server.restart().await;
    let anna = server.user(1);
    anna.upload(Form::chunk(0, 1, "abc").uuid(&chunked)).await.refused(410, "gone");
    anna.file(&chunked).await.refused(404, "not_found");
    anna.store("a.txt", "a new beginning").await;
}
