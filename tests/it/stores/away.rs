//! Clients get errors while the database is unavailable, and continue when it is back.

use std::time::Duration;

use haversack::config::Settings;
use http::Method;
use serde_json::json;

use super::cluster::Cluster;
use crate::harness::{Form, Reply, Server, new_uuid};

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_both_dialects_get_503_while_the_database_is_unavailable() {
    let cluster = Cluster::start();
    let settings = Settings {
        database_url: Some(cluster.url("haversack").parse().expect("a URL")),
        ..Settings::default()
    };
    let with_short_retries = |config: &mut haversack::config::Config| {
        config.database.as_mut().expect("a database").retry_timeout = Duration::from_millis(300);
    };
    let server = Server::adjusted(settings, with_short_retries).await;
    let (anna, service) = (server.user(1), server.service());
    let uuid = anna.begin(2, "01234").await;
    let stored = anna.store_any().await;
    let url = anna.created(10).await;
    let chunk = || Form::chunk(1, 2, "56789").uuid(&uuid);

    tokio::task::block_in_place(|| cluster.stop());
    let tus = [("upload-length", "3")];
    let refused: Vec<(&str, Reply)> = vec![
        ("a chunk", anna.upload(chunk()).await),
        ("a first chunk", anna.upload(Form::chunk(0, 2, "abc").uuid(&new_uuid())).await),
        ("a single file", anna.upload(Form::single("abc")).await),
        ("done", anna.done(&uuid).await),
        ("a status", anna.status(&uuid).await),
        ("a list", anna.list("").await),
        ("a File", anna.file(&stored).await),
        ("a deletion", anna.delete(&stored).await),
        ("the backend's files", service.files(&json!({"uuids": [stored]})).await),
        ("a creation", anna.create(&tus).await),
        ("a PATCH", anna.patch(&url, 0, "0123456789").await),
        ("a termination", anna.tus(Method::DELETE, &url, &[], "").await),
    ];
    for (request, reply) in refused {
        assert_eq!(reply.header("retry-after"), "2", "{request}: {reply:?}");
        let refused = reply.refused(503, "unavailable");
        assert!(!refused.prevent_retry && !refused.reset, "{request}: {refused:?}");
        assert!(refused.message.contains("database"), "{request}: {refused:?}");
    }
    let head = anna.progress(&url).await;
    assert_eq!((head.status.as_u16(), head.header("retry-after")), (503, "2"));
    let anybody = server.anonymous();
    let unready = anybody.get("/health/ready").await.refused(503, "not_ready");
    assert!(unready.message.contains("can't reach its database"), "{unready:?}");
    assert_eq!(unready.json["checks"]["files"], "ready");
    anybody.get("/health/live").await.ok();

    tokio::task::block_in_place(|| cluster.start_again());
    anybody.get("/health/ready").await.ok();
    anna.upload(chunk()).await.ok();
    assert_eq!(anna.finish(&uuid).await, "0123456789");
    assert_eq!(anna.patch(&url, 0, "0123456789").await.status, 204);
    assert_eq!(anna.behind(&url).await, b"0123456789");
    anna.file(&stored).await.ok();
}
