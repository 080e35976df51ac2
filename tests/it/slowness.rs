//! Clients that are slow, silent or too many: they are cut off soon or have to wait, and nobody else notices.

mod crowds;
mod downloads;
mod limits;
mod timeouts;
