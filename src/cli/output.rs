//! Standard output.

use std::io::{self, Write};

use crate::config::ConfigError;

/// Prints a command's result on standard output. A reader that has gone away, as `head` does, has read enough: that
/// doesn't fail the command.
pub(super) fn print(say: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), ConfigError> {
    let mut out = io::stdout().lock();
    match say(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(ConfigError(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}
