//! Named scenarios: each makes a plan from a seed and judges what came of it.
//!
//! The promises are the checkers' business in every run; a judge adds what is particular
//! to its scenario, the column "accept when" of its row.

mod boots;
mod chaos;
mod disks;
mod draft;
mod hostile;
mod links;
mod many;
mod nodes;
mod operators;
mod parts;
mod policy;
mod reload;
mod roles;
mod services;
mod traps;
mod witness;

use core::time::Duration;

use crate::clock::At;
use crate::facts::Facts;
use crate::plan::{ClusterPlan, Part, Plan, Policy};
use crate::rng::Rng;
use crate::story::Story;

use draft::Draft;
pub use draft::calm;

/// What a scenario's judge says: nothing, or what is wrong.
pub type Judged = Result<(), String>;

/// A named kind of run.
#[derive(Debug)]
pub struct Scenario {
    /// As people ask for it.
    pub name: &'static str,
    make: fn(&mut Draft),
    pub(crate) judge: fn(&Plan, &Facts, &Story) -> Judged,
}

impl Scenario {
    /// The plan of this seed.
    #[must_use]
    pub fn plan(&self, seed: u64) -> Plan {
        let rng = Rng::stream(seed, self.name, 0);
        let mut draft = Draft::new(self.name, seed, rng);
        (self.make)(&mut draft);
        draft.finish()
    }
}

/// All scenarios, the general random run last.
static ALL: &[Scenario] = &[
    nodes::POWER_LOSS,
    nodes::KERNEL_PANIC,
    nodes::PID1_STUCK,
    nodes::GRACEFUL_MOVE,
    nodes::SLOW_RELEASE,
    nodes::PAUSE,
    nodes::PAUSE_SLOW_NET,
    nodes::STALL,
    nodes::FAST_REBOOT,
    nodes::FAILBACK_AUTO,
    nodes::FAILBACK_MANUAL,
    nodes::CLOCK_SKEW,
    links::CROSSOVER_CUT,
    links::SERIAL_CUT,
    links::SERIAL_NOISE,
    links::LAN_CUT_ACTIVE,
    links::ONE_WAY_LOSS,
    links::SPLIT_ACCEPT,
    links::SPLIT_PING,
    links::ETHERTYPE_EATEN,
    links::ARBITER_LOST,
    links::ARBITER_SWINGS,
    links::FLAPPING_NIC,
    links::LOSSY,
    links::LOSSY_HOUR,
    boots::SIMULTANEOUS_BOOT,
    boots::LONELY_BOOT,
    boots::SLOW_LINK,
    boots::TWINS,
    boots::MIXED_FILES,
    services::SERVICE_CRASH,
    services::SERVICE_HANGS,
    services::STUCK_STOP,
    services::GUARDED_SPLIT,
    roles::PROMOTED_DIES,
    roles::ROLE_LOST,
    roles::DEMOTE_HANGS,
    roles::ROLES,
    hostile::FORGED,
    hostile::REPLAYED,
    hostile::DUPLICATE_ADDRESS,
    many::POWER_LOSS_MANY,
    many::MEMBER_LOSS,
    many::COORDINATOR_LOSS,
    many::ROLLING_RESTART,
    many::AMNESIA,
    many::LONELY_BOOT_MANY,
    many::SIMULTANEOUS_BOOT_MANY,
    many::N_PLUS_ONE,
    many::MUTUAL_STANDBY,
    many::TAKEOVER_ANYWAY,
    many::STANDSTILL_MANY,
    many::GRACEFUL_MOVE_MANY,
    many::BIG_CLUSTER,
    many::FORGED_MANY,
    many::REPLAYED_MANY,
    many::LOSSY_MANY,
    parts::ALL_PATHS_CUT_MANY,
    parts::EVEN_SPLIT,
    parts::THREE_PARTS,
    parts::ASYMMETRIC_THREE,
    parts::ONE_WAY_MANY,
    parts::SHIFTING_PARTS,
    parts::SHIFTING_AMNESIA,
    parts::SWINGING_PART,
    traps::TORN_MESH,
    traps::SERIAL_ONLY,
    traps::TORN_AND_HEALED,
    traps::SLEEPER,
    traps::VOUCHED_RETURN,
    traps::WRITTEN_OFF_RETURN,
    traps::BOOT_STORM,
    traps::TWINS_AND_PARTS,
    traps::REVOLVING_CUT,
    traps::AMNESIAC_GRANTOR,
    traps::MIXED_TIMING,
    traps::GUARDED,
    disks::POWER_LOSS_OF_ALL,
    disks::DISK_HANGS,
    policy::SPARE_HAS_ROOM,
    policy::APART,
    policy::TOGETHER_IN_ORDER,
    policy::FAILBACK_DELAYED,
    operators::MAINTENANCE,
    operators::UNMANAGED,
    operators::QUARANTINE,
    operators::STANDBY_AMID_FAULTS,
    operators::FAILURES_FORGOTTEN,
    operators::STOP_BLOCKED,
    operators::CLONES,
    reload::RELOAD_GOOD,
    reload::RELOAD_BAD,
    reload::KEY_ROTATION,
    reload::RELOAD_COORDINATOR_DIES,
    witness::WITNESS_POWER_LOSS,
    witness::WITNESS_LOST,
    witness::WITNESS_RESTARTS,
    witness::WITNESS_AND_SPLIT,
    witness::WITNESS_SWINGS,
    witness::WITNESS_EVEN_SPLIT,
    chaos::RANDOM,
];

