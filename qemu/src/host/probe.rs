//! The client's eye: is the service behind the VIP reachable, and who answers?
//!
//! Owns a request every few milliseconds, each on a fresh connection, and the outages
//! that they show. Judges nothing by the nodes' own words.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;

use super::Host;
use crate::journal::Event;
use crate::time::LabTime;

/// The header by which a node names itself.
pub const NODE_HEADER: &str = "x-kodo-node";
/// Samples kept: an hour and more at one every 20 ms.
const SAMPLES: usize = 200_000;
/// Room for requests and answers.
const ROOM: [usize; 2] = [4096, 1024];
/// A neighbour that does not answer is asked for again after this long, as Linux does:
/// five seconds of delay and three unanswered probes.
const NEIGHBOUR_GIVES_UP: Duration = Duration::from_secs(8);

/// How one request went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// A whole answer came.
    Answered {
        /// The node that named itself in it.
        node: Option<Arc<str>>,
        /// The HTTP status.
        status: u16,
    },
    /// The connection was refused or reset before the answer was whole.
    Reset,
    /// No whole answer in time.
    Timeout,
    /// The answer was not HTTP.
    Garbage,
}

impl Outcome {
    /// Whether the client got what it wanted.
    #[must_use]
    pub fn is_good(&self) -> bool {
        matches!(
            self,
            Self::Answered {
                status: 200..=299,
                ..
            }
        )
    }
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// When it was sent.
    pub started: LabTime,
    /// When its outcome was known.
    pub ended: LabTime,
    /// How it went.
    pub outcome: Outcome,
}

/// A time without any good answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outage {
    /// The last good answer before it; the lab's start when there was none.
    pub from: LabTime,
    /// The first good answer after it; `None` while it lasts.
    pub until: Option<LabTime>,
    /// Who answered before.
    pub before: Option<Arc<str>>,
    /// Who answered after.
    pub after: Option<Arc<str>>,
}

impl Outage {
    /// How long it was, or has been by `now`.
    #[must_use]
    pub fn duration(&self, now: LabTime) -> Duration {
        self.until.unwrap_or(now).saturating_sub(self.from)
    }
}

/// How and how often the client asks.
#[derive(Clone, Debug)]
pub struct ProbeOptions {
    /// A request is sent this often; zero for never.
    pub every: Duration,
    /// A request has failed after this long.
    pub timeout: Duration,
    /// An outage begins when no good answer came for this long.
    pub grace: Duration,
    /// What is asked for.
    pub path: String,
}

impl Default for ProbeOptions {
    fn default() -> Self {
        Self {
            every: Duration::from_millis(20),
            timeout: Duration::from_secs(1),
            grace: Duration::from_millis(300),
            path: "/".to_owned(),
        }
    }
}

struct Flight {
    handle: SocketHandle,
    started: LabTime,
    asked: bool,
    answer: Vec<u8>,
}

/// Asks all the time and remembers.
pub(crate) struct Prober {
    target: SocketAddr,
    options: ProbeOptions,
    request: Vec<u8>,
    held: bool,
    next: LabTime,
    flights: Vec<Flight>,
    /// Connections that are over but whose last frame is not out yet.
    leaving: Vec<SocketHandle>,
    last_good: LabTime,
    node: Option<Arc<str>>,
    samples: VecDeque<Sample>,
    outages: Vec<Outage>,
}

