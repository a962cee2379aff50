//! The conversation with a node's admin API.
//!
//! Owns addresses, the token and what counts as an answer. Questions go to the nodes in
//! turn until one answers; a command goes to the first that can be connected to and is
//! never repeated elsewhere, since it may have been done.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use kodo_admin::api;
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::http::Request;

/// The port of the admin API unless the cluster file says otherwise.
const PORT: u16 = 5580;
/// To connect: a machine that is off answers nothing, and the next one is waiting.
const CONNECT: Duration = Duration::from_secs(2);
/// For everything; the node itself gives up earlier.
const WHOLE: Duration = Duration::from_secs(8);
/// Bytes of an answer.
const ANSWER: u64 = 1 << 20;

/// The nodes, and who asks.
#[derive(Debug)]
pub(crate) struct Client {
    nodes: Vec<Authority>,
    token: String,
    agent: ureq::Agent,
}

/// Why there is no good answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nobody could be asked: each address and why.
    Unreachable(Vec<(Authority, String)>),
    /// A node said no.
    Refused(Authority, api::Error),
    /// A node does not know the token.
    Unauthorised(Authority, api::Error),
    /// A node answered something that this program does not understand.
    Foreign(Authority, String),
    /// A command was sent, and whether it was done is unknown.
    Uncertain(Authority, String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Unreachable(tried) => {
                f.write_str("no node answered\n")?;
                for (node, why) in tried {
                    writeln!(f, "  {node}: {why}")?;
                }
                f.write_str("  try: the addresses after --node or in KODO_NODE, power, the LAN")
            }
            Failure::Refused(node, error) => {
                write!(f, "{node} refused: {}\n  try: {}", error.error, error.hint)
            }
            Failure::Unauthorised(node, error) => write!(
                f,
                "{node}: {}\n  try: --token-file FILE or KODO_TOKEN; {}",
                error.error, error.hint
            ),
            Failure::Foreign(node, what) => write!(
                f,
                "{node} answered something else: {what}\n  try: is that the admin API of a kodo node?"
            ),
            Failure::Uncertain(node, why) => write!(
                f,
                "{node} was asked and did not confirm: {why}\n  try: kodo status, to see whether it was done"
            ),
        }
    }
}

impl Client {
    pub(crate) fn new(nodes: Vec<Authority>, token: String) -> Client {
        let agent = ureq::Agent::config_builder()
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(WHOLE))
            .http_status_as_error(false)
            // The management LAN is not reached through a proxy, and it shall not see tokens.
            .proxy(None)
            .max_redirects(0)
            .user_agent(concat!("kodo/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Client {
            nodes,
            token,
            agent,
        }
    }

    pub(crate) fn status(&self) -> Result<api::Status, Failure> {
        self.ask("/v1/status")
    }

    pub(crate) fn log(&self, from: u64) -> Result<api::Log, Failure> {
        self.ask(&format!("/v1/log?from={from}"))
    }

    /// Sends a command; its answer says who will hear of it.
    pub(crate) fn command(&self, path: &str, wish: &impl Serialize) -> Result<api::Done, Failure> {
        let body = serde_json::to_string(wish).unwrap_or_default();
        self.post(path, body.as_bytes())
    }

    /// Sends a body that is not repeated elsewhere either.
    pub(crate) fn post<T: DeserializeOwned>(&self, path: &str, body: &[u8]) -> Result<T, Failure> {
        let mut tried = Vec::new();
        for node in &self.nodes {
            if let Err(error) = node.0.to_socket_addrs() {
                tried.push((node.clone(), error.to_string()));
                continue;
            }
            match self.exchange("POST", node, path, body) {
                Ok(answer) => return answer.read(node),
                Err(error) if never_sent(&error) => tried.push((node.clone(), error.to_string())),
                Err(error) => return Err(Failure::Uncertain(node.clone(), error.to_string())),
            }
        }
        Err(Failure::Unreachable(tried))
    }

    fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let mut tried = Vec::new();
        for node in &self.nodes {
            match self.exchange("GET", node, path, b"") {
                // Its decision loop is stuck or busy: perhaps another node knows.
                Ok(Answer {
                    status: 503 | 504,
                    body,
                }) => {
                    let why = serde_json::from_slice::<api::Error>(&body)
                        .map_or_else(|_| "too busy to answer".to_owned(), |error| error.error);
                    tried.push((node.clone(), why));
                }
                Ok(answer) => return answer.read(node),
                Err(error) => tried.push((node.clone(), error.to_string())),
            }
        }
        Err(Failure::Unreachable(tried))
    }

    fn exchange(
        &self,
        method: &str,
        node: &Authority,
        path: &str,
        body: &[u8],
    ) -> Result<Answer, ureq::Error> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{node}{path}"))
            .header("Authorization", format!("Bearer {}", self.token));
        let mut response = match method {
            "GET" => self.agent.run(request.body(())?)?,
            _ => self.agent.run(request.body(body)?)?,
        };
        let status = response.status().as_u16();
        let body = response
            .body_mut()
            .with_config()
            .limit(ANSWER)
            .read_to_vec()?;
        Ok(Answer { status, body })
    }
}

/// Whether a command certainly did not reach the node.
fn never_sent(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => true,
        ureq::Error::Io(error) => matches!(
            error.kind(),
            std::io::ErrorKind::ConnectionRefused
                | std::io::ErrorKind::HostUnreachable
                | std::io::ErrorKind::NetworkUnreachable
        ),
        _ => false,
    }
}

struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl Answer {
    fn read<T: DeserializeOwned>(&self, node: &Authority) -> Result<T, Failure> {
        let foreign = |what| Failure::Foreign(node.clone(), what);
        if self.status == 200 {
            return serde_json::from_slice(&self.body).map_err(|error| foreign(error.to_string()));
        }
        match (
            serde_json::from_slice::<api::Error>(&self.body),
            self.status,
        ) {
            (Ok(error), 401 | 429) => Err(Failure::Unauthorised(node.clone(), error)),
            (Ok(error), 504) => Err(Failure::Uncertain(node.clone(), error.error)),
            (Ok(error), _) => Err(Failure::Refused(node.clone(), error)),
            (Err(_), status) => Err(foreign(format!("HTTP status {status}"))),
        }
    }
}

/// Where a node's API is: `host:port` as it stands in a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authority(String);

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Authority {
    /// An address of a cluster file.
    pub(crate) fn at(address: SocketAddr) -> Authority {
        Authority(address.to_string())
    }

    /// Reads what people write: an address or a host name, with or without a port.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Authority, String> {
        if let Ok(whole) = text.parse::<SocketAddr>() {
            return Ok(Authority(whole.to_string()));
        }
        let bare = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(text);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return Ok(Authority(SocketAddr::new(ip, PORT).to_string()));
        }
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => {
                let port = port
                    .parse::<u16>()
                    .map_err(|_| format!("{port:?} is not a port"))?;
                (host, port)
            }
            None => (text, PORT),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        if host.is_empty() || !host.chars().all(plain) {
            return Err(format!(
                "{text:?} is not the address of a node: write 192.168.0.18, [fd00::18]:5580 or a host name"
            ));
        }
        Ok(Authority(format!("{host}:{port}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses_as_people_write_them() {
        for (text, authority) in [
            ("192.168.0.18", "192.168.0.18:5580"),
            ("192.168.0.18:80", "192.168.0.18:80"),
            ("fd00::18", "[fd00::18]:5580"),
            ("[fd00::18]", "[fd00::18]:5580"),
            ("[fd00::18]:80", "[fd00::18]:80"),
            ("node1.example", "node1.example:5580"),
            ("localhost:8080", "localhost:8080"),
        ] {
            assert_eq!(
                Authority::parse(text),
                Ok(Authority(authority.to_owned())),
                "{text}"
            );
        }
        for bad in [
            "",
            ":80",
            "node1:",
            "node1:http",
            "http://node1",
            "a/b",
            "node 1",
            "[node1]",
        ] {
            assert!(Authority::parse(bad).is_err(), "{bad}");
        }
    }
}
