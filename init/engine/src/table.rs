//! The table of operators' wishes as it lies on disk: bytes in, a narrow valid type out.
//!
//! Owns the layout, the MAC and every check. Total: any bytes give a [`Table`] or a
//! typed reason why not. Never judges whether what it says is still wanted; stamps do.
//!
//! ```text
//! "kodostat" | layout 1 | cluster id 4, LE | length of the body 2, LE | body | MAC 16
//! body (postcard) = serial number | registers until the end
//! ```
//!
//! The MAC is a heartbeat's: HMAC-SHA-256 by a cluster key, truncated to 16 bytes. No
//! heartbeat begins like a table, so neither can be taken for the other. What follows the
//! MAC is padding. Of two tables the one with the higher serial number is the newer.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::codec::{COUNT_LIMIT, Codec, MAC, append};
use crate::limits;
use crate::operator::Register;

const MAGIC: &[u8; 8] = b"kodostat";
const LAYOUT: u8 = 1;
const HEADER: usize = MAGIC.len() + 1 + 4 + 2;
/// Worst-case encoded sizes, proven by test.
const SERIAL: usize = 6;
const REGISTER: usize = crate::codec::REGISTER;

const _: () = assert!(
    HEADER + SERIAL + limits::REGISTERS * REGISTER + MAC <= limits::STATE,
    "a full table fits"
);

/// A table as it is written.
pub type Block = Vec<u8, { limits::STATE }>;

/// A table that was written by this cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Grows with every write on one node.
    pub serial: u64,
    /// The wishes, in any order.
    pub registers: Vec<Register, { limits::REGISTERS }>,
}

/// Why bytes from a disk are no table of this cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Nothing was ever written there: zeroes.
    Blank,
    /// Something that is not this program's.
    Foreign,
    /// A table of another cluster, of another layout, or by a key that is not accepted.
    NotOurs,
    /// It was cut short or damaged, as by a power cut in the middle of a write.
    Torn,
}

impl Codec {
    /// Lays out a table. What would not fit is left out: [`limits::STATE`] holds a full one.
    pub(crate) fn seal_table(
        &self,
        serial: u64,
        registers: impl Iterator<Item = Register>,
    ) -> Block {
        let mut bytes = [0u8; limits::STATE];
        let room = limits::STATE - MAC;
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8] = LAYOUT;
        bytes[9..13].copy_from_slice(&self.cluster_id().to_le_bytes());
        let mut end = HEADER;
        let fits = append(&mut bytes[..room], &mut end, &serial)
            && registers
                .into_iter()
                .all(|register| append(&mut bytes[..room], &mut end, &register));
        assert!(fits, "a full table fits");
        let length = u16::try_from(end - HEADER).unwrap_or(u16::MAX);
        bytes[13..HEADER].copy_from_slice(&length.to_le_bytes());
        let mac = self.sign(&bytes[..end]);
        bytes[end..end + MAC].copy_from_slice(&mac);
        Block::from_slice(&bytes[..end + MAC]).unwrap_or_default()
    }

    /// Checks bytes from a disk and gives their meaning.
    ///
    /// # Errors
    /// Why they are no table of this cluster.
    pub fn open_table(&self, bytes: &[u8]) -> Result<Table, Unreadable> {
        if bytes.iter().all(|byte| *byte == 0) {
            return Err(Unreadable::Blank);
        }
        if !bytes.starts_with(MAGIC) {
            return Err(Unreadable::Foreign);
        }
        let header = bytes.get(..HEADER).ok_or(Unreadable::Torn)?;
        if header[8] != LAYOUT || header[9..13] != self.cluster_id().to_le_bytes() {
            return Err(Unreadable::NotOurs);
        }
        let length = usize::from(u16::from_le_bytes([header[13], header[14]]));
        let end = HEADER + length;
        let signed = bytes.get(..end).ok_or(Unreadable::Torn)?;
        let mac = bytes.get(end..end + MAC).ok_or(Unreadable::Torn)?;
        if !self.is_authentic(signed, mac) {
            // a torn write and a key that is not accepted look the same
            return Err(Unreadable::Torn);
        }
        decode(&signed[HEADER..])
            .filter(|table| self.is_in_range(table))
            .ok_or(Unreadable::NotOurs)
    }

    /// Every value in range: what comes after may index and count without fear.
    fn is_in_range(&self, table: &Table) -> bool {
        table.serial < COUNT_LIMIT
            && table
                .registers
                .iter()
                .all(|register| self.plausible(register))
    }
}

fn decode(body: &[u8]) -> Option<Table> {
    let (serial, mut rest) = postcard::take_from_bytes(body).ok()?;
    let mut registers = Vec::new();
    while !rest.is_empty() {
        let (register, after) = postcard::take_from_bytes(rest).ok()?;
        registers.push(register).ok()?;
        rest = after;
    }
    Some(Table { serial, registers })
}

/// What one node's disk holds, as it tells the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Disk {
    /// The file gives it no state partition.
    None,
    /// Its partition was not read yet, or does not take writes at present.
    Failing,
    /// Its partition works and holds the table with this [`crate::operator::Registers::digest`].
    Holds(#[serde(with = "postcard::fixint::le")] u32),
}

#[cfg(test)]
mod tests;
