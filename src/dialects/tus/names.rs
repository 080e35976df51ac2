//! Names of headers, and the version of the protocol. The last three are ours.

use http::HeaderName;

/// The version of the protocol, in requests and replies.
pub const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
/// The versions that the server speaks.
pub const TUS_VERSION: HeaderName = HeaderName::from_static("tus-version");
/// The extensions that it has.
pub const TUS_EXTENSION: HeaderName = HeaderName::from_static("tus-extension");
/// Maximum bytes of a file.
pub const TUS_MAX_SIZE: HeaderName = HeaderName::from_static("tus-max-size");
/// How checksums may be computed.
pub const TUS_CHECKSUM_ALGORITHM: HeaderName = HeaderName::from_static("tus-checksum-algorithm");
/// The file's size.
pub const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
/// `1`: the file's size follows later.
pub const UPLOAD_DEFER_LENGTH: HeaderName = HeaderName::from_static("upload-defer-length");
/// Where the bytes of a request begin, or how many there are.
pub const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
/// Names and values that describe the file.
pub const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");
/// What the bytes of a request must have.
pub const UPLOAD_CHECKSUM: HeaderName = HeaderName::from_static("upload-checksum");
/// When an upload expires.
pub const UPLOAD_EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
/// Whether an upload is a piece of another, or made of others.
pub const UPLOAD_CONCAT: HeaderName = HeaderName::from_static("upload-concat");
/// The method that is meant.
pub const X_HTTP_METHOD_OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");

/// The one version.
pub const VERSION: &str = "1.0.0";
/// The uuid of the File that an upload is by now.
pub const FILE_UUID: HeaderName = HeaderName::from_static("file-uuid");
/// A link to it.
pub const FILE_URL: HeaderName = HeaderName::from_static("file-url");
/// Whether it is there yet, once all bytes are: `finished` or `verifying`.
pub const FILE_STATE: HeaderName = HeaderName::from_static("file-state");
