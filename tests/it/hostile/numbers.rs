//! Invalid numbers, and numbers that no counter can hold. `protocol::fields` tests valid numbers in fields.

use serde_json::{Value, json};

use crate::harness::{Client, Form, Reply, Server, new_uuid};

/// None of these is a number in the protocol (section 2).
const WRONG: [&str; 22] = [
    "-1",
    "-0",
    "+1",
    "1.0",
    "1.",
    ".5",
    "1e0",
    "1e400",
    "-1e400",
    "0x1",
    "1_000",
    "1,000",
    " 1",
    "1 ",
    "1\n",
    "",
    "NaN",
    "Infinity",
    "\u{661}",
    "\u{ff11}",
    "9223372036854775808",
    "18446744073709551616",
];

const SIZES: [&str; 3] = ["totalfilesize", "partbyteoffset", "chunksize"];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_number_is_refused_by_its_fields_name() {
    let server = Server::start().await;
    let user = server.user(1);
    for wrong in WRONG {
        for field in SIZES.into_iter().chain(["totalparts", "partindex"]) {
            let name = if field == "totalparts" { "qqtotalparts" } else { field };
            let form = Form::single("abc").uuid(&new_uuid()).field(name, wrong);
            let form = if field == "partindex" { form } else { form.field("partindex", 0) };
            let refused = user.upload(form).await.refused(400, "malformed");
            refused.of_field(field);
        }
    }
    assert_eq!(user.list("").await.ok()["results"], json!([]), "nothing has begun");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_number_is_refused_in_every_form_of_done() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(1, "abc").await;
    for wrong in WRONG {
        let fields = [("uuid", &*uuid), ("totalfilesize", wrong)];
        for reply in [
            user.done_urlencoded(&fields).await,
            user.done_form(Form::new().uuid(&uuid).field("totalfilesize", wrong)).await,
            user.done_json(&json!({"uuid": uuid, "totalfilesize": wrong})).await,
        ] {
            reply.refused(400, "malformed").of_field("totalfilesize");
        }
    }
    for wrong in
        ["-1", "1.5", "1e3", "9223372036854775808", "18446744073709551616", "true", "[3]", "{}"]
    {
        let body = format!(r#"{{"uuid": "{uuid}", "totalfilesize": {wrong}}}"#);
        raw_done(&user, &body).await.refused(400, "malformed").of_field("totalfilesize");
    }
    for wrong in ["1e400", "-1e400", "NaN", "0x1", "01", "+1"] {
        let body = format!(r#"{{"uuid": "{uuid}", "totalfilesize": {wrong}}}"#);
        raw_done(&user, &body).await.refused(400, "malformed_json");
    }
    let deep =
        format!(r#"{{"uuid": "{uuid}", "x": {}{}}}"#, "[".repeat(50_000), "]".repeat(50_000));
    raw_done(&user, &deep).await.refused(400, "malformed_json");
    assert_eq!(user.finish(&uuid).await, "abc", "it is as it was");
}

async fn raw_done(user: &Client, body: &str) -> Reply {
    let request = user.request(http::Method::POST, "/api/v2/pm/upload/?done");
    let request = request.header("content-type", "application/json");
    user.send(request.body(body.to_owned())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn indexes_and_counts_end_at_2_to_the_31() {
    let server = Server::start().await;
    let user = server.user(1);
    for huge in [1_u64 << 31, (1 << 31) + 1, 1 << 32, (1 << 32) + 1, i64::MAX as u64] {
        let part = |index: u64, total: u64| {
            Form::single("abc")
                .uuid(&new_uuid())
                .field("partindex", index)
                .field("totalparts", total)
        };
        user.upload(part(huge, 2)).await.refused(400, "malformed").of_field("partindex");
        user.upload(part(0, huge)).await.refused(400, "malformed").of_field("totalparts");
    }
    let most = (1_u64 << 31) - 1;
    let form = |index: u64, total: u64| {
        Form::single("abc").uuid(&new_uuid()).field("partindex", index).field("totalparts", total)
    };
    user.upload(form(0, most)).await.refused(400, "too_many_parts").of_field("totalparts");
    user.upload(form(most, 2)).await.refused(400, "out_of_range").of_field("partindex");
    user.upload(form(0, 0)).await.refused(400, "out_of_range");
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_above_the_limit_are_413_without_overflow() {
    let server = Server::start().await;
    let user = server.user(1);
    let chunk = |index: u32| Form::chunk(index, 50_000, "abc").uuid(&new_uuid());
    for huge in [(5_u64 << 30) + 1, 1 << 62, i64::MAX as u64] {
        user.upload(chunk(0).field("totalfilesize", huge)).await.refused(413, "file_too_large");
        user.upload(Form::single("abc").field("totalfilesize", huge))
            .await
            .refused(413, "file_too_large");
        user.upload(chunk(1).field("partbyteoffset", huge)).await.refused(413, "file_too_large");
        let range = format!("bytes {huge}-{}/*", huge.saturating_add(2).min(i64::MAX as u64));
        let refused = user.upload(chunk(1).content_range(&range)).await;
        assert!(matches!(refused.status.as_u16(), 400 | 413), "{range}");
    }
    let last = user.upload(chunk(49_999).field("partbyteoffset", (5_u64 << 30) - 2)).await;
    last.refused(413, "file_too_large");
    let server_keeps: Value = user.list("").await.ok()["results"].clone();
    assert_eq!(server_keeps, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_content_range_that_is_none_is_refused() {
    let server = Server::start().await;
    let user = server.user(1);
    for wrong in [
        "bytes -1-2/3",
        "bytes 0--1/3",
        "bytes 2-1/3",
        "bytes 0-3/3",
        "bytes 0-2/-3",
        "bytes 0-2/1e400",
        "bytes 0-9223372036854775808/*",
        "bytes 9223372036854775808-9223372036854775809/*",
        "bytes 0-18446744073709551615/*",
        "bytes */3",
        "bytes 0-2",
        "0-2/3",
        "bits 0-2/3",
        "bytes=0-2/3",
        "bytes 0-2/3/3",
        "bytes 0x0-0x2/3",
        "bytes +0-2/3",
        "",
    ] {
        let form = Form::chunk(0, 2, "abc").uuid(&new_uuid()).content_range(wrong);
        user.upload(form).await.refused(400, "malformed_content_range").of_field("partbyteoffset");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cursors_and_questions_of_the_backend_take_no_other_numbers() {
    let server = Server::start().await;
    let (user, service) = (server.user(1), server.service());
    for wrong in ["-1", "1.0", "1e400", "x", "9223372036854775808", "%00", "1&cursor=2"] {
        let reply = user.list(wrong).await;
        assert!(matches!(reply.status.as_u16(), 200 | 400), "{wrong}: {}", reply.status);
        assert!(reply.status == 400 || reply.ok()["results"] == json!([]), "{wrong}");
    }
    for wrong in [
        json!(-1.5),
        json!(1e300),
        json!(9_223_372_036_854_775_808_u64),
        json!("1"),
        json!([]),
        json!(true),
    ] {
        let reply = service.files(&json!({"uuids": [], "user_id": wrong})).await;
        assert_eq!(reply.status, 400, "{wrong}");
    }
    let uuids: Vec<_> = (0..1001).map(|_| new_uuid()).collect();
    service.files(&json!({ "uuids": uuids })).await.refused(400, "too_many").of_field("uuids");
    for wrong in [json!({}), json!("x"), json!([1]), json!([null]), json!([["x"]]), json!(null)] {
        let reply = service.files(&json!({ "uuids": wrong })).await;
        assert_eq!(reply.status, 400, "{wrong}");
    }
}
