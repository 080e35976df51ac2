//! `haversack check` and `haversack migrate`: what they say of a database, and records that move into one.

use std::path::Path;
use std::process::Command;

use haversack::metadata::postgres::PostgresStore;
use haversack::storage::Durability;
use serde_json::{Value, json};

use super::http::{Multipart, Request, download};
use super::program::{Ended, Server, haversack, run, serve, token};
use crate::stores::cluster::Cluster;
use crate::stores::postgres::options;

fn check(url: &str, dir: &Path) -> Ended {
    let mut command = haversack(&["check"]);
    run(command.env("HAVERSACK_DATABASE_URL", url).env("HAVERSACK_DATA_DIR", dir))
}

fn migrate(url: &str, dir: &Path) -> Command {
    let mut command = haversack(&["migrate", "--to-database-url", url, "--data-dir"]);
    command.arg(dir);
    command
}

/// The lines that begin like this.
fn lines<'a>(ended: &'a Ended, begin: &str) -> Vec<&'a str> {
    ended.stdout.lines().filter(|line| line.starts_with(begin)).collect()
}

#[test]
fn a_good_database_is_good_in_every_line() {
    let (cluster, dir) = (Cluster::shared(), tempfile::tempdir().expect("a folder"));
    let checked = check(&cluster.database("good"), dir.path());
    assert!(checked.status.success() && checked.stderr.is_empty(), "{}", checked.stderr);
    for what in [
        "version: PostgreSQL 1",
        "encoding: UTF8",
        "extension: ",
        "schema: ",
        "clock: ",
        "isolation: ",
        "pooler: ",
        "role: accepts changes",
        "durability: ",
        "connections: up to 16 of ",
    ] {
        assert_eq!(lines(&checked, &format!("ok: {what}")).len(), 1, "{what}: {}", checked.stdout);
    }
    assert_eq!(lines(&checked, "ok: ").len(), checked.stdout.lines().count());
    assert_eq!(
        cluster.sql("good", "SELECT count(*) FROM pg_class WHERE relname = 'uploads'"),
        "0",
        "it changes nothing"
    );
}

#[test]
fn a_database_that_lacks_something_is_mended_by_what_the_check_says() {
    let (cluster, dir) = (Cluster::shared(), tempfile::tempdir().expect("a folder"));
    let own = cluster.database("poor");
    cluster.sql("poor", "CREATE ROLE poor LOGIN");
    cluster.sql("poor", "REVOKE CREATE ON SCHEMA public FROM PUBLIC"); // as is the default since 15
    let url = own.replace("haversack@", "poor@");
    let checked = check(&url, dir.path());
    assert_eq!(checked.status.code(), Some(1), "{}{}", checked.stdout, checked.stderr);
    let missing = lines(&checked, "missing: ");
    assert_eq!(missing.len(), 2, "{missing:?}");
    for sql in
        ["CREATE EXTENSION btree_gist", "GRANT CREATE, USAGE ON SCHEMA \"public\" TO \"poor\""]
    {
        assert!(missing.iter().any(|line| line.contains(sql)), "{sql}: {missing:?}");
    }
    let mut command = serve(dir.path());
    let refused = run(command.env("HAVERSACK_DATABASE_URL", &url));
    assert!(!refused.status.success());
    assert!(refused.stderr.contains("haversack check"), "{}", refused.stderr);
    cluster.sql("poor", "CREATE EXTENSION btree_gist");
    cluster.sql("poor", "GRANT CREATE, USAGE ON SCHEMA \"public\" TO \"poor\"");
    let checked = check(&url, dir.path());
    assert!(checked.status.success(), "{}{}", checked.stdout, checked.stderr);
    let server = Server::start(serve(dir.path()).env("HAVERSACK_DATABASE_URL", &url));
    store(&server);
    server.stop();
}

#[test]
fn a_check_says_what_is_not_there() {
    let dir = tempfile::tempdir().expect("a folder");
    let none = run(haversack(&["check"]).env("HAVERSACK_DATA_DIR", dir.path()));
    assert!(
        none.status.success() && none.stdout.contains("--database-url is not set"),
        "{}",
        none.stdout
    );
    let url = Cluster::shared().url("nowhere");
    let missing = check(&url, dir.path());
    assert!(!missing.status.success());
    assert!(missing.stderr.contains("database \"nowhere\" does not exist"), "{}", missing.stderr);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr();
    let url = format!("postgres://haversack@{}/haversack", closed.expect("bound"));
    let away = check(&url, dir.path());
    assert!(!away.status.success());
    assert!(away.stderr.to_lowercase().contains("connection refused"), "{}", away.stderr);
}

