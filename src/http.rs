//! HTTP that dialects share: connections, bodies, ranges, links, and the routes that belong to no dialect. Knows no
//! dialect.

pub mod answer;
pub mod body;
pub mod context;
pub mod cors;
pub mod delivery;
pub mod disposition;
pub mod error;
pub mod multipart;
pub mod ops;
pub mod options;
pub mod pace;
pub mod page;
pub mod range;
pub mod request;
pub mod send_memory;
pub mod server;
