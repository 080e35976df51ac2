//! Limits on what one request and one user may use; every refusal names its limit.

use haversack::config::Settings;

use crate::harness::{Form, Server, new_uuid};

/// With these maximum sizes of a file and a chunk in bytes.
async fn sized(file: u64, chunk: u64) -> Server {
    let settings = Settings {
        max_file_size: file.to_string().parse().unwrap(),
        max_chunk_size: chunk.to_string().parse().unwrap(),
        ..Settings::default()
    };
    Server::with(settings).await
}

/// With this maximum number of unfinished uploads per user.
async fn capped(max: u32) -> Server {
    let settings = Settings { max_unfinished: max, ..Settings::default() };
    Server::with(settings).await
}

#[tokio::test]
async fn a_file_as_large_as_the_limit_is_taken() {
    let server = sized(10, 4).await;
    let user = server.user(1);
    user.store("a.txt", "0123456789").await;
    let uuid = user.begin(3, "0123").await;
    for (index, bytes) in [(1, "4567"), (2, "89")] {
        let form = Form::chunk(index, 3, bytes).uuid(&uuid);
        user.upload(form).await.ok();
    }
    assert_eq!(user.finish(&uuid).await, "0123456789");
}

#[tokio::test]
async fn a_single_file_above_the_limit_is_refused_by_the_files_name() {
    let server = sized(10, 4).await;
    let user = server.user(1);
    let form = Form::single("0123456789a");
    for form in [form.clone(), form.field("totalfilesize", 11)] {
        let refused = user.upload(form).await.refused(413, "file_too_large");
        assert!(refused.prevent_retry);
        refused.of_field("file").saying(&["10 bytes"]);
    }
}

#[tokio::test]
async fn a_thumbnail_above_the_file_limit_is_refused_by_the_files_name() {
    let server = sized(10, 4).await;
    let user = server.user(1);
    let parent = user.store_any().await;
    let form = Form::thumbnail(&parent, crate::harness::png());
    let refused = user.upload(form).await.refused(413, "file_too_large");
    refused.of_field("file").saying(&["10 bytes"]);
}

#[tokio::test]
async fn a_chunk_that_announces_a_file_above_the_limit_is_refused() {
    let server = sized(10, 4).await;
    let user = server.user(1);
    let chunk = Form::chunk(0, 3, "0123");
    for form in
        [chunk.clone().field("totalfilesize", 11), chunk.clone().content_range("bytes 0-3/11")]
    {
        for form in [form.clone(), form.uuid(&new_uuid())] {
            for form in [form.clone(), form.file_first()] {
                let reply = user.upload(form).await;
                let refused = reply.refused(413, "file_too_large");
                assert!(refused.prevent_retry);
                refused.of_field("file").saying(&["11 bytes", "10 bytes"]);
            }
        }
    }
}

#[tokio::test]
async fn chunks_that_add_up_to_more_than_the_limit_are_refused() {
    let server = sized(10, 4).await;
    let user = server.user(1);
    let uuid = user.begin(3, "0123").await;
    let form = Form::chunk(1, 3, "4567").uuid(&uuid);
    user.upload(form).await.ok();
    let last = Form::chunk(2, 3, "89a").uuid(&uuid);
    for form in [last.clone(), last.clone().file_first(), last.field("chunksize", 3)] {
        let refused = user.upload(form).await.refused(413, "file_too_large");
        refused.of_field("file").saying(&["10 bytes"]);
    }
}

#[tokio::test]
async fn a_chunk_placed_past_the_limit_is_refused() {
    let server = sized(10, 4).await;
    let user = server.user(1);
    for offset in ["7", "10", "11", "9223372036854775807"] {
        let form = Form::chunk(1, 3, "0123").field("partbyteoffset", offset);
        let form = form.uuid(&new_uuid());
        for form in [form.clone(), form.file_first()] {
            let reply = user.upload(form).await;
            reply.refused(413, "file_too_large").of_field("file");
        }
    }
}

#[tokio::test]
async fn a_chunk_above_the_limit_is_refused_by_the_files_name() {
    let server = sized(100, 4).await;
    let user = server.user(1);
    let chunk = Form::chunk(0, 2, "01234");
    let known = chunk.clone().uuid(&new_uuid());
    let form = known.clone();
    for form in [
        chunk.clone(),
        chunk.file_first(),
        known.clone().file_first(),
        known,
        form.clone().field("chunksize", 5),
        form.content_range("bytes 0-4/9"),
    ] {
        let refused = user.upload(form).await.refused(413, "chunk_too_large");
        assert!(refused.prevent_retry);
        refused.of_field("file").saying(&["4 bytes"]);
    }
}

#[tokio::test]
async fn a_repeated_chunk_above_the_limit_is_refused() {
    let server = sized(100, 4).await;
    let user = server.user(1);
    let uuid = user.begin(2, "0123").await;
    let form = Form::chunk(0, 2, "01234").uuid(&uuid);
    user.upload(form).await.refused(413, "chunk_too_large");
}

