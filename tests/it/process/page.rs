//! Links to the page: what `page-link` prints, what `serve` shows and to whom.

use std::path::Path;
use std::process::Command;

use super::http::Request;
use super::program::{SECRET, Server, haversack, run, serve};

fn page_link(arguments: &[&str]) -> Command {
    let mut command = haversack(&["page-link"]);
    command.args(arguments).env("HAVERSACK_JWT_SECRET", SECRET);
    command
}

/// Address and token of the link that is printed.
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

/// Status of the list that this token opens.
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
    let server = Server::start(&mut serve(dir.path()));
    let (address, token) = printed(page_link(&[]).env("HAVERSACK_LISTEN", &server.host));
    assert_eq!(address, format!("http://{}", server.host));
    assert_eq!(page(&server.host), 200);
    assert_eq!(list(&server.host, &token), 200);
}

#[test]
fn a_link_leads_to_where_the_server_is_reached() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("haversack.toml");
    std::fs::write(&file, "listen = \"0.0.0.0:81\"").expect("written");
    let file = file.to_str().expect("UTF-8");
    let address = |arguments: &[&str]| printed(&mut page_link(arguments)).0;
    assert_eq!(address(&[]), "http://127.0.0.1:8080");
    assert_eq!(address(&["--config", file]), "http://127.0.0.1:81");
    assert_eq!(address(&["--listen=[::]:82"]), "http://[::1]:82");
    assert_eq!(
        address(&["--config", file, "--url=https://media.example/"]),
        "https://media.example"
    );
    let public = printed(page_link(&[]).env("HAVERSACK_PUBLIC_URL", "https://m.example/sub")).0;
    assert_eq!(public, "https://m.example/sub");
}

#[test]
fn a_link_to_an_unknown_port_is_refused() {
    let ended = run(&mut page_link(&["--listen=127.0.0.1:0"]));
    assert!(!ended.status.success());
    assert!(ended.stdout.is_empty() && ended.stderr.contains("--url"), "{}", ended.stderr);
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

/// The program under a terminal of its own, both outputs on it.
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
