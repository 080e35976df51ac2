//! Memory for files that are being sent to clients that may not read them: how much each connection may use, including
//! the system's buffers. Knows no sockets or files.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Maximum number of bytes for all connections together, as long as there are at most 14,336. Thousands of connections
/// use some 20 KiB each for other things; together, this makes 256 MiB.
const TOTAL: usize = 224 << 20;
/// Maximum number of bytes read from a file at once for one client. Larger pieces are no cheaper per byte.
const LARGEST_PIECE: usize = 72 * 1024;
/// The minimum, which every connection gets, however many there are.
const SMALLEST_PIECE: usize = 4 * 1024;
/// One connection may take this fraction (1/128) of the free memory, so that pieces shrink gradually as connections are
/// added.
const FRACTION: usize = 128;

/// More is written to a connection once the system holds less than half of this unsent (tcp(7), `TCP_NOTSENT_LOWAT`).
pub const UNSENT_BYTES: u32 = 16 * 1024;

/// Memory that connections share.
#[derive(Debug)]
pub struct SendMemory {
    /// Number of unused bytes, not counting every connection's minimum.
    free: Mutex<usize>,
}

impl SendMemory {
    /// Creates the memory of a server with at most this many connections.
    pub fn new(max_connections: usize) -> Arc<Self> {
        let least = max_connections.saturating_mul(cost(SMALLEST_PIECE));
        Arc::new(Self { free: Mutex::new(TOTAL.saturating_sub(least)) })
    }

    /// Returns the share of a new connection, which uses nothing yet.
    pub fn share(self: &Arc<Self>) -> Arc<Share> {
        Arc::new(Share { memory: Arc::clone(self), piece: OnceLock::new() })
    }

    /// Reserves what the next piece costs beyond the minimum. Returns the size of the piece.
    fn take(&self) -> usize {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let piece = (SMALLEST_PIECE + *free / FRACTION).min(LARGEST_PIECE);
        let piece = piece - piece % SMALLEST_PIECE; // whole pages
        *free -= extra(piece);
        piece
    }

    fn give_back(&self, piece: usize) {
        *self.free.lock().unwrap_or_else(PoisonError::into_inner) += extra(piece);
    }
}

/// Maximum number of bytes that a connection uses with pieces of this size: the piece being sent, and what the system
/// hasn't sent yet of earlier ones.
const fn cost(piece: usize) -> usize {
    2 * piece + UNSENT_BYTES as usize / 2
}

const fn extra(piece: usize) -> usize {
    cost(piece) - cost(SMALLEST_PIECE)
}

/// A connection's share, kept from its first file until it ends, because only then has the system surely freed its
/// buffers.
#[derive(Debug)]
pub struct Share {
    memory: Arc<SendMemory>,
    piece: OnceLock<usize>,
}

impl Share {
    /// Number of bytes of a file that may be read at once for this connection.
    pub fn piece(&self) -> usize {
        *self.piece.get_or_init(|| self.memory.take())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(piece) = self.piece.get() {
            self.memory.give_back(*piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONNECTIONS: usize = 8192;

    fn shares(memory: &Arc<SendMemory>, count: usize) -> Vec<Arc<Share>> {
        std::iter::repeat_with(|| memory.share()).take(count).collect()
    }

    fn pieces(shares: &[Arc<Share>]) -> Vec<usize> {
        shares.iter().map(|share| share.piece()).collect()
    }

    #[test]
    fn one_connection_costs_at_most_256_kib() {
        let memory = SendMemory::new(CONNECTIONS);
        assert!(cost(memory.share().piece()) <= 256 * 1024);
    }

    #[test]
    fn all_connections_together_cost_at_most_256_mib() {
        let memory = SendMemory::new(CONNECTIONS);
        let pieces = pieces(&shares(&memory, CONNECTIONS));
        assert!(pieces.iter().map(|piece| cost(*piece)).sum::<usize>() <= 256 << 20);
    }

    #[test]
    fn hundreds_get_large_pieces_and_everybody_gets_some() {
        let memory = SendMemory::new(CONNECTIONS);
        let pieces = pieces(&shares(&memory, CONNECTIONS));
        assert!(pieces[..400].iter().all(|piece| *piece == LARGEST_PIECE));
        assert!(pieces.is_sorted_by(|earlier, later| earlier >= later));
        assert_eq!(pieces.last(), Some(&SMALLEST_PIECE));
    }

    #[test]
    fn more_connections_than_planned_for_get_small_pieces() {
        let memory = SendMemory::new(100_000);
        assert_eq!(memory.share().piece(), SMALLEST_PIECE);
    }

    #[test]
    fn a_connection_that_sends_no_file_uses_no_memory() {
        let memory = SendMemory::new(CONNECTIONS);
        let _idle = shares(&memory, CONNECTIONS - 1);
        assert_eq!(memory.share().piece(), LARGEST_PIECE);
    }

    #[test]
    fn memory_of_a_closed_connection_is_available_again() {
        let memory = SendMemory::new(CONNECTIONS);
        let all = shares(&memory, CONNECTIONS);
        pieces(&all);
        drop(all);
        assert_eq!(memory.share().piece(), LARGEST_PIECE);
    }
}
