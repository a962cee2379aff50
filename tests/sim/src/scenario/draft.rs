//! A plan in the making: an ordinary cluster on ordinary machines, to which scenarios add
//! what goes wrong. Owns what "ordinary" means, and its spread.

use core::time::Duration;

use kodo_engine::config::Timing;

use crate::clock::At;
use crate::cluster;
use crate::plan::{ClusterPlan, Episode, Fault, File, MachinePlan, Plan, Policy, Wire, Wish};
use crate::rng::Rng;

pub(super) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(super) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// An ordinary cluster has settled by then.
pub(super) const SETTLED: At = secs(10);

/// A plan in the making.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) rng: Rng,
    pub(super) plan: Plan,
}

/// A plan in which nothing happens but a boot.
#[must_use]
pub fn calm(seed: u64) -> Plan {
    let machine = |node| MachinePlan {
        node,
        power_on: Some(Duration::ZERO),
        boot: secs(2),
        uptime: ms(1500),
        ppm: 0,
        wake: Duration::from_micros(200),
        negotiation: ms(50),
        drops_link_on_reset: false,
        file: File::Same,
        startup: ms(60),
    };
    Plan {
        scenario: "calm".to_owned(),
        seed,
        cluster: ClusterPlan {
            profile: "default".to_owned(),
            nodes: 2,
            voters: 0,
            votes: Vec::new(),
            policy: Policy::Ping,
            pings: true,
            groups: Vec::new(),
            auto_failback: false,
            migration_threshold: 3,
            failure_timeout: secs(20),
            watchdog: secs(2),
            private: true,
            baud: Some(115_200),
            lines: 1,
        },
        machines: vec![machine(0), machine(1)],
        wires: Vec::new(),
        episodes: Vec::new(),
        healed: SETTLED,
        calm: secs(3),
        patience: None,
    }
}

/// The clock of the protocol under this plan.
pub(super) fn timing(plan: &Plan) -> Timing {
    let file = cluster::cluster(&plan.cluster, File::Same);
    cluster::node(&file, 0).engine.timing
}

impl Draft {
    pub(super) fn new(scenario: &str, seed: u64, rng: Rng) -> Draft {
        let mut draft = Draft {
            rng,
            plan: calm(seed),
        };
        draft.plan.scenario = scenario.to_owned();
        let rng = &mut draft.rng;
        let pings = rng.chance(600);
        draft.plan.cluster.policy = if pings { Policy::Ping } else { Policy::Accept };
        draft.plan.cluster.pings = pings || rng.chance(600);
        draft.plan.cluster.auto_failback = rng.chance(300);
        for machine in &mut draft.plan.machines {
            // The first node is up, and reaches its clients, before the second one comes.
            let late = ms(2000) * u32::try_from(machine.node).unwrap_or(0);
            machine.power_on = Some(late + rng.time(ms(0), ms(400)));
            machine.boot = rng.time(ms(800), ms(1800));
            machine.uptime = rng.time(ms(500), ms(2500));
            machine.ppm = i64::try_from(rng.range(0, 400)).unwrap_or(0) - 200;
            machine.negotiation = rng.time(ms(5), ms(400));
            machine.drops_link_on_reset = rng.chance(500);
            machine.startup = rng.time(ms(10), ms(250));
        }
        draft
    }

    /// Another profile of timings.
    pub(super) fn profile(&mut self, name: &str) {
        self.plan.cluster.profile = name.to_owned();
    }

    /// Whether the ping group decides; it is configured then.
    pub(super) fn ping_decides(&mut self, yes: bool) {
        self.plan.cluster.policy = if yes { Policy::Ping } else { Policy::Accept };
        self.plan.cluster.pings |= yes;
    }

    /// A moment after the cluster settled, at any phase of its beats.
    pub(super) fn moment(&mut self) -> At {
        SETTLED + self.rng.time(ms(0), ms(2000))
    }

    /// Something goes wrong from a time on, for so long.
    pub(super) fn fault(&mut self, from: At, lasts: Duration, fault: Fault) {
        self.plan.episodes.push(Episode {
            from,
            until: from + lasts,
            fault,
        });
    }

    /// An operator asks.
    pub(super) fn ask(&mut self, at: At, machine: usize, wish: Wish) {
        self.fault(at, Duration::ZERO, Fault::Operator(machine, wish));
    }

    /// Every cable between the nodes that bypasses the LAN.
    pub(super) fn private(&self) -> Vec<Wire> {
        let mut wires = vec![Wire::Crossover];
        if self.plan.cluster.baud.is_some() {
            wires.push(Wire::Serial);
        }
        wires
    }

    pub(super) fn finish(mut self) -> Plan {
        let plan = &mut self.plan;
        plan.episodes.sort_by_key(|episode| episode.from);
        for machine in &mut plan.machines {
            // Firmware and loader have had their time before the kernel's clock starts.
            machine.uptime = machine.uptime.min(machine.boot * 9 / 10);
        }
        let last = plan.episodes.iter().map(|episode| episode.until).max();
        plan.healed = plan.healed.max(last.unwrap_or_default() + ms(10));
        self.plan
    }
}
