//! Section 4: chunks, from the first one to the tombstone. `placement` tests where they go.

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{Form, Server, new_uuid};

#[tokio::test]
async fn the_first_chunk_may_come_without_uuid_and_gets_a_v4_one() {
    let server = Server::start().await;
    let uuid = server.user(1).begin(2, "abc").await;
    let parsed = uuid::Uuid::parse_str(&uuid).unwrap();
    assert_eq!(parsed.get_version_num(), 4);
    assert_eq!(parsed.to_string(), uuid);
}

#[tokio::test]
async fn every_later_chunk_is_answered_with_the_uuid_of_the_first() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(3, "abc").await;
    for (index, bytes) in [(1, "def"), (2, "gh")] {
        let form = Form::chunk(index, 3, bytes).uuid(&uuid);
        assert_eq!(user.upload(form).await.ok()["file_uuid"], uuid);
    }
    assert_eq!(user.finish(&uuid).await, "abcdefgh");
}

#[tokio::test]
async fn two_first_chunks_without_uuid_begin_two_uploads() {
    let server = Server::start().await;
    let user = server.user(1);
    assert_ne!(user.begin(2, "abc").await, user.begin(2, "abc").await);
}

#[tokio::test]
async fn a_later_chunk_without_uuid_is_refused_by_the_uuids_name() {
    let server = Server::start().await;
    let user = server.user(1);
    for index in [1, 2] {
        let form = Form::chunk(index, 3, "abc");
        for form in [form.clone(), form.file_first()] {
            let refused = user.upload(form).await.refused(400, "required");
            refused.of_field("uuid").saying(&["file_uuid"]);
        }
    }
}

#[tokio::test]
async fn an_unknown_v4_uuid_is_adopted_whatever_the_index() {
    let server = Server::start().await;
    let user = server.user(1);
    for index in [0, 1, 2] {
        let uuid = new_uuid();
        let form = Form::chunk(index, 3, "abc").uuid(&uuid);
        let form = form.field("partbyteoffset", index * 3);
        assert_eq!(user.upload(form).await.ok()["file_uuid"], uuid);
    }
}

#[tokio::test]
async fn uuids_are_compared_in_lower_case() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = new_uuid();
    let upper = Form::chunk(0, 2, "abc").uuid(&uuid.to_uppercase());
    assert_eq!(user.upload(upper).await.ok()["file_uuid"], uuid);
    let lower = Form::chunk(1, 2, "def").uuid(&uuid);
    user.upload(lower).await.ok();
    assert_eq!(user.finish(&uuid.to_uppercase()).await, "abcdef");
}

#[tokio::test]
async fn uuids_of_other_kinds_are_refused() {
    let server = Server::start().await;
    let user = server.user(1);
    for wrong in [
        "6ba7b810-9dad-11d1-80b4-00c04fd430c8", // version 1
        "00000000-0000-0000-0000-000000000000",
        "0c2a6e4e7a0b4b5e8f0a6d2b8c9d0e1f",
        "../../../etc/passwd",
        "undefined",
        "",
    ] {
        let reply = user.upload(Form::chunk(0, 1, "abc").uuid(wrong)).await;
        reply.refused(400, "malformed").of_field("uuid");
    }
}

#[tokio::test]
async fn chunks_in_series_make_the_file() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(20, "0000").await;
    let mut whole = "0000".to_owned();
    for index in 1..20 {
        let bytes = format!("{index:04}");
        user.upload(Form::chunk(index, 20, &bytes).uuid(&uuid)).await.ok();
        whole += &bytes;
    }
    assert_eq!(user.finish(&uuid).await, whole);
}

#[tokio::test]
async fn chunks_make_the_file_in_every_order() {
    let server = Server::start().await;
    let user = server.user(1);
    let parts = ["aaaa", "bbbb", "cccc", "dd"];
    for order in permutations(4) {
        let uuid = new_uuid();
        for index in &order {
            let form = Form::chunk(*index, 4, parts[*index as usize]).uuid(&uuid);
            user.upload(form.field("totalfilesize", 14)).await.ok();
        }
        assert_eq!(user.finish(&uuid).await, "aaaabbbbccccdd", "{order:?}");
    }
}

