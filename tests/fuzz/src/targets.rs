//! The list of targets: one line for each decoder of the product.

pub mod netstack;

/// A function of bytes that panics when something is wrong.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// As one names it on the command line; also its directory in `corpus`.
    pub name: &'static str,
    /// The function.
    pub run: fn(&[u8]),
    /// Good inputs, made by the product's own encoders so that they follow it.
    pub examples: fn() -> Vec<Vec<u8>>,
    /// Bytes that mean something to the decoder.
    pub words: &'static [&'static [u8]],
    /// Longest input worth trying.
    pub longest: usize,
    /// Mutations that `cargo test` tries; a second or so in a debug build.
    pub inputs: u64,
}

/// Every target.
pub const TARGETS: &[Target] = &[netstack::PACKET, netstack::SERIAL, netstack::OPERATIONS];
