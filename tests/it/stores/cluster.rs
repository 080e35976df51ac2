//! A PostgreSQL server for tests that ends with this process. It uses a free port, and writes durably, like a server in
//! production. Needs Debian's package `postgresql`.

use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The database user, who owns all databases and schemas.
const USER: &str = "haversack";

/// A running server.
pub(crate) struct Cluster {
    folder: PathBuf,
    port: u16,
    /// The shell that stops the server when its input is closed, because this process has ended.
    _keeper: Child,
}

impl Cluster {
    /// Returns the server that the tests of this process share.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Starts another server, for tests that stop it or make it hang.
    pub(crate) fn start() -> Self {
        let cluster = Self::begin("", |data| {
            run(&mut initdb(data));
        });
        cluster.make_database();
        cluster
    }

    fn make_database(&self) {
        self.sql("postgres", &format!("CREATE DATABASE {USER}"));
        self.sql(USER, "CREATE EXTENSION btree_gist");
    }

    /// One whose data, or its log of changes, is on a volume of its own of so many MiB, at the path that is returned. The
    /// other one is not. Requires root.
    pub(crate) fn on_volume(is_log: bool, mib: u32) -> (Self, PathBuf) {
        let mut volume = PathBuf::new();
        let cluster = Self::begin("min_wal_size = 2MB\nmax_wal_size = 8MB", |data| {
            let log = data.with_file_name("log");
            volume = if is_log { log.clone() } else { data.to_owned() };
            std::fs::create_dir(&volume).expect("made");
            let (uid, gid) =
                other_user().expect("this trial has to mount a volume, which takes root");
            let options = format!("size={mib}m,mode=0700,uid={uid},gid={gid}");
            let mut mount = Command::new("mount");
            run(mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&volume));
            run(initdb(data).arg("--wal-segsize=1").arg("--waldir").arg(&log));
        });
        cluster.make_database();
        (cluster, volume)
    }

    /// A standby of this server, which has all that it has.
    pub(crate) fn standby(&self) -> Self {
        let port = self.port.to_string();
        Self::begin("", |data| {
            run(command("pg_basebackup")
                .args(["-h", "127.0.0.1", "-p", &port, "-U", USER, "-R", "-c", "fast", "-D"])
                .arg(data));
        })
    }

    /// Makes a primary of a standby.
    pub(crate) fn promote(&self) {
        self.pg_ctl(&["promote"]);
    }

    /// One with these settings, whose data `fill` puts into a folder.
    fn begin(more_settings: &str, fill: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("haversack-postgres")
            .tempdir()
            .expect("a directory")
            .keep();
        std::fs::set_permissions(&folder, Permissions::from_mode(0o700)).expect("set");
        if let Some((uid, gid)) = other_user() {
            chown(&folder, Some(uid), Some(gid)).expect("the owner changes");
        }
        let data = folder.join("data");
        fill(&data);
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a port")
            .port();
        let settings = format!(
            "port = {port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\nmax_connections = 300\n\
             shared_buffers = 32MB\nfsync = on\nlog_min_messages = panic\nlog_min_error_statement = panic\n{more_settings}\n"
        );
        let file = data.join("postgresql.conf");
        let standard = std::fs::read_to_string(&file).expect("read");
        std::fs::write(&file, standard + &settings).expect("written");
        let script = r#""$0" -D "$1" & server=$!
            read -r _; last=$(head -n 1 "$1/postmaster.pid"); [ -z "$last" ] || kill -QUIT "$last"; wait "$server"
            while [ -n "$last" ] && kill -0 "$last"; do sleep 0.1; done; rm -rf "$2""#;
        let mut keeper = as_user(Command::new("sh"));
        keeper.args(["-c", script]).arg(tool("postgres")).arg(&data).arg(&folder);
        let keeper = keeper
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let keeper = keeper.spawn().expect("started");
        let cluster = Self { folder, port, _keeper: keeper };
        cluster.await_ready();
        cluster
    }

    /// Writes a file that only the database's user may read; returns its path.
    pub(crate) fn keep(&self, name: &str, text: &[u8]) -> PathBuf {
        let path = self.folder.join(name);
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("set");
        if let Some((uid, gid)) = other_user() {
            chown(&path, Some(uid), Some(gid)).expect("given away");
        }
        path
    }

    /// Changes a setting, for connections made from now on.
    pub(crate) fn set(&self, name: &str, value: &str) {
        self.sql("postgres", &format!("ALTER SYSTEM SET {name} = '{value}'"));
        self.sql("postgres", "SELECT pg_reload_conf()");
    }

    /// Waits until it accepts connections.
    pub(crate) fn await_ready(&self) {
        self.wait_until("it takes connections", || self.is_ready());
    }

    /// Whether it takes connections.
    pub(crate) fn is_ready(&self) -> bool {
        let mut ready = command("pg_isready");
        ready.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
        ready.status().expect("it runs").success()
    }

    /// Waits until something is so.
    pub(crate) fn wait_until(&self, what: &str, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(
                begun.elapsed() < Duration::from_mins(2),
                "PostgreSQL at {}: not yet: {what}",
                self.port
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Runs SQL, and returns what `psql` prints.
    pub(crate) fn sql(&self, database: &str, sql: &str) -> String {
        let mut psql = command("psql");
        psql.args([
            "-qAtX",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            "127.0.0.1",
            "-U",
            USER,
            "-d",
            database,
            "-c",
            sql,
        ]);
        psql.args(["-p", &self.port.to_string()]);
        run(&mut psql)
    }

    /// Creates a new schema, and returns its URL.
    pub(crate) fn fresh(&self) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.sql(USER, &format!("CREATE SCHEMA {name}"));
        format!("{}?options=-c%20search_path%3D{name}%2Cpublic", self.url(USER))
    }

    /// Returns the URL of a database.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// Returns its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Creates a database, and returns its URL.
    pub(crate) fn database(&self, name: &str) -> String {
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(name)
    }

    /// Stops the server immediately, like a crash.
    pub(crate) fn stop(&self) {
        self.pg_ctl(&["stop", "-m", "immediate"]);
    }

    /// Kills the server, and with it all of its processes, as the system does that has no memory left.
    pub(crate) fn kill(&self) {
        let pid = self.postmaster().expect("it runs");
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let all = format!("{pid} {}", children.expect("it has some"));
        let mut kill = as_user(Command::new("sh")); // who can end no process of somebody else's
        let killed = kill.args(["-c", &format!("kill -KILL {all}")]).stderr(Stdio::null()).status();
        killed.expect("a shell");
        let runs = |pid: &str| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
            stat.is_ok_and(|stat| !stat.contains(") Z ")) // a zombie waits for whoever started it
        };
        self.wait_until("it is gone", || !all.split_whitespace().any(runs));
        // Else, at the end of the tests, whoever has that number then would be stopped.
        let _ = std::fs::remove_file(self.folder.join("data/postmaster.pid"));
    }

    /// Kills one of its processes.
    pub(crate) fn kill_process(&self, pid: u32) {
        let mut kill = as_user(Command::new("sh"));
        kill.args(["-c", &format!("kill -KILL {pid}")]).stderr(Stdio::null());
        kill.status().expect("a shell");
    }

    /// The number of its first process, where it runs.
    pub(crate) fn postmaster(&self) -> Option<u32> {
        let file = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).ok()?;
        file.lines().next()?.parse().ok()
    }

    /// Starts the server again. It refuses to start as long as a process of the one before holds its shared memory.
    pub(crate) fn start_again(&self) {
        self.wait_until("it starts again", || self.run_pg_ctl(&["start", "-l", "/dev/null"]));
    }

    fn pg_ctl(&self, arguments: &[&str]) {
        assert!(self.run_pg_ctl(arguments), "{arguments:?}");
    }

    /// Returns whether it succeeded.
    fn run_pg_ctl(&self, arguments: &[&str]) -> bool {
        let mut pg_ctl = command("pg_ctl");
        pg_ctl.args(arguments).args(["-w", "-s", "-D"]).arg(self.folder.join("data"));
        pg_ctl.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        pg_ctl.status().expect("it runs").success()
    }
}

