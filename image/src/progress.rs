//! How a long build tells its caller where it is. Owns no terminal: the caller draws.

/// Receives the steps of a build in order. At most one step is open at a time.
pub trait Progress {
    /// A step begins; `total` is in bytes where the amount is known.
    fn begin(&mut self, step: &str, total: Option<u64>);
    /// The open step has done this many bytes so far.
    fn advance(&mut self, done: u64);
    /// The open step is at this item.
    fn item(&mut self, name: &str);
    /// The open step ended; `outcome` is a short phrase such as `12.1 MB`.
    fn end(&mut self, outcome: &str);
    /// Something the reader should know that stops nothing.
    fn note(&mut self, text: &str);
}

/// Swallows everything, for tests.
pub struct Silent;

impl Progress for Silent {
    fn begin(&mut self, _: &str, _: Option<u64>) {}
    fn advance(&mut self, _: u64) {}
    fn item(&mut self, _: &str) {}
    fn end(&mut self, _: &str) {}
    fn note(&mut self, _: &str) {}
}
