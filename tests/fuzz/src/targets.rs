//! The list of targets: one line for each decoder of the product.

pub mod admin;
pub mod config;
pub mod engine;
pub mod image;
pub mod import;
pub mod lab;
pub mod netstack;
pub mod node;
pub mod reload;
pub mod table;

/// A function of bytes that panics when something is wrong.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// As one names it on the command line; also its directory in `corpus`.
    pub name: &'static str,
    /// The function.
    pub run: fn(&[u8]),
    /// Good inputs, made by the product's own encoders or taken from its own files, so
    /// that they follow it.
    pub examples: fn() -> Vec<Vec<u8>>,
    /// Bytes that mean something to the decoder.
    pub words: &'static [&'static [u8]],
    /// Longest input worth trying.
    pub longest: usize,
    /// Mutations that `cargo test` tries; a second or two in a debug build.
    pub inputs: u64,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    netstack::PACKET,
    netstack::SERIAL,
    netstack::OPERATIONS,
    engine::FRAME,
    engine::WITNESS,
    table::TABLE,
    node::OPERATIONS,
    config::CLUSTER,
    config::SECRETS,
    import::OLD,
    reload::BUNDLE,
    reload::CONFIG,
    config::RECIPE,
    image::OCI,
    image::LAYER,
    image::ELF,
    admin::JSON,
    admin::RELAY,
    lab::GUEST,
];

/// A program for operation sequences: whoever plays it takes opcodes and arguments from
/// the front. Behind its end there are only zeros.
pub(crate) struct Program<'a>(pub(crate) &'a [u8]);

impl<'a> Program<'a> {
    /// The next byte.
    pub(crate) fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// The next bytes, as many as there are.
    pub(crate) fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
