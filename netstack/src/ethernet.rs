//! Heartbeats as Ethernet frames.
//!
//! ```text
//! 0        6        12     14     15     16     18
//! +--------+--------+------+------+------+------+---------+---------+
//! | group  | source | type | 0x6b | ver. | len  | payload | padding |
//! +--------+--------+------+------+------+------+---------+---------+
//! ```
//!
//! Numbers are big-endian. The length says where the payload ends, so the padding of a
//! short frame (IEEE 802.3: 60 bytes without the check sequence) is harmless. There is no
//! checksum of its own: Ethernet has one and the payload is authenticated by its owner.

use heapless::Vec;

use crate::limits;
use crate::types::Mac;

/// Of heartbeats: IEEE 802 local experimental 1.
pub const ETHERTYPE: u16 = 0x88b5;

/// Where heartbeats go: a locally administered group address, "kodo" inside.
pub const GROUP_MAC: Mac = Mac([0x03, 0x6b, 0x6f, 0x64, 0x6f, 0x00]);

/// Bytes of an Ethernet header.
pub const HEADER: usize = 14;

/// Shortest frame that may go on a wire, without its check sequence.
pub const SHORTEST: usize = 60;

/// Bytes between the Ethernet header and the payload.
const PREAMBLE: usize = 4;
/// Others may use the experimental type too; this byte tells theirs apart cheaply.
const MAGIC: u8 = 0x6b;
/// Of this framing, not of the payload.
const VERSION: u8 = 1;

/// Bytes on the wire for a payload of so many bytes.
pub const fn wire_len(payload: usize) -> usize {
    let len = HEADER + PREAMBLE + payload;
    if len < SHORTEST { SHORTEST } else { len }
}

/// Builds a heartbeat frame. `None` when the payload is empty or longer than
/// [`limits::FRAME`].
pub fn heartbeat(source: Mac, payload: &[u8]) -> Option<Vec<u8, { limits::PACKET }>> {
    if payload.is_empty() || payload.len() > limits::FRAME {
        return None;
    }
    let len = u16::try_from(payload.len()).ok()?;
    let mut frame = Vec::new();
    frame.extend_from_slice(&GROUP_MAC.0).ok()?;
    frame.extend_from_slice(&source.0).ok()?;
    frame.extend_from_slice(&ETHERTYPE.to_be_bytes()).ok()?;
    frame.extend_from_slice(&[MAGIC, VERSION]).ok()?;
    frame.extend_from_slice(&len.to_be_bytes()).ok()?;
    frame.extend_from_slice(payload).ok()?;
    pad(&mut frame);
    Some(frame)
}

/// The payload behind a heartbeat's Ethernet header. `None` when it is not ours or its
/// length is impossible.
pub(crate) fn payload(body: &[u8]) -> Option<&[u8]> {
    let (&[magic, version, high, low], rest) = body.split_first_chunk()?;
    let len = usize::from(u16::from_be_bytes([high, low]));
    let known = magic == MAGIC && version == VERSION && (1..=limits::FRAME).contains(&len);
    if known { rest.get(..len) } else { None }
}

/// Fills a short frame up with zeros, so that no driver pads it with old memory.
pub(crate) fn pad(frame: &mut Vec<u8, { limits::PACKET }>) {
    if frame.len() < SHORTEST {
        frame
            .resize(SHORTEST, 0)
            .expect("the shortest frame fits in the largest");
    }
}
