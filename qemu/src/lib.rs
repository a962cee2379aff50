//! The lab.

mod boot;
mod error;
#[cfg(test)]
mod test;
mod time;
pub mod wire;
pub struct Options;
