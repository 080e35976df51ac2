//! `Upload-Concat`: whether an upload is a piece to be joined, or is joined from pieces.

use http::HeaderMap;

use super::error::TusError;
use super::headers::one;
use super::names::UPLOAD_CONCAT;
use crate::ids::UploadId;

const NAME: &str = "Upload-Concat";

/// Maximum number of uploads that can be joined. For each of them, a file is open while the bytes are read.
const MAX_PARTIALS: usize = 100;

/// What an upload is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Concat {
    /// It is a file of its own.
    #[default]
    Whole,
    /// It is a piece to be joined.
    Partial,
    /// It is joined from these pieces, in this order.
    Final(Vec<UploadId>),
}

impl Concat {
    /// Parses the header.
    pub fn parse(headers: &HeaderMap) -> Result<Self, TusError> {
        match one(headers, &UPLOAD_CONCAT, NAME)? {
            None => Ok(Self::Whole),
            Some("partial") => Ok(Self::Partial),
            Some(text) => Self::parse_final(text),
        }
    }

    fn parse_final(text: &str) -> Result<Self, TusError> {
        let wrong = || {
            TusError::malformed(
                NAME,
                "partial, or final; followed by the addresses of partial uploads",
            )
        };
        let list = text.strip_prefix("final;").ok_or_else(wrong)?;
        let addresses = list.split_ascii_whitespace();
        let partials: Option<Vec<UploadId>> = addresses.map(upload_in).collect();
        let partials = partials.filter(|partials| !partials.is_empty()).ok_or_else(wrong)?;
        if partials.len() > MAX_PARTIALS {
            let message = format!("names more than {MAX_PARTIALS} uploads");
            return Err(TusError::header(NAME, "too_many", message));
        }
        Ok(Self::Final(partials))
    }
}

/// Extracts the upload's uuid from an address, absolute or not.
fn upload_in(address: &str) -> Option<UploadId> {
    let (folder, uuid) = address.trim_end_matches('/').rsplit_once('/')?;
    folder.ends_with("/api/v2/tus").then(|| UploadId::parse(uuid))?
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "0c2a6e4e-7a0b-4b5e-8f0a-6d2b8c9d0e1f";
    const B: &str = "1c2a6e4e-7a0b-4b5e-8f0a-6d2b8c9d0e1f";

    fn parse(text: &str) -> Option<Concat> {
        let mut headers = HeaderMap::new();
        headers.insert(UPLOAD_CONCAT, text.parse().unwrap());
        Concat::parse(&headers).ok()
    }

    #[test]
    fn addresses_may_be_absolute_or_not() {
        let both = Concat::Final(vec![UploadId::parse(A).unwrap(), UploadId::parse(B).unwrap()]);
        for text in [
            format!("final;https://media.example.org/api/v2/tus/{A} /api/v2/tus/{B}"),
            format!("final; http://a/below/api/v2/tus/{A}/  /api/v2/tus/{B}"),
        ] {
            assert_eq!(parse(&text).as_ref(), Some(&both), "{text}");
        }
        assert_eq!(parse("partial"), Some(Concat::Partial));
        assert_eq!(Concat::parse(&HeaderMap::new()).ok(), Some(Concat::Whole));
    }

    #[test]
    fn a_header_without_valid_uploads_is_refused() {
        let elsewhere = format!("final;/files/{A}");
        let bare = format!("final;{A}");
        for wrong in
            ["", "whole", "final", "final;", "final; ", "final;/api/v2/tus/x", &elsewhere, &bare]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
