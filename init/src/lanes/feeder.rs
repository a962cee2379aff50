//! Feeds a watchdog whose driver may wait, such as one on a management controller.
//!
//! Owns nothing but passing on: one message from PID 1, one feeding. It never feeds by
//! itself, so a node that stops deciding is reset all the same.

use kodo_sys::Result;
use kodo_sys::seqpacket::Channel;
use kodo_sys::watchdog::Watchdog;

use super::CHANNEL;

/// Its name as an argument of this binary.
pub(crate) const NAME: &str = "feeder";
/// The descriptor number of the device.
pub(crate) const DEVICE: i32 = 4;

/// PID 1 says: feed it.
pub(crate) const FEED: &[u8] = b"f";
/// PID 1 says: stop the countdown, this machine is being switched off.
pub(crate) const DISARM: &[u8] = b"V";

/// Runs until PID 1 is gone. Ending leaves the watchdog counting.
pub(crate) fn run() -> Result<()> {
    kodo_sys::process::set_name("kodo-feeder");
    let pid1 = Channel::from_fd(kodo_sys::process::inherited(CHANNEL)?);
    let watchdog = Watchdog::from_fd(kodo_sys::process::inherited(DEVICE)?);
    kodo_sys::schedule::real_time(super::PRIORITY)?;
    let mut word = [0; 1];
    loop {
        if pid1.receive_waiting(&mut word)?.len == 0 {
            return Ok(());
        }
        // Words that came while the last feeding took its time are one feeding.
        while word != DISARM
            && pid1
                .receive(&mut word)
                .is_ok_and(|received| received.len > 0)
        {}
        if word == DISARM {
            // A driver that does not stop resets a machine that is off: nothing to do.
            let _ = watchdog.disarm();
            return Ok(());
        }
        watchdog.feed()?;
    }
}
