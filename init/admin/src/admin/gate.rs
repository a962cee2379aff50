//! How much one source may ask of us: wrong tokens, and connections.
//!
//! Owns counts per source; an IPv6 source is its /64, which one machine fills at will.
//! A source that guesses is not even compared any more until its allowance refills; other
//! sources do not notice. Time is an argument.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

use super::limits;

/// Somebody on the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Source(IpAddr);

impl Source {
    pub(super) fn of(address: IpAddr) -> Source {
        match address.to_canonical() {
            IpAddr::V6(v6) => {
                let prefix = v6.to_bits() & !u128::from(u64::MAX);
                Source(IpAddr::V6(Ipv6Addr::from_bits(prefix)))
            }
            v4 @ IpAddr::V4(_) => Source(v4),
        }
    }
}

/// Wrong tokens per source: a bucket that each one empties and time refills.
#[derive(Debug, Default)]
pub(super) struct WrongTokens {
    spent: HashMap<Source, Spent>,
}

#[derive(Clone, Copy, Debug)]
struct Spent {
    count: u32,
    /// The bucket was refilled up to here.
    since: Instant,
}

impl WrongTokens {
    /// Whether this source may present a token at all.
    pub(super) fn allows(&mut self, now: Instant, source: Source) -> bool {
        self.refill(now, source) < limits::WRONG_TOKENS
    }

    /// It was wrong. Returns how many lately, this one included.
    pub(super) fn count(&mut self, now: Instant, source: Source) -> u32 {
        let count = self.refill(now, source).saturating_add(1);
        if self.spent.len() >= limits::SOURCES && !self.spent.contains_key(&source) {
            let oldest = self.spent.iter().min_by_key(|(_, spent)| spent.since);
            if let Some(oldest) = oldest.map(|(source, _)| *source) {
                self.spent.remove(&oldest);
            }
        }
        self.spent
            .entry(source)
            .or_insert(Spent { count, since: now })
            .count = count;
        count
    }

    fn refill(&mut self, now: Instant, source: Source) -> u32 {
        let Some(spent) = self.spent.get_mut(&source) else {
            return 0;
        };
        let pauses = now.saturating_duration_since(spent.since).as_millis()
            / limits::WRONG_TOKEN_REFILL.as_millis();
        let pauses = u32::try_from(pauses).unwrap_or(u32::MAX);
        if pauses >= spent.count {
            self.spent.remove(&source);
            return 0;
        }
        spent.count -= pauses;
        spent.since += limits::WRONG_TOKEN_REFILL * pauses;
        spent.count
    }
}

/// Connections per source.
#[derive(Debug, Default)]
pub(super) struct Connections {
    open: HashMap<Source, usize>,
    total: usize,
}

impl Connections {
    /// Takes a place, if there is one.
    pub(super) fn enter(&mut self, source: Source) -> bool {
        let mine = self.open.get(&source).copied().unwrap_or(0);
        if self.total >= limits::CONNECTIONS || mine >= limits::CONNECTIONS_PER_SOURCE {
            return false;
        }
        self.open.insert(source, mine + 1);
        self.total += 1;
        true
    }

    /// Gives the place back.
    pub(super) fn leave(&mut self, source: Source) {
        if let Some(mine) = self.open.get_mut(&source) {
            *mine -= 1;
            self.total -= 1;
            if *mine == 0 {
                self.open.remove(&source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> Source {
        Source::of(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn a_guesser_is_slowed_and_nobody_else() {
        let mut wrong = WrongTokens::default();
        let start = Instant::now();
        for count in 1..=limits::WRONG_TOKENS {
            assert!(wrong.allows(start, source(1)));
            assert_eq!(wrong.count(start, source(1)), count);
        }
        assert!(!wrong.allows(start, source(1)));
        assert!(wrong.allows(start, source(2)));
        let later = start + limits::WRONG_TOKEN_REFILL;
        assert!(wrong.allows(later, source(1)));
        wrong.count(later, source(1));
        assert!(!wrong.allows(later, source(1)));
        let much_later = later + limits::WRONG_TOKEN_REFILL * limits::WRONG_TOKENS;
        assert!(wrong.allows(much_later, source(1)));
        assert!(wrong.spent.is_empty(), "all is forgotten in the end");
    }

    #[test]
    fn the_table_is_bounded() {
        let mut wrong = WrongTokens::default();
        let start = Instant::now();
        for n in 0..u32::try_from(limits::SOURCES).unwrap() + 10 {
            let source = Source::of(IpAddr::from(n.to_be_bytes()));
            wrong.count(start + std::time::Duration::from_millis(n.into()), source);
        }
        assert_eq!(wrong.spent.len(), limits::SOURCES);
    }

    #[test]
    fn an_ipv6_network_is_one_source() {
        let of = |text: &str| Source::of(text.parse().unwrap());
        assert_eq!(of("fd00::1"), of("fd00::2:3:4:5"));
        assert_ne!(of("fd00::1"), of("fd00:0:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }

    #[test]
    fn one_source_cannot_fill_the_house() {
        let mut connections = Connections::default();
        while connections.enter(source(1)) {}
        assert_eq!(connections.total, limits::CONNECTIONS_PER_SOURCE);
        assert!(connections.enter(source(2)));
        connections.leave(source(1));
        assert!(connections.enter(source(1)));
        for n in 3..=255 {
            connections.enter(source(n));
        }
        assert_eq!(connections.total, limits::CONNECTIONS);
        assert!(!connections.enter(source(2)));
    }
}
