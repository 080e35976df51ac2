//! The program under test: started with variables and flags, watched on both outputs, stopped or killed.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use haversack::auth::{Caller, sign};
use haversack::clock::Clock;
use haversack::ids::UserId;

pub(crate) const SECRET: &str = "a secret of the tests, long enough for HS256";

/// No start and no stop takes longer.
const PATIENCE: Duration = Duration::from_mins(1);

/// A command of the program with nothing of ours in its environment.
pub(crate) fn haversack(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_haversack"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HAVERSACK_") {
            command.env_remove(name);
        }
    }
    // Huge pages, which the allocator asks for, make memory come in steps of 2 MiB for each thread:
    // what tests measure is what is used.
    command.env("MIMALLOC_ALLOW_THP", "0");
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// `haversack serve` on a free port and this data directory.
pub(crate) fn serve(data_dir: &Path) -> Command {
    let mut command = haversack(&["serve"]);
    command
        .env("HAVERSACK_LISTEN", "127.0.0.1:0")
        .env("HAVERSACK_DATA_DIR", data_dir)
        .env("HAVERSACK_JWT_SECRET", SECRET);
    command
}

/// The same command, started by a shell that has done something to itself before.
pub(crate) fn in_shell(before: &str, command: &Command) -> Command {
    started_by(&["sh", "-c", &format!("{before}; exec \"$0\" \"$@\"")], command)
}

/// The same command, which hears SIGHUP also where these tests were started by nohup(1).
pub(crate) fn hearing_hangups(command: &Command) -> Command {
    started_by(&["env", "--default-signal=HUP"], command)
}

/// The same command, without the privileges of root, which may open whatever modes forbid.
pub(crate) fn without_privileges(command: &Command) -> Command {
    started_by(&["setpriv", "--bounding-set=-all", "--inh-caps=-all"], command)
}

/// The same command, whose system calls strace writes to `log`, as these options say.
pub(crate) fn under_strace(command: &Command, log: &Path, options: &[&str]) -> Command {
    let log = log.to_str().expect("UTF-8");
    // -D: the program is the child, as without it.
    let starter = [&["strace", "-D", "-f", "-qq", "-o", log], options].concat();
    let mut started = started_by(&starter, command);
    started.env_remove("LD_LIBRARY_PATH"); // cargo's, for libraries that are built along
    started
}

/// The same command, behind another one that becomes it.
fn started_by(starter: &[&str], command: &Command) -> Command {
    let mut started = Command::new(starter[0]);
    started.args(&starter[1..]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => started.env(name, value),
            None => started.env_remove(name),
        };
    }
    started.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    started
}

/// A token for a user, signed with [`SECRET`].
pub(crate) fn token(user: i64) -> String {
    let now = Clock::system().unix_secs();
    sign(SECRET.as_bytes(), Caller::User(UserId::from(user)), now, 3600)
}

/// A token for the application's backend.
pub(crate) fn service_token() -> String {
    sign(SECRET.as_bytes(), Caller::Service, Clock::system().unix_secs(), 3600)
}

