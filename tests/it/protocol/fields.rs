//! Section 2: the fields, under both of their names.

use serde_json::json;

use crate::harness::{Form, Server, jpeg, new_uuid};
use crate::hostile::corpora::names::read_disposition;

#[tokio::test]
async fn a_chunk_is_understood_in_either_dialect() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = new_uuid();
    let whole = |index: u32, bytes: &str| {
        Form::chunk(index, 2, bytes)
            .uuid(&uuid)
            .field("partbyteoffset", index * 3)
            .field("chunksize", 3)
            .field("totalfilesize", 6)
            .field("filetype", "text/plain")
            .field("filename", "a.txt")
    };
    user.upload(whole(0, "abc")).await.ok();
    user.upload(whole(1, "def").in_seed_dialect()).await.ok();
    assert_eq!(user.finish(&uuid).await, "abcdef");
}

#[tokio::test]
async fn every_field_of_the_seed_dialect_has_the_meaning_of_its_current_name() {
    let server = Server::start().await;
    let user = server.user(1);
    for (field, wrong, code) in [
        ("uuid", "x", "malformed"),
        ("partindex", "x", "malformed"),
        ("totalparts", "x", "malformed"),
        ("partbyteoffset", "1", "beyond_total"),
        ("chunksize", "4", "size_mismatch"),
        ("totalfilesize", "2", "beyond_total"),
        ("parentuuid", "x", "malformed"),
    ] {
        for name in [field.to_owned(), format!("qq{field}")] {
            let mut form = Form::new().file("file", None, "abc").field("filename", "a.txt");
            for (other, right) in [("partindex", "0"), ("totalparts", "1")] {
                if other != field {
                    form = form.field(other, right);
                }
            }
            if field == "partbyteoffset" {
                form = form.field("totalfilesize", 3);
            }
            let reply = user.upload(form.field(&name, wrong)).await;
            assert!(reply.refused(400, code).prevent_retry, "{name}");
        }
    }
}

#[tokio::test]
async fn dialects_may_be_mixed_within_a_request() {
    let server = Server::start().await;
    let user = server.user(1);
    let form = Form::new()
        .field("qqpartindex", 0)
        .field("totalparts", 1)
        .field("qqtotalfilesize", 3)
        .file("qqfile", None, "abc");
    let reply = user.upload(form).await.ok();
    let uuid = reply["file_uuid"].as_str().unwrap();
    let fields = [("qquuid", uuid), ("filename", "a.txt")];
    let file = user.done_urlencoded(&fields).await.ok();
    assert_eq!(file["filename"], "a.txt");
}

#[tokio::test]
async fn equal_values_in_both_dialects_are_one_value() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = new_uuid();
    let form = Form::chunk(0, 1, "abc").uuid(&uuid);
    let both = form.field("qqpartindex", 0).field("qqtotalparts", 1).field("qquuid", &uuid);
    assert_eq!(user.upload(both).await.ok()["file_uuid"], uuid);
}

#[tokio::test]
async fn differing_values_in_the_two_dialects_are_refused() {
    let server = Server::start().await;
    let user = server.user(1);
    for (field, qq, current) in [
        ("uuid", new_uuid(), new_uuid()),
        ("partindex", "0".into(), "1".into()),
        ("totalparts", "2".into(), "3".into()),
        ("partbyteoffset", "0".into(), "1".into()),
        ("chunksize", "3".into(), "4".into()),
        ("totalfilesize", "3".into(), "4".into()),
        ("filetype", "text/plain".into(), "text/html".into()),
        ("filename", "a".into(), "b".into()),
        ("md5", "0".repeat(32), "1".repeat(32)),
        ("duration", "1".into(), "2".into()),
        ("parentuuid", new_uuid(), new_uuid()),
    ] {
        let form = Form::single("abc").field(&format!("qq{field}"), qq);
        let reply = user.upload(form.after(field, current)).await;
        let refused = reply.refused(400, "differs").of_field(field);
        assert!(refused.prevent_retry, "{field}");
    }
}

#[tokio::test]
async fn differing_values_are_refused_in_every_encoding_of_done() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(1, "abc").await;
    let names = [("filename", "a"), ("qqfilename", "b"), ("uuid", &uuid)];
    let replies = [
        user.done_urlencoded(&names).await,
        user.done_json(&json!({"filename": "a", "qqfilename": "b", "uuid": uuid})).await,
        user.done_form(Form::new().field("filename", "a").field("qqfilename", "b")).await,
    ];
    for reply in replies {
        reply.refused(400, "differs").of_field("filename");
    }
}

