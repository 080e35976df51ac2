//! Signed links: a `file_url` works without an `Authorization` header until it expires.
//!
//! A signature covers one file, one variant and one expiry. The keys are random and stored in the database. They have
//! nothing to do with the secret for tokens. Signatures are secrets and never logged.

use std::sync::{PoisonError, RwLock};

use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::Clock;
use crate::ids::UploadId;
use crate::metadata::LinkKey;

const DAY_SECS: u64 = 24 * 3600;

/// What a link points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// The file itself.
    File,
    /// Its thumbnail.
    Thumbnail,
}

impl Variant {
    /// Returns its name in links.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Thumbnail => "thumbnail",
        }
    }

    /// Parses its name in links.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::File, Self::Thumbnail].into_iter().find(|variant| variant.as_str() == text)
    }
}

/// Why a link doesn't work. The messages are for the person who opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// This server didn't create the link, or the link was changed.
    #[error("this link is not valid: it was changed, or another server made it; ask for a new one")]
    Invalid,
    /// The link has expired.
    #[error("this link has expired: ask for a new one")]
    Expired,
}

/// The query of a link. Not `Debug`, because it contains a signature.
#[derive(Clone)]
pub struct LinkQuery {
    /// Expiry (unix seconds).
    pub expires: u64,
    /// The id of the key that signed the link.
    pub key: u64,
    /// The signature.
    pub signature: String,
    /// Whether `download` was added, so that browsers save the file instead of showing it.
    pub download: bool,
}

impl LinkQuery {
    /// Parses a query written by [`Links::path`]. It must be spelled in exactly the same way, except that `&download`
    /// may follow, with or without a value.
    pub fn parse(query: &str) -> Option<Self> {
        let (signed, after_download) = match query.split_once("&download") {
            Some((signed, rest)) => (signed, Some(rest)),
            None => (query, None),
        };
        if after_download.is_some_and(|rest| !(rest.is_empty() || is_value(rest))) {
            return None;
        }
        let (expires, rest) = signed.strip_prefix("expires=")?.split_once("&key=")?;
        let (key, signature) = rest.split_once("&signature=")?;
        let (expires, key) = (expires.parse().ok()?, key.parse().ok()?);
        (signed == format_query(expires, key, signature)).then(|| Self {
            expires,
            key,
            signature: signature.to_owned(),
            download: after_download.is_some(),
        })
    }
}

/// Whether this is `=` and a value, without another parameter after it.
fn is_value(rest: &str) -> bool {
    rest.starts_with('=') && !rest.contains('&')
}

/// Formats a link's query. Every link has exactly one spelling.
fn format_query(expires: u64, key: u64, signature: &str) -> String {
    format!("expires={expires}&key={key}&signature={signature}")
}

/// Creates and checks links.
pub struct Links {
    keys: RwLock<Vec<Key>>,
    clock: Clock,
}

struct Key {
    id: u64,
    hmac: hmac::Key,
    accepted_until: Option<u64>,
}

impl From<&LinkKey> for Key {
    fn from(key: &LinkKey) -> Self {
        let hmac = hmac::Key::new(hmac::HMAC_SHA256, &key.secret);
        Self { id: key.id, hmac, accepted_until: key.accepted_until }
    }
}

impl Links {
    /// Signs with the first of `keys`, which is the newest one. Links signed with any of the keys are accepted, until
    /// that key's `accepted_until`.
    pub fn new(keys: &[LinkKey], clock: Clock) -> Self {
        Self { keys: RwLock::new(keys.iter().map(Key::from).collect()), clock }
    }

    /// Replaces the keys after a rotation.
    pub fn set_keys(&self, keys: &[LinkKey]) {
        let keys = keys.iter().map(Key::from).collect();
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    /// Returns the path and query of a link that is valid for 24 to 48 hours. The link stays the same until midnight
    /// UTC, so that caches can reuse what they have stored.
    pub fn path(&self, id: UploadId, variant: Variant) -> String {
        let expires = (self.clock.unix_secs() / DAY_SECS + 2) * DAY_SECS;
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let Key { id: key_id, hmac, .. } = &keys[0];
        let tag = hmac::sign(hmac, &message(id, variant, expires));
        let signature = URL_SAFE_NO_PAD.encode(tag);
        format!("/media/{id}/{}?{}", variant.as_str(), format_query(expires, *key_id, &signature))
    }

    /// Checks that this server signed a link to this variant of this file, and that it hasn't expired.
    pub fn check(
        &self,
        id: UploadId,
        variant: Variant,
        query: &LinkQuery,
    ) -> Result<(), LinkError> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let key = keys.iter().find(|key| key.id == query.key).ok_or(LinkError::Invalid)?;
        let tag = URL_SAFE_NO_PAD.decode(&query.signature).map_err(|_| LinkError::Invalid)?;
        // The comparison takes constant time.
        hmac::verify(&key.hmac, &message(id, variant, query.expires), &tag)
            .map_err(|_| LinkError::Invalid)?;
        let expires = key.accepted_until.map_or(query.expires, |until| until.min(query.expires));
        if self.clock.unix_secs() >= expires {
            return Err(LinkError::Expired);
        }
        Ok(())
    }
}

