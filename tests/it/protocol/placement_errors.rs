//! Section 4: chunks that can't be where they say, or don't say where.

use serde_json::json;

use crate::harness::{Client, Form, Refused, Server, new_uuid};

/// Sends a chunk to an upload, its fields behind and before the file; both must be refused.
async fn refused(user: &Client, uuid: &str, form: Form, code: &str) -> Refused {
    let form = form.uuid(uuid);
    let spooled = user.upload(form.clone().file_first()).await;
    let spooled = spooled.refused(400, code);
    let refused = user.upload(form).await.refused(400, code);
    assert_eq!(spooled.field, refused.field);
    assert_eq!(spooled.reset, refused.reset);
    assert_eq!(spooled.prevent_retry, refused.prevent_retry);
    refused
}

#[tokio::test]
async fn the_last_chunk_first_and_nothing_known_says_which_field_would_help() {
    let server = Server::start().await;
    let form = Form::chunk(2, 3, "g");
    let refused = refused(&server.user(1), &new_uuid(), form, "offset_unknown").await;
    refused.saying(&["partbyteoffset", "Content-Range", "totalfilesize"]);
}

#[tokio::test]
async fn the_last_chunk_first_may_be_sent_again_once_more_is_known() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = new_uuid();
    let form = Form::chunk(2, 3, "g");
    let refused = refused(&user, &uuid, form.clone(), "offset_unknown").await;
    user.upload(Form::chunk(0, 3, "abc").uuid(&uuid)).await.ok();
    user.upload(form.uuid(&uuid)).await.ok();
    assert!(!refused.prevent_retry, "the same request did succeed");
}

#[tokio::test]
async fn content_range_and_partbyteoffset_must_agree() {
    let server = Server::start().await;
    let form = Form::chunk(1, 2, "de").field("partbyteoffset", 4);
    let form = form.content_range("bytes 3-4/5");
    let refused = refused(&server.user(1), &new_uuid(), form, "offset_mismatch").await;
    refused.saying(&["3", "4"]);
}

#[tokio::test]
async fn a_content_range_must_be_well_formed() {
    let server = Server::start().await;
    let user = server.user(1);
    for wrong in [
        "0-2/3",
        "bytes=0-2/3",
        "bytes 2-0/3",
        "bytes 0-3/3",
        "bytes */3",
        "bytes 0-2",
        "items 0-2/3",
        "x",
    ] {
        for form in [Form::chunk(0, 1, "abc"), Form::single("abc")] {
            let reply = user.upload(form.content_range(wrong)).await;
            let refused = reply.refused(400, "malformed_content_range");
            refused.saying(&["Content-Range", "bytes FIRST-LAST/TOTAL"]);
        }
    }
}

#[tokio::test]
async fn the_announced_length_must_be_that_of_the_chunk() {
    let server = Server::start().await;
    let user = server.user(1);
    for form in [
        Form::chunk(0, 2, "abc").field("chunksize", 2),
        Form::chunk(0, 2, "abc").field("chunksize", 4),
        Form::chunk(0, 2, "abc").content_range("bytes 0-1/9"),
        Form::chunk(0, 2, "abc").content_range("bytes 0-3/9"),
    ] {
        let refused = refused(&user, &new_uuid(), form, "size_mismatch").await;
        assert!(refused.prevent_retry);
        refused.saying(&["bytes"]);
    }
}

#[tokio::test]
async fn a_chunk_of_the_wrong_length_leaves_nothing_visible() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    for wrong in [2, 4] {
        let form = Form::chunk(1, 2, "def").field("chunksize", wrong);
        refused(&user, &uuid, form, "size_mismatch").await;
    }
    assert_eq!(user.status(&uuid).await.ok()["parts"], json!([[0, 0]]));
    user.upload(Form::chunk(1, 2, "xyz").uuid(&uuid)).await.ok();
    assert_eq!(user.finish(&uuid).await, "abcxyz");
}

