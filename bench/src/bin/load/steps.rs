//! The talk with whoever gave the job.

use std::io::{self, Write};

/// Says that a step is done and waits until the next may begin.
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
