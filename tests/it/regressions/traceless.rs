//! A refused first chunk leaves no upload behind, and doesn't count as one.

use haversack::config::Settings;
use serde_json::json;

use crate::harness::{Form, Server, new_uuid};

/// Sends this as the first chunk of an upload, to a server that allows one upload, and checks the refusal.
async fn assert_traceless(form: impl Fn(&str) -> Form, status: u16, code: &str) {
    let settings = Settings {
        max_unfinished: 1,
        max_file_size: "1000".parse().unwrap(),
        max_chunk_size: "1000".parse().unwrap(),
        ..Settings::default()
    };
    let server = Server::with(settings).await;
    let user = server.user(1);
    let uuid = new_uuid();
    user.upload(form(&uuid)).await.refused(status, code);
    assert_eq!(user.list("").await.ok()["results"], json!([]));
    user.status(&uuid).await.refused(404, "not_found");
    user.begin(2, "abc").await;
}

#[tokio::test]
async fn a_first_chunk_of_too_large_a_file_leaves_no_upload() {
    let form = |uuid: &str| {
        let form = Form::chunk(0, 2, "abc").uuid(uuid);
        form.field("totalfilesize", 1001)
    };
    assert_traceless(form, 413, "file_too_large").await;
    assert_traceless(|uuid| form(uuid).file_first(), 413, "file_too_large").await;
}

#[tokio::test]
async fn a_first_chunk_beyond_the_largest_file_leaves_no_upload() {
    let form = |uuid: &str| {
        let form = Form::chunk(1, 2, "abc").uuid(uuid);
        form.field("partbyteoffset", 999).field("chunksize", 3)
    };
    assert_traceless(form, 413, "file_too_large").await;
    assert_traceless(|uuid| form(uuid).file_first(), 413, "file_too_large").await;
}

#[tokio::test]
async fn a_first_chunk_past_its_own_total_leaves_no_upload() {
    let form = |uuid: &str| {
        let form = Form::chunk(1, 2, "abc").uuid(uuid).field("totalfilesize", 10);
        form.field("partbyteoffset", 9).field("chunksize", 3)
    };
    assert_traceless(form, 400, "beyond_total").await;
    assert_traceless(|uuid| form(uuid).file_first(), 400, "beyond_total").await;
}

#[tokio::test]
async fn a_first_chunk_of_unknown_place_leaves_no_upload() {
    let form = |uuid: &str| Form::chunk(2, 3, "abc").uuid(uuid);
    assert_traceless(form, 400, "offset_unknown").await;
    assert_traceless(|uuid| form(uuid).file_first(), 400, "offset_unknown").await;
}
