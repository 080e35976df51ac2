//! Reads everything that servers in this process log, at every level, and checks that it contains no secret. The first
//! secret ends the process, whichever test caused it.

use std::sync::Once;

use haversack::telemetry::{self, LogFormat};

use super::SECRET;

/// What no line may contain: the secret for tokens, the beginning of every token and of every header with a token, and
/// signatures of links.
const SECRETS: [&str; 5] = [SECRET, "eyJ", "Bearer ", "signature=", "token="];

/// Starts reading; further calls do nothing.
pub(super) fn read_along() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        telemetry::start_with("trace", LogFormat::Text, false, check).expect("it starts");
    });
}

fn check(line: &[u8]) {
    if let Some(secret) = SECRETS.iter().find(|secret| holds(line, secret.as_bytes())) {
        // A panic would end only the task that logged.
        eprintln!("{secret:?} was logged: {}", String::from_utf8_lossy(line));
        std::process::abort();
    }
}

fn holds(line: &[u8], secret: &[u8]) -> bool {
    memchr::memmem::find(line, secret).is_some()
}
