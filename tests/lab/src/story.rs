//! One scenario's cluster: begun, waited for, judged.

use std::net::IpAddr;
use std::time::Duration;

use kodo_qemu::{Admin, Boot, Event, Lab, Mark, NicRole, Options, SerialRole};
use serde_json::Value;

use crate::image::{Variant, boot_json};

/// The example's only group.
pub const GROUP: &str = "www";

/// The third machine of [`Story::with_twin`].
pub const TWIN: &str = "twin";

/// The example's operator token, published in the example itself.
const TOKEN: &str = "kodo-example-token";

/// A machine under emulation on a busy host: from power-on to a settled member.
const BOOT: Duration = Duration::from_secs(90);

/// A running cluster of the example's two nodes.
pub struct Story {
    /// The lab it runs in.
    pub lab: Lab,
    began: Mark,
}

impl Story {
    /// A pair with everything healthy: both nodes members, one serving, all paths up.
    #[must_use]
    pub fn begin(variant: Variant) -> Story {
        let story = Story::dark(variant);
        story.lab.power_on_all().expect("power");
        story.settled();
        story
    }

    /// The pair with all machines off.
    #[must_use]
    pub fn dark(variant: Variant) -> Story {
        Story::of(Boot::read(&boot_json(variant)).expect("a boot.json"))
    }

    /// The pair, powered on, whose second node runs another image than the first.
    #[must_use]
    pub fn mixed(first: Variant, second: Variant) -> Story {
        let mut boot = Boot::read(&boot_json(first)).expect("a boot.json");
        let mut other = Boot::read(&boot_json(second)).expect("a boot.json");
        let last = boot.nodes.keys().next_back().expect("nodes").clone();
        let changed = other.nodes.remove(&last).expect("the same nodes");
        boot.nodes.insert(last, changed);
        let story = Story::of(boot);
        story.lab.power_on_all().expect("power");
        story
    }

    /// The pair with all machines off, and beside it on the LAN a third machine, `twin`,
    /// that carries the first node's identity.
    #[must_use]
    pub fn with_twin() -> Story {
        let mut boot = Boot::read(&boot_json(&[])).expect("a boot.json");
        let mut twin = boot.nodes.values().next().expect("nodes").clone();
        // A second machine is not on the pair's own cables.
        twin.nics.retain(|nic| nic.role == NicRole::Lan);
        for line in &mut twin.serial {
            if line.role == SerialRole::Heartbeat {
                line.role = SerialRole::Unused;
            }
        }
        boot.nodes.insert(TWIN.to_owned(), twin);
        Story::of(boot)
    }

    /// The pair with all machines off, each with so many MB of memory.
    #[must_use]
    pub fn sized(variant: Variant, memory_mb: u32) -> Story {
        let boot = Boot::read(&boot_json(variant)).expect("a boot.json");
        Story::with(
            boot,
            Options {
                memory_mb,
                ..Options::default()
            },
        )
    }

    fn of(boot: Boot) -> Story {
        Story::with(boot, Options::default())
    }

    fn with(boot: Boot, options: Options) -> Story {
        let options = Options {
            token: Some(TOKEN.to_owned()),
            ..options
        };
        let lab = Lab::with(boot, options).expect("a lab");
        let began = lab.mark();
        Story { lab, began }
    }

    /// When the story began.
    #[must_use]
    pub fn began(&self) -> Mark {
        self.began
    }

    /// Switches the pair on, not the twin, and waits until it has settled.
    pub fn power_on_pair(&self) {
        for node in self.nodes() {
            self.lab.power_on(&node).expect("power");
        }
        self.settled();
    }

    /// Waits until both nodes say that everything is as it should be and the client agrees.
    pub fn settled(&self) {
        for node in self.nodes() {
            self.status(&node, "everything healthy", BOOT, |status| {
                (status["health"] == "healthy").then_some(())
            });
        }
        self.serving(BOOT);
    }

