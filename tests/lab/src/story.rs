//! One scenario's cluster: begun, waited for, judged.

use std::cell::RefCell;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kodo_qemu::wire::judge::{Overlap, Tenure};
use kodo_qemu::{Admin, Boot, Event, Lab, Mark, NicRole, Options, Parting, SerialRole};
use serde_json::Value;

use crate::foretold::Chapter;
use crate::image::{Cluster, PAIR, Variant, boot_json, cluster_file, witness};

/// The examples' only group.
pub const GROUP: &str = "www";

/// The third machine of [`Story::with_twin`].
pub const TWIN: &str = "twin";

/// The examples' operator token, published in the examples themselves.
pub(crate) const TOKEN: &str = "kodo-example-token";

/// A machine under emulation on a busy host: from power-on to a settled member.
const BOOT: Duration = Duration::from_secs(90);
/// Longer than a node on a busy host needs for an answer.
const QUIET: Duration = Duration::from_millis(200);
/// For a request to end and the wire to be quiet.
const END: Duration = Duration::from_secs(10);

/// A machine of a larger cluster; a busy host has little room for many.
const SMALL_MB: u32 = 96;

/// A running cluster: the example pair unless said otherwise.
pub struct Story {
    /// The lab it runs in.
    pub lab: Lab,
    began: Mark,
    voter: Option<&'static str>,
    /// The cluster file, and nodes that were given another one.
    pub(crate) file: PathBuf,
    pub(crate) files: Vec<(String, PathBuf)>,
    /// The file that the nodes took over since they booted.
    pub(crate) adopted: RefCell<Option<PathBuf>>,
    /// What is to happen until something else is foretold; nothing while the cluster is cold.
    pub(crate) chapter: RefCell<Option<Chapter>>,
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

    /// A cluster with everything healthy: all nodes members, one serving, all paths up.
    #[must_use]
    pub fn of(cluster: Cluster) -> Story {
        Story::of_sized(cluster, SMALL_MB)
    }

    /// The same, each machine with so many MB of memory.
    #[must_use]
    pub fn of_sized(cluster: Cluster, memory_mb: u32) -> Story {
        let options = Options {
            memory_mb,
            service_ports: cluster.ports.to_vec(),
            ..Options::default()
        };
        let mut story = Story::with(read(cluster), cluster_file(cluster), options);
        story.voter = cluster.voter;
        if story.lab.boot().witness.is_some() {
            story.start_witness(cluster);
        }
        story.lab.power_on_all().expect("power");
        story.settled();
        story
    }

    /// Starts the cluster's witness, or starts it again when it was killed: it has
    /// forgotten everything then.
    pub fn start_witness(&self, cluster: Cluster) {
        let started = self.lab.start_witness(&witness(cluster));
        started.unwrap_or_else(|error| panic!("{error}"));
    }

    /// The pair with all machines off.
    #[must_use]
    pub fn dark(variant: Variant) -> Story {
        Story::dark_with(variant, |_| {})
    }

    /// The same on other machines than the cluster file is for.
    #[must_use]
    pub fn dark_with(variant: Variant, change: impl FnOnce(&mut Boot)) -> Story {
        let pair = PAIR.with(variant);
        let mut boot = read(pair);
        change(&mut boot);
        Story::with(boot, cluster_file(pair), Options::default())
    }

    /// The pair, powered on, whose second node runs another image than the first.
    #[must_use]
    pub fn mixed(first: Variant, second: Variant) -> Story {
        let (first, second) = (PAIR.with(first), PAIR.with(second));
        let (mut boot, mut other) = (read(first), read(second));
        let last = boot.nodes.keys().next_back().expect("nodes").clone();
        let changed = other.nodes.remove(&last).expect("the same nodes");
        boot.nodes.insert(last.clone(), changed);
        let mut story = Story::with(boot, cluster_file(first), Options::default());
        story.files.push((last, cluster_file(second)));
        story.lab.power_on_all().expect("power");
        story
    }

