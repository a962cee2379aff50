//! An admin child on loopback, with a PID 1 of the tests' own behind it.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use kodo_admin::admin::{self, AdminConfig, Token};
use kodo_admin::relay::{self, DATAGRAM, FromNode, ToNode};
use kodo_engine::NodeSet;
use kodo_node::io::{Reply, Request};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{eventually, pair};

pub(crate) const PORT: u16 = 5580;
pub(crate) const SECRET: &str = "a token of the tests";

/// An admin child on a loopback address of its own.
pub(crate) struct Child {
    pub(crate) address: SocketAddr,
    /// What PID 1 was asked.
    pub(crate) asked: mpsc::Receiver<Request>,
}

impl Child {
    /// PID 1 answers as told; `None` is silence.
    pub(crate) fn new(answer: impl FnMut(&Request) -> Option<Reply> + Send + 'static) -> Child {
        Child::with(move |pid1, asks| serve(&pid1, &asks, answer))
    }

    /// PID 1 does what it likes.
    pub(crate) fn with(
        pid1_does: impl FnOnce(UnixDatagram, mpsc::Sender<Request>) + Send + 'static,
    ) -> Child {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let ip = Ipv4Addr::new(127, high.wrapping_add(next), low, next);
        let token = |name: &str, secret: &str| Token {
            name: name.try_into().unwrap(),
            sha256: Sha256::digest(secret).into(),
        };
        let config = AdminConfig {
            port: PORT,
            addresses: vec![IpAddr::V4(ip)],
            tokens: vec![token("anna", "another token"), token("ben", SECRET)],
            nodes: vec!["node1".to_owned(), "node2".to_owned()],
            groups: vec!["www".to_owned()],
        };
        let (child, pid1) = pair();
        thread::spawn(move || admin::run(child, config));
        let (asks, asked) = mpsc::channel();
        thread::spawn(move || pid1_does(pid1, asks));
        let address = SocketAddr::from((ip, PORT));
        eventually("the child listens", || TcpStream::connect(address).ok());
        Child { address, asked }
    }

    pub(crate) fn ok() -> Child {
        Child::new(|_| {
            Some(Reply::Ok {
                nodes: 2,
                disks: NodeSet::EMPTY,
            })
        })
    }

    pub(crate) fn call(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: &str,
    ) -> (u16, Value) {
        call(self.address, method, path, token, body)
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        self.call("GET", path, Some(SECRET), "")
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> (u16, Value) {
        self.call("POST", path, Some(SECRET), body)
    }

    /// The whole answer to raw bytes; empty when the child just hung up.
    pub(crate) fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        // The child may hang up before it has read everything.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub(crate) fn was_asked(&self, request: &Request) {
        assert_eq!(
            &self.asked.recv_timeout(Duration::from_secs(20)).unwrap(),
            request
        );
    }

    pub(crate) fn was_asked_nothing(&self) {
        assert_eq!(self.asked.try_recv(), Err(mpsc::TryRecvError::Empty));
    }
}

pub(crate) fn call(
    address: SocketAddr,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: &str,
) -> (u16, Value) {
    let mut request = ureq::http::Request::builder()
        .method(method)
        .uri(format!("http://{address}{path}"));
    if let Some(token) = token {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    let request = request.body(body.to_owned()).unwrap();
    let agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .build();
    let mut response = agent.new_agent().run(request).unwrap();
    let body = response.body_mut().read_json().unwrap();
    (response.status().as_u16(), body)
}

/// PID 1's side, until the child is gone.
fn serve(
    pid1: &UnixDatagram,
    asks: &mpsc::Sender<Request>,
    mut answer: impl FnMut(&Request) -> Option<Reply>,
) {
    pid1.set_read_timeout(None).unwrap();
    let mut buffer = vec![0; DATAGRAM];
    while let Ok(length @ 1..) = pid1.recv(&mut buffer) {
        let Ok(ToNode::Ask { token, request }) = relay::decode(&buffer[..length]) else {
            continue;
        };
        if let Some(reply) = answer(&request) {
            let mut buffer = vec![0; DATAGRAM];
            let reply = FromNode::Reply { token, reply };
            let _ = pid1.send(relay::encode(&reply, &mut buffer).unwrap());
        }
        let _ = asks.send(request);
    }
}
