//! The one integration binary: the server over real sockets.

mod stores;