#[tokio::test]
async fn the_first_chunk_must_say_into_how_many_the_file_is_cut() {
    let server = Server::start().await;
    let form = Form::single("abc").field("partindex", 0);
    let refused = refused(&server.user(1), &new_uuid(), form, "required").await;
    refused.of_field("totalparts");
}

#[tokio::test]
async fn an_index_must_be_below_totalparts() {
    let server = Server::start().await;
    let user = server.user(1);
    for (index, total) in [(3, 3), (1, 1), (0, 0), (2_147_483_647, 3)] {
        let form = Form::chunk(index, total, "abc").field("partbyteoffset", 0);
        let refused = refused(&user, &new_uuid(), form, "out_of_range").await;
        refused.of_field("partindex").saying(&[&index.to_string()]);
    }
}

#[tokio::test]
async fn totalparts_must_not_change() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(3, "abc").await;
    let form = Form::chunk(1, 4, "def");
    let refused = refused(&user, &uuid, form, "changed").await;
    refused.of_field("totalparts").saying(&["3", "4"]);
}

#[tokio::test]
async fn totalparts_must_not_change_in_a_repeated_chunk() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(3, "abc").await;
    let form = Form::chunk(0, 4, "abc");
    let refused = refused(&user, &uuid, form, "changed").await;
    refused.of_field("totalparts");
}

#[tokio::test]
async fn the_total_size_must_not_change() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = new_uuid();
    let first = Form::chunk(0, 3, "abc").uuid(&uuid);
    user.upload(first.field("totalfilesize", 9)).await.ok();
    let next = Form::chunk(1, 3, "def");
    for form in [next.clone().field("totalfilesize", 10), next.content_range("bytes 3-5/10")] {
        let refused = refused(&user, &uuid, form, "changed").await;
        refused.of_field("totalfilesize").saying(&["9", "10"]);
    }
}

#[tokio::test]
async fn the_total_size_must_not_change_in_a_repeated_chunk() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = new_uuid();
    let first = Form::chunk(0, 3, "abc").uuid(&uuid);
    user.upload(first.field("totalfilesize", 9)).await.ok();
    let form = Form::chunk(0, 3, "abc").field("totalfilesize", 10);
    let refused = refused(&user, &uuid, form, "changed").await;
    refused.of_field("totalfilesize");
}

#[tokio::test]
async fn a_request_must_not_state_two_total_sizes() {
    let server = Server::start().await;
    let form = Form::chunk(0, 2, "abc").field("totalfilesize", 6);
    let form = form.content_range("bytes 0-2/7");
    let refused = refused(&server.user(1), &new_uuid(), form, "changed").await;
    refused.of_field("totalfilesize").saying(&["6", "7"]);
}

#[tokio::test]
async fn a_chunk_must_not_overlap_another() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = new_uuid();
    let stored = Form::chunk(1, 4, "defg").uuid(&uuid);
    user.upload(stored.field("partbyteoffset", 10)).await.ok();
    for (index, offset) in [(0, 8), (2, 13), (2, 10), (0, 9)] {
        let form = Form::chunk(index, 4, "abc").field("partbyteoffset", offset);
        let refused = refused(&user, &uuid, form, "overlap").await;
        assert!(refused.prevent_retry);
        refused.saying(&["1", &offset.to_string()]);
    }
}

#[tokio::test]
async fn an_overlap_is_told_by_bytes_that_exist() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(3, "abcd").await;
    let form = Form::chunk(1, 3, "efg").field("partbyteoffset", 2);
    let refused = refused(&user, &uuid, form, "overlap").await;
    let nonsense = "2 to 1";
    assert!(!refused.message.contains(nonsense), "{}", refused.message);
}

#[tokio::test]
async fn a_chunk_that_surrounds_another_overlaps_it() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = new_uuid();
    let stored = Form::chunk(1, 3, "x").uuid(&uuid);
    user.upload(stored.field("partbyteoffset", 5)).await.ok();
    let form = Form::chunk(0, 3, "0123456789").field("partbyteoffset", 0);
    refused(&user, &uuid, form, "overlap").await;
}

