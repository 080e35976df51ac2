//! `dist/haversack.service` and `docs/nginx.conf` together, as real processes with the users, groups and modes that
//! they name. systemd doesn't run here: what it would do before it starts the program is done by hand, in a mount
//! namespace with its own users and folders, so that nothing on this machine changes.

use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::http::{Multipart, Request, download};
use super::program::{self, Server, haversack, run};

const UNIT: &str = include_str!("../../../dist/haversack.service");
const NGINX: &str = include_str!("../../../docs/nginx.conf");

/// The values of this key in the unit, in order.
pub(super) fn values(key: &str) -> Vec<&'static str> {
    let lines = UNIT.lines().filter_map(|line| line.split_once('='));
    lines.filter(|(name, _)| *name == key).map(|(_, value)| value).collect()
}

fn value(key: &str) -> &'static str {
    let values = values(key);
    assert_eq!(values.len(), 1, "{key}");
    values[0]
}

/// The lines with this beginning that a comment in `docs/nginx.conf` tells an operator to write or type.
fn told(start: &str) -> Vec<&'static str> {
    let lines = NGINX.lines().filter_map(|line| line.strip_prefix("#   "));
    lines.filter(|line| line.starts_with(start)).collect()
}

/// A machine with the unit installed: its users, `/var/lib` and `/usr/local/bin`.
struct Machine {
    dir: TempDir,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let machine = Self { dir };
        std::fs::set_permissions(machine.dir.path(), PermissionsExt::from_mode(0o755))
            .expect("opened");
        for folder in ["etc", "lib", "bin"] {
            std::fs::create_dir(machine.path(folder)).expect("made");
        }
        for file in ["passwd", "group", "shadow", "gshadow"] {
            std::fs::copy(Path::new("/etc").join(file), machine.path("etc").join(file))
                .expect("copied");
        }
        let program = machine.path("bin/haversack");
        std::fs::copy(env!("CARGO_BIN_EXE_haversack"), program).expect("installed");
        let users = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/haversack.sysusers");
        let root = format!("--root={}", machine.dir.path().display());
        succeed(Command::new("systemd-sysusers").arg(root).arg(users));
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Changes this machine's users as an operator is told to.
    fn usermod(&self, command: &str) {
        let mut words = command.split_whitespace();
        assert_eq!(words.next(), Some("usermod"));
        succeed(Command::new("usermod").arg("--prefix").arg(self.dir.path()).args(words));
    }

    /// A shell command on this machine, as root.
    fn shell(&self, command: &str) -> Command {
        let here = self.dir.path().display();
        let mounts: String = ["passwd", "group"]
            .map(|file| format!("mount --bind {here}/etc/{file} /etc/{file}; "))
            .concat();
        let mut shell = Command::new("unshare");
        shell.args(["--mount", "--propagation", "private", "sh", "-ec"]).arg(format!(
            "{mounts} mount --bind {here}/bin /usr/local/bin; mount --bind {here}/lib /var/lib; {command}"
        ));
        shell.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        shell
    }

    /// The same as a user, with all of their groups.
    fn as_user(&self, user: &str, command: &str) -> Command {
        self.shell(&format!(
            "exec setpriv --reuid={user} --regid={user} --init-groups --no-new-privs \
             --bounding-set=-all --inh-caps=-all sh -c '{command}'"
        ))
    }

    /// What systemd does for the unit: its folder, user, umask, environment and command.
    fn service(&self, environment: &[&str]) -> Command {
        let (user, group) = (value("User"), value("Group"));
        assert_eq!(user, group, "as_user takes one for the other");
        let (state, mode) = (value("StateDirectory"), value("StateDirectoryMode"));
        succeed(
            &mut self.shell(&format!("install -d -o {user} -g {group} -m {mode} /var/lib/{state}")),
        );
        let (mask, start) = (value("UMask"), value("ExecStart"));
        let mut command = self.as_user(user, &format!("umask {mask}; exec {start}"));
        command.env("HAVERSACK_LISTEN", "127.0.0.1:0");
        command.envs(environment.iter().map(|line| line.split_once('=').expect("a variable")));
        command
    }

    fn token(&self) -> String {
        let mut command = haversack(&["token", "--user-id", "1", "--data-dir"]);
        run(command.arg(self.path("lib/haversack"))).stdout.trim().to_owned()
    }
}

fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}");
    format!("{}{text}", String::from_utf8_lossy(&output.stdout))
}

/// nginx with `docs/nginx.conf` on that machine.
struct Nginx {
    child: Child,
    host: String,
}

