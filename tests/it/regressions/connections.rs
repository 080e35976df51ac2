//! Connections: many probes at once, the limit, and clients that close their side.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use futures_util::future::join_all;
use haversack::config::Settings;
use serde_json::json;
use tokio::time::timeout;

use crate::harness::{Form, PATIENCE, Raw, Server};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_readiness_probes_at_once_are_all_ready() {
    let server = Server::start().await;
    let client = server.anonymous();
    let probes = (0..64).map(|_| client.get("/health/ready"));
    for reply in join_all(probes).await {
        assert_eq!(reply.ok(), json!({"status": "ready"}));
    }
    let left = std::fs::read_dir(server.blobs()).unwrap();
    let probes = left.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_str().unwrap().starts_with("probe")
    });
    assert_eq!(probes.count(), 0, "no probe leaves a file");
}

/// Sends a request on a connection and stays connected.
async fn ask(server: &Server, raw: &mut Raw) {
    raw.send(Raw::head("GET /health/live", &server.anonymous(), "").as_bytes()).await;
}

#[tokio::test]
async fn a_connection_above_the_cap_is_answered_as_soon_as_another_one_ends() {
    let settings = Settings { max_connections: 2, ..Settings::default() };
    let server = Server::with(settings).await;
    let mut idle = [Raw::connect(&server).await, Raw::connect(&server).await];
    for raw in &mut idle {
        ask(&server, raw).await;
        raw.reply().await.ok();
    }
    let mut third = Raw::connect(&server).await;
    ask(&server, &mut third).await;
    let early = timeout(Duration::from_millis(50), third.reply()).await;
    assert!(early.is_err(), "it was answered above the cap");
    let [one, _other] = idle;
    drop(one);
    third.reply().await.ok();
}

#[tokio::test]
async fn every_place_below_the_cap_is_used_again_and_again() {
    let settings = Settings { max_connections: 2, ..Settings::default() };
    let server = Server::with(settings).await;
    for _ in 0..10 {
        let mut raw = Raw::connect(&server).await;
        ask(&server, &mut raw).await;
        raw.reply().await.ok();
    }
}

/// Sends a complete request, closes the sending side, and reads everything.
async fn half_closing(server: &Server, request: Vec<u8>) -> String {
    let address = server.address;
    let asking = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&request).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply
    });
    asking.await.unwrap()
}

#[tokio::test]
async fn a_client_that_closes_its_side_after_its_request_is_answered() {
    let server = Server::start().await;
    let user = server.user(1);
    let form = Form::single("some bytes").named("note.txt");
    let reply = half_closing(&server, Raw::form(&user, &form)).await;
    assert!(reply.starts_with("HTTP/1.1 200 "), "{reply}");
    assert!(reply.contains("\"filename\":\"note.txt\""), "{reply}");
    assert_eq!(server.stored(), [10]);
}

#[tokio::test]
async fn a_client_that_closes_its_side_gets_the_whole_of_a_file() {
    let server = Server::start().await;
    let user = server.user(1);
    let long = "x".repeat(1 << 20);
    let file = user.store("long.txt", &long).await;
    let link = file["url"].as_str().unwrap();
    let path = &link[link.find("/media/").unwrap()..];
    let head = Raw::head(&format!("GET {path}"), &server.anonymous(), "");
    let reply = half_closing(&server, head.into_bytes()).await;
    assert!(reply.starts_with("HTTP/1.1 200 "));
    assert!(reply.ends_with(&long), "{} bytes came", reply.len());
}