/// They could never lie end to end in the order of their indexes, which done demands.
#[tokio::test]
async fn chunks_out_of_index_order_are_refused_at_once() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = new_uuid();
    let stored = Form::chunk(1, 4, "defg").uuid(&uuid);
    user.upload(stored.field("partbyteoffset", 10)).await.ok();
    for (index, offset, place) in [(0, 14, "before chunk 1"), (2, 7, "after chunk 1")] {
        let form = Form::chunk(index, 4, "abc").field("partbyteoffset", offset);
        let refused = refused(&user, &uuid, form, "out_of_order").await;
        assert!(refused.prevent_retry);
        refused.of_field("partbyteoffset").saying(&[&offset.to_string(), place]);
    }
}

#[tokio::test]
async fn chunks_that_only_touch_do_not_overlap() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = new_uuid();
    for (index, offset) in [(1, 3), (0, 0), (2, 6)] {
        let form = Form::chunk(index, 3, "abc").field("partbyteoffset", offset);
        user.upload(form.uuid(&uuid)).await.ok();
    }
}

#[tokio::test]
async fn no_byte_may_be_past_the_total() {
    let server = Server::start().await;
    let user = server.user(1);
    for form in [
        Form::chunk(0, 2, "abcd").field("totalfilesize", 3),
        Form::chunk(1, 3, "abcd").field("totalfilesize", 7),
        Form::chunk(2, 3, "abcd").field("totalfilesize", 3),
        Form::chunk(0, 2, "abcd").field("totalfilesize", 9).field("partbyteoffset", 6),
    ] {
        let refused = refused(&user, &new_uuid(), form, "beyond_total").await;
        assert!(refused.prevent_retry);
        refused.saying(&["total"]);
    }
}

#[tokio::test]
async fn an_empty_chunk_of_several_is_refused_by_the_files_name() {
    let server = Server::start().await;
    let user = server.user(1);
    for index in [0, 1] {
        let form = Form::chunk(index, 2, "").field("partbyteoffset", 0);
        let refused = refused(&user, &new_uuid(), form, "empty_chunk").await;
        refused.of_field("file");
    }
}

#[tokio::test]
async fn an_evenly_cut_upload_takes_no_other_length_and_asks_to_begin_again() {
    let server = Server::start().await;
    let user = server.user(1);
    for other in [
        Form::chunk(0, 4, "ab"),
        Form::chunk(0, 4, "abcd"),
        Form::chunk(2, 4, "gh"),
        Form::chunk(2, 4, "gh").field("partbyteoffset", 6),
        Form::chunk(2, 4, "gh").content_range("bytes 6-7/*"),
    ] {
        let uuid = new_uuid();
        user.upload(Form::chunk(1, 4, "def").uuid(&uuid)).await.ok();
        let refused = refused(&user, &uuid, other, "uneven_chunk").await;
        assert!(refused.reset);
        assert!(!refused.prevent_retry, "it is to begin again");
        refused.saying(&["3"]);
    }
}

#[tokio::test]
async fn an_even_cut_is_not_assumed_over_parts_of_another_length() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(4, "ab").await;
    let form = Form::chunk(2, 4, "ghi"); // 2 x 3, but chunk 0 has 2 bytes
    let refused = refused(&user, &uuid, form, "uneven_chunk").await;
    assert!(refused.reset);
}

#[tokio::test]
async fn declared_places_never_mark_an_upload_as_evenly_cut() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = new_uuid();
    for (index, offset, bytes) in [(2, 5, "f"), (1, 3, "de"), (0, 0, "abc")] {
        let form = Form::chunk(index, 3, bytes).field("partbyteoffset", offset);
        user.upload(form.uuid(&uuid)).await.ok();
    }
    assert_eq!(user.finish(&uuid).await, "abcdef");
}

#[tokio::test]
async fn what_was_refused_leaves_an_upload_that_can_go_on() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    let overlapping = Form::chunk(1, 2, "xyz").field("partbyteoffset", 1);
    refused(&user, &uuid, overlapping, "overlap").await;
    user.upload(Form::chunk(1, 2, "def").uuid(&uuid)).await.ok();
    assert_eq!(user.finish(&uuid).await, "abcdef");
}
