//! Non-blocking output: lines go into a bounded buffer, and a thread writes them. Lines that don't fit are dropped and
//! counted. Knows nothing of logs.
//!
//! Writing to a pipe fails if its reader is gone, and blocks if nobody reads it. Neither must reach the caller.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Size of the buffer in bytes. As much again may be in the middle of being written.
const MAX_WAITING: usize = 1 << 20;
/// Bytes written at once: little, so that a slow reader can be told from none.
const PIECE: usize = 4096;
/// How long the end waits for a reader that reads nothing.
const STALL: Duration = Duration::from_secs(1);
/// Pause before the next try, if somebody who shares the output has made it non-blocking.
const PAUSE: Duration = Duration::from_millis(10);

/// Takes lines to write. Clones share one buffer.
#[derive(Clone)]
pub(super) struct Output(Arc<Shared>);

/// When dropped, waits until everything is written, or nobody reads it.
pub struct Finish(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// Dropped lines that were not reported yet.
    dropped: u64,
    /// Pieces written or given up.
    progress: u64,
    /// Write only what is already in the buffer.
    closed: bool,
    /// Write nothing more.
    done: bool,
}

impl Output {
    /// Starts a thread that writes to `to`. When it can write again after lines were dropped, it calls `tell` with
    /// their number, which may write a line about it.
    pub(super) fn start(
        to: impl Write + Send + 'static,
        tell: impl Fn(u64) + Send + 'static,
    ) -> io::Result<(Self, Finish)> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let writer = Arc::clone(&shared);
        thread::Builder::new().name("output".into()).spawn(move || writer.run(to, tell))?;
        Ok((Self(Arc::clone(&shared)), Finish(shared)))
    }
}

impl Write for Output {
    /// Takes the whole line, or drops it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.state();
        if state.waiting.len() + line.len() > MAX_WAITING {
            state.dropped += 1;
        } else {
            state.waiting.extend_from_slice(line);
            self.0.changed.notify_all();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Output {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Drop for Finish {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.closed = true;
        self.0.changed.notify_all();
        while !state.done {
            let progress = state.progress;
            let stalled = |state: &mut State| state.progress == progress && !state.done;
            let waited = self.0.changed.wait_timeout_while(state, STALL, stalled);
            let (now, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            if waited.timed_out() {
                return; // nobody reads it
            }
            state = now;
        }
    }
}

impl Shared {
    fn run(&self, mut to: impl Write, tell: impl Fn(u64)) {
        let mut works = true;
        while let Some((lines, dropped)) = self.next(works) {
            if dropped > 0 {
                tell(dropped);
            }
            works = self.write(&mut to, &lines);
        }
        self.state().done = true;
        self.changed.notify_all();
    }

    /// What to write next, and how many lines were dropped after it, if that can be reported; `None` at the end.
    fn next(&self, works: bool) -> Option<(Vec<u8>, u64)> {
        let idle = |state: &mut State| {
            state.waiting.is_empty() && !state.closed && !(works && state.dropped > 0)
        };
        let waited = self.changed.wait_while(self.state(), idle);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        let dropped = if works { std::mem::take(&mut state.dropped) } else { 0 };
        let lines = std::mem::take(&mut state.waiting);
        (!lines.is_empty() || dropped > 0).then_some((lines, dropped))
    }

    /// Returns whether everything was written; the rest counts as dropped.
    fn write(&self, to: &mut impl Write, lines: &[u8]) -> bool {
        let mut rest = lines;
        while !rest.is_empty() {
            match to.write(&rest[..rest.len().min(PIECE)]) {
                Ok(0) => break,
                Ok(written) => {
                    rest = &rest[written..];
                    self.state().progress += 1;
                    self.changed.notify_all();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(PAUSE),
                Err(_) => break,
            }
        }
        let lost = memchr::memchr_iter(b'\n', rest).count() as u64;
        self.state().dropped += lost;
        rest.is_empty()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::mpsc;

    use super::*;

    /// An output into a pipe, and the lines that it tells to have dropped.
    fn pipe() -> (Output, Finish, io::PipeReader, mpsc::Receiver<u64>) {
        let (reader, writer) = io::pipe().unwrap();
        let (tell, told) = mpsc::channel();
        let tell = move |dropped| {
            let _ = tell.send(dropped);
        };
        let (output, finish) = Output::start(writer, tell).unwrap();
        (output, finish, reader, told)
    }

    /// A line of 1000 bytes with this number.
    fn line(number: usize) -> String {
        format!("{number:0999}\n")
    }

    #[test]
    fn everything_is_written_before_the_end() {
        let (mut output, finish, mut reader, told) = pipe();
        let reading = thread::spawn(move || {
            let mut read = String::new();
            reader.read_to_string(&mut read).unwrap();
            read
        });
        let lines: Vec<_> = (0..900).map(line).collect();
        for line in &lines {
            output.write_all(line.as_bytes()).unwrap();
        }
        drop(finish);
        assert_eq!(reading.join().unwrap(), lines.concat());
        assert_eq!(told.try_iter().count(), 0);
    }

    #[test]
    fn nobody_waits_for_a_pipe_that_is_not_read_and_the_end_does_not_either() {
        let (mut output, finish, _reader, _) = pipe();
        for number in 0..10_000 {
            output.write_all(line(number).as_bytes()).unwrap();
        }
        drop(finish);
    }

    #[test]
    fn what_was_dropped_is_counted_and_told_once_the_pipe_is_read_again() {
        let (mut output, finish, mut reader, told) = pipe();
        let count = 10_000;
        for number in 0..count {
            output.write_all(line(number).as_bytes()).unwrap();
        }
        let reading = thread::spawn(move || {
            let mut read = String::new();
            reader.read_to_string(&mut read).unwrap();
            read
        });
        let first = told.recv().unwrap();
        drop(finish);
        let read = reading.join().unwrap();
        let (kept, dropped) = (read.lines().count(), first + told.iter().sum::<u64>());
        assert_eq!(kept as u64 + dropped, count as u64);
        assert!(kept > 500 && dropped > 500, "{kept} kept, {dropped} dropped");
        assert!(read.starts_with(&(0..500).map(line).collect::<String>()), "in order");
    }

    #[test]
    fn a_reader_that_went_away_harms_nobody() {
        let (mut output, finish, reader, _) = pipe();
        drop(reader);
        for number in 0..10_000 {
            output.write_all(line(number).as_bytes()).unwrap();
        }
        drop(finish);
    }

    /// Fails as long as it is told to.
    struct Disk(mpsc::Receiver<bool>, mpsc::Sender<String>);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0.recv().unwrap_or(true) {
                self.1.send(String::from_utf8_lossy(bytes).into_owned()).unwrap();
                Ok(bytes.len())
            } else {
                Err(io::ErrorKind::StorageFull.into())
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_could_not_be_written_are_counted_too() {
        let ((works, working), (written, seen)) = (mpsc::channel(), mpsc::channel());
        let (tell, told) = mpsc::channel();
        let (mut output, finish) =
            Output::start(Disk(working, written), move |dropped| tell.send(dropped).unwrap())
                .unwrap();
        output.write_all(b"lost\n").unwrap();
        works.send(false).unwrap();
        while output.0.state().dropped == 0 {
            thread::yield_now();
        }
        output.write_all(b"kept\n").unwrap();
        works.send(true).unwrap();
        assert_eq!(seen.recv().unwrap(), "kept\n");
        assert_eq!(told.recv().unwrap(), 1);
        drop((works, finish));
    }
}
