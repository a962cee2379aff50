//! The cluster file as it is written: one struct for each of its tables.
//!
//! The field names are the file's vocabulary; nothing else lists the keys.
//! Tables inside a table (`[[node.nic]]`) are read apart and are not fields here.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use crate::cluster::{
    Bond, Cidr, EvenSplit, HealthRule, Mac, OnStopFailure, PciAddress, Profile, Role, SplitBrain,
    StopSignal, User, Worth,
};
use crate::leaf::{Choice, Clones, Hex256, Name, Text};
use crate::partition::PartitionName;
use crate::place::{AgentName, Package, Pattern, Place};
use crate::size::Size;

/// `[cluster]`
#[derive(Debug, Deserialize)]
pub(crate) struct General {
    pub(crate) name: Text<Name>,
    pub(crate) key: Option<Text<Hex256>>,
    pub(crate) key_file: Option<Spanned<String>>,
    pub(crate) profile: Option<Text<Profile>>,
    pub(crate) drills: Option<Spanned<bool>>,
    pub(crate) split_brain: Option<Text<SplitBrain>>,
    pub(crate) ping: Option<Spanned<Vec<Text<IpAddr>>>>,
    pub(crate) even_split: Option<Text<EvenSplit>>,
    pub(crate) last_man_standing: Option<Spanned<bool>>,
    pub(crate) quarantine_exits: Option<Spanned<u8>>,
    pub(crate) quarantine_window: Option<Text<Duration>>,
}

/// `[witness]`
#[derive(Debug, Deserialize)]
pub(crate) struct Witness {
    pub(crate) address: Text<IpAddr>,
    pub(crate) port: Option<Spanned<u16>>,
    pub(crate) key: Option<Text<Hex256>>,
    pub(crate) key_file: Option<Spanned<String>>,
}

/// `[timing]`
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Timing {
    pub(crate) keepalive: Option<Text<Duration>>,
    pub(crate) warntime: Option<Text<Duration>>,
    pub(crate) deadtime: Option<Text<Duration>>,
    pub(crate) initdead: Option<Text<Duration>>,
    pub(crate) linkwait: Option<Text<Duration>>,
    pub(crate) lease: Option<Text<Duration>>,
    pub(crate) release: Option<Text<Duration>>,
}

/// `[admin]`
#[derive(Debug, Deserialize)]
pub(crate) struct Admin {
    pub(crate) port: Option<Spanned<u16>>,
    pub(crate) tokens_file: Option<Spanned<String>>,
}

/// `[[admin.token]]`
#[derive(Debug, Deserialize)]
pub(crate) struct Token {
    pub(crate) name: Text<Name>,
    pub(crate) sha256: Text<Hex256>,
}

/// `[watchdog]`
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Watchdog {
    pub(crate) timeout: Option<Text<Duration>>,
    pub(crate) softdog: Option<Spanned<bool>>,
}

/// `[[node]]`
#[derive(Debug, Deserialize)]
pub(crate) struct Node {
    pub(crate) name: Text<Name>,
    pub(crate) votes: Option<Spanned<u8>>,
    pub(crate) voter: Option<Spanned<bool>>,
    pub(crate) capacity: Option<Spanned<u16>>,
    pub(crate) state_partition: Option<Text<PartitionName>>,
}

/// `[[node.nic]]`
#[derive(Debug, Deserialize)]
pub(crate) struct Nic {
    pub(crate) role: Text<Role>,
    pub(crate) mac: Option<Text<Mac>>,
    pub(crate) pci: Option<Text<PciAddress>>,
    pub(crate) order: Option<Spanned<u8>>,
    pub(crate) address: Option<Vec<Text<Cidr>>>,
    pub(crate) gateway: Option<Vec<Text<IpAddr>>>,
}

/// `[[node.serial]]`
#[derive(Debug, Deserialize)]
pub(crate) struct Serial {
    pub(crate) device: Spanned<String>,
    pub(crate) baud: Option<Spanned<u32>>,
    pub(crate) peer: Option<Text<Name>>,
    pub(crate) keepalive: Option<Text<Duration>>,
}

