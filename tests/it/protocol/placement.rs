//! Section 4: where a chunk goes; each rule alone, and their order.

use serde_json::json;

use crate::harness::{Client, Form, Server, new_uuid};

/// Sends forms in order, each of which must be accepted. Returns the content of the resulting file.
async fn made_of(user: &Client, uuid: &str, forms: impl IntoIterator<Item = Form>) -> String {
    for form in forms {
        user.upload(form.uuid(uuid)).await.ok();
    }
    user.finish(uuid).await
}

#[tokio::test]
async fn content_range_says_where_a_chunk_goes() {
    let server = Server::start().await;
    let forms = [
        Form::chunk(1, 3, "de").content_range("bytes 3-4/9"),
        Form::chunk(2, 3, "fghi").content_range("bytes 5-8/9"),
        Form::chunk(0, 3, "abc").content_range("bytes 0-2/9"),
    ];
    let made = made_of(&server.user(1), &new_uuid(), forms).await;
    assert_eq!(made, "abcdefghi");
}

#[tokio::test]
async fn content_range_may_leave_the_total_open() {
    let server = Server::start().await;
    let forms = [
        Form::chunk(1, 2, "de").content_range("bytes 3-4/*"),
        Form::chunk(0, 2, "abc").content_range("bytes 0-2/*"),
    ];
    let made = made_of(&server.user(1), &new_uuid(), forms).await;
    assert_eq!(made, "abcde");
}

#[tokio::test]
async fn partbyteoffset_says_where_a_chunk_goes() {
    let server = Server::start().await;
    let forms = [
        Form::chunk(2, 3, "fghi").field("partbyteoffset", 5),
        Form::chunk(0, 3, "abc").field("partbyteoffset", 0),
        Form::chunk(1, 3, "de").field("partbyteoffset", 3),
    ];
    for file_first in [false, true] {
        let forms = forms.clone().map(|form| if file_first { form.file_first() } else { form });
        let made = made_of(&server.user(1), &new_uuid(), forms).await;
        assert_eq!(made, "abcdefghi");
    }
}

#[tokio::test]
async fn the_sum_of_all_parts_before_it_says_where_a_chunk_goes() {
    let server = Server::start().await;
    let forms = [Form::chunk(0, 3, "abc"), Form::chunk(1, 3, "d"), Form::chunk(2, 3, "efghi")];
    let made = made_of(&server.user(1), &new_uuid(), forms).await;
    assert_eq!(made, "abcdefghi");
}

#[tokio::test]
async fn the_sum_of_the_parts_before_it_wins_over_an_even_cut() {
    let server = Server::start().await;
    let forms = [
        Form::chunk(0, 3, "abc"),
        Form::chunk(1, 3, "d"), // 1 x 1 would be inside chunk 0
        Form::chunk(2, 3, "e"),
    ];
    let made = made_of(&server.user(1), &new_uuid(), forms).await;
    assert_eq!(made, "abcde");
}

#[tokio::test]
async fn index_times_own_length_says_where_a_chunk_goes_that_is_not_the_last() {
    let server = Server::start().await;
    let forms = [
        Form::chunk(2, 4, "ghi"),
        Form::chunk(1, 4, "def"),
        Form::chunk(0, 4, "abc"),
        Form::chunk(3, 4, "j"),
    ];
    let made = made_of(&server.user(1), &new_uuid(), forms).await;
    assert_eq!(made, "abcdefghij");
}

#[tokio::test]
async fn index_times_the_declared_length_says_it_before_the_bytes_come() {
    let server = Server::start().await;
    let forms = [
        Form::chunk(1, 3, "def").field("chunksize", 3),
        Form::chunk(0, 3, "abc").field("chunksize", 3),
        Form::chunk(2, 3, "g").field("chunksize", 1),
    ];
    let made = made_of(&server.user(1), &new_uuid(), forms).await;
    assert_eq!(made, "abcdefg");
}

#[tokio::test]
async fn the_total_says_where_the_last_chunk_goes() {
    let server = Server::start().await;
    let forms = [
        Form::chunk(2, 3, "g").field("totalfilesize", 7),
        Form::chunk(0, 3, "abc"),
        Form::chunk(1, 3, "def"),
    ];
    let made = made_of(&server.user(1), &new_uuid(), forms).await;
    assert_eq!(made, "abcdefg");
}

