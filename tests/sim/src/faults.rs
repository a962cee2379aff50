//! Faults begin and end; operators ask.

use core::time::Duration;

use kodo_engine::surface::Command;
use kodo_engine::{GroupId, NodeId};
use kodo_node::Unfit;
use kodo_node::io::{Halt, Input, Reply, Request, Token};
use kodo_node::status::{Name as Text, NodeStatus};

use crate::cluster::{self, LAN_PORT};
use crate::inject::Injector;
use crate::machine::Machine;
use crate::plan::{Fault, File, Machine as Name, Wish};
use crate::queue::{Event, Happening};
use crate::story::{Stamp, Vip};
use crate::world::World;

/// The group that wishes without a name of one are about.
const GROUP: GroupId = GroupId(0);

impl World {
    /// An episode begins.
    pub(crate) fn begin(&mut self, at: usize) {
        let now = self.now();
        let episode = self.plan.episodes[at].clone();
        let fault = episode.fault;
        if fault.is_instant() {
            self.story.world(now, format_args!("{fault}"));
        } else {
            self.story
                .world(now, format_args!("{fault}, until {}", Stamp(episode.until)));
        }
        match fault {
            Fault::Crash(id, wait) => self.panic(id, wait),
            Fault::ServiceCrash(id) => self.crash_services(id),
            Fault::Operator(id, wish) => self.wish(id, wish),
            _ => {
                self.active[at] = true;
                self.injectors[at] = match fault {
                    Fault::Flap(..) => Some(Injector::Flap { down: false }),
                    Fault::Replay { .. }
                    | Fault::Forge { .. }
                    | Fault::Junk { .. }
                    | Fault::Noise { .. } => Some(Injector::Frames),
                    _ => None,
                };
                if self.injectors[at].is_some() {
                    self.queue.after(Duration::ZERO, Event::Inject(at));
                }
                if let Fault::Cut(wire) = fault {
                    self.switch.unplugged(wire);
                }
                self.refresh();
            }
        }
    }

    /// An episode ends.
    pub(crate) fn end(&mut self, at: usize) {
        let now = self.now();
        let fault = self.plan.episodes[at].fault;
        self.story.world(now, format_args!("over: {fault}"));
        self.active[at] = false;
        self.injectors[at] = None;
        self.refresh();
    }

    /// An operator asks something of a machine, if anybody listens there.
    pub(crate) fn wish(&mut self, id: usize, wish: Wish) {
        let operator = Text::try_from("sim").unwrap_or_default();
        let node = |machine: usize| NodeId::from_index(self.machines[machine].plan.node);
        let command = |command| Request::Command {
            command,
            operator: operator.clone(),
        };
        let request = match wish {
            Wish::Stage(file) => {
                let token = self.facts.asked(id, wish);
                return self.later(id, Duration::ZERO, Happening::Staged(token, file));
            }
            Wish::Adopt(file) => command(Command::Adopt(self.files.of(file).file_hash())),
            Wish::Move(to) => command(Command::Move(GROUP, node(to), false)),
            Wish::MoveOf(group, to) => {
                command(Command::Move(GroupId::from_index(group), node(to), false))
            }
            Wish::Standby(of) => command(Command::Standby(node(of), true)),
            Wish::Online(of) => command(Command::Standby(node(of), false)),
            Wish::TakeoverAnyway => command(Command::TakeoverAnyway),
            Wish::Maintenance(on) => command(Command::Maintenance(on)),
            Wish::Manage(group, yes) => command(Command::Manage(GroupId::from_index(group), yes)),
            Wish::Cleanup => command(Command::Cleanup(GROUP)),
            Wish::PowerOff => Request::Halt {
                halt: Halt::PowerOff,
                operator,
            },
            Wish::Reboot => Request::Halt {
                halt: Halt::Reboot,
                operator,
            },
            Wish::Ask => Request::Status,
        };
        let times = if wish == Wish::Ask { 200 } else { 1 };
        for _ in 0..times {
            let token = self.facts.asked(id, wish);
            self.later(id, Duration::ZERO, Happening::Asked(token, request.clone()));
        }
    }

    /// A new cluster file is given to a node, seated after the one that it runs, as PID 1
    /// does it.
    pub(crate) fn stage(&mut self, id: usize, token: Token, file: File) {
        let now = self.now();
        let machine = &mut self.machines[id];
        let mut next = cluster::node(self.files.of(file), machine.plan.node);
        let running = machine.adopted.as_deref().unwrap_or(&machine.config);
        let seated = next.seat(running);
        if let Err(unfit) = seated {
            let text = format!(
                "{}: the file does not fit the running one: {unfit}",
                Name(id)
            );
            return self.checks.broken("7", now, &text);
        }
        machine.offered = Some(Box::new(next.clone()));
        self.step(id, Input::Stage(token, &next));
    }

    /// A node says whether it keeps a file.
    pub(crate) fn staged(&mut self, id: usize, token: Token, verdict: Result<u64, Unfit>) {
        let now = self.now();
        let machine = &mut self.machines[id];
        let offered = machine.offered.take();
        if verdict.is_ok() {
            machine.staged = offered;
        }
        let wish = self.facts.settle(token, verdict.is_ok());
        let word = match verdict {
            Ok(_) => "kept".to_owned(),
            Err(unfit) => format!("refused: {unfit}"),
        };
        self.story
            .world(now, format_args!("{} to {wish:?}: {word}", Name(id)));
    }

