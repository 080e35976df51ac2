//! Authentication with tokens signed by the application (protocol, section 8). Tokens are secrets: they appear in no
//! message, log or `Debug` output here.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde_json::{Map, Value, json};

use crate::clock::Clock;
use crate::ids::UserId;

/// Maximum length of a token. Longer ones are refused without being decoded.
const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// Maximum number of cached tokens.
const MAX_CACHED: usize = 4096;
/// Maximum length of a cached token.
const MAX_CACHED_BYTES: usize = 1024;
/// How far the clock of the issuer of a token may be ahead of ours.
const MAX_AHEAD_SECS: f64 = 60.0;

/// The sender of a request, as a valid token identifies it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A user of the application.
    User(UserId),
    /// The application's backend.
    Service,
}

/// Why authentication failed. The messages are for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the messages say it
pub enum AuthError {
    #[error("send an access token: Authorization: Bearer <token>")]
    Missing,
    #[error("the access token is not a JSON web token signed with HS256 and this server's secret")]
    Invalid,
    #[error("the access token's header requires extensions (crit), and this server supports none")]
    Extension,
    #[error("the access token has expired")]
    Expired,
    #[error("the access token was issued in the future: check the clocks of both servers")]
    NotYet,
    #[error("the access token's claim {0} is missing or has the wrong type")]
    Claim(&'static str),
}

/// Checks tokens against the shared secret.
pub struct Auth {
    key: DecodingKey,
    signature_only: Validation,
    clock: Clock,
    /// The caller and expiry (unix seconds) of valid tokens, because a client sends its token with every chunk.
    cache: Mutex<HashMap<Box<str>, (Caller, f64)>>,
}

impl Auth {
    /// Accepts tokens signed with `secret`.
    pub fn new(secret: &[u8], clock: Clock) -> Self {
        // We check times ourselves, with our own clock and without leeway.
        let mut signature_only = Validation::new(Algorithm::HS256);
        signature_only.required_spec_claims.clear();
        signature_only.validate_exp = false;
        signature_only.validate_aud = false;
        Self {
            key: DecodingKey::from_secret(secret),
            signature_only,
            clock,
            cache: Mutex::default(),
        }
    }

    /// Returns the caller of the token in an `Authorization` header.
    pub fn authenticate(&self, header: Option<&str>) -> Result<Caller, AuthError> {
        let (scheme, token) =
            header.ok_or(AuthError::Missing)?.split_once(' ').ok_or(AuthError::Missing)?;
        // The original client's first request has the scheme `Token`.
        if !["Bearer", "Token"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return Err(AuthError::Missing);
        }
        let token = token.trim();
        let cached = self.cache().get(token).cloned();
        if let Some((caller, expires)) = cached {
            return if self.now() < expires { Ok(caller) } else { Err(AuthError::Expired) };
        }
        let (claims, expires) = self.claims(token)?;
        let caller = self.caller(&claims)?;
        self.add_to_cache(token, caller.clone(), expires);
        Ok(caller)
    }

