//! What a wake-up of the poller is about, as a number.

use kodo_node::io::{Line, Port};

use crate::wire::Child;

/// A source of the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Timer,
    Signals,
    Links,
    Net,
    Svc,
    Dev,
    Disk,
    Child(Child),
    Port(Port),
    Line(Line),
}

const CHILD: u64 = 0x100;
const PORT: u64 = 0x200;
const LINE: u64 = 0x300;

impl Key {
    pub(super) fn number(self) -> u64 {
        match self {
            Key::Timer => 0,
            Key::Signals => 1,
            Key::Links => 2,
            Key::Net => 3,
            Key::Svc => 4,
            Key::Dev => 5,
            Key::Disk => 6,
            Key::Child(child) => CHILD + child as u64,
            Key::Port(port) => PORT + u64::from(port.0),
            Key::Line(line) => LINE + u64::from(line.0),
        }
    }

    pub(super) fn from_number(number: u64) -> Option<Key> {
        let low = u8::try_from(number & 0xff).ok()?;
        Some(match number & !0xff {
            0 => match low {
                0 => Key::Timer,
                1 => Key::Signals,
                2 => Key::Links,
                3 => Key::Net,
                4 => Key::Svc,
                5 => Key::Dev,
                6 => Key::Disk,
                _ => return None,
            },
            CHILD => Key::Child(*Child::ALL.get(usize::from(low))?),
            PORT => Key::Port(Port(low)),
            LINE => Key::Line(Line(low)),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_survives_the_poller() {
        let singles = [
            Key::Timer,
            Key::Signals,
            Key::Links,
            Key::Net,
            Key::Svc,
            Key::Dev,
            Key::Disk,
        ];
        let children = Child::ALL.map(Key::Child);
        let ports = (0..=255).map(|n| Key::Port(Port(n)));
        let lines = (0..=255).map(|n| Key::Line(Line(n)));
        for key in singles
            .into_iter()
            .chain(children)
            .chain(ports)
            .chain(lines)
        {
            assert_eq!(Key::from_number(key.number()), Some(key));
        }
        assert_eq!(Key::from_number(u64::MAX), None);
    }
}
