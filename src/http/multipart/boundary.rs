//! The boundary: parses it from a Content-Type, and checks that it is valid. Doesn't look at
//! bodies.

use thiserror::Error;

use super::params;

/// Maximum length in bytes (RFC 2046, section 5.1.1).
pub const MAX_BOUNDARY_BYTES: usize = 70;

/// The boundary in a Content-Type header: 1 to 70 of the characters that RFC 2046, section 5.1.1,
/// allows. The last one is not a space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boundary(String);

/// Why a Content-Type header contains no valid [`Boundary`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BoundaryError {
    /// The media type isn't multipart/form-data.
    #[error("the Content-Type is not multipart/form-data")]
    NotMultipart,
    /// There is no `boundary` parameter.
    #[error("the Content-Type has no boundary parameter")]
    Missing,
    /// The parameters are malformed, or the boundary's length or characters are not allowed.
    #[error(
        "the Content-Type's boundary must be 1 to {MAX_BOUNDARY_BYTES} of the characters \
         that RFC 2046 allows, in well-formed parameters"
    )]
    Invalid,
    /// There is more than one `boundary` parameter; readers disagree on which one counts.
    #[error("the Content-Type has more than one boundary parameter")]
    Duplicate,
}

impl Boundary {
    /// Parses a Content-Type header such as `multipart/form-data; boundary="a b"`. Type and
    /// parameter names may be in any case (RFC 2045, section 5.1).
    ///
    /// # Errors Fails with a [`BoundaryError`]; `NotMultipart` takes precedence.
    pub fn from_content_type(value: &str) -> Result<Self, BoundaryError> {
        let (kind, parameters) = params::split(value.as_bytes());
        if !kind.eq_ignore_ascii_case(b"multipart/form-data") {
            return Err(BoundaryError::NotMultipart);
        }
        let mut boundary = None;
        for parameter in parameters {
            let (name, value) = parameter.map_err(|_| BoundaryError::Invalid)?;
            if name.eq_ignore_ascii_case(b"boundary") && boundary.replace(value).is_some() {
                return Err(BoundaryError::Duplicate);
            }
        }
        let boundary = boundary.ok_or(BoundaryError::Missing)?;
        // The parser relies on this: a delimiter contains no CR after its first byte.
        let allowed = boundary.iter().all(|byte| is_boundary_byte(*byte));
        let length_fits = (1..=MAX_BOUNDARY_BYTES).contains(&boundary.len());
        if !allowed || !length_fits || boundary.ends_with(b" ") {
            return Err(BoundaryError::Invalid);
        }
        String::from_utf8(boundary).map(Self).map_err(|_| BoundaryError::Invalid)
    }

    /// The boundary without the dashes before it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `bchars` of RFC 2046 section 5.1.1.
fn is_boundary_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte)
}
