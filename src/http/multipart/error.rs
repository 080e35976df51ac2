//! Errors of reading a multipart body. [`ParseError`] covers the format and its limits;
//! [`MultipartError`] adds failures of the stream. Neither knows status codes.

use thiserror::Error;

/// How a body violates the format or a limit. The messages are for the client; parts are counted
/// from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ParseError {
    /// More bytes before the first boundary than allowed.
    #[error("more than {limit} bytes come before the first multipart boundary")]
    PreambleTooLong {
        /// In bytes.
        limit: usize,
    },
    /// More bytes after the closing boundary than allowed.
    #[error("more than {limit} bytes come after the closing multipart boundary")]
    EpilogueTooLong {
        /// In bytes.
        limit: usize,
    },
    /// More parts than allowed.
    #[error("the multipart body has more parts than the limit of {limit}")]
    TooManyParts {
        /// In parts.
        limit: usize,
    },
    /// A part's header lines are longer than allowed.
    #[error("the headers of multipart part {part} are longer than {limit} bytes")]
    HeadersTooLong {
        /// The part's number.
        part: usize,
        /// In bytes.
        limit: usize,
    },
    /// The line of a boundary contains something other than `--`, spaces and tabs after it.
    #[error("a multipart boundary must be followed by CR LF, or by -- at the end of the body")]
    GarbageAfterBoundary,
    /// A boundary or header line ends in LF alone.
    #[error("a multipart boundary or header line ends in LF alone, it must end in CR LF")]
    BareLineFeed,
    /// A header line isn't a single line of the form `name: value`.
    #[error(
        "a header line of multipart part {part} is not of the form `name: value`, \
         on one line, without CR or NUL"
    )]
    MalformedHeader {
        /// The part's number.
        part: usize,
    },
    /// A header that is allowed once occurs again.
    #[error("multipart part {part} has more than one {header} header")]
    DuplicateHeader {
        /// The part's number.
        part: usize,
        /// The header's name.
        header: &'static str,
    },
    /// A part has no Content-Disposition, which RFC 7578, section 4.2, requires.
    #[error("multipart part {part} has no Content-Disposition header")]
    MissingDisposition {
        /// The part's number.
        part: usize,
    },
    /// A part's Content-Disposition isn't `form-data`.
    #[error("the Content-Disposition of multipart part {part} is not form-data")]
    NotFormData {
        /// The part's number.
        part: usize,
    },
    /// The parameters of a Content-Disposition are malformed or repeated.
    #[error(
        "the Content-Disposition of multipart part {part} has a malformed or repeated parameter"
    )]
    MalformedDisposition {
        /// The part's number.
        part: usize,
    },
    /// A part has no name, or an empty one.
    #[error("the Content-Disposition of multipart part {part} has no name, or an empty one")]
    MissingName {
        /// The part's number.
        part: usize,
    },
    /// A part's data is in an encoding that isn't supported.
    #[error("the Content-Transfer-Encoding of multipart part {part} is not 7bit, 8bit or binary")]
    UnsupportedTransferEncoding {
        /// The part's number.
        part: usize,
    },
    /// The body ended before its closing boundary.
    #[error("the multipart body ended before its closing boundary")]
    Truncated,
}

impl ParseError {
    /// Whether the body exceeds a limit, rather than being malformed.
    #[must_use]
    pub fn is_limit(&self) -> bool {
        matches!(
            self,
            Self::PreambleTooLong { .. }
                | Self::EpilogueTooLong { .. }
                | Self::TooManyParts { .. }
                | Self::HeadersTooLong { .. }
        )
    }
}

/// Why a [`Multipart`](super::Multipart) can't continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MultipartError<E> {
    /// The body isn't valid form data.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The stream of frames failed with this error.
    #[error("the request body could not be read")]
    Body(#[source] E),
}
