//! A machine's end of a wire: the unix socket that its QEMU connects to.
//!
//! Owns the framing of QEMU's `stream` netdev (four bytes of length, big-endian, then the
//! frame), and the bound of what waits for a machine that does not take it.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;

use rustix::net::sockopt::set_socket_send_buffer_size;

use crate::error::{Context, Result};

/// The longest frame believed; QEMU's own bound is a little more.
const LONGEST: usize = 65_536;
/// What the host keeps for a machine's network port: about as much as a card's ring.
const FRAME_ROOM: usize = 256 * 1024;
/// The least that the host grants; a UART has hardly any room.
const BYTE_ROOM: usize = 4096;
/// Serial bytes kept here while the host has no room.
const BYTES_WAITING: usize = 2048;

/// What a port carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PortKind {
    /// Ethernet frames.
    Frames,
    /// Bytes of a serial line or a console.
    Bytes,
}

/// A machine's end of a wire.
pub(crate) struct Port {
    pub(crate) kind: PortKind,
    pub(crate) listener: Arc<UnixListener>,
    pub(crate) stream: Option<Arc<UnixStream>>,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
}

impl Port {
    /// Waits for a QEMU at `path`.
    pub(crate) fn listen(path: &Path, kind: PortKind) -> Result<Self> {
        let what = || format!("cannot listen at {}", path.display());
        let listener = UnixListener::bind(path).context(what)?;
        listener.set_nonblocking(true).context(what)?;
        Ok(Self {
            kind,
            listener: Arc::new(listener),
            stream: None,
            incoming: Vec::new(),
            outgoing: Vec::new(),
        })
    }