/// What a program that ended has said.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Ended {
    let output = command.output().expect("the program runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Ended { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Sends a program a signal by its name.
pub(crate) fn signal(child: &Child, name: &str) {
    let command = format!("kill -{name} {}", child.id());
    let sent = Command::new("sh").args(["-c", &command]).status();
    assert!(sent.expect("a shell").success());
}

/// A running server; killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    /// `host:port`.
    pub(crate) host: String,
    /// The lines on standard output after the first.
    more_lines: Receiver<String>,
    stderr: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Server {
    /// Starts it and waits for the line that says where it listens.
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::try_start(command)
            .unwrap_or_else(|ended| panic!("the server does not start: {}", ended.stderr))
    }

    /// The same; gives what it said where it ended before that. Standard error is read where it is a pipe of this
    /// command.
    pub(crate) fn try_start(command: &mut Command) -> Result<Self, Ended> {
        let mut child = command.spawn().expect("the program starts");
        let (lines, more_lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let out = std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = lines.send(line);
            }
        });
        let stderr = Arc::new(Mutex::new(String::new()));
        let (pipe, log) = (child.stderr.take(), Arc::clone(&stderr));
        let err = std::thread::spawn(move || {
            let Some(mut pipe) = pipe else { return };
            let mut buffer = [0; 16 * 1024];
            while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]);
                log.lock().expect("no panic").push_str(&text);
            }
        });
        let mut server =
            Self { child, host: String::new(), more_lines, stderr, readers: vec![out, err] };
        let Ok(line) = server.more_lines.recv_timeout(PATIENCE) else {
            return Err(server.wait());
        };
        let host = line.strip_prefix("listening on http://");
        server.host = host.unwrap_or_else(|| panic!("{line:?}")).to_owned();
        Ok(server)
    }

    /// Starts it where nobody reads its standard output, and waits until it answers at this address.
    pub(crate) fn start_unannounced(command: &mut Command, host: &str) -> Self {
        let child = command.spawn().expect("the program starts");
        let (_, more_lines) = mpsc::channel();
        let stderr = Arc::default();
        let server = Self { child, host: host.into(), more_lines, stderr, readers: Vec::new() };
        let begun = Instant::now();
        while TcpStream::connect(host).is_err() {
            assert!(begun.elapsed() < PATIENCE, "it does not listen");
            std::thread::sleep(Duration::from_millis(1));
        }
        server
    }

    /// Whether it has not ended yet.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How many descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        let listed = std::fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        listed.expect("a process").count()
    }

    /// Its memory: what it has now and the most it ever had, in KiB.
    pub(crate) fn memory(&self) -> (usize, usize) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("a process");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect(name);
            line.trim().trim_end_matches(" kB").parse().expect(name)
        };
        (field("VmRSS:"), field("VmHWM:"))
    }

    /// The next line on standard output, after the first.
    pub(crate) fn next_line(&self) -> String {
        self.more_lines.recv_timeout(PATIENCE).expect("a line")
    }

    /// What it has logged so far.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.lock().expect("no panic").clone()
    }

    /// Waits until it has logged this.
    pub(crate) fn wait_for_log(&self, text: &str) {
        self.wait_until(text, || self.stderr().contains(text));
    }

    /// Waits until something is so.
    pub(crate) fn wait_until(&self, what: &str, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < PATIENCE, "not yet: {what:?}: {}", self.stderr());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Asks it to stop.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends it a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// By how much this made its memory grow, at most, in bytes (`VmHWM` of proc_pid_status(5)).
    pub(crate) fn grows_by(&self, this: impl FnOnce()) -> u64 {
        let peak = || self.memory().1 as u64 * 1024;
        let now_is_peak = format!("/proc/{}/clear_refs", self.child.id());
        std::fs::write(now_is_peak, "5").expect("it is ours"); // proc(5)
        let before = peak();
        this();
        peak().saturating_sub(before)
    }

    /// The processor's time that it has used so far (proc_pid_stat(5)).
    pub(crate) fn cpu_time(&self) -> Duration {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it runs");
        let (_, fields) = stat.rsplit_once(") ").expect("its name in brackets");
        let ticks = |field: &str| field.parse::<u64>().expect("a number");
        let used: u64 = fields.split(' ').skip(11).take(2).map(ticks).sum();
        Duration::from_millis(used * 10) // Linux counts hundredths for all programs
    }

    /// Waits until it has ended.
    pub(crate) fn wait(mut self) -> Ended {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not stop: {}", self.stderr());
            std::thread::sleep(Duration::from_millis(1));
        };
        for reader in self.readers.drain(..) {
            reader.join().expect("no panic");
        }
        Ended { status, stdout: self.more_lines.try_iter().collect(), stderr: self.stderr() }
    }

    /// Asks it to stop and waits until it has.
    pub(crate) fn stop(self) -> Ended {
        self.terminate();
        let ended = self.wait();
        assert!(ended.status.success(), "{}", ended.stderr);
        ended
    }

    /// Kills it with SIGKILL, which it can't notice.
    pub(crate) fn kill(mut self) -> String {
        self.child.kill().expect("killed");
        self.wait().stderr
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
