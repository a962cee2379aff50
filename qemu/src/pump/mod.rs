//! The wire thread: the only one that moves bytes.
//!
//! Owns the loop over all sockets: machines' network ports, serial lines and consoles, the
//! loopback doors, and the hosts' stacks. Everything it works on is in a [`World`] behind
//! one lock, which it gives back whenever it waits; others change cables under that lock
//! and nudge it. Never waits for a machine: what a machine does not take is lost and
//! counted, as on a real wire.

mod port;
mod world;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

pub(crate) use port::{Port, PortKind};
pub(crate) use world::PortId;
pub(crate) use world::World;

use crate::error::{Context, Result};

/// Captures are handed to the host this often.
const FLUSH: Duration = Duration::from_millis(500);

/// Something to wait for, and where to go when it comes.
pub(crate) struct Interest {
    fd: Arc<dyn AsFd + Send + Sync>,
    flags: PollFlags,
    token: Token,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Token {
    Listener(PortId),
    Port(PortId),
    Door(usize),
    /// Carried connections are few and looked at together.
    Carried,
}

/// The world and the thread that moves it.
pub(crate) struct Pump {
    world: Arc<Mutex<World>>,
    wake: Arc<OwnedFd>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Pump {
    /// Starts the thread.
    pub(crate) fn start(world: World) -> Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(io::Error::from)
            .context(|| "cannot make an eventfd".to_owned())?;
        let (world, wake) = (Arc::new(Mutex::new(world)), Arc::new(wake));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new()
            .name("wires".to_owned())
            .spawn({
                let (world, wake, stop) =
                    (Arc::clone(&world), Arc::clone(&wake), Arc::clone(&stop));
                move || run(&world, &wake, &stop)
            })
            .context(|| "cannot start a thread".to_owned())?;
        Ok(Self {
            world,
            wake,
            stop,
            thread: Some(thread),
        })
    }

    /// Changes or reads the world between two moves, then lets the thread look at it.
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let result = change(&mut lock(&self.world));
        self.nudge();
        result
    }

    fn nudge(&self) {
        // Full means that it is awake already.
        let _ = rustix::io::write(&*self.wake, &1u64.to_ne_bytes());
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.nudge();
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed already.
            let _ = thread.join();
        }
        lock(&self.world).flush();
    }
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(world: &Mutex<World>, wake: &OwnedFd, stop: &AtomicBool) {
    let mut flushed = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let (interests, wait) = {
            let mut world = lock(world);
            let now = world.step();
            if now.saturating_sub(flushed) >= FLUSH {
                flushed = now;
                world.flush();
            }
            let wait = world
                .deadline(now)
                .map_or(FLUSH, |at| at.saturating_sub(now))
                .min(FLUSH);
            (world.interests(), wait)
        };
        let mut fds = vec![PollFd::new(wake, PollFlags::IN)];
        fds.extend(
            interests
                .iter()
                .map(|interest| PollFd::from_borrowed_fd((*interest.fd).as_fd(), interest.flags)),
        );
        // Rounded up to what poll can tell apart, so that a deadline is over when it wakes.
        let wait = Timespec::try_from(wait + Duration::from_micros(50)).ok();
        if poll(&mut fds, wait.as_ref()).is_err() {
            continue;
        }
        let ready: Vec<(Token, PollFlags)> = fds[1..]
            .iter()
            .zip(&interests)
            .filter(|(fd, _)| !fd.revents().is_empty())
            .map(|(fd, interest)| (interest.token, fd.revents()))
            .collect();
        if !fds[0].revents().is_empty() {
            let _ = rustix::io::read(wake, &mut [0; 8]);
        }
        drop(fds);
        let mut world = lock(world);
        for (token, flags) in ready {
            world.ready(token, flags);
        }
    }
}

#[cfg(test)]
mod tests;
