//! bpf(2): maps, programs, and links that attach a program to a NIC.
//!
//! Owns the system call and the layout of its arguments (`union bpf_attr`, Linux
//! `include/uapi/linux/bpf.h`); a request shorter than the union is zero beyond. What the
//! programs say is not its business.

pub(crate) mod code;

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::{Error, Result};
use code::Instruction;

const MAP_CREATE: libc::c_int = 0;
const MAP_UPDATE_ELEM: libc::c_int = 2;
const MAP_DELETE_ELEM: libc::c_int = 3;
const PROG_LOAD: libc::c_int = 5;
const PROG_TEST_RUN: libc::c_int = 10;
const LINK_CREATE: libc::c_int = 28;

/// Keys of any bytes.
pub(crate) const HASH: u32 = 1;
/// Keys from zero on.
pub(crate) const ARRAY: u32 = 2;
/// `BPF_F_MMAPABLE`: the values of an array can be mapped into a process.
pub(crate) const MAPPABLE: u32 = 1 << 10;

/// `BPF_PROG_TYPE_SCHED_CLS`: looks at the frames of a NIC.
const SCHED_CLS: u32 = 3;
/// What the program tells the kernel of its licence.
const LICENSE: &core::ffi::CStr = c"MIT";
/// Room for the verifier's complaint.
const COMPLAINT: usize = 4096;

/// Where a program is attached (Documentation/bpf: TCX, kernel 6.6 and later).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Hook {
    /// Frames that arrive, after packet sockets have seen them.
    Ingress = 46,
    /// Frames that leave, packet sockets' own included.
    Egress = 47,
}

/// What a map is like.
#[repr(C)]
pub(crate) struct Map {
    pub(crate) kind: u32,
    pub(crate) key: u32,
    pub(crate) value: u32,
    pub(crate) entries: u32,
    pub(crate) flags: u32,
}

#[repr(C)]
struct Update {
    map: u32,
    _pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct Load {
    kind: u32,
    instructions_len: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_len: u32,
    log: u64,
}

#[repr(C)]
struct Attach {
    program: u32,
    nic: u32,
    hook: u32,
    flags: u32,
}

/// `BPF_PROG_TEST_RUN`.
#[repr(C)]
#[derive(Default)]
struct Test {
    program: u32,
    verdict: u32,
    len_in: u32,
    len_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    /// Nanoseconds of one run, on average.
    duration: u32,
}

/// One request. A negative answer is an errno; another is a descriptor, or zero.
fn bpf<T>(command: libc::c_int, attributes: &mut T) -> Result<libc::c_int> {
    // SAFETY: `attributes` is one of the structures above, laid out as the command wants it,
    // and every address in it is that of memory which the caller still holds.
    let answer =
        unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attributes, size_of::<T>()) };
    if answer < 0 {
        return Err(Error::last_os_error());
    }
    Ok(libc::c_int::try_from(answer).unwrap_or(0))
}

fn owned(descriptor: libc::c_int) -> OwnedFd {
    // SAFETY: the kernel just gave us this descriptor (close-on-exec, as all of bpf's are);
    // nobody else owns it.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

/// A number as the kernel's structures hold descriptors.
fn number(descriptor: BorrowedFd<'_>) -> u32 {
    u32::try_from(descriptor.as_raw_fd()).unwrap_or(u32::MAX)
}

fn address<T>(of: &T) -> u64
where
    T: ?Sized,
{
    (&raw const *of).cast::<u8>().addr() as u64
}

/// Makes a map.
pub(crate) fn map(mut map: Map) -> Result<OwnedFd> {
    bpf(MAP_CREATE, &mut map).map(owned)
}

/// Sets an entry of a map. Both lengths are those that the map was made with.
pub(crate) fn update(map: BorrowedFd<'_>, key: &[u8; 16], value: &[u8; 4]) -> Result<()> {
    let mut update = Update {
        map: number(map),
        _pad: 0,
        key: address(key),
        value: address(value),
        flags: 0,
    };
    bpf(MAP_UPDATE_ELEM, &mut update)?;
    Ok(())
}

/// Takes an entry out of a map; one that is not there is none.
pub(crate) fn remove(map: BorrowedFd<'_>, key: &[u8; 16]) -> Result<()> {
    let mut remove = Update {
        map: number(map),
        _pad: 0,
        key: address(key),
        value: 0,
        flags: 0,
    };
    match bpf(MAP_DELETE_ELEM, &mut remove) {
        Err(error) if error.raw_os_error() != Some(libc::ENOENT) => Err(error),
        _ => Ok(()),
    }
}

/// Has the kernel verify and compile a program.
///
/// # Errors
/// The kernel's errno; the verifier's complaint, if it has one, is in its text.
pub(crate) fn load(program: &[Instruction]) -> Result<OwnedFd> {
    let mut complaint = vec![0u8; COMPLAINT];
    let mut load = Load {
        kind: SCHED_CLS,
        instructions_len: u32::try_from(program.len()).unwrap_or(u32::MAX),
        instructions: address(program),
        license: LICENSE.as_ptr().addr() as u64,
        log_level: 0,
        log_len: 0,
        log: 0,
    };
    let error = match bpf(PROG_LOAD, &mut load) {
        Ok(descriptor) => return Ok(owned(descriptor)),
        Err(error) if error.raw_os_error() == Some(libc::EACCES) => error,
        Err(error) => return Err(error),
    };
    // Refused by the verifier: once more, for its reason.
    load.log_level = 1;
    load.log_len = u32::try_from(COMPLAINT).unwrap_or(0);
    load.log = complaint.as_mut_ptr().addr() as u64;
    let _ = bpf(PROG_LOAD, &mut load);
    let end = complaint.iter().position(|byte| *byte == 0).unwrap_or(0);
    let text = String::from_utf8_lossy(&complaint[..end]).into_owned();
    Err(Error::other(format!("{error}: {text}")))
}

/// Attaches a program to a NIC, for as long as the descriptor is open and the NIC is there.
pub(crate) fn attach(program: BorrowedFd<'_>, nic: u32, hook: Hook) -> Result<OwnedFd> {
    let mut attach = Attach {
        program: number(program),
        nic,
        hook: hook as u32,
        flags: 0,
    };
    bpf(LINK_CREATE, &mut attach).map(owned)
}

/// Runs a program `repeat` times on a frame that nobody sent: its verdict, and the
/// nanoseconds of one run.
pub(crate) fn run(program: BorrowedFd<'_>, frame: &[u8], repeat: u32) -> Result<(u32, u32)> {
    let mut test = Test {
        program: number(program),
        len_in: u32::try_from(frame.len()).unwrap_or(u32::MAX),
        data_in: address(frame),
        repeat,
        ..Test::default()
    };
    bpf(PROG_TEST_RUN, &mut test)?;
    Ok((test.verdict, test.duration))
}
