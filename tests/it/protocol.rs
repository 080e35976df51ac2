//! The wire contract, one file a section (docs/protocol.md).

mod auth;
mod chunks;
mod cors;
mod delivery;
mod done;
mod early;
mod endpoints;
mod errors;
mod fields;
mod files;
mod forms;
mod hangups;
mod limits;
mod links;
mod list;
mod ownership;
mod page;
mod placement;
mod placement_errors;
mod quotas;
mod replies;
mod restart;
mod singles;
mod sweep;
mod thumbnails;
mod types;
