//! What happens next: events in time order, first come first served within one instant.

use core::cmp::Reverse;
use core::time::Duration;
use std::collections::BinaryHeap;
use std::rc::Rc;

use kodo_node::io::{ActError, Action, Exit, ProbeError, Request, Token};

use crate::clock::At;
use crate::origin::Frame;
use crate::plan::File;

/// One thing that will happen.
#[derive(Debug)]
pub(crate) enum Event {
    /// To a machine, in one of its lives.
    Machine(usize, u32, Happening),
    /// A machine gets power; stale when its power changed since.
    PowerOn(usize, u32),
    /// A frame reaches the host.
    Host(Rc<Frame>),
    /// A frame reaches the witness.
    Witness(Rc<Frame>),
    /// The client asks again.
    Client,
    /// An episode begins.
    Begin(usize),
    /// An episode ends.
    End(usize),
    /// An injector's next frame, or a flapping cable's next change.
    Inject(usize),
    /// The last fault is over.
    Healed,
    /// Look whether the cluster has converged.
    Look,
}

/// What happens to a machine.
#[derive(Debug)]
pub(crate) enum Happening {
    /// PID 1 starts.
    Boot,
    /// The driver of a port is ready.
    PortReady(u8),
    /// A port's carrier has settled.
    Carrier(u8, bool),
    /// The serial lines are open.
    LineReady,
    /// The watchdog is open.
    Watchdog,
    /// A frame arrives at a port.
    Frame(u8, Rc<Frame>),
    /// The last byte of a burst arrives on a serial line.
    Serial(u8, Rc<Frame>),
    /// Somebody else's frame arrives: it must change nothing.
    Foreign(u8, Rc<Frame>),
    /// An authentic frame arrives that was on a wire before.
    Replayed(u8, Rc<Frame>),
    /// PID 1's timer; stale when it was set again since.
    Wake(u64),
    /// PID 1 runs at last, after it was woken up late.
    Awake,
    /// The net helper performs its oldest request.
    NetActs,
    /// A helper's answer reaches PID 1.
    Done(Token, Result<(), ActError>),
    /// The service helper performs.
    SvcActs(Token, Action),
    /// A group's service's process of this generation ends by itself.
    Exits(usize, u32, Exit),
    /// PID 1 hears that a group's service's process ended.
    Exited(usize, Exit),
    /// An operator's request reaches PID 1.
    Asked(Token, Request),
    /// A new cluster file reaches PID 1.
    Staged(Token, File),
    /// A group's service's hook ends: it was promoted, or demoted.
    HookEnds(usize, Token, bool),
    /// A probe child's answer reaches PID 1.
    Probed(Token, Result<i16, ProbeError>),
    /// The watchdog looks at its deadline.
    WatchdogDue,
    /// The disk has done what it was asked.
    DiskActs,
    /// PID 1 hears that its state partition was found.
    DiskFound,
    /// PID 1 hears that a table is on disk.
    DiskWritten(u64),
    /// The machine resets.
    Reset,
    /// The machine powers off.
    PowerOff,
}

#[derive(Debug)]
struct Entry {
    at: At,
    order: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.order == other.order
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> core::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// The future.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Reverse<Entry>>,
    order: u64,
    now: At,
}

impl Queue {
    /// The present.
    pub(crate) fn now(&self) -> At {
        self.now
    }

    /// Something will happen at a time; the past is now.
    pub(crate) fn at(&mut self, at: At, event: Event) {
        self.order += 1;
        self.heap.push(Reverse(Entry {
            at: at.max(self.now),
            order: self.order,
            event,
        }));
    }

    /// Something will happen after a while.
    pub(crate) fn after(&mut self, wait: Duration, event: Event) {
        self.at(self.now + wait, event);
    }

    /// The next event; time moves on to it.
    pub(crate) fn next(&mut self) -> Option<Event> {
        let Reverse(entry) = self.heap.pop()?;
        self.now = entry.at;
        Some(entry.event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_order_of_time_then_of_arrival() {
        let mut queue = Queue::default();
        queue.at(Duration::from_secs(2), Event::Healed);
        queue.at(Duration::from_secs(1), Event::Begin(1));
        queue.at(Duration::from_secs(1), Event::Begin(2));
        assert!(matches!(queue.next(), Some(Event::Begin(1))));
        queue.at(Duration::ZERO, Event::Look);
        assert!(matches!(queue.next(), Some(Event::Begin(2))));
        assert!(matches!(queue.next(), Some(Event::Look)));
        assert_eq!(queue.now(), Duration::from_secs(1));
        assert!(matches!(queue.next(), Some(Event::Healed)));
        assert!(queue.next().is_none());
    }
}