/// Stores a file; returns it.
fn store(server: &Server) -> Value {
    let form = Multipart::default().file("file", b"some bytes");
    Request::upload(form).token(&token(1)).send(&server.host).expect("a reply").ok()
}

/// Chunk `index` of two of an upload.
fn chunk(server: &Server, uuid: Option<&str>, index: u32) -> Value {
    let mut form = Multipart::default().field("partindex", index).field("totalparts", 2);
    if let Some(uuid) = uuid {
        form = form.field("uuid", uuid);
    }
    let form = form.file("file", if index == 0 { b"01234" } else { b"56789" });
    Request::upload(form).token(&token(1)).send(&server.host).expect("a reply").ok()
}

#[test]
fn records_move_once_whatever_interrupts_it() {
    let (cluster, dir) = (Cluster::shared(), tempfile::tempdir().expect("a folder"));
    let url = cluster.database("moving");
    let server = Server::start(&mut serve(dir.path()));
    let file = store(&server);
    let begun = chunk(&server, None, 0);
    let uuid = begun["file_uuid"].as_str().expect("a uuid");
    let refused = run(&mut migrate(&url, dir.path()));
    assert!(!refused.status.success());
    assert!(refused.stderr.contains("a server is using it"), "{}", refused.stderr);
    server.stop();

    // Killed in the middle: a table of the database is held, and those before it are copied by then.
    interrupt(cluster, &url, dir.path());
    let count = |table: &str| cluster.sql("moving", &format!("SELECT count(*) FROM {table}"));
    assert_eq!((count("uploads"), count("parts")), ("2".into(), "0".into()));
    let mut with_database = serve(dir.path());
    with_database.env("HAVERSACK_DATABASE_URL", &url);
    let early = run(&mut with_database);
    assert!(!early.status.success());
    assert!(early.stderr.contains("it contains records (haversack.db)"), "{}", early.stderr);

    let moved = run(&mut migrate(&url, dir.path()));
    assert!(moved.status.success(), "{}", moved.stderr);
    for line in ["uploads: 2 rows", "parts: 1 row", "all records were copied and verified"] {
        assert!(moved.stdout.contains(line), "{line}: {}", moved.stdout);
    }
    assert!(dir.path().join("migrated-haversack.db").exists());
    let again = run(&mut migrate(&url, dir.path()));
    assert!(again.stderr.contains("it contains no records"), "{}", again.stderr);

    let server = Server::start(&mut with_database);
    let served = download(&server.host, file["url"].as_str().expect("a link")).expect("a reply");
    assert_eq!((served.status, served.body), (200, b"some bytes".to_vec()), "old links work");
    chunk(&server, Some(uuid), 1);
    let done = Request::done(&json!({ "uuid": uuid })).token(&token(1));
    let whole = done.send(&server.host).expect("a reply").ok();
    let served = download(&server.host, whole["url"].as_str().expect("a link")).expect("a reply");
    assert_eq!(served.body, b"0123456789");
    server.stop();

    let other = tempfile::tempdir().expect("a folder");
    Server::start(&mut serve(other.path())).stop();
    let refused = run(&mut migrate(&url, other.path()));
    assert!(refused.stderr.contains("the records of another data directory"), "{}", refused.stderr);
    assert!(other.path().join("haversack.db").exists());
}

/// Begins to move records, and kills it once it waits for the table of parts.
fn interrupt(cluster: &Cluster, url: &str, dir: &Path) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let tables = PostgresStore::open(options(url), Durability::default()).await;
        drop(tables.expect("made"));
        let (client, connection) =
            tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("connected");
        let driving = tokio::spawn(connection);
        client.batch_execute("BEGIN; LOCK TABLE parts").await.expect("held");
        let mut moving = migrate(url, dir).spawn().expect("it starts");
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'moving' AND wait_event_type = 'Lock'";
        cluster.wait_until("it waits", || cluster.sql("postgres", waits) == "1");
        moving.kill().expect("killed");
        moving.wait().expect("ended");
        client.batch_execute("COMMIT").await.expect("let go");
        driving.abort();
    });
}
