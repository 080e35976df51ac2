//! A server's reply, and what every refusal must look like.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

/// A complete reply.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A refusal in the shape of section 7 of the protocol.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) headers: HeaderMap,
    pub(crate) field: Option<String>,
    pub(crate) message: String,
    pub(crate) prevent_retry: bool,
    pub(crate) reset: bool,
    /// The whole body.
    pub(crate) json: Value,
}

impl Reply {
    /// Status, headers and body without what differs in every reply: its date and the request's id.
    pub(crate) fn comparable(&self) -> (StatusCode, HeaderMap, String) {
        let mut headers = self.headers.clone();
        headers.remove("date");
        let id = headers.remove("x-request-id").expect("every reply has one");
        let body = String::from_utf8_lossy(&self.body);
        (self.status, headers, body.replace(id.to_str().unwrap(), "ID"))
    }

    /// The value of a header; empty if it is absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        text(&self.headers, name)
    }

    /// The JSON body of a 200.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        let shown = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, 200, "{shown}");
        assert_eq!(self.header("content-type"), "application/json");
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The refusal, which must have this status and code, and the shape that all clients can read.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str) -> Refused {
        let shown = String::from_utf8_lossy(&self.body).into_owned();
        assert_eq!(self.status, status, "{shown}");
        assert_eq!(self.header("content-type"), "application/json", "{shown}");
        let origin = self.header("access-control-allow-origin");
        let listed = self.header("vary").to_lowercase().contains("origin");
        assert!(origin == "*" || listed, "no CORS headers: {self:?}");
        let json: Value = serde_json::from_slice(&self.body).unwrap();
        let errors = json["errors"].as_array().expect("errors is an array");
        assert_eq!(errors.len(), 1, "{shown}");
        let field = errors[0].get("field").map(|field| field.as_str().unwrap());
        let item = match field {
            Some(_) => &errors[0]["messages"][0],
            None => &errors[0],
        };
        assert_eq!(item["code"], code, "{shown}");
        assert_eq!(json["success"], false, "{shown}");
        assert_eq!(json["error"], item["message"], "{shown}");
        let message = item["message"].as_str().expect("a message").to_owned();
        assert!(!message.is_empty(), "{shown}");
        for internal in ["SELECT", "INSERT", "blobs/", "haversack.db", "panicked"] {
            assert!(!shown.contains(internal), "{shown}");
        }
        Refused {
            field: field.map(ToOwned::to_owned),
            message,
            prevent_retry: json["preventRetry"].as_bool().expect("preventRetry"),
            reset: json.get("reset").is_some_and(|reset| *reset == true),
            headers: self.headers,
            json,
        }
    }
}

impl Refused {
    /// The value of a header; empty if it is absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        text(&self.headers, name)
    }

    /// Asserts that it names this field.
    #[track_caller]
    pub(crate) fn of_field(self, field: &str) -> Self {
        assert_eq!(self.field.as_deref(), Some(field), "{}", self.message);
        self
    }

    /// Asserts that the message contains all of these words.
    #[track_caller]
    pub(crate) fn saying(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.message.contains(word), "{word:?}: {}", self.message);
        }
        self
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().expect("headers are printable ASCII"))
}
