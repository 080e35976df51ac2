//! Section 8: who may call.

use haversack::auth::{Caller, sign};
use haversack::ids::UserId;
use http::Method;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::harness::{Client, Form, SECRET, Server, new_uuid};

/// Claims of user 1 that are valid in every respect.
fn claims(server: &Server) -> Value {
    let now = server.clock.unix_secs();
    json!({
        "user_id": 1,
        "token_type": "access",
        "iat": now,
        "exp": now + 3600,
        "jti": "an id",
    })
}

/// The same with one claim changed or removed.
fn changed(server: &Server, claim: &str, value: Option<Value>) -> Value {
    let mut claims = claims(server);
    match value {
        Some(value) => claims[claim] = value,
        None => drop(claims.as_object_mut().unwrap().remove(claim)),
    }
    claims
}

fn signed(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    encode(&Header::new(algorithm), claims, &key).unwrap()
}

fn token(claims: &Value) -> String {
    signed(Algorithm::HS256, SECRET, claims)
}

fn bearing(server: &Server, token: &str) -> Client {
    let header = format!("Bearer {token}");
    server.anonymous().with("authorization", &header)
}

/// Asserts that this token allows nothing, and that the reply does not repeat it.
async fn refused(server: &Server, token: &str) {
    let client = bearing(server, token);
    for reply in [client.list("").await, client.upload(Form::chunk(0, 1, "abc")).await] {
        let refused = reply.refused(401, "not_authenticated");
        assert!(refused.header("www-authenticate").starts_with("Bearer"));
        assert!(token.len() < 8 || !refused.message.contains(token));
    }
}

#[tokio::test]
async fn a_token_with_all_claims_is_good() {
    let server = Server::start().await;
    bearing(&server, &token(&claims(&server))).list("").await.ok();
}

#[tokio::test]
async fn no_token_is_401_on_every_endpoint_that_needs_one() {
    let server = Server::start().await;
    let (nobody, uuid) = (server.anonymous(), new_uuid());
    for reply in [
        nobody.upload(Form::chunk(0, 1, "abc")).await,
        nobody.done(&uuid).await,
        nobody.status(&uuid).await,
        nobody.list("").await,
        nobody.file(&uuid).await,
        nobody.files(&json!({"uuids": []})).await,
        nobody.delete(&uuid).await,
        nobody.post_delete(&uuid).await,
    ] {
        let refused = reply.refused(401, "not_authenticated");
        assert!(refused.header("www-authenticate").starts_with("Bearer"));
        refused.saying(&["Authorization: Bearer"]);
    }
}

#[tokio::test]
async fn a_header_of_another_scheme_is_no_token() {
    let server = Server::start().await;
    let token = token(&claims(&server));
    for header in [
        format!("Basic {token}"),
        token.clone(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        String::new(),
    ] {
        let client = server.anonymous().with("authorization", &header);
        let reply = client.list("").await;
        reply.refused(401, "not_authenticated");
    }
}

#[tokio::test]
async fn the_scheme_token_is_accepted_and_case_does_not_matter() {
    let server = Server::start().await;
    let token = token(&claims(&server));
    for scheme in ["Token", "token", "Bearer", "bearer", "BEARER"] {
        let header = format!("{scheme} {token}");
        let client = server.anonymous().with("authorization", &header);
        client.list("").await.ok();
    }
}

#[tokio::test]
async fn a_token_without_signature_is_refused() {
    let server = Server::start().await;
    let good = token(&claims(&server));
    let payload = good.split('.').nth(1).unwrap();
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"; // {"alg":"none","typ":"JWT"}
    refused(&server, &format!("{none}.{payload}.")).await;
    refused(&server, &format!("{none}.{payload}")).await;
    let head = good.split('.').next().unwrap();
    refused(&server, &format!("{head}.{payload}.")).await;
}

#[tokio::test]
async fn a_token_of_another_algorithm_is_refused_even_under_our_secret() {
    let server = Server::start().await;
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        refused(&server, &signed(algorithm, SECRET, &claims(&server))).await;
    }
}

