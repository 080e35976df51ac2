//! Tokens with false claims about themselves. `protocol::auth` tests the claims in section 8 of the protocol.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::harness::{Client, Raw, SECRET, Server};

/// Claims of user 1 that are valid in every respect.
fn claims(server: &Server) -> Value {
    let now = server.clock.unix_secs();
    json!({"user_id": 1, "token_type": "access", "iat": now, "exp": now + 3600, "jti": "an id"})
}

fn key() -> EncodingKey {
    EncodingKey::from_secret(SECRET.as_bytes())
}

fn bearing(server: &Server, token: &str) -> Client {
    server.anonymous().with("authorization", &format!("Bearer {token}"))
}

/// A token with this header and payload, whatever they are, with a valid signature.
fn signed(head: &str, payload: &str) -> String {
    let message = format!("{}.{}", BASE64.encode(head), BASE64.encode(payload));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key(), Algorithm::HS256);
    format!("{message}.{}", signature.unwrap())
}

async fn refused(server: &Server, token: &str) {
    let reply = bearing(server, token).list("").await;
    let message = reply.refused(401, "not_authenticated").message;
    assert!(token.len() < 8 || !message.contains(token));
    server.anonymous().verify_token(token).await.refused(401, "not_authenticated");
}

#[tokio::test]
async fn every_algorithm_but_hs256_is_refused_under_our_signature() {
    let server = Server::start().await;
    let payload = claims(&server).to_string();
    let right = signed(r#"{"alg":"HS256","typ":"JWT"}"#, &payload);
    bearing(&server, &right).list("").await.ok();
    for algorithm in [
        "none", "None", "NONE", "nOnE", "", "HS384", "HS512", "hs256", "RS256", "RS384", "RS512",
        "PS256", "ES256", "ES384", "EdDSA", "HS256 ", "HS1", "dir",
    ] {
        refused(&server, &signed(&json!({"alg": algorithm}).to_string(), &payload)).await;
    }
    for head in ["{}", "[]", "null", "\"HS256\"", r#"{"alg":null}"#, r#"{"alg":["HS256"]}"#, ""] {
        refused(&server, &signed(head, &payload)).await;
    }
}

/// Keys are neither fetched nor trusted: with our secret such a token is valid, and with another it isn't.
#[tokio::test]
async fn keys_that_a_token_brings_along_are_not_used() {
    let server = Server::start().await;
    let other = EncodingKey::from_secret(b"a secret that only the sender knows, long enough");
    let jwk = Jwk::from_encoding_key(&other, Algorithm::HS256).unwrap();
    let url = format!("http://{}/keys", server.address);
    for with in [
        Header { kid: Some("../../../../dev/null".into()), ..Header::default() },
        Header { kid: Some("' OR 1=1 --".into()), ..Header::default() },
        Header { jku: Some(url.clone()), ..Header::default() },
        Header { x5u: Some(url), ..Header::default() },
        Header { x5c: Some(vec!["MIIB".into()]), ..Header::default() },
        Header { jwk: Some(jwk), ..Header::default() },
    ] {
        let ours = encode(&with, &claims(&server), &key()).unwrap();
        bearing(&server, &ours).list("").await.ok();
        refused(&server, &encode(&with, &claims(&server), &other).unwrap()).await;
    }
    refused(
        &server,
        &encode(&Header::default(), &claims(&server), &EncodingKey::from_secret(b"")).unwrap(),
    )
    .await;
}

/// RFC 7515, section 4.1.11: a token with an extension that must be understood, and isn't, is invalid.
#[tokio::test]
async fn a_token_that_must_be_understood_otherwise_is_refused() {
    let server = Server::start().await;
    let payload = claims(&server).to_string();
    for critical in [
        json!(["exp"]),
        json!(["b64"]),
        json!(["http://example.org/unknown"]),
        json!(["alg"]),
        json!([]),
        json!(null),
        json!("exp"),
        json!(1),
    ] {
        let head = json!({"alg": "HS256", "exp": 1, "crit": critical});
        refused(&server, &signed(&head.to_string(), &payload)).await;
    }
}

#[tokio::test]
async fn claims_that_are_no_sensible_values_are_refused() {
    let server = Server::start().await;
    let now = server.clock.unix_secs();
    let text = claims(&server).to_string();
    let head = r#"{"alg":"HS256"}"#;
    let changed = |from: &str, to: &str| {
        let payload = text.replace(from, to);
        assert_ne!(payload, text);
        signed(head, &payload)
    };
    let exp = format!("\"exp\":{}", now + 3600);
    for wrong in
        ["-1", "0", "1e400", "-1e400", "\"9999999999\"", "null", "true", "[9999999999]", "NaN"]
    {
        refused(&server, &changed(&exp, &format!("\"exp\":{wrong}"))).await;
    }
    let iat = format!("\"iat\":{now}");
    for wrong in ["9999999999", "1e300", "\"1\"", "null", "[]"] {
        let token = changed(&iat, &format!("\"iat\":{wrong}"));
        bearing(&server, &token).list("").await.refused(401, "not_authenticated");
    }
    for wrong in
        ["9223372036854775808", "1e2", "1.0", "-9223372036854775809", "\"1e2\"", "{}", "[1]"]
    {
        let token = changed("\"user_id\":1", &format!("\"user_id\":{wrong}"));
        bearing(&server, &token).list("").await.refused(401, "not_authenticated");
    }
}

#[tokio::test]
async fn payloads_that_are_no_claims_are_refused() {
    let server = Server::start().await;
    let head = r#"{"alg":"HS256"}"#;
    let deep = "[".repeat(2000) + &"]".repeat(2000);
    for payload in ["", "{", "[]", "null", "1", "\"x\"", "\0", "\u{feff}{}", &deep] {
        refused(&server, &signed(head, payload)).await;
    }
}

#[tokio::test]
async fn a_token_that_is_not_spelled_as_one_is_refused() {
    let server = Server::start().await;
    let right = signed(r#"{"alg":"HS256"}"#, &claims(&server).to_string());
    let (message, signature) = right.rsplit_once('.').unwrap();
    for wrong in [
        format!("{right}."),
        format!(".{right}"),
        format!("{right}="),
        format!("{message}..{signature}"),
        format!("{message}.{signature}.{signature}"),
        format!("{message}. {signature}"),
        format!("{message}.{}", &signature[..42]),
        format!("{message}.{}", signature.to_uppercase()),
        format!("{message}.{}", BASE64.encode("x".repeat(32))),
        format!("{right}, {right}"),
        format!("{right},Bearer {right}"),
    ] {
        refused(&server, &wrong).await;
    }
}

#[tokio::test]
async fn a_huge_token_is_refused_even_if_it_is_signed() {
    let server = Server::start().await;
    let mut claims = claims(&server);
    claims["ballast"] = json!("x".repeat(8 << 10));
    let long = encode(&Header::default(), &claims, &key()).unwrap();
    refused(&server, &long).await;
    for length in [100_000, 1 << 20] {
        let head = Raw::head(
            "GET /api/v2/pm/upload/",
            &server.anonymous(),
            &format!("Authorization: Bearer {}\r\nConnection: close\r\n", "a".repeat(length)),
        );
        let mut raw = Raw::connect(&server).await;
        raw.send(head.as_bytes()).await;
        let status = raw.reply().await.status;
        assert!(status == 401 || status == 431, "{length}: {status}");
    }
}

#[tokio::test]
async fn of_two_tokens_neither_counts() {
    let server = Server::start().await;
    let right = format!(
        "Authorization: Bearer {}\r\n",
        signed(r#"{"alg":"HS256"}"#, &claims(&server).to_string())
    );
    let wrong = "Authorization: Bearer x\r\n".to_owned();
    for lines in [[&right, &wrong], [&wrong, &right], [&right, &right]] {
        let head = Raw::head(
            "GET /api/v2/pm/upload/",
            &server.anonymous(),
            &lines.map(String::as_str).concat(),
        );
        let mut raw = Raw::connect(&server).await;
        raw.send(head.as_bytes()).await;
        raw.reply().await.refused(401, "not_authenticated");
    }
}

/// Neither in the query nor in a cookie, where it would be logged or sent automatically.
#[tokio::test]
async fn a_token_elsewhere_than_in_its_header_does_not_count() {
    let server = Server::start().await;
    let right = signed(r#"{"alg":"HS256"}"#, &claims(&server).to_string());
    for name in ["access_token", "token", "jwt", "authorization"] {
        let nobody = server.anonymous();
        let reply = nobody.get(&format!("/api/v2/pm/upload/?{name}={right}")).await;
        reply.refused(401, "not_authenticated");
        let reply = nobody.with("cookie", &format!("{name}={right}")).list("").await;
        reply.refused(401, "not_authenticated");
    }
}
