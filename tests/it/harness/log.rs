//! All that servers in this process log, at every level, is read here, and no secret may be in it: the first that
//! is ends the process, whichever test it was.

use std::io::{self, Write};
use std::sync::Once;

use tracing_subscriber::fmt::MakeWriter;

use super::SECRET;

/// What no line may hold: the tokens' secret, the beginning of every token and of every header that carries one,
/// and signatures of links.
const SECRETS: [&str; 5] = [SECRET, "eyJ", "Bearer ", "signature=", "token="];

/// Begins to read along; further calls change nothing.
pub(super) fn read_along() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let log = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE);
        log.with_ansi(false).with_writer(Reader).init();
    });
}

struct Reader;

impl Write for Reader {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(secret) = SECRETS.iter().find(|secret| holds(line, secret.as_bytes())) {
            // A panic would end no more than the task that logged.
            eprintln!("{secret:?} was logged: {}", String::from_utf8_lossy(line));
            std::process::abort();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Reader {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}

fn holds(line: &[u8], secret: &[u8]) -> bool {
    memchr::memmem::find(line, secret).is_some()
}
