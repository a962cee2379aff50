//! From cluster file, kernel package and services to what boots: kernel, initramfs,
//! loader snippets, `boot.json`. Owns the image's layout and its size budgets. Never
//! installs anything on the host, never edits its package sources, and keeps secrets out
//! of every file but the initramfs.
//!
//! Order of a build: [`kernel`] fetches and unpacks the package into the [`cache`],
//! [`modules`] chooses, [`root`] makes the services' roots, [`program`] compiles,
//! [`assemble`] packs and writes.

pub mod apt;
pub mod archive;
pub mod artefact;
pub mod assemble;
pub mod bzimage;
pub mod cache;
pub mod deb;
pub mod error;
pub mod firmware;
pub mod kernel;
pub mod limits;
pub mod manifest;
pub mod modinfo;
pub mod modules;
pub mod plan;
pub mod program;
pub mod progress;
pub mod report;
pub mod root;
pub mod sbom;

pub use assemble::{Built, Request, build};
pub use error::{Error, Result};