#[tokio::test]
async fn more_chunks_than_the_limit_are_refused_by_the_fields_name() {
    let settings = Settings { max_parts: 3, ..Settings::default() };
    let server = Server::with(settings).await;
    let user = server.user(1);
    user.upload(Form::chunk(0, 3, "abc")).await.ok();
    let form = Form::chunk(0, 4, "abc");
    for form in [form.clone(), form.uuid(&new_uuid())] {
        let refused = user.upload(form).await.refused(400, "too_many_parts");
        assert!(refused.prevent_retry);
        refused.of_field("totalparts").saying(&["4", "3"]);
    }
}

#[tokio::test]
async fn a_form_may_have_as_many_fields_as_the_limit() {
    let settings = Settings { max_fields: 5, ..Settings::default() };
    let server = Server::with(settings).await;
    let user = server.user(1);
    let form = Form::chunk(0, 1, "abc").field("a", 1).after("b", 2);
    user.upload(form.clone()).await.ok(); // including the file
    for form in [form.clone().field("c", 3), form.after("c", 3)] {
        let reply = user.upload(form).await;
        assert!([400, 413].contains(&reply.status.as_u16()));
        assert!(String::from_utf8_lossy(&reply.body).contains("the limit of 5"));
    }
}

#[tokio::test]
async fn a_field_may_be_as_long_as_the_limit() {
    let settings = Settings { max_field_size: "40".parse().unwrap(), ..Settings::default() };
    let server = Server::with(settings).await;
    let user = server.user(1);
    let form = |length| Form::single("a").field("filename", "n".repeat(length));
    user.upload(form(40)).await.ok();
    let reply = user.upload(form(41)).await;
    let refused = reply.refused(400, "field_too_long");
    refused.saying(&["filename", "40 bytes"]);
}

#[tokio::test]
async fn a_done_with_an_endless_body_is_refused() {
    let server = Server::start().await;
    let user = server.user(1);
    let long = "n".repeat(300_000);
    let reply = user.done_urlencoded(&[("filename", &long)]).await;
    let refused = reply.refused(413, "body_too_large");
    refused.saying(&["262144 bytes"]);
}

#[tokio::test]
async fn at_the_cap_a_new_upload_is_told_when_to_come_again() {
    let server = capped(2).await;
    let user = server.user(1);
    for _ in 0..2 {
        user.begin(2, "abc").await;
    }
    let form = Form::chunk(0, 2, "abc");
    for form in [form.clone(), form.uuid(&new_uuid())] {
        let reply = user.upload(form).await;
        let refused = reply.refused(429, "too_many_unfinished_uploads");
        assert!(!refused.prevent_retry);
        let secs: u32 = refused.header("retry-after").parse().unwrap();
        assert!(secs > 0);
        refused.saying(&["2"]);
    }
}

#[tokio::test]
async fn at_the_cap_uploads_that_have_begun_go_on() {
    let server = capped(2).await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    user.begin(2, "abc").await;
    user.upload(Form::chunk(1, 2, "def").uuid(&uuid)).await.ok();
    assert_eq!(user.finish(&uuid).await, "abcdef");
}

#[tokio::test]
async fn at_the_cap_single_files_and_other_users_are_not_held_up() {
    let server = capped(1).await;
    server.user(1).begin(2, "abc").await;
    server.user(1).store_any().await;
    server.user(2).begin(2, "abc").await;
}

#[tokio::test]
async fn finishing_or_cancelling_an_upload_makes_room() {
    let server = capped(1).await;
    let user = server.user(1);
    let uuid = user.begin(1, "abc").await;
    user.done(&uuid).await.ok();
    let uuid = user.begin(2, "abc").await;
    user.delete(&uuid).await.ok();
    user.begin(2, "abc").await;
}

#[tokio::test]
async fn at_the_cap_the_oldest_that_was_idle_for_an_hour_makes_room() {
    let server = capped(2).await;
    let user = server.user(1);
    let (oldest, idle) = (user.begin(3, "abc").await, user.begin(3, "abc").await);
    server.skip(3700);
    user.begin(2, "abc").await;
    user.status(&idle).await.ok();
    let form = Form::chunk(1, 3, "def").uuid(&oldest);
    let refused = user.upload(form.clone()).await.refused(410, "expired");
    assert!(refused.reset);
}

#[tokio::test]
async fn at_the_cap_an_upload_that_stored_something_within_the_hour_stays() {
    let server = capped(2).await;
    let user = server.user(1);
    let (oldest, idle) = (user.begin(3, "abc").await, user.begin(3, "abc").await);
    server.skip(3000);
    let form = Form::chunk(1, 3, "def").uuid(&oldest);
    user.upload(form).await.ok();
    server.skip(700);
    user.begin(2, "abc").await;
    user.status(&oldest).await.ok();
    user.status(&idle).await.refused(410, "expired");
}

#[tokio::test]
async fn what_made_room_leaves_no_bytes() {
    let server = capped(1).await;
    let user = server.user(1);
    user.begin(2, "abc").await;
    server.skip(3700);
    user.begin(2, "abcdef").await;
    server.settled().await;
    assert_eq!(server.written(), 6);
}
