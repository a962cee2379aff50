//! The engine itself (first cut of the surface).

use crate::config::Config;
use crate::counters::Counters;
use crate::surface::{
    Ack, Command, Effect, Event, GroupStatus, PathState, Refusal, Reject, Report, Role, RunState,
    View,
};
use crate::types::{BootId, GroupId, NodeId, Now, PathId, ResourceId};

/// One node's decisions.
#[derive(Clone, Debug)]
pub struct Engine {
    config: Config,
    boot: BootId,
    now: Now,
    counters: Counters,
}

impl Engine {
    /// A fresh life `boot` of node `config.me`; `seed` only spreads retries in time.
    pub fn new(config: Config, boot: BootId, _seed: u64, now: Now) -> Engine {
        Engine {
            config,
            boot,
            now,
            counters: Counters::default(),
        }
    }

    /// A heartbeat arrived on `path`; tells who sent it, once proven.
    ///
    /// # Errors
    /// Why it changed nothing; counted here.
    pub fn handle_frame(
        &mut self,
        now: Now,
        _path: PathId,
        _bytes: &[u8],
    ) -> Result<NodeId, Reject> {
        self.now = now;
        self.counters.count(Reject::Malformed);
        Err(Reject::Malformed)
    }

    /// A path's carrier at this end came or went (a serial line opened or closed).
    pub fn handle_carrier(&mut self, now: Now, _path: PathId, _up: bool) {
        self.now = now;
    }

    /// Time passed: at least at [`Engine::poll_deadline`].
    pub fn handle_timer(&mut self, now: Now) {
        self.now = now;
    }

    /// What became of a resource.
    pub fn handle_report(&mut self, now: Now, _resource: ResourceId, _report: Report) {
        self.now = now;
    }

    /// A member of the ping group answered a request sent at `sent`.
    pub fn handle_ping(&mut self, now: Now, _sent: Now) {
        self.now = now;
    }

    /// The hardware watchdog is open; `granted` is its timeout.
    pub fn handle_watchdog(&mut self, now: Now, _granted: Now) {
        self.now = now;
    }

    /// An operator's wish.
    ///
    /// # Errors
    /// Why it was not taken; nothing changed then.
    pub fn handle_command(&mut self, now: Now, _command: Command) -> Result<Ack, Refusal> {
        self.now = now;
        Err(Refusal::NotNow)
    }

    /// The next thing to do; call until `None` after every input.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        None
    }

    /// When [`Engine::handle_timer`] wants to run next.
    pub fn poll_deadline(&self) -> Now {
        self.now + self.config.timing.keepalive
    }

    /// Where this node stands.
    pub fn role(&self) -> Role {
        Role::Observer
    }

    /// The view installed here.
    pub fn view(&self) -> Option<View> {
        None
    }

    /// This life.
    pub fn boot(&self) -> BootId {
        self.boot
    }

    /// The other nodes of the cluster file.
    pub fn peers(&self) -> impl Iterator<Item = NodeId> + '_ {
        (0..self.config.nodes.len())
            .map(NodeId::from_index)
            .filter(|node| *node != self.config.me)
    }

    /// Where a node stands as seen from here; `None` when it is dead or was never heard.
    pub fn role_of(&self, _node: NodeId) -> Option<Role> {
        None
    }

    /// A node's confirmed life.
    pub fn boot_of(&self, node: NodeId) -> Option<BootId> {
        (node == self.config.me).then_some(self.boot)
    }

    /// Time since a peer's last fresh beat; `None` when it was never heard.
    pub fn silent(&self, _now: Now, _node: NodeId) -> Option<Now> {
        None
    }

    /// A path towards a peer.
    pub fn path_state(&self, _peer: NodeId, _path: PathId) -> PathState {
        PathState::Down
    }

    /// Whether a node is in the view installed here.
    pub fn is_member(&self, _node: NodeId) -> bool {
        false
    }

    /// Whether a node runs the same cluster file, as far as known.
    pub fn same_file(&self, _node: NodeId) -> bool {
        true
    }

    /// Whether an operator put a node on standby.
    pub fn standby(&self, _node: NodeId) -> bool {
        false
    }

    /// Whether a node holds at least one group, as far as known.
    pub fn is_active(&self, _node: NodeId) -> bool {
        false
    }

    /// A group as seen from here.
    pub fn group(&self, _group: GroupId) -> GroupStatus {
        GroupStatus {
            holder: None,
            epoch: 0,
            state: RunState::Stopped,
            failures: 0,
            banned: false,
        }
    }

    /// A resource on this node.
    pub fn resource(&self, _resource: ResourceId) -> RunState {
        RunState::Stopped
    }

    /// Whether this node may act as a holder at `now`: defend a VIP, for one.
    pub fn holds_lease(&self, _now: Now) -> bool {
        false
    }

    /// Whether clients reach this node, as far as known.
    pub fn reachable(&self, _now: Now) -> bool {
        true
    }

    /// What was rejected since boot.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The file this engine runs.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Writes an event as one line, with the file's names and the evidence.
    ///
    /// # Errors
    /// Only what `out` itself fails with.
    pub fn text(&self, _event: &Event, _out: &mut impl core::fmt::Write) -> core::fmt::Result {
        Ok(())
    }
}

impl Event {
    /// How bad it is.
    pub fn level(&self) -> crate::surface::Level {
        crate::surface::Level::Info
    }
}
