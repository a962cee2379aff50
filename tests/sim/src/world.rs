//! The world: machines, wires, a LAN with a gateway and a client, and time.
//!
//! Owns the loop. One event happens at a time; what it causes is put into the queue; then
//! the checkers look. Everything that can differ between two runs comes from the plan.

use core::time::Duration;
use std::rc::Rc;

use crate::check::{Checks, Violation};
use crate::clock::At;
use crate::cluster;
use crate::facts::Facts;
use crate::host::Host;
use crate::inject::Injector;
use crate::lan::Switch;
use crate::machine::{Ills, Machine};
use crate::plan::{Fault, Plan};
use crate::queue::{Event, Happening, Queue};
use crate::story::Story;
use crate::wires::Wires;
use crate::witness::Witness;

/// The client asks this often.
const CLIENT: Duration = Duration::from_millis(100);
/// Convergence is looked for this often.
const LOOK: Duration = Duration::from_millis(50);
/// Events in one instant: more is a loop that never ends.
const SPIN: u32 = 20_000;

/// A world in motion.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) plan: Rc<Plan>,
    pub(crate) queue: Queue,
    pub(crate) machines: Vec<Machine>,
    pub(crate) files: cluster::Files,
    pub(crate) wires: Wires,
    pub(crate) switch: Switch,
    pub(crate) host: Host,
    pub(crate) witness: Option<Witness>,
    /// By episode: whether it goes on at present.
    pub(crate) active: Vec<bool>,
    pub(crate) injectors: Vec<Option<Injector>>,
    pub(crate) tape: crate::inject::Tapes,
    pub(crate) checks: Checks,
    pub(crate) story: Story,
    pub(crate) facts: Facts,
    pub(crate) healed: bool,
    pub(crate) over: bool,
}

impl World {
    pub(crate) fn new(plan: &Plan, keep_story: bool) -> World {
        let files = cluster::Files::new(plan);
        let machines: Vec<Machine> = plan
            .machines
            .iter()
            .enumerate()
            .map(|(id, machine)| {
                let config = cluster::node(files.of(machine.file), machine.node);
                let nodes = plan.cluster.nodes;
                assert!(
                    id >= nodes || machine.node == id,
                    "nodes come in file order"
                );
                Machine::new(id, machine.clone(), config, plan)
            })
            .collect();
        let timings = machines.iter().map(|machine| machine.config.engine.timing);
        let timings: Vec<_> = timings.collect();
        let mut world = World {
            files,
            wires: Wires::new(plan.seed, machines.len(), &plan.wires),
            switch: Switch::default(),
            host: Host::new(plan.patience, plan.cluster.group_count()),
            witness: Witness::new(plan, &machines[0].config),
            active: vec![false; plan.episodes.len()],
            injectors: plan.episodes.iter().map(|_| None).collect(),
            tape: crate::inject::Tapes::new(plan.seed),
            checks: Checks::new(plan, &timings),
            story: Story::new(keep_story),
            facts: Facts::default(),
            queue: Queue::default(),
            healed: false,
            over: false,
            machines,
            plan: Rc::new(plan.clone()),
        };
        world.schedule();
        world
    }

    fn schedule(&mut self) {
        let plan = Rc::clone(&self.plan);
        for (id, machine) in plan.machines.iter().enumerate() {
            if let Some(at) = machine.power_on {
                self.queue.at(at, Event::PowerOn(id, 0));
            }
        }
        for (at, episode) in plan.episodes.iter().enumerate() {
            self.queue.at(episode.from, Event::Begin(at));
            if !episode.fault.is_instant() {
                self.queue.at(episode.until, Event::End(at));
            }
        }
        self.queue.at(plan.healed, Event::Healed);
        self.queue.after(CLIENT, Event::Client);
    }

    /// Runs to the end, or to the first broken promise.
    pub(crate) fn run(&mut self) -> Option<Violation> {
        let mut spin = (Duration::ZERO, 0_u32);
        while !self.over {
            let Some(event) = self.queue.next() else {
                break;
            };
            let now = self.now();
            if spin.0 == now {
                spin.1 += 1;
                if spin.1 > SPIN {
                    self.checks
                        .broken("livelock", now, "the world spins in one instant");
                }
            } else {
                spin = (now, 0);
            }
            let machine = match event {
                Event::Machine(id, ..) => Some(id),
                _ => None,
            };
            self.one(event);
            self.checks.look(now, machine, &self.machines);
            if let Some(violation) = self.checks.take() {
                self.story.world(now, format_args!("BROKEN: {violation}"));
                return Some(violation);
            }
        }
        None
    }

    pub(crate) fn now(&self) -> At {
        self.queue.now()
    }

    fn one(&mut self, event: Event) {
        match event {
            Event::Machine(id, life, happening) => {
                if self.machines[id].life == life {
                    self.happen(id, happening);
                }
            }
            Event::PowerOn(id, turn) => {
                if self.machines[id].power_turn == turn {
                    self.power_on(id);
                }
            }
            Event::Host(frame) => self.at_host(&frame),
            Event::Witness(frame) => self.at_witness(&frame),
            Event::Client => {
                self.client();
                self.queue.after(CLIENT, Event::Client);
            }
            Event::Begin(at) => self.begin(at),
            Event::End(at) => self.end(at),
            Event::Inject(at) => self.inject(at),
            Event::Healed => self.heal(),
            Event::Look => self.look_for_convergence(),
        }
    }

    /// Something will happen to a machine in its present life.
    pub(crate) fn later(&mut self, id: usize, wait: Duration, happening: Happening) {
        let life = self.machines[id].life;
        self.queue.after(wait, Event::Machine(id, life, happening));
    }

    /// The faults that go on at present.
    pub(crate) fn faults(&self) -> impl Iterator<Item = &Fault> {
        let episodes = self.plan.episodes.iter().zip(&self.active);
        episodes
            .filter(|(_, active)| **active)
            .map(|(episode, _)| &episode.fault)
    }

    /// The faults have changed: whatever follows from that.
    pub(crate) fn refresh(&mut self) {
        let plan = Rc::clone(&self.plan);
        let faults: Vec<Fault> = plan
            .episodes
            .iter()
            .zip(&self.active)
            .zip(&self.injectors)
            .filter(|((_, active), _)| **active)
            .map(
                |((episode, _), injector)| match (&episode.fault, injector) {
                    (Fault::Flap(wire, _), Some(Injector::Flap { down: true })) => {
                        Fault::Cut(*wire)
                    }
                    (fault, _) => *fault,
                },
            )
            .collect();
        self.wires.apply(faults.iter());
        for id in 0..self.machines.len() {
            let (old, new) = (self.machines[id].ills, Ills::of(id, faults.iter()));
            if old != new {
                self.ail(id, old, new);
            }
        }
        self.witness_ails(&faults);
        self.links();
    }

    fn heal(&mut self) {
        let now = self.now();
        self.healed = true;
        self.story
            .world(now, format_args!("healed: nothing goes wrong from here on"));
        for id in 0..self.machines.len() {
            if id >= self.plan.cluster.nodes {
                self.power_off(id, "unplugged for good");
            } else if !self.machines[id].power {
                self.power_on(id);
            }
        }
        self.checks.healed(now, &self.machines);
        self.queue.after(LOOK, Event::Look);
    }

    fn look_for_convergence(&mut self) {
        let now = self.now();
        let placement = self.placement();
        let served_by = self.host.served(now);
        self.over = self.checks.converging(now, &placement, &served_by);
        self.checks.converged(&mut self.facts);
        if !self.over {
            self.tidy();
            self.queue.after(LOOK, Event::Look);
        }
    }
}
