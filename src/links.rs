//! Signed links: a `file_url` that needs no header and expires by itself.
//!
//! A signature covers one file, one variant and one expiry. Keys are random, live in the database and have
//! nothing to do with the tokens' secret. Signatures are secrets: they appear in no log.

use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::Clock;
use crate::ids::UploadId;
use crate::metadata::LinkKey;

const DAY_SECS: u64 = 24 * 3600;

/// Which bytes of a file a link shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// The file itself.
    File,
    /// A picture that stands for it.
    Thumbnail,
}

impl Variant {
    /// As links spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Thumbnail => "thumbnail",
        }
    }

    /// Reads what links spell.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::File, Self::Thumbnail].into_iter().find(|variant| variant.as_str() == text)
    }
}

/// Why a link shows nothing. The messages are for whoever opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Not made by this server, or altered since.
    #[error("this link was not made by this server, or it was altered: ask for a new one")]
    Invalid,
    /// Too old.
    #[error("this link has expired: ask for a new one")]
    Expired,
}

/// The query of a link. Not `Debug`: it holds a signature.
#[derive(Clone, serde::Deserialize)]
pub struct LinkQuery {
    /// Unix seconds from which on it shows nothing.
    pub expires: u64,
    /// The key that signed it.
    pub key: u64,
    /// The signature.
    pub signature: String,
}

/// Makes and checks links.
pub struct Links {
    keys: Vec<(u64, hmac::Key)>,
    clock: Clock,
}

impl Links {
    /// The newest of `keys` (the first) signs; links of all of them are accepted.
    pub fn new(keys: &[LinkKey], clock: Clock) -> Self {
        let keys = keys
            .iter()
            .map(|key| (key.id, hmac::Key::new(hmac::HMAC_SHA256, &key.secret)))
            .collect();
        Self { keys, clock }
    }

    /// Path and query of a link that lives 24 to 48 hours. It stays the same until midnight (UTC), so that
    /// caches keep what they have.
    pub fn path(&self, id: UploadId, variant: Variant) -> String {
        let expires = (self.clock.unix_secs() / DAY_SECS + 2) * DAY_SECS;
        let (key_id, key) = &self.keys[0];
        let tag = hmac::sign(key, &message(id, variant, expires));
        let signature = URL_SAFE_NO_PAD.encode(tag);
        let variant = variant.as_str();
        format!("/media/{id}/{variant}?expires={expires}&key={key_id}&signature={signature}")
    }

    /// Whether a link of this server's asks for this variant of this file, and still may.
    pub fn check(
        &self,
        id: UploadId,
        variant: Variant,
        query: &LinkQuery,
    ) -> Result<(), LinkError> {
        let (_, key) =
            self.keys.iter().find(|(key_id, _)| *key_id == query.key).ok_or(LinkError::Invalid)?;
        let tag = URL_SAFE_NO_PAD.decode(&query.signature).map_err(|_| LinkError::Invalid)?;
        // Compares in constant time.
        hmac::verify(key, &message(id, variant, query.expires), &tag)
            .map_err(|_| LinkError::Invalid)?;
        if self.clock.unix_secs() >= query.expires {
            return Err(LinkError::Expired);
        }
        Ok(())
    }
}

fn message(id: UploadId, variant: Variant, expires: u64) -> Vec<u8> {
    format!("haversack link 1\n{id}\n{}\n{expires}", variant.as_str()).into_bytes()
}

/// 32 random bytes from the system's generator.
pub fn random_secret() -> [u8; 32] {
    let mut secret = [0; 32];
    // The generator of aws-lc fails only when the operating system has no randomness at all.
    rand::fill(&mut secret).expect("the operating system gives random bytes");
    secret
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn links(clock: &Clock) -> Links {
        Links::new(&[LinkKey { id: 3, secret: [7; 32] }], clock.clone())
    }

    fn query(path: &str) -> LinkQuery {
        let value = |name: &str| {
            let (_, query) = path.split_once('?').unwrap();
            let pair = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
            pair.unwrap().to_owned()
        };
        LinkQuery {
            expires: value("expires").parse().unwrap(),
            key: value("key").parse().unwrap(),
            signature: value("signature"),
        }
    }

    #[test]
    fn a_link_lives_for_24_to_48_hours_and_is_the_same_all_day() {
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
    fn a_link_shows_nothing_but_what_it_was_signed_for() {
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
        let cut = LinkQuery { signature: good.signature[..10].to_owned(), ..good };
        assert_eq!(links.check(id, Variant::File, &cut), invalid);
    }
}
