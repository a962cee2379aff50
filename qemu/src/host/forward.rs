//! Doors from the lab's own machine into its LAN: a loopback port per address inside.
//!
//! Owns the listeners and carries bytes between a loopback connection and one of the
//! client's. Never blocks: what the other side does not take waits in its buffer.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;

use super::Host;
use crate::error::{Context, Result};
use crate::time::LabTime;

/// Buffers of a carried connection.
const ROOM: [usize; 2] = [64 * 1024, 64 * 1024];
/// A connection inside that is silent for this long while it owes something is over.
const TIMEOUT: Duration = Duration::from_secs(5);

/// One door.
pub(crate) struct Forward {
    pub(crate) listener: Arc<TcpListener>,
    pub(crate) port: u16,
    target: SocketAddr,
    pub(crate) conns: Vec<Conn>,
}

/// One carried connection.
pub(crate) struct Conn {
    pub(crate) local: Arc<TcpStream>,
    handle: SocketHandle,
    /// The outside has said all it has to say.
    local_done: bool,
    /// The inside's end was passed on.
    remote_done: bool,
    /// Over; waits for its last frame to go out.
    over: bool,
    /// Whether there is room for bytes from outside, and bytes for the outside.
    pub(crate) wants: (bool, bool),
}

impl Forward {
    /// Opens a door to `target`; port 0 takes any free one.
    pub(crate) fn open(port: u16, target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).context(|| {
            format!("cannot listen on 127.0.0.1:{port}; another lab may have it, choose another with --port")
        })?;
        listener
            .set_nonblocking(true)
            .context(|| "cannot set up a listener".to_owned())?;
        let port = listener
            .local_addr()
            .context(|| "cannot set up a listener".to_owned())?
            .port();
        Ok(Self {
            listener: Arc::new(listener),
            port,
            target,
            conns: Vec::new(),
        })
    }

    /// Lets in whoever waits at the door.
    pub(crate) fn accept(&mut self, client: &mut Host) {
        while let Ok((local, _)) = self.listener.accept() {
            // A connection that cannot be set up is dropped, which its owner sees at once.
            if local.set_nonblocking(true).is_err() {
                continue;
            }
            let _ = local.set_nodelay(true);
            if let Some(handle) = client.connect(self.target, ROOM, TIMEOUT) {
                let local = Arc::new(local);
                let wants = (false, false);
                self.conns.push(Conn {
                    local,
                    handle,
                    local_done: false,
                    remote_done: false,
                    over: false,
                    wants,
                });
            }
        }
    }

    /// Carries what can be carried.
    pub(crate) fn poll(&mut self, now: LabTime, client: &mut Host) {
        let target = self.target.ip();
        self.conns.retain_mut(|conn| {
            if conn.over {
                client.remove(conn.handle);
                return false;
            }
            if client.socket(conn.handle).state() == State::SynSent {
                client.resolve(now, target, false);
            }
            conn.carry(client);
            true
        });
    }
}

impl Conn {
    fn carry(&mut self, client: &mut Host) {
        let socket = client.socket(self.handle);
        if !self.inward(socket) || !self.outward(socket) {
            socket.abort();
            self.over = true;
        }
        let socket = client.socket(self.handle);
        if !socket.is_open() && !socket.can_recv() || (self.local_done && self.remote_done) {
            let _ = self.local.shutdown(Shutdown::Both);
            self.over = true;
        }
        self.wants = (!self.local_done && socket.can_send(), socket.can_recv());
    }

    /// From outside to inside; false when the outside broke.
    fn inward(&mut self, socket: &mut smoltcp::socket::tcp::Socket<'_>) -> bool {
        while !self.local_done && socket.can_send() {
            let moved = socket.send(|room| match (&*self.local).read(room) {
                Ok(count) => (count, Ok(count)),
                Err(error) => (0, Err(error)),
            });
            match moved {
                Ok(Ok(0)) => {
                    self.local_done = true;
                    socket.close();
                }
                Ok(Ok(_)) => {}
                Ok(Err(error)) if error.kind() == ErrorKind::WouldBlock => break,
                Ok(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
                Ok(Err(_)) | Err(_) => return false,
            }
        }
        true
    }

    /// From inside to outside; false when the outside broke.
    fn outward(&mut self, socket: &mut smoltcp::socket::tcp::Socket<'_>) -> bool {
        while socket.can_recv() {
            let moved = socket.recv(|bytes| match (&*self.local).write(bytes) {
                Ok(count) => (count, Ok(())),
                Err(error) => (0, Err(error)),
            });
            match moved {
                Ok(Ok(())) => {}
                Ok(Err(error)) if error.kind() == ErrorKind::WouldBlock => break,
                Ok(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
                Ok(Err(_)) | Err(_) => return false,
            }
        }
        let ended = !matches!(
            socket.state(),
            State::SynSent
                | State::SynReceived
                | State::Established
                | State::FinWait1
                | State::FinWait2
        );
        if ended && !socket.can_recv() && !self.remote_done {
            self.remote_done = true;
            let _ = self.local.shutdown(Shutdown::Write);
            socket.close();
        }
        true
    }
}
