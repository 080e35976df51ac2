//! Where settings come from: a flag wins over its variable, which wins over the file, which wins over the
//! default. What can't be used is refused before anything starts.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use haversack::config::Settings;
use tempfile::TempDir;

use super::http::{Multipart, Request};
use super::program::{SECRET, Server, haversack, run, serve, token};

fn write(dir: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, text).expect("written");
    path
}

/// Where a server's links point: the one setting that every reply shows.
fn links_of(server: &Server) -> String {
    let form = Multipart::default().file("file", b"hello");
    let reply = Request::upload(form).token(&token(1)).send(&server.host);
    let url = reply.expect("a reply").ok()["file_url"].clone();
    let url = url.as_str().expect("a link");
    url.split("/media/").next().expect("an address").to_owned()
}

/// What a command that must be refused says on standard error.
fn refused(command: &mut Command) -> String {
    let ended = run(command);
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    assert_eq!(ended.stdout, "", "standard output belongs to the readiness line");
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    ended.stderr
}

/// Of settings that are refused: the first line must name the culprit and what would be right.
fn assert_refused(command: &mut Command, expected: &[&str]) {
    let stderr = refused(command);
    let first = stderr.lines().next().unwrap_or_default();
    for text in expected {
        assert!(first.contains(text), "{text:?} is not in {stderr}");
    }
}

#[test]
fn a_flag_wins_over_its_variable_and_that_over_the_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = write(&dir, "haversack.toml", "public_url = \"https://file.example\"");
    let data = dir.path().join("data");
    let address_with = |configure: &dyn Fn(&mut Command)| {
        let mut command = serve(&data);
        configure(&mut command);
        let server = Server::start(&mut command);
        let links = links_of(&server);
        let host = server.host.clone();
        server.stop();
        (links, host)
    };
    let (default, host) = address_with(&|_| {});
    assert_eq!(default, format!("http://{host}"));
    let (from_file, _) = address_with(&|command| {
        command.env("HAVERSACK_CONFIG", &file);
    });
    assert_eq!(from_file, "https://file.example");
    let (from_variable, _) = address_with(&|command| {
        command.arg("--config").arg(&file);
        command.env("HAVERSACK_PUBLIC_URL", "https://variable.example/");
    });
    assert_eq!(from_variable, "https://variable.example");
    let (from_flag, _) = address_with(&|command| {
        command.arg("--config").arg(&file);
        command.env("HAVERSACK_PUBLIC_URL", "https://variable.example");
        command.arg("--public-url=https://flag.example");
    });
    assert_eq!(from_flag, "https://flag.example");
}

#[test]
fn everything_can_be_set_in_the_file_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    let text = format!(
        "listen = \"127.0.0.1:0\"\ndata_dir = {data:?}\njwt_secret = \"{SECRET}\"\n\
         public_url = \"https://media.example\"\ntrusted_proxies = [\"10.0.0.0/8\"]\n\
         cors_origins = [\"https://chat.example\"]\npage = true\nmax_file_size = \"10MiB\"\n\
         max_chunk_size = 204800\nmax_parts = 52\nmax_fields = 20\nmax_field_size = \"1KiB\"\n\
         max_unfinished = 3\nupload_ttl = \"2d\"\nbody_timeout = 60\nbody_idle_timeout = \"5s\"\n\
         header_timeout = \"5s\"\nidle_timeout = \"9s\"\nsend_timeout = \"5s\"\n\
         min_body_rate = \"2KiB\"\nmax_connections_per_address = 9\nmax_requests_per_user = 9\n\
         shutdown_timeout = \"1s\"\nlog = \"warn\"\n"
    );
    let file = write(&dir, "haversack.toml", &text);
    let server = Server::start(haversack(&["serve", "--config"]).arg(file));
    assert_eq!(links_of(&server), "https://media.example");
    let form =
        Multipart::default().field("partindex", 0).field("totalparts", 53).file("file", b"hello");
    let reply = Request::upload(form).token(&token(1)).send(&server.host);
    assert_eq!(reply.expect("a reply").refusal(), "too_many_parts");
    assert!(data.join("haversack.db").exists());
    let log = server.stop().stderr;
    assert!(!log.contains("WARN"), "nothing to warn about: {log}");
}

#[test]
fn an_unknown_key_of_the_file_is_refused_by_its_name_and_line() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = write(&dir, "haversack.toml", "log = \"info\"\nlistne = \"127.0.0.1:0\"\n");
    let stderr = refused(serve(dir.path()).arg("--config").arg(&file));
    for text in ["haversack.toml", "line 2", "listne", "listen"] {
        assert!(stderr.contains(text), "{text:?} is not in {stderr}");
    }
}

