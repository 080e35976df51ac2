//! Memory for files on their way to clients who may not take them: how much a connection may have of it, the
//! system's buffers included. Knows no socket and no file.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Bytes that all connections' shares come to at most, as long as there are no more than 14,336 connections. With what
/// thousands of connections take anyway, some 20 KiB each, 256 MiB.
const TOTAL: usize = 224 << 20;
/// The most that is read of a file at once for one client: larger pieces cost no less for each byte.
const LARGEST_PIECE: usize = 72 * 1024;
/// The least, which every connection may have, however many there are.
const SMALLEST_PIECE: usize = 4 * 1024;
/// One connection takes at most so much of what is left, so that the pieces of many become smaller one by one.
const FRACTION: usize = 128;

/// A client is sent more once the system holds fewer unsent bytes of its connection than half of this (tcp(7),
/// `TCP_NOTSENT_LOWAT`).
pub const UNSENT_BYTES: u32 = 16 * 1024;

/// Memory that connections share.
#[derive(Debug)]
pub struct SendMemory {
    /// What has not been given away of what is there beside everybody's least.
    free: Mutex<usize>,
}

impl SendMemory {
    /// The memory of a server with so many connections at most.
    pub fn new(max_connections: usize) -> Arc<Self> {
        let least = max_connections.saturating_mul(cost(SMALLEST_PIECE));
        Arc::new(Self { free: Mutex::new(TOTAL.saturating_sub(least)) })
    }

    /// The share of a new connection. It takes nothing until it is asked for.
    pub fn share(self: &Arc<Self>) -> Arc<Share> {
        Arc::new(Share { memory: Arc::clone(self), piece: OnceLock::new() })
    }

    /// Takes what a piece of this many bytes costs beyond the smallest; gives the size of the piece.
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

/// What a connection holds at most with pieces of this size: one that is being sent, and what the system has not
/// sent of the ones before.
const fn cost(piece: usize) -> usize {
    2 * piece + UNSENT_BYTES as usize / 2
}

const fn extra(piece: usize) -> usize {
    cost(piece) - cost(SMALLEST_PIECE)
}

/// A connection's share, from its first file to its end: what the system holds is not known to be gone earlier.
#[derive(Debug)]
pub struct Share {
    memory: Arc<SendMemory>,
    piece: OnceLock<usize>,
}

impl Share {
    /// How many bytes of a file may be read at once for this connection.
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
    fn hundreds_get_large_pieces_and_nobody_gets_none() {
        let memory = SendMemory::new(CONNECTIONS);
        let pieces = pieces(&shares(&memory, CONNECTIONS));
        assert!(pieces[..400].iter().all(|piece| *piece == LARGEST_PIECE));
        assert!(pieces.is_sorted_by(|earlier, later| earlier >= later));
        assert_eq!(pieces.last(), Some(&SMALLEST_PIECE));
    }

    #[test]
    fn more_connections_than_the_memory_is_meant_for_get_small_pieces() {
        let memory = SendMemory::new(100_000);
        assert_eq!(memory.share().piece(), SMALLEST_PIECE);
    }

    #[test]
    fn a_connection_that_sends_no_file_takes_nothing() {
        let memory = SendMemory::new(CONNECTIONS);
        let _idle = shares(&memory, CONNECTIONS - 1);
        assert_eq!(memory.share().piece(), LARGEST_PIECE);
    }

    #[test]
    fn what_a_connection_had_is_there_for_the_next() {
        let memory = SendMemory::new(CONNECTIONS);
        let all = shares(&memory, CONNECTIONS);
        pieces(&all);
        drop(all);
        assert_eq!(memory.share().piece(), LARGEST_PIECE);
    }
}
