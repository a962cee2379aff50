//! A plan in the making: an ordinary cluster on ordinary machines, to which scenarios add
//! what goes wrong. Owns what "ordinary" means, and its spread.

use core::time::Duration;

use kodo_engine::config::Timing;

use crate::clock::At;
use crate::cluster;
use crate::plan::{
    ClusterPlan, Episode, Fault, File, MachinePlan, On, Part, Plan, Policy, Way, Wire, Wish,
};
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

/// An ordinary machine.
fn machine(node: usize) -> MachinePlan {
    MachinePlan {
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
    }
}

/// A plan in which nothing happens but a boot.
#[must_use]
pub fn calm(seed: u64) -> Plan {
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
            agents: 0,
            rules: Vec::new(),
            capacity: None,
            quarantine: None,
            auto_failback: false,
            migration_threshold: 3,
            failure_timeout: secs(20),
            watchdog: secs(2),
            private: true,
            baud: Some(115_200),
            lines: 1,
            hold_off: secs(3),
            disks: false,
            witness_ppm: 0,
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

/// Gives a machine its own ordinary particulars.
fn ordinary(machine: &mut MachinePlan, rng: &mut Rng) {
    // The first node is up, and reaches its clients, before the others come.
    let late = ms(2000) * u32::try_from(machine.node.min(1)).unwrap_or(0);
    machine.power_on = Some(late + rng.time(ms(0), ms(400)));
    machine.boot = rng.time(ms(800), ms(1800));
    machine.uptime = rng.time(ms(500), ms(2500));
    machine.ppm = i64::try_from(rng.range(0, 400)).unwrap_or(0) - 200;
    machine.negotiation = rng.time(ms(5), ms(400));
    machine.drops_link_on_reset = rng.chance(500);
    machine.startup = rng.time(ms(10), ms(250));
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
            ordinary(machine, rng);
        }
        draft
    }

    /// A cluster of so many nodes instead, with this policy.
    pub(super) fn cluster(&mut self, nodes: usize, policy: Policy) {
        let rng = &mut self.rng;
        let file = &mut self.plan.cluster;
        file.nodes = nodes;
        file.policy = policy;
        file.pings = policy == Policy::Ping || rng.chance(500);
        if nodes > 2 {
            // Large clusters cost: most of them have but one network.
            file.private = rng.chance(if nodes > 5 { 250 } else { 700 });
            file.baud = (nodes <= 5 && rng.chance(250)).then_some(115_200);
            file.lines = nodes;
        }
        self.plan.machines.truncate(nodes);
        for node in self.plan.machines.len()..nodes {
            let mut machine = machine(node);
            ordinary(&mut machine, rng);
            self.plan.machines.push(machine);
        }
    }

    /// More than two nodes, most often few, and a policy for them.
    pub(super) fn many(&mut self) -> usize {
        let nodes = match self.rng.below(100) {
            0..54 => 3,
            54..70 => 4,
            70..96 => 5,
            96..99 => 16,
            _ => 32,
        };
        let policy = self.rng.pick(&[Policy::Quorum, Policy::QuorumFirst]);
        self.cluster(nodes, policy);
        nodes
    }

    /// Some of these nodes, in a random order.
    pub(super) fn some(&mut self, of: usize, count: usize) -> Vec<usize> {
        let mut left: Vec<_> = (0..of).collect();
        let mut some = Vec::new();
        while some.len() < count && !left.is_empty() {
            some.push(left.remove(self.rng.index(left.len())));
        }
        some
    }

    /// Nothing passes between these nodes and all others, not a heartbeat or nothing at all.
    pub(super) fn split(&mut self, from: At, lasts: Duration, these: Part) {
        let nodes = self.plan.cluster.nodes;
        let those = (0..nodes).filter(|node| !these.has(*node)).collect();
        let on = self.rng.pick(&[On::All, On::Heartbeats]);
        let way = Way::Both;
        let fault = Fault::Apart {
            these,
            those,
            way,
            on,
        };
        self.fault(from, lasts, fault);
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

    /// Every cable of the nodes.
    pub(super) fn every_wire(&self) -> Vec<Wire> {
        let nodes = self.plan.cluster.nodes;
        let lines = self.plan.cluster.line_ends().len();
        let mut wires = match nodes {
            2 => vec![Wire::Crossover, Wire::Serial],
            _ => (0..nodes).map(Wire::Private).collect(),
        };
        wires.extend((0..nodes).map(Wire::Lan));
        if nodes > 2 {
            wires.extend((0..lines).map(Wire::Line));
        }
        wires
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
        let file = &mut plan.cluster;
        if file.policy == Policy::QuorumFirst && file.all_votes() % 2 == 1 {
            // There is no even split to decide.
            file.policy = Policy::Quorum;
        }
        for machine in &mut plan.machines {
            // Firmware and loader have had their time before the kernel's clock starts.
            machine.uptime = machine.uptime.min(machine.boot * 9 / 10);
        }
        let last = plan.episodes.iter().map(|episode| episode.until).max();
        plan.healed = plan.healed.max(last.unwrap_or_default() + ms(10));
        self.plan
    }
}
