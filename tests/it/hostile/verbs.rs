//! Every request for a uuid in every state, by its owner and by others: the replies, and that others can't tell an
//! existing uuid from an unknown one.

use http::{HeaderMap, StatusCode};
use serde_json::json;

use crate::harness::{Client, DAY, Form, Reply, Server, jpeg, new_uuid};

/// The states of a uuid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unknown,
    Unfinished,
    Finished,
    Attached,
    Cancelled,
    Deleted,
    Expired,
    Thumbnail,
    Replaced,
}

const STATES: [State; 9] = [
    State::Unknown,
    State::Unfinished,
    State::Finished,
    State::Attached,
    State::Cancelled,
    State::Deleted,
    State::Expired,
    State::Thumbnail,
    State::Replaced,
];

/// Creates an upload of user 1 in this state.
async fn bring_about(server: &Server, state: State) -> String {
    let user = server.user(1);
    let uuid_of = |json: serde_json::Value| json["file_uuid"].as_str().unwrap().to_owned();
    match state {
        State::Unknown => new_uuid(),
        State::Unfinished => user.begin(2, "abc").await,
        State::Finished => user.store_any().await,
        State::Attached => {
            let uuid = user.store_any().await;
            server.service().files(&json!({"uuids": [uuid], "attach": true})).await;
            uuid
        }
        State::Cancelled => {
            let uuid = user.begin(2, "abc").await;
            user.delete(&uuid).await.ok();
            uuid
        }
        State::Deleted => {
            let uuid = user.store_any().await;
            user.delete(&uuid).await.ok();
            uuid
        }
        State::Expired => {
            let uuid = user.begin(2, "abc").await;
            server.skip(9 * DAY);
            server.sweep().await;
            uuid
        }
        State::Thumbnail | State::Replaced => {
            let parent = user.store_any().await;
            let first = uuid_of(user.upload(Form::thumbnail(&parent, jpeg())).await.ok());
            if state == State::Replaced {
                user.upload(Form::thumbnail(&parent, crate::harness::png())).await.ok();
            }
            first
        }
    }
}

/// Every request that names an upload; those that only read come first.
const VERBS: [&str; 11] = [
    "status",
    "file",
    "files",
    "parent",
    "chunk",
    "chunk, file first",
    "single file",
    "done",
    "done as JSON",
    "POST delete",
    "DELETE",
];

async fn send(client: &Client, service: &Client, verb: &str, uuid: &str) -> Reply {
    let chunk = Form::chunk(1, 2, "other").uuid(uuid).field("partbyteoffset", 3);
    match verb {
        "status" => client.status(uuid).await,
        "file" => client.file(uuid).await,
        "files" => service.files(&json!({"uuids": [uuid], "user_id": 2})).await,
        "parent" => client.upload(Form::thumbnail(uuid, jpeg())).await,
        "chunk" => client.upload(chunk).await,
        "chunk, file first" => client.upload(chunk.file_first()).await,
        "single file" => client.upload(Form::single("other bytes").uuid(uuid)).await,
        "done" => client.done(uuid).await,
        "done as JSON" => client.done_json(&json!({ "uuid": uuid })).await,
        "POST delete" => client.post_delete(uuid).await,
        _ => client.delete(uuid).await,
    }
}

/// A reply as far as it can be compared: without the time, the request's id and the requested uuid.
fn comparable(reply: &Reply, uuid: &str) -> (StatusCode, HeaderMap, String) {
    let (status, headers, body) = reply.comparable();
    (status, headers, body.replace(uuid, "UUID"))
}

#[tokio::test(flavor = "multi_thread")]
async fn to_others_every_state_looks_like_none() {
    for state in STATES {
        let server = Server::start().await;
        let (other, service) = (server.user(2), server.service());
        for verb in VERBS {
            let (uuid, unknown) = (bring_about(&server, state).await, new_uuid());
            let reply = send(&other, &service, verb, &uuid).await;
            let mut nothing = send(&other, &service, verb, &unknown).await;
            if ["chunk", "chunk, file first", "single file"].contains(&verb) {
                // A new uuid here belongs to the first sender, so the reply may show that it is taken, but not by whom
                // or what became of it.
                assert_eq!(nothing.status, 200, "{verb}");
                if state == State::Unknown {
                    continue;
                }
                nothing = other.status(&new_uuid()).await;
            }
            assert_eq!(
                comparable(&reply, &uuid),
                comparable(&nothing, &unknown),
                "{verb}, {state:?}"
            );
        }
    }
}

/// What the owner gets (protocol, sections 4 to 7).
fn expected(verb: &str, state: State) -> u16 {
    use State::{Attached, Cancelled, Deleted, Expired, Replaced, Unfinished, Unknown};
    let sends = ["chunk", "chunk, file first", "single file"].contains(&verb);
    match state {
        _ if verb == "files" => 200, // of another user: null
        Unknown if sends => 200,
        Unknown => 404,
        _ if verb == "parent" => match state {
            Cancelled | Deleted | Expired => 404,
            Attached => 409,
            _ => 200, // a thumbnail stands for its parent
        },
        Cancelled | Deleted | Expired => 410,
        Replaced if ["status", "file", "done", "done as JSON"].contains(&verb) => 200,
        Replaced => 410,
        Unfinished => match verb {
            "status" | "chunk" | "chunk, file first" | "POST delete" | "DELETE" => 200,
            "file" => 404,
            "single file" => 409,
            _ => 400,
        },
        _ if sends => 409,
        Attached if verb == "DELETE" || verb == "POST delete" => 409,
        _ => 200,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn to_its_owner_every_state_is_what_it_is() {
    let mut wrong = Vec::new();
    for state in STATES {
        let server = Server::start().await;
        for verb in VERBS {
            let uuid = bring_about(&server, state).await;
            let reply = send(&server.user(1), &server.service(), verb, &uuid).await;
            if reply.status.as_u16() != expected(verb, state) {
                wrong.push(format!(
                    "{verb}, {state:?}: {} {}",
                    reply.status,
                    String::from_utf8_lossy(&reply.body)
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_shows_its_file_while_there_is_one() {
    let server = Server::start().await;
    let (user, nobody) = (server.user(1), server.anonymous());
    let file = user.store_picture("a.jpg", jpeg()).await;
    let (url, thumbnail) = (file["url"].as_str().unwrap(), file["thumbnail"].as_str().unwrap());
    for link in [url, thumbnail] {
        assert_eq!(nobody.get(link).await.status, 200);
    }
    user.delete(file["uuid"].as_str().unwrap()).await.ok();
    for link in [url, thumbnail] {
        nobody.get(link).await.refused(410, "gone");
        nobody.with("if-none-match", "*").get(link).await.refused(410, "gone");
        nobody.with("range", "bytes=0-0").get(link).await.refused(410, "gone");
    }
}
