//! A mark in the lock file while a server runs. It stays there unless the server is shut down cleanly, and the next
//! start reports it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::App;
use super::directory::LOCK;

impl App {
    /// Marks that a server is running. Logs a warning if the previous one was not shut down cleanly.
    pub fn begin_run(&self) {
        match before(&self.config.data_dir) {
            Ok(None) => {}
            Ok(Some(pid)) => tracing::warn!(
                pid,
                "the previous server was not shut down cleanly: it was killed (perhaps because memory ran out), crashed, \
                 or the machine stopped"
            ),
            Err(error) => tracing::warn!(%error, "can't tell how the previous server ended"),
        }
        mark(&self.lock.0, &std::process::id().to_string());
    }

    /// Marks that the server was shut down cleanly.
    pub fn end_run(&self) {
        mark(&self.lock.0, "");
    }
}

/// The process that last ran here and left its mark.
fn before(data_dir: &Path) -> io::Result<Option<String>> {
    let text = std::fs::read_to_string(data_dir.join(LOCK))?;
    Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
}

fn mark(lock: &File, text: &str) {
    let marked = lock.set_len(0).and_then(|()| lock.write_all_at(text.as_bytes(), 0));
    if let Err(error) = marked {
        // For example because the disk is full. The next start may then report wrongly how this run ended.
        tracing::warn!(%error, "can't record in {LOCK} whether the server is running");
    }
}