impl Nginx {
    fn start(machine: &Machine, server: &Server) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let host = free.local_addr().expect("an address").to_string();
        drop(free);
        let ours = NGINX.replace("127.0.0.1:8080", &server.host);
        let here = machine.path("nginx");
        std::fs::create_dir(&here).expect("made");
        let (config, here) = (here.join("nginx.conf"), here.display());
        let whole = format!(
            "daemon off; user www-data; worker_processes 1; pid {here}/pid; error_log {here}/error.log;
             events {{ worker_connections 64; }}
             http {{ access_log off; client_body_temp_path {here}/body; proxy_temp_path {here}/proxy;
                     fastcgi_temp_path {here}/f; uwsgi_temp_path {here}/u; scgi_temp_path {here}/s;
                     server {{ listen {host}; {ours} }} }}"
        );
        std::fs::write(&config, whole).expect("written");
        let mut command = machine.shell(&format!("exec nginx -c {}", config.display()));
        command.stdout(Stdio::null()).stderr(Stdio::inherit());
        let nginx = Self { child: command.spawn().expect("nginx is installed"), host };
        let begun = Instant::now();
        let ready = || Request::new("GET", "/health/ready").send(&nginx.host);
        while !ready().is_ok_and(|reply| reply.status == 200) {
            assert!(begun.elapsed() < Duration::from_mins(1), "nginx does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        program::signal(&self.child, "TERM");
        let _ = self.child.wait();
    }
}

#[test]
fn the_unit_is_one_that_systemd_understands() {
    let machine = Machine::new();
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/haversack.service");
    let said = succeed(&mut machine.shell(&format!("systemd-analyze verify {}", unit.display())));
    assert_eq!(said, "", "no warnings");
}

#[test]
fn the_service_starts_without_any_settings_and_keeps_everything_to_itself() {
    let machine = Machine::new();
    let file = value("EnvironmentFile").strip_prefix('-');
    assert!(file.is_some(), "systemd starts it where the file is missing");
    assert!(!value("ExecStart").contains("--config"));
    let server = Server::start(&mut machine.service(&[]));
    let form = Multipart::default().file("file", b"some bytes");
    Request::upload(form).token(&machine.token()).send(&server.host).expect("a reply").ok();
    let listed = machine.as_user("www-data", "cat /var/lib/haversack/blobs/store-id").output();
    assert!(!listed.expect("it ran").status.success());
    server.stop();
}

#[test]
fn nginx_serves_what_the_service_stores_and_can_read_nothing_else_of_it() {
    let machine = Machine::new();
    let settings = told("HAVERSACK_");
    assert_eq!(settings.len(), 3, "{settings:?}");
    for command in told("usermod ") {
        machine.usermod(command);
    }
    let server = Server::start(&mut machine.service(&settings));
    let nginx = Nginx::start(&machine, &server);
    let content = b"bytes that nginx reads by itself".repeat(1000);
    let form = Multipart::default().file("file", &content);
    let token = machine.token();
    let file = Request::upload(form).token(&token).send(&nginx.host).expect("a reply").ok();
    let link = file["url"].as_str().expect("a link");
    assert!(link.starts_with(&format!("http://{}/", nginx.host)), "{link}");
    let reply = download(&nginx.host, link).expect("a reply");
    assert_eq!((reply.status, reply.body == content), (200, true));
    let path = link.strip_prefix(&format!("http://{}", nginx.host)).expect("a path");
    let direct = Request::new("GET", path).send(&server.host).expect("a reply");
    assert_eq!(direct.body, b"", "it was not the server that sent the bytes");

    // A worker may open or list nothing but the blobs.
    let find = "find /var/lib/haversack -mindepth 1";
    let everything = succeed(&mut machine.shell(find));
    let mut readable = Vec::new();
    for path in everything.lines() {
        let look = format!("if [ -d {path} ]; then ls {path}; else cat {path}; fi");
        let mut open = machine.as_user("www-data", &look);
        if open.output().expect("it ran").status.success() {
            readable.push(path.trim_start_matches("/var/lib/haversack/").to_owned());
        }
    }
    let is_blob = |path: &&String| {
        path.strip_prefix("blobs/")
            .is_some_and(|rest| rest.len() == 35 && rest.as_bytes()[2] == b'/')
    };
    assert_eq!(readable.iter().filter(is_blob).count(), readable.len(), "{readable:?}");
    assert_eq!(readable.len(), 1, "{readable:?}");
    let owner = std::fs::metadata(machine.path("lib/haversack")).expect("there");
    assert_eq!(owner.mode() & 0o777, 0o710);
    server.stop();
}