/// `[[service]]`
#[derive(Debug, Deserialize)]
pub(crate) struct Service {
    pub(crate) name: Text<Name>,
    pub(crate) kind: Option<Text<Kind>>,
    pub(crate) port: Option<Spanned<u16>>,
    pub(crate) recipe: Option<Spanned<String>>,
    pub(crate) program: Option<Spanned<String>>,
    pub(crate) debian: Option<Spanned<Vec<Text<Package>>>>,
    pub(crate) oci: Option<Spanned<String>>,
    pub(crate) keep: Option<Spanned<Vec<Text<Pattern>>>>,
    pub(crate) files: Option<Spanned<String>>,
    pub(crate) promotable: Option<Spanned<bool>>,
    pub(crate) links: Option<Spanned<BTreeMap<String, Spanned<String>>>>,
    pub(crate) ocf: Option<Text<AgentName>>,
    pub(crate) parameters: Option<Spanned<BTreeMap<String, Spanned<String>>>>,
    pub(crate) files_at: Option<Text<Place>>,
    pub(crate) command: Option<Text<Place>>,
    pub(crate) arguments: Option<Spanned<Vec<Spanned<String>>>>,
    pub(crate) environment: Option<Spanned<BTreeMap<String, Spanned<String>>>>,
    pub(crate) directory: Option<Text<Place>>,
    pub(crate) writable: Option<Spanned<Vec<Text<Place>>>>,
    pub(crate) user: Option<Text<User>>,
    pub(crate) memory: Option<Text<Size>>,
    pub(crate) pids: Option<Spanned<u32>>,
    pub(crate) cpu: Option<Spanned<u32>>,
    pub(crate) stop_signal: Option<Text<StopSignal>>,
    pub(crate) start_timeout: Option<Text<Duration>>,
    pub(crate) stop_timeout: Option<Text<Duration>>,
    pub(crate) backoff_min: Option<Text<Duration>>,
    pub(crate) backoff_max: Option<Text<Duration>>,
}

impl Service {
    /// Takes out what a recipe can say as well.
    pub(crate) fn root(&mut self) -> Recipe {
        Recipe {
            program: self.program.take(),
            debian: self.debian.take(),
            oci: self.oci.take(),
            keep: self.keep.take(),
            links: self.links.take(),
            ocf: self.ocf.take(),
            parameters: self.parameters.take(),
            files_at: self.files_at.take(),
            command: self.command.take(),
            arguments: self.arguments.take(),
            environment: self.environment.take(),
            directory: self.directory.take(),
            writable: self.writable.take(),
            user: self.user.take(),
            memory: self.memory.take(),
            pids: self.pids.take(),
            cpu: self.cpu.take(),
            stop_signal: self.stop_signal.take(),
        }
    }
}

/// A recipe: what it says holds for a `[[service]]` that does not say it itself.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Recipe {
    pub(crate) program: Option<Spanned<String>>,
    pub(crate) debian: Option<Spanned<Vec<Text<Package>>>>,
    pub(crate) oci: Option<Spanned<String>>,
    pub(crate) keep: Option<Spanned<Vec<Text<Pattern>>>>,
    pub(crate) links: Option<Spanned<BTreeMap<String, Spanned<String>>>>,
    pub(crate) ocf: Option<Text<AgentName>>,
    pub(crate) parameters: Option<Spanned<BTreeMap<String, Spanned<String>>>>,
    pub(crate) files_at: Option<Text<Place>>,
    pub(crate) command: Option<Text<Place>>,
    pub(crate) arguments: Option<Spanned<Vec<Spanned<String>>>>,
    pub(crate) environment: Option<Spanned<BTreeMap<String, Spanned<String>>>>,
    pub(crate) directory: Option<Text<Place>>,
    pub(crate) writable: Option<Spanned<Vec<Text<Place>>>>,
    pub(crate) user: Option<Text<User>>,
    pub(crate) memory: Option<Text<Size>>,
    pub(crate) pids: Option<Spanned<u32>>,
    pub(crate) cpu: Option<Spanned<u32>>,
    pub(crate) stop_signal: Option<Text<StopSignal>>,
}

/// `[service.probe]`, and `[probe]` of a recipe
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Probe {
    pub(crate) kind: Option<Text<ProbeWord>>,
    pub(crate) status: Option<Spanned<u16>>,
    pub(crate) body: Option<Spanned<String>>,
    pub(crate) path: Option<Spanned<String>>,
    pub(crate) interval: Option<Text<Duration>>,
    pub(crate) timeout: Option<Text<Duration>>,
    pub(crate) rise: Option<Spanned<u8>>,
    pub(crate) fall: Option<Spanned<u8>>,
}

/// `[[vip]]`
#[derive(Debug, Deserialize)]
pub(crate) struct Vip {
    pub(crate) name: Text<Name>,
    pub(crate) address: Text<Cidr>,
}