#[tokio::test]
async fn a_token_that_calls_its_hmac_rs256_is_refused() {
    let server = Server::start().await;
    let good = token(&claims(&server));
    let (_, rest) = good.split_once('.').unwrap();
    let rs256 = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9"; // {"alg":"RS256","typ":"JWT"}
    refused(&server, &format!("{rs256}.{rest}")).await;
}

#[tokio::test]
async fn a_token_of_another_secret_is_refused() {
    let server = Server::start().await;
    let other = "another secret that is longer than 32 bytes";
    refused(&server, &signed(Algorithm::HS256, other, &claims(&server))).await;
}

#[tokio::test]
async fn an_altered_token_is_refused() {
    let server = Server::start().await;
    let good = token(&claims(&server));
    let other = token(&changed(&server, "user_id", Some(json!(2))));
    let (head, signature) = (good.split('.').next().unwrap(), good.rsplit('.').next());
    let payload = other.split('.').nth(1).unwrap();
    let mixed = format!("{head}.{payload}.{}", signature.unwrap());
    refused(&server, &mixed).await;
}

#[tokio::test]
async fn what_is_no_token_at_all_is_refused() {
    let server = Server::start().await;
    for garbage in ["x", "a.b.c", "...", &"a".repeat(10_000)] {
        refused(&server, garbage).await;
    }
}

#[tokio::test]
async fn every_claim_is_required() {
    let server = Server::start().await;
    for claim in ["user_id", "token_type", "exp", "iat", "jti"] {
        refused(&server, &token(&changed(&server, claim, None))).await;
        let null = changed(&server, claim, Some(Value::Null));
        refused(&server, &token(&null)).await;
    }
}

#[tokio::test]
async fn a_missing_claim_is_named() {
    let server = Server::start().await;
    for claim in ["user_id", "token_type", "exp", "iat", "jti"] {
        let token = token(&changed(&server, claim, None));
        let reply = bearing(&server, &token).list("").await;
        reply.refused(401, "not_authenticated").saying(&[claim]);
    }
}

#[tokio::test]
async fn a_user_id_in_digits_is_the_same_user() {
    let server = Server::start().await;
    let uuid = server.user(1).begin(2, "abc").await;
    let token = token(&changed(&server, "user_id", Some(json!("1"))));
    let client = server.anonymous().with("authorization", &format!("Bearer {token}"));
    assert_eq!(client.status(&uuid).await.ok()["received"], 3);
}

#[tokio::test]
async fn a_user_id_is_an_integer() {
    let server = Server::start().await;
    let texts = ["", "anna", "01", "+1", "-0", " 1", "1.0", "9223372036854775808"].map(Value::from);
    let others = [json!(1.5), json!(true), json!([1]), json!({})];
    for wrong in texts.into_iter().chain(others) {
        let claims = changed(&server, "user_id", Some(wrong));
        refused(&server, &token(&claims)).await;
    }
}

#[tokio::test]
async fn a_token_type_is_access() {
    let server = Server::start().await;
    for wrong in [json!("refresh"), json!("Access"), json!(""), json!(1)] {
        let claims = changed(&server, "token_type", Some(wrong));
        refused(&server, &token(&claims)).await;
    }
}

#[tokio::test]
async fn an_id_is_a_number_or_a_text_that_is_not_empty() {
    let server = Server::start().await;
    for right in [json!("x"), json!(7), json!(0)] {
        let claims = changed(&server, "jti", Some(right));
        bearing(&server, &token(&claims)).list("").await.ok();
    }
    for wrong in [json!(""), json!(true), json!([]), json!({"a": 1})] {
        let claims = changed(&server, "jti", Some(wrong));
        refused(&server, &token(&claims)).await;
    }
}

#[tokio::test]
async fn a_token_is_valid_to_the_second_of_its_expiry_and_no_longer() {
    let server = Server::start().await;
    let now = server.clock.unix_secs();
    for (expires, good) in [(now + 60, true), (now, false), (now - 1, false)] {
        let claims = changed(&server, "exp", Some(json!(expires)));
        let token = token(&claims);
        if good {
            bearing(&server, &token).list("").await.ok();
        } else {
            refused(&server, &token).await;
        }
    }
}