#[test]
fn a_file_that_is_not_there_or_no_toml_is_refused_by_its_name() {
    let dir = tempfile::tempdir().expect("a folder");
    let missing = dir.path().join("missing.toml");
    assert_refused(serve(dir.path()).arg("--config").arg(missing), &["missing.toml"]);
    let broken = write(&dir, "broken.toml", "listen =\n");
    let expected = ["broken.toml", "line 1"];
    assert_refused(serve(dir.path()).arg("--config").arg(broken), &expected);
}

#[test]
fn a_broken_line_of_the_file_is_not_quoted_when_it_holds_the_secret() {
    let dir = tempfile::tempdir().expect("a folder");
    for line in ["jwt_secret = \"hunter2-hunter2\n", "jwt_secret = hunter2-hunter2\n"] {
        let file = write(&dir, "haversack.toml", line);
        let stderr = refused(haversack(&["serve", "--config"]).arg(file));
        assert!(stderr.contains("line 1"), "{stderr}");
        assert!(!stderr.contains("hunter2"), "{stderr}");
    }
}

#[test]
fn values_that_can_not_be_used_are_refused_by_name() {
    let dir = tempfile::tempdir().expect("a folder");
    for (setting, value, right) in [
        ("max-file-size", "10XB", "10MiB"),
        ("max-chunk-size", "-1", ""),
        ("max-field-size", "1,5KiB", "KiB"),
        ("max-parts", "0", "at least 1"),
        ("max-parts", "many", ""),
        ("upload-ttl", "5M", "8d"),
        ("body-timeout", "0", "at least 1"),
        ("idle-timeout", "0", "at least 1"),
        ("min-body-rate", "slow", "KiB"),
        ("shutdown-timeout", "soon", "90s"),
        ("public-url", "media.example.org", "https://media.example.org"),
        ("public-url", "ftp://media.example.org", "https://media.example.org"),
        ("public-url", "https://media.example.org/?a=b", "https://media.example.org"),
        ("cors-origins", "chat.example.org", "https://chat.example.org"),
        ("trusted-proxies", "10.0.0.0/33", ""),
        ("listen", "nowhere", "localhost:8080"),
        ("durability", "chunks", "did you mean 'chunk'?"),
        ("page", "maybe", "yes, no or auto"),
        ("keep-metadata", "maybe", ""),
    ] {
        let flag = format!("--{setting}={value}");
        assert_refused(
            serve(dir.path()).env_remove("HAVERSACK_LISTEN").arg(flag),
            &[setting, right],
        );
        let variable = format!("HAVERSACK_{}", setting.to_uppercase().replace('-', "_"));
        let stderr = refused(serve(dir.path()).env(&variable, value));
        assert!(stderr.contains(&variable) && stderr.contains(right), "{stderr}");
        assert!(!stderr.contains(&format!("--{setting}")), "a flag nobody gave: {stderr}");
    }
    assert!(!dir.path().join("haversack.db").exists(), "nothing was opened");
}

#[test]
fn a_log_filter_that_can_not_be_used_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let expected = ["haversack: ", "log", "loud=very=much"];
    assert_refused(serve(dir.path()).env("HAVERSACK_LOG", "loud=very=much"), &expected);
}

#[test]
fn an_unknown_flag_is_refused_by_its_name() {
    let dir = tempfile::tempdir().expect("a folder");
    let expected = ["--max-file-sise", "did you mean '--max-file-size'?"];
    assert_refused(serve(dir.path()).arg("--max-file-sise=1"), &expected);
    assert_refused(&mut haversack(&["sreve"]), &["sreve", "did you mean 'serve'?"]);
}

#[test]
fn a_variable_that_sets_nothing_is_warned_about() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut command = serve(dir.path());
    command.env("HAVERSACK_LISTNE", "a value that may be secret");
    let server = Server::start(&mut command);
    let stderr = server.stop().stderr;
    let warnings: Vec<_> = stderr.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 1, "{stderr}");
    assert!(warnings[0].contains("HAVERSACK_LISTNE"), "{stderr}");
    assert!(warnings[0].contains("did you mean HAVERSACK_LISTEN?"), "{stderr}");
    assert!(!stderr.contains("a value that may be secret"), "{stderr}");
}