/// Readers that use the first one see another request than those that use the last.
#[tokio::test]
async fn a_key_of_a_json_done_that_comes_twice_is_a_field_that_does() {
    let server = Server::start().await;
    let user = server.user(1);
    let (uuid, other) = (user.begin(1, "abc").await, user.begin(1, "def").await);
    let done = async |body: String| {
        let request = user.request(http::Method::POST, "/api/v2/pm/upload/?done");
        user.send(request.header("content-type", "application/json").body(body)).await
    };
    for (field, differing) in [
        ("uuid", format!(r#""uuid": "{other}", "uuid": "{uuid}""#)),
        ("uuid", format!(r#""uuid": "{uuid}", "uuid": "{other}""#)),
        ("filename", format!(r#""uuid": "{uuid}", "filename": "a", "filename": "b""#)),
        ("totalfilesize", format!(r#""uuid": "{uuid}", "totalfilesize": 4, "totalfilesize": 3"#)),
    ] {
        let refused = done(format!("{{{differing}}}")).await.refused(400, "differs");
        assert!(refused.of_field(field).prevent_retry, "{differing}");
    }
    let same = format!(
        r#"{{"uuid": "{uuid}", "uuid": "{uuid}", "totalfilesize": "3", "totalfilesize": 3, "x": 1, "x": 2}}"#
    );
    assert_eq!(done(same).await.ok()["uuid"], uuid);
}

#[tokio::test]
async fn fields_that_mean_nothing_are_ignored() {
    let server = Server::start().await;
    let user = server.user(1);
    let form = Form::chunk(0, 1, "abc")
        .field("qqresume", "true")
        .field("csrfmiddlewaretoken", "x")
        .field("x", "1")
        .after("x", "2");
    user.upload(form).await.ok();
}

#[tokio::test]
async fn numbers_are_unsigned_decimals_up_to_2_to_the_63_minus_1() {
    let server = Server::start().await;
    let user = server.user(1);
    let fields = ["partindex", "totalparts", "partbyteoffset", "chunksize", "totalfilesize"];
    for field in fields {
        for wrong in ["-1", "+1", "1.0", "1e3", "0x1", "", " 1", "9223372036854775808", "x"] {
            let mut form = Form::single("abc");
            for (other, right) in [("partindex", 0), ("totalparts", 1)] {
                if other != field {
                    form = form.field(other, right);
                }
            }
            let reply = user.upload(form.field(field, wrong)).await;
            let refused = reply.refused(400, "malformed").of_field(field);
            refused.saying(&[field]);
        }
    }
}

#[tokio::test]
async fn numbers_of_a_done_may_be_strings_in_every_encoding() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(1, "abc").await;
    let fields = [("uuid", &*uuid), ("totalparts", "1"), ("totalfilesize", "3")];
    user.done_urlencoded(&fields).await.ok();
    let form = Form::new().uuid(&uuid).field("totalfilesize", "3");
    user.done_form(form).await.ok();
    for size in [json!("3"), json!(3)] {
        let body = json!({"uuid": uuid, "totalparts": size, "totalfilesize": size});
        user.done_json(&body).await.ok();
    }
}

#[tokio::test]
async fn a_wrong_number_in_a_done_is_refused_by_name() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(1, "abc").await;
    for wrong in [json!(-1), json!(1.5), json!("x"), json!([3]), json!(true)] {
        let body = json!({"uuid": uuid, "totalfilesize": wrong});
        let refused = user.done_json(&body).await.refused(400, "malformed");
        refused.of_field("totalfilesize");
    }
}

#[tokio::test]
async fn null_in_a_json_done_is_none() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(1, "abc").await;
    let body = json!({"uuid": uuid, "md5": null, "totalfilesize": null, "filename": null});
    user.done_json(&body).await.ok();
}

#[tokio::test]
async fn names_that_mean_none_are_none_wherever_they_come_from() {
    let server = Server::start().await;
    let user = server.user(1);
    for none in ["blob", "undefined", "null", ""] {
        let file = user.store(none, jpeg()).await;
        assert_eq!(file["filename"], "file.jpg", "part named {none:?}");
        let form = Form::single(jpeg()).named("a.jpg").field("filename", none);
        let file = user.upload(form).await.ok();
        assert_eq!(file["filename"], "a.jpg", "field {none:?}");
        let uuid = user.begin(1, "abc").await;
        let fields = [("uuid", &*uuid), ("filename", none)];
        let file = user.done_urlencoded(&fields).await.ok();
        assert_eq!(file["filename"], "file.txt", "done {none:?}");
    }
}

/// Names that some system doesn't allow. The browser that saves such a file replaces what its own system doesn't allow.
const NAMES: [&str; 12] = [
    "who?.jpg",
    "a<b>.txt",
    "Report: final|draft*.pdf",
    ".env",
    "CON.txt",
    "aux",
    "and so on...",
    "she said \"hi\".txt",
    "50%25 of 100%.txt",
    "caffè 文件.pdf",
    "a;b='c'.txt",
    "👩\u{200D}👧.png",
];

#[tokio::test]
async fn names_are_shown_as_they_were_sent_wherever_a_file_is_shown() {
    let server = Server::start().await;
    let user = server.user(1);
    for name in NAMES {
        let begun = user.upload(Form::chunk(0, 2, "abc").field("filename", name)).await.ok();
        let unfinished = user.list("").await.ok()["results"][0].clone();
        assert_eq!(
            (&unfinished["file_uuid"], &unfinished["filename"]),
            (&begun["file_uuid"], &json!(name))
        );
        // A browser writes a name into the head of a part like this (WHATWG HTML, multipart/form-data).
        let file = user.store(&name.replace('"', "%22"), jpeg()).await;
        let uuid = file["uuid"].as_str().unwrap();
        let found = server.service().files(&json!({"uuids": [uuid]})).await.ok();
        let list = user.list("").await.ok();
        for shown in [&file, &user.file(uuid).await.ok(), &found[0], &list["results"][0]] {
            assert_eq!(shown["filename"], name);
        }
        let link = format!("{}&download", file["url"].as_str().unwrap());
        let reply = user.get(&link).await;
        let disposition = read_disposition(reply.header("content-disposition"));
        assert_eq!((&*disposition.kind, disposition.name()), ("attachment", name));
    }
}

#[tokio::test]
async fn the_filename_field_wins_over_the_parts_filename() {
    let server = Server::start().await;
    let form = Form::single("abc").named("part.txt").field("filename", "field.txt");
    let file = server.user(1).upload(form).await.ok();
    assert_eq!(file["filename"], "field.txt");
}

#[tokio::test]
async fn an_unusable_duration_is_ignored_and_others_are_rounded() {
    let server = Server::start().await;
    let user = server.user(1);
    for (sent, stored) in [
        ("7", json!(7)),
        ("7.4", json!(7)),
        ("7.5", json!(8)),
        ("0", json!(0)),
        ("Infinity", json!(null)),
        ("-Infinity", json!(null)),
        ("NaN", json!(null)),
        ("-1", json!(null)),
        ("", json!(null)),
        ("undefined", json!(null)),
    ] {
        let form = Form::single("abc").field("duration", sent);
        let file = user.upload(form).await.ok();
        assert_eq!(file["duration"], stored, "{sent:?}");
    }
}

#[tokio::test]
async fn the_bytes_say_what_a_file_is_whatever_its_name_and_declared_type() {
    let server = Server::start().await;
    let form = Form::single(jpeg()).named("photo.png").field("filetype", "image/png");
    let file = server.user(1).upload(form).await.ok();
    assert_eq!(file["mimetype"], "image/jpeg");
    assert_eq!(file["filename"], "photo.png");
}

#[tokio::test]
async fn a_malformed_md5_is_refused_by_name() {
    let server = Server::start().await;
    let user = server.user(1);
    for wrong in ["", "x", &"g".repeat(32), &"0".repeat(31), &"0".repeat(33)] {
        let reply = user.upload(Form::single("abc").field("md5", wrong)).await;
        reply.refused(400, "malformed").of_field("md5");
    }
}

#[tokio::test]
async fn an_md5_is_read_in_either_case() {
    let server = Server::start().await;
    let user = server.user(1);
    for md5 in ["900150983CD24FB0D6963F7D28E17F72", "900150983cd24fb0d6963f7d28e17f72"] {
        let reply = user.upload(Form::single("abc").field("md5", md5)).await;
        reply.ok();
    }
}