    /// The node that answers at the VIP, as its clients see it.
    pub fn serving(&self, within: Duration) -> String {
        let answering = |lab: &Lab| lab.client().answering();
        let node = self
            .lab
            .wait_for("a page through the VIP", within, answering);
        node.unwrap_or_else(|error| panic!("{error}")).to_string()
    }

    /// Waits until this node answers at the VIP.
    pub fn served_by(&self, node: &str, within: Duration) {
        let answers = |lab: &Lab| {
            lab.client()
                .answering()
                .filter(|who| **who == *node)
                .map(drop)
        };
        let what = format!("a page from {node} through the VIP");
        self.lab
            .wait_for(&what, within, answers)
            .unwrap_or_else(|error| panic!("{error}"));
    }

    /// The pair's node names, in the file's order.
    #[must_use]
    pub fn nodes(&self) -> Vec<String> {
        self.lab
            .nodes()
            .filter(|node| *node != TWIN)
            .map(str::to_owned)
            .collect()
    }

    /// The node that is not this one.
    #[must_use]
    pub fn other(&self, node: &str) -> String {
        let other = self.nodes().into_iter().find(|name| name != node);
        other.expect("a pair has another node")
    }

    /// A node's admin API.
    #[must_use]
    pub fn admin(&self, node: &str) -> Admin {
        self.lab.admin(node).expect("a node of the cluster")
    }

    /// Waits until a node's status shows what `look` looks for.
    pub fn status<T>(
        &self,
        node: &str,
        what: &str,
        within: Duration,
        look: impl FnMut(&Value) -> Option<T>,
    ) -> T {
        self.lab
            .wait_status(node, what, within, look)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits until a node sees its path of this name in this state.
    pub fn path(&self, node: &str, path: &str, state: &str, within: Duration) {
        let what = format!("path {path} {state}");
        self.status(node, &what, within, |status| {
            status["nodes"].as_array()?.iter().find_map(|peer| {
                let paths = peer["paths"].as_array()?;
                let found = paths.iter().find(|p| p["name"] == path)?;
                (found["state"] == state).then_some(())
            })
        });
    }

    /// Waits for a line on a node's console that contains `text`.
    pub fn says(&self, node: &str, text: &str, since: Mark, within: Duration) -> String {
        let line = self.lab.wait_line(node, text, since, within);
        line.unwrap_or_else(|error| panic!("{error}")).1
    }

    /// Waits for an event of the lab.
    pub fn sees<T>(
        &self,
        what: &str,
        since: Mark,
        within: Duration,
        look: impl FnMut(&Event) -> Option<T>,
    ) -> T {
        let mut look = look;
        let found = self
            .lab
            .wait_event(what, since, within, |entry| look(&entry.event));
        found.unwrap_or_else(|error| panic!("{error}"))
    }

    /// This moment.
    #[must_use]
    pub fn now(&self) -> Mark {
        self.lab.mark()
    }

    /// How long the client went without an answer, at worst, since a moment.
    #[must_use]
    pub fn outage(&self, since: Mark) -> Duration {
        self.lab.client().longest_gap(since.at)
    }

    /// Whether a line was logged by a node since a moment.
    #[must_use]
    pub fn said(&self, node: &str, text: &str, since: Mark) -> bool {
        self.lab
            .console(node, since)
            .iter()
            .any(|(_, line)| line.contains(text))
    }

    /// The cluster's VIP.
    #[must_use]
    pub fn vip(&self) -> IpAddr {
        self.lab.boot().vips[0].addr
    }

    /// How long two nodes spoke for the VIP at once, as recorded on the wire: the sum
    /// over the whole story.
    #[must_use]
    pub fn two_owners(&self) -> Duration {
        let overlaps = self.lab.wire().overlaps(self.vip(), self.began.at);
        overlaps
            .iter()
            .map(kodo_qemu::wire::judge::Overlap::duration)
            .sum()
    }

    /// Ends the story: nobody ever answered for the VIP beside its owner.
    pub fn end(self) {
        let overlaps = self.lab.wire().overlaps(self.vip(), self.began.at);
        assert!(
            overlaps.is_empty(),
            "two owners on the wire:\n{}",
            overlaps[0]
        );
    }
}
