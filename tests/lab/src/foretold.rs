//! What `kodo simulate` foretold, and whether the cluster did just that.
//!
//! Owns the agreement of the two. Before a fault or an order the story asks the real `kodo`
//! what would be done about it in the state that the cluster is in; at the next one, and at
//! the end, the starts and stops that the nodes told on their consoles must be those, each
//! as often, and no others. What is not foretold is foretold as nothing: once a story has
//! settled, anything that moves on its own fails it.
//!
//! Votes, leases and pauses are not placement's. A node that is cut off is foretold as one
//! that fails, for the others, and as one that gives up what it holds, for itself
//! ([`Way::CutOff`]); where ARCHITECTURE.md leaves the outcome to a race (a gap, a witness
//! that both reach) any of its ways is right ([`Story::foretell_one_of`]).
//!
//! Not judged: how a cold cluster begins, for there is no state before that could be asked
//! (all stories until they have settled; `slow_link` and `duplicate_address` are nothing
//! else), and `plain.rs`, which uses nothing of the lab.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use kodo_qemu::Mark;
use serde_json::Value;

use crate::image;
use crate::story::{Story, TOKEN};

/// From the moment at which a scenario has seen what it wanted until all has been told.
const TOLD: Duration = Duration::from_secs(30);

/// Starts and stops, in no order: `start www on node1`.
type Acts = Vec<String>;

/// One way in which what a scenario does may end.
#[derive(Clone, Copy, Debug)]
pub enum Way<'a> {
    /// As `kodo simulate` says of these events: `--fail node1`.
    Events(&'a str),
    /// The others do as if this node had failed, and it gives up what it holds.
    CutOff(&'a str),
    /// As the documents say, where placement has no say: `stop www on node1`.
    Documented(&'a [&'a str]),
}

/// What is to come since a moment.
pub(crate) struct Chapter {
    since: Mark,
    about: String,
    ways: Vec<Acts>,
}

impl Story {
    /// Asks what will be done about events, such as `--fail node1`, and holds the cluster to
    /// it. To be called before they happen, when nothing else is under way.
    pub fn foretell(&self, events: &str) {
        self.foretell_one_of(&[Way::Events(events)]);
    }

    /// The same of a node that hears nobody any more, but may live on.
    pub fn foretell_cut_off(&self, node: &str) {
        self.foretell_one_of(&[Way::CutOff(node)]);
    }

