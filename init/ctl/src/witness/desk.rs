//! The witness's desk: every cluster's decision, and the log that says what happened.
//!
//! Owns one [`Granter`] for each cluster and the words about it. Time is an argument. Every
//! table has a bound: what is unknown or forged is counted and leaves nothing behind.

use std::collections::HashMap;
use std::mem::discriminant;
use std::net::SocketAddr;
use std::time::Duration;

use kodo_config::Cluster;
use kodo_engine::limits::NODES;
use kodo_engine::surface::Reject;
use kodo_engine::witness::codec::cluster_of;
use kodo_engine::witness::{Answer, Codec, Granter, Question, WitnessFrame, Word};
use kodo_engine::{NodeId, NodeSet, Now};

use super::roll::Served;

/// Between two lines about the same thing that goes on: rejects, refusals.
const AGAIN: Duration = Duration::from_secs(10);
/// A node that has not asked for so long is said to be silent.
const SILENT: Duration = Duration::from_secs(30);

/// How bad a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Info,
    Warn,
    Alert,
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    level: Level,
    pub(super) text: String,
}

impl Line {
    pub(super) fn info(text: String) -> Line {
        Line {
            level: Level::Info,
            text,
        }
    }

    /// As on a node's console.
    pub(super) fn level(&self) -> &'static str {
        match self.level {
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Alert => "ALERT",
        }
    }
}

/// Everything that a witness knows.
pub(super) struct Desk {
    clusters: Vec<Client>,
    /// Clusters by the id in their questions; several may share a name.
    by_id: HashMap<u32, Vec<usize>>,
    hold_off: Duration,
    free: bool,
    rejects: Rejects,
    lines: Vec<Line>,
}

/// One cluster that is served.
struct Client {
    name: String,
    nodes: Vec<String>,
    codecs: Vec<Codec>,
    granter: Granter,
    askers: [Option<Asker>; NODES],
    /// For whom it was last said to speak.
    told: Vec<(NodeId, NodeSet)>,
}

/// What is known of a node, from its fresh questions.
struct Asker {
    boot: u64,
    from: SocketAddr,
    /// Its newest fresh question.
    fresh: Option<Now>,
    /// The first and the newest of a run of questions that were not fresh.
    unproven: Option<(Now, Now)>,
    /// What was last said about it.
    said: Option<(Word, Now)>,
    silent: bool,
    unheard: bool,
}

/// What was rejected since the start.
#[derive(Default)]
struct Rejects {
    malformed: u64,
    unknown: u64,
    forged: u64,
    replayed: u64,
    newest: Option<SocketAddr>,
    /// How many there were when it was last said, and when.
    told: (u64, Option<Now>),
}

impl Rejects {
    fn total(&self) -> u64 {
        self.malformed + self.unknown + self.forged + self.replayed
    }
}

impl Desk {
    /// At the start of the program. Each cluster gets a life of its own from `life`.
    pub(super) fn new(
        served: Vec<Served>,
        hold_off: Duration,
        now: Now,
        life: &mut dyn FnMut() -> Result<u64, String>,
    ) -> Result<Desk, String> {
        let mut by_id: HashMap<u32, Vec<usize>> = HashMap::new();
        let mut clusters = Vec::new();
        for (n, cluster) in served.into_iter().enumerate() {
            let id = Cluster::id_of(&cluster.name);
            by_id.entry(id).or_default().push(n);
            clusters.push(Client {
                codecs: cluster.keys.iter().map(|key| Codec::new(id, key)).collect(),
                granter: Granter::new(life()?, hold_off, now),
                name: cluster.name,
                nodes: cluster.nodes,
                askers: [const { None }; NODES],
                told: Vec::new(),
            });
        }
        Ok(Desk {
            clusters,
            by_id,
            hold_off,
            free: false,
            rejects: Rejects::default(),
            lines: Vec::new(),
        })
    }

    /// A datagram came in; gives the answer, if it deserves one.
    pub(super) fn hear(
        &mut self,
        now: Now,
        from: SocketAddr,
        bytes: &[u8],
    ) -> Option<WitnessFrame> {
        let heard = self.open(bytes).and_then(|(cluster, codec, question)| {
            let answer = self.clusters[cluster].granter.judge(now, &question)?;
            Ok((cluster, codec, question, answer))
        });
        match heard {
            Ok((n, codec, question, answer)) => {
                let cluster = &mut self.clusters[n];
                cluster.note(
                    now,
                    from,
                    &question,
                    &answer,
                    self.hold_off,
                    &mut self.lines,
                );
                cluster.compare(now, &mut self.lines);
                Some(cluster.codecs[codec].answer(&answer))
            }
            Err(reject) => {
                let rejects = &mut self.rejects;
                *match reject {
                    Reject::OtherCluster => &mut rejects.unknown,
                    Reject::Forged => &mut rejects.forged,
                    Reject::Replayed => &mut rejects.replayed,
                    _ => &mut rejects.malformed,
                } += 1;
                rejects.newest = Some(from);
                self.tell_rejects(now);
                None
            }
        }
    }

