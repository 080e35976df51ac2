//! Section 7: what the head of a request decides is answered before its body arrives.

use haversack::config::Settings;

use crate::harness::{Client, Form, Raw, Reply, Server};

/// The reply to a head that announces a body of which nothing is sent.
async fn answer(server: &Server, what: &str, client: &Client, lines: &str) -> Reply {
    let mut raw = Raw::connect(server).await;
    let head = Raw::head(what, client, lines);
    raw.send(head.as_bytes()).await;
    raw.reply().await
}

/// The lines that announce a form of a million bytes, and these.
fn announcing(lines: &str) -> String {
    let form = Form::content_type();
    format!("Content-Type: {form}\r\nContent-Length: 1000000\r\n{lines}")
}

const UPLOAD: &str = "POST /api/v2/pm/upload/";

#[tokio::test]
async fn a_missing_token_is_refused_before_the_body_comes() {
    let server = Server::start().await;
    let stranger = server.anonymous();
    for what in [UPLOAD, "POST /api/v2/pm/upload/?done", "POST /api/v2/pm/files/"] {
        let reply = answer(&server, what, &stranger, &announcing("")).await;
        reply.refused(401, "not_authenticated");
    }
}

#[tokio::test]
async fn a_service_token_is_refused_before_the_body_comes() {
    let server = Server::start().await;
    let service = server.service();
    let reply = answer(&server, UPLOAD, &service, &announcing("")).await;
    reply.refused(403, "forbidden");
}

#[tokio::test]
async fn an_unreadable_type_is_refused_before_the_body_comes() {
    let server = Server::start().await;
    let lines = "Content-Type: application/json\r\nContent-Length: 1000000\r\n";
    let reply = answer(&server, UPLOAD, &server.user(1), lines).await;
    reply.refused(415, "unsupported_media_type");
}

#[tokio::test]
async fn an_excluding_accept_is_refused_before_the_body_comes() {
    let server = Server::start().await;
    let lines = announcing("Accept: text/html\r\n");
    let reply = answer(&server, UPLOAD, &server.user(1), &lines).await;
    reply.refused(406, "not_acceptable");
}

#[tokio::test]
async fn a_malformed_content_range_is_refused_before_the_body_comes() {
    let server = Server::start().await;
    let lines = announcing("Content-Range: bytes 5-2/9\r\n");
    let reply = answer(&server, UPLOAD, &server.user(1), &lines).await;
    reply.refused(400, "malformed_content_range");
}

#[tokio::test]
async fn a_body_longer_than_any_file_may_be_is_refused_before_it_comes() {
    let settings = Settings {
        max_file_size: "1000".parse().unwrap(),
        max_chunk_size: "1000".parse().unwrap(),
        ..Settings::default()
    };
    let server = Server::with(settings).await;
    let form = Form::content_type();
    let lines = format!("Content-Type: {form}\r\nContent-Length: 10000000\r\n");
    let reply = answer(&server, UPLOAD, &server.user(1), &lines).await;
    let refused = reply.refused(413, "file_too_large");
    refused.of_field("file").saying(&["1000 bytes"]);
}

#[tokio::test]
async fn a_content_range_of_a_file_above_the_limit_is_refused_before_the_body_comes() {
    let settings = Settings { max_file_size: "2000000".parse().unwrap(), ..Settings::default() };
    let server = Server::with(settings).await;
    let lines = announcing("Content-Range: bytes 0-999/2000001\r\n");
    let reply = answer(&server, UPLOAD, &server.user(1), &lines).await;
    reply.refused(413, "file_too_large");
}

#[tokio::test]
async fn a_client_that_asks_first_is_refused_without_being_told_to_go_on() {
    let server = Server::start().await;
    let lines = announcing("Expect: 100-continue\r\n");
    let reply = answer(&server, UPLOAD, &server.anonymous(), &lines).await;
    reply.refused(401, "not_authenticated");
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on_when_it_may() {
    let server = Server::start().await;
    let lines = announcing("Expect: 100-continue\r\n");
    let reply = answer(&server, UPLOAD, &server.user(1), &lines).await;
    assert_eq!(reply.status, 100);
}
