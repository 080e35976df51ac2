//! Log lines as flat JSON objects: `timestamp` (RFC 3339, UTC), `level`, `target`, `message`, the event's fields, and
//! those of the enclosing spans, such as `request_id`. The JSON format of `tracing-subscriber` nests the fields of
//! spans in objects, so a request's id would be in one place in the access log and in another one in all other lines.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::as_display::AsDisplay;

/// Formats each event as a JSON object on a line of its own.
pub(super) struct Lines;

impl<S> FormatEvent<S, JsonFields> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        line.write_str("{\"timestamp\":\"")?;
        SystemTime.format_time(&mut line)?;
        let (level, target) = (metadata.level(), metadata.target());
        write!(line, "\",\"level\":\"{level}\",\"target\":\"{target}\"")?;
        let mut members = Members { line: &mut line, written: Ok(()) };
        event.record(&mut members);
        members.written?;
        for span in context.event_scope().into_iter().flatten() {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<JsonFields>>();
            let object = fields.map_or("", |fields| fields.fields.as_str());
            let members = object.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            let members = members.unwrap_or_default();
            if !members.is_empty() {
                write!(line, ",{members}")?;
            }
        }
        line.write_str("}\n")
    }
}

/// Writes fields as members of a JSON object.
struct Members<'a, 'w> {
    line: &'a mut Writer<'w>,
    written: fmt::Result,
}

impl Members<'_, '_> {
    /// Writes a member whose value is a number, `true` or `false`.
    fn plain(&mut self, field: &Field, value: impl fmt::Display) {
        let write = |line: &mut Writer<'_>| write!(line, ",\"{}\":{value}", field.name());
        self.written = self.written.and_then(|()| write(self.line));
    }

    fn string(&mut self, field: &Field, value: impl fmt::Display) {
        let write = |line: &mut Writer<'_>| {
            write!(line, ",\"{}\":\"", field.name())?;
            write!(Escaped(line), "{value}")?;
            line.write_char('"')
        };
        self.written = self.written.and_then(|()| write(self.line));
    }
}

impl Visit for Members<'_, '_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.plain(field, AsDisplay(&value)); // always with a decimal point, so that readers see one type
        } else {
            self.string(field, value);
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.string(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.string(field, AsDisplay(value));
    }
}

/// Escapes the characters that a JSON string must not contain (RFC 8259, section 7).
struct Escaped<'a, 'w>(&'a mut Writer<'w>);

impl fmt::Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        let special = |c: char| c < ' ' || matches!(c, '"' | '\\');
        while let Some(at) = rest.find(special) {
            self.0.write_str(&rest[..at])?;
            // All special characters are a single byte.
            match rest.as_bytes()[at] {
                byte @ (b'"' | b'\\') => write!(self.0, "\\{}", char::from(byte))?,
                byte => write!(self.0, "\\u{byte:04x}")?,
            }
            rest = &rest[at + 1..];
        }
        self.0.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Buffer {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    /// Returns the lines that `work` logs.
    fn logged(work: impl FnOnce()) -> Vec<Value> {
        let buffer = Buffer::default();
        let lines = tracing_subscriber::fmt().with_writer(buffer.clone());
        let lines = lines.fmt_fields(JsonFields::new()).event_format(Lines).finish();
        tracing::subscriber::with_default(lines, work);
        let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn fields_of_the_event_and_its_spans_are_members_of_one_object() {
        let lines = logged(|| {
            let _request = tracing::info_span!("request", request_id = "a1").entered();
            tracing::warn!(count = 3, ms = 0.5, gone = true, "a message");
        });
        let line = &lines[0];
        let time = line["timestamp"].as_str().unwrap();
        assert!(time.ends_with('Z') && time.contains('T'), "{time}");
        let mut rest = line.clone();
        rest.as_object_mut().unwrap().remove("timestamp");
        let expected = json!({
            "level": "WARN", "target": "haversack::telemetry::json::tests", "message": "a message",
            "count": 3, "ms": 0.5, "gone": true, "request_id": "a1",
        });
        assert_eq!(rest, expected);
    }

    #[test]
    fn foreign_text_cannot_end_a_line_or_a_string() {
        let text = "a\"b\\c\nd\u{1}é\u{2028}";
        let lines = logged(|| tracing::info!(user = text, shown = ?text, "{text}"));
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["user"], text);
        assert_eq!(lines[0]["message"], text);
        assert_eq!(lines[0]["shown"], format!("{text:?}"));
    }
}