    /// Time passed.
    pub(super) fn look(&mut self, now: Now) {
        let holds_off = |cluster: &Client| !cluster.granter.holds_off(now).is_zero();
        if !self.free && !self.clusters.iter().any(holds_off) {
            self.free = true;
            let text = "the hold-off is over: speaks for whoever needs it from now on";
            self.lines.push(Line::info(text.to_owned()));
        }
        for cluster in &mut self.clusters {
            cluster.compare(now, &mut self.lines);
            cluster.miss(now, &mut self.lines);
        }
        self.tell_rejects(now);
    }

    /// What there is to say.
    pub(super) fn lines(&mut self) -> impl Iterator<Item = Line> {
        std::mem::take(&mut self.lines).into_iter()
    }

    /// Finds the cluster whose key signed a question.
    fn open(&self, bytes: &[u8]) -> Result<(usize, usize, Question), Reject> {
        let id = cluster_of(bytes).ok_or(Reject::Malformed)?;
        let candidates = self.by_id.get(&id).ok_or(Reject::OtherCluster)?;
        let mut why = Reject::Forged;
        for cluster in candidates {
            for (n, codec) in self.clusters[*cluster].codecs.iter().enumerate() {
                match codec.question(bytes) {
                    Ok(question) => return Ok((*cluster, n, question)),
                    Err(Reject::Forged) => {}
                    Err(other) => why = other,
                }
            }
        }
        Err(why)
    }

    fn tell_rejects(&mut self, now: Now) {
        let rejects = &mut self.rejects;
        let (before, at) = rejects.told;
        let total = rejects.total();
        if total == before || at.is_some_and(|at| now.saturating_sub(at) < AGAIN) {
            return;
        }
        rejects.told = (total, Some(now));
        let kinds = [
            (rejects.forged, "signed by no key of their cluster"),
            (rejects.unknown, "of a cluster that is not served here"),
            (rejects.replayed, "sent before"),
            (rejects.malformed, "not a question at all"),
        ];
        let kinds: Vec<String> = kinds
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        let from = rejects
            .newest
            .map_or_else(String::new, |from| format!("; the last came from {from}"));
        let text = format!(
            "packets ignored since the start: {}{from}",
            kinds.join(", ")
        );
        self.lines.push(Line {
            level: Level::Warn,
            text,
        });
    }
}

impl Client {
    fn node(&self, node: NodeId) -> String {
        match self.nodes.get(node.index()) {
            Some(name) => name.clone(),
            None => format!("node #{}", node.index() + 1),
        }
    }

    fn line(&self, level: Level, text: &str) -> Line {
        Line {
            level,
            text: format!("{}: {text}", self.name),
        }
    }

    /// Takes note of a question and says what is new about its asker.
    fn note(
        &mut self,
        now: Now,
        from: SocketAddr,
        question: &Question,
        answer: &Answer,
        hold_off: Duration,
        lines: &mut Vec<Line>,
    ) {
        if answer.word == Word::Unproven {
            return self.note_unproven(now, from, question, lines);
        }
        let n = question.node.index();
        let name = self.node(question.node);
        let known = self.askers[n].as_ref();
        let mut say = |level, text: String| lines.push(self.line(level, &text));
        match known.filter(|known| known.fresh.is_some()) {
            None => say(
                Level::Info,
                format!(
                    "{name} asks from {from}; a word to it lasts {}",
                    seconds(question.wait())
                ),
            ),
            Some(known) if known.boot != question.boot => {
                say(Level::Info, format!("{name} has restarted"));
            }
            Some(known) if known.silent || known.unheard => {
                say(Level::Info, format!("{name} asks again, from {from}"));
            }
            Some(known) if known.from.ip() != from.ip() => say(
                Level::Warn,
                format!("{name} asks from {from} now, before from {}", known.from),
            ),
            Some(_) => {}
        }
        let said = known.and_then(|known| known.said);
        let said = self.refusal(now, question, answer, hold_off, said, lines);
        self.askers[n] = Some(Asker {
            boot: question.boot,
            from,
            fresh: Some(now),
            unproven: None,
            said,
            silent: false,
            unheard: false,
        });
    }

