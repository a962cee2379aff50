//! What a child process may do: identity, capabilities, files, limits.
//!
//! Owns the steps between `clone` and `exec` that take privileges away. They run in the
//! child, in this order, and the child ends if one of them fails.

use std::os::fd::OwnedFd;

use rustix::process::{Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::{Result, sandbox};

/// What of the file system a child may open.
#[derive(Debug)]
pub enum Files {
    /// Whatever its user may.
    All,
    /// Nothing.
    Nothing,
    /// It may read below this directory.
    Below(OwnedFd),
}

/// An unprivileged identity and its bounds.
#[derive(Debug)]
pub struct Confinement {
    /// User and group id; must not be 0.
    pub id: u32,
    /// May bind ports below 1024 (`CAP_NET_BIND_SERVICE` and nothing else).
    pub low_ports: bool,
    /// What of the file system it may open.
    pub reach: Files,
    /// Whether it has a network; otherwise an empty one of its own, as far as the kernel can.
    pub network: bool,
    /// Open files.
    pub files: u64,
    /// Processes and threads of this user.
    pub processes: u64,
}

fn limit(resource: Resource, value: u64) -> Result<()> {
    Ok(rustix::process::setrlimit(
        resource,
        Rlimit {
            current: Some(value),
            maximum: Some(value),
        },
    )?)
}

/// Makes the calling process, which must have one thread, an unprivileged user for good.
/// Does nothing when it already is.
///
/// # Errors
/// What the calls say; the process must end then.
pub fn shed_root(id: u32) -> Result<()> {
    if rustix::process::geteuid().is_root() {
        become_user(id)?;
    }
    rustix::thread::set_no_new_privs(true)?;
    Ok(())
}

fn become_user(id: u32) -> Result<()> {
    let gid = rustix::process::Gid::from_raw(id);
    let uid = rustix::process::Uid::from_raw(id);
    // Single-threaded here, so the thread's identity is the process's.
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}

impl Confinement {
    /// Takes everything away from the calling process, which is about to execute
    /// `program`, but what is granted here.
    pub(crate) fn apply(&self, program: &OwnedFd) -> Result<()> {
        if self.id == 0 {
            return Err(crate::Error::from_raw_os_error(libc::EINVAL));
        }
        limit(Resource::Core, 0)?;
        limit(Resource::Nofile, self.files)?;
        limit(Resource::Nproc, self.processes)?;
        limit(Resource::Memlock, 0)?;
        if !self.network {
            match crate::process::new_network() {
                // A kernel without network namespaces: users and capabilities guard it still.
                Err(error) if matches!(crate::errno(&error), libc::EINVAL | libc::ENOSYS) => {}
                result => result?,
            }
        }

        let kept = if self.low_ports {
            CapabilitySet::NET_BIND_SERVICE
        } else {
            CapabilitySet::empty()
        };
        for capability in CapabilitySet::all().iter() {
            if !kept.contains(capability) {
                // A kernel older than this list does not know the newest ones.
                let _ = rustix::thread::remove_capability_from_bounding_set(capability);
            }
        }
        rustix::thread::set_keep_capabilities(!kept.is_empty())?;

        become_user(self.id)?;
        rustix::thread::set_capabilities(
            None,
            CapabilitySets {
                effective: kept,
                permitted: kept,
                inheritable: kept,
            },
        )?;
        if !kept.is_empty() {
            rustix::thread::configure_capability_in_ambient_set(kept, true)?;
        }
        rustix::thread::set_no_new_privs(true)?;
        match &self.reach {
            Files::All => Ok(()),
            Files::Nothing => sandbox::forget_files(program, None),
            Files::Below(directory) => sandbox::forget_files(program, Some(directory)),
        }
    }
}
