//! Runs a sequence against the server, and keeps every world that can explain its replies.

mod explain;

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::Fault;
use super::case::{Act, Case, Step};
use super::request::{Answer, Create, Join, Key, Request, User};
use super::server::Server;
use super::wire::{Name, Names, Spelling, answer};
use super::world::World;
use crate::process::http::{self, Reply, connect};
use crate::properties::Plan;
use explain::{distinct, explain, made};

/// A paused sender continues after this time, whatever the others do, because they may be waiting for it.
const STALL: Duration = Duration::from_millis(10);

/// Number of steps, and of simultaneous possible worlds: the figures of a trial.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) sequences: usize,
    pub(crate) requests: usize,
    pub(crate) most_worlds: usize,
}

/// A running sequence.
pub(crate) struct Trial<'a> {
    server: &'a mut Server,
    case: &'a Case,
    fault: Option<Fault>,
    /// Tokens of both users.
    tokens: [String; 2],
    service: String,
    /// The numbers of the users.
    users: [i64; 2],
    names: Names,
    worlds: Vec<World>,
    log: Vec<String>,
    figures: &'a mut Figures,
}

/// A request and its result.
struct Call {
    request: Request,
    /// `None` means that the result is unknown.
    answer: Option<Answer>,
    /// The message, if it was refused; for the log.
    said: String,
}

/// Why a sequence can't be explained.
pub(crate) type Divergence = String;

impl<'a> Trial<'a> {
    /// Starts with two users who have nothing yet; `first` is the number of the first one.
    pub(crate) fn new(
        server: &'a mut Server,
        case: &'a Case,
        first_user: i64,
        fault: Option<Fault>,
        figures: &'a mut Figures,
    ) -> Self {
        let users = [first_user, first_user + 1];
        let mistake = match fault {
            Some(Fault::Model(mistake)) => Some(mistake),
            _ => None,
        };
        Self {
            tokens: users.map(|user| server.token(Some(user))),
            service: server.token(None),
            names: case.names(),
            worlds: vec![World::new(mistake)],
            log: Vec::new(),
            server,
            case,
            fault,
            users,
            figures,
        }
    }

    /// Runs all steps, and looks at everything at the end.
    pub(crate) fn run(mut self) -> Result<(), Divergence> {
        self.figures.sequences += 1;
        for step in &self.case.steps {
            self.step(step)?;
        }
        for key in 0..self.names.0.len() {
            for at in 0..4 {
                self.one(&Act::look(key, at))?;
            }
        }
        (0..2).try_for_each(|user| self.one(&Act::look(user, 4)))
    }

    fn step(&mut self, step: &Step) -> Result<(), Divergence> {
        match step {
            Step::One(act) => self.one(act),
            Step::Through { on, plan, done } => {
                let acts = self.case.through(*on, plan, *done, &self.names);
                acts.iter().try_for_each(|act| self.one(act))
            }
            Step::Stream { on, plan, size, is_piece } => {
                self.stream(*on, plan, *size, *is_piece).map(drop)
            }
            Step::Pieces { on, plan, unheard } => self.pieces(on, plan, *unheard),
            Step::Together(acts) => self.together(acts),
            Step::Cut(act, at) => {
                self.unheard(act, |bytes| bytes.len() * usize::from(*at) / 1000, false);
                Ok(())
            }
            Step::Unheard(act) => {
                self.unheard(act, <[u8]>::len, true);
                Ok(())
            }
            Step::Skip { days } => {
                self.log.push(format!("{days} days go by"));
                self.server.skip(*days);
                self.worlds.iter_mut().for_each(|world| world.skip(*days));
                self.names.0.iter_mut().for_each(|name| name.link = None); // they expire too
                Ok(())
            }
            Step::Restart => {
                self.log.push("the server is stopped and started".into());
                let flips = self.fault == Some(Fault::FlipsBytes);
                self.server.restart(|blobs| {
                    if flips {
                        super::flip_bytes(blobs)
                    }
                });
                Ok(())
            }
            Step::Erase(user) => {
                self.log.push(format!("user {user} is erased"));
                self.server.erase(self.users[*user]);
                self.worlds.iter_mut().for_each(|world| world.erase(*user));
                Ok(())
            }
            Step::Kill { acts, after_micros } => self.kill(acts, *after_micros),
        }
    }

    /// Sends a file by tus; its uuid, if it was created.
    fn stream(
        &mut self,
        on: u8,
        plan: &Plan,
        size: u8,
        is_piece: bool,
    ) -> Result<Option<Key>, Divergence> {
        let key = self.names.0.len();
        let acts = self.case.stream(on, plan, size, is_piece, &self.names);
        for act in &acts {
            self.one(act)?;
            if self.names.0.len() == key {
                return Ok(None);
            }
        }
        Ok(Some(key))
    }

