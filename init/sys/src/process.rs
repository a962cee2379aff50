//! Starting, signalling and reaping processes.
//!
//! Owns `clone3` with a pidfd, a cgroup and a clean slate for the child. Between `clone`
//! and `exec` the child makes system calls only and allocates nothing, so that it does
//! not matter which locks other threads of its parent held.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::process::{Pid, WaitOptions};

use crate::confine::Confinement;
use crate::root::{self, Home};
use crate::{Error, Result};

/// What a child finds at a descriptor number.
#[derive(Clone, Copy, Debug)]
pub struct Give<'fd> {
    /// Its number in the child.
    pub number: RawFd,
    /// Its number here.
    pub descriptor: BorrowedFd<'fd>,
}

/// Everything about a process to start.
#[derive(Debug)]
pub struct Spawn<'a> {
    /// The program file, as the child sees it.
    pub program: &'a Path,
    /// Its arguments, the zeroth included.
    pub arguments: &'a [String],
    /// Its whole environment, `NAME=value`.
    pub environment: &'a [String],
    /// Its working directory, as the child sees it.
    pub directory: &'a Path,
    /// Whose file system and process numbers it has.
    pub home: Home<'a>,
    /// Its open descriptors. 0, 1 and 2 are `/dev/null` where not given; all else is closed.
    pub give: &'a [Give<'a>],
    /// The cgroup (v2) directory that it is born in.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// What it may do; `None` leaves it privileged.
    pub confinement: Option<Confinement>,
    /// `oom_score_adj`: -1000 is never killed for memory, 0 is ordinary.
    pub oom_score: i16,
    /// Whether it dies with the process that starts it.
    pub die_with_parent: bool,
}

/// A started process.
#[derive(Debug)]
pub struct Child {
    /// Its process id.
    pub pid: i32,
    /// A descriptor for it, never mistaken for a later process of the same id.
    pub pidfd: OwnedFd,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With this exit status.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

fn c_string(text: &OsStr) -> Result<CString> {
    Ok(CString::new(text.as_bytes())?)
}

fn c_strings(texts: &[String]) -> Result<Vec<CString>> {
    texts
        .iter()
        .map(|text| c_string(OsStr::new(text)))
        .collect()
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings
        .iter()
        .map(|s| s.as_ptr())
        .chain([std::ptr::null()])
        .collect()
}

impl Spawn<'_> {
    /// Starts it and waits until its program runs. Takes about as long as reading the
    /// program's first pages.
    ///
    /// # Errors
    /// What `clone3` says, or the first step in the child that failed, up to `execve`.
    pub fn start(&self) -> Result<Child> {
        if self.give.len() > GIVEN {
            return Err(Error::from_raw_os_error(libc::EINVAL));
        }
        let program = c_string(self.program.as_os_str())?;
        let directory = c_string(self.directory.as_os_str())?;
        let arguments = c_strings(self.arguments)?;
        let environment = c_strings(self.environment)?;
        let arguments = pointers(&arguments);
        let environment = pointers(&environment);
        let owner = self.confinement.as_ref().map_or(0, |confined| confined.id);
        let root = match self.home {
            Home::Own(root) => Some(root.prepare(owner)?),
            Home::Ours | Home::With(_) => None,
        };
        let prepared = Prepared {
            root: root.as_ref(),
            program: &program,
            directory: &directory,
            arguments: &arguments,
            environment: &environment,
            oom_score: &self.oom_score.to_string(),
        };
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;

        let namespaces = if root.is_some() { root::NAMESPACES } else { 0 };
        let numbered = match self.home {
            Home::With(pidfd) => Some(root::Numbered::with(pidfd)?),
            Home::Ours | Home::Own(_) => None,
        };
        let Some(child) = clone_with(self.cgroup, namespaces)? else {
            drop(reader);
            let error = self.become_child(&prepared);
            let _ = rustix::io::write(&writer, &crate::errno(&error).to_ne_bytes());
            // SAFETY: ends this process without running anything of the parent's.
            unsafe { libc::_exit(127) };
        };
        drop((writer, numbered));

        // Closed by a successful exec; else it carries the errno.
        let mut code = [0; 4];
        let outcome = loop {
            match rustix::io::read(&reader, &mut code) {
                Err(rustix::io::Errno::INTR) => {}
                other => break other,
            }
        };
        if outcome? == code.len() {
            let _ = reap(child.pid);
            return Err(Error::from_raw_os_error(i32::from_ne_bytes(code)));
        }
        Ok(child)
    }

