//! Every bound of the supervisor.

use crate::Now;

/// Services of one node.
pub const SERVICES: usize = 8;
/// Bytes of a service's name.
pub const NAME: usize = 32;
/// Events waiting to be polled: [`crate::Supervisor::handle_timer`] makes at most two per
/// service, every other call at most two, and the caller drains in between. The slack
/// forgives a caller that makes a few calls before it drains.
pub const EVENTS: usize = 4 * SERVICES;
/// A kill that is not confirmed this long after the first KILL has failed: the process
/// hangs in the kernel (a dead disk), which no signal ends.
pub const KILL_TIMEOUT: Now = Now::from_secs(3);
/// Pause before a kill that failed is repeated.
pub const KILL_RETRY: Now = Now::from_millis(100);
/// While a service starts, it is probed at least this often: being ready is then noticed
/// soon, whatever the interval of its later life.
pub const START_PROBE: Now = Now::from_millis(50);
/// Doublings of the restart backoff; more would overflow before they mattered.
pub const DOUBLINGS: u32 = 16;

const _: () = assert!(
    EVENTS >= 2 * SERVICES,
    "one timer call may bring an event of each service and of its role"
);
const _: () = assert!(
    KILL_RETRY.as_nanos() * 4 < KILL_TIMEOUT.as_nanos(),
    "a failed kill is repeated a few times before it is given up"
);