    /// Takes the QEMU that connects; a former one is gone.
    pub(crate) fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            let room = if self.kind == PortKind::Frames {
                FRAME_ROOM
            } else {
                BYTE_ROOM
            };
            // Without it the default is somewhat larger, nothing worse.
            let _ = set_socket_send_buffer_size(stream.as_fd(), room);
            if stream.set_nonblocking(true).is_ok() {
                self.incoming.clear();
                self.outgoing.clear();
                self.stream = Some(Arc::new(stream));
            }
        }
    }

    /// Whether something waits to be taken by the machine.
    pub(crate) fn is_behind(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Reads all there is: whole frames, or bytes in one piece. False when the QEMU is gone.
    pub(crate) fn read(&mut self, got: &mut Vec<Vec<u8>>) -> bool {
        let Some(stream) = self.stream.clone() else {
            return true;
        };
        let mut buffer = [0; 65_536];
        let alive = match (&*stream).read(&mut buffer) {
            Ok(0) => false,
            Ok(count) => {
                self.incoming.extend_from_slice(&buffer[..count]);
                true
            }
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        };
        let whole = match self.kind {
            PortKind::Bytes => {
                if !self.incoming.is_empty() {
                    got.push(std::mem::take(&mut self.incoming));
                }
                true
            }
            PortKind::Frames => self.frames(got),
        };
        if !alive || !whole {
            self.stream = None;
            self.incoming.clear();
            self.outgoing.clear();
        }
        alive && whole
    }

    /// Hands a frame or bytes to the machine; false when it has no room, or is not there.
    pub(crate) fn write(&mut self, data: &[u8]) -> bool {
        self.flush();
        if self.stream.is_none() {
            return false;
        }
        match self.kind {
            PortKind::Frames => {
                if self.is_behind() || data.len() > LONGEST {
                    return false;
                }
                let length = u32::try_from(data.len()).unwrap_or(0);
                self.outgoing.extend(length.to_be_bytes());
                self.outgoing.extend_from_slice(data);
                // All or nothing: a frame of which not one byte went out is lost instead of
                // making the next ones late.
                let whole = self.outgoing.len();
                self.flush();
                if self.outgoing.len() == whole {
                    self.outgoing.clear();
                    return false;
                }
                true
            }
            PortKind::Bytes => {
                let room = BYTES_WAITING.saturating_sub(self.outgoing.len());
                let fits = data.len().min(room);
                self.outgoing.extend_from_slice(&data[..fits]);
                self.flush();
                fits == data.len()
            }
        }
    }

    /// Hands over what waits, as far as it goes.
    pub(crate) fn flush(&mut self) {
        let Some(stream) = self.stream.clone() else {
            return;
        };
        while !self.outgoing.is_empty() {
            match (&*stream).write(&self.outgoing) {
                Ok(count) => {
                    self.outgoing.drain(..count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A broken connection is noticed when it is read.
                Err(_) => break,
            }
        }
    }

    /// Cuts whole frames off what came in; false when it is no framing.
    fn frames(&mut self, got: &mut Vec<Vec<u8>>) -> bool {
        let mut at = 0;
        let fine = loop {
            let Some(length) = self.incoming.get(at..at + 4) else {
                break true;
            };
            let length = u32::from_be_bytes(length.try_into().unwrap_or_default()) as usize;
            if length > LONGEST {
                break false;
            }
            let Some(frame) = self.incoming.get(at + 4..at + 4 + length) else {
                break true;
            };
            got.push(frame.to_vec());
            at += 4 + length;
        };
        self.incoming.drain(..at);
        fine
    }
}

impl std::fmt::Debug for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let connected = self.stream.is_some();
        f.debug_struct("Port")
            .field("kind", &self.kind)
            .field("connected", &connected)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::TempDir;

    fn connected(kind: PortKind) -> (TempDir, Port, UnixStream) {
        let dir = TempDir::new();
        let path = dir.path().join("port");
        let mut port = Port::listen(&path, kind).unwrap();
        let machine = UnixStream::connect(&path).unwrap();
        port.accept();
        (dir, port, machine)
    }

    #[test]
    fn frames_are_cut_wherever_the_bytes_break() {
        let (_dir, mut port, mut machine) = connected(PortKind::Frames);
        let bytes = [
            &[0, 0, 0, 3][..],
            b"abc",
            &[0, 0, 0, 0],
            &[0, 0, 0, 2],
            b"de",
        ]
        .concat();
        let mut got = Vec::new();
        for byte in bytes {
            machine.write_all(&[byte]).unwrap();
            assert!(port.read(&mut got));
        }
        assert_eq!(got, [b"abc".to_vec(), vec![], b"de".to_vec()]);
    }

    #[test]
    fn nonsense_and_hangups_disconnect() {
        let (_dir, mut port, mut machine) = connected(PortKind::Frames);
        machine.write_all(&[0xff; 8]).unwrap();
        assert!(!port.read(&mut Vec::new()) && port.stream.is_none());
        let (_dir, mut port, machine) = connected(PortKind::Bytes);
        drop(machine);
        assert!(!port.read(&mut Vec::new()));
    }

    #[test]
    fn a_machine_that_takes_nothing_loses_frames_and_gets_the_rest_whole() {
        let (_dir, mut port, mut machine) = connected(PortKind::Frames);
        let frame = |n: u32| n.to_be_bytes().repeat(300);
        let taken: Vec<u32> = (0..2000).filter(|n| port.write(&frame(*n))).collect();
        assert!(taken.len() > 20 && taken.len() < 1000, "{}", taken.len());
        machine.set_nonblocking(true).unwrap();
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match machine.read(&mut buffer) {
                Ok(count) => bytes.extend_from_slice(&buffer[..count]),
                Err(_) if port.is_behind() => port.flush(),
                Err(_) => break,
            }
        }
        let mut reader = Port {
            incoming: bytes,
            ..port
        };
        let mut got = Vec::new();
        assert!(reader.frames(&mut got));
        assert_eq!(got, taken.iter().map(|n| frame(*n)).collect::<Vec<_>>());
    }

    #[test]
    fn serial_bytes_are_bounded_too() {
        let (_dir, mut port, _machine) = connected(PortKind::Bytes);
        let lost = (0..20_000).filter(|_| !port.write(b"0123456789")).count();
        assert!(lost > 10_000);
        assert!(port.outgoing.len() <= BYTES_WAITING);
    }
}
