//! Owns the errors of reading a body. [`ParseError`] is the format's and the
//! limits', and all that the parser knows; [`MultipartError`] adds the failure
//! of the stream itself. Neither knows a status code.

use thiserror::Error;

/// How a body breaks the format or a limit. The messages are fit for a
/// client's eyes; parts are counted from 1.
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
    /// A boundary is followed, on its line, by something else than `--`,
    /// spaces and tabs.
    #[error("a multipart boundary must be followed by CR LF, or by -- at the end of the body")]
    GarbageAfterBoundary,
    /// A boundary's or a header's line ends in LF alone.
    #[error("a multipart boundary or header line ends in LF alone, it must end in CR LF")]
    BareLineFeed,
    /// A header line is not `name: value` on one line.
    #[error(
        "a header line of multipart part {part} is not of the form `name: value`, \
         on one line, without CR or NUL"
    )]
    MalformedHeader {
        /// The part's number.
        part: usize,
    },
    /// A header that may come once comes again.
    #[error("multipart part {part} has more than one {header} header")]
    DuplicateHeader {
        /// The part's number.
        part: usize,
        /// The header's name.
        header: &'static str,
    },
    /// A part has no Content-Disposition (RFC 7578 section 4.2 requires it).
    #[error("multipart part {part} has no Content-Disposition header")]
    MissingDisposition {
        /// The part's number.
        part: usize,
    },
    /// A part's Content-Disposition is of another type.
    #[error("the Content-Disposition of multipart part {part} is not form-data")]
    NotFormData {
        /// The part's number.
        part: usize,
    },
    /// A Content-Disposition's parameters are malformed, or one is repeated.
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
    /// A part's data would have to be decoded.
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
    /// Whether the body is too large in some respect, rather than malformed.
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

/// Why a [`Multipart`](super::Multipart) can't go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MultipartError<E> {
    /// The body is not acceptable form data.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The stream of frames failed; its error, untouched.
    #[error("the request body could not be read")]
    Body(#[source] E),
}
