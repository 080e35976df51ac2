//! Non-blocking output: lines go into a bounded buffer, and a thread writes them. Lines that don't fit are dropped and
//! counted. Knows nothing about logs.
//!
//! Writing to a pipe fails if its reader is gone, and blocks if nothing reads it. Neither must affect the caller.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Size of the buffer in bytes. The thread may be writing as much again.
const MAX_WAITING: usize = 1 << 20;
/// Number of bytes written at once: few, so that a slow reader can be told apart from a stalled one.
const PIECE: usize = 4096;
/// How long to wait at the end for a reader that reads nothing.
const STALL: Duration = Duration::from_secs(1);
/// Pause before the next try, if another process that shares the output has made it non-blocking.
const PAUSE: Duration = Duration::from_millis(10);

/// Accepts lines to write. Clones share one buffer.
#[derive(Clone)]
pub(super) struct Output(Arc<Shared>);

/// When dropped, waits until everything is written, or until nothing is read any more.
pub struct FlushGuard(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// Number of dropped lines that have not been reported yet.
    dropped: u64,
    /// Number of pieces that were written.
    progress: u64,
    /// Whether the thread is writing lines that it took from the buffer.
    is_writing: bool,
    /// Whether the thread ends once the buffer is empty.
    closed: bool,
    /// Whether the thread has ended.
    done: bool,
}

impl Output {
    /// Starts a thread that writes to `to`. When it can write again after lines were dropped, it calls `report` with
    /// their number. `report` may write a line to this output.
    pub(super) fn start(
        to: impl Write + Send + 'static,
        report: impl Fn(u64) + Send + 'static,
    ) -> io::Result<(Self, FlushGuard)> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let writer = Arc::clone(&shared);
        thread::Builder::new().name("output".into()).spawn(move || writer.run(to, report))?;
        Ok((Self(Arc::clone(&shared)), FlushGuard(shared)))
    }
}

impl Output {
    /// Accepts the whole line or drops it.
    pub(super) fn write(&self, line: &[u8]) {
        let mut state = self.0.state();
        if state.waiting.len() + line.len() > MAX_WAITING {
            state.dropped += 1;
            return;
        }
        // The thread looks for more lines before it waits.
        let is_first = state.waiting.is_empty();
        state.waiting.extend_from_slice(line);
        drop(state);
        if is_first {
            self.0.changed.notify_all();
        }
    }

    /// Waits until all lines accepted so far are written, but no longer than this.
    pub(super) fn wait_until_written(&self, timeout: Duration) {
        let is_busy = |state: &mut State| state.is_writing || !state.waiting.is_empty();
        let _ = self.0.changed.wait_timeout_while(self.0.state(), timeout, is_busy);
    }
}

impl Drop for FlushGuard {
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
                return; // nothing reads it
            }
            state = now;
        }
    }
}

impl Shared {
    fn run(&self, mut to: impl Write, report: impl Fn(u64)) {
        let mut writable = true;
        while let Some((lines, dropped)) = self.next(writable) {
            if dropped > 0 {
                report(dropped);
            }
            writable = self.write(&mut to, &lines);
        }
        self.state().done = true;
        self.changed.notify_all();
    }

    /// Waits for lines to write, and returns them with the number of lines that were dropped after them. The number is
    /// 0 while the output isn't writable, because it couldn't be reported. Returns `None` at the end.
    fn next(&self, writable: bool) -> Option<(Vec<u8>, u64)> {
        let idle = |state: &mut State| {
            state.waiting.is_empty() && !state.closed && !(writable && state.dropped > 0)
        };
        let mut state = self.state();
        state.is_writing = false;
        self.changed.notify_all();
        let waited = self.changed.wait_while(state, idle);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        let dropped = if writable { std::mem::take(&mut state.dropped) } else { 0 };
        let lines = std::mem::take(&mut state.waiting);
        state.is_writing = !lines.is_empty();
        (!lines.is_empty() || dropped > 0).then_some((lines, dropped))
    }