fn message(id: UploadId, variant: Variant, expires: u64) -> Vec<u8> {
    format!("haversack link 1\n{id}\n{}\n{expires}", variant.as_str()).into_bytes()
}

/// Returns 32 bytes from the system's random number generator.
pub fn random_secret() -> [u8; 32] {
    let mut secret = [0; 32];
    // The generator of AWS-LC fails only if the operating system has no source of randomness.
    rand::fill(&mut secret).expect("the operating system has randomness");
    secret
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn links(clock: &Clock) -> Links {
        Links::new(&[key(3, None)], clock.clone())
    }

    fn key(id: u8, accepted_until: Option<u64>) -> LinkKey {
        LinkKey { id: id.into(), secret: [id; 32], accepted_until }
    }

    fn query(path: &str) -> LinkQuery {
        LinkQuery::parse(path.split_once('?').unwrap().1).unwrap()
    }

    #[test]
    fn a_link_is_valid_for_24_to_48_hours_and_stays_the_same_all_day() {
        let clock = Clock::system();
        let links = links(&clock);
        let id = UploadId::random();
        let now = clock.unix_secs();
        clock.skip(Duration::from_secs(DAY_SECS - now % DAY_SECS)); // the next midnight
        let path = links.path(id, Variant::File);
        let query = query(&path);
        assert!(query.expires - clock.unix_secs() > 24 * 3600);
        clock.skip(Duration::from_secs(DAY_SECS - 60));
        assert_eq!(links.path(id, Variant::File), path);
        assert_eq!(links.check(id, Variant::File, &query), Ok(()));
        assert!(query.expires - clock.unix_secs() >= 24 * 3600);
        clock.skip(Duration::from_secs(DAY_SECS + 60));
        assert_eq!(links.check(id, Variant::File, &query), Err(LinkError::Expired));
    }

    #[test]
    fn a_link_opens_only_what_it_was_signed_for() {
        let clock = Clock::system();
        let links = links(&clock);
        let id = UploadId::random();
        let good = query(&links.path(id, Variant::File));
        let invalid = Err(LinkError::Invalid);
        assert_eq!(links.check(UploadId::random(), Variant::File, &good), invalid);
        assert_eq!(links.check(id, Variant::Thumbnail, &good), invalid);
        let later = LinkQuery { expires: good.expires + 1, ..good.clone() };
        assert_eq!(links.check(id, Variant::File, &later), invalid);
        let other_key = LinkQuery { key: 4, ..good.clone() };
        assert_eq!(links.check(id, Variant::File, &other_key), invalid);
        let forged_key = Links::new(&[key(3, None), key(4, None)], clock.clone());
        assert_eq!(
            forged_key.check(id, Variant::File, &LinkQuery { key: 4, ..good.clone() }),
            invalid
        );
        let cut = LinkQuery { signature: good.signature[..10].to_owned(), ..good };
        assert_eq!(links.check(id, Variant::File, &cut), invalid);
    }

    #[test]
    fn links_signed_with_an_old_key_are_accepted_until_its_date() {
        let clock = Clock::system();
        let links = links(&clock);
        let id = UploadId::random();
        let old = query(&links.path(id, Variant::File));
        let until = clock.unix_secs() + 3600;
        links.set_keys(&[key(4, None), key(3, Some(until))]);
        assert_eq!(query(&links.path(id, Variant::File)).key, 4);
        assert_eq!(links.check(id, Variant::File, &old), Ok(()));
        clock.skip(Duration::from_hours(1));
        assert_eq!(links.check(id, Variant::File, &old), Err(LinkError::Expired));
        links.set_keys(&[key(4, None)]);
        assert_eq!(links.check(id, Variant::File, &old), Err(LinkError::Invalid));
    }
}
