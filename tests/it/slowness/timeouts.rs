//! How long to wait for the client of a connection. Unit tests, which control time, test the exact times.

use std::time::Duration;

use haversack::config::{Settings, Span};
use tokio::time::timeout;

use crate::harness::{Form, Raw, Server};

const PAUSE: Duration = Duration::from_millis(50);

fn second() -> Span {
    "1s".parse().unwrap()
}

async fn ask(server: &Server, raw: &mut Raw) {
    raw.send(Raw::head("GET /health/live", &server.anonymous(), "").as_bytes()).await;
    raw.reply().await.ok();
}

#[tokio::test]
async fn a_body_that_drips_is_408_and_ends_the_connection() {
    let grace = |config: &mut haversack::config::Config| {
        config.http.body.pace.grace = Duration::from_secs(1);
    };
    let server = Server::adjusted(Settings::default(), grace).await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    let form = Form::chunk(1, 2, "o".repeat(100_000)).uuid(&uuid);
    let mut raw = Raw::half_sent(&server, &user, &form, 100_000).await;
    let reply = raw.drip(b"o", PAUSE).await.expect("an answer");
    assert_eq!(reply.header("connection"), "close");
    reply.refused(408, "body_too_slow").saying(&["less than 1024 bytes per second"]);
    raw.closed().await;
    assert_eq!(user.status(&uuid).await.ok()["received"], 3);
}

#[tokio::test]
async fn a_refused_body_that_drips_holds_its_connection_no_longer() {
    let settings = Settings { max_connections: 1, ..Settings::default() };
    let grace = |config: &mut haversack::config::Config| {
        config.http.body.pace.grace = Duration::from_secs(1);
    };
    let server = Server::adjusted(settings, grace).await;
    let nobody = server.anonymous();
    let form = Form::chunk(1, 2, "o".repeat(100_000));
    let mut raw = Raw::half_sent(&server, &nobody, &form, 100_000).await;
    raw.reply().await.refused(401, "not_authenticated");
    assert!(raw.drip(b"o", PAUSE).await.is_none());
    ask(&server, &mut Raw::connect(&server).await).await;
}

#[tokio::test]
async fn a_silent_new_connection_is_closed() {
    let server = Server::with(Settings { header_timeout: second(), ..Settings::default() }).await;
    Raw::connect(&server).await.closed().await;
}

#[tokio::test]
async fn a_head_that_drips_is_closed() {
    let server = Server::with(Settings { header_timeout: second(), ..Settings::default() }).await;
    let mut raw = Raw::connect(&server).await;
    raw.send(b"GET /health/live HTTP/1.1\r\n").await;
    assert!(raw.drip(b"x: y\r\n", PAUSE).await.is_none(), "it was answered");
}

#[tokio::test]
async fn a_later_head_that_drips_is_closed() {
    let server = Server::with(Settings { header_timeout: second(), ..Settings::default() }).await;
    let mut raw = Raw::connect(&server).await;
    ask(&server, &mut raw).await;
    raw.send(b"GET /health/live HTTP/1.1\r\n").await;
    assert!(raw.drip(b"x: y\r\n", PAUSE).await.is_none(), "it was answered");
}

#[tokio::test]
async fn an_idle_connection_outlives_the_time_of_a_head() {
    let server = Server::with(Settings { header_timeout: second(), ..Settings::default() }).await;
    let mut idle = Raw::connect(&server).await;
    ask(&server, &mut idle).await;
    Raw::connect(&server).await.closed().await; // a second later
    ask(&server, &mut idle).await;
}

#[tokio::test]
async fn idle_connections_are_closed_when_nearly_all_places_are_taken() {
    let settings = Settings { header_timeout: second(), max_connections: 8, ..Settings::default() };
    let server = Server::with(settings).await;
    let mut idle = Vec::new();
    for _ in 0..7 {
        let mut raw = Raw::connect(&server).await;
        ask(&server, &mut raw).await;
        idle.push(raw);
    }
    idle[0].closed().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_the_end() {
    let server = Server::with(Settings { idle_timeout: second(), ..Settings::default() }).await;
    let mut idle = Raw::connect(&server).await;
    ask(&server, &mut idle).await;
    idle.closed().await;
}

#[tokio::test]
async fn a_reader_who_takes_nothing_gives_its_place_free() {
    let settings = Settings { send_timeout: second(), max_connections: 2, ..Settings::default() };
    let server = Server::with(settings).await;
    let user = server.user(1);
    let file = user.store("long.txt", vec![b'x'; 32 << 20]).await;
    let link = file["url"].as_str().unwrap();
    let path = &link[link.find("/media/").unwrap()..];
    let head = Raw::head(&format!("GET {path}"), &server.anonymous(), "");
    let mut reader = Raw::connect(&server).await; // the client's own connection is the other one
    reader.send(head.as_bytes()).await;
    let mut waiting = Raw::connect(&server).await;
    let question = Raw::head("GET /health/live", &server.anonymous(), "");
    waiting.send(question.as_bytes()).await;
    assert!(timeout(PAUSE, waiting.reply()).await.is_err(), "there was a place");
    waiting.reply().await.ok();
    drop(reader);
}