#[tokio::test]
async fn chunks_make_the_file_in_every_order_with_the_file_before_the_fields() {
    let server = Server::start().await;
    let user = server.user(1);
    let parts = ["aaaa", "bbbb", "cccc", "dd"];
    for order in permutations(4) {
        let uuid = new_uuid();
        for index in &order {
            let form = Form::chunk(*index, 4, parts[*index as usize]).uuid(&uuid);
            let form = form.field("totalfilesize", 14).file_first();
            user.upload(form).await.ok();
        }
        assert_eq!(user.finish(&uuid).await, "aaaabbbbccccdd", "{order:?}");
    }
}

#[tokio::test]
async fn a_field_may_stand_on_either_side_of_the_file() {
    let server = Server::start().await;
    let user = server.user(1);
    for index_first in [true, false] {
        let uuid = user.begin(2, "abc").await;
        let (before, after) = if index_first {
            (("partindex", "1"), ("uuid", &*uuid))
        } else {
            (("uuid", &*uuid), ("partindex", "1"))
        };
        let form = Form::single("def").field(before.0, before.1);
        user.upload(form.after(after.0, after.1)).await.ok();
        assert_eq!(user.finish(&uuid).await, "abcdef");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_in_parallel_make_the_file() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = new_uuid();
    let part = |index: u32| format!("{index:04}").repeat(1000);
    let sent = (0..16).map(|index| {
        let form = Form::chunk(index, 16, part(index)).uuid(&uuid);
        user.upload(form.field("partbyteoffset", index * 4000).field("chunksize", 4000))
    });
    for reply in join_all(sent).await {
        assert_eq!(reply.ok()["file_uuid"], uuid);
    }
    let whole: String = (0..16).map(part).collect();
    assert!(user.finish(&uuid).await == whole);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_in_parallel_make_the_file_without_saying_where_they_go() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = new_uuid();
    let part = |index: u32| format!("{index:04}").repeat(1000);
    let sent = (0..16).map(|index| {
        let form = Form::chunk(index, 16, part(index)).uuid(&uuid);
        user.upload(form.field("totalfilesize", 64000))
    });
    for reply in join_all(sent).await {
        reply.ok();
    }
    let whole: String = (0..16).map(part).collect();
    assert!(user.finish(&uuid).await == whole);
}

#[tokio::test]
async fn a_chunk_counts_from_its_reply_on() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(3, "abc").await;
    let status = user.status(&uuid).await.ok();
    assert_eq!(status["parts"], json!([[0, 0]]));
    user.upload(Form::chunk(1, 3, "def").uuid(&uuid)).await.ok();
    let status = user.status(&uuid).await.ok();
    assert_eq!(status["parts"], json!([[0, 1]]));
    assert_eq!(status["received"], 6);
}

#[tokio::test]
async fn the_same_chunk_again_is_answered_the_same_and_writes_nothing() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    let again = Form::chunk(0, 2, "abc").uuid(&uuid);
    for form in [again.clone(), again.clone().file_first(), again.in_seed_dialect()] {
        assert_eq!(user.upload(form).await.ok()["file_uuid"], uuid);
    }
    assert_eq!(user.status(&uuid).await.ok()["received"], 3);
    assert_eq!(server.written(), 3);
}

#[tokio::test]
async fn other_bytes_at_a_recorded_index_are_a_conflict_and_change_nothing() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    for other in ["xyz", "ab", "abcd"] {
        let form = Form::chunk(0, 2, other).uuid(&uuid);
        for form in [form.clone(), form.file_first()] {
            let refused = user.upload(form).await.refused(409, "chunk_conflict");
            assert!(refused.prevent_retry && !refused.reset);
            refused.saying(&["0"]);
        }
    }
    user.upload(Form::chunk(1, 2, "def").uuid(&uuid)).await.ok();
    assert_eq!(user.finish(&uuid).await, "abcdef");
}

