//! What the client on the LAN sees: who answers behind the VIP, and when nobody did.

use std::sync::Arc;
use std::time::Duration;

use crate::core::Core;
use crate::host::probe::{Outage, Prober, Sample};
use crate::time::LabTime;

/// The client's view of the service.
pub struct Client<'a> {
    core: &'a Core,
    port: Option<u16>,
    service: usize,
}

impl<'a> Client<'a> {
    pub(crate) fn new(core: &'a Core, port: Option<u16>) -> Self {
        Self {
            core,
            port,
            service: 0,
        }
    }

    /// The same with the service behind another VIP, by its position in `boot.json`.
    #[must_use]
    pub fn of_vip(self, service: usize) -> Self {
        Self { service, ..self }
    }

    /// The loopback port that leads to the first VIP's service; `None` for a cluster without a VIP.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The address for a browser.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        self.port.map(|port| format!("http://127.0.0.1:{port}/"))
    }

    /// The node that answers now; `None` while nobody does.
    #[must_use]
    pub fn answering(&self) -> Option<Arc<str>> {
        self.core
            .pump
            .with(|world| world.probers.get(self.service)?.answering().cloned())
    }

    /// Times without any good answer that lasted longer than the options' grace and ended
    /// after `from`, or last on.
    #[must_use]
    pub fn outages(&self, from: LabTime) -> Vec<Outage> {
        self.core.pump.with(|world| {
            world
                .probers
                .get(self.service)
                .map(|p| p.outages(from))
                .unwrap_or_default()
        })
    }

    /// Whether no request is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.core.pump.with(|world| {
            let prober = world.probers.get(self.service);
            prober.is_none_or(Prober::is_idle)
        })
    }

    /// All requests whose outcome was known from a time on, in the order of their ends.
    #[must_use]
    pub fn samples(&self, from: LabTime) -> Vec<Sample> {
        self.core.pump.with(|world| {
            world
                .probers
                .get(self.service)
                .map(|p| p.samples(from))
                .unwrap_or_default()
        })
    }

    /// The longest time between two good answers from `from` on, the time up to now included.
    /// Unlike [`Client::outages`] it sees gaps however short.
    #[must_use]
    pub fn longest_gap(&self, from: LabTime) -> Duration {
        let good = self
            .samples(from)
            .into_iter()
            .filter(|sample| sample.outcome.is_good())
            .map(|sample| sample.ended);
        let mut last = from;
        let mut longest = Duration::ZERO;
        for ended in good.chain([self.core.clock.now()]) {
            longest = longest.max(ended.saturating_sub(last));
            last = ended;
        }
        longest
    }

    /// Requests that were sent from a time on and did not get a good answer.
    #[must_use]
    pub fn failures(&self, from: LabTime) -> Vec<Sample> {
        let failed = |sample: &Sample| sample.started >= from && !sample.outcome.is_good();
        self.samples(from).into_iter().filter(failed).collect()
    }
}