    /// Runs in the child; returns only when something failed.
    fn become_child(&self, prepared: &Prepared<'_>) -> Error {
        if let Err(error) = self.prepare(prepared) {
            return error;
        }
        let (arguments, environment) = (prepared.arguments.as_ptr(), prepared.environment.as_ptr());
        // SAFETY: all strings are NUL-terminated and the arrays end with a null pointer.
        unsafe { libc::execve(prepared.program.as_ptr(), arguments, environment) };
        Error::last_os_error()
    }

    fn prepare(&self, prepared: &Prepared<'_>) -> Result<()> {
        crate::signal::reset();
        rustix::process::setsid()?;
        let oom = open_existing("/proc/self/oom_score_adj")?;
        rustix::io::write(&oom, prepared.oom_score.as_bytes())?;
        match (prepared.root, self.home) {
            (Some(root), _) => root.enter()?,
            (None, Home::With(pidfd)) => root::join(pidfd)?,
            (None, _) => {}
        }
        rustix::process::chdir(prepared.directory.as_c_str())?;
        self.place_descriptors()?;
        if let Some(confinement) = &self.confinement {
            // With this process's own rights, which it is about to lose.
            let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
            let program = rustix::fs::open(prepared.program, flags, rustix::fs::Mode::empty())?;
            confinement.apply(&program)?;
        }
        if self.die_with_parent {
            // After the change of identity, which clears it.
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        }
        Ok(())
    }

    /// Gives the child its descriptors. All are first copied above every number that is
    /// given, so that placing one never overwrites another.
    fn place_descriptors(&self) -> Result<()> {
        const ABOVE: RawFd = 64;
        const CLOEXEC: libc::c_int = 4;
        // SAFETY: marks descriptors to close on exec, whoever made them; closes none now.
        crate::check(unsafe { libc::close_range(0, u32::MAX, CLOEXEC) })?;
        // Absent only in a machine whose /dev is not mounted yet.
        let null = open_existing("/dev/null").ok();
        let mut copies: [Option<OwnedFd>; GIVEN] = [const { None }; GIVEN];
        for (copy, give) in copies.iter_mut().zip(self.give) {
            *copy = Some(rustix::io::fcntl_dupfd_cloexec(give.descriptor, ABOVE)?);
        }
        if let Some(null) = &null {
            for number in 0..3 {
                place(null, number)?;
            }
        }
        for (copy, give) in copies.iter().zip(self.give) {
            if let Some(copy) = copy {
                place(copy, give.number)?;
            }
        }
        // The copies close on exec; closing them here is not worth the calls.
        std::mem::forget(copies);
        // One of the numbers 0 to 2 may be the very descriptor just placed.
        std::mem::forget(null);
        Ok(())
    }
}

/// Descriptors that one child may be given.
pub const GIVEN: usize = 6;

/// What the child needs that takes memory to make.
struct Prepared<'a> {
    root: Option<&'a root::Prepared>,
    program: &'a CString,
    directory: &'a CString,
    arguments: &'a [*const libc::c_char],
    environment: &'a [*const libc::c_char],
    oom_score: &'a str,
}

fn open_existing(path: &str) -> Result<OwnedFd> {
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, rustix::fs::Mode::empty())?)
}

fn place(descriptor: &OwnedFd, number: RawFd) -> Result<()> {
    if descriptor.as_raw_fd() == number {
        // dup2 onto itself would leave it to close on exec.
        return Ok(rustix::io::fcntl_setfd(
            descriptor,
            rustix::io::FdFlags::empty(),
        )?);
    }
    // SAFETY: in the child before exec; whatever had this number belongs to the child's
    // copy of the table and is not used afterwards.
    crate::check(unsafe { libc::dup2(descriptor.as_raw_fd(), number) })?;
    Ok(())
}

/// Too wide for the type that libc gave it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// `clone3` into new namespaces: `None` in the child.
fn clone_with(cgroup: Option<BorrowedFd<'_>>, namespaces: libc::c_int) -> Result<Option<Child>> {
    let mut pidfd: RawFd = -1;
    // SAFETY: clone_args is plain data; all zero is a valid value.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = u64::try_from(libc::CLONE_PIDFD | namespaces).unwrap_or(0);
    args.pidfd = (&raw mut pidfd) as u64;
    args.exit_signal = u64::try_from(libc::SIGCHLD).unwrap_or(0);
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::try_from(cgroup.as_raw_fd()).unwrap_or(0);
    }
    // SAFETY: `args` is valid for its size and asks for a copy of this process (no
    // CLONE_VM); the child only makes system calls until it execs or exits.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw mut args,
            size_of::<libc::clone_args>(),
        )
    };
    match i32::try_from(pid).unwrap_or(-1) {
        0 => Ok(None),
        pid if pid > 0 => {
            // SAFETY: the kernel just gave us this descriptor; nobody else owns it.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Some(Child { pid, pidfd }))
        }
        _ => Err(Error::last_os_error()),
    }
}

