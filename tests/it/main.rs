//! The one integration binary: the server over real sockets.

mod process;
mod properties;
mod stores;