#[test]
fn options_that_were_dropped_are_warned_about_and_the_server_starts() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = write(&dir, "haversack.toml", "user_rate = 9\naddress_rate = \"0\"\n");
    let by_file = |command: &mut Command| {
        command.arg("--config").arg(&file);
    };
    let by_variable = |command: &mut Command| {
        command.env("HAVERSACK_USER_RATE", "9").env("HAVERSACK_ADDRESS_RATE", "-1");
    };
    let by_flag = |command: &mut Command| {
        command.args(["--user-rate=9", "--address-rate=0"]);
    };
    let ways: [&dyn Fn(&mut Command); 3] = [&by_file, &by_variable, &by_flag];
    for set in ways {
        let mut command = serve(&dir.path().join("data"));
        set(&mut command);
        let stderr = Server::start(&mut command).stop().stderr;
        let warnings: Vec<_> = stderr.lines().filter(|line| line.contains("WARN")).collect();
        assert_eq!(warnings.len(), 2, "{stderr}");
        for name in DROPPED {
            let flag = format!("--{}", name.replace('_', "-"));
            assert!(warnings.iter().any(|line| line.contains(&flag)), "{flag}: {stderr}");
        }
    }
    let fsck = run(haversack(&["fsck", "--config"])
        .arg(&file)
        .arg("--data-dir")
        .arg(dir.path().join("data")));
    assert_eq!(fsck.status.code(), Some(0), "{}", fsck.stderr);
}

/// Keys that have no effect any more.
const DROPPED: [&str; 2] = ["user_rate", "address_rate"];

/// The keys of the file: all of the table.
fn keys() -> Vec<String> {
    let table = Settings::augment_args(clap::Command::new("haversack"));
    let keys = table.get_arguments().map(|option| option.get_id().to_string());
    keys.filter(|key| key != "config").collect()
}

#[test]
fn the_help_tells_every_option_its_variable_and_its_default() {
    let keys = keys();
    assert!(keys.contains(&"max_file_size".into()));
    let help = run(&mut haversack(&["serve", "--help"])).stdout;
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let options: Vec<&str> = help.split(" --").collect();
    let keys = keys.iter().map(String::as_str).filter(|key| !DROPPED.contains(key));
    for key in keys.chain(["config"]) {
        let flag = key.replace('_', "-");
        let forms = [format!("{flag} <"), format!("{flag} [<")];
        let told = options.iter().find(|text| forms.iter().any(|form| text.starts_with(form)));
        let told = told.unwrap_or_else(|| panic!("--{flag} is not in the help"));
        let variable = format!("[env: HAVERSACK_{}", key.to_uppercase());
        assert!(told.contains(&variable), "--{flag}: {told}");
        let has_default = !["config", "jwt_secret", "database_url"].contains(&key);
        assert_eq!(told.contains("[default: "), has_default, "--{flag}: {told}");
    }
}

#[test]
fn short_help_takes_a_line_or_two_for_each_option_under_headings() {
    let short = run(&mut haversack(&["serve", "-h"])).stdout;
    let long = run(&mut haversack(&["serve", "--help"])).stdout;
    for heading in ["Server:", "Reverse proxy:", "Uploads:", "Time-outs:"] {
        assert!(short.lines().any(|line| line == heading), "{heading} is not in {short}");
    }
    assert!(short.lines().count() * 2 < long.lines().count(), "{short}");
}

#[test]
fn values_mean_what_people_mean_by_them() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut command = serve(dir.path());
    command.args([
        "--page",
        "no",
        "--keep-metadata",
        "yes",
        "--cors-origins",
        "*",
        "--max-file-size",
        "5g",
    ]);
    let server = Server::start(&mut command);
    assert_eq!(Request::new("GET", "/").send(&server.host).expect("a reply").status, 404);
    let stderr = server.stop().stderr;
    assert!(stderr.contains("5g is 5GiB"), "{stderr}");
}

#[test]
fn a_port_alone_listens_on_the_loopback_addresses_and_says_so() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(serve(dir.path()).env("HAVERSACK_LISTEN", ":0"));
    let port = server.host.strip_prefix("127.0.0.1:").expect("the loopback address").to_owned();
    for host in [server.host.clone(), format!("[::1]:{port}")] {
        assert_eq!(Request::new("GET", "/health/live").send(&host).expect("a reply").status, 200);
    }
    let stderr = server.stop().stderr;
    assert!(stderr.contains("only this machine can connect"), "{stderr}");
    assert!(stderr.contains("--listen 0.0.0.0:0"), "{stderr}");
}

#[test]
fn a_name_listens_on_every_address_that_it_stands_for() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(serve(dir.path()).env("HAVERSACK_LISTEN", "localhost:0"));
    let live = Request::new("GET", "/health/live").send(&server.host);
    assert_eq!(live.expect("a reply").status, 200);
    server.stop();
}