/// A signal to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Send {
    /// Please end.
    Terminate,
    /// The same, or something else that the program has agreed on.
    Interrupt,
    /// The same.
    Quit,
    /// The same.
    HangUp,
    /// The same.
    User1,
    /// The same.
    User2,
    /// The same.
    Window,
    /// End.
    Kill,
}

/// Signals the process behind `pidfd`. One that is gone is success.
///
/// # Errors
/// What `pidfd_send_signal` says.
pub fn signal(pidfd: impl AsFd, what: Send) -> Result<()> {
    let signal = match what {
        Send::Terminate => rustix::process::Signal::TERM,
        Send::Interrupt => rustix::process::Signal::INT,
        Send::Quit => rustix::process::Signal::QUIT,
        Send::HangUp => rustix::process::Signal::HUP,
        Send::User1 => rustix::process::Signal::USR1,
        Send::User2 => rustix::process::Signal::USR2,
        Send::Window => rustix::process::Signal::WINCH,
        Send::Kill => rustix::process::Signal::KILL,
    };
    match rustix::process::pidfd_send_signal(pidfd, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// KILL to a child and what it started that did not leave its session. One that is gone is
/// success.
///
/// # Errors
/// What `kill` says.
pub fn kill_session(child: &Child) -> Result<()> {
    let Some(leader) = Pid::from_raw(child.pid) else {
        return Ok(());
    };
    // Every child begins a session of its own, so its group is nobody else's.
    match rustix::process::kill_process_group(leader, rustix::process::Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Reaps one ended child of this process, if there is one.
#[must_use]
pub fn reap_any() -> Option<(i32, Ended)> {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => return ended(pid, status),
            Err(rustix::io::Errno::INTR) => {}
            Ok(None) | Err(_) => return None,
        }
    }
}

/// Waits for one child.
fn reap(pid: i32) -> Option<(i32, Ended)> {
    let pid = Pid::from_raw(pid)?;
    let (pid, status) = rustix::process::waitpid(Some(pid), WaitOptions::empty()).ok()??;
    ended(pid, status)
}

fn ended(pid: Pid, status: rustix::process::WaitStatus) -> Option<(i32, Ended)> {
    let ended = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Ended::Code(code),
        (_, Some(signal)) => Ended::Signal(signal),
        // Stops are not asked for.
        _ => return None,
    };
    Some((pid.as_raw_pid(), ended))
}

/// Orphans below this process become its children instead of PID 1's.
///
/// # Errors
/// What `prctl` says.
pub fn adopt_orphans() -> Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(
        rustix::process::getpid(),
    ))?)
}

/// Names this process for whoever reads a list of processes.
pub fn set_name(name: &str) {
    if let Ok(name) = CString::new(name) {
        // A missing name hurts nobody.
        let _ = rustix::thread::set_name(&name);
    }
}

/// Opens a directory, to be named in a [`Confinement`].
///
/// # Errors
/// What `open` says.
pub fn open_directory(path: &str) -> Result<OwnedFd> {
    let flags =
        rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, rustix::fs::Mode::empty())?)
}

/// Takes over a descriptor that this process was started with.
///
/// # Errors
/// `EBADF` when there is none with this number.
pub fn inherited(number: RawFd) -> Result<OwnedFd> {
    // SAFETY: F_GETFD reads a flag of whatever is there.
    crate::check(unsafe { libc::fcntl(number, libc::F_GETFD) })?;
    // SAFETY: the descriptor is open, was placed there by our starter for us alone, and
    // each helper calls this once, first thing in `main`.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)?;
    Ok(fd)
}

/// A pipe, close-on-exec; the reading end never blocks.
///
/// # Errors
/// What `pipe2` says.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&reader, true)?;
    Ok((reader, writer))
}

/// Whether this process is the superuser. Tests that need to be say so and pass without.
#[must_use]
pub fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("not tested: this needs root");
    }
    root
}

/// Moves the calling thread into a network namespace of its own. For tests.
///
/// # Errors
/// What `unshare` says; it needs CAP_SYS_ADMIN.
pub fn new_network() -> Result<()> {
    // SAFETY: gives this thread an empty network namespace; no memory is involved.
    crate::check(unsafe { libc::unshare(libc::CLONE_NEWNET) })?;
    Ok(())
}

/// Makes the calling process the superuser of a user namespace of its own. For tests.
///
/// # Errors
/// What `unshare` says.
pub fn new_user() -> Result<()> {
    // SAFETY: changes the credentials of this process only; no memory is involved.
    crate::check(unsafe { libc::unshare(libc::CLONE_NEWUSER) })?;
    Ok(())
}

#[cfg(test)]
mod tests;
