//! Synchronizes with the harness.

use std::io::{self, Write};

/// Reports that a step is done, and waits until the next one may begin.
pub(crate) fn pause(word: &str) -> io::Result<()> {
    say(word)?;
    io::stdin().read_line(&mut String::new())?;
    Ok(())
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
