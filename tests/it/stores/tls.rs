//! TLS and passwords: whom a server takes for its database, whom a database takes for its server, and what is said of
//! others.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use haversack::metadata::postgres::{Finding, PostgresOptions, PostgresStore, check};
use haversack::storage::Durability;

use super::cluster::Cluster;
use super::postgres::options;
use super::records::{ANNA, finished};
use crate::process::program::{Ended, Server, haversack, run, serve};

/// The name in the database's certificate.
const NAME: &str = "db.example.org";
const PASSWORD: &str = "p@ss:w/rd";

/// Who signs certificates.
struct Authority(tempfile::TempDir);

impl Authority {
    fn new(name: &str) -> Self {
        let own = Self(tempfile::tempdir().expect("a folder"));
        own.make("ca", &["-subj", &format!("/CN={name}")]);
        own
    }

    /// Makes a certificate and its key (openssl-req(1)).
    fn make(&self, name: &str, arguments: &[&str]) {
        let mut openssl = Command::new("openssl");
        openssl.current_dir(self.0.path()).args(["req", "-x509", "-nodes", "-days", "2"]);
        openssl.args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
        openssl.args(["-out", &format!("{name}.pem"), "-keyout", &format!("{name}.key")]);
        let output = openssl.args(arguments).output().expect("openssl is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The certificate of the authority.
    fn certificate(&self) -> PathBuf {
        self.0.path().join("ca.pem")
    }

    /// Signs the certificate of a server of this name; returns certificate and key.
    fn sign(&self, name: &str) -> (Vec<u8>, Vec<u8>) {
        let (subject, names) = (format!("/CN={name}"), format!("subjectAltName=DNS:{name}"));
        let end = "basicConstraints=critical,CA:FALSE";
        let by = ["-CA", "ca.pem", "-CAkey", "ca.key"];
        let about = ["-subj", &subject, "-addext", &names, "-addext", end];
        self.make("server", &[&by[..], &about].concat());
        let read = |file| std::fs::read(self.0.path().join(file)).expect("made");
        (read("server.pem"), read("server.key"))
    }
}

/// A database that takes its user only by TLS and password.
struct Guarded {
    cluster: Cluster,
    authority: Authority,
}

impl Guarded {
    fn start() -> Self {
        let (cluster, authority) = (Cluster::start(), Authority::new("An authority"));
        let (certificate, key) = authority.sign(NAME);
        cluster.set("ssl_cert_file", &text(&cluster.keep("server.pem", &certificate)));
        cluster.set("ssl_key_file", &text(&cluster.keep("server.key", &key)));
        cluster.set("ssl", "on");
        let rules = "hostssl all anna 127.0.0.1/32 scram-sha-256\nhost all anna 127.0.0.1/32 reject\n\
                     host all all 127.0.0.1/32 trust\n";
        cluster.set("hba_file", &text(&cluster.keep("hba.conf", rules.as_bytes())));
        cluster.sql("postgres", &format!("CREATE ROLE anna LOGIN PASSWORD '{PASSWORD}'"));
        cluster.sql("postgres", "CREATE DATABASE anna OWNER anna");
        cluster.stop(); // where rules are is read at the start alone
        cluster.start_again();
        assert_eq!(cluster.sql("postgres", "SHOW ssl"), "on");
        Self { cluster, authority }
    }

    /// Its URL under this name, with what goes between user and host.
    fn url(&self, password: &str, name: &str, mode: &str) -> String {
        let port = self.cluster.port();
        format!("postgres://anna{password}@{name}:{port}/anna?hostaddr=127.0.0.1&sslmode={mode}")
    }

    /// How a server sees it that trusts this authority. What is refused is not tried for minutes.
    fn options(&self, name: &str, authority: &Authority) -> PostgresOptions {
        PostgresOptions {
            password: Some(PASSWORD.into()),
            ca_file: Some(authority.certificate()),
            retry_timeout: Duration::from_mins(5),
            ..options(&self.url("", name, "verify-full"))
        }
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").into()
}

/// Why the store doesn't open.
async fn refused(options: PostgresOptions) -> String {
    let opened = PostgresStore::open(options, Durability::default());
    let opened = tokio::time::timeout(Duration::from_mins(2), opened).await;
    let error = opened.expect("it is refused at once").err().expect("it is refused");
    let error: &dyn std::error::Error = &error;
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

#[track_caller]
fn assert_says(said: &str, words: &[&str]) {
    for words in words {
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_known_by_its_certificate() {
    let guarded = tokio::task::block_in_place(Guarded::start);
    let right = guarded.options(NAME, &guarded.authority);
    let store = PostgresStore::open(right.clone(), Durability::default()).await;
    let store = store.expect("it opens");
    finished(&store, ANNA, 5).await;
    let used = guarded.cluster.sql(
        "postgres",
        "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'anna'",
    );
    assert_eq!(used, "t");
    let found = check(&right).await.expect("it can be looked at");
    let bad = |finding: &&Finding| matches!(finding, Finding::Missing(_));
    assert_eq!(found.iter().find(bad), None, "the owner may create the extension");

    let other = Authority::new("Another authority");
    let said = refused(guarded.options(NAME, &other)).await;
    assert_says(&said, &["certificate", "UnknownIssuer"]);
    let said = refused(guarded.options("other.example.org", &guarded.authority)).await;
    assert_says(&said, &["certificate not valid for name", "other.example.org", NAME]);
    let said = refused(PostgresOptions { ca_file: None, ..right.clone() }).await;
    assert_says(&said, &["requires a file of CA certificates"]);
    let plain = options(&guarded.url("", NAME, "disable"));
    let plain = PostgresOptions { password: Some(PASSWORD.into()), ..plain };
    assert_says(&refused(plain).await, &["no encryption"]);
    let ca_file = Some(guarded.authority.certificate());
    let port = Cluster::shared().port();
    let bare = format!("postgres://haversack@127.0.0.1:{port}/haversack?sslmode=verify-full");
    let bare = PostgresOptions { ca_file, ..options(&bare) };
    assert_says(&refused(bare).await, &["server does not support TLS"]);
}

/// The program with a database of this URL.
fn program(url: &str, dir: &Path, ca_file: &Path) -> Command {
    let mut command = serve(dir);
    command.env("HAVERSACK_DATABASE_URL", url).env("HAVERSACK_DATABASE_CA_FILE", ca_file);
    command
}

#[test]
fn a_server_proves_itself_by_a_password_that_nobody_sees() {
    let guarded = Guarded::start();
    let (dir, ca_file) = (tempfile::tempdir().expect("a folder"), guarded.authority.certificate());
    let in_url = guarded.url(":p%40ss%3Aw%2Frd", NAME, "verify-full");
    let without = guarded.url("", NAME, "verify-full");
    let file = dir.path().join("password");
    std::fs::write(&file, format!("{PASSWORD}\n")).expect("written");

    let server = Server::start(&mut program(&in_url, dir.path(), &ca_file));
    assert!(!server.stop().stderr.contains(PASSWORD));
    let mut by_file = program(&without, dir.path(), &ca_file);
    by_file.env("HAVERSACK_DATABASE_PASSWORD_FILE", &file).env("HAVERSACK_LOG", "trace");
    let said = Server::start(&mut by_file).stop().stderr;
    assert!(!said.contains(PASSWORD));
    let mut check = haversack(&["check"]);
    check.env("HAVERSACK_DATABASE_URL", &in_url).env("HAVERSACK_DATABASE_CA_FILE", &ca_file);
    let checked = run(check.env("HAVERSACK_DATA_DIR", dir.path()));
    assert!(checked.status.success(), "{}{}", checked.stdout, checked.stderr);

    let wrong = guarded.url(":not-the-secret", NAME, "verify-full");
    std::fs::write(&file, "not-the-secret").expect("written");
    let mut wrong_file = program(&without, dir.path(), &ca_file);
    wrong_file.env("HAVERSACK_DATABASE_PASSWORD_FILE", &file);
    for mut command in [program(&wrong, dir.path(), &ca_file), wrong_file] {
        let Ended { status, stderr, .. } = run(command.env("HAVERSACK_LOG", "trace"));
        assert!(!status.success());
        assert_says(&stderr, &["password authentication failed", "anna"]);
        assert!(!stderr.contains("not-the-secret"), "{stderr}");
    }
    let none = run(&mut program(&without, dir.path(), &ca_file));
    assert!(!none.status.success());
    assert_says(&none.stderr, &["password missing"]);
}
