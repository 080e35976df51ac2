//! Lines of the log, in both formats. Each is one line, whatever the values contain.
//!
//! A JSON line is a flat object: `timestamp` (RFC 3339, UTC), `level`, `target`, `message`, the fields, and the ids of
//! the request.

use std::fmt::{self, Display, Write as _};
use std::io::Write as _;
use std::time::SystemTime;

use serde::{Serialize, Serializer as _};
use tracing::Level;
use tracing::field::{Field, Visit};

use super::as_display::AsDisplay;
use super::context::RequestContext;

/// The format of log lines.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    clap::ValueEnum,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For humans: time, level, request, module, message, and fields as `name=value`.
    #[default]
    Text,
    /// For programs: one JSON object per line.
    Json,
}

/// The name of the field that a text line shows without its name.
const MESSAGE: &str = "message";
/// Number of bytes that most lines fit into.
const CAPACITY: usize = 512;

/// A line that is being written. Every field is written as it is added.
pub struct Line<'a> {
    format: LogFormat,
    request: Option<&'a RequestContext>,
    bytes: Vec<u8>,
}

impl<'a> Line<'a> {
    pub(super) fn begin(
        format: LogFormat,
        colours: bool,
        level: Level,
        target: &str,
        request: Option<&'a RequestContext>,
    ) -> Self {
        let mut line = Self { format, request, bytes: Vec::with_capacity(CAPACITY) };
        let now = humantime::format_rfc3339_micros(SystemTime::now());
        match format {
            LogFormat::Json => {
                line.put(format_args!("{{\"timestamp\":\"{now}\""));
                line.text("level", level.as_str());
                line.text("target", target);
            }
            LogFormat::Text => {
                let [dim, colour, plain] = if colours { colours_of(level) } else { [""; 3] };
                line.put(format_args!("{dim}{now}{plain} {colour}{:>5}{plain} ", level.as_str()));
                line.ids_as_text();
                line.put(format_args!("{dim}{target}:{plain}"));
            }
        }
        line
    }

    /// Adds the message.
    pub fn message(&mut self, message: &str) {
        self.displayed(MESSAGE, message);
    }

    /// Adds a text. Text lines show it in quotes.
    pub fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        match self.format {
            LogFormat::Json => self.json(value),
            LogFormat::Text => self.put(format_args!("{}", AsDisplay(&value))),
        }
    }

    /// Adds a number or a boolean.
    pub fn number(&mut self, name: &str, value: impl Serialize) {
        self.name(name);
        self.json(&value);
    }

    /// Adds a text that needs no quotes in text lines.
    pub fn displayed(&mut self, name: &str, value: impl Display) {
        self.name(name);
        let _ = match self.format {
            LogFormat::Json => {
                let mut json = serde_json::Serializer::new(&mut self.bytes);
                json.collect_str(&value).map_err(|_| fmt::Error)
            }
            LogFormat::Text => write!(OneLine(&mut self.bytes), "{value}"),
        };
    }

    pub(super) fn end(mut self) -> Vec<u8> {
        if self.format == LogFormat::Json {
            if let Some(request) = self.request {
                self.text("request_id", &request.id);
                if let Some(traceparent) = &request.traceparent {
                    self.text("traceparent", traceparent);
                }
            }
            self.bytes.push(b'}');
        }
        self.bytes.push(b'\n');
        self.bytes
    }

    fn ids_as_text(&mut self) {
        let Some(RequestContext { id, traceparent, .. }) = self.request else { return };
        self.put(format_args!("request{{request_id={}", AsDisplay(id)));
        if let Some(traceparent) = traceparent {
            self.put(format_args!(" traceparent={}", AsDisplay(traceparent)));
        }
        self.put(format_args!("}}: "));
    }

    fn name(&mut self, name: &str) {
        let (before, after): (&[u8], &[u8]) = match self.format {
            LogFormat::Json => (b",\"", b"\":"),
            LogFormat::Text => (b" ", b"="),
        };
        self.bytes.extend_from_slice(before);
        if self.format == LogFormat::Json || name != MESSAGE {
            self.bytes.extend_from_slice(name.as_bytes());
            self.bytes.extend_from_slice(after);
        }
    }

    fn json(&mut self, value: &(impl Serialize + ?Sized)) {
        let _ = serde_json::to_writer(&mut self.bytes, value); // memory takes everything
    }

    fn put(&mut self, text: fmt::Arguments<'_>) {
        let _ = self.bytes.write_fmt(text);
    }
}

/// The fields of events.
impl Visit for Line<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.number(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if !is_origin(field) {
            self.number(field.name(), value);
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.number(field.name(), value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            MESSAGE => self.message(value),
            _ if is_origin(field) => {}
            name => self.text(name, value),
        }
    }

    /// For values recorded with `Display`, `value` is a wrapper whose `Debug` output is the displayed text.
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if !is_origin(field) {
            self.displayed(field.name(), AsDisplay(value));
        }
    }
}