#[tokio::test]
async fn the_total_of_an_earlier_chunk_says_where_the_last_one_goes() {
    let server = Server::start().await;
    let forms = [
        Form::chunk(0, 3, "abc").field("totalfilesize", 6),
        Form::chunk(2, 3, "f"),
        Form::chunk(1, 3, "de"),
    ];
    let made = made_of(&server.user(1), &new_uuid(), forms).await;
    assert_eq!(made, "abcdef");
}

#[tokio::test]
async fn the_total_wins_over_the_length_of_other_parts_for_the_last_chunk() {
    let server = Server::start().await;
    let forms = [
        Form::chunk(0, 3, "abc").field("totalfilesize", 5), // 2 x 3 would be past the end
        Form::chunk(2, 3, "e"),
        Form::chunk(1, 3, "d"),
    ];
    let made = made_of(&server.user(1), &new_uuid(), forms).await;
    assert_eq!(made, "abcde");
}

#[tokio::test]
async fn the_length_of_any_part_before_says_where_the_last_chunk_goes() {
    let server = Server::start().await;
    for known in [0, 1] {
        let part = |index: u32| Form::chunk(index, 3, ["abc", "def"][index as usize]);
        let forms = [part(known), Form::chunk(2, 3, "g"), part(1 - known)];
        let made = made_of(&server.user(1), &new_uuid(), forms).await;
        assert_eq!(made, "abcdefg");
    }
}

#[tokio::test]
async fn a_declared_place_wins_over_the_sum_of_the_parts_before() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    let form = Form::chunk(1, 2, "def").uuid(&uuid);
    user.upload(form.field("partbyteoffset", 100)).await.ok();
    let refused = user.done(&uuid).await;
    refused.refused(400, "parts_not_contiguous");
}

#[tokio::test]
async fn content_range_and_partbyteoffset_that_agree_are_taken() {
    let server = Server::start().await;
    let form = Form::chunk(1, 2, "de").field("partbyteoffset", 3);
    let forms =
        [form.content_range("bytes 3-4/5").field("totalfilesize", 5), Form::chunk(0, 2, "abc")];
    let made = made_of(&server.user(1), &new_uuid(), forms).await;
    assert_eq!(made, "abcde");
}

#[tokio::test]
async fn totalparts_is_needed_once() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    let form = Form::single("def").field("partindex", 1).uuid(&uuid);
    user.upload(form).await.ok();
    assert_eq!(user.finish(&uuid).await, "abcdef");
}

#[tokio::test]
async fn an_empty_file_is_one_empty_chunk() {
    let server = Server::start().await;
    let user = server.user(1);
    for form in [
        Form::chunk(0, 1, ""),
        Form::chunk(0, 1, "").field("totalfilesize", 0).field("chunksize", 0),
    ] {
        assert_eq!(made_of(&user, &new_uuid(), [form]).await, "");
    }
}

#[tokio::test]
async fn an_upload_once_placed_by_an_even_cut_takes_a_shorter_last_chunk() {
    let server = Server::start().await;
    let forms = [Form::chunk(1, 3, "def"), Form::chunk(2, 3, "g"), Form::chunk(0, 3, "abc")];
    let made = made_of(&server.user(1), &new_uuid(), forms).await;
    assert_eq!(made, "abcdefg");
}

#[tokio::test]
async fn a_chunk_of_fine_uploader_carries_everything_and_is_taken_in_any_order() {
    let server = Server::start().await;
    let part = |index: usize, bytes: &str| {
        Form::single(bytes)
            .field("partindex", index)
            .field("partbyteoffset", index * 3)
            .field("chunksize", bytes.len())
            .field("totalparts", 3)
            .field("totalfilesize", 7)
            .field("filename", "a.txt")
            .in_seed_dialect()
    };
    let forms = [part(2, "g"), part(0, "abc"), part(1, "def")];
    let made = made_of(&server.user(1), &new_uuid(), forms).await;
    assert_eq!(made, "abcdefg");
}

#[tokio::test]
async fn a_chunk_of_the_vendors_client_carries_a_content_range() {
    let server = Server::start().await;
    let user = server.user(1);
    let first = Form::chunk(0, 2, "abc").content_range("bytes 0-2/5");
    let reply = user.upload(first).await.ok();
    let uuid = reply["file_uuid"].as_str().unwrap();
    let second = Form::chunk(1, 2, "de").content_range("bytes 3-4/5");
    user.upload(second.uuid(uuid)).await.ok();
    let body = json!({"uuid": uuid, "totalparts": 2, "filename": "a.txt"});
    let file = user.done_json(&body).await.ok();
    assert_eq!(user.contents(&file).await, "abcde");
}
