//! Who calls: tokens of the application (protocol, section 8). Tokens are secrets and appear in no
//! message, log or `Debug` here.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde_json::{Map, Value, json};

use crate::clock::Clock;
use crate::ids::UserId;

/// No sensible token is longer; longer ones are not even decoded.
const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// How far ahead of ours the clock that issued a token may be.
const MAX_AHEAD_SECS: f64 = 60.0;

/// Whom a valid token names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A user of the application.
    User(UserId),
    /// The application's backend.
    Service,
}

/// Why a request is not authenticated. The messages are for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // each message says it
pub enum AuthError {
    #[error("send an access token: Authorization: Bearer <token>")]
    Missing,
    #[error("the access token is not a JSON web token signed with HS256 and this server's secret")]
    Invalid,
    #[error("the access token has expired")]
    Expired,
    #[error("the access token was issued in the future: are the clocks in step?")]
    NotYet,
    #[error("the access token lacks the claim {0}, or it has the wrong type")]
    Claim(&'static str),
}

/// Checks tokens against the shared secret.
pub struct Auth {
    key: DecodingKey,
    clock: Clock,
}

impl Auth {
    /// Tokens signed with `secret` count.
    pub fn new(secret: &[u8], clock: Clock) -> Self {
        Self { key: DecodingKey::from_secret(secret), clock }
    }

    /// Whom the value of an `Authorization` header names.
    pub fn authenticate(&self, header: Option<&str>) -> Result<Caller, AuthError> {
        let (scheme, token) =
            header.ok_or(AuthError::Missing)?.split_once(' ').ok_or(AuthError::Missing)?;
        // `Token` is what the vendor's client sends from its constructor.
        if !["Bearer", "Token"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return Err(AuthError::Missing);
        }
        let claims = self.claims(token.trim())?;
        let issued = claims.get("iat").and_then(Value::as_f64).ok_or(AuthError::Claim("iat"))?;
        if issued > self.now() + MAX_AHEAD_SECS {
            return Err(AuthError::NotYet);
        }
        match claims.get("jti") {
            Some(Value::Number(_)) => {}
            Some(Value::String(id)) if !id.is_empty() => {}
            _ => return Err(AuthError::Claim("jti")),
        }
        let user = claims.get("user_id");
        match claims.get("token_type").and_then(Value::as_str) {
            Some("access") => {
                let id = user.and_then(Value::as_i64).ok_or(AuthError::Claim("user_id"))?;
                Ok(Caller::User(UserId(id)))
            }
            Some("service") if user.is_none() => Ok(Caller::Service),
            Some("service") => Err(AuthError::Claim("user_id")),
            _ => Err(AuthError::Claim("token_type")),
        }
    }

    /// Whether the signature holds and the token has not expired; what the protocol's verify asks.
    pub fn verify(&self, token: &str) -> Result<(), AuthError> {
        self.claims(token).map(drop)
    }

    fn claims(&self, token: &str) -> Result<Map<String, Value>, AuthError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(AuthError::Invalid);
        }
        // Times are checked below, against our own clock and without leeway.
        let mut only_signature = Validation::new(Algorithm::HS256);
        only_signature.required_spec_claims.clear();
        only_signature.validate_exp = false;
        only_signature.validate_aud = false;
        let claims = decode::<Map<String, Value>>(token, &self.key, &only_signature)
            .map_err(|_| AuthError::Invalid)?
            .claims;
        let expires = claims.get("exp").and_then(Value::as_f64).ok_or(AuthError::Claim("exp"))?;
        if self.now() >= expires {
            return Err(AuthError::Expired);
        }
        Ok(claims)
    }

    #[allow(clippy::cast_precision_loss)] // exact for the next 285 million years
    fn now(&self) -> f64 {
        self.clock.unix_secs() as f64
    }
}

/// A token for `caller` that is valid from `now` (unix seconds) on for `ttl_secs`.
pub fn sign(secret: &[u8], caller: Caller, now: u64, ttl_secs: u64) -> String {
    let id = uuid::Uuid::new_v4().to_string();
    let mut claims = json!({"iat": now, "exp": now.saturating_add(ttl_secs), "jti": id});
    match caller {
        Caller::User(user) => {
            claims["token_type"] = json!("access");
            claims["user_id"] = json!(user.0);
        }
        Caller::Service => claims["token_type"] = json!("service"),
    }
    encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(secret))
        .unwrap_or_default() // plain JSON under HMAC: nothing in it can fail
}
