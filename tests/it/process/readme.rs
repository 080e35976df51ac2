//! Runs what README.md tells a reader to type. `clients/test/readme.test.mjs` runs the snippets for clients.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::http::{Request, download};
use super::program::{Server, haversack, in_shell, run};

const README: &str = include_str!("../../../README.md");
const PICTURE: &[u8] = include_bytes!("../../../docs/landscape.png");

/// Language and code of every fenced block.
fn snippets() -> Vec<(&'static str, &'static str)> {
    let blocks = README.split("\n```").skip(1).step_by(2);
    blocks.map(|block| block.split_once('\n').expect("a language and code")).collect()
}

/// A folder like that of the README, in which `cargo run --release -- …` is the program under test.
fn checkout() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs"), dir.path().join("docs"))
        .expect("linked");
    let cargo = dir.path().join("bin/cargo");
    std::fs::create_dir(dir.path().join("bin")).expect("made");
    let program = env!("CARGO_BIN_EXE_haversack");
    let script = format!(
        "#!/bin/sh -e\n[ \"$1\" = run ]; shift\n[ \"$1\" != -q ] || shift\n\
         [ \"$1 $2\" = \"--release --\" ]; shift 2\nexec '{program}' \"$@\"\n"
    );
    std::fs::write(&cargo, script).expect("written");
    std::fs::set_permissions(&cargo, std::fs::Permissions::from_mode(0o755)).expect("runs");
    dir
}

/// A command that runs this folder's `cargo`, without our variables.
fn at(checkout: &Path, mut command: Command) -> Command {
    let path = std::env::var("PATH").expect("a path");
    command.env("PATH", format!("{}:{path}", checkout.join("bin").display()));
    command.current_dir(checkout);
    command
}

/// This snippet, as typed in that folder.
fn typed(checkout: &Path, code: &str) -> Command {
    at(checkout, in_shell(code, &Command::new("true")))
}

#[test]
fn every_snippet_of_the_readme_is_one_that_a_test_runs() {
    let languages: Vec<_> = snippets().iter().map(|(language, _)| *language).collect();
    assert_eq!(languages, ["sh", "sh", "json", "sh", "js", "js", "jsx", "js", "js"]);
    let is_code = |line: &&str| line.starts_with("    ") || line.starts_with('\t');
    let outside = README.split("\n```").step_by(2).flat_map(str::lines);
    assert_eq!(outside.collect::<Vec<_>>().into_iter().find(is_code), None, "not fenced");
}

/// Asserts that this File has the members of the one in the README, and its values where they don't differ by upload.
fn assert_is_as_shown(file: &Value) {
    let shown = snippets().into_iter().find(|(language, _)| *language == "json").expect("a File");
    let shown: Value = serde_json::from_str(shown.1).expect("JSON");
    let members =
        |file: &Value| file.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(members(&shown), members(file));
    for member in ["filename", "filesize", "mimetype", "duration", "width", "height", "metadata"] {
        assert_eq!(shown[member], file[member], "{member}");
    }
}

#[test]
fn the_first_commands_of_the_readme_store_a_picture_that_its_link_and_the_page_show() {
    let dir = checkout();
    let shells: Vec<_> = snippets().into_iter().filter(|(language, _)| *language == "sh").collect();
    let (_, start) = shells[0];
    let mut command = at(dir.path(), in_shell("set -e", &Command::new("sh")));
    // The address is the only thing that a test must change.
    command.args(["-c", &format!("exec {}", start.trim())]).env("HAVERSACK_LISTEN", "127.0.0.1:0");
    let server = Server::start(&mut command);

    // The second snippet continues in the terminal of the first one.
    let session = [shells[1].1, shells[2].1].join("\n").replace("127.0.0.1:8080", &server.host);
    let ended = run(&mut typed(dir.path(), &session));
    assert_eq!(ended.stderr, "", "{}", ended.stdout);
    let replies: Vec<Value> =
        ended.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let [_, file, files] = &replies[..] else { panic!("{replies:?}") };
    assert_is_as_shown(file);
    assert_eq!(files[0]["uuid"], file["uuid"], "the backend gets it, too");
    let shown = |member: &str| {
        let link = file[member].as_str().unwrap_or_else(|| panic!("{member} in {file}"));
        let reply = download(&server.host, link).expect("a reply");
        assert_eq!(reply.status, 200);
        reply.body
    };
    assert_eq!(shown("url"), PICTURE);
    assert!(!shown("thumbnail").is_empty());

    let link = run(&mut at(dir.path(), haversack(&["page-link"]))).stdout;
    let (_, token) = link.trim().split_once("#token=").expect("a link");
    let list = Request::new("GET", "/api/v2/pm/upload/").token(token);
    let list = list.send(&server.host).expect("a reply").ok();
    assert_eq!(list["results"][0]["uuid"], file["uuid"], "the page shows the same user's files");
    let path = format!("/api/v2/pm/upload/{}/", file["uuid"].as_str().expect("a uuid"));
    let refused = Request::new("DELETE", &path).token(token).send(&server.host).expect("a reply");
    assert_eq!(refused.status, 409, "the backend has attached it");
    server.stop();
}
