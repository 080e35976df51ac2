//! Names of headers, and the version of the protocol. The last three are ours.

use http::HeaderName;

/// The version of tus, in requests and replies.
pub const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
/// The versions of tus that the server supports.
pub const TUS_VERSION: HeaderName = HeaderName::from_static("tus-version");
/// The extensions of tus that the server supports.
pub const TUS_EXTENSION: HeaderName = HeaderName::from_static("tus-extension");
/// Maximum size of a file in bytes.
pub const TUS_MAX_SIZE: HeaderName = HeaderName::from_static("tus-max-size");
/// The supported checksum algorithms.
pub const TUS_CHECKSUM_ALGORITHM: HeaderName = HeaderName::from_static("tus-checksum-algorithm");
/// The file's size.
pub const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
/// `1`: the file's size follows later.
pub const UPLOAD_DEFER_LENGTH: HeaderName = HeaderName::from_static("upload-defer-length");
/// Where the bytes of a request begin, or how many bytes the upload has.
pub const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
/// Keys and values that describe the file.
pub const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");
/// The checksum of the bytes of a request.
pub const UPLOAD_CHECKSUM: HeaderName = HeaderName::from_static("upload-checksum");
/// When an upload expires.
pub const UPLOAD_EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
/// Whether an upload is a piece to be joined, or is joined from pieces.
pub const UPLOAD_CONCAT: HeaderName = HeaderName::from_static("upload-concat");
/// The method to use in place of the request's own.
pub const X_HTTP_METHOD_OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");

/// The only supported version.
pub const VERSION: &str = "1.0.0";
/// The uuid of the File that the upload has become.
pub const FILE_UUID: HeaderName = HeaderName::from_static("file-uuid");
/// A link to the File.
pub const FILE_URL: HeaderName = HeaderName::from_static("file-url");
/// Whether the File is ready, once all bytes are there: `finished` or `verifying`.
pub const FILE_STATE: HeaderName = HeaderName::from_static("file-state");