#[tokio::test]
async fn a_token_expires_while_it_is_in_use() {
    let server = Server::start().await;
    let token = token(&claims(&server));
    bearing(&server, &token).list("").await.ok();
    server.skip(3600);
    refused(&server, &token).await;
}

#[tokio::test]
async fn a_token_may_be_issued_a_minute_ahead_and_no_more() {
    let server = Server::start().await;
    let now = server.clock.unix_secs();
    let ahead = changed(&server, "iat", Some(json!(now + 60)));
    bearing(&server, &token(&ahead)).list("").await.ok();
    let too_far = changed(&server, "iat", Some(json!(now + 120)));
    refused(&server, &token(&too_far)).await;
}

#[tokio::test]
async fn other_claims_are_ignored() {
    let server = Server::start().await;
    let mut claims = claims(&server);
    for (claim, value) in [("ext_id", json!([])), ("aud", json!("x")), ("iss", json!("y"))] {
        claims[claim] = value;
    }
    bearing(&server, &token(&claims)).list("").await.ok();
}

#[tokio::test]
async fn a_service_token_is_not_a_users() {
    let server = Server::start().await;
    let (service, uuid) = (server.service(), new_uuid());
    for reply in [
        service.upload(Form::chunk(0, 1, "abc")).await,
        service.done(&uuid).await,
        service.status(&uuid).await,
        service.list("").await,
        service.file(&uuid).await,
        service.post_delete(&uuid).await,
    ] {
        reply.refused(403, "forbidden").saying(&["user token"]);
    }
}

#[tokio::test]
async fn a_service_token_names_no_user() {
    let server = Server::start().await;
    let claims = changed(&server, "token_type", Some(json!("service")));
    refused(&server, &token(&claims)).await;
}

#[tokio::test]
async fn a_service_token_needs_the_other_claims() {
    let server = Server::start().await;
    for claim in ["exp", "iat", "jti"] {
        let mut claims = changed(&server, claim, None);
        claims["token_type"] = json!("service");
        claims.as_object_mut().unwrap().remove("user_id");
        let client = bearing(&server, &token(&claims));
        let reply = client.files(&json!({"uuids": []})).await;
        reply.refused(401, "not_authenticated");
    }
}

#[tokio::test]
async fn verify_token_says_whether_a_token_is_good() {
    let server = Server::start().await;
    let nobody = server.anonymous();
    let now = server.clock.unix_secs();
    let user = Caller::User(UserId::from(1));
    let good = sign(SECRET.as_bytes(), user.clone(), now, 60);
    let service = sign(SECRET.as_bytes(), Caller::Service, now, 60);
    for token in [&good, &service] {
        nobody.verify_token(token).await.ok();
    }
    let other = sign(b"another secret", user.clone(), now, 60);
    let expired = sign(SECRET.as_bytes(), user, now, 0);
    for token in [&other, &expired, "x", ""] {
        let reply = nobody.verify_token(token).await;
        reply.refused(401, "not_authenticated");
    }
}

#[tokio::test]
async fn verify_token_looks_at_signature_and_expiry_only() {
    let server = Server::start().await;
    let nobody = server.anonymous();
    for claim in ["user_id", "token_type", "iat", "jti"] {
        let token = token(&changed(&server, claim, None));
        nobody.verify_token(&token).await.ok();
    }
    let eternal = token(&changed(&server, "exp", None));
    let reply = nobody.verify_token(&eternal).await;
    reply.refused(401, "not_authenticated");
}

#[tokio::test]
async fn verify_token_is_told_how_to_ask() {
    let server = Server::start().await;
    let nobody = server.anonymous();
    for malformed in ["", "{", "{}", r#"{"token": 1}"#, r#"{"token": ["secret-looking"]}"#] {
        let request = nobody.request(Method::POST, "/api/v2/jwt/verify_token/");
        let request = request.header("content-type", "application/json");
        let reply = nobody.send(request.body(malformed)).await;
        let refused = reply.refused(400, "required").of_field("token");
        assert!(!refused.message.contains("secret-looking"));
    }
}
