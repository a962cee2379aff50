//! Promises 2 and 5: after the last fault the cluster converges within a stated bound, the
//! client is served within one more second, and then nothing moves any more.
//!
//! Owns the statement of that bound.

use core::time::Duration;

use kodo_engine::config::Timing;
use kodo_engine::limits;

use crate::clock::At;
use crate::cluster::{self, LAN_PORT};
use crate::machine::Machine;
use crate::packet::Mac;
use crate::plan::{Fault, File, Plan, Wish};

/// The client reaches the VIP so long after convergence,
const REACHED: Duration = Duration::from_secs(1);
/// or where its own LAN loses its questions.
const REACHED_ROUGH: Duration = Duration::from_secs(6);

#[derive(Debug)]
pub(crate) struct Liveness {
    healed: At,
    bound: Duration,
    calm: Duration,
    /// By group: where it must be in the end, if the file says so.
    home: Vec<Option<usize>>,
    placed: Option<(At, Vec<usize>)>,
    served: Option<At>,
    reached: Duration,
    promise: &'static str,
}

impl Liveness {
    /// The bound is the sum of what may still be under way when the last fault ends:
    /// a node boots and its links come up (or its watchdog has to fire first); it is held
    /// back; a member that did not answer proposals waits out its longest back-off; a move
    /// for reachability is damped; a service restarts after its longest pause, or a group
    /// waits until its failures are forgotten; the service starts.
    pub(crate) fn new(plan: &Plan, timing: &Timing) -> Liveness {
        let dead = timing.deadtime;
        let machines = || plan.machines.iter().take(plan.cluster.nodes);
        let longest = |of: fn(&crate::plan::MachinePlan) -> Duration| {
            machines().map(of).max().unwrap_or_default()
        };
        let some = |which: fn(&Fault) -> bool| plan.episodes.iter().any(|e| which(&e.fault));
        let stuck = some(|fault| {
            matches!(
                fault,
                Fault::Stuck(_) | Fault::Stall(_) | Fault::Unkillable(_) | Fault::DeadNet(_)
            )
        });
        let service = some(|fault| {
            matches!(
                fault,
                Fault::ServiceCrash(_)
                    | Fault::ServiceHang(_)
                    | Fault::NoExec(_)
                    | Fault::HookHang(_)
                    | Fault::RefusedNet(_)
                    | Fault::Unkillable(_)
                    | Fault::IgnoreTerm(_)
                    | Fault::Stranger
            )
        });
        let mut bound = longest(|m| m.boot) + longest(|m| m.negotiation) + Duration::from_secs(1);
        bound += dead * (limits::BACKOFF + limits::DAMPING + 4);
        bound += longest(|m| m.startup) * 2;
        if stuck {
            bound += plan.cluster.watchdog + Duration::from_secs(4);
        }
        if service {
            bound += plan.cluster.failure_timeout + Duration::from_secs(12);
        }
        if some(|fault| matches!(fault, Fault::WitnessDark)) {
            bound += plan.cluster.hold_off;
        }
        if plan.reloads() {
            // Until a switch is given up, what it changes is down.
            bound += dead * limits::SWITCH + Duration::from_secs(40);
        }
        let same = !plan.reloads() && machines().all(|m| m.file == File::Same);
        Liveness {
            healed: plan.healed,
            bound,
            calm: plan.calm,
            home: (0..plan.cluster.group_count())
                .map(|group| {
                    let file = &plan.cluster;
                    let delayed = file.groups.get(group).is_some_and(|g| g.delay.is_some());
                    let free = file.rules.is_empty() && file.capacity.is_none() && !delayed;
                    let home = file.prefer(group)[0];
                    (file.auto_failback && same && free).then_some(home)
                })
                .collect(),
            placed: None,
            served: None,
            reached: if plan.wires.is_empty() {
                REACHED
            } else {
                REACHED_ROUGH
            },
            promise: "5",
        }
    }

    /// An operator's move is where the group belongs from then on, as far as it was heard.
    pub(crate) fn obeyed(&mut self, wish: Wish) {
        match wish {
            Wish::Move(_) => self.home[0] = None,
            Wish::MoveOf(group, _) => self.home[group] = None,
            _ => {}
        }
    }

    pub(crate) fn healed(&mut self, now: At, _machines: &[Machine]) {
        self.healed = now;
    }

    pub(crate) fn promise(&self) -> &'static str {
        self.promise
    }

    pub(crate) fn converged(&self) -> Option<At> {
        let placed = self.placed.as_ref().filter(|_| self.served.is_some());
        placed.map(|(at, _)| *at)
    }

    pub(crate) fn bound(&self) -> Duration {
        self.bound
    }

    /// One look; true when it stayed calm for long enough.
    pub(crate) fn look(
        &mut self,
        now: At,
        placement: &Result<Vec<usize>, String>,
        served_by: &[Option<Mac>],
    ) -> Result<bool, String> {
        let right = match placement {
            Ok(holders) => match self.away(holders) {
                Some(group) => Err(format!("group {} is not on its preferred node", group + 1)),
                None => Ok(holders.clone()),
            },
            Err(why) => Err(why.clone()),
        };
        let after = now.saturating_sub(self.healed);
        let (Some((since, holders)), Some(_)) = (&self.placed, self.served) else {
            return self.not_yet(now, after, right, served_by);
        };
        match right {
            Ok(at) if at == *holders => Ok(now >= *since + self.calm),
            // What was under way when the last fault ended may still show.
            _ if after <= self.bound => {
                (self.placed, self.served) = (None, None);
                Ok(false)
            }
            Ok(at) => {
                self.promise = "2";
                Err(format!("healed and converged, the groups moved to {at:?}"))
            }
            Err(why) => {
                self.promise = "2";
                Err(format!("healed and converged, and then: {why}"))
            }
        }
    }

    /// A group that is not where it must be.
    fn away(&self, holders: &[usize]) -> Option<usize> {
        let mut both = self.home.iter().zip(holders);
        both.position(|(home, holder)| home.is_some_and(|home| home != *holder))
    }

    fn not_yet(
        &mut self,
        now: At,
        after: Duration,
        right: Result<Vec<usize>, String>,
        served_by: &[Option<Mac>],
    ) -> Result<bool, String> {
        match right {
            Ok(holders) => {
                let expected = |holder: &usize| Some(cluster::mac(*holder, LAN_PORT));
                let served = holders.iter().map(expected).eq(served_by.iter().copied());
                let before = self.placed.take().filter(|(_, before)| *before == holders);
                let since = before.map_or(now, |(since, _)| since);
                self.placed = Some((since, holders));
                if served {
                    self.served = Some(now);
                } else if now > since + self.reached {
                    return Err(format!(
                        "converged, but the client is not served for {:?}",
                        now - since
                    ));
                }
            }
            Err(why) => {
                self.placed = None;
                if after > self.bound {
                    return Err(format!(
                        "not converged {after:?} after the last fault: {why}"
                    ));
                }
            }
        }
        Ok(false)
    }
}
