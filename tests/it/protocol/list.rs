//! Section 1: the list of the caller's unfinished uploads and Files.

use serde_json::{Value, json};

use crate::harness::{Client, Form, Server, png};

/// The uuids on a page, under whichever name an entry has them.
fn uuids(page: &Value) -> Vec<&str> {
    let uuid = |entry: &Value| entry.get("uuid").or(entry.get("file_uuid")).cloned();
    let results = page["results"].as_array().unwrap();
    assert!(results.iter().all(|entry| uuid(entry).is_some()));
    let both = results.iter().map(|e| e.get("uuid").or(e.get("file_uuid")));
    both.map(|uuid| uuid.unwrap().as_str().unwrap()).collect()
}

async fn page(user: &Client, cursor: &Value) -> Value {
    let cursor = match cursor {
        Value::String(cursor) => cursor.clone(),
        other => other.to_string(),
    };
    user.list(&cursor).await.ok()
}

#[tokio::test]
async fn fifty_one_entries_are_two_pages_newest_first() {
    let server = Server::start().await;
    let user = server.user(1);
    let mut all = Vec::new();
    for _ in 0..51 {
        all.push(user.begin(2, "abc").await);
    }
    all.reverse();
    let first = user.list("").await.ok();
    assert_eq!(uuids(&first), all[..50]);
    let second = page(&user, &first["next"]).await;
    assert_eq!(uuids(&second), all[50..]);
    assert_eq!(second["next"], Value::Null);
}

#[tokio::test]
async fn fifty_entries_are_one_page() {
    let server = Server::start().await;
    let user = server.user(1);
    for _ in 0..50 {
        user.begin(2, "abc").await;
    }
    let first = user.list("").await.ok();
    assert_eq!(uuids(&first).len(), 50);
    assert_eq!(first["next"], Value::Null);
}

#[tokio::test]
async fn what_comes_while_paging_does_not_move_the_pages() {
    let server = Server::start().await;
    let user = server.user(1);
    let oldest = user.begin(2, "abc").await;
    for _ in 0..50 {
        user.begin(2, "abc").await;
    }
    let first = user.list("").await.ok();
    user.begin(2, "abc").await;
    let second = page(&user, &first["next"]).await;
    assert_eq!(uuids(&second), [oldest]);
}

#[tokio::test]
async fn a_list_without_cursor_is_the_first_page() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.store_any().await;
    for path in ["/api/v2/pm/upload/", "/api/v2/pm/upload/?cursor="] {
        assert_eq!(uuids(&user.get(path).await.ok()), [&*uuid]);
    }
}

#[tokio::test]
async fn unfinished_uploads_and_files_are_listed_together() {
    let server = Server::start().await;
    let user = server.user(1);
    let file = user.store_any().await;
    let upload = user.begin(2, "abc").await;
    let list = user.list("").await.ok();
    assert_eq!(uuids(&list), [&*upload, &*file]);
    assert_eq!(list["results"][0]["received"], 3);
    assert_eq!(list["results"][1]["filename"], "note.txt");
    let contents = user.contents(&list["results"][1]).await;
    assert_eq!(contents, "some bytes");
}

#[tokio::test]
async fn an_upload_stays_one_entry_when_it_is_finished() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(1, "abc").await;
    user.done(&uuid).await.ok();
    assert_eq!(uuids(&user.list("").await.ok()), [&*uuid]);
}

#[tokio::test]
async fn what_was_cancelled_or_deleted_is_not_listed() {
    let server = Server::start().await;
    let user = server.user(1);
    for uuid in [user.store_any().await, user.begin(2, "abc").await] {
        user.delete(&uuid).await.ok();
    }
    assert_eq!(user.list("").await.ok()["results"], json!([]));
}

#[tokio::test]
async fn thumbnails_are_listed_only_within_their_files() {
    let server = Server::start().await;
    let user = server.user(1);
    let parent = user.store_any().await;
    user.upload(Form::thumbnail(&parent, png())).await.ok();
    user.illustrated(&parent).await;
    let list = user.list("").await.ok();
    assert_eq!(uuids(&list), [&*parent]);
    assert!(list["results"][0]["thumbnail"].is_string());
}

#[tokio::test]
async fn a_cursor_that_no_page_gave_is_refused_by_its_name() {
    let server = Server::start().await;
    let user = server.user(1);
    for wrong in ["x", "-1", "1.5", "99999999999999999999", "%20"] {
        let refused = user.list(wrong).await.refused(400, "malformed");
        refused.of_field("cursor");
    }
}

#[tokio::test]
async fn a_cursor_sent_twice_is_refused_in_our_shape() {
    let server = Server::start().await;
    let user = server.user(1);
    let reply = user.list("1&cursor=2").await;
    reply.refused(400, "malformed");
}

#[tokio::test]
async fn a_file_says_when_its_upload_began() {
    let server = Server::start().await;
    let user = server.user(1);
    let began = server.clock.unix_secs();
    let chunked = user.begin(1, "abc").await;
    let single = user.store("a.txt", "a").await;
    server.skip(3600);
    let done = user.done(&chunked).await.ok();
    for file in [&single, &done, &user.list("").await.ok()["results"][1]] {
        let created = file["created"].as_u64().unwrap();
        assert!((began..=began + 60).contains(&created), "{created}, began {began}");
    }
}
