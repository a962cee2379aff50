//! A node's admin API, asked through the client on the lab's LAN.
//!
//! Owns a small HTTP/1.1 client for JSON. Knows the paths of the API and nothing of what
//! the answers mean.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::error::{Error, Result};

/// A node answers within this or not at all.
const TIMEOUT: Duration = Duration::from_secs(3);
/// An answer larger than this is no status.
const LARGEST: usize = 1 << 20;

/// One node's API.
#[derive(Clone, Debug)]
pub struct Admin {
    node: Arc<str>,
    port: u16,
    token: Option<String>,
    timeout: Duration,
}

impl Admin {
    pub(crate) fn new(node: Arc<str>, port: u16, token: Option<String>) -> Self {
        Self {
            node,
            port,
            token,
            timeout: TIMEOUT,
        }
    }

    /// The same with another time after which the node has not answered.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Where the API is on this machine, for other programs.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The node's status.
    ///
    /// # Errors
    /// When the node does not answer, or not with JSON.
    pub fn status(&self) -> Result<Value> {
        self.request("GET", "/v1/status", None)
    }

    /// A page of the node's log, from this line on.
    ///
    /// # Errors
    /// When the node does not answer, or not with JSON.
    pub fn log(&self, from: u64) -> Result<Value> {
        self.request("GET", &format!("/v1/log?from={from}"), None)
    }

    /// Puts a node on standby, or back.
    ///
    /// # Errors
    /// When the node does not answer, or refuses.
    pub fn standby(&self, node: &str, on: bool) -> Result<Value> {
        self.post("/v1/standby", &json!({"node": node, "on": on}))
    }

    /// Moves a group to a node, which it prefers from then on.
    ///
    /// # Errors
    /// When the node does not answer, or refuses.
    pub fn move_group(&self, group: &str, node: &str) -> Result<Value> {
        self.post("/v1/move", &json!({"group": group, "node": node}))
    }

    /// Moves a group to a node, which it does not prefer from then on.
    ///
    /// # Errors
    /// When the node does not answer, or refuses.
    pub fn move_once(&self, group: &str, node: &str) -> Result<Value> {
        let wish = json!({"group": group, "node": node, "once": true});
        self.post("/v1/move", &wish)
    }

    /// Lets nothing be touched, or ends that.
    ///
    /// # Errors
    /// When the node does not answer, or refuses.
    pub fn maintenance(&self, on: bool) -> Result<Value> {
        self.post("/v1/maintenance", &json!({"on": on}))
    }

    /// Lets a group be acted on again, or only watched.
    ///
    /// # Errors
    /// When the node does not answer, or refuses.
    pub fn manage(&self, group: &str, on: bool) -> Result<Value> {
        self.post("/v1/manage", &json!({"group": group, "on": on}))
    }

    /// Takes over from a silent peer that the operator knows to be dead.
    ///
    /// # Errors
    /// When the node does not answer, or refuses.
    pub fn takeover_anyway(&self) -> Result<Value> {
        self.post("/v1/takeover-anyway", &json!({}))
    }

    /// Breaks the node on purpose: `service-kill`, `kernel-panic`, `pid1-stuck`, ….
    ///
    /// # Errors
    /// When the node does not answer, or refuses.
    pub fn drill(&self, kind: &str) -> Result<Value> {
        self.post("/v1/drill", &json!({"kind": kind}))
    }

    /// Lets the node leave in order, then `power-off` or `reboot`.
    ///
    /// # Errors
    /// When the node does not answer, or refuses.
    pub fn halt(&self, kind: &str) -> Result<Value> {
        self.post("/v1/halt", &json!({"kind": kind}))
    }

