//! What goes back over HTTP: JSON, and errors that say what to do next.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kodo_engine::surface::Refusal;
use kodo_node::io::Refused;
use serde::Serialize;

use super::node::NoAnswer;
use crate::api;
use crate::relay::FileRefused;

/// A JSON body.
pub(super) struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(mut body) => {
                body.push(b'\n');
                let json = HeaderValue::from_static("application/json");
                ([(header::CONTENT_TYPE, json)], Body::from(body)).into_response()
            }
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

/// Not done, and why.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    body: api::Error,
}

impl Failure {
    pub(super) fn new(
        status: StatusCode,
        error: impl Into<String>,
        hint: impl Into<String>,
    ) -> Failure {
        Failure {
            status,
            body: api::Error {
                error: error.into(),
                hint: hint.into(),
            },
        }
    }

    /// A name that the cluster file does not have.
    pub(super) fn unknown(kind: &str, name: &str, known: &[String]) -> Failure {
        Failure::new(
            StatusCode::NOT_FOUND,
            format!("the cluster file has no {kind} {name:?}"),
            format!("it has {}", known.join(", ")),
        )
    }

    /// A file cannot run before every member has it.
    pub(super) fn not_staged(node: &str) -> Failure {
        Failure::new(
            StatusCode::CONFLICT,
            format!("{node} has not staged that cluster file"),
            "POST it to /v1/file of every node first: `kodo apply` does it",
        )
    }

    /// Something that cannot be: PID 1 answered another question.
    pub(super) fn mismatched() -> Failure {
        Failure::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the node gave an answer of another kind",
            "this is a bug: please report it with the node's log",
        )
    }
}

impl From<NoAnswer> for Failure {
    fn from(none: NoAnswer) -> Failure {
        match none {
            NoAnswer::Busy => Failure::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many requests are open at once",
                "nothing was done; try again in a second",
            ),
            NoAnswer::Silent => Failure::new(
                StatusCode::GATEWAY_TIMEOUT,
                "the node's decision loop did not answer within 2 s",
                "a command may have been done all the same: look at the status of the other node \
                 first; a loop that stays stuck is reset by the watchdog",
            ),
        }
    }
}

impl From<FileRefused> for Failure {
    fn from(refused: FileRefused) -> Failure {
        match refused {
            FileRefused::Busy => Failure::new(
                StatusCode::CONFLICT,
                "another cluster file is being read at this moment",
                "nothing was done; try again in a few seconds",
            ),
            FileRefused::Unread => Failure::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "the process that reads cluster files ended without an answer, or took too long",
                "nothing was done; look at the node's log, then try again",
            ),
            FileRefused::Wrong(why) => Failure::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                why,
                "the running file goes on; correct this one and apply it again",
            ),
        }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Failure {
        let refusal = match refused {
            Refused::Engine(refusal) => refusal,
            Refused::DrillsForbidden => {
                return Failure::new(
                    StatusCode::FORBIDDEN,
                    "drills are not allowed on this cluster",
                    "say drills = true under [cluster] in the cluster file and build the image anew",
                );
            }
        };
        let (status, error, hint) = match refusal {
            Refusal::Unknown => (
                StatusCode::NOT_FOUND,
                "no such node or group in the cluster file",
                "look at the names in the status",
            ),
            Refusal::NotMember => (
                StatusCode::CONFLICT,
                "that node is not a member of the view at present",
                "wait until the status shows it as standby or active, or choose another node",
            ),
            Refusal::NotEligible => (
                StatusCode::CONFLICT,
                "that node may not take it: it is on standby, the group failed there too often, or no instance \
                 runs there that it could promote",
                "bring the node online, clean up the group's fail count, or wait until the status shows the \
                 instance; then try again",
            ),
            Refusal::PeerAlive => (
                StatusCode::CONFLICT,
                "the peer is heard: it is alive",
                "use move or standby; takeover-anyway is for a peer that you know to be dead",
            ),
            Refusal::Untouched => (
                StatusCode::CONFLICT,
                "nothing is moved: maintenance is on, or this group is not managed",
                "end it with maintenance off, or manage the group again, then try again",
            ),
            Refusal::Blocked => (
                StatusCode::CONFLICT,
                "the group is blocked: a stop failed on a node, and it stays there",
                "see to what could not be stopped there, then clean up the group",
            ),
            Refusal::NotNow => (
                StatusCode::CONFLICT,
                "this node is leaving, or is refused because another machine carries its identity",
                "ask the other node",
            ),
            Refusal::NotStaged(_) => return Failure::not_staged("a member"),
            Refusal::Frozen => (
                StatusCode::CONFLICT,
                "the nodes run different cluster files: groups are not moved by hand",
                "apply the file that shall run with `kodo apply`: nodes that have another one take it over",
            ),
        };
        Failure::new(status, error, hint)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        let headers = response.headers_mut();
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
            }
            _ => {}
        }
        response
    }
}