    /// Returns the caller that these claims identify.
    fn caller(&self, claims: &Map<String, Value>) -> Result<Caller, AuthError> {
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
                let id = user.and_then(user_id).ok_or(AuthError::Claim("user_id"))?;
                Ok(Caller::User(id))
            }
            Some("service") if user.is_none() => Ok(Caller::Service),
            Some("service") => Err(AuthError::Claim("user_id")),
            _ => Err(AuthError::Claim("token_type")),
        }
    }

    /// Checks only the signature and expiry, as the protocol's `verify_token` does.
    pub fn verify(&self, token: &str) -> Result<(), AuthError> {
        self.claims(token).map(drop)
    }

    fn add_to_cache(&self, token: &str, caller: Caller, expires: f64) {
        if token.len() > MAX_CACHED_BYTES {
            return;
        }
        let mut cache = self.cache();
        if cache.len() >= MAX_CACHED {
            cache.clear(); // tokens still in use are added again
        }
        cache.insert(token.into(), (caller, expires));
    }

    fn cache(&self) -> MutexGuard<'_, HashMap<Box<str>, (Caller, f64)>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks a token's signature and expiry, and returns its claims and expiry.
    fn claims(&self, token: &str) -> Result<(Map<String, Value>, f64), AuthError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(AuthError::Invalid);
        }
        let claims = decode::<Map<String, Value>>(token, &self.key, &self.signature_only)
            .map_err(|_| AuthError::Invalid)?
            .claims;
        if has_critical_extensions(token) {
            return Err(AuthError::Extension);
        }
        let expires = claims.get("exp").and_then(Value::as_f64).ok_or(AuthError::Claim("exp"))?;
        if self.now() >= expires {
            return Err(AuthError::Expired);
        }
        Ok((claims, expires))
    }

    #[allow(clippy::cast_precision_loss)] // exact for the next 285 million years
    fn now(&self) -> f64 {
        self.clock.unix_secs() as f64
    }
}

/// Whether a token's header lists critical extensions. A reader that doesn't support them must refuse the token (RFC
/// 7515, section 4.1.11).
fn has_critical_extensions(token: &str) -> bool {
    let header = token.split('.').next().and_then(|header| URL_SAFE_NO_PAD.decode(header).ok());
    let header = header.and_then(|json| serde_json::from_slice::<Map<String, Value>>(&json).ok());
    header.is_none_or(|header| header.contains_key("crit"))
}

/// Signs a token for `caller` that is valid for `ttl_secs` from `now` (unix seconds).
pub fn sign(secret: &[u8], caller: Caller, now: u64, ttl_secs: u64) -> String {
    let id = uuid::Uuid::new_v4().to_string();
    let mut claims = json!({"iat": now, "exp": now.saturating_add(ttl_secs), "jti": id});
    match caller {
        Caller::User(user) => {
            claims["token_type"] = json!("access");
            claims["user_id"] = user.as_number().map_or_else(|| json!(user.as_str()), Value::from);
        }
        Caller::Service => claims["token_type"] = json!("service"),
    }
    encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(secret))
        .unwrap_or_default() // can't fail: the input is plain JSON, and the algorithm HMAC
}

/// Parses a user id: a number, or its decimal digits as text, as django-rest-framework-simplejwt writes it since
/// version 5.5. Each user has exactly one spelling.
fn user_id(claim: &Value) -> Option<UserId> {
    let text = match claim {
        Value::Number(number) => return number.as_i64().map(UserId::from),
        Value::String(text) => UserId::parse(text)?,
        _ => return None,
    };
    text.as_number().is_some().then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"a secret of the tests that is longer than 32 bytes";

    fn header(user: i64) -> String {
        format!("Bearer {}", sign(SECRET, Caller::User(UserId::from(user)), 1, u64::from(u32::MAX)))
    }

    #[test]
    fn caching_a_token_makes_no_other_token_valid() {
        let auth = Auth::new(SECRET, Clock::system());
        let good = header(7);
        assert_eq!(auth.authenticate(Some(&good)), Ok(Caller::User(UserId::from(7))));
        for at in ["Bearer ".len(), good.len() / 2, good.len() - 2] {
            let mut altered = good.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).unwrap();
            assert_eq!(auth.authenticate(Some(&altered)), Err(AuthError::Invalid));
        }
        assert_eq!(auth.authenticate(Some(&good)), Ok(Caller::User(UserId::from(7))));
    }

    #[test]
    fn the_number_of_cached_tokens_is_limited() {
        let auth = Auth::new(SECRET, Clock::system());
        for user in 0..=i64::try_from(MAX_CACHED).unwrap() {
            assert_eq!(
                auth.authenticate(Some(&header(user))),
                Ok(Caller::User(UserId::from(user)))
            );
        }
        assert_eq!(auth.cache().len(), 1);
    }
}
