//! Which worlds explain the replies to requests, sent alone or at once.

use super::Call;
use crate::model::request::{Answer, Key, Request, Thumbnail};
use crate::model::world::World;

/// The uuid that the server made for a call.
pub(super) fn made(call: &Call) -> Key {
    call.answer.as_ref().and_then(Answer::made).unwrap_or(Key::MAX)
}

/// The worlds in which all remaining calls get their replies, in any order.
pub(super) fn explain(worlds: &[World], calls: &[Call], taken: &[bool]) -> Vec<World> {
    if taken.iter().all(|taken| *taken) {
        return worlds.to_vec();
    }
    let mut worlds = worlds.to_vec();
    if calls.len() > 1 {
        // A first chunk begins its upload before it counts, and the size that a PATCH declares is recorded before its
        // bytes; other requests may see that in between.
        let begun = calls.iter().zip(taken).filter(|(_, taken)| !**taken).flat_map(|(call, _)| {
            worlds.iter().flat_map(|world| match &call.request {
                Request::Chunk(user, chunk) => world.only_begun(*user, chunk),
                Request::Patch(user, patch) => world.only_sized(*user, patch),
                _ => Vec::new(),
            })
        });
        worlds = distinct(worlds.iter().cloned().chain(begun));
    }
    let mut explained = Vec::new();
    for (at, call) in calls.iter().enumerate().filter(|(at, _)| !taken[*at]) {
        let next = distinct(worlds.iter().flat_map(|world| after(world, calls, at, call)));
        if next.is_empty() {
            continue;
        }
        let mut taken = taken.to_vec();
        taken[at] = true;
        explained.extend(explain(&next, calls, &taken));
    }
    distinct(explained)
}

/// The worlds that this call may have left, given its reply.
fn after(world: &World, calls: &[Call], at: usize, call: &Call) -> Vec<World> {
    let worlds = world.possible(&call.request, call.answer.as_ref()).into_iter();
    worlds.flat_map(|world| after_one(&world, calls, at, call)).collect()
}

fn after_one(world: &World, calls: &[Call], at: usize, call: &Call) -> Vec<World> {
    let Some(answer) = &call.answer else {
        return world.unheard(&call.request, Key::MAX, true);
    };
    let mut outcomes = world.outcomes(&call.request, made(call));
    if let (true, Some(request)) = (calls.len() > 1, seen_before(call, answer)) {
        outcomes.extend(world.outcomes(&request, made(call)));
    }
    let allowed = outcomes.into_iter().filter(|(allowed, _)| match (allowed, answer) {
        // What it was may be counted a moment before it is removed.
        (Answer::Removed(_), Answer::Removed(_)) if calls.len() > 1 => true,
        // A piece may be looked at a moment before it is removed or joined.
        (
            Answer::Refused { .. },
            Answer::Refused { code: "gone" | "not_partial" | "not_found", .. },
        ) if calls.len() > 1 && matches!(call.request, Request::Join(..)) => true,
        _ => allowed == answer,
    });
    let mut worlds: Vec<World> = allowed.map(|(_, world)| world).collect();
    if may_yield(calls, at, answer) {
        worlds.push(world.clone());
        if let Request::Patch(user, patch) = &call.request {
            worlds.extend(world.broken_off(*user, patch)); // what came until then counts
        }
    }
    worlds
}

/// A thumbnail of a thumbnail: its parent may be looked up a moment before the first one is removed.
fn seen_before(call: &Call, answer: &Answer) -> Option<Request> {
    match (&call.request, answer) {
        (Request::Thumbnail(user, sent), Answer::Thumbnail { parent, .. }) => {
            Some(Request::Thumbnail(*user, Thumbnail { parent: *parent, ..sent.clone() }))
        }
        _ => None,
    }
}

/// Whether it may be refused without any effect because of another of these requests.
fn may_yield(calls: &[Call], at: usize, answer: &Answer) -> bool {
    let Answer::Refused { code, .. } = answer else {
        return false;
    };
    let own = &calls[at].request;
    let mut others = calls.iter().enumerate().filter(|(other, _)| *other != at);
    others.any(|(_, Call { request, answer: told, .. })| match (own, request) {
        (Request::Chunk(_, a), Request::Chunk(_, b)) if *code == "superseded" => {
            a.key == b.key && a.index == b.index
        }
        (Request::Patch(..), Request::Head(..)) if *code == "superseded" => true,
        // All requests that arrive at the same moment are told.
        _ if *code == "expired" => {
            told.as_ref() == Some(answer)
                && tells_once(own).is_some_and(|key| tells_once(request) == Some(key))
        }
        _ if own.changes().is_none() || own.changes() != request.changes() => false,
        (Request::Patch(_, a), Request::Patch(_, b)) if *code == "superseded" => {
            a.offset == b.offset
        }
        _ => *code == "raced",
    })
}

/// The upload that a request may say once to be expired.
fn tells_once(request: &Request) -> Option<Key> {
    match request {
        Request::Head(_, key) => Some(*key),
        request => request.changes(),
    }
}

pub(super) fn distinct(worlds: impl IntoIterator<Item = World>) -> Vec<World> {
    let mut distinct = Vec::new();
    for world in worlds {
        if !distinct.contains(&world) {
            distinct.push(world);
        }
    }
    distinct
}
