//! The binary with the library of `power.c`: compiles the library, starts the binary with it, and orders failures
//! through a control block.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use super::journal::Class;
use super::promises::Level;
use crate::process::program::{Server, serve};

/// Kinds of calls, numbered as in `power.c`.
pub(crate) const OPEN: u32 = 1;
pub(crate) const READ: u32 = 2;
pub(crate) const WRITE: u32 = 4;
pub(crate) const SYNC: u32 = 8;
pub(crate) const TRUNCATE: u32 = 16;
pub(crate) const UNLINK: u32 = 64;

/// Number of files that a volume may have.
const INODES: usize = 4000;

/// Size of the control block in bytes.
const BLOCK: usize = 64;

/// Which calls fail, once `after` of them have succeeded.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) operations: u32,
    pub(crate) classes: Vec<Class>,
    /// errno; 0 means that a write is cut short.
    pub(crate) error: u32,
    pub(crate) forever: bool,
    pub(crate) after: u64,
}

/// A separate disk for one server, on which every change is recorded.
pub(crate) struct Rig {
    level: Level,
    /// KiB that the server leaves free.
    min_free: u64,
    mounted: bool,
    root: TempDir,
    control: File,
}

/// The library, compiled once.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/faults/power.c");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let made = folder.join(format!("power-{}.so", std::process::id()));
        let mut command = Command::new("cc");
        command.args([
            "-std=gnu17",
            "-O1",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-fPIC",
            "-shared",
            "-o",
        ]);
        let output = command.arg(&made).arg(source).arg("-ldl").output();
        let output = output.expect("these trials need a C compiler, as cc");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let library = folder.join("power.so");
        std::fs::rename(&made, &library).expect("renamed"); // atomically, because other tests may be using it
        library
    })
}

impl Rig {
    pub(crate) fn new(level: Level) -> Self {
        let root = folder();
        std::fs::create_dir(root.path().join("disk")).expect("made");
        std::fs::write(root.path().join("control"), [0; BLOCK]).expect("written");
        std::fs::write(root.path().join("journal"), []).expect("written");
        let control = OpenOptions::new().read(true).write(true).open(root.path().join("control"));
        Self { level, min_free: 0, mounted: false, root, control: control.expect("opened") }
    }

    /// On a volume of this many KiB. Requires root.
    pub(crate) fn on_volume(size: u64, min_free: u64) -> Self {
        let mut rig = Self::new(Level::Finish);
        rig.min_free = min_free;
        let (options, disk) = (format!("size={size}k,nr_inodes={INODES}"), rig.disk());
        mount(&["-t", "tmpfs", "-o", &options, "tmpfs"], &disk);
        rig.mounted = true;
        rig
    }

    /// Uses up the inodes of the volume, until the returned folder is deleted.
    pub(crate) fn use_up_inodes(&self) -> TempDir {
        let filler = tempfile::tempdir_in(self.disk()).expect("a folder");
        let made = (0..INODES).map(|number| File::create(filler.path().join(number.to_string())));
        assert!(made.into_iter().any(|made| made.is_err()), "there is no limit of inodes");
        filler
    }

    /// Frees space on the volume.
    pub(crate) fn grow(&self) {
        mount(&["-o", "remount,size=64m"], &self.disk());
    }

    /// The server's data directory.
    pub(crate) fn data_dir(&self) -> PathBuf {
        data_dir(&self.disk())
    }

    fn disk(&self) -> PathBuf {
        self.root.path().join("disk")
    }

    pub(crate) fn journal_path(&self) -> PathBuf {
        self.root.path().join("journal")
    }

    /// Length of the journal so far in bytes.
    pub(crate) fn now(&self) -> u64 {
        self.journal_path().metadata().expect("there").len()
    }

    /// A command that starts the server on this disk.
    pub(crate) fn command(&self) -> Command {
        let mut command = serving(&self.data_dir());
        command
            .env("HAVERSACK_MIN_FREE_SPACE", format!("{}KiB", self.min_free))
            .env("LD_PRELOAD", library())
            .env("POWER_DIR", self.disk())
            .env("POWER_JOURNAL", self.journal_path())
            .env("POWER_CONTROL", self.root.path().join("control"));
        if self.level == Level::Chunk {
            command.arg("--durability=chunk");
        }
        command
    }

    pub(crate) fn start(&self) -> Server {
        Server::start(&mut self.command())
    }

    /// Orders a failure, which replaces an earlier one.
    pub(crate) fn fail(&self, failure: &Failure) {
        self.heal();
        let classes = failure.classes.iter().fold(0_u32, |bits, class| bits | 1 << *class as u8);
        let words = [classes, failure.error, u32::from(failure.forever)];
        let words = words.into_iter().flat_map(u32::to_le_bytes);
        let rest: Vec<u8> = words.chain(failure.after.to_le_bytes()).chain([0; 16]).collect();
        self.control.write_all_at(&rest, 4).expect("written");
        self.control.write_all_at(&failure.operations.to_le_bytes(), 0).expect("written");
    }

    /// Ends all failures. Returns the number of calls that have failed.
    pub(crate) fn heal(&self) -> u64 {
        self.control.write_all_at(&[0; 4], 0).expect("written");
        let mut failed = [0; 8];
        self.control.read_exact_at(&mut failed, 32).expect("read");
        u64::from_le_bytes(failed)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if self.mounted {
            let _ = Command::new("umount").arg("--lazy").arg(self.disk()).status();
        }
    }
}

fn mount(arguments: &[&str], at: &Path) {
    let output = Command::new("mount").args(arguments).arg(at).output().expect("mount");
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "this trial has to mount volumes, which takes root: {message}"
    );
}

/// A temporary folder, in memory if possible, because thousands of small files are created and deleted.
pub(crate) fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a folder")
}

/// The data directory of the server on this disk.
pub(crate) fn data_dir(disk: &Path) -> PathBuf {
    disk.join("data")
}

/// The server on this data directory, with a secret that it makes itself and must keep.
pub(crate) fn serving(data_dir: &Path) -> Command {
    let mut command = serve(data_dir);
    command.env_remove("HAVERSACK_JWT_SECRET");
    command
}