    /// The pair with all machines off, and beside it on the LAN a third machine, `twin`,
    /// that carries the first node's identity.
    #[must_use]
    pub fn with_twin() -> Story {
        let mut boot = read(PAIR);
        let mut twin = boot.nodes.values().next().expect("nodes").clone();
        // A second machine is not on the pair's own cables.
        twin.nics.retain(|nic| nic.role == NicRole::Lan);
        for line in &mut twin.serial {
            if line.role == SerialRole::Heartbeat {
                line.role = SerialRole::Unused;
            }
        }
        boot.nodes.insert(TWIN.to_owned(), twin);
        Story::with(boot, cluster_file(PAIR), Options::default())
    }

    /// A cluster with all machines off, each with so many MB of memory.
    #[must_use]
    pub fn sized(cluster: Cluster, memory_mb: u32) -> Story {
        let options = Options {
            memory_mb,
            service_ports: cluster.ports.to_vec(),
            ..Options::default()
        };
        Story::with(read(cluster), cluster_file(cluster), options)
    }

    fn with(boot: Boot, file: PathBuf, options: Options) -> Story {
        let options = Options {
            token: Some(TOKEN.to_owned()),
            ..options
        };
        let lab = Lab::with(boot, options).expect("a lab");
        let began = lab.mark();
        Story {
            lab,
            began,
            voter: None,
            file,
            files: Vec::new(),
            adopted: RefCell::new(None),
            chapter: RefCell::default(),
        }
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

    /// Waits until all nodes say that everything is as it should be and the client agrees.
    pub fn settled(&self) {
        for node in self.nodes() {
            self.status(&node, "everything healthy", BOOT, |status| {
                (status["health"] == "healthy").then_some(())
            });
        }
        for vip in 0..self.lab.options().service_ports.len() {
            self.serving_at(vip, BOOT);
        }
        self.foretell_nothing();
    }

    /// The node that answers at the VIP, as its clients see it.
    pub fn serving(&self, within: Duration) -> String {
        self.serving_at(0, within)
    }

    /// The same of a VIP by its position in the file.
    pub fn serving_at(&self, vip: usize, within: Duration) -> String {
        let answering = |lab: &Lab| lab.client().of_vip(vip).answering();
        let node = self
            .lab
            .wait_for("a page through the VIP", within, answering);
        node.unwrap_or_else(|error| panic!("{error}")).to_string()
    }

    /// Waits until these nodes answer at the VIPs, in the order of the file.
    pub fn all_served_by(&self, nodes: &[&str], within: Duration) {
        for (vip, node) in nodes.iter().enumerate() {
            self.served_at(vip, node, within);
        }
    }

    /// Waits until this node answers at the VIP.
    pub fn served_by(&self, node: &str, within: Duration) {
        self.served_at(0, node, within);
    }

    fn served_at(&self, vip: usize, node: &str, within: Duration) {
        let answers = |lab: &Lab| {
            lab.client()
                .of_vip(vip)
                .answering()
                .filter(|who| **who == *node)
                .map(drop)
        };
        let what = format!("a page from {node} through VIP {vip}");
        self.lab
            .wait_for(&what, within, answers)
            .unwrap_or_else(|error| panic!("{error}"));
    }

    /// The cluster's node names, in the file's order.
    #[must_use]
    pub fn nodes(&self) -> Vec<String> {
        self.lab
            .nodes()
            .filter(|node| *node != TWIN)
            .map(str::to_owned)
            .collect()
    }

    /// The first node beside this one that may serve.
    #[must_use]
    pub fn other(&self, node: &str) -> String {
        let mut nodes = self.nodes().into_iter();
        let other = nodes.find(|name| name != node && self.voter != Some(name));
        other.expect("a cluster has another node")
    }

    /// The last node beside this one: the voter, where there is one.
    #[must_use]
    pub fn last_other(&self, node: &str) -> String {
        let mut nodes = self.nodes().into_iter().rev();
        let other = nodes.find(|name| name != node);
        other.expect("a cluster has another node")
    }

    /// Keeps a node apart from all other nodes. Clients, gateway and witness still reach it:
    /// what keeps it from answering is its own decision.
    pub fn isolate(&self, node: &str) {
        for other in self.nodes().iter().filter(|other| *other != node) {
            let parting = Parting::between(node, other);
            self.lab.part(&parting).expect("nodes");
        }
    }

    /// Waits until nobody at all answers at the VIP.
    pub fn nobody_serves(&self, within: Duration) {
        let silent = |lab: &Lab| lab.client().answering().is_none().then_some(());
        self.lab
            .wait_for("silence at the VIP", within, silent)
            .unwrap_or_else(|error| panic!("{error}"));
    }

    /// Lets so much time pass.
    pub fn watch(&self, time: Duration) {
        let over = self.now().at + time;
        self.lab
            .wait_for("time to pass", 2 * time, |lab| {
                (lab.now() >= over).then_some(())
            })
            .unwrap_or_else(|error| panic!("{error}"));
    }

    /// The view that a node has installed: its epoch and members.
    #[must_use]
    pub fn view(&self, node: &str) -> Value {
        let status = self.admin(node).status();
        status.unwrap_or_else(|error| panic!("{error}"))["view"].clone()
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

    /// Stops a machine between two answers: nobody asks for the VIP, by HTTP or ARP, and the
    /// wire has been quiet for it. A frame that the NIC was given before the stop leaves it
    /// when the machine goes on, and no gate can take that back.
    pub fn stall_between_answers(&self, node: &str) {
        self.lab.hold_questions(true);
        let quiet = |lab: &Lab| {
            let tenures = lab.wire().tenures(self.vip());
            let last = tenures.iter().map(|tenure| tenure.until).max()?;
            let silent = lab.mark().at.saturating_sub(last);
            (lab.client().is_idle() && silent >= QUIET).then_some(())
        };
        self.lab
            .wait_for("a wire that is quiet for the VIP", END, quiet)
            .unwrap_or_else(|error| panic!("{error}"));
        self.lab.stall(node).expect("stall");
        self.lab.hold_questions(false);
    }

    /// All nodes run this file from here on.
    pub fn goes_on_with(&self, file: &Path) {
        *self.adopted.borrow_mut() = Some(file.to_owned());
    }

    /// This moment.
    #[must_use]
    pub fn now(&self) -> Mark {
        self.lab.mark()
    }

    /// How long the client went without an answer, at worst, since a moment.
    #[must_use]
    pub fn outage(&self, since: Mark) -> Duration {
        self.outage_at(0, since)
    }

    /// The same of a VIP by its position in the file.
    #[must_use]
    pub fn outage_at(&self, vip: usize, since: Mark) -> Duration {
        self.lab.client().of_vip(vip).longest_gap(since.at)
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
        overlaps.iter().map(Overlap::duration).sum()
    }

    /// For how long since a moment a node still spoke for the VIP, as recorded on the wire.
    #[must_use]
    pub fn spoke(&self, node: &str, since: Mark) -> Duration {
        let tenures = self.lab.wire().tenures(self.vip());
        let mut ends = tenures.iter().filter(|tenure| *tenure.node == *node);
        let last = ends.next_back().map_or(since.at, |tenure| tenure.until);
        last.saturating_sub(since.at)
    }

    /// Who began to speak for the VIP since a moment, as recorded on the wire.
    #[must_use]
    pub fn takeovers(&self, since: Mark) -> Vec<String> {
        let mut tenures = self.lab.wire().tenures(self.vip());
        tenures.retain(|tenure| tenure.from >= since.at);
        let node = |tenure: &Tenure| tenure.node.to_string();
        tenures.iter().map(node).collect()
    }

    /// Waits until a node says that a group runs on another one, or nowhere.
    pub fn holds(&self, asked: &str, group: &str, holder: Option<&str>, within: Duration) {
        let what = format!("{group} on {}", holder.unwrap_or("no node"));
        self.status(asked, &what, within, |status| {
            let groups = status["groups"].as_array()?;
            let found = groups.iter().find(|one| one["name"] == group)?;
            (found["holder"].as_str() == holder).then_some(())
        });
    }

    /// Ends the story: all that was done was foretold, and nobody ever answered for a VIP
    /// beside its owner.
    pub fn end(self) {
        self.agree();
        for vip in &self.lab.boot().vips {
            let overlaps = self.lab.wire().overlaps(vip.addr, self.began.at);
            assert!(
                overlaps.is_empty(),
                "two owners on the wire:\n{}",
                overlaps[0]
            );
        }
    }
}

fn read(cluster: Cluster) -> Boot {
    Boot::read(&boot_json(cluster)).expect("a boot.json")
}
