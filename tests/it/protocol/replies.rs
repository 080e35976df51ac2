//! Section 6: the reply to each form, field by field.

use serde_json::{Value, json};

use crate::harness::{Form, Reply, Server, jpeg, new_uuid, png};

/// The field names of a JSON object, in alphabetical order.
fn fields(object: &Value) -> Vec<&str> {
    let mut names: Vec<_> = object.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

const FILE: [&str; 11] = [
    "created",
    "duration",
    "filename",
    "filesize",
    "height",
    "metadata",
    "mimetype",
    "thumbnail",
    "url",
    "uuid",
    "width",
];

const FINISHED: [&str; 14] = [
    "created",
    "duration",
    "file_url",
    "file_uuid",
    "filename",
    "filesize",
    "height",
    "metadata",
    "mimetype",
    "success",
    "thumbnail",
    "url",
    "uuid",
    "width",
];

#[tokio::test]
async fn a_chunk_is_answered_with_success_and_the_uuid() {
    let server = Server::start().await;
    let uuid = new_uuid();
    let form = Form::chunk(0, 2, "abc").uuid(&uuid);
    let reply = server.user(1).upload(form).await.ok();
    assert_eq!(reply, json!({"success": true, "file_uuid": uuid}));
}

#[tokio::test]
async fn done_is_answered_with_the_file() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(1, "abc").await;
    let names = [("uuid", &*uuid), ("filename", "a.txt")];
    let reply = user.done_urlencoded(&names).await.ok();
    finished(&reply, &uuid);
}

#[tokio::test]
async fn a_single_file_is_answered_with_the_file() {
    let server = Server::start().await;
    let uuid = new_uuid();
    let form = Form::single("abc").named("a.txt").uuid(&uuid);
    let reply = server.user(1).upload(form).await.ok();
    finished(&reply, &uuid);
}

fn finished(reply: &Value, uuid: &str) {
    assert_eq!(fields(reply), FINISHED);
    assert_eq!(reply["success"], true);
    assert_eq!(reply["file_uuid"], uuid);
    assert_eq!(reply["uuid"], uuid);
    assert_eq!(reply["file_url"], reply["url"]);
    assert_eq!(reply["filename"], "a.txt");
    assert_eq!(reply["filesize"], 3);
    assert_eq!(reply["mimetype"], "text/plain");
    assert_eq!(reply["duration"], Value::Null);
    assert_eq!(reply["thumbnail"], Value::Null);
}

#[tokio::test]
async fn a_thumbnail_is_answered_with_its_own_and_its_parents_uuid() {
    let server = Server::start().await;
    let user = server.user(1);
    let parent = user.store_any().await;
    let reply = user.upload(Form::thumbnail(&parent, png())).await.ok();
    let expected = ["file_url", "file_uuid", "parent_file_uuid", "success"];
    assert_eq!(fields(&reply), expected);
    assert_eq!(reply["success"], true);
    assert_eq!(reply["parent_file_uuid"], parent);
    assert_ne!(reply["file_uuid"], parent);
}

#[tokio::test]
async fn status_tells_what_a_client_needs_to_resume() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = new_uuid();
    for (index, bytes) in [(0, "abc"), (1, "def"), (3, "jkl")] {
        let form = Form::chunk(index, 5, bytes).uuid(&uuid);
        user.upload(form.field("totalfilesize", 14)).await.ok();
    }
    let status = user.status(&uuid).await.ok();
    let expires = &status["expires"];
    let expected = json!({
        "file_uuid": uuid,
        "totalparts": 5,
        "totalfilesize": 14,
        "received": 9,
        "parts": [[0, 1], [3, 3]],
        "expires": expires,
    });
    assert_eq!(status, expected);
    let lives = expires.as_u64().unwrap() - server.clock.unix_secs();
    let week = 8 * crate::harness::DAY;
    assert!((week - 60..=week).contains(&lives), "{lives} s");
}

#[tokio::test]
async fn status_leaves_an_undeclared_total_null() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    let status = user.status(&uuid).await.ok();
    assert_eq!(status["totalfilesize"], Value::Null);
}

#[tokio::test]
async fn status_of_a_finished_upload_says_so() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.store_any().await;
    let status = user.status(&uuid).await.ok();
    assert_eq!(status["file_uuid"], uuid);
    assert_eq!(status["finished"], true);
    assert_eq!(status["received"], status["totalfilesize"]);
}

#[tokio::test]
async fn a_file_is_asked_for_by_its_uuid() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.store_any().await;
    let file = user.file(&uuid).await.ok();
    assert_eq!(fields(&file), FILE);
    assert_eq!(file["uuid"], uuid);
    assert_eq!(file["filename"], "note.txt");
}

#[tokio::test]
async fn an_unfinished_upload_is_no_file_yet() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    user.file(&uuid).await.refused(404, "not_found");
}

#[tokio::test]
async fn cancelling_is_answered_with_success() {
    let server = Server::start().await;
    let user = server.user(1);
    for post in [false, true] {
        let uuid = user.begin(2, "abc").await;
        let reply: Reply =
            if post { user.post_delete(&uuid).await } else { user.delete(&uuid).await };
        assert_eq!(reply.ok()["success"], true);
    }
}

#[tokio::test]
async fn a_files_type_is_never_null() {
    let server = Server::start().await;
    let user = server.user(1);
    for bytes in [vec![], vec![0; 10], vec![0xFF; 10], b"text".to_vec(), jpeg()] {
        let file = user.store("x", bytes).await;
        assert!(file["mimetype"].as_str().unwrap().contains('/'));
    }
}

#[tokio::test]
async fn a_filename_keeps_its_extension_however_long_it_is() {
    let server = Server::start().await;
    let name = format!("{}.jpeg", "n".repeat(300));
    let file = server.user(1).store(&name, jpeg()).await;
    let kept = file["filename"].as_str().unwrap();
    assert!(kept.len() <= 255 && kept.ends_with("n.jpeg"), "{kept}");
}

#[tokio::test]
async fn a_filename_of_another_script_comes_back_as_it_was() {
    let server = Server::start().await;
    let file = server.user(1).store("文件 — é.txt", "abc").await;
    assert_eq!(file["filename"], "文件 — é.txt");
}
