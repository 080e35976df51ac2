//! The program itself, as its operator meets it: started with flags, variables and a file, stopped in
//! order, and killed. Knows the server only through its outputs, its exit code and HTTP.

#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::similar_names)] // test data is small, and a test has the names of its subject

mod config;
mod dashboards;
mod databases;
mod diagnosis;
mod erasing;
pub(crate) mod http;
mod jobs;
pub(crate) mod killing;
mod large;
pub(crate) mod ledger;
mod many;
pub(crate) mod metrics;
mod moving;
mod nginx;
mod outputs;
mod page;
pub(crate) mod program;
mod readme;
mod requests;
mod rotation;
mod sandbox;
mod scattered;
mod secrecy;
mod secrets;
mod service;
mod settings;
mod starting;
mod stopping;
mod upgrade;
mod upkeep;
