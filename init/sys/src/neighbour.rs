//! Messages about the kernel's neighbours: who it has resolved on a link, and what waits
//! for those that it has not.
//!
//! Owns the layout of `struct ndmsg` (`linux/neighbour.h`, rtnetlink(7)).

/// Type of a request for all neighbours (`RTM_GETNEIGH`); its payload is [`ALL`].
pub const GET: u16 = 30;
/// Type of a request to forget one (`RTM_DELNEIGH`); its payload is [`forget`]'s.
pub const DEL: u16 = 29;
/// A bare `struct ndmsg`: every family, every link.
pub const ALL: [u8; MESSAGE] = [0; MESSAGE];

const MESSAGE: usize = 12;
/// Attribute: the neighbour's network address.
const NDA_DST: u16 = 1;
/// States that resolve nothing: `NUD_NOARP` and `NUD_PERMANENT`.
const FIXED: u16 = 0x40 | 0x80;

/// The payload that makes the kernel forget a neighbour on link `index`, from what
/// [`GET`] told of it; `None` for neighbours of other links and fixed ones.
#[must_use]
pub fn forget(told: &[u8], index: u32) -> Option<Vec<u8>> {
    let message = told.first_chunk::<MESSAGE>()?;
    let link = u32::from_ne_bytes([message[4], message[5], message[6], message[7]]);
    let state = u16::from_ne_bytes([message[8], message[9]]);
    if link != index || state & FIXED != 0 {
        return None;
    }
    let mut attributes = &told[MESSAGE..];
    while let Some(&[a, b, c, d]) = attributes.first_chunk::<4>() {
        let len = usize::from(u16::from_ne_bytes([a, b]));
        let attribute = attributes.get(..len).filter(|_| len >= 4)?;
        if u16::from_ne_bytes([c, d]) == NDA_DST {
            return Some([message.as_slice(), attribute].concat());
        }
        attributes = attributes.get(len.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(link: u32, state: u16) -> Vec<u8> {
        let mut message = vec![2, 0, 0, 0];
        message.extend(link.to_ne_bytes());
        message.extend(state.to_ne_bytes());
        message.extend([0, 1]);
        // A link-layer address of six bytes, padded to eight, then the network address.
        message.extend([10, 0, 2, 0, 1, 2, 3, 4, 5, 6, 0, 0]);
        message.extend([8, 0, 1, 0, 192, 168, 0, 100]);
        message
    }

    #[test]
    fn the_address_is_found_behind_other_attributes() {
        let payload = forget(&told(3, 1), 3).unwrap();
        assert_eq!(payload[MESSAGE..], [8, 0, 1, 0, 192, 168, 0, 100]);
    }

    #[test]
    fn other_links_fixed_entries_and_cut_messages_are_left_alone() {
        assert_eq!(forget(&told(4, 1), 3), None);
        assert_eq!(forget(&told(3, 0x80), 3), None);
        let whole = told(3, 1);
        for len in 0..whole.len() {
            assert_eq!(forget(&whole[..len], 3), None, "{len}");
        }
    }
}
