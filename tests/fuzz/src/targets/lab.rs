//! What the lab reads from its guests: a guest may have gone mad, its laboratory must not.

use kodo_netstack::packet::{self, Packet};
use kodo_qemu::wire::sighting;

use super::Target;

/// Frames on a virtual cable, and lines on a console.
pub const GUEST: Target = Target {
    name: "lab-guest",
    run: run_guest,
    examples: || {
        let mut examples = (super::netstack::PACKET.examples)();
        examples.push(b"kodo[   12.345678] ALERT www: taking over from node2".to_vec());
        examples.push(b"[    0.5] x kodo[1.5] info up".to_vec());
        examples
    },
    words: &[b"kodo[", b"]", b" ", b"ALERT", b"1e999", b"nan", b"-0"],
    longest: 2000,
    inputs: 40_000,
};

fn run_guest(bytes: &[u8]) {
    let _ = kodo_qemu::log_line(&String::from_utf8_lossy(bytes));
    judge(bytes);
    judge(&super::netstack::repaired(bytes));
}

/// The judge, written apart from the netstack, must see each claim that the netstack sees.
fn judge(frame: &[u8]) {
    let spoken = sighting::speaks_for(frame);
    if let Ok(Packet::Claim { address, .. }) = packet::parse(frame).map(|received| received.packet)
    {
        let seen = spoken.is_some_and(|(seen, ..)| seen == address);
        assert!(
            seen,
            "the netstack believes a claim that the judge overlooks"
        );
    }
}
