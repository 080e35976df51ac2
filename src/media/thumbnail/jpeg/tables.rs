//! Tables before and between entropy-coded data.

use super::huffman::Table;
use super::markers::{APP0, APP14, DHT, DQT, DRI};

/// What scans need besides entropy-coded data, as of the current position in the file.
pub(super) struct Tables {
    pub(super) quantization: [Option<[u16; 64]>; 4],
    pub(super) dc: [Option<Table>; 4],
    pub(super) ac: [Option<Table>; 4],
    /// In groups of blocks; zero for none.
    pub(super) restart_interval: u32,
    pub(super) is_jfif: bool,
    /// The colour transform in Adobe's marker.
    pub(super) adobe_transform: Option<u8>,
}

impl Default for Tables {
    fn default() -> Self {
        let [dc, ac] = Table::standard();
        Self {
            quantization: [None; 4],
            dc,
            ac,
            restart_interval: 0,
            is_jfif: false,
            adobe_transform: None,
        }
    }
}

impl Tables {
    /// Reads a segment. Damaged parts of it change nothing.
    pub(super) fn read(&mut self, marker: u8, body: &[u8]) {
        match marker {
            DQT => drop(self.read_quantization(body)),
            DHT => drop(self.read_codes(body)),
            DRI => {
                let interval = body.first_chunk().map(|bytes| u16::from_be_bytes(*bytes));
                self.restart_interval = interval.unwrap_or(0).into();
            }
            APP0 => self.is_jfif |= body.starts_with(b"JFIF\0"),
            APP14 if body.starts_with(b"Adobe") => self.adobe_transform = body.get(11).copied(),
            _ => {}
        }
    }

    /// T.81 section B.2.4.1.
    fn read_quantization(&mut self, mut body: &[u8]) -> Option<()> {
        while let Some((kind, rest)) = body.split_first() {
            let mut steps = [0; 64];
            body = if kind >> 4 == 0 {
                let (bytes, rest) = rest.split_first_chunk::<64>()?;
                steps = bytes.map(u16::from);
                rest
            } else {
                let (bytes, rest) = rest.split_first_chunk::<128>()?;
                let pairs = bytes.as_chunks::<2>().0;
                steps
                    .iter_mut()
                    .zip(pairs)
                    .for_each(|(step, pair)| *step = u16::from_be_bytes(*pair));
                rest
            };
            *self.quantization.get_mut(usize::from(kind & 15))? = Some(steps);
        }
        Some(())
    }

    /// T.81 section B.2.4.2.
    fn read_codes(&mut self, mut body: &[u8]) -> Option<()> {
        while let Some((kind, rest)) = body.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let total = counts.iter().map(|count| usize::from(*count)).sum();
            let (symbols, rest) = rest.split_at_checked(total)?;
            let class = if kind >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            *class.get_mut(usize::from(kind & 15))? = Some(Table::new(counts, symbols)?);
            body = rest;
        }
        Some(())
    }
}
