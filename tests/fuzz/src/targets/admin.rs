//! The admin API's JSON, and the datagrams between PID 1 and its children.

use kodo_admin::api;
use kodo_admin::relay::{
    self, FileRead, FileRefused, FromNode, ProbeRequest, ProbeResult, ToNode, ToProbe,
};
use kodo_node::io::{Reply, Request, Token};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Target;

/// Bodies of requests and answers.
pub const JSON: Target = Target {
    name: "admin-json",
    run: run_json,
    examples: documents,
    words: &[
        b"{",
        b"[",
        b"\"node\":",
        b"\"on\":true",
        b"\"kind\":\"kernel-panic\"",
        b"null",
        b"1e400",
        b"-0",
        b"18446744073709551616",
        b"\"\\ud800\"",
        b"\\u0000",
        "\u{202e}".as_bytes(),
    ],
    longest: 8192,
    inputs: 20_000,
};

/// Datagrams. A child may be compromised: PID 1 must survive whatever it writes.
pub const RELAY: Target = Target {
    name: "admin-relay",
    run: run_relay,
    examples: datagrams,
    words: &[&[0x80], &[0xff, 0xff, 0xff, 0xff, 0x0f], &[0], &[31]],
    longest: relay::DATAGRAM + 16,
    inputs: 20_000,
};

fn run_json(bytes: &[u8]) {
    json::<api::Standby>(bytes);
    json::<api::Move>(bytes);
    json::<api::Maintenance>(bytes);
    json::<api::Manage>(bytes);
    json::<api::Cleanup>(bytes);
    json::<api::Drill>(bytes);
    json::<api::Halt>(bytes);
    json::<api::Adopt>(bytes);
    json::<api::FileRead>(bytes);
    // What the `kodo` command reads from a node that may be of another version.
    json::<api::Status>(bytes);
    json::<api::Log>(bytes);
    json::<api::Done>(bytes);
    json::<api::Error>(bytes);
}

/// Whatever is read means the same when written and read again.
fn json<T: DeserializeOwned + Serialize + PartialEq + core::fmt::Debug>(bytes: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<T>(bytes) {
        let text = serde_json::to_vec(&value).expect("it came from JSON");
        let again: T = serde_json::from_slice(&text).expect("we read what we write");
        let text_again = serde_json::to_vec(&again).expect("it came from JSON");
        assert_eq!(text, text_again);
    }
}

fn run_relay(bytes: &[u8]) {
    datagram::<ToNode>(bytes);
    datagram::<FromNode>(bytes);
    datagram::<ToProbe>(bytes);
    datagram::<ProbeRequest>(bytes);
    datagram::<ProbeResult>(bytes);
}

fn datagram<T: for<'de> Deserialize<'de> + Serialize + PartialEq + core::fmt::Debug>(bytes: &[u8]) {
    if let Ok(message) = relay::decode::<T>(bytes) {
        let mut buffer = vec![0; relay::DATAGRAM];
        let written = relay::encode(&message, &mut buffer).expect("it came from a datagram");
        assert_eq!(relay::decode::<T>(written), Ok(message));
    }
}

fn documents() -> Vec<Vec<u8>> {
    let mut documents: Vec<Vec<u8>> = [
        r#"{"node":"node1","on":true}"#,
        r#"{"group":"www","node":"node2"}"#,
        r#"{"group":"www","node":"node2","once":true}"#,
        r#"{"on":true}"#,
        r#"{"group":"www","on":false}"#,
        r#"{"group":"www"}"#,
        r#"{"kind":"pid1-stuck"}"#,
        r#"{"kind":"power-off"}"#,
        r#"{"nodes":2,"of":2,"forgotten_by":""}"#,
        r#"{"error":"no","hint":"ask again"}"#,
        r#"{"hash":"0123456789abcdef"}"#,
        r#"{"hash":"0123456789abcdef","changes":["group www: prefer: a -> b"],"staged":true}"#,
        r#"{"lines":[{"seq":0,"at_us":5,"level":"warn","text":"late"}],"next":1}"#,
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    let status = api::Status::from(&super::node::status());
    documents.push(serde_json::to_vec(&status).expect("a status becomes JSON"));
    documents
}

fn datagrams() -> Vec<Vec<u8>> {
    let token = Token(7);
    let operator = heapless::String::try_from("operator").expect("short");
    let command = kodo_engine::surface::Command::TakeoverAnyway;
    let requests = [
        Request::Status,
        Request::Log { from: 3 },
        Request::Command { command, operator },
    ];
    let mut datagrams: Vec<Vec<u8>> = requests
        .into_iter()
        .map(|request| written(&ToNode::Ask { token, request }))
        .collect();
    let operator = heapless::String::try_from("operator").expect("short");
    datagrams.push(written(&ToNode::File {
        token,
        operator,
        stage: true,
    }));
    for verdict in [
        Err(FileRefused::Wrong("line 7".to_owned())),
        Ok(FileRead {
            hash: 1,
            changes: vec!["group www: prefer: a -> b".to_owned()],
            staged: true,
        }),
    ] {
        datagrams.push(written(&FromNode::File { token, verdict }));
    }
    let reply = Reply::Status(super::node::status());
    datagrams.push(written(&FromNode::Reply { token, reply }));
    datagrams.push(written(&ProbeResult {
        token,
        result: Ok(0),
    }));
    datagrams
}

fn written<T: Serialize>(message: &T) -> Vec<u8> {
    let mut buffer = vec![0; relay::DATAGRAM];
    relay::encode(message, &mut buffer)
        .expect("it fits")
        .to_vec()
}
