//! Limits on users and addresses: requests over them wait, and are refused only if waiting would be in vain.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use haversack::config::{Config, Settings};
use http::Method;
use tokio::time::timeout;

use crate::harness::{Client, Form, Raw, Reply, Server};

/// Long enough for a reply, if there is one.
const MOMENT: Duration = Duration::from_millis(100);

/// Makes this machine's addresses count like any other.
fn count_all(config: &mut Config) {
    config.admission.uncounted.clear();
}

fn behind_a_proxy() -> Settings {
    Settings { trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()], ..Settings::default() }
}

async fn bad_token(client: &Client) -> Reply {
    client.with("authorization", "Bearer not.a.token").list("").await
}

/// Sends so many bad tokens that replies to further ones from the same address are delayed for seconds.
async fn guess(clients: &[Client]) {
    let guesses = clients.iter().cycle().take(30).map(bad_token);
    let _ = timeout(Duration::from_secs(1), join_all(guesses)).await;
}

/// Whether the reply to another one is.
async fn is_held_back(client: &Client) -> bool {
    timeout(Duration::from_secs(4), bad_token(client)).await.is_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_over_the_users_rate_wait_and_all_of_them_are_answered() {
    let server = Server::start().await;
    let user = server.user(1);
    let begun = Instant::now();
    for reply in join_all((0..500).map(|_| user.list(""))).await {
        reply.ok();
    }
    assert!(begun.elapsed() > Duration::from_millis(490), "400 at once, 100 at 200 a second");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_over_an_addresss_rate_are_held_back_and_all_of_them_are_sent() {
    let server = Server::with(behind_a_proxy()).await;
    let client = server.anonymous().with("x-forwarded-for", "192.0.2.1");
    let begun = Instant::now();
    for reply in join_all((0..500).map(|_| client.list(""))).await {
        reply.refused(401, "not_authenticated");
    }
    assert!(begun.elapsed() > Duration::from_millis(490), "400 at once, 100 at 200 a second");
}

#[tokio::test]
async fn a_user_with_too_many_requests_under_way_waits_and_others_do_not() {
    let settings = Settings { max_requests_per_user: 1, ..Settings::default() };
    let server = Server::with(settings).await;
    let user = server.user(1);
    let form = Form::single("some bytes");
    let request = Raw::form(&user, &form);
    let mut slow = Raw::half_sent(&server, &user, &form, 10).await;
    while timeout(MOMENT, user.list("")).await.is_ok() {} // until the slow one is admitted
    server.user(2).list("").await.ok();
    let list = user.list("");
    slow.send(&request[request.len() - 10..]).await;
    slow.reply().await.ok();
    list.await.ok();
}

#[tokio::test]
async fn every_bad_token_is_answered_with_what_is_wrong_with_it_however_many_come() {
    let server = Server::adjusted(Settings::default(), count_all).await;
    let nobody = server.anonymous();
    for refused in join_all((0..25).map(|_| bad_token(&nobody))).await {
        assert!(refused.refused(401, "not_authenticated").prevent_retry);
    }
    nobody.verify_token("not.a.token").await.refused(401, "not_authenticated");
    server.user(1).list("").await.ok();
}

#[tokio::test]
async fn late_tokens_and_missing_ones_are_no_guesses() {
    let server = Server::adjusted(Settings::default(), count_all).await;
    let user = server.user(1);
    server.skip(400 * 24 * 3600);
    for _ in 0..25 {
        user.list("").await.refused(401, "not_authenticated");
        server.anonymous().list("").await.refused(401, "not_authenticated");
    }
}

#[tokio::test]
async fn behind_a_trusted_proxy_every_client_has_limits_of_its_own() {
    let server = Server::with(behind_a_proxy()).await;
    let client = server.anonymous().with("x-forwarded-for", "198.51.100.9, 192.0.2.1");
    let other = server.anonymous().with("x-forwarded-for", "192.0.2.1, 192.0.2.2");
    guess(std::slice::from_ref(&client)).await;
    assert!(is_held_back(&client).await);
    assert!(!is_held_back(&other).await);
}

#[tokio::test]
async fn forwarded_addresses_are_not_believed_from_anybody_else() {
    let server = Server::adjusted(Settings::default(), count_all).await;
    let client =
        |number: u8| server.anonymous().with("x-forwarded-for", &format!("192.0.2.{number}"));
    guess(&(0..30).map(client).collect::<Vec<_>>()).await;
    assert!(is_held_back(&client(99)).await);
}

#[tokio::test]
async fn this_machines_own_addresses_are_not_limited() {
    let server = Server::start().await;
    guess(&[server.anonymous()]).await;
    assert!(!is_held_back(&server.anonymous()).await);
}

#[tokio::test]
async fn a_connection_above_its_addresss_cap_waits_while_another_address_is_answered() {
    let settings = Settings { max_connections_per_address: 2, ..Settings::default() };
    let server = Server::adjusted(settings, count_all).await;
    let question = Raw::head("GET /health/live", &server.anonymous(), "");
    let mut first = Raw::connect(&server).await;
    let mut second = Raw::connect(&server).await;
    for raw in [&mut first, &mut second] {
        raw.send(question.as_bytes()).await;
        raw.reply().await.ok();
    }
    let mut third = Raw::connect(&server).await;
    third.send(question.as_bytes()).await;
    assert!(timeout(MOMENT, third.reply()).await.is_err(), "it was answered above the cap");
    let mut other = Raw::connect_from(&server, [127, 0, 0, 2]).await;
    other.send(question.as_bytes()).await;
    other.reply().await.ok();
    drop(first);
    third.reply().await.ok();
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_cap_counts_each_clients_requests() {
    let settings = Settings { max_connections_per_address: 1, ..behind_a_proxy() };
    let server = Server::with(settings).await;
    let user = server.user(1).with("x-forwarded-for", "192.0.2.1");
    let form = Form::single("some bytes");
    let request = Raw::form(&user, &form);
    let mut slow = Raw::half_sent(&server, &user, &form, 10).await;
    while timeout(MOMENT, user.list("")).await.is_ok() {}
    server.user(2).with("x-forwarded-for", "192.0.2.2").list("").await.ok();
    slow.send(&request[request.len() - 10..]).await;
    slow.reply().await.ok();
    user.list("").await.ok();
}

#[tokio::test]
async fn a_download_counts_until_its_end() {
    let settings = Settings { max_connections_per_address: 1, ..behind_a_proxy() };
    let server = Server::with(settings).await;
    let file = server.user(1).store("long.txt", vec![b'x'; 32 << 20]).await;
    let client = server.anonymous().with("x-forwarded-for", "192.0.2.1");
    let url = file["url"].as_str().unwrap();
    let download = client.request(Method::GET, url).send().await.unwrap();
    assert!(timeout(MOMENT, client.get("/health/ready")).await.is_err(), "two at once");
    drop(download);
    client.get("/health/ready").await.ok();
}