/// All scenarios, the general random run last.
#[must_use]
pub fn all() -> &'static [Scenario] {
    ALL
}

/// The scenario of this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}

/// Nothing particular is asked.
fn promises_suffice(_: &Plan, _: &Facts, _: &Story) -> Judged {
    Ok(())
}

/// Says what was expected when it is not so.
fn expect(so: bool, what: impl FnOnce() -> String) -> Judged {
    if so { Ok(()) } else { Err(what()) }
}

/// The group did not move while things were wrong, and the client noticed nothing.
fn undisturbed(plan: &Plan, facts: &Facts, _: &Story) -> Judged {
    let from = plan
        .episodes
        .first()
        .map_or(plan.healed, |first| first.from);
    let begun = facts.begun(0, from, Duration::MAX).count();
    expect(begun == 0, || {
        format!("{begun} tenures began, none was due")
    })?;
    let outage = facts.longest_outage(0, from, Duration::MAX);
    expect(outage.is_zero(), || format!("the client waited {outage:?}"))
}

/// The group was on the first node when things went wrong, and came to the second.
fn taken_over(plan: &Plan, facts: &Facts, within: Duration) -> Judged {
    let from = plan.episodes[0].from;
    let before = from.saturating_sub(Duration::from_millis(1));
    expect(facts.holder(0, before) == Some(0), || {
        "node1 should have had the VIP when it happened".into()
    })?;
    let first = facts.begun(0, from, from + within).next();
    expect(first.is_some_and(|tenure| tenure.machine == 1), || {
        format!("node2 should have had the VIP within {within:?}: {first:?}")
    })
}

/// From a silent holder to a bound VIP: deadtime, a beat that was under way, the start of
/// the service with its first good probe, the search for strangers, a few helpers.
fn takeover_bound(plan: &Plan) -> Duration {
    let timing = draft::timing(plan);
    let startup = plan.machines[1].startup;
    timing.deadtime + timing.keepalive * 2 + startup + Duration::from_millis(250)
}

/// The same among more than two nodes: any of them may be the one that takes over, and
/// all must agree on a view before.
fn many_bound(plan: &Plan) -> Duration {
    let timing = draft::timing(plan);
    let startup = plan.machines.iter().map(|machine| machine.startup).max();
    let agree = timing.keepalive * 8;
    timing.deadtime + agree + startup.unwrap_or_default() + Duration::from_millis(300)
}

/// From a fault to the last view that it causes: nodes are called dead, left out, and what
/// did not answer is tried again.
fn settled_by(plan: &Plan) -> Duration {
    draft::timing(plan).deadtime * 8
}

/// Whether nodes may serve by their votes alone.
fn quorate(cluster: &ClusterPlan, part: Part) -> bool {
    let nodes = 0..cluster.nodes;
    let members = nodes.filter(|node| part.has(*node));
    let votes: u32 = members.map(|node| cluster.votes(node)).sum();
    let tie = cluster.policy == Policy::QuorumFirst && part.has(0);
    votes * 2 > cluster.all_votes() || (tie && votes * 2 == cluster.all_votes())
}

/// When an episode of this kind begins.
fn first_from(plan: &Plan) -> At {
    plan.episodes
        .first()
        .map_or(plan.healed, |episode| episode.from)
}
