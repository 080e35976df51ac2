//! Ids of requests: in every reply, in the bodies of errors, and readable by pages of other origins.

use haversack::config::{OrNone, Settings};
use serde_json::json;

use crate::harness::{Client, Form, Server, new_uuid};

/// A server behind a trusted proxy, which is this machine.
async fn proxied() -> Server {
    let networks = ["127.0.0.0/8"].map(|net| OrNone(Some(net.parse().unwrap())));
    Server::with(Settings { trusted_proxies: networks.into(), ..Settings::default() }).await
}

async fn id_of(client: &Client, path: &str) -> String {
    client.get(path).await.header("x-request-id").to_owned()
}

#[tokio::test]
async fn every_reply_has_an_id_of_its_own() {
    let server = Server::start().await;
    let user = server.user(1);
    let file = user.store("a.txt", "some bytes").await;
    let url = file["url"].as_str().unwrap();
    let mut ids = Vec::new();
    for path in ["/", "/nowhere", "/health/live", "/api/v2/pm/upload/", "/page/app.js", url] {
        let id = id_of(&user, path).await;
        assert!((1..=128).contains(&id.len()), "{path}: {id:?}");
        ids.push(id);
    }
    ids.push(user.head(url).await.header("x-request-id").to_owned());
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 7);
}

#[tokio::test]
async fn the_body_of_an_error_has_the_id_too() {
    let server = Server::start().await;
    let (user, nobody) = (server.user(1), server.anonymous());
    for refused in [
        user.status(&new_uuid()).await.refused(404, "not_found"),
        user.get("/nowhere").await.refused(404, "not_found"),
        user.delete(&new_uuid()).await.refused(404, "not_found"),
        nobody.list("").await.refused(401, "not_authenticated"),
        nobody.get(&format!("/media/{}/file", new_uuid())).await.refused(403, "bad_link"),
        user.upload(Form::chunk(1, 2, "abc")).await.refused(400, "required"),
    ] {
        assert_eq!(refused.json["request_id"], json!(refused.header("x-request-id")));
    }
}

#[tokio::test]
async fn the_id_of_a_trusted_proxy_is_taken_over_if_it_can_stand_anywhere() {
    let server = proxied().await;
    let path = format!("/api/v2/pm/upload/{}/", new_uuid());
    let given = server.user(1).with("x-request-id", "Root=1-67891233-abcdef012345");
    let refused = given.get(&path).await.refused(404, "not_found");
    assert_eq!(refused.header("x-request-id"), "Root=1-67891233-abcdef012345");
    assert_eq!(refused.json["request_id"], "Root=1-67891233-abcdef012345");
    for wrong in ["", "a b", "a\"b", "<script>", &"x".repeat(129)] {
        let id = id_of(&server.user(1).with("x-request-id", wrong), &path).await;
        assert!(id != wrong && !id.is_empty(), "{wrong:?}: {id:?}");
    }
}

#[tokio::test]
async fn nobody_else_chooses_the_id_of_a_request() {
    let server = Server::start().await;
    let given = server.user(1).with("x-request-id", "mine");
    assert_ne!(id_of(&given, "/health/live").await, "mine");
}

#[tokio::test]
async fn pages_of_other_origins_can_read_the_id() {
    let server = Server::start().await;
    let page = server.user(1).with("origin", "https://chat.example.org");
    let reply = page.list("").await;
    let exposed = reply.header("access-control-expose-headers").to_lowercase();
    assert!(exposed.split(',').any(|name| name.trim() == "x-request-id"), "{exposed}");
}
