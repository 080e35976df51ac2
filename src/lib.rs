//! Haversack: a self-hosted server for the media of private messages.
//!
//! A client splits a file into chunks and sends them in any order. Each chunk is written to its final place, and
//! `?done` turns them into a File without moving a byte. ARCHITECTURE.md is a map of the code. The modules below are in
//! reading order.

pub mod cli;
pub mod config;
pub mod app;
pub mod serve;
pub mod dialects;
pub mod http;
pub mod auth;
pub mod admission;
pub mod jobs;
pub mod files;
pub mod uploads;
pub mod part;
pub mod storage;
pub mod space;
pub mod metadata;
pub mod media;
pub mod filename;
pub mod links;
pub mod page_link;
pub mod fsck;
pub mod control;
pub mod metrics;
pub mod words;
pub mod ids;
pub mod clock;
pub mod crash;
pub mod telemetry;
