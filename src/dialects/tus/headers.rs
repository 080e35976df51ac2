//! Values of request headers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, Method};

use super::error::TusError;
use super::names::{
    TUS_RESUMABLE, UPLOAD_CHECKSUM, UPLOAD_DEFER_LENGTH, UPLOAD_LENGTH, UPLOAD_OFFSET, VERSION,
    X_HTTP_METHOD_OVERRIDE,
};
use crate::http::values::decimal;
use crate::uploads::{Algorithm, Checksum};

/// The method that a request asks for: if a header overrides it, the request's own doesn't count.
pub fn method(own: &Method, headers: &HeaderMap) -> Method {
    let named = headers.get(X_HTTP_METHOD_OVERRIDE).map(|name| Method::from_bytes(name.as_bytes()));
    match named {
        Some(Ok(method)) => method,
        _ => own.clone(),
    }
}

/// Refuses requests for another version of tus.
pub fn check_version(headers: &HeaderMap) -> Result<(), TusError> {
    match one(headers, &TUS_RESUMABLE, "Tus-Resumable")? {
        Some(VERSION) => Ok(()),
        other => Err(TusError::version(other)),
    }
}

/// The text of a header that may be sent only once. `name` is the header's name as written in messages.
pub fn one<'a>(
    headers: &'a HeaderMap,
    header: &HeaderName,
    name: &'static str,
) -> Result<Option<&'a str>, TusError> {
    let mut values = headers.get_all(header).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(TusError::header(name, "differs", "may be sent only once"));
    }
    let text = first.map(|value| value.to_str().map(str::trim));
    text.transpose().map_err(|_| TusError::malformed(name, "printable ASCII"))
}

/// `Upload-Offset`, which requests with bytes must have.
pub fn offset(headers: &HeaderMap) -> Result<u64, TusError> {
    let offset = number(headers, &UPLOAD_OFFSET, "Upload-Offset")?;
    offset.ok_or_else(|| {
        TusError::header(
            "Upload-Offset",
            "required",
            "is missing: send the offset at which the bytes begin",
        )
    })
}

/// `Upload-Length`.
pub fn length(headers: &HeaderMap) -> Result<Option<u64>, TusError> {
    number(headers, &UPLOAD_LENGTH, "Upload-Length")
}

/// The file's size as declared for a new upload; `None` if it follows later.
pub fn declared_length(headers: &HeaderMap) -> Result<Option<u64>, TusError> {
    let deferred = match one(headers, &UPLOAD_DEFER_LENGTH, "Upload-Defer-Length")? {
        None => false,
        Some("1") => true,
        Some(_) => return Err(TusError::malformed("Upload-Defer-Length", "1")),
    };
    match (length(headers)?, deferred) {
        (Some(_), true) => {
            let right = "says that the size follows later, but Upload-Length gives it now: send only one of them";
            Err(TusError::header("Upload-Defer-Length", "differs", right))
        }
        (None, false) => {
            let right =
                "is missing: send the file's size, or Upload-Defer-Length: 1 if it follows later";
            Err(TusError::header("Upload-Length", "required", right))
        }
        (length, _) => Ok(length),
    }
}

fn number(
    headers: &HeaderMap,
    header: &HeaderName,
    name: &'static str,
) -> Result<Option<u64>, TusError> {
    let parse = |text| {
        decimal(text).ok_or_else(|| TusError::malformed(name, "a whole number from 0 to 2^63-1"))
    };
    one(headers, header, name)?.map(parse).transpose()
}

/// `Upload-Checksum`.
pub fn checksum(headers: &HeaderMap) -> Result<Option<Checksum>, TusError> {
    one(headers, &UPLOAD_CHECKSUM, "Upload-Checksum")?.map(parse_checksum).transpose()
}

fn parse_checksum(text: &str) -> Result<Checksum, TusError> {
    let (name, digest) = text.split_once(' ').unwrap_or((text, ""));
    let algorithm = Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name);
    let algorithm = algorithm.ok_or_else(|| {
        let known = algorithms();
        TusError::header(
            "Upload-Checksum",
            "unknown_algorithm",
            format!("must use one of the algorithms {known}"),
        )
    })?;
    let checksum = STANDARD.decode(digest.trim()).ok();
    checksum.and_then(|digest| Checksum::new(algorithm, digest)).ok_or_else(|| {
        let (name, length) = (algorithm.name(), algorithm.length());
        TusError::malformed("Upload-Checksum", format!("{name} and its {length} bytes as Base64"))
    })
}

/// The names of all algorithms, as in `Tus-Checksum-Algorithm`.
pub fn algorithms() -> String {
    Algorithm::ALL.map(Algorithm::name).join(",")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn the_override_header_replaces_the_method() {
        let named = |name| method(&Method::POST, &headers(&[("x-http-method-override", name)]));
        assert_eq!(named("PATCH"), Method::PATCH);
        assert_eq!(named("DELETE"), Method::DELETE);
        assert_eq!(named("not a method"), Method::POST);
        assert_eq!(method(&Method::HEAD, &headers(&[])), Method::HEAD);
    }

    #[test]
    fn a_size_is_declared_now_or_later_but_not_both() {
        let declared = |pairs| declared_length(&headers(pairs)).ok();
        assert_eq!(declared(&[("upload-length", "0")]), Some(Some(0)));
        assert_eq!(declared(&[("upload-length", " 7 ")]), Some(Some(7)));
        assert_eq!(declared(&[("upload-defer-length", "1")]), Some(None));
        for wrong in [
            &[][..],
            &[("upload-defer-length", "0")],
            &[("upload-defer-length", "1"), ("upload-length", "7")],
            &[("upload-length", "7"), ("upload-length", "8")],
            &[("upload-length", "-1")],
            &[("upload-length", "1.5")],
            &[("upload-length", "0x10")],
            &[("upload-length", "")],
            &[("upload-length", "9223372036854775808")],
        ] {
            assert_eq!(declared(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_checksum_names_its_algorithm_and_has_its_length() {
        let parsed = |value| checksum(&headers(&[("upload-checksum", value)])).ok().flatten();
        let sha1 = parsed("sha1 qZk+NkcGgWq6PiVxeFDCbJzQ2J0=").expect("of abc");
        assert_eq!(sha1.algorithm(), Algorithm::Sha1);
        assert_eq!(parsed("crc32 NSRBwg==").map(|sum| sum.algorithm()), Some(Algorithm::Crc32));
        for wrong in [
            "",
            "sha1",
            "sha1 ",
            "sha1 NSRBwg==",
            "sha512 NSRBwg==",
            "SHA1 qZk+NkcGgWq6PiVxeFDCbJzQ2J0=",
            "crc32 352441c2",
            "crc32 !",
        ] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_request_must_state_its_version() {
        assert!(check_version(&headers(&[("tus-resumable", "1.0.0")])).is_ok());
        for wrong in [&[][..], &[("tus-resumable", "0.2.2")], &[("tus-resumable", "1.0")]] {
            assert!(check_version(&headers(wrong)).is_err(), "{wrong:?}");
        }
    }
}
