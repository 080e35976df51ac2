//! An upload that the server removes takes its thumbnail with it.

use haversack::config::Settings;
use serde_json::Value;

use crate::harness::{Client, Form, Server, png};

/// Begins an upload with a thumbnail. Returns the thumbnail's link.
async fn begin_with_thumbnail(user: &Client) -> String {
    let parent = user.begin(2, "abc").await;
    let reply: Value = user.upload(Form::thumbnail(&parent, png())).await.ok();
    let link = reply["file_url"].as_str().unwrap().to_owned();
    assert_eq!(user.get(&link).await.status, 200);
    link
}

#[tokio::test]
async fn an_upload_that_makes_room_takes_its_thumbnail_along() {
    let settings = Settings { max_unfinished: 1, ..Settings::default() };
    let server = Server::with(settings).await;
    let user = server.user(1);
    let link = begin_with_thumbnail(&user).await;
    server.skip(3700);
    user.begin(2, "defg").await;
    user.get(&link).await.refused(410, "gone");
    server.settled().await;
    assert_eq!(server.stored(), [4]);
}

#[tokio::test]
async fn an_expired_upload_takes_its_thumbnail_along() {
    let settings = Settings { upload_ttl: "2h".parse().unwrap(), ..Settings::default() };
    let server = Server::with(settings).await;
    let user = server.user(1);
    let link = begin_with_thumbnail(&user).await;
    server.skip(2 * 3600 + 60);
    server.sweep().await;
    user.get(&link).await.refused(410, "gone");
    assert!(server.stored().is_empty());
}