/// Sets options that a command beside the server does not use to values that stop the server: by a variable and in
/// the file.
fn set_wrong_for_the_server<'a>(command: &'a mut Command, file: &Path) -> &'a mut Command {
    command.env("HAVERSACK_MAX_FILE_SIZE", "lots").env("HAVERSACK_CONFIG", file)
}

#[test]
fn a_command_heeds_only_the_options_that_it_uses() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    Server::start(serve(&data).env_remove("HAVERSACK_JWT_SECRET")).stop();
    let file = write(&dir, "wrong.toml", "max_parts = 0\naccel_redirect = \"/blobs/\"\n");
    refused(set_wrong_for_the_server(&mut serve(&data), &file));
    for arguments in [
        &["fsck"][..],
        &["fsck", "--repair"],
        &["jobs"],
        &["jobs", "retry"],
        &["erase", "--user-id=7"],
        &["rotate-link-key"],
        &["token", "--user-id=7"],
    ] {
        let mut command = haversack(arguments);
        set_wrong_for_the_server(&mut command, &file);
        let ended = run(command.env("HAVERSACK_DATA_DIR", &data));
        assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn a_wrong_value_of_an_option_that_a_command_uses_stops_it() {
    let dir = tempfile::tempdir().expect("a folder");
    for (arguments, variable, value) in [
        (&["token", "--user-id=7"][..], "HAVERSACK_JWT_SECRET", ""),
        (&["fsck"], "HAVERSACK_BODY_TIMEOUT", "soon"),
        (&["erase", "--user-id=7"], "HAVERSACK_DURABILITY", "chunks"),
    ] {
        let mut command = haversack(arguments);
        command.env("HAVERSACK_DATA_DIR", dir.path()).env(variable, value);
        assert_refused(&mut command, &[variable]);
    }
    let broken = write(&dir, "broken.toml", "listen =\n");
    let mut token = haversack(&["token", "--user-id=7", "--config"]);
    assert_refused(token.arg(broken).env("HAVERSACK_JWT_SECRET", SECRET), &["line 1"]);
}

#[test]
fn names_that_no_option_has_are_warned_about_by_every_command() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = write(&dir, "haversack.toml", "data-dir = \"elsewhere\"\n");
    let mut token = haversack(&["token", "--user-id=7", "--config"]);
    token.arg(file).env("HAVERSACK_JWT_SECRET", SECRET).env("HAVERSACK_DATADIR", "elsewhere");
    let ended = run(&mut token);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert_eq!(ended.stdout.lines().count(), 1, "the token alone: {}", ended.stdout);
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{}", ended.stderr);
    assert!(
        lines[0].contains("line 1: unknown key data-dir; did you mean data_dir?"),
        "{}",
        lines[0]
    );
    assert!(lines[1].contains("did you mean HAVERSACK_DATA_DIR?"), "{}", lines[1]);
    assert!(lines.iter().all(|line| line.starts_with("haversack: warning: ")), "{}", ended.stderr);
}

#[test]
fn a_name_that_resembles_no_option_is_not_taken_for_one() {
    let dir = tempfile::tempdir().expect("a folder");
    for variable in ["HAVERSACK_VOLUME", "HAVERSACK_UID"] {
        let token = run(haversack(&["token", "--user-id=7"])
            .env("HAVERSACK_DATA_DIR", dir.path())
            .env("HAVERSACK_JWT_SECRET", SECRET)
            .env(variable, "1"));
        assert!(token.stderr.contains(variable), "{}", token.stderr);
        assert!(!token.stderr.contains("did you mean"), "{}", token.stderr);
    }
}

#[test]
fn the_help_never_shows_a_secret_that_is_set() {
    for command in ["serve", "token", "page-link"] {
        let help = run(haversack(&[command, "--help"]).env("HAVERSACK_JWT_SECRET", SECRET));
        assert!(help.status.success() && !help.stdout.contains(SECRET));
    }
}

#[test]
fn the_help_of_the_program_names_its_commands() {
    let help = run(&mut haversack(&["--help"]));
    assert!(help.status.success() && help.stderr.is_empty());
    for text in ["token", "page-link", "Start with: haversack serve", "./haversack-data"] {
        assert!(help.stdout.contains(text), "{text:?} is not in {}", help.stdout);
    }
    let version = run(&mut haversack(&["--version"])).stdout;
    assert_eq!(version.trim(), format!("haversack {}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn nothing_is_left_where_a_start_was_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let data: &Path = &dir.path().join("data");
    refused(serve(data).arg("--max-parts=0"));
    assert!(!data.exists());
}
