//! The lab at a glance.
//!
//! Owns a snapshot of everything a person asks for first, made of what is seen from
//! outside and of what the nodes say of themselves; each node is asked twice a second by a
//! thread of its own, so that a silent one holds nothing up.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::Client;
use crate::lab::Lab;
use crate::machine::Power;
use crate::time::{LabTime, seconds};
use crate::wire::fabric::Part;

/// Each node is asked this often.
const EVERY: Duration = Duration::from_millis(500);
/// A node that does not answer within this is silent.
const WITHIN: Duration = Duration::from_millis(900);

/// What each node said, and in which of its lives.
type Answers = Arc<Mutex<HashMap<String, (u32, Value)>>>;

/// Keeps asking all nodes.
pub(crate) struct Board {
    answers: Answers,
    /// Wakes the threads, to see that they shall end.
    wake: Arc<(Mutex<()>, Condvar)>,
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// One node's line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub(crate) node: String,
    pub(crate) power: String,
    pub(crate) role: String,
    /// Path and state; one that is up to some peers only says to whom it is not.
    pub(crate) paths: Vec<(String, String)>,
    pub(crate) holds: Vec<String>,
    pub(crate) concerns: Vec<String>,
}

/// Everything at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) cluster: String,
    pub(crate) at: LabTime,
    pub(crate) url: Option<String>,
    pub(crate) rows: Vec<Row>,
    /// VIP and who speaks for it.
    pub(crate) vips: Vec<(String, Vec<String>)>,
    pub(crate) client: Option<String>,
    /// Half of the client's last answers took less, in milliseconds.
    pub(crate) answer_ms: Option<u128>,
    /// The last outage that ended, in milliseconds.
    pub(crate) last_outage: Option<u128>,
    /// Cables that are not as they should be, with what is wrong.
    pub(crate) faults: Vec<String>,
}

impl Board {
    /// Starts asking, and waits until every node was asked once.
    pub(crate) fn start(lab: &Lab) -> Self {
        let answers = Answers::default();
        let wake = Arc::new((Mutex::new(()), Condvar::new()));
        let ended = Arc::new(AtomicBool::new(false));
        let turns = Arc::new(AtomicUsize::new(0));
        let admins = lab.nodes().filter_map(|node| {
            let admin = lab.admin(node).ok()?.timeout(WITHIN);
            Some((node.to_owned(), admin, lab.shared_state(node).ok()?))
        });
        let threads = admins.filter_map(|(node, admin, state)| {
            let (answers, wake) = (Arc::clone(&answers), Arc::clone(&wake));
            let (ended, turns) = (Arc::clone(&ended), Arc::clone(&turns));
            let ask = move || {
                while !ended.load(Ordering::Relaxed) {
                    let life = state.lock().unwrap_or_else(PoisonError::into_inner).boots;
                    let answer = admin.status();
                    {
                        let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
                        match answer {
                            Ok(status) => answers.insert(node.clone(), (life, status)),
                            Err(_) => answers.remove(&node),
                        };
                    }
                    turns.fetch_add(1, Ordering::Release);
                    let guard = wake.0.lock().unwrap_or_else(PoisonError::into_inner);
                    drop(wake.1.wait_timeout(guard, EVERY));
                }
            };
            std::thread::Builder::new()
                .name("board".to_owned())
                .spawn(ask)
                .ok()
        });
        let threads: Vec<JoinHandle<()>> = threads.collect();
        let deadline = Instant::now() + WITHIN;
        let asked = |turns: &AtomicUsize| turns.load(Ordering::Acquire);
        while asked(&turns) < threads.len() && Instant::now() < deadline {
            lab.journal().wait(
                lab.journal().len(),
                Instant::now() + Duration::from_millis(20),
            );
        }
        Self {
            answers,
            wake,
            ended,
            threads,
        }
    }

    /// Everything now; the nodes' words are at most a second old.
    pub(crate) fn snapshot(&self, lab: &Lab) -> Snapshot {
        let answers = self
            .answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let rows = lab
            .nodes()
            .map(|node| row(lab, node, answers.get(node)))
            .collect();
        let client = lab.client();
        let now = lab.now();
        let ended = client
            .outages(LabTime::ZERO)
            .into_iter()
            .filter(|outage| outage.until.is_some() && outage.before.is_some());
        let faults = lab.wire().cables().into_iter().filter_map(|cable| {
            if cable.cut {
                return Some(format!("{} cut", cable.name));
            }
            let [there, back] = &cable.flows;
            match (there.faults.is_empty(), back.faults.is_empty()) {
                (true, true) => None,
                _ if there.faults == back.faults => {
                    Some(format!("{} {}", cable.name, there.faults))
                }
                (false, _) => Some(format!(
                    "{} {} from {}",
                    cable.name, there.faults, there.from
                )),
                (true, false) => Some(format!("{} {} from {}", cable.name, back.faults, back.from)),
            }
        });
        let parts = Part::words(&lab.wire().parts());
        Snapshot {
            cluster: lab.boot().cluster.clone(),
            at: now,
            url: client.url(),
            rows,
            vips: lab
                .wire()
                .owners()
                .into_iter()
                .map(|vip| {
                    (
                        vip.vip.to_string(),
                        vip.owners.iter().map(ToString::to_string).collect(),
                    )
                })
                .collect(),
            answer_ms: median(&client, now),
            client: client.answering().map(|node| node.to_string()),
            last_outage: ended.last().map(|outage| outage.duration(now).as_millis()),
            faults: faults
                .chain(parts.into_iter().map(|part| format!("{part} parted")))
                .collect(),
        }
    }
}

