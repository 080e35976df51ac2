//! Attacks by strangers: one file per kind, and the replies they must get.

pub(crate) mod corpora;
mod floods;
mod framing;
mod links;
mod memory;
mod names;
mod numbers;
mod paths;
mod quotas;
mod ranges;
mod reservations;
mod served;
mod tokens;
mod verbs;
mod wire;