/// Returns the user of Debian's package if this process runs as root, because PostgreSQL refuses to run as root.
fn other_user() -> Option<(u32, u32)> {
    let postgres =
        || nix::unistd::User::from_name("postgres").ok().flatten().expect("Debian's user postgres");
    nix::unistd::geteuid().is_root().then(|| {
        let user = postgres();
        (user.uid.as_raw(), user.gid.as_raw())
    })
}

/// Makes a database of files in this folder.
fn initdb(data: &Path) -> Command {
    let mut initdb = command("initdb");
    initdb.args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--username", USER, "-D"]);
    initdb.arg(data);
    initdb
}

fn as_user(mut command: Command) -> Command {
    if let Some((uid, gid)) = other_user() {
        command.uid(uid).gid(gid);
    }
    command.current_dir("/");
    command
}

fn command(name: &str) -> Command {
    as_user(Command::new(tool(name)))
}

/// Returns the path of a program of the newest installed PostgreSQL version. Debian doesn't add them to PATH.
fn tool(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin").join(name)))
        })
        .filter(|(_, tool): &(u32, PathBuf)| tool.exists())
        .collect();
    versions.sort();
    versions.pop().map_or_else(|| Path::new(name).to_owned(), |(_, tool)| tool)
}

fn run(command: &mut Command) -> String {
    let output = command.output().expect("PostgreSQL is installed (Debian's package postgresql)");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}