    /// From here on a node runs what it kept.
    pub(crate) fn adopted(&mut self, id: usize, hash: u64) {
        let now = self.now();
        let machine = &mut self.machines[id];
        machine.adopted = machine.staged.take();
        let runs = machine
            .adopted
            .as_ref()
            .map(|config| config.engine.file_hash);
        if runs != Some(hash) {
            self.checks
                .broken("7", now, "a node adopts what nobody staged there");
        }
        self.facts.adopted(now, id, hash);
    }

    /// An operator is answered.
    pub(crate) fn replied(&mut self, id: usize, token: Token, reply: &Reply) {
        let now = self.now();
        let Some(wish) = self.facts.replied(token, reply) else {
            self.checks
                .broken("8", now, "an answer that nobody asked for");
            return;
        };
        if matches!(reply, Reply::Ok { .. } | Reply::Open { .. }) && wish != Wish::Ask {
            self.checks.obeyed(now, id, wish, &self.machines);
        }
        if wish != Wish::Ask {
            let word = match reply {
                Reply::Refused(why) => format!("refused: {why:?}"),
                _ => "agreed".to_owned(),
            };
            self.story.world(
                now,
                format_args!("{} to operator's {wish:?}: {word}", Name(id)),
            );
        }
    }

    /// Operators put right what they did, once nothing goes wrong any more.
    pub(crate) fn tidy(&mut self) {
        let now = self.now();
        if !self.facts.tidy_due(now) {
            return;
        }
        for id in 0..self.plan.cluster.nodes {
            let left = self.machines[id].node.as_ref().and_then(|node| {
                let status = node.status();
                let out = |node: &NodeStatus| node.standby || node.quarantined;
                let standby = status.nodes.iter().position(out);
                let alone = status.groups.iter().position(|group| !group.managed);
                let maintenance = status.maintenance.then_some(Wish::Maintenance(false));
                let managed = alone.map(|group| Wish::Manage(group, true));
                maintenance.or(managed).or(standby.map(Wish::Online))
            });
            if let Some(wish) = left
                && self.machines[id].decides()
            {
                self.wish(id, wish);
                return;
            }
        }
    }

    /// By group, who holds it, judged from outside; or why the cluster has not converged.
    pub(crate) fn placement(&self) -> Result<Vec<usize>, String> {
        let nodes = self.plan.cluster.nodes;
        let mut epoch = None;
        for (id, machine) in self.machines[..nodes].iter().enumerate() {
            let Some(node) = &machine.node else {
                return Err(format!("{} is not up", Name(id)));
            };
            let status = node.status();
            let Some(view) = status
                .view
                .as_ref()
                .filter(|view| view.members.len() == nodes)
            else {
                return Err(format!("{} is not in a view of all {nodes}", Name(id)));
            };
            if *epoch.get_or_insert(view.epoch) != view.epoch {
                return Err(format!("{} is in another view than node1", Name(id)));
            }
            let held = status.groups.iter().take(self.plan.cluster.group_count());
            for (group, said) in held.enumerate() {
                let started = said.state == kodo_node::status::GroupState::Started;
                if started != machine.holds(group) {
                    let (name, state) = (Name(id), said.state);
                    return Err(format!("{name} says that group {} is {state:?}", group + 1));
                }
            }
        }
        self.agents()?;
        (0..self.plan.cluster.group_count())
            .map(|group| self.holder(group))
            .collect()
    }

    /// As many agents run as the file asks for.
    fn agents(&self) -> Result<(), String> {
        let wanted = usize::from(self.plan.cluster.agents);
        let agent = self.plan.cluster.group_count();
        let runs = |machine: &&Machine| wanted > 0 && machine.serves(agent, self.now());
        match self.machines.iter().filter(runs).count() {
            enough if enough == wanted => Ok(()),
            runs => Err(format!("{runs} agents run, and should be {wanted}")),
        }
    }

    /// The only machine that holds a group and serves it.
    fn holder(&self, group: usize) -> Result<usize, String> {
        let now = self.now();
        let vip = Vip(group);
        let mut holder = None;
        for (id, machine) in self.machines.iter().enumerate() {
            if machine.holds(group) {
                if holder.is_some() {
                    return Err(format!("two machines hold the {vip}"));
                }
                if !machine.ports[usize::from(LAN_PORT)].carrier {
                    return Err(format!("the LAN port of {} has no carrier", Name(id)));
                }
                if !machine.serves_clients(group, now) {
                    return Err(format!("the service on {} is not ready", Name(id)));
                }
                holder = Some(id);
            } else if self.plan.cluster.promotable(group) {
                if !machine.serves(group, now) {
                    return Err(format!("{} has no instance that is ready", Name(id)));
                }
                if machine.has_role(group) {
                    return Err(format!("{} is promoted without the {vip}", Name(id)));
                }
            } else if machine.kernel.services[group].process.is_some() {
                return Err(format!("a service runs on {} without the {vip}", Name(id)));
            }
        }
        holder.ok_or_else(|| format!("nobody holds the {vip}"))
    }
}