    fn pieces(&mut self, on: &[u8], plan: &Plan, unheard: bool) -> Result<(), Divergence> {
        let mut pieces = Vec::new();
        for at in on {
            // All of one user's.
            let user = self.names.0[self.names.pick(on[0])].user;
            let of_user = |at: &usize| self.names.0[*at % self.names.0.len()].user == user;
            let at = (usize::from(*at)..).find(of_user).expect("the first");
            pieces.extend(self.stream((at % self.names.0.len()) as u8, plan, 50, true)?);
        }
        let Some(act) = self.case.joining(&pieces, plan, &self.names) else { return Ok(()) };
        if unheard {
            self.unheard(&act, <[u8]>::len, true);
        }
        self.one(&act)
    }

    /// What an act has become, and the request to send.
    fn resolve(&self, act: &Act) -> (Request, http::Request) {
        let request = act.request(&self.case.files, &self.names);
        let spelling = Spelling { names: &self.names, plan: &act.plan };
        let token = |user: &usize| &self.tokens[*user];
        let (http, token) = match &request {
            Request::Files { key, attach, of } => {
                let of = of.map(|user| self.users[user]);
                (spelling.files(*key, *attach, of), Some(&self.service))
            }
            Request::Link(..) => (spelling.http(&request), None),
            Request::Delete(None, _) | Request::End(None, _) => {
                (spelling.http(&request), Some(&self.service))
            }
            Request::Chunk(user, _)
            | Request::Single(user, _)
            | Request::Thumbnail(user, _)
            | Request::Done(user, _)
            | Request::Status(user, _)
            | Request::File(user, _)
            | Request::List(user)
            | Request::Create(user, _)
            | Request::Join(user, _)
            | Request::Patch(user, _)
            | Request::Head(user, _)
            | Request::Redirect(user, _)
            | Request::End(Some(user), _)
            | Request::Delete(Some(user), _) => (spelling.http(&request), Some(token(user))),
        };
        let http = match token {
            Some(token) => http.token(token),
            None => http,
        };
        (request, http)
    }

    fn one(&mut self, act: &Act) -> Result<(), Divergence> {
        let (request, http) = self.resolve(act);
        let reply = http.send_split(self.server.host(), &act.plan.writes).expect("a reply");
        let call = self.heard(act, request, Some(reply));
        self.judge(&[call])
    }

    fn heard(&mut self, act: &Act, request: Request, reply: Option<Reply>) -> Call {
        let file = act.file(&self.names);
        let said = reply.as_ref().map_or(String::new(), Reply::message);
        let answer = reply.map(|reply| answer(&request, &reply, &mut self.names));
        if let (true, Some(key)) = (request.makes_uuid(), answer.as_ref().and_then(Answer::made)) {
            self.names.0[key].file = file; // continue with the file that it began with
        }
        Call { request, answer, said }
    }

    /// Sends several at once, each on its own connection and thread.
    fn together(&mut self, acts: &[Pausing]) -> Result<(), Divergence> {
        let resolved: Vec<_> = acts.iter().map(|(act, _)| self.resolve(act)).collect();
        let (acts, resolved) = told_of_all(acts, resolved);
        let host = self.server.host();
        let (answered, others): (Vec<_>, Vec<_>) = acts.iter().map(|_| channel()).unzip();
        let replies: Vec<Reply> = std::thread::scope(|scope| {
            let senders: Vec<_> = resolved
                .iter()
                .zip(&acts)
                .zip(others)
                .map(|(((_, http), (_, stall)), other)| {
                    let answered = answered.clone();
                    scope.spawn(move || {
                        let reply = send_hanging(http, host, *stall, &other);
                        for other in &answered {
                            let _: Result<(), _> = other.send(()); // it may have finished
                        }
                        reply.expect("a reply")
                    })
                })
                .collect();
            senders.into_iter().map(|sender| sender.join().expect("no panic")).collect()
        });
        let mut calls: Vec<_> = acts.into_iter().zip(resolved).zip(replies).collect();
        // Other replies may reveal the uuids that were made.
        calls.sort_by_key(|((_, (request, _)), _)| !request.makes_uuid());
        let calls: Vec<_> = calls
            .into_iter()
            .map(|(((act, _), (request, _)), reply)| self.heard(act, request, Some(reply)))
            .collect();
        self.judge(&calls)
    }

    /// Sends this many bytes of a request, hangs up, and waits until the server has finished with it.
    fn unheard(&mut self, act: &Act, length: impl Fn(&[u8]) -> usize, whole: bool) {
        let (request, http) = self.resolve(act);
        let made = match &request {
            Request::Join(user, join) if whole && self.names.are_known() => {
                self.unheard_name(*user, join)
            }
            // Only the reply reveals which uuid to ask for.
            request if whole && request.makes_uuid() => return,
            _ => Key::MAX,
        };
        let bytes = http.bytes(self.server.host());
        let mut stream = connect(self.server.host()).expect("connected");
        let _ = hang_up(&mut stream, &bytes[..length(&bytes)]);
        self.server.settle();
        let part = if whole { "all" } else { "a part" };
        self.log.push(format!("{request:?}: {part} of it, and nobody hears the answer"));
        self.figures.requests += 1;
        let worlds = self.worlds.iter().flat_map(|world| world.possible(&request, None));
        let worlds = worlds.flat_map(|world| world.unheard(&request, made, whole));
        self.worlds = distinct(worlds);
    }