/// Whether a field says where a record of the `log` crate comes from. Lines show only its target, as their own.
fn is_origin(field: &Field) -> bool {
    field.name().starts_with("log.")
}

/// The codes for less important text, for this level, and for the end of both (ECMA-48, section 8.3.117).
fn colours_of(level: Level) -> [&'static str; 3] {
    let colour = match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[35m",
    };
    ["\x1b[2m", colour, "\x1b[0m"]
}

/// Escapes control characters: they could end the line, or give orders to a terminal.
struct OneLine<'a>(&'a mut Vec<u8>);

impl fmt::Write for OneLine<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for plain in text.split_inclusive(char::is_control) {
            let last = plain.chars().next_back().filter(|last| last.is_control());
            let kept = plain.len() - last.map_or(0, char::len_utf8);
            self.0.extend_from_slice(&plain.as_bytes()[..kept]);
            if let Some(control) = last {
                write!(self.0, "{}", control.escape_default()).map_err(|_| fmt::Error)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};
    use tracing_log::log::Record;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::super::Lines;
    use super::*;

    /// Returns what `work` logs.
    fn logged(format: LogFormat, work: impl FnOnce()) -> String {
        let log: Arc<Mutex<Vec<u8>>> = Arc::default();
        let bytes = Arc::clone(&log);
        let write = move |line: &[u8]| bytes.lock().unwrap().extend_from_slice(line);
        let lines = Lines { format, colours: false, write: Arc::new(write) };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), work);
        String::from_utf8(log.lock().unwrap().clone()).unwrap()
    }

    fn request() -> Arc<RequestContext> {
        Arc::new(RequestContext::new("a1".into(), Some("00-4b-00-01".into())))
    }

    #[test]
    fn a_json_line_is_one_object_with_the_fields_and_the_ids_of_the_request() {
        let log = logged(LogFormat::Json, || {
            request().during(|| tracing::warn!(count = 3, ms = 2.0, gone = true, "a message"));
        });
        let (time, rest) =
            log.trim_end().split_at(r#"{"timestamp":"2026-01-01T00:00:00.000000Z","#.len());
        assert!(time.ends_with("Z\",") && time.contains('T'), "{time}");
        assert_eq!(
            rest,
            concat!(
                r#""level":"WARN","target":"haversack::telemetry::line::tests","message":"a message","#,
                r#""count":3,"ms":2.0,"gone":true,"request_id":"a1","traceparent":"00-4b-00-01"}"#
            )
        );
    }

    #[test]
    fn a_text_line_begins_with_the_time_the_level_and_the_request() {
        let log = logged(LogFormat::Text, || {
            request().during(|| tracing::warn!(count = 3, ms = 2.0, kind = "a b", "a message"));
            tracing::error!(error = %"plain", "no request");
        });
        let lines: Vec<_> =
            log.lines().map(|line| line.split_at("2026-01-01T00:00:00.000000Z".len()).1).collect();
        assert_eq!(
            lines,
            [
                "  WARN request{request_id=\"a1\" traceparent=\"00-4b-00-01\"}: haversack::telemetry::line::tests: \
                 a message count=3 ms=2.0 kind=\"a b\"",
                " ERROR haversack::telemetry::line::tests: no request error=plain",
            ]
        );
    }

    #[test]
    fn foreign_text_cannot_end_a_line_or_a_string() {
        let text = "a\"b\\c\nd\u{1}é\u{1b}[31m";
        let work = || tracing::info!(user = text, shown = ?text, plain = %text, "{text}");
        let log = logged(LogFormat::Json, work);
        let line: Value = serde_json::from_str(&log).unwrap();
        for (name, expected) in
            [("user", text), ("plain", text), ("message", text), ("shown", &format!("{text:?}"))]
        {
            assert_eq!(line[name], json!(expected), "{name}");
        }
        let log = logged(LogFormat::Text, work);
        let plain = "a\"b\\c\\nd\\u{1}é\\u{1b}[31m";
        let end = format!(": {plain} user={text:?} shown={text:?} plain={plain}\n");
        assert!(log.ends_with(&end), "{log}");
        assert_eq!(log.lines().count(), 1);
    }

    #[test]
    fn a_record_of_the_log_crate_has_its_own_target() {
        let log = logged(LogFormat::Json, || {
            let (mut record, level) = (Record::builder(), tracing_log::log::Level::Info);
            let record = record.target("refinery").level(level);
            tracing_log::format_trace(&record.args(format_args!("migrated")).build()).unwrap();
        });
        let line: Value = serde_json::from_str(&log).unwrap();
        assert_eq!((&line["target"], &line["message"]), (&json!("refinery"), &json!("migrated")));
        assert_eq!(line.as_object().unwrap().len(), 4, "{line}");
    }
}
