//! A root directory of its own for a child, and nothing else to be seen from there.
//!
//! Owns the namespaces of such a child and the mounts in them: its root read-only, its
//! writable directories in memory, this program where it is wanted, a `/dev` with the six devices that programs take for
//! granted, a `/proc` that shows its own processes. No `/sys`, no cgroups, no sockets of
//! others. Never decides what is in the root: the image does.
//!
//! A second process can join the first one there: a probe or a hook that must see what the
//! service sees.
//!
//! The steps run between `clone` and `exec` as root, make system calls only and allocate
//! nothing. The initial RAM file system cannot be pivoted away from
//! (`Documentation/filesystems/ramfs-rootfs-initramfs.rst`), so the new root is moved over
//! it and entered with `chroot`; who has no `CAP_SYS_CHROOT`, as every confined child, has no
//! way back, and nothing of the old tree is mounted below.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::mount::{MountFlags, MountPropagationFlags};

use crate::Result;

/// Where a child lives.
#[derive(Clone, Copy, Debug, Default)]
pub enum Home<'a> {
    /// In the file system and among the processes of this one.
    #[default]
    Ours,
    /// In a root of its own.
    Own(&'a Root),
    /// Where the process behind this pidfd lives, which has a root of its own.
    With(BorrowedFd<'a>),
}

/// A child's own file system.
#[derive(Clone, Debug)]
pub struct Root {
    /// The directory that becomes `/`; read-only for the child. It has the directories
    /// `dev` and `proc`, and those of `writable`.
    pub directory: PathBuf,
    /// Absolute paths inside it where the child may write: memory of its own, empty at each
    /// start.
    pub writable: Vec<PathBuf>,
    /// Bytes that each writable directory holds at most.
    pub room: u64,
    /// An absolute path inside it, of a file, where this very program is put: not copied, but
    /// mounted.
    pub own_program: Option<PathBuf>,
}

/// `/dev` of such a child: name, major and minor number (`Documentation/admin-guide/devices.txt`).
const DEVICES: [(&CStr, u32, u32); 6] = [
    (c"null", 1, 3),
    (c"zero", 1, 5),
    (c"full", 1, 7),
    (c"random", 1, 8),
    (c"urandom", 1, 9),
    (c"tty", 5, 0),
];

/// The same with every string that the child needs.
#[derive(Debug)]
pub(crate) struct Prepared {
    directory: CString,
    dev: CString,
    proc: CString,
    writable: Vec<CString>,
    options: CString,
    /// This program, and where it goes.
    own_program: Option<(CString, CString)>,
}

impl Root {
    /// Makes everything that takes memory. `owner` is the user to whom the writable
    /// directories belong.
    ///
    /// # Errors
    /// `InvalidInput` for a writable path that is not absolute, is the root itself, or climbs
    /// up with `..`.
    pub(crate) fn prepare(&self, owner: u32) -> Result<Prepared> {
        let writable = self.writable.iter().map(|path| self.inside(path));
        let own_program = match &self.own_program {
            Some(path) => Some((c_path(&std::env::current_exe()?)?, self.inside(path)?)),
            None => None,
        };
        Ok(Prepared {
            own_program,
            directory: c_path(&self.directory)?,
            dev: c_path(&self.directory.join("dev"))?,
            proc: c_path(&self.directory.join("proc"))?,
            writable: writable.collect::<Result<_>>()?,
            options: CString::new(format!(
                "mode=0700,uid={owner},gid={owner},size={}",
                self.room
            ))?,
        })
    }

    /// A path of the child as one of this process.
    fn inside(&self, path: &Path) -> Result<CString> {
        let mut parts = path.components();
        let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
        let absolute = parts.next() == Some(Component::RootDir);
        let below = parts.as_path();
        if !absolute || below.as_os_str().is_empty() || !parts.all(plain) {
            return Err(std::io::ErrorKind::InvalidInput.into());
        }
        c_path(&self.directory.join(below))
    }
}

fn c_path(path: &Path) -> Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

/// Which namespaces such a child is cloned into: mounts, processes, System V memory and
/// message queues, host name.
pub(crate) const NAMESPACES: libc::c_int = JOINED | libc::CLONE_NEWPID;
/// Those that a process can join once it runs.
const JOINED: libc::c_int = libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;

/// Moves the calling process, which is about to execute a program, to where the process
/// behind `pidfd` lives; its working directory becomes the root there.
pub(crate) fn join(pidfd: BorrowedFd<'_>) -> Result<()> {
    set_namespace(pidfd, JOINED)
}

/// While this lives, the calling thread's children get their numbers among the processes of
/// another one.
#[derive(Debug)]
pub(crate) struct Numbered {
    ours: OwnedFd,
}

impl Numbered {
    pub(crate) fn with(pidfd: BorrowedFd<'_>) -> Result<Numbered> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let ours = rustix::fs::open(c"/proc/self/ns/pid", flags, Mode::empty())?;
        set_namespace(pidfd, libc::CLONE_NEWPID)?;
        Ok(Numbered { ours })
    }
}

impl Drop for Numbered {
    fn drop(&mut self) {
        // One's own namespace can always be joined.
        let _ = set_namespace(std::os::fd::AsFd::as_fd(&self.ours), libc::CLONE_NEWPID);
    }
}

fn set_namespace(of: BorrowedFd<'_>, which: libc::c_int) -> Result<()> {
    // SAFETY: takes a descriptor and flags; no memory is involved.
    crate::check(unsafe { libc::setns(of.as_raw_fd(), which) })?;
    Ok(())
}

impl Prepared {
    /// Makes this the root of the calling process, which lives in [`NAMESPACES`] of its own.
    pub(crate) fn enter(&self) -> Result<()> {
        // Nothing that is mounted here is seen outside, nor the other way round.
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        rustix::mount::mount_change(c"/", private)?;
        rustix::mount::mount_bind(&self.directory, &self.directory)?;
        for directory in &self.writable {
            self.mount(c"tmpfs", directory, MountFlags::NOEXEC, &self.options)?;
        }
        if let Some((program, at)) = &self.own_program {
            rustix::mount::mount_bind(program, at)?;
            let still =
                MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
            rustix::mount::mount_remount(at, still, c"")?;
        }
        self.mount(
            c"proc",
            &self.proc,
            MountFlags::NOEXEC,
            c"hidepid=invisible",
        )?;
        self.devices()?;
        let still = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
        rustix::mount::mount_remount(&self.directory, still, c"")?;
        rustix::process::chdir(self.directory.as_c_str())?;
        rustix::mount::mount_move(c".", c"/")?;
        rustix::process::chroot(c".")?;
        Ok(rustix::process::chdir(c"/")?)
    }

    fn mount(&self, kind: &CStr, at: &CStr, flags: MountFlags, options: &CStr) -> Result<()> {
        let flags = flags | MountFlags::NOSUID | MountFlags::NODEV;
        Ok(rustix::mount::mount(kind, at, kind, flags, Some(options))?)
    }

    fn devices(&self) -> Result<()> {
        let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
        let options = Some(c"mode=0755,size=64k");
        rustix::mount::mount(c"tmpfs", &self.dev, c"tmpfs", flags, options)?;
        rustix::process::chdir(self.dev.as_c_str())?;
        let everybody = Mode::from_raw_mode(0o666);
        for (name, major, minor) in DEVICES {
            let device = rustix::fs::makedev(major, minor);
            let character = FileType::CharacterDevice;
            rustix::fs::mknodat(rustix::fs::CWD, name, character, everybody, device)?;
            // Past whatever the umask is.
            rustix::fs::chmod(name, everybody)?;
        }
        let still = MountFlags::RDONLY | flags;
        Ok(rustix::mount::mount_remount(c".", still, c"")?)
    }
}

#[cfg(test)]
mod tests;