    /// The same where one of several ways is right.
    pub fn foretell_one_of(&self, ways: &[Way<'_>]) {
        let since = self.agree();
        let mut acts = Vec::new();
        for way in ways {
            acts.push(match way {
                Way::Events(events) => self.simulate(&self.asked().0, events),
                Way::CutOff(node) => {
                    let (asked, status) = self.asked();
                    let mut acts = self.simulate(&asked, &format!("--fail {node}"));
                    let held = held(&status, node);
                    acts.extend(held.map(|group| format!("stop {group} on {node}")));
                    sorted(acts)
                }
                Way::Documented(acts) => sorted(acts.iter().map(ToString::to_string).collect()),
            });
        }
        let about = format!("{ways:?}");
        self.lab.note(&format!("foretold of {about}: {acts:?}"));
        *self.chapter.borrow_mut() = Some(Chapter {
            since,
            about,
            ways: acts,
        });
    }

    /// From now on nothing is to happen unless it is foretold.
    pub(crate) fn foretell_nothing(&self) {
        let mut chapter = self.chapter.borrow_mut();
        chapter.get_or_insert_with(|| Chapter {
            since: self.now(),
            about: "a settled cluster".to_owned(),
            ways: vec![Acts::new()],
        });
    }

    /// Waits until all that was foretold has been done; fails when it is not, or when more
    /// was done. Gives the moment up to which it looked.
    ///
    /// # Panics
    /// With both lists, when they differ.
    pub fn agree(&self) -> Mark {
        let Some(chapter) = self.chapter.borrow_mut().take() else {
            return self.now();
        };
        let mut last = (self.now(), Acts::new());
        let agreed = self.lab.wait_for("what was foretold", TOLD, |lab| {
            let now = lab.mark();
            last = (now, self.done(chapter.since, now));
            chapter.ways.contains(&last.1).then_some(now)
        });
        agreed.unwrap_or_else(|_| {
            panic!(
                "kodo simulate and the cluster disagree about {}\n  foretold: {:?}\n  done:     {:?}",
                chapter.about, chapter.ways, last.1
            )
        })
    }

    /// What the nodes began to start and to stop between two moments.
    fn done(&self, since: Mark, until: Mark) -> Acts {
        let mut acts = Acts::new();
        for node in self.nodes() {
            let lines = self.lab.console(&node, since);
            let lines = lines.iter().filter(|(at, _)| *at <= until.at);
            acts.extend(lines.filter_map(|(_, line)| act(line, &node)));
        }
        sorted(acts)
    }

    /// What `kodo simulate` says of the running cluster, asking this node.
    fn simulate(&self, node: &str, events: &str) -> Acts {
        let told = Command::new(image::command())
            .arg("simulate")
            .arg(self.file_of(node))
            .args(["--running", "--node"])
            .arg(self.admin(node).address().to_string())
            .args(events.split_whitespace())
            .env("KODO_TOKEN", TOKEN)
            .output()
            .expect("the kodo command runs");
        let text = String::from_utf8_lossy(&told.stdout);
        assert!(
            told.status.success(),
            "kodo simulate {events}, asking {node}: {text}{}",
            String::from_utf8_lossy(&told.stderr)
        );
        // before the first empty line it tells how things are
        let lines = text.lines().skip_while(|line| !line.is_empty());
        sorted(lines.filter_map(foretold).collect())
    }

    /// The node to ask, and its status: one of the newest view that any machine tells of and
    /// whose members all hear each other. What time alone decides must be over: clients count
    /// as found only when a node has reached them for a while, and the simulator knows no time.
    fn asked(&self) -> (String, Value) {
        let told = |node: String| {
            let machine = self.lab.machine(&node).ok()?;
            let runs = machine.pid.is_some() && !machine.paused && !machine.stalled;
            let status = runs.then(|| self.admin(&node).status())?.ok()?;
            let epoch = status["view"]["epoch"].as_u64()?;
            let members = status["view"]["members"].as_array()?;
            let mut nodes = status["nodes"].as_array()?.iter();
            let open = |node: &Value| {
                let clients = &node["placement"];
                let soon = clients["reachable"] == true && clients["found"] == false;
                members.contains(&node["name"]) && (node["role"] == "dead" || soon)
            };
            (!nodes.any(open)).then_some((epoch, (node, status)))
        };
        let asked = |_: &_| {
            let nodes = self.nodes().into_iter().rev();
            nodes.filter_map(told).max_by_key(|(epoch, _)| *epoch)
        };
        let asked = self.lab.wait_for("a member to ask", TOLD, asked);
        asked.unwrap_or_else(|error| panic!("{error}")).1
    }

    /// The cluster file that a node runs: that of its image, if no other was adopted.
    fn file_of(&self, node: &str) -> PathBuf {
        if let Some(file) = &*self.adopted.borrow() {
            return file.clone();
        }
        let own = self.files.iter().find(|(name, _)| name == node);
        own.map_or_else(|| self.file.clone(), |(_, file)| file.clone())
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        let open = self.chapter.borrow().is_some();
        assert!(
            !open || std::thread::panicking(),
            "the story ended before it was compared with what was foretold"
        );
    }
}

fn sorted(mut acts: Acts) -> Acts {
    acts.sort();
    acts
}

/// Groups that a node holds, by a status.
fn held<'a>(status: &'a Value, node: &'a str) -> impl Iterator<Item = &'a str> {
    let groups = status["groups"].as_array().into_iter().flatten();
    let holds = move |group: &&Value| {
        let holders = group["placement"]["holders"].as_array();
        holders.is_some_and(|names| names.iter().any(|name| name == node))
    };
    groups
        .filter(holds)
        .filter_map(|group| group["name"].as_str())
}

/// A line of `kodo simulate`, when it is a start or a stop.
fn foretold(line: &str) -> Option<String> {
    let mut words = line.strip_prefix("  ")?.split(' ');
    let act = [words.next()?, words.next()?, words.next()?, words.next()?];
    (matches!(act[0], "start" | "stop") && act[2] == "on").then(|| act.join(" "))
}

/// A line of a node's console, when it begins to start or to stop a group.
fn act(line: &str, node: &str) -> Option<String> {
    const ACTS: [(&str, &str); 3] = [
        (": starting (", "start"),
        (": taking over from ", "start"),
        (": stopping (", "stop"),
    ];
    let (words, act) = ACTS.iter().find(|(words, _)| line.contains(words))?;
    let (before, _) = line.split_once(words)?;
    let group = before.rsplit(' ').next()?;
    Some(format!("{act} {group} on {node}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tell_of_one_act_in_one_way() {
        for (told, line, act_told) in [
            (
                "  start www on node2 (failover)",
                "[   10.554] alert www: taking over from node1 (epoch 3): silent 2004 ms",
                Some("start www on node2"),
            ),
            (
                "  start www on node2 (first start)",
                "info  www: starting (epoch 2, first start)",
                Some("start www on node2"),
            ),
            (
                "  stop www on node2",
                "info  www: stopping (an operator's wish)",
                Some("stop www on node2"),
            ),
            ("  www is down", "info  www: started in 40 ms", None),
        ] {
            assert_eq!(foretold(told).as_deref(), act_told);
            assert_eq!(act(line, "node2").as_deref(), act_told);
        }
    }
}
