//! Standard output.

use std::io::{self, Write};

use crate::config::ConfigError;

/// Prints a command's result on standard output. A reader that stops reading early, such as `head`, causes no error.
pub(super) fn print(
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), ConfigError> {
    let mut out = io::stdout().lock();
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(ConfigError(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}
