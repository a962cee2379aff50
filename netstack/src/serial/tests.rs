//! What noise may do to a line, and what it may not.

use super::*;
use proptest::prelude::*;
use std::vec::Vec;

/// Everything that a fresh decoder makes of bytes that come in chunks of that size.
fn decode(line: &[u8], chunk: usize) -> (Vec<Vec<u8>>, Decoder) {
    let mut decoder = Decoder::default();
    let mut frames = Vec::new();
    for mut bytes in line.chunks(chunk.max(1)) {
        while let Some(payload) = decoder.next(&mut bytes) {
            frames.push(payload.to_vec());
        }
        assert!(bytes.is_empty(), "None means that all was taken");
    }
    (frames, decoder)
}

fn framed(payload: &[u8]) -> Vec<u8> {
    encode(payload).unwrap().to_vec()
}

#[test]
fn the_layout_is_frozen() {
    assert_eq!(
        framed(b"kodo\0"),
        [0, 5, b'k', b'o', b'd', b'o', 5, 0xa8, 0x02, 0x72, 0xc5, 0]
    );
}

#[test]
fn lengths_at_the_edges() {
    for len in [
        1,
        2,
        249,
        250,
        251,
        253,
        254,
        255,
        504,
        505,
        1023,
        limits::FRAME,
    ] {
        for fill in [0x00, 0x01, 0xff] {
            let payload = std::vec![fill; len];
            let line = framed(&payload);
            assert!(
                line.len() <= wire_len(len),
                "{len} of {fill}: {}",
                line.len()
            );
            assert_eq!(line.iter().filter(|byte| **byte == 0).count(), 2);
            let (frames, decoder) = decode(&line, 7);
            assert_eq!(frames, [payload]);
            assert_eq!((decoder.noise(), decoder.broken()), (0, 0));
        }
    }
    assert_eq!(encode(&[]), None);
    assert_eq!(encode(&[0; limits::FRAME + 1]), None);
}

#[test]
fn a_frame_too_long_is_noise_at_once() {
    let mut line = std::vec![0x42; 10 * limits::FRAME];
    let babble = u32::try_from(line.len()).expect("short");
    let (frames, decoder) = decode(&line, 100);
    assert_eq!(frames.len(), 0);
    assert_eq!(
        decoder.noise(),
        babble,
        "a babbling line need not send a zero to be seen"
    );
    line.extend(framed(b"next"));
    let (frames, decoder) = decode(&line, 100);
    assert_eq!(frames, [b"next"]);
    assert_eq!((decoder.noise(), decoder.broken()), (babble, 1));
}

#[test]
fn an_empty_payload_is_never_accepted() {
    let check = CRC.checksum(&[]).to_be_bytes();
    let mut line = std::vec![0; 16];
    let end = cobs::encode(&check, &mut line[1..]) + 2;
    assert_eq!(decode(&line[..end], 1).0.len(), 0);
}

/// What happens to the line, in order.
#[derive(Clone, Debug)]
enum Step {
    /// A frame arrives as it was sent.
    Whole(Vec<u8>),
    /// Noise hits a frame: this many bytes from this place are replaced by these.
    Hit {
        payload: Vec<u8>,
        at: prop::sample::Index,
        lost: usize,
        noise: Vec<u8>,
    },
    /// Noise comes between two frames.
    Noise(Vec<u8>),
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 1..300),
        prop::collection::vec(Just(0u8), 1..20),
        prop::collection::vec(1u8.., 250..520),
    ]
}

fn noise() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 0..40),
        1 => prop::collection::vec(1u8.., 0..3000),
        1 => prop::collection::vec(Just(0u8), 0..5),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => payload().prop_map(Step::Whole),
        3 => (payload(), any::<prop::sample::Index>(), 0usize..20, noise()).prop_map(
            |(payload, at, lost, noise)| Step::Hit { payload, at, lost, noise }
        ),
        3 => noise().prop_map(Step::Noise),
    ]
}

proptest! {
    #[test]
    fn noise_loses_no_frame_but_those_that_it_hits(
        steps in prop::collection::vec(step(), 1..20),
        chunk in 1usize..200,
    ) {
        let mut line = Vec::new();
        let mut sent = Vec::new();
        for step in &steps {
            match step {
                Step::Whole(payload) => {
                    line.extend(framed(payload));
                    sent.push((payload.clone(), true));
                }
                Step::Hit { payload, at, lost, noise } => {
                    let mut frame = framed(payload);
                    let at = at.index(frame.len());
                    let end = (at + lost).min(frame.len());
                    frame.splice(at..end, noise.iter().copied());
                    line.extend(frame);
                    sent.push((payload.clone(), false));
                }
                Step::Noise(noise) => line.extend(noise),
            }
        }
        let (frames, _) = decode(&line, chunk);
        let mut arrived = frames.iter();
        for (payload, whole) in &sent {
            // A frame that was hit may still have come through (its last delimiter was
            // replaced by another, say); one that was not hit must have.
            if *whole {
                prop_assert!(arrived.any(|frame| frame == payload), "lost {payload:02x?}");
            }
        }
        for frame in &frames {
            let known = sent.iter().any(|(payload, _)| payload == frame);
            prop_assert!(known, "nobody sent {frame:02x?}");
        }
    }

    #[test]
    fn every_byte_is_a_frame_s_or_noise(
        steps in prop::collection::vec(step(), 1..10),
        chunk in 1usize..200,
    ) {
        let mut line = Vec::new();
        for step in &steps {
            match step {
                Step::Whole(payload) | Step::Hit { payload, .. } => line.extend(framed(payload)),
                Step::Noise(noise) => line.extend(noise),
            }
        }
        line.push(0);
        let (frames, decoder) = decode(&line, chunk);
        let lost = usize::try_from(decoder.noise()).unwrap();
        let used: usize = frames.iter().map(|frame| framed(frame).len() - 2).sum();
        let all = line.iter().filter(|byte| **byte != 0).count();
        prop_assert_eq!(used + lost, all);
    }

    #[test]
    fn chunks_do_not_matter(line in prop::collection::vec(any::<u8>(), 0..2000), chunk in 1usize..200) {
        let (whole, a) = decode(&line, line.len());
        let (parts, b) = decode(&line, chunk);
        prop_assert_eq!(whole, parts);
        prop_assert_eq!((a.noise(), a.broken()), (b.noise(), b.broken()));
    }
}
