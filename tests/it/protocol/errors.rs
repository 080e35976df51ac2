//! Section 7: the statuses, and how a refused body is treated. The shape is asserted wherever the tests see
//! a refusal.

use http::Method;
use serde_json::json;

use crate::harness::{Form, Raw, Server, new_uuid};

#[tokio::test]
async fn an_error_of_the_request_is_a_plain_item() {
    let server = Server::start().await;
    let refused = server.user(1).status(&new_uuid()).await;
    let refused = refused.refused(404, "not_found");
    let expected = json!({
        "errors": [{"code": "not_found", "message": refused.message}],
        "success": false,
        "error": refused.message,
        "preventRetry": true,
        "request_id": refused.header("x-request-id"),
    });
    assert_eq!(refused.json, expected);
}

#[tokio::test]
async fn an_error_of_a_field_names_it() {
    let server = Server::start().await;
    let refused = server.user(1).upload(Form::chunk(1, 2, "abc")).await;
    let refused = refused.refused(400, "required");
    let message = json!({"code": "required", "message": refused.message});
    let expected = json!({
        "errors": [{"field": "uuid", "messages": [message]}],
        "success": false,
        "error": refused.message,
        "preventRetry": true,
        "request_id": refused.header("x-request-id"),
    });
    assert_eq!(refused.json, expected);
}

#[tokio::test]
async fn an_error_that_begins_anew_says_reset() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    let refused = user.done(&uuid).await.refused(400, "chunks_missing");
    let message = &refused.message;
    let expected = json!({
        "errors": [{"code": "chunks_missing", "message": message}],
        "success": false,
        "error": message,
        "preventRetry": false,
        "reset": true,
        "missing": [1],
        "request_id": refused.header("x-request-id"),
    });
    assert_eq!(refused.json, expected);
}

#[tokio::test]
async fn a_path_that_is_not_there_is_404() {
    let server = Server::start().await;
    for path in ["/x", "/api/v2/pm/", "/media/x", "/api/v2/pm/upload/x/y/"] {
        let reply = server.user(1).get(path).await;
        reply.refused(404, "not_found");
    }
}

