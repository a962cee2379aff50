//! The reason of a reset, written where it can be read afterwards.
//!
//! Owns the way from "this node cannot go on" to a reset: one line to the kernel's log,
//! which shows it on the console and keeps it in pstore where the machine has one, and
//! then the reset itself.

use std::sync::OnceLock;

use kodo_engine::surface::Fatal;
use kodo_sys::kmsg::{Kmsg, Loud};

static KMSG: OnceLock<Kmsg> = OnceLock::new();

/// Opens the kernel's log and makes a panic of PID 1 say its reason there. The kernel
/// then panics because PID 1 died, and resets.
pub(crate) fn prepare() {
    if let Ok(kmsg) = Kmsg::open() {
        // Prepared once, by PID 1.
        let _ = KMSG.set(kmsg);
    }
    std::panic::set_hook(Box::new(|info| {
        let text = info.payload_as_str().unwrap_or("a bug without words");
        match info.location() {
            Some(place) => say(format_args!(
                "PID 1 panicked at {}:{}: {text}",
                place.file(),
                place.line()
            )),
            None => say(format_args!("PID 1 panicked: {text}")),
        }
    }));
}

/// Writes one line to the console and the kernel's ring, whatever state this node is in.
pub(crate) fn say(text: core::fmt::Arguments<'_>) {
    if let Some(kmsg) = KMSG.get() {
        kmsg.write(Loud::Critical, text);
    }
}

/// What a fatal reason means.
fn meaning(fatal: Fatal) -> &'static str {
    match fatal {
        Fatal::StopFailed => "a VIP or service could not be stopped in time",
        Fatal::ReleaseOverdue => "the lease ended and the release was not confirmed in time",
        Fatal::HelperLost => "a privileged helper died",
        Fatal::Drill => "an operator's drill",
    }
}

/// Says why and resets the machine at once.
pub(crate) fn reset(fatal: Fatal) -> ! {
    say(format_args!(
        "reset: reason {}: {}",
        fatal as u8,
        meaning(fatal)
    ));
    // Both return only when they failed; then the watchdog, no longer fed, does it.
    let _ = kodo_sys::machine::reset_at_once();
    let _ = kodo_sys::machine::reset();
    loop {
        kodo_sys::clock::sleep(std::time::Duration::from_secs(1));
    }
}

/// Says why this node cannot even begin, leaves time to read it, and resets: a
/// corrected image may be waiting on the network.
pub(crate) fn give_up(text: &str) -> ! {
    for line in text.lines() {
        say(format_args!("{line}"));
    }
    say(format_args!(
        "this node cannot run; it restarts in 30 seconds"
    ));
    kodo_sys::clock::sleep(std::time::Duration::from_secs(30));
    let _ = kodo_sys::machine::reset();
    std::process::abort()
}