impl Prober {
    pub(crate) fn new(target: SocketAddr, options: ProbeOptions) -> Self {
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: kodo-lab\r\nConnection: close\r\n\r\n",
            options.path,
            target.ip()
        );
        Self {
            target,
            options,
            request: request.into_bytes(),
            held: false,
            next: LabTime::ZERO,
            flights: Vec::new(),
            leaving: Vec::new(),
            last_good: LabTime::ZERO,
            node: None,
            samples: VecDeque::new(),
            // Until the first answer the cluster is not there.
            outages: vec![Outage {
                from: LabTime::ZERO,
                until: None,
                before: None,
                after: None,
            }],
        }
    }

    /// Who answered last, if the service is reachable now.
    pub(crate) fn answering(&self) -> Option<&Arc<str>> {
        if self.down() {
            None
        } else {
            self.node.as_ref()
        }
    }

    pub(crate) fn outages(&self, from: LabTime) -> Vec<Outage> {
        self.outages
            .iter()
            .filter(|outage| outage.until.is_none_or(|until| until >= from))
            .cloned()
            .collect()
    }

    pub(crate) fn samples(&self, from: LabTime) -> Vec<Sample> {
        // They are ordered by their end, which is what a reader of "since" means.
        let start = self.samples.partition_point(|sample| sample.ended < from);
        self.samples.range(start..).cloned().collect()
    }

    /// Begins no more requests, or goes on with them.
    pub(crate) fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// No request is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.flights.is_empty() && self.leaving.is_empty()
    }

    /// Moves all requests on and tells what changed, each with the time it happened.
    pub(crate) fn poll(&mut self, now: LabTime, client: &mut Host) -> Vec<(LabTime, Event)> {
        let mut events = Vec::new();
        for handle in self.leaving.drain(..) {
            client.remove(handle);
        }
        let mut at = 0;
        while at < self.flights.len() {
            match self.advance(now, at, client) {
                None => at += 1,
                Some(outcome) => {
                    let flight = self.flights.swap_remove(at);
                    let socket = client.socket(flight.handle);
                    if outcome.is_good() {
                        socket.close();
                    } else {
                        socket.abort();
                    }
                    self.leaving.push(flight.handle);
                    self.note(now, flight.started, outcome, &mut events);
                }
            }
        }
        if self.asks() && now >= self.next {
            self.next = if now > self.next + self.options.timeout {
                now
            } else {
                self.next
            } + self.options.every;
            let silent = now.saturating_sub(self.last_good);
            client.resolve(now, self.target.ip(), silent > NEIGHBOUR_GIVES_UP);
            if let Some(handle) = client.connect(self.target, ROOM, self.options.timeout * 2) {
                self.flights.push(Flight {
                    handle,
                    started: now,
                    asked: false,
                    answer: Vec::new(),
                });
            }
        }
        if !self.down() && now.saturating_sub(self.last_good) > self.options.grace {
            let before = self.node.clone();
            events.push((
                self.last_good,
                Event::ClientLost {
                    node: before.clone(),
                },
            ));
            self.outages.push(Outage {
                from: self.last_good,
                until: None,
                before,
                after: None,
            });
        }
        events
    }

    pub(crate) fn deadline(&self) -> Option<LabTime> {
        let timeouts = self
            .flights
            .iter()
            .map(|flight| flight.started + self.options.timeout);
        let next = self.asks().then_some(self.next);
        let grace =
            (!self.down()).then(|| self.last_good + self.options.grace + Duration::from_millis(1));
        timeouts.chain(next).chain(grace).min()
    }

    fn asks(&self) -> bool {
        !self.held && !self.options.every.is_zero()
    }

    fn down(&self) -> bool {
        self.outages
            .last()
            .is_some_and(|outage| outage.until.is_none())
    }

    fn advance(&mut self, now: LabTime, at: usize, client: &mut Host) -> Option<Outcome> {
        let flight = &mut self.flights[at];
        let socket = client.socket(flight.handle);
        if !flight.asked && socket.may_send() {
            // The socket's room is larger than the request.
            flight.asked = socket.send_slice(&self.request).is_ok();
        }
        if socket.can_recv() {
            let taken = socket.recv(|bytes| {
                flight.answer.extend_from_slice(bytes);
                (bytes.len(), ())
            });
            if taken.is_err() {
                return Some(Outcome::Reset);
            }
        }
        let over = !socket.is_open()
            || (flight.asked && !socket.may_recv() && socket.state() != State::SynSent);
        match read_answer(&flight.answer, over) {
            Ok(Some(outcome)) => Some(outcome),
            Ok(None) if over && now.saturating_sub(flight.started) < self.options.timeout => {
                Some(Outcome::Reset)
            }
            Ok(None) if over || now.saturating_sub(flight.started) >= self.options.timeout => {
                Some(Outcome::Timeout)
            }
            Ok(None) => None,
            Err(()) => Some(Outcome::Garbage),
        }
    }

    fn note(
        &mut self,
        now: LabTime,
        started: LabTime,
        outcome: Outcome,
        events: &mut Vec<(LabTime, Event)>,
    ) {
        if let Outcome::Answered { node, .. } = &outcome
            && outcome.is_good()
        {
            let silent = now.saturating_sub(self.last_good);
            // A slow answer from the old node is no news once the new one has answered.
            let newest = self
                .samples
                .iter()
                .rev()
                .take(64)
                .all(|s| !s.outcome.is_good() || s.started <= started);
            let was_down = self.down();
            if was_down && let Some(outage) = self.outages.last_mut() {
                outage.until = Some(now);
                outage.after.clone_from(node);
            }
            if was_down || (newest && self.node != *node) {
                events.push((
                    now,
                    Event::ClientAnswered {
                        node: node.clone(),
                        before: self.node.clone(),
                        silent,
                    },
                ));
            }
            if was_down || newest {
                self.node.clone_from(node);
            }
            self.last_good = now;
        }
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample {
            started,
            ended: now,
            outcome,
        });
    }
}

/// Reads as much of an answer as is there: nothing yet, an outcome, or no HTTP at all.
fn read_answer(bytes: &[u8], over: bool) -> Result<Option<Outcome>, ()> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(bytes).map_err(|_| ())? else {
        return Ok(None);
    };
    let header = |name: &str| {
        let found = response
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok()
    };
    let length: Option<usize> =
        header("content-length").and_then(|value| value.trim().parse().ok());
    let whole = length.map_or(over, |length| bytes.len() >= head + length);
    let node = header(NODE_HEADER).map(Arc::from);
    Ok(whole.then(|| Outcome::Answered {
        node,
        status: response.code.unwrap_or(0),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_when_whole() {
        let text = b"HTTP/1.1 200 OK\r\nX-Kodo-Node: node2\r\nContent-Length: 2\r\n\r\nhi";
        for cut in 0..text.len() {
            assert_eq!(read_answer(&text[..cut], false), Ok(None), "{cut}");
        }
        let answer = Outcome::Answered {
            node: Some("node2".into()),
            status: 200,
        };
        assert!(answer.is_good());
        assert_eq!(read_answer(text, false), Ok(Some(answer)));
        assert_eq!(read_answer(b"SSH-2.0-x\r\n", false), Err(()));
        let open = b"HTTP/1.0 503 No\r\n\r\nx";
        assert_eq!(read_answer(open, false), Ok(None));
        assert_eq!(
            read_answer(open, true),
            Ok(Some(Outcome::Answered {
                node: None,
                status: 503
            }))
        );
    }
}
