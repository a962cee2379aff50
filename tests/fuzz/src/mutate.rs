//! Changes to bytes that tend to break decoders.

use crate::rng::Rng;

/// Numbers at whose edges decoders go wrong.
const EDGES: [u64; 12] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    u64::MAX,
];

/// Most changes that one input gets.
const CHANGES: usize = 6;

/// A new input from the corpus: usually one of its entries with a few changes, now and
/// then bytes from nowhere. At most `longest` bytes.
#[must_use]
pub fn input(corpus: &[Vec<u8>], words: &[&[u8]], longest: usize, rng: &mut Rng) -> Vec<u8> {
    let mut bytes = match rng.pick(corpus) {
        Some(entry) if !rng.once_in(32) => entry.clone(),
        _ => (0..rng.below(longest.min(256) + 1))
            .map(|_| rng.byte())
            .collect(),
    };
    for _ in 0..=rng.below(CHANGES) {
        change(&mut bytes, corpus, words, rng);
    }
    bytes.truncate(longest);
    bytes
}

fn change(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], words: &[&[u8]], rng: &mut Rng) {
    let at = rng.below(bytes.len());
    match rng.below(10) {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << rng.below(8),
        1 if !bytes.is_empty() => bytes[at] = rng.byte(),
        2 => {
            let new: Vec<u8> = (0..=rng.below(8)).map(|_| rng.byte()).collect();
            insert(bytes, rng, &new);
        }
        3 => {
            let part = range(bytes, rng);
            bytes.drain(part);
        }
        4 => {
            let part = bytes[range(bytes, rng)].to_vec();
            insert(bytes, rng, &part);
        }
        5 => bytes.truncate(at),
        6 => {
            // A number at its edge, in either byte order and any width.
            let edge = rng.pick(&EDGES).copied().unwrap_or(0);
            let width = 1 << rng.below(4);
            let ordered = if rng.once_in(2) {
                edge.to_le_bytes()
            } else {
                (edge << (64 - 8 * width)).to_be_bytes()
            };
            overwrite(bytes, at, &ordered[..width]);
        }
        7 => {
            if let Some(word) = rng.pick(words) {
                place(bytes, at, word, rng);
            }
        }
        8 => {
            if let Some(other) = rng.pick(corpus) {
                let part = &other[range(other, rng)];
                place(bytes, at, part, rng);
            }
        }
        _ => {
            let part = range(bytes, rng);
            let with = rng.byte();
            bytes[part].fill(with);
        }
    }
}

fn range(bytes: &[u8], rng: &mut Rng) -> core::ops::Range<usize> {
    let from = rng.below(bytes.len());
    let len = rng.below(bytes.len() - from + 1);
    from..from + len
}

fn place(bytes: &mut Vec<u8>, at: usize, new: &[u8], rng: &mut Rng) {
    if rng.once_in(2) {
        overwrite(bytes, at, new);
    } else {
        insert(bytes, rng, new);
    }
}

fn insert(bytes: &mut Vec<u8>, rng: &mut Rng, new: &[u8]) {
    let at = rng.below(bytes.len() + 1);
    bytes.splice(at..at, new.iter().copied());
}

fn overwrite(bytes: &mut Vec<u8>, at: usize, with: &[u8]) {
    let end = (at + with.len()).min(bytes.len());
    bytes.splice(at..end, with.iter().copied());
}

/// A smaller input that still `fails`: parts are left out while that helps.
pub fn shrink(mut bytes: Vec<u8>, fails: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut part = bytes.len() / 2;
    while part > 0 {
        let mut at = 0;
        while at + part <= bytes.len() {
            let mut less = bytes.clone();
            less.drain(at..at + part);
            if fails(&less) {
                bytes = less;
            } else {
                at += part;
            }
        }
        part /= 2;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_a_function_of_seed_and_number() {
        let corpus = [b"heartbeat".to_vec(), Vec::new()];
        let make = |n| input(&corpus, &[b"word"], 64, &mut Rng::new(7, n));
        let first: Vec<_> = (0..1000).map(make).collect();
        assert_eq!(first, (0..1000).map(make).collect::<Vec<_>>());
        let different: std::collections::BTreeSet<_> = first.iter().collect();
        assert!(different.len() > 500, "{}", different.len());
        assert!(first.iter().all(|bytes| bytes.len() <= 64));
    }

    #[test]
    fn no_corpus_and_no_words_are_no_obstacle() {
        for n in 0..1000 {
            let _ = input(&[], &[], 0, &mut Rng::new(7, n));
        }
    }

    #[test]
    fn shrinking_keeps_what_matters() {
        let bytes: Vec<u8> = (0..=255).collect();
        let small = shrink(bytes, |bytes| bytes.contains(&3) && bytes.contains(&200));
        assert_eq!(small, [3, 200]);
    }
}
