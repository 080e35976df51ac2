//! What is left in the data directory of erased or deleted things: checks every byte of every file.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::http::{Multipart, Request};
use super::program::{Server, haversack, run, serve, service_token, token};

/// A user whose number differs from any other eight bytes.
const ANNA: i64 = 7_234_567_890_123_456_789;
const BERT: i64 = 6_876_543_210_987_654_321;
/// A picture that the server can't decode.
const HEIC: &[u8] = include_bytes!("../../media/durations/plain.heic");
const PHOTO: &[u8] = include_bytes!("../../media/samples/picture.jpg");
/// Longer than emptying the log takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Every file in a folder, except sockets.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("listed") {
        let entry = entry.expect("an entry");
        let kind = entry.file_type().expect("a type");
        if kind.is_dir() {
            found.extend(files(&entry.path()));
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    found
}

/// The files that contain these bytes, in their names or their content.
fn traces(data: &Path, of: &[u8]) -> Vec<PathBuf> {
    let holds = |bytes: &[u8]| memchr::memmem::find(bytes, of).is_some();
    let found = files(data).into_iter().filter(|path| {
        let bytes = std::fs::read(path).unwrap_or_default(); // may be deleted meanwhile
        holds(path.as_os_str().as_encoded_bytes()) || holds(&bytes)
    });
    found.collect()
}

/// A user's number in bytes, in both byte orders, and in digits, as it is stored.
fn number(user: i64) -> [Vec<u8>; 3] {
    [user.to_be_bytes().to_vec(), user.to_le_bytes().to_vec(), user.to_string().into_bytes()]
}

fn send(server: &Server, user: i64, form: Multipart) -> Value {
    Request::upload(form).token(&token(user)).send(&server.host).expect("a reply").ok()
}

fn uuid(reply: &Value) -> String {
    reply["file_uuid"].as_str().expect("a uuid").to_owned()
}

fn store(server: &Server, user: i64, name: &str, bytes: &[u8]) -> String {
    uuid(&send(server, user, Multipart::default().field("filename", name).file("file", bytes)))
}

fn delete(server: &Server, user: i64, uuid: &str) {
    let request = Request::new("DELETE", &format!("/api/v2/pm/upload/{uuid}/"));
    request.token(&token(user)).send(&server.host).expect("a reply").ok();
}

/// Leaves some of everything that a user can leave; the last of it is a file that a message shows.
fn leave(server: &Server, user: i64, who: &str) -> String {
    for number in 0..20 {
        let (name, bytes) = (format!("{who}-file-{number}.txt"), format!("{who} wrote {number}"));
        let file = store(server, user, &name, bytes.as_bytes());
        let form = Multipart::default().field("partindex", 0).field("totalparts", 2);
        let form = form.field("filename", format!("{who}-film-{number}.mp4"));
        let begun = uuid(&send(server, user, form.file("file", bytes.as_bytes())));
        if number % 3 == 0 {
            delete(server, user, &file);
        }
        if number % 4 == 0 {
            delete(server, user, &begun);
        }
    }
    let photo = store(server, user, &format!("{who}-photo.jpg"), PHOTO);
    let video = store(server, user, &format!("{who}-video.bin"), format!("{who} sings").as_bytes());
    for (parent, picture) in [(&photo, PHOTO), (&video, HEIC), (&video, HEIC)] {
        let form = Multipart::default().field("parentuuid", parent);
        let form = form.field("filename", format!("{who}-thumbnail.heic"));
        send(server, user, form.file("file", picture));
    }
    let attach = json!({"uuids": [photo], "attach": true}).to_string();
    Request::new("POST", "/api/v2/pm/files/")
        .header("Content-Type", "application/json")
        .body(attach.into_bytes())
        .token(&service_token())
        .send(&server.host)
        .expect("a reply")
        .ok();
    photo
}

