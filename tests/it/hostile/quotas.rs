//! Quotas in races: exact at the limit, and nothing that is refused is kept.

use haversack::config::{OrNone, Settings};
use haversack::ids::UserId;
use tokio::task::JoinSet;

use crate::harness::{Form, Reply, Server, eventually, new_uuid};

/// Number of rounds of each race: one, or as many as `HAVERSACK_TEST_ROUNDS` says.
fn rounds() -> u64 {
    crate::measured::setting("HAVERSACK_TEST_ROUNDS").unwrap_or(1)
}

/// Sends 64 of these at once.
async fn race(server: &Server, form: impl Fn(usize) -> Form) -> Vec<Reply> {
    let mut senders = JoinSet::new();
    for number in 0..64 {
        let (user, form) = (server.user(1), form(number));
        senders.spawn(async move { user.upload(form).await });
    }
    senders.join_all().await
}

/// 10 of 64 fit, in every round.
async fn limited(settings: Settings, form: impl Fn(usize) -> Form) {
    for _ in 0..rounds() {
        race_for_ten(settings.clone(), &form).await;
    }
}

async fn race_for_ten(settings: Settings, form: impl Fn(usize) -> Form) {
    let server = Server::with(settings).await;
    let (taken, refused): (Vec<Reply>, Vec<Reply>) =
        race(&server, form).await.into_iter().partition(|reply| reply.status == 200);
    for reply in refused {
        reply.refused(413, "quota_exceeded");
    }
    assert_eq!(taken.len(), 10);
    let usage = server.app.stores().0.usage(UserId::from(1)).await.unwrap();
    assert_eq!((usage.user_bytes, usage.user_files), (1000, 10));
    eventually("nothing of the others is kept", async || server.stored().len() == 10).await;
}

fn bytes() -> Settings {
    Settings { user_quota: "1000".parse().unwrap(), ..Settings::default() }
}

fn files() -> Settings {
    Settings { user_max_files: OrNone(Some(10)), ..Settings::default() }
}

fn chunk(_: usize) -> Form {
    Form::chunk(0, 10, "0123456789")
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_that_race_for_the_last_bytes_get_exactly_those() {
    limited(bytes(), chunk).await;
    limited(bytes(), |number| chunk(number).uuid(&new_uuid())).await;
    limited(bytes(), |number| chunk(number).uuid(&new_uuid()).file_first()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_that_race_for_the_last_files_get_exactly_those() {
    limited(files(), chunk).await;
    limited(files(), |number| chunk(number).uuid(&new_uuid())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_race_for_the_last_bytes_get_exactly_those() {
    limited(bytes(), |_| Form::single([b'x'; 100])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_starts_race_is_charged_once() {
    let server = Server::with(bytes()).await;
    let uuid = new_uuid();
    for reply in race(&server, |_| chunk(0).uuid(&uuid)).await {
        if reply.status != 200 {
            reply.refused(409, "superseded");
        }
    }
    let usage = server.app.stores().0.usage(UserId::from(1)).await.unwrap();
    assert_eq!((usage.user_bytes, usage.user_files), (100, 1));
}
