//! What strangers send who mean harm: each file owns one kind of it, and what it must be answered with.

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
