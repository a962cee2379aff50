//! The witness, as the engine uses it: when to ask, for whom, and what was said of it.
//!
//! Owns the node's half of the witness protocol ([`crate::witness`]) and the log lines
//! about it. One question goes out per keepalive; it asks for the witness's word only
//! while members do not renew the lease. What a granted word is worth is the lease
//! stage's business: it learns of it as of any arbiter's answer, by the send time of the
//! question.

use core::hash::{Hash, Hasher};
use core::mem::discriminant;

use super::{Engine, Pending};
use crate::config::Config;
use crate::limits;
use crate::membership::Authority;
use crate::surface::{Event, Reject, Role};
use crate::types::{BootId, NodeId, NodeSet, Now};
use crate::witness::{Answer, Client, Holder, Reach, Word};

/// The witness of this cluster, and what was said about it.
#[derive(Clone, Debug)]
pub(super) struct Witness {
    client: Client,
    began: Now,
    answers: Option<bool>,
    /// The newest word that was asked for.
    said: Option<(Word, Option<Holder>, Now)>,
    rejected: Option<Now>,
}

impl Witness {
    /// The one of this file, if it has one. A word lasts the largest W of the file.
    pub(super) fn new(config: &Config, boot: BootId, wait: Now, now: Now) -> Option<Witness> {
        let key = config.witness_key.as_ref()?;
        Some(Witness {
            client: Client::new(config.cluster_id, key, config.me, boot, wait),
            began: now,
            answers: None,
            said: None,
            rejected: None,
        })
    }

    /// A word lasts so long from now on.
    pub(super) fn wait(&mut self, wait: Now) {
        self.client.set_wait(wait);
    }
}

impl Hash for Witness {
    fn hash<H: Hasher>(&self, to: &mut H) {
        let Witness {
            client,
            // what people are told
            began: _,
            answers: _,
            said: _,
            rejected: _,
        } = self;
        client.hash(to);
    }
}

impl Engine {
    /// Bytes came from the witness's address.
    ///
    /// # Errors
    /// Why they changed nothing. Counted in [`Engine::counters`].
    pub fn handle_witness(&mut self, now: Now, bytes: &[u8]) -> Result<(), Reject> {
        self.enter(now);
        let result = self.hear_witness(now, bytes);
        if let Err(reject) = result {
            self.counters.count(reject);
            self.report_witness(now, reject);
        }
        self.decide(now);
        result
    }

    /// The node's half of the witness protocol; `None` without a witness.
    pub fn witness(&self) -> Option<&Client> {
        self.witness.as_ref().map(|witness| &witness.client)
    }

    /// Queues the question of this keepalive, and notices silence.
    pub(super) fn ask_witness(&mut self, now: Now) {
        let Some(witness) = &mut self.witness else {
            return;
        };
        let queued = self.effects.push_back(Pending::Ask);
        assert!(queued.is_ok(), "effects are drained after every input");
        let client = &witness.client;
        let (answers, silent) = match client.reach(now) {
            Reach::Since(_) => (true, None),
            Reach::LostSince(at) => (false, Some(now - at)),
            Reach::Never if now - witness.began <= client.patience() => return,
            Reach::Never => (false, None),
        };
        if witness.answers.replace(answers) != Some(answers) {
            self.log(Event::Witness {
                yes: answers,
                silent,
            });
        }
    }

    /// Lays out the question that goes out now.
    pub(super) fn question(&mut self) -> crate::witness::WitnessFrame {
        let (now, side) = (self.now, self.side(self.now));
        match &mut self.witness {
            Some(witness) => witness.client.ask(now, side),
            None => unreachable!("only a node with a witness queues questions"),
        }
    }

    /// For whom the witness's word is wanted now: this node and the members that renew its
    /// lease, while they are exactly half of the votes. A holder asks as soon as the others'
    /// grants stay out, a taker when enough of them are dead.
    fn side(&self, now: Now) -> NodeSet {
        let renews = |node: &NodeId| self.config.votes[node.index()] > 0 && self.renews(now, *node);
        let renewing: NodeSet = self.fellows().iter().filter(renews).collect();
        let side = renewing.with(self.config.me);
        // Nodes that were written off may boot elsewhere and ask as well.
        let cluster = self.electorate_without(NodeSet::EMPTY);
        let alive = self.mesh().with(self.config.me);
        let wants = match self.role {
            Role::Member | Role::Leaving if self.holds_any() => true,
            Role::Member => cluster.authority(alive) != Authority::Own,
            Role::Observer => self.lonely.over && cluster.authority(alive) != Authority::Own,
            Role::Leaving | Role::Left | Role::Refused => false,
        };
        if wants && cluster.authority(side) == Authority::Asks {
            side
        } else {
            NodeSet::EMPTY
        }
    }

    fn hear_witness(&mut self, now: Now, bytes: &[u8]) -> Result<(), Reject> {
        // without a witness nothing is listened to
        let witness = self.witness.as_mut().ok_or(Reject::OtherCluster)?;
        let heard = witness.client.hear(now, bytes)?;
        if heard.restarted {
            self.log(Event::WitnessRestarted);
        }
        self.tell_word(now);
        if let Some(sent) = heard.granted {
            self.lease.word = Some((sent, heard.side));
        }
        Ok(())
    }

    /// Says what the witness said, when it matters and is news.
    fn tell_word(&mut self, now: Now) {
        let Some(witness) = &mut self.witness else {
            return;
        };
        let Some((answer, _)) = witness.client.newest() else {
            return;
        };
        let Answer { word, holder, .. } = answer;
        let wanted = !answer.side.is_empty();
        let worth_a_line = match word {
            Word::Idle | Word::Unproven => false,
            Word::HoldingOff(_) => wanted,
            Word::Granted | Word::Taken | Word::WaitTooLong => true,
        };
        if !worth_a_line {
            return;
        }
        let node = |holder: Option<Holder>| holder.map(|holder| holder.node);
        let before = witness.said.replace((word, holder, now));
        let news = before.is_none_or(|(old, by, at)| {
            discriminant(&old) != discriminant(&word)
                || node(by) != node(holder)
                || now - at > limits::REJECT_LOG
        });
        if news {
            self.log(Event::WitnessSaid { word, holder });
        }
    }

    /// Says that answers are rejected, at most once per [`limits::REJECT_LOG`]; not
    /// those that came twice or late, as networks have it.
    fn report_witness(&mut self, now: Now, reject: Reject) {
        let harmless = matches!(reject, Reject::Replayed | Reject::Stale);
        let Some(witness) = self.witness.as_mut().filter(|_| !harmless) else {
            return;
        };
        if witness
            .rejected
            .is_none_or(|at| now - at >= limits::REJECT_LOG)
        {
            witness.rejected = Some(now);
            let total = self.counters.of(reject);
            self.log(Event::WitnessRejected { reject, total });
        }
    }
}
