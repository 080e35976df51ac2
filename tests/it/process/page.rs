//! Links to the page: what `page-link` prints, and what `serve` shows to whom.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};

use super::http::Request;
use super::program::{Server, haversack, run, serve};

fn page_link(data: &Path, arguments: &[&str]) -> Command {
    let mut command = haversack(&["page-link"]);
    command.args(arguments).env("HAVERSACK_DATA_DIR", data);
    command
}

/// Address and token of the printed link.
fn printed(command: &mut Command) -> (String, String) {
    let ended = run(command);
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!(ended.stderr, "");
    let link = ended.stdout.strip_suffix('\n').expect("a line");
    split(link)
}

fn split(link: &str) -> (String, String) {
    let (address, token) = link.split_once("/#token=").unwrap_or_else(|| panic!("{link:?}"));
    assert!(!token.contains(char::is_whitespace), "{link:?}");
    (address.to_owned(), token.to_owned())
}

/// Status of the list with this token.
fn list(host: &str, token: &str) -> u16 {
    let request = Request::new("GET", "/api/v2/pm/upload/").token(token);
    request.send(host).expect("a reply").status
}

fn page(host: &str) -> u16 {
    Request::new("GET", "/").send(host).expect("a reply").status
}

#[test]
fn a_printed_link_opens_the_page_and_the_list() {
    let dir = tempfile::tempdir().expect("a folder");
    // Its port, and the secret that only it knows, come from the running server.
    let server = Server::start(&mut serve(dir.path()));
    let (address, token) = printed(&mut page_link(dir.path(), &[]));
    assert_eq!(address, format!("http://{}", server.host));
    assert_eq!(page(&server.host), 200);
    assert_eq!(list(&server.host, &token), 200);
}

#[test]
fn a_link_leads_to_where_the_server_is_reached() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut command = serve(dir.path());
    let server = Server::start(command.arg("--public-url=https://m.example/sub"));
    let address = |arguments: &[&str]| printed(&mut page_link(dir.path(), arguments)).0;
    assert_eq!(address(&[]), "https://m.example/sub");
    assert_eq!(address(&["--url=https://media.example/"]), "https://media.example");
    let ended = run(&mut page_link(dir.path(), &["--url=nonsense"]));
    assert!(!ended.status.success() && ended.stderr.contains("--url"), "{}", ended.stderr);
    server.stop();
}

#[test]
fn a_link_to_a_server_that_listens_everywhere_opens_on_other_machines() {
    let dir = tempfile::tempdir().expect("a folder");
    let addresses = run(Command::new("hostname").arg("-I").stdout(Stdio::piped())).stdout;
    let addresses: Vec<IpAddr> =
        addresses.split_whitespace().map(|ip| ip.parse().expect("an address")).collect();
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let mut command = serve(dir.path());
        let server = Server::start(command.env("HAVERSACK_LISTEN", listen).arg("--page"));
        let (address, token) = printed(&mut page_link(dir.path(), &[]));
        let host = address.strip_prefix("http://").expect("a web address");
        let ip = host.parse::<SocketAddr>().expect("address and port").ip();
        // Without a network there are no other machines.
        assert!(addresses.contains(&ip) || addresses.is_empty() && ip.is_loopback(), "{address}");
        assert_eq!(page(host), 200);
        assert_eq!(list(host, &token), 200);
        server.stop();
    }
}

#[test]
fn no_link_is_printed_where_the_page_is_off_or_no_server_runs() {
    let dir = tempfile::tempdir().expect("a folder");
    let refusal = || {
        let ended = run(&mut page_link(dir.path(), &[]));
        assert!(!ended.status.success() && ended.stdout.is_empty(), "{}", ended.stdout);
        ended.stderr
    };
    for off in ["--page=false", "--listen=0.0.0.0:0"] {
        let server = Server::start(serve(dir.path()).arg(off));
        let refusal = refusal();
        assert!(refusal.starts_with("haversack: the page is off: "), "{refusal}");
        server.stop();
    }
    let refusal = refusal();
    assert!(refusal.contains("no server is running"), "{refusal}");
}

#[test]
fn the_page_is_on_where_it_is_switched_on_and_off_where_it_is_not() {
    let dir = tempfile::tempdir().expect("a folder");
    let status = |configure: &dyn Fn(&mut Command)| {
        let mut command = serve(dir.path());
        configure(&mut command);
        let server = Server::start(&mut command);
        let status = page(&server.host.replace("0.0.0.0", "127.0.0.1"));
        server.kill();
        status
    };
    let everywhere = |command: &mut Command| {
        command.env("HAVERSACK_LISTEN", "0.0.0.0:0");
    };
    assert_eq!(status(&everywhere), 404);
    let switched_on = |command: &mut Command| {
        everywhere(command);
        command.arg("--page");
    };
    assert_eq!(status(&switched_on), 200);
    let switched_off = |command: &mut Command| {
        command.arg("--page=false");
    };
    assert_eq!(status(&switched_off), 404);
    let by_variable = |command: &mut Command| {
        command.env("HAVERSACK_PAGE", "no");
    };
    assert_eq!(status(&by_variable), 404);
}

#[test]
fn without_a_terminal_no_link_and_no_token_is_shown() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(serve(dir.path()).env("HAVERSACK_LOG", "trace"));
    assert_eq!(page(&server.host), 200);
    let ended = server.stop();
    assert_eq!(ended.stdout, "");
    for text in ["#token", "eyJ", "open http"] {
        assert!(!ended.stderr.contains(text), "{text:?} is in {}", ended.stderr);
    }
}

/// The program under its own terminal, which receives both outputs.
fn under_a_terminal(data_dir: &Path) -> Command {
    let plain = serve(data_dir);
    let program = plain.get_program().to_str().expect("UTF-8");
    let mut command = Command::new("script");
    command.args(["-qfec", &format!("'{program}' serve --log=error"), "/dev/null"]);
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    command
}

#[test]
fn whoever_starts_the_server_at_a_terminal_is_shown_a_link() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(&mut under_a_terminal(dir.path()));
    let line = server.next_line();
    let (address, token) = split(line.strip_prefix("open ").unwrap_or_else(|| panic!("{line:?}")));
    assert_eq!(address, format!("http://{}", server.host));
    assert_eq!(list(&server.host, &token), 200);
}
