//! HTTP that dialects share: connections, bodies, ranges, links, what is seen of requests, and the routes that belong to no
//! dialect. Knows no dialect.

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
pub mod refusal;
pub mod request;
pub mod requests;
pub mod send_memory;
pub mod server;
pub mod values;
