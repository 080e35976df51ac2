//! Checksums that a sender declares for the bytes of a request. Pure functions.

use std::fmt;

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use md5::{Digest, Md5};

/// A checksum algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// CRC-32 (IEEE 802.3), as four bytes in big-endian order.
    Crc32,
    /// MD5 (RFC 1321).
    Md5,
    /// SHA-1 (FIPS 180-4).
    Sha1,
    /// SHA-256 (FIPS 180-4).
    Sha256,
}

impl Algorithm {
    /// All algorithms.
    pub const ALL: [Self; 4] = [Self::Crc32, Self::Md5, Self::Sha1, Self::Sha256];

    /// The name of the algorithm.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "crc32",
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        }
    }

    /// The length of its checksums in bytes.
    pub fn length(self) -> usize {
        match self {
            Self::Crc32 => 4,
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }
}

/// The checksum that the bytes of a request must have.
#[derive(Clone, PartialEq, Eq)]
pub struct Checksum {
    algorithm: Algorithm,
    digest: Vec<u8>,
}

impl Checksum {
    /// Creates a checksum. Returns `None` if the digest doesn't have the algorithm's length.
    pub fn new(algorithm: Algorithm, digest: Vec<u8>) -> Option<Self> {
        (digest.len() == algorithm.length()).then_some(Self { algorithm, digest })
    }

    /// The algorithm with which it is computed.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Starts computing the checksum of bytes that arrive piece by piece.
    pub(super) fn hasher(&self) -> Hasher {
        match self.algorithm {
            Algorithm::Crc32 => Hasher::Crc32(crc32fast::Hasher::new()),
            Algorithm::Md5 => Hasher::Md5(Md5::new()),
            Algorithm::Sha1 => {
                Hasher::Sha(Box::new(digest::Context::new(&SHA1_FOR_LEGACY_USE_ONLY)))
            }
            Algorithm::Sha256 => Hasher::Sha(Box::new(digest::Context::new(&SHA256))),
        }
    }

    /// Whether the hashed bytes have this checksum.
    pub(super) fn is_of(&self, hasher: Hasher) -> bool {
        self.digest == hasher.finish()
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:02x?}", self.algorithm.name(), self.digest)
    }
}

/// A checksum being computed.
pub(super) enum Hasher {
    Crc32(crc32fast::Hasher),
    Md5(Md5),
    Sha(Box<digest::Context>),
}

impl Hasher {
    /// Adds bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc32(crc) => crc.update(bytes),
            Self::Md5(md5) => md5.update(bytes),
            Self::Sha(sha) => sha.update(bytes),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Crc32(crc) => crc.finalize().to_be_bytes().to_vec(),
            Self::Md5(md5) => md5.finalize().to_vec(),
            Self::Sha(sha) => sha.finish().as_ref().to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checksums of `abc`. The last three are test vectors of RFC 1321 and FIPS 180-4.
    const OF_ABC: [&str; 4] = [
        "352441c2",
        "900150983cd24fb0d6963f7d28e17f72",
        "a9993e364706816aba3e25717850c26c9cd0d89d",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    ];

    fn bytes(hex: &str) -> Vec<u8> {
        let (pairs, _) = hex.as_bytes().as_chunks::<2>();
        let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
        pairs.iter().map(|pair| byte(pair).unwrap()).collect()
    }

    #[test]
    fn each_algorithm_hashes_bytes_in_pieces() {
        for (algorithm, hex) in Algorithm::ALL.into_iter().zip(OF_ABC) {
            let right = Checksum::new(algorithm, bytes(hex)).unwrap();
            let of = |pieces: &[&[u8]]| {
                let mut hasher = right.hasher();
                for piece in pieces {
                    hasher.update(piece);
                }
                right.is_of(hasher)
            };
            assert!(of(&[b"a", b"", b"bc"]), "{right:?}");
            assert!(!of(&[b"abcd"]), "{right:?}");
            assert!(!of(&[]), "{right:?}");
        }
    }

    #[test]
    fn a_digest_of_the_wrong_length_is_no_checksum() {
        for algorithm in Algorithm::ALL {
            assert!(Checksum::new(algorithm, vec![0; algorithm.length() + 1]).is_none());
            assert!(Checksum::new(algorithm, Vec::new()).is_none());
        }
    }
}