    /// Any other `POST`.
    ///
    /// # Errors
    /// When the node does not answer, or refuses.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.request("POST", path, Some(body))
    }

    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
            self.node
        );
        if let Some(token) = &self.token {
            request += &format!("Authorization: Bearer {token}\r\n");
        }
        if method == "POST" {
            request += &format!(
                "Content-Type: application/json\r\nContent-Length: {}\r\n",
                body.len()
            );
        }
        let bytes = self
            .exchange(&format!("{request}\r\n{body}"))
            .map_err(|error| {
                self.fail(format!(
                    "no answer from its admin API ({error}); is it up, and its LAN cable in?"
                ))
            })?;
        let (status, body) =
            read(&bytes).ok_or_else(|| self.fail("did not answer with HTTP".to_owned()))?;
        let json: Result<Value, _> = serde_json::from_slice(body);
        match (status, json) {
            (200..=299, Ok(json)) => Ok(json),
            (200..=299, Err(error)) => Err(self.fail(format!("did not answer with JSON: {error}"))),
            (status, json) => {
                let text = |key: &str| {
                    json.as_ref()
                        .ok()
                        .and_then(|json| json[key].as_str().map(str::to_owned))
                };
                let why = text("error").unwrap_or_else(|| format!("HTTP status {status}"));
                Err(self.fail(
                    [Some(why), text("hint")]
                        .into_iter()
                        .flatten()
                        .collect::<Vec<_>>()
                        .join("; "),
                ))
            }
        }
    }

    fn exchange(&self, request: &str) -> std::io::Result<Vec<u8>> {
        let deadline = Instant::now() + self.timeout;
        let mut stream = TcpStream::connect_timeout(&self.address(), self.timeout)?;
        stream.set_write_timeout(Some(self.timeout))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        let mut buffer = [0; 16 * 1024];
        while answer.len() < LARGEST {
            let left = deadline.saturating_duration_since(Instant::now());
            stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            match stream.read(&mut buffer)? {
                0 => break,
                count => answer.extend_from_slice(&buffer[..count]),
            }
            if whole(&answer) {
                break;
            }
        }
        Ok(answer)
    }

    fn fail(&self, what: String) -> Error {
        Error::Api {
            node: self.node.to_string(),
            what,
        }
    }
}

/// The status and what follows the head; `None` when that is no HTTP.
fn read(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(bytes).ok()? else {
        return None;
    };
    Some((response.code?, &bytes[head..]))
}

/// Whether as much as announced is there; an answer without a length ends with its connection.
fn whole(bytes: &[u8]) -> bool {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let Ok(httparse::Status::Complete(head)) = response.parse(bytes) else {
        return false;
    };
    let length = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|header| {
        std::str::from_utf8(header.value)
            .ok()?
            .trim()
            .parse::<usize>()
            .ok()
    });
    length.is_some_and(|length| bytes.len() >= head + length)
}

#[cfg(test)]
mod tests {
    use std::io::BufRead;
    use std::net::TcpListener;

    use super::*;

    /// Answers one request and gives it back.
    fn serve(answer: &'static str) -> (Admin, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let admin = Admin::new(
            "node1".into(),
            listener.local_addr().unwrap().port(),
            Some("t0ken".into()),
        );
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = std::io::BufReader::new(stream.try_clone().unwrap());
            let mut request = String::new();
            while !request.ends_with("\r\n\r\n") {
                reader.read_line(&mut request).unwrap();
            }
            stream.write_all(answer.as_bytes()).unwrap();
            request
        });
        (admin, server)
    }

    #[test]
    fn json_comes_back() {
        let (admin, server) =
            serve("HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{\"node\":\"node1\"}");
        assert_eq!(admin.status().unwrap()["node"], "node1");
        let request = server.join().unwrap();
        assert!(
            request.starts_with("GET /v1/status HTTP/1.1\r\n"),
            "{request}"
        );
        assert!(
            request.contains("Authorization: Bearer t0ken\r\n"),
            "{request}"
        );
    }

    #[test]
    fn a_refusal_keeps_its_words() {
        let (admin, server) = serve(
            "HTTP/1.1 409 No\r\n\r\n{\"error\": \"drills are forbidden\", \"hint\": \"set drills = true\"}",
        );
        let message = admin.drill("service-kill").unwrap_err().to_string();
        assert_eq!(message, "node1: drills are forbidden; set drills = true");
        let request = server.join().unwrap();
        assert!(request.contains("Content-Length: 23"), "{request}");
    }
}