#[tokio::test]
async fn a_chunk_of_a_finished_upload_is_fine_when_it_equals_the_recorded_one() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    user.upload(Form::chunk(1, 2, "def").uuid(&uuid)).await.ok();
    user.done(&uuid).await.ok();
    for (index, bytes) in [(0, "abc"), (1, "def")] {
        let form = Form::chunk(index, 2, bytes).uuid(&uuid);
        for form in [form.clone(), form.file_first()] {
            assert_eq!(user.upload(form).await.ok()["file_uuid"], uuid);
        }
    }
    assert_eq!(user.finish(&uuid).await, "abcdef");
}

#[tokio::test]
async fn another_chunk_for_a_finished_upload_is_a_conflict() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    user.upload(Form::chunk(1, 2, "def").uuid(&uuid)).await.ok();
    user.done(&uuid).await.ok();
    for (index, bytes) in [(0, "xyz"), (1, "de"), (1, "defg"), (2, "abc")] {
        let form = Form::chunk(index, 3, bytes).uuid(&uuid);
        for form in [form.clone(), form.file_first()] {
            let refused = user.upload(form).await.refused(409, "upload_finished");
            assert!(refused.prevent_retry);
        }
    }
    assert_eq!(user.finish(&uuid).await, "abcdef");
}

#[tokio::test]
async fn a_chunk_under_a_single_files_uuid_is_compared_with_it() {
    let server = Server::start().await;
    let user = server.user(1);
    let file = user.store("a.txt", "abc").await;
    let uuid = file["uuid"].as_str().unwrap();
    user.upload(Form::chunk(0, 1, "abc").uuid(uuid)).await.ok();
    let reply = user.upload(Form::chunk(0, 1, "xyz").uuid(uuid)).await;
    reply.refused(409, "upload_finished");
}

#[tokio::test]
async fn a_cancelled_uploads_uuid_is_gone_for_every_request() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    user.delete(&uuid).await.ok();
    gone(&server, &uuid).await;
}

#[tokio::test]
async fn a_deleted_files_uuid_is_gone_for_every_request() {
    let server = Server::start().await;
    let uuid = server.user(1).store_any().await;
    server.user(1).delete(&uuid).await.ok();
    gone(&server, &uuid).await;
}

#[tokio::test]
async fn a_tombstone_outlives_the_time_to_live_of_uploads() {
    let server = Server::start().await;
    let uuid = server.user(1).begin(2, "abc").await;
    server.user(1).delete(&uuid).await.ok();
    server.skip(100 * crate::harness::DAY);
    server.sweep().await;
    gone(&server, &uuid).await;
}

async fn gone(server: &Server, uuid: &str) {
    let user = server.user(1);
    let chunk = Form::chunk(0, 2, "abc").uuid(uuid);
    let replies = [
        user.upload(chunk.clone()).await,
        user.upload(chunk.clone().file_first()).await,
        user.upload(chunk).await,
        user.upload(Form::single("abc").uuid(uuid)).await,
        user.done(uuid).await,
        user.status(uuid).await,
        user.file(uuid).await,
        user.delete(uuid).await,
        user.post_delete(uuid).await,
    ];
    for reply in replies {
        let refused = reply.refused(410, "gone");
        assert!(refused.prevent_retry && !refused.reset);
    }
}

fn permutations(count: u32) -> Vec<Vec<u32>> {
    let Some(last) = count.checked_sub(1) else {
        return vec![Vec::new()];
    };
    let longer = permutations(last).into_iter().flat_map(|shorter| {
        (0..count).map(move |at| {
            let mut longer = shorter.clone();
            longer.insert(at as usize, last);
            longer
        })
    });
    longer.collect()
}