/// The median of the client's good answers of the last seconds.
fn median(client: &Client<'_>, now: LabTime) -> Option<u128> {
    let last = client.samples(now.saturating_sub(Duration::from_secs(2)));
    let good = last.iter().filter(|sample| sample.outcome.is_good());
    let mut times: Vec<u128> = good
        .map(|sample| (sample.ended - sample.started).as_millis())
        .collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}

fn row(lab: &Lab, node: &str, answer: Option<&(u32, Value)>) -> Row {
    let machine = lab.machine(node).unwrap_or_default();
    let power = machine.power();
    // What a former life said is no news of this one.
    let status = answer.and_then(|(life, status)| (*life == machine.boots).then_some(status));
    let mut row = Row {
        node: node.to_owned(),
        power: power.to_string(),
        ..Row::default()
    };
    let Some(status) = status.filter(|_| power == Power::On) else {
        row.role = if power == Power::On {
            "silent".to_owned()
        } else {
            "-".to_owned()
        };
        return row;
    };
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    row.role = text(&status["role"]);
    row.paths = paths(&list(&status["nodes"]));
    let groups = list(&status["groups"]);
    row.holds = groups
        .iter()
        .filter(|group| {
            // Clones have no holder.
            let clone = group["clones"].is_number();
            let runs = list(&group["nodes"]).iter().any(|name| name == node);
            group["holder"] == node || (clone && runs)
        })
        .map(|group| text(&group["name"]))
        .collect();
    row.concerns = list(&status["concerns"]).iter().map(text).collect();
    row
}

/// Each path of a node with its state.
fn paths(peers: &[Value]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let mut all: Vec<(String, Vec<(String, String)>)> = Vec::new();
    for peer in peers {
        for path in peer["paths"].as_array().into_iter().flatten() {
            let (name, end) = (
                text(&path["name"]),
                (text(&peer["name"]), text(&path["state"])),
            );
            match all.iter_mut().find(|(known, _)| *known == name) {
                Some((_, ends)) => ends.push(end),
                None => all.push((name, vec![end])),
            }
        }
    }
    let told = all.into_iter().map(|(name, ends)| {
        let first = &ends[0].1;
        if ends.iter().all(|(_, other)| other == first) {
            return (name, first.clone());
        }
        let of = |state: &str| {
            let peers: Vec<&str> = ends
                .iter()
                .filter(|(_, is)| *is == state)
                .map(|(peer, _)| peer.as_str())
                .collect();
            (!peers.is_empty()).then(|| format!("{state} to {}", peers.join(" ")))
        };
        let states: BTreeSet<&str> = ends.iter().map(|(_, state)| state.as_str()).collect();
        let bad = states.into_iter().filter(|state| *state != "up");
        (name, bad.filter_map(of).collect::<Vec<_>>().join(", "))
    });
    told.collect()
}

impl Drop for Board {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        self.wake.1.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Snapshot {
    /// The lines under the nodes' table: VIPs, client, faults.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (vip, owners) in &self.vips {
            let owners = match owners.as_slice() {
                [] => "nobody".to_owned(),
                [one] => one.clone(),
                several => format!("{} AT ONCE", several.join(" and ")),
            };
            lines.push(format!("VIP {vip}: {owners}"));
        }
        let outage = self
            .last_outage
            .map(|ms| format!("; last outage {ms} ms"))
            .unwrap_or_default();
        let took = self.answer_ms.filter(|_| self.client.is_some());
        let took = took.map(|ms| format!(" in {ms} ms")).unwrap_or_default();
        let client = self.client.as_deref().unwrap_or("no answer");
        lines.push(format!("client: {client}{took}{outage}"));
        if !self.faults.is_empty() {
            lines.push(format!("cables: {}", self.faults.join("; ")));
        }
        lines
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url.as_deref().unwrap_or("no VIP");
        writeln!(
            f,
            "cluster {} at {} s, {url}",
            self.cluster,
            seconds(self.at)
        )?;
        let paths = |row: &Row| {
            let one = |(name, state): &(String, String)| format!("{name} {state}");
            row.paths.iter().map(one).collect::<Vec<_>>().join(", ")
        };
        let longest = self.rows.iter().map(|row| paths(row).len()).max();
        let width = longest.unwrap_or_default().max(42);
        writeln!(
            f,
            "{:<10} {:<8} {:<9} {:<width$} HOLDS",
            "NODE", "POWER", "ROLE", "PATHS"
        )?;
        for row in &self.rows {
            let Row {
                node,
                power,
                role,
                holds,
                ..
            } = row;
            writeln!(
                f,
                "{node:<10} {power:<8} {role:<9} {:<width$} {}",
                paths(row),
                holds.join(" ")
            )?;
        }
        for line in self.remarks() {
            writeln!(f, "{line}")?;
        }
        for row in &self.rows {
            for concern in &row.concerns {
                writeln!(f, "{}: {concern}", row.node)?;
            }
        }
        Ok(())
    }
}
