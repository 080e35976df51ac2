//! The one integration binary: the server over real sockets.

mod harness;
mod process;
mod properties;
mod protocol;
mod stores;