#[tokio::test]
async fn a_path_that_is_not_text_is_refused_in_our_shape() {
    let server = Server::start().await;
    let user = server.user(1);
    user.status("%ff").await.refused(404, "not_found");
    user.delete("%ff").await.refused(404, "not_found");
    user.file("%ff").await.refused(404, "not_found");
    let link = "/media/%ff/file?expires=1&key=1&signature=x";
    user.get(link).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_method_that_a_path_has_not_is_405_with_allow() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.store_any().await;
    let link = user.file(&uuid).await.ok()["url"].clone();
    let uploads = "/api/v2/pm/upload/".to_owned();
    for (path, allowed) in [
        (uploads.clone(), "GET, POST"),
        (format!("{uploads}{uuid}/"), "GET, DELETE"),
        (format!("{uploads}{uuid}/file/"), "GET"),
        ("/api/v2/pm/files/".to_owned(), "POST"),
        ("/api/v2/jwt/verify_token/".to_owned(), "POST"),
        (link.as_str().unwrap().to_owned(), "GET, HEAD"),
    ] {
        for method in [Method::PUT, Method::PATCH] {
            let reply = user.send(user.request(method, &path)).await;
            let refused = reply.refused(405, "method_not_allowed");
            let given = refused.header("allow").split(", ").collect::<Vec<_>>();
            for method in allowed.split(", ") {
                assert!(given.contains(&method), "{path}: {given:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_client_that_reads_no_json_is_406() {
    let server = Server::start().await;
    for wrong in ["text/html", "image/*", "application/xml, text/plain;q=0.9"] {
        let user = server.user(1).with("accept", wrong);
        let reply = user.upload(Form::chunk(0, 1, "abc")).await;
        let refused = reply.refused(406, "not_acceptable");
        refused.saying(&["application/json"]);
    }
}

#[tokio::test]
async fn every_accept_of_the_real_clients_is_served() {
    let server = Server::start().await;
    for accept in [
        "application/json, text/plain, */*",
        "application/json",
        "*/*",
        "application/*;q=0.5",
        "text/html, Application/JSON;q=0.1",
        "",
    ] {
        let user = server.user(1).with("accept", accept);
        user.upload(Form::chunk(0, 1, "abc")).await.ok();
    }
}

#[tokio::test]
async fn a_request_without_length_is_411() {
    let server = Server::start().await;
    let lines = format!("Content-Type: {}\r\n", Form::content_type());
    let head = Raw::head("POST /api/v2/pm/upload/", &server.user(1), &lines);
    let mut raw = Raw::connect(&server).await;
    raw.send(head.as_bytes()).await;
    raw.reply().await.refused(411, "length_required");
}

#[tokio::test]
async fn a_body_in_http_chunks_needs_no_length() {
    let server = Server::start().await;
    let user = server.user(1);
    let body = Form::chunk(0, 1, "abc").encode();
    let lines = format!("Content-Type: {}\r\nTransfer-Encoding: chunked\r\n", Form::content_type());
    let head = Raw::head("POST /api/v2/pm/upload/", &user, &lines);
    let mut raw = Raw::connect(&server).await;
    raw.send(head.as_bytes()).await;
    for piece in body.chunks(50) {
        raw.send(format!("{:x}\r\n", piece.len()).as_bytes()).await;
        raw.send(piece).await;
        raw.send(b"\r\n").await;
    }
    raw.send(b"0\r\n\r\n").await;
    let reply = raw.reply().await.ok();
    let uuid = reply["file_uuid"].as_str().unwrap();
    assert_eq!(user.finish(uuid).await, "abc");
}

#[tokio::test]
async fn a_malformed_form_is_400() {
    let server = Server::start().await;
    let user = server.user(1);
    for malformed in [
        "no form",
        "------haversack-test-boundary\r\n\r\nabc\r\n",
        "------haversack-test-boundary\r\nContent-Disposition: form-data\r\n\r\nabc\r\n",
        "------haversack-test-boundary\nContent-Disposition: form-data; name=x\n\nabc\n",
    ] {
        let request = user.request(Method::POST, "/api/v2/pm/upload/");
        let request = request.header("content-type", Form::content_type());
        let reply = user.send(request.body(malformed)).await;
        assert!(reply.refused(400, "malformed_body").prevent_retry);
    }
}

#[tokio::test]
async fn a_multipart_type_without_a_usable_boundary_is_400() {
    let server = Server::start().await;
    let user = server.user(1);
    let long = format!("multipart/form-data; boundary={}", "x".repeat(71));
    for wrong in ["multipart/form-data", "multipart/form-data; boundary=", &long] {
        let request = user.request(Method::POST, "/api/v2/pm/upload/");
        let request = request.header("content-type", wrong);
        let refused = user.send(request.body("x")).await;
        let refused = refused.refused(400, "malformed_content_type");
        refused.saying(&["boundary"]);
    }
}

#[tokio::test]
async fn a_json_done_that_is_no_object_is_400() {
    let server = Server::start().await;
    let user = server.user(1);
    for malformed in ["", "{", "[]", "\"x\"", "null"] {
        let request = user.request(Method::POST, "/api/v2/pm/upload/?done");
        let request = request.header("content-type", "application/json");
        let reply = user.send(request.body(malformed)).await;
        reply.refused(400, "malformed_json");
    }
}

#[tokio::test]
async fn a_refused_body_is_read_so_that_its_sender_sees_the_reply() {
    let server = Server::start().await;
    let stranger = server.anonymous().with("authorization", "Bearer x");
    let form = Form::chunk(0, 1, vec![0; 5 << 20]);
    let mut raw = Raw::connect(&server).await;
    raw.send(&Raw::form(&stranger, &form)).await; // all of it, before reading
    raw.reply().await.refused(401, "not_authenticated");
}

#[tokio::test]
async fn a_connection_is_of_use_after_a_refused_body() {
    let server = Server::start().await;
    let stranger = server.anonymous();
    let form = Form::chunk(0, 1, vec![0; 1 << 20]);
    let mut raw = Raw::connect(&server).await;
    raw.send(&Raw::form(&stranger, &form)).await;
    raw.reply().await.refused(401, "not_authenticated");
    raw.send(&Raw::form(&server.user(1), &Form::chunk(0, 1, "abc"))).await;
    raw.reply().await.ok();
}

#[tokio::test]
async fn a_chunk_refused_in_its_middle_is_read_so_that_its_sender_sees_the_reply() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    let form = Form::chunk(1, 2, vec![0; 5 << 20]).uuid(&uuid);
    let form = form.field("partbyteoffset", 1); // inside chunk 0
    let mut raw = Raw::connect(&server).await;
    raw.send(&Raw::form(&user, &form)).await;
    raw.reply().await.refused(400, "overlap");
}
