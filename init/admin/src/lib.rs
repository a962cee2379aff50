//! The unprivileged children of PID 1 that parse what comes from outside.
//!
//! | part | is fed by | gives |
//! | --- | --- | --- |
//! | [`admin`] | operators over HTTP on the node's static LAN addresses | [`relay::ToNode`] to PID 1 |
//! | [`probe`] | [`relay::ProbeRequest`] from PID 1 | HTTP requests to services on loopback |
//! | [`web`] | anybody over HTTP | static files, and a page that names the node |
//!
//! Each runs in its own process, as functions of the one static binary: HTTP and JSON
//! never enter PID 1. They know no cluster key and hold no privilege; what reaches PID 1
//! is authenticated, bounded and re-encoded ([`relay`]). They decide nothing: a wish goes
//! to the node, and the node's answer goes back.
//!
//! [`api`] holds the JSON that operators' programs see.

pub mod admin;
pub mod api;
mod channel;
mod health;
pub mod probe;
pub mod relay;
pub mod web;
