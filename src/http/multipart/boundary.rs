//! Owns the boundary: how a Content-Type announces it, and which are valid.
//! Does not look at bodies.

use thiserror::Error;

use super::params;

/// The longest boundary that RFC 2046 section 5.1.1 allows, in bytes.
pub const MAX_BOUNDARY_BYTES: usize = 70;

/// The boundary that a Content-Type header value announced: 1 to 70 of the
/// characters that RFC 2046 section 5.1.1 allows, the last one not a space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boundary(String);

/// Why a Content-Type header value gives no [`Boundary`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BoundaryError {
    /// The media type is another one.
    #[error("the Content-Type is not multipart/form-data")]
    NotMultipart,
    /// There is no `boundary` parameter.
    #[error("the Content-Type has no boundary parameter")]
    Missing,
    /// The parameters or the boundary's characters or length are not allowed.
    #[error(
        "the Content-Type's boundary must be 1 to {MAX_BOUNDARY_BYTES} of the characters \
         that RFC 2046 allows, in well-formed parameters"
    )]
    Invalid,
    /// More than one `boundary` parameter: readers disagree on which counts.
    #[error("the Content-Type has more than one boundary parameter")]
    Duplicate,
}

impl Boundary {
    /// Reads the boundary out of a Content-Type header value, such as
    /// `multipart/form-data; boundary="a b"`; type and parameter names in any
    /// case (RFC 2045 section 5.1).
    ///
    /// # Errors
    /// A [`BoundaryError`]; `NotMultipart` comes before all others.
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
        // The parser relies on this: no CR can be within a delimiter.
        let allowed = boundary.iter().all(|byte| is_boundary_byte(*byte));
        let length_fits = (1..=MAX_BOUNDARY_BYTES).contains(&boundary.len());
        if !allowed || !length_fits || boundary.ends_with(b" ") {
            return Err(BoundaryError::Invalid);
        }
        String::from_utf8(boundary).map(Self).map_err(|_| BoundaryError::Invalid)
    }

    /// The boundary without the dashes around it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `bchars` of RFC 2046 section 5.1.1.
fn is_boundary_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte)
}
