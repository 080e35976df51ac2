//! Settings that would have made a server that nobody can use, or anybody.

use haversack::config::{Source, Span};

/// The error for a configuration file with this text.
fn refused(text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("haversack.toml");
    std::fs::write(&path, text).unwrap();
    Source::of_file(&path).load().expect_err(text).to_string()
}

#[test]
fn an_empty_secret_in_the_file_is_refused() {
    let message = refused("log = \"info\"\njwt_secret = \"\"\n");
    assert!(message.contains("the secret is empty"), "{message}");
    assert!(message.contains("line 2"), "{message}");
}

#[test]
fn times_beyond_a_hundred_years_are_refused() {
    for text in ["36501d", "876001h", "4000000000", "18446744073709551615", "213503982334601d"] {
        assert!(text.parse::<Span>().is_err(), "{text}");
        let message = refused(&format!("upload_ttl = \"{text}\"\n"));
        assert!(message.contains("line 1"), "{message}");
    }
    for number in [4_000_000_000_i64, i64::MAX] {
        let message = refused(&format!("body_timeout = {number}\n"));
        assert!(message.contains("line 1"), "{message}");
    }
    "36500d".parse::<Span>().expect("a hundred years");
}

#[test]
fn a_server_without_connections_is_refused() {
    let message = refused("max_connections = 0\n");
    assert!(message.contains("max_connections") && message.contains("at least 1"), "{message}");
}
