//! Where the load goes, and what it consists of.

use serde::Deserialize;

use crate::dialect::{Dialect, Speaker};

/// Where requests go.
#[derive(Deserialize)]
pub(crate) struct Target {
    pub(crate) address: std::net::SocketAddr,
    pub(crate) dialect: Dialect,
    pub(crate) path: String,
    /// Tokens, used by the clients in turn; empty if requests carry none.
    pub(crate) tokens: Vec<String>,
}

impl Target {
    pub(crate) fn speaker(&self, client: usize) -> Speaker {
        let token = self.tokens.get(client % self.tokens.len().max(1)).cloned();
        Speaker {
            dialect: self.dialect,
            host: self.address.to_string(),
            path: self.path.clone(),
            token: token.unwrap_or_default(),
        }
    }
}

/// Bytes that look random and can't be compressed, the same in every run (xorshift).
pub(crate) fn payload(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
