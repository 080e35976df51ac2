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
        run(command("initdb")
            .args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--username", USER, "-D"])
            .arg(&data));
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a port")
            .port();
        let settings = format!(
            "port = {port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\nmax_connections = 300\n\
             shared_buffers = 32MB\nfsync = on\nlog_min_messages = panic\nlog_min_error_statement = panic\n"
        );
        let file = data.join("postgresql.conf");
        let standard = std::fs::read_to_string(&file).expect("read");
        std::fs::write(&file, standard + &settings).expect("written");
        let script = r#""$0" -D "$1" & server=$!
            read -r _; last=$(head -n 1 "$1/postmaster.pid"); kill -QUIT "$last"; wait "$server"
            while kill -0 "$last"; do sleep 0.1; done; rm -rf "$2""#;
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
        cluster.sql("postgres", &format!("CREATE DATABASE {USER}"));
        cluster.sql(USER, "CREATE EXTENSION btree_gist");
        cluster
    }

    /// Waits until it accepts connections.
    pub(crate) fn await_ready(&self) {
        let begun = Instant::now();
        let mut ready = command("pg_isready");
        ready.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
        while !ready.status().expect("it runs").success() {
            assert!(begun.elapsed() < Duration::from_mins(2), "PostgreSQL does not start");
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

    /// Starts the server again.
    pub(crate) fn start_again(&self) {
        self.pg_ctl(&["start", "-l", "/dev/null"]);
    }

    fn pg_ctl(&self, arguments: &[&str]) {
        let mut pg_ctl = command("pg_ctl");
        pg_ctl.args(arguments).args(["-w", "-s", "-D"]).arg(self.folder.join("data"));
        pg_ctl.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(pg_ctl.status().expect("it runs").success(), "{arguments:?}");
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