    /// A question that is not fresh is how everybody begins; when there is nothing else for
    /// long, its asker does not hear the answers.
    fn note_unproven(
        &mut self,
        now: Now,
        from: SocketAddr,
        question: &Question,
        lines: &mut Vec<Line>,
    ) {
        let name = self.node(question.node);
        let asker = self.askers[question.node.index()].get_or_insert(Asker {
            boot: question.boot,
            from,
            fresh: None,
            unproven: None,
            said: None,
            silent: false,
            unheard: false,
        });
        let run = asker.unproven.filter(|(_, newest)| now - *newest < AGAIN);
        let (first, _) = *asker
            .unproven
            .insert((run.map_or(now, |(first, _)| first), now));
        if now - first >= AGAIN && !asker.unheard {
            asker.unheard = true;
            let text = format!(
                "questions of {name} come from {from}, but it does not seem to hear the answers: \
                 is UDP from this machine to it blocked?"
            );
            lines.push(self.line(Level::Warn, &text));
        }
    }

    /// Says that a question was refused, and why, if that is news.
    fn refusal(
        &self,
        now: Now,
        question: &Question,
        answer: &Answer,
        hold_off: Duration,
        said: Option<(Word, Now)>,
        lines: &mut Vec<Line>,
    ) -> Option<(Word, Now)> {
        let name = self.node(question.node);
        let wants = !question.side.is_empty();
        let (level, text) = match answer.word {
            Word::Taken => {
                let holder = answer.holder.map_or_else(String::new, |holder| {
                    format!(
                        ": {} has the word, for {} more",
                        self.node(holder.node),
                        seconds(Duration::from_millis(holder.left.into()))
                    )
                });
                (Level::Warn, format!("{name} is refused{holder}"))
            }
            Word::HoldingOff(left) if wants => (
                Level::Warn,
                format!(
                    "{name} is refused for {} more: this witness has just started and may have \
                     forgotten a word",
                    seconds(Duration::from_millis(left.into()))
                ),
            ),
            Word::WaitTooLong => (
                Level::Alert,
                format!(
                    "{name} can never be helped: its bound W of {} is longer than the hold-off of \
                     {}; start this witness again with a longer --hold-off",
                    seconds(question.wait()),
                    seconds(hold_off)
                ),
            ),
            // Who asks for nothing, or gets it, ends the matter.
            Word::Granted | Word::Idle | Word::Unproven | Word::HoldingOff(_) => return None,
        };
        let news = said.is_none_or(|(word, at)| {
            discriminant(&word) != discriminant(&answer.word)
                || now.saturating_sub(at) >= AGAIN && answer.word != Word::WaitTooLong
        });
        if !news {
            return said;
        }
        lines.push(self.line(level, &text));
        Some((answer.word, now))
    }

    /// Says for whom it speaks, if that has changed.
    fn compare(&mut self, now: Now, lines: &mut Vec<Line>) {
        let words: Vec<(NodeId, NodeSet)> = self
            .granter
            .words(now)
            .map(|(node, side, _)| (node, side))
            .collect();
        if words == self.told {
            return;
        }
        for (node, _) in self.told.iter().filter(|old| !words.contains(old)) {
            let text = format!("speaks for {} no more", self.node(*node));
            lines.push(self.line(Level::Info, &text));
        }
        for (node, side) in words.iter().filter(|new| !self.told.contains(new)) {
            let others: Vec<String> = side.without(*node).iter().map(|n| self.node(n)).collect();
            let others = if others.is_empty() {
                String::new()
            } else {
                format!(" with {}", others.join(", "))
            };
            let text = format!("speaks for {}{others} from now on", self.node(*node));
            lines.push(self.line(Level::Alert, &text));
        }
        self.told = words;
    }

    /// Says who has fallen silent.
    fn miss(&mut self, now: Now, lines: &mut Vec<Line>) {
        for n in 0..NODES {
            let silent = self.askers[n].as_ref().is_some_and(|asker| {
                let fresh = asker.fresh.map(|at| now.saturating_sub(at));
                !asker.silent && fresh.is_some_and(|silent| silent >= SILENT)
            });
            if silent {
                let name = self.node(NodeId::from_index(n));
                let text = format!("{name} has not asked for {} s", SILENT.as_secs());
                lines.push(self.line(Level::Warn, &text));
                if let Some(asker) = &mut self.askers[n] {
                    asker.silent = true;
                }
            }
        }
    }
}

/// `1.5 s`; whole seconds from ten on.
fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(10) {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} s", time.as_secs())
    }
}

#[cfg(test)]
mod tests;
