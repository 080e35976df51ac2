//! Clients that are slow, silent or too many: they are ended soon or made to wait, and nobody else notices.

mod crowds;
mod downloads;
mod limits;
mod timeouts;
