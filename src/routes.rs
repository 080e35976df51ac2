//! HTTP in, one call, HTTP out: one file a resource.

pub mod delivery;
pub mod files;
pub mod ops;
pub mod page;
pub mod request;
pub mod tokens;
pub mod uploads;