    /// A name for what is joined while nobody hears the reply.
    fn unheard_name(&mut self, user: User, join: &Join) -> Key {
        let unheard = Some(join.pieces.clone());
        self.names.0.push(Name { unheard, ..Name::new(String::new(), user, 0) });
        self.names.0.len() - 1
    }

    /// Drops the server during these requests.
    fn kill(&mut self, acts: &[Act], after_micros: u64) -> Result<(), Divergence> {
        let resolved = acts.iter().map(|act| (act, self.resolve(act)));
        let resolved: Vec<_> = resolved.filter(|(_, (request, _))| !request.makes_uuid()).collect();
        let host = self.server.host().to_owned();
        let replies: Vec<Option<Reply>> = std::thread::scope(|scope| {
            let host = &host;
            let senders: Vec<_> = resolved
                .iter()
                .map(|(_, (_, http))| scope.spawn(move || http.send(host).ok()))
                .collect();
            std::thread::sleep(Duration::from_micros(after_micros)); // in the middle of them
            self.server.kill();
            senders.into_iter().map(|sender| sender.join().expect("no panic")).collect()
        });
        self.log.push("the server is dropped, and started again".into());
        let calls = resolved.into_iter().zip(replies);
        let mut calls: Vec<_> =
            calls.map(|((act, (request, _)), reply)| self.heard(act, request, reply)).collect();
        for call in &mut calls {
            if call.answer == Some(Answer::refused("internal")) {
                call.answer = None; // what it waited for was dropped
            }
        }
        self.judge(&calls)
    }

    /// Keeps the worlds in which these calls, in some order, have these replies.
    fn judge(&mut self, calls: &[Call]) -> Result<(), Divergence> {
        for Call { request, answer, said } in calls {
            let together = if calls.len() > 1 { "at once: " } else { "" };
            self.log.push(format!("{together}{request:?}\n        -> {answer:?} {said}"));
        }
        self.figures.requests += calls.len();
        let mut worlds = explain(&self.worlds, calls, &vec![false; calls.len()]);
        for Call { request, answer, .. } in calls {
            let Some(answer) = answer else { continue };
            worlds.iter_mut().for_each(|world| world.heard(request, answer));
        }
        worlds.iter_mut().for_each(World::settle); // the sender of a thumbnail has waited for its picture
        let worlds = distinct(worlds);
        if worlds.is_empty() {
            return Err(self.divergence(calls));
        }
        self.worlds = worlds;
        self.figures.most_worlds = self.figures.most_worlds.max(self.worlds.len());
        Ok(())
    }

    fn divergence(&self, calls: &[Call]) -> Divergence {
        let allowed: Vec<String> = self
            .worlds
            .iter()
            .take(3)
            .flat_map(|world| calls.iter().map(move |call| (world, call)))
            .flat_map(|(world, call)| {
                let worlds = world.possible(&call.request, call.answer.as_ref()).into_iter();
                worlds.flat_map(|world| world.outcomes(&call.request, made(call)))
            })
            .map(|(answer, _)| format!("    {answer:?}"))
            .collect();
        format!(
            "no world of {} explains the last answer of\n{}\nallowed were, each alone:\n{}",
            self.worlds.len(),
            self.log.join("\n"),
            allowed.join("\n")
        )
    }
}

/// A request, and after how many thousandths of it it pauses until another one is answered.
type Pausing = (Act, Option<u16>);

/// These requests, but beside a list none that makes an upload in several steps: the list may show it in between, with
/// none of its bytes, or under a uuid that nobody tells because the request is refused in the end.
fn told_of_all<T>(
    acts: &[Pausing],
    resolved: Vec<(Request, T)>,
) -> (Vec<&Pausing>, Vec<(Request, T)>) {
    let lists = resolved.iter().any(|(request, _)| matches!(request, Request::List(_)));
    let is_told = |request: &Request| match request {
        _ if !lists => true,
        Request::Create(_, Create { md5, bytes, .. }) => md5.is_none() && bytes.is_none(),
        Request::Join(_, Join { md5, .. }) => md5.is_none(),
        _ => true,
    };
    acts.iter().zip(resolved).filter(|(_, (request, _))| is_told(request)).unzip()
}

/// Sends a request that may pause after this many thousandths of it, until another one is answered.
fn send_hanging(
    http: &http::Request,
    host: &str,
    stall: Option<u16>,
    others: &Receiver<()>,
) -> io::Result<Reply> {
    let bytes = http.bytes(host);
    let mut stream = connect(host)?;
    let first = stall.map_or(0, |at| bytes.len() * usize::from(at) / 1000);
    stream.write_all(&bytes[..first])?;
    if stall.is_some() {
        let _ = others.recv_timeout(STALL);
    }
    // A request that was refused meanwhile may find the connection closed; its reply has still arrived.
    let _ = stream.write_all(&bytes[first..]);
    http::receive(stream)
}

/// Sends, closes the sending side, and waits until the server closes too.
fn hang_up(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)?;
    stream.shutdown(Shutdown::Write)?;
    stream.read_to_end(&mut Vec::new())?;
    Ok(())
}