    /// Writes lines, and returns whether all were written. The rest counts as dropped.
    fn write(&self, to: &mut impl Write, lines: &[u8]) -> bool {
        let mut rest = lines;
        while !rest.is_empty() {
            match to.write(&rest[..rest.len().min(PIECE)]) {
                Ok(0) => break,
                Ok(written) => {
                    rest = &rest[written..];
                    let mut state = self.state();
                    state.progress += 1;
                    if state.closed {
                        self.changed.notify_all();
                    }
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

    /// Creates an output into a pipe, and a channel with the numbers of dropped lines that it reports.
    fn pipe() -> (Output, FlushGuard, io::PipeReader, mpsc::Receiver<u64>) {
        let (reader, writer) = io::pipe().unwrap();
        let (sender, reports) = mpsc::channel();
        let report = move |dropped| {
            let _ = sender.send(dropped);
        };
        let (output, flush) = Output::start(writer, report).unwrap();
        (output, flush, reader, reports)
    }

    /// Returns a line of 1000 bytes that contains this number.
    fn line(number: usize) -> String {
        format!("{number:0999}\n")
    }

    #[test]
    fn everything_is_written_before_the_end() {
        let (output, flush, mut reader, reports) = pipe();
        let reading = thread::spawn(move || {
            let mut read = String::new();
            reader.read_to_string(&mut read).unwrap();
            read
        });
        let lines: Vec<_> = (0..900).map(line).collect();
        for line in &lines {
            output.write(line.as_bytes());
        }
        drop(flush);
        assert_eq!(reading.join().unwrap(), lines.concat());
        assert_eq!(reports.try_iter().count(), 0);
    }

    #[test]
    fn all_lines_are_written_when_waiting_for_them_ends() {
        #[derive(Clone, Default)]
        struct Slow(Arc<Mutex<Vec<u8>>>);

        impl Write for Slow {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                thread::yield_now();
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        let written = Slow::default();
        let (output, _flush) = Output::start(written.clone(), |_| ()).unwrap();
        for number in 0..100 {
            output.write(line(number).as_bytes());
            output.wait_until_written(Duration::from_mins(1));
            assert_eq!(written.0.lock().unwrap().len(), 1000 * (number + 1));
        }
    }

    #[test]
    fn neither_writing_nor_the_end_waits_for_a_pipe_that_is_not_read() {
        let (output, flush, _reader, _) = pipe();
        for number in 0..10_000 {
            output.write(line(number).as_bytes());
        }
        drop(flush);
    }

    #[test]
    fn dropped_lines_are_counted_and_reported_once_the_pipe_is_read_again() {
        let (output, flush, mut reader, reports) = pipe();
        let count = 10_000;
        for number in 0..count {
            output.write(line(number).as_bytes());
        }
        let reading = thread::spawn(move || {
            let mut read = String::new();
            reader.read_to_string(&mut read).unwrap();
            read
        });
        let first = reports.recv().unwrap();
        drop(flush);
        let read = reading.join().unwrap();
        let (kept, dropped) = (read.lines().count(), first + reports.iter().sum::<u64>());
        assert_eq!(kept as u64 + dropped, count as u64);
        assert!(kept > 500 && dropped > 500, "{kept} kept, {dropped} dropped");
        assert!(read.starts_with(&(0..500).map(line).collect::<String>()), "in order");
    }

    #[test]
    fn a_reader_that_goes_away_does_no_harm() {
        let (output, flush, reader, _) = pipe();
        drop(reader);
        for number in 0..10_000 {
            output.write(line(number).as_bytes());
        }
        drop(flush);
    }

    /// A writer that asks the receiver before each write whether to succeed.
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
        let ((succeed, success), (written, seen)) = (mpsc::channel(), mpsc::channel());
        let (report, reports) = mpsc::channel();
        let (output, flush) =
            Output::start(Disk(success, written), move |dropped| report.send(dropped).unwrap())
                .unwrap();
        output.write(b"lost\n");
        succeed.send(false).unwrap();
        while output.0.state().dropped == 0 {
            thread::yield_now();
        }
        output.write(b"kept\n");
        succeed.send(true).unwrap();
        assert_eq!(seen.recv().unwrap(), "kept\n");
        assert_eq!(reports.recv().unwrap(), 1);
        drop((succeed, flush));
    }
}
