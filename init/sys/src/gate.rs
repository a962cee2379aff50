//! The gate: a VIP passes a NIC until its deadline and not from then on, whatever becomes
//! of the process that set it.
//!
//! Owns two small programs that the kernel runs on every frame of a NIC (`program`: what
//! they drop), a table of the VIPs, and their deadlines on CLOCK_BOOTTIME. The deadlines
//! are one page that the programs read and PID 1 has mapped: moving one is a store of
//! eight bytes, which cannot wait for a lock, allocate, or fail. A deadline of zero, with
//! which all begin, is closed.
//!
//! Loading and attaching takes the kernel's RTNL lock and is the net lane's. A program
//! stays attached for as long as [`Attached`] lives and the NIC is there. Needs CAP_BPF and
//! CAP_NET_ADMIN, and kernel 6.6 or later.

mod program;

use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::mm::{MapFlags, ProtFlags};

use crate::bpf::{self, Hook};
use crate::{Error, Result};

/// VIPs that one gate can hold: what fits a page.
pub const VIPS: usize = 512;

/// Programs and tables, ready to be attached.
#[derive(Debug)]
pub struct Gate {
    vips: Vec<IpAddr>,
    addresses: OwnedFd,
    deadlines: OwnedFd,
    ingress: OwnedFd,
    egress: OwnedFd,
}

/// A NIC's gate; dropping it takes it off.
#[derive(Debug)]
pub struct Attached {
    _ingress: OwnedFd,
    _egress: OwnedFd,
}

/// An address as the table knows it.
fn key(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
    .octets()
}

fn entries(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl Gate {
    /// Loads a gate for these VIPs, all closed. A VIP's position is its slot.
    ///
    /// # Errors
    /// What the calls say: `ENOSYS` and `EINVAL` of a kernel that has no such thing, `EPERM`
    /// without the rights; `E2BIG` for more than [`VIPS`].
    pub fn load(vips: &[IpAddr]) -> Result<Gate> {
        if vips.len() > VIPS {
            return Err(Error::from_raw_os_error(libc::E2BIG));
        }
        let addresses = bpf::map(bpf::Map {
            kind: bpf::HASH,
            key: entries(size_of::<Ipv6Addr>()),
            value: entries(size_of::<u32>()),
            entries: entries(VIPS),
            flags: 0,
        })?;
        let deadlines = bpf::map(bpf::Map {
            kind: bpf::ARRAY,
            key: entries(size_of::<u32>()),
            value: entries(size_of::<u64>()),
            entries: entries(VIPS),
            flags: bpf::MAPPABLE,
        })?;
        let load = |hook| {
            let program = program::program(hook, addresses.as_fd(), deadlines.as_fd());
            bpf::load(&program)
        };
        let mut gate = Gate {
            ingress: load(Hook::Ingress)?,
            egress: load(Hook::Egress)?,
            vips: Vec::new(),
            addresses,
            deadlines,
        };
        gate.renew(vips)?;
        Ok(gate)
    }

    /// Is for these VIPs from now on, where it stands: an address that stays in its slot is not
    /// let through for a moment, and keeps its deadline.
    ///
    /// # Errors
    /// As [`Gate::load`].
    pub fn renew(&mut self, vips: &[IpAddr]) -> Result<()> {
        if vips.len() > VIPS {
            return Err(Error::from_raw_os_error(libc::E2BIG));
        }
        for (slot, vip) in (0u32..).zip(vips) {
            bpf::update(self.addresses.as_fd(), &key(*vip), &slot.to_ne_bytes())?;
        }
        for gone in self.vips.iter().filter(|vip| !vips.contains(vip)) {
            bpf::remove(self.addresses.as_fd(), &key(*gone))?;
        }
        self.vips = vips.to_vec();
        Ok(())
    }

    /// Puts the gate on a NIC, in both directions.
    ///
    /// # Errors
    /// What the call says; `ENODEV` when the NIC is gone.
    pub fn attach(&self, nic: u32) -> Result<Attached> {
        Ok(Attached {
            _ingress: bpf::attach(self.ingress.as_fd(), nic, Hook::Ingress)?,
            _egress: bpf::attach(self.egress.as_fd(), nic, Hook::Egress)?,
        })
    }

    /// For [`Deadlines::map`], also in another process.
    #[must_use]
    pub fn deadlines(&self) -> BorrowedFd<'_> {
        self.deadlines.as_fd()
    }

    /// Runs the program of one direction `repeat` times on a frame that nobody sent: whether
    /// it passes, and the time of one run. For tests and benches.
    ///
    /// # Errors
    /// What the call says; `EINVAL` for less than an Ethernet header.
    pub fn try_frame(&self, ingress: bool, frame: &[u8], repeat: u32) -> Result<(bool, Duration)> {
        let program = if ingress { &self.ingress } else { &self.egress };
        let (verdict, nanos) = bpf::run(program.as_fd(), frame, repeat)?;
        let passes = verdict.cast_signed() != program::DROP;
        Ok((passes, Duration::from_nanos(nanos.into())))
    }
}

/// The deadlines of a gate, mapped into this process.
#[derive(Debug)]
pub struct Deadlines {
    slots: NonNull<AtomicU64>,
}

const BYTES: usize = VIPS * size_of::<u64>();

impl Deadlines {
    /// Maps them.
    ///
    /// # Errors
    /// What mmap says.
    pub fn map(deadlines: BorrowedFd<'_>) -> Result<Deadlines> {
        // SAFETY: a new mapping at an address of the kernel's choice; the map behind the
        // descriptor is of this length, else the call fails.
        let mapped = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                BYTES,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                deadlines,
                0,
            )
        }?;
        let slots = NonNull::new(mapped.cast()).ok_or(Error::from_raw_os_error(libc::ENOMEM))?;
        Ok(Deadlines { slots })
    }

    /// Lets the VIP in a slot pass until then, on the boot clock. Never waits, never fails.
    ///
    /// # Panics
    /// When there is no such slot: a bug.
    pub fn set(&self, slot: usize, until: Duration) {
        assert!(slot < VIPS, "a gate has {VIPS} slots");
        // SAFETY: within the mapping, which lives as long as this does.
        let slot = unsafe { self.slots.add(slot) };
        // SAFETY: aligned, initialized by the kernel, and written by nobody else.
        let slot = unsafe { slot.as_ref() };
        let nanos = u64::try_from(until.as_nanos()).unwrap_or(u64::MAX);
        slot.store(nanos, Ordering::Relaxed);
    }
}

impl Drop for Deadlines {
    fn drop(&mut self) {
        // SAFETY: the mapping that `map` made, which nobody uses any more.
        // A failure leaves it where it is.
        let _ = unsafe { rustix::mm::munmap(self.slots.as_ptr().cast(), BYTES) };
    }
}

#[cfg(test)]
mod tests;