#[test]
fn nothing_of_an_erased_person_is_left_in_the_data_directory() {
    for with_server in [true, false] {
        let dir = tempfile::tempdir().expect("a folder");
        let server = Server::start(&mut serve(dir.path()));
        let photo = leave(&server, ANNA, "Annabella");
        leave(&server, BERT, "Berthold");
        let [.., stored] = number(ANNA);
        for there in [b"Annabella".to_vec(), stored] {
            assert!(!traces(dir.path(), &there).is_empty(), "else nothing is tested");
        }
        let erase = || {
            let mut command = haversack(&["erase", "--user-id", &ANNA.to_string()]);
            run(command.env("HAVERSACK_DATA_DIR", dir.path()))
        };
        let (ended, server) = if with_server {
            (erase(), Some(server))
        } else {
            server.stop();
            (erase(), None)
        };
        assert!(ended.status.success(), "{}", ended.stderr);
        let expected = "removed 15 files with 2 thumbnails and 15 unfinished uploads";
        assert!(ended.stdout.contains(expected), "{}", ended.stdout);
        for promised in ["Only the uuids are kept", "backups", "SSDs", "journal"] {
            assert!(ended.stdout.contains(promised), "{}", ended.stdout);
        }
        for gone in [b"Annabella".to_vec()].into_iter().chain(number(ANNA)) {
            assert_eq!(traces(dir.path(), &gone), [] as [PathBuf; 0], "{gone:?}");
        }
        for kept in [b"Berthold-file-1.txt".as_slice(), b"Berthold-film-1.mp4", b"Berthold wrote 1"]
        {
            assert!(!traces(dir.path(), kept).is_empty(), "what is somebody else's stays");
        }
        let server = server.unwrap_or_else(|| Server::start(&mut serve(dir.path())));
        let again = Request::upload(Multipart::default().field("uuid", &photo).file("file", PHOTO));
        let again = again.token(&token(ANNA)).send(&server.host).expect("a reply");
        assert_eq!(again.refusal(), "gone", "its uuid is used up");
        let log = server.stop().stderr;
        assert!(!log.contains("ERROR"), "{log}");
    }
}

#[test]
fn a_person_who_deleted_everything_before_can_be_erased_too() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(&mut serve(dir.path()));
    let file = store(&server, ANNA, "Annabella.txt", b"some bytes");
    delete(&server, ANNA, &file);
    let [.., stored] = number(ANNA);
    assert!(!traces(dir.path(), &stored).is_empty(), "whose it was is known");
    let mut command = haversack(&["erase", "--user-id", &ANNA.to_string()]);
    let ended = run(command.env("HAVERSACK_DATA_DIR", dir.path()));
    assert!(ended.status.success(), "{}", ended.stderr);
    for gone in number(ANNA) {
        assert_eq!(traces(dir.path(), &gone), [] as [PathBuf; 0]);
    }
    server.stop();
}

/// Waits until these bytes are nowhere.
fn await_no_traces(data: &Path, of: &[u8]) {
    let begun = Instant::now();
    while !traces(data, of).is_empty() {
        assert!(begun.elapsed() < PATIENCE, "{:?}", traces(data, of));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_deleted_files_name_is_soon_nowhere() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(&mut serve(dir.path()));
    let name = b"Annabella.txt";
    let file = store(&server, ANNA, "Annabella.txt", b"what Annabella.txt says");
    assert!(traces(dir.path(), name).len() > 1, "in the records and in the bytes");
    delete(&server, ANNA, &file);
    await_no_traces(dir.path(), name);
    server.stop();
}

#[test]
fn a_name_that_was_deleted_as_the_server_died_is_soon_nowhere() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(&mut serve(dir.path()));
    let file = store(&server, ANNA, "Annabella.txt", b"some bytes");
    delete(&server, ANNA, &file);
    server.kill();
    let server = Server::start(&mut serve(dir.path()));
    await_no_traces(dir.path(), b"Annabella.txt");
    server.stop();
}