/// `[[group]]`
#[derive(Debug, Deserialize)]
pub(crate) struct Group {
    pub(crate) name: Text<Name>,
    pub(crate) guarded: Option<Spanned<bool>>,
    pub(crate) members: Spanned<Vec<Text<Name>>>,
    pub(crate) prefer: Option<Spanned<Vec<Text<Name>>>>,
    pub(crate) priority: Option<Spanned<i16>>,
    pub(crate) weight: Option<Spanned<u16>>,
    pub(crate) clones: Option<Text<Clones>>,
    pub(crate) promotes: Option<Text<Name>>,
    pub(crate) stickiness: Option<Spanned<i32>>,
    pub(crate) failback: Option<Text<Failback>>,
    pub(crate) failback_delay: Option<Text<Duration>>,
    pub(crate) migration_threshold: Option<Spanned<u8>>,
    pub(crate) failure_timeout: Option<Text<Duration>>,
    pub(crate) health: Option<Text<HealthRule>>,
    pub(crate) start_failure_is_fatal: Option<Spanned<bool>>,
    pub(crate) on_stop_failure: Option<Text<OnStopFailure>>,
}

/// `[[location]]`
#[derive(Debug, Deserialize)]
pub(crate) struct Location {
    pub(crate) group: Text<Name>,
    pub(crate) node: Option<Text<Name>>,
    pub(crate) nodes: Option<Spanned<Vec<Text<Name>>>>,
    pub(crate) score: Text<Worth>,
}

/// `[[colocation]]`
#[derive(Debug, Deserialize)]
pub(crate) struct Colocation {
    pub(crate) group: Text<Name>,
    pub(crate) with: Text<Name>,
    pub(crate) score: Text<Bond>,
}

/// `[[order]]`
#[derive(Debug, Deserialize)]
pub(crate) struct Order {
    pub(crate) first: Text<Name>,
    pub(crate) then: Text<Name>,
    pub(crate) kind: Option<Text<OrderKind>>,
}

/// A service that has no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Builtin,
}

/// When a group returns, as the file says it; the delay is a key of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failback {
    Auto,
    Delayed,
    Manual,
}

/// How strongly a group needs another one to run first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OrderKind {
    Must,
    Should,
}

impl Choice for Profile {
    const WHAT: &'static str = "a timing profile";
    const WORDS: &'static [(&'static str, Self)] = &[
        ("default", Self::Default),
        ("lab", Self::Lab),
        ("fast", Self::Fast),
    ];
}

impl Choice for SplitBrain {
    const WHAT: &'static str = "a split-brain policy";
    const WORDS: &'static [(&'static str, Self)] = &[
        ("accept", Self::Accept),
        ("ping", Self::Ping),
        ("quorum", Self::Quorum),
        ("witness", Self::Witness),
    ];
}

impl Choice for EvenSplit {
    const WHAT: &'static str = "a rule for two halves";
    const WORDS: &'static [(&'static str, Self)] = &[("none", Self::None), ("first", Self::First)];
}

impl Choice for Role {
    const WHAT: &'static str = "a NIC's role";
    const WORDS: &'static [(&'static str, Self)] =
        &[("lan", Self::Lan), ("crossover", Self::Crossover)];
}

impl Choice for Kind {
    const WHAT: &'static str = "a kind of service";
    const WORDS: &'static [(&'static str, Self)] = &[("builtin", Self::Builtin)];
}

/// What a probe asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProbeWord {
    /// For a page.
    Http,
    /// For a connection.
    Tcp,
}

impl Choice for ProbeWord {
    const WHAT: &'static str = "a kind of probe";
    const WORDS: &'static [(&'static str, Self)] = &[("http", Self::Http), ("tcp", Self::Tcp)];
}

impl Choice for StopSignal {
    const WHAT: &'static str = "a signal that asks to end";
    const WORDS: &'static [(&'static str, Self)] = &[
        ("SIGTERM", Self::Term),
        ("SIGINT", Self::Int),
        ("SIGQUIT", Self::Quit),
        ("SIGHUP", Self::Hup),
        ("SIGUSR1", Self::Usr1),
        ("SIGUSR2", Self::Usr2),
        ("SIGWINCH", Self::Winch),
    ];
}

impl Choice for Failback {
    const WHAT: &'static str = "a failback rule";
    const WORDS: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("delayed", Self::Delayed),
        ("manual", Self::Manual),
    ];
}

impl Choice for HealthRule {
    const WHAT: &'static str = "a rule for ill nodes";
    const WORDS: &'static [(&'static str, Self)] = &[
        ("none", Self::None),
        ("migrate-on-red", Self::MigrateOnRed),
        ("only-green", Self::OnlyGreen),
    ];
}

impl Choice for OnStopFailure {
    const WHAT: &'static str = "a rule for stops that fail";
    const WORDS: &'static [(&'static str, Self)] =
        &[("fence", Self::Fence), ("block", Self::Block)];
}

impl Choice for OrderKind {
    const WHAT: &'static str = "a kind of order";
    const WORDS: &'static [(&'static str, Self)] =
        &[("must", Self::Must), ("should", Self::Should)];
}
