//! QEMU's control protocol: JSON, a message a line.
//!
//! Owns the wording of requests and the reading of messages. Waits for nothing.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

/// What QEMU said.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Said {
    /// The first message.
    Hello,
    /// The answer to a request: its result, or the reason why not.
    Answer(u64, Result<Value, String>),
    /// Something happened.
    Event { name: String, data: Value },
    /// A message of a kind that QEMU may add.
    Other,
}

/// A request with the number that its answer will carry.
pub(super) fn request(id: u64, command: &str, arguments: &Value) -> String {
    let mut message = json!({"execute": command, "id": id});
    if !arguments.is_null() {
        message["arguments"] = arguments.clone();
    }
    format!("{message}\n")
}

/// Reads a message.
pub(super) fn read(message: &Value) -> Said {
    if message.get("QMP").is_some() {
        return Said::Hello;
    }
    if let Some(name) = message["event"].as_str() {
        return Said::Event {
            name: name.to_owned(),
            data: message["data"].clone(),
        };
    }
    let Some(id) = message["id"].as_u64() else {
        return Said::Other;
    };
    if let Some(error) = message.get("error") {
        let reason = error["desc"].as_str().unwrap_or("no reason given");
        return Said::Answer(id, Err(reason.to_owned()));
    }
    Said::Answer(id, Ok(message["return"].clone()))
}

/// Sends a request.
pub(super) fn send(mut to: &UnixStream, request: &str) -> std::io::Result<()> {
    to.write_all(request.as_bytes())
}

/// Gives every message to `take`, until the connection ends.
pub(super) fn listen(from: UnixStream, mut take: impl FnMut(Value)) {
    for line in BufReader::new(from).lines().map_while(Result::ok) {
        if let Ok(message) = serde_json::from_str(&line) {
            take(message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_apart() {
        let of = |text: &str| read(&serde_json::from_str(text).unwrap());
        assert_eq!(of(r#"{"QMP": {"version": {}}}"#), Said::Hello);
        assert_eq!(
            of(r#"{"return": {}, "id": 7}"#),
            Said::Answer(7, Ok(json!({})))
        );
        let refused = of(r#"{"error": {"class": "GenericError", "desc": "no such NIC"}, "id": 8}"#);
        assert_eq!(refused, Said::Answer(8, Err("no such NIC".to_owned())));
        let event = of(r#"{"timestamp": {}, "event": "RESET", "data": {"guest": true}}"#);
        assert_eq!(
            event,
            Said::Event {
                name: "RESET".to_owned(),
                data: json!({"guest": true})
            }
        );
        assert_eq!(of("{}"), Said::Other);
        assert_eq!(
            request(1, "cont", &Value::Null),
            "{\"execute\":\"cont\",\"id\":1}\n"
        );
    }
}
