//! The endpoints: each translates one HTTP request into one question for PID 1.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use kodo_engine::surface::{Command, Refusal};
use kodo_engine::{GroupId, NodeId, NodeSet};
use kodo_node::io::{Refused, Reply, Request as Ask};
use serde::Deserialize;
use tokio::time::timeout;

use super::gate::{Source, WrongTokens};
use super::node::Node;
use super::reply::{Failure, Json};
use super::{AdminConfig, Name, auth, limits, page};
use crate::api;

/// What every request may look at.
#[derive(Debug)]
pub(super) struct App {
    config: AdminConfig,
    node: Arc<Node>,
    wrong: Mutex<WrongTokens>,
}

/// Where a request came from; put there by the accepting side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub IpAddr);

impl App {
    pub(super) fn new(config: AdminConfig, node: Arc<Node>) -> App {
        App {
            config,
            node,
            wrong: Mutex::default(),
        }
    }

    async fn command(&self, operator: Name, command: Command) -> Answer<api::Done> {
        let forgotten_by = match command {
            Command::Standby(_, true)
            | Command::Move(..)
            | Command::Maintenance(true)
            | Command::Manage(_, false) => "a power loss of all nodes at once",
            Command::Adopt(_) => {
                "each node that boots: it runs the file of its image until this one is applied again"
            }
            // What ends a wish leaves nothing to forget.
            Command::Standby(_, false)
            | Command::Maintenance(false)
            | Command::Manage(_, true)
            | Command::TakeoverAnyway
            | Command::Cleanup(_)
            | Command::Leave => "",
        };
        self.order(Ask::Command { command, operator }, forgotten_by)
            .await
    }

    async fn order(&self, request: Ask, forgotten_by: &str) -> Answer<api::Done> {
        match self.node.ask(request).await? {
            Reply::Ok { nodes, disks } => Ok(self.done(nodes, disks, forgotten_by, "")),
            Reply::Open { nodes, disks, why } => Ok(self.done(nodes, disks, forgotten_by, &why)),
            Reply::Refused(Refused::Engine(Refusal::NotStaged(node))) => {
                let name = self.config.nodes.get(node.index());
                Err(Failure::not_staged(name.map_or("a member", String::as_str)))
            }
            Reply::Refused(refused) => Err(refused.into()),
            Reply::Status(_) | Reply::Log { .. } => Err(Failure::mismatched()),
        }
    }

    async fn file(&self, operator: Name, stage: bool, file: &[u8]) -> Answer<api::FileRead> {
        let read = self.node.file(operator, stage, file).await??;
        Ok(Json(api::FileRead {
            hash: api::file(read.hash),
            changes: read.changes,
            staged: read.staged,
        }))
    }

    fn done(
        &self,
        nodes: u8,
        disks: NodeSet,
        forgotten_by: &str,
        warning: &str,
    ) -> Json<api::Done> {
        Json(api::Done {
            nodes,
            of: u8::try_from(self.config.nodes.len()).unwrap_or(u8::MAX),
            forgotten_by: match disks.is_empty() {
                true => forgotten_by.to_owned(),
                false => String::new(),
            },
            kept_on: disks
                .iter()
                .filter_map(|node| self.config.nodes.get(node.index()).cloned())
                .collect(),
            warning: warning.to_owned(),
        })
    }

    fn node_id(&self, name: &str) -> Result<NodeId, Failure> {
        let at = position(&self.config.nodes, name);
        at.map(NodeId)
            .ok_or_else(|| Failure::unknown("node", name, &self.config.nodes))
    }

    fn group_id(&self, name: &str) -> Result<GroupId, Failure> {
        let at = position(&self.config.groups, name);
        at.map(GroupId)
            .ok_or_else(|| Failure::unknown("group", name, &self.config.groups))
    }
}

fn position(names: &[String], name: &str) -> Option<u8> {
    names
        .iter()
        .position(|known| known == name)
        .and_then(|at| u8::try_from(at).ok())
}

type Answer<T> = Result<Json<T>, Failure>;
type Shared = State<Arc<App>>;

/// All endpoints.
pub(super) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(page::html))
        .route("/page.js", get(page::script))
        .route("/page.css", get(page::style))
        .route("/v1/status", get(status))
        .route("/v1/log", get(log))
        .route("/v1/standby", post(standby))
        .route("/v1/move", post(move_group))
        .route("/v1/maintenance", post(maintenance))
        .route("/v1/manage", post(manage))
        .route("/v1/takeover-anyway", post(takeover_anyway))
        .route("/v1/cleanup", post(cleanup))
        .route("/v1/drill", post(drill))
        .route("/v1/halt", post(halt))
        .route(
            "/v1/file",
            post(stage).layer(DefaultBodyLimit::max(limits::FILE)),
        )
        .route(
            "/v1/file/diff",
            post(diff).layer(DefaultBodyLimit::max(limits::FILE)),
        )
        .route("/v1/file/adopt", post(adopt))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(limits::BODY))
        .layer(middleware::from_fn(frame))
        .with_state(app)
}

/// What holds for every answer: it comes in time, is not kept, and is not guessed at.
async fn frame(request: Request, next: Next) -> Response {
    let late = || {
        Failure::new(
            StatusCode::REQUEST_TIMEOUT,
            "the request did not arrive in time",
            "send it at once; nothing was done",
        )
    };
    let answer = timeout(limits::REQUEST_TIMEOUT, next.run(request)).await;
    let mut response = answer.unwrap_or_else(|_| late().into_response());
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ] as [(HeaderName, &'static str); 4]
    {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn status(State(app): Shared, _: Operator) -> Answer<api::Status> {
    match app.node.ask(Ask::Status).await? {
        Reply::Status(status) => Ok(Json(api::Status::from(&status))),
        Reply::Refused(refused) => Err(refused.into()),
        Reply::Ok { .. } | Reply::Open { .. } | Reply::Log { .. } => Err(Failure::mismatched()),
    }
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    from: u64,
}

async fn log(
    State(app): Shared,
    _: Operator,
    page: Result<Query<Page>, QueryRejection>,
) -> Answer<api::Log> {
    let Ok(Query(Page { from })) = page else {
        return Err(Failure::new(
            StatusCode::BAD_REQUEST,
            "from is not a number",
            "GET /v1/log?from=0, then from the next that it answers with",
        ));
    };
    match app.node.ask(Ask::Log { from }).await? {
        Reply::Log { lines, next } => {
            let lines = lines.iter().map(api::LogLine::from).collect();
            Ok(Json(api::Log { lines, next }))
        }
        Reply::Refused(refused) => Err(refused.into()),
        Reply::Ok { .. } | Reply::Open { .. } | Reply::Status(_) => Err(Failure::mismatched()),
    }
}

async fn standby(
    State(app): Shared,
    Operator(operator): Operator,
    Wish(wish): Wish<api::Standby>,
) -> Answer<api::Done> {
    let node = app.node_id(&wish.node)?;
    app.command(operator, Command::Standby(node, wish.on)).await
}

async fn move_group(
    State(app): Shared,
    Operator(operator): Operator,
    Wish(wish): Wish<api::Move>,
) -> Answer<api::Done> {
    let group = app.group_id(&wish.group)?;
    let node = app.node_id(&wish.node)?;
    app.command(operator, Command::Move(group, node, wish.once))
        .await
}

async fn maintenance(
    State(app): Shared,
    Operator(operator): Operator,
    Wish(wish): Wish<api::Maintenance>,
) -> Answer<api::Done> {
    app.command(operator, Command::Maintenance(wish.on)).await
}

async fn manage(
    State(app): Shared,
    Operator(operator): Operator,
    Wish(wish): Wish<api::Manage>,
) -> Answer<api::Done> {
    let group = app.group_id(&wish.group)?;
    app.command(operator, Command::Manage(group, wish.on)).await
}

async fn takeover_anyway(State(app): Shared, Operator(operator): Operator) -> Answer<api::Done> {
    app.command(operator, Command::TakeoverAnyway).await
}

async fn cleanup(
    State(app): Shared,
    Operator(operator): Operator,
    Wish(wish): Wish<api::Cleanup>,
) -> Answer<api::Done> {
    let group = app.group_id(&wish.group)?;
    app.command(operator, Command::Cleanup(group)).await
}

async fn drill(
    State(app): Shared,
    Operator(operator): Operator,
    Wish(wish): Wish<api::Drill>,
) -> Answer<api::Done> {
    app.order(
        Ask::Drill {
            drill: wish.kind.into(),
            operator,
        },
        "",
    )
    .await
}

async fn halt(
    State(app): Shared,
    Operator(operator): Operator,
    Wish(wish): Wish<api::Halt>,
) -> Answer<api::Done> {
    app.order(
        Ask::Halt {
            halt: wish.kind.into(),
            operator,
        },
        "",
    )
    .await
}

async fn stage(
    State(app): Shared,
    Operator(operator): Operator,
    Sealed(file): Sealed,
) -> Answer<api::FileRead> {
    app.file(operator, true, &file).await
}

async fn diff(
    State(app): Shared,
    Operator(operator): Operator,
    Sealed(file): Sealed,
) -> Answer<api::FileRead> {
    app.file(operator, false, &file).await
}

async fn adopt(
    State(app): Shared,
    Operator(operator): Operator,
    Wish(wish): Wish<api::Adopt>,
) -> Answer<api::Done> {
    let Ok(hash) = u64::from_str_radix(&wish.hash, 16) else {
        return Err(Failure::new(
            StatusCode::BAD_REQUEST,
            format!("{:?} is not the hash of a file", wish.hash),
            "POST /v1/file answers with it",
        ));
    };
    app.command(operator, Command::Adopt(hash)).await
}

async fn not_found() -> Failure {
    Failure::new(
        StatusCode::NOT_FOUND,
        "there is nothing here",
        "the API is under /v1: status, log, standby, move, maintenance, manage, takeover-anyway, \
         cleanup, drill, halt, file, file/diff, file/adopt",
    )
}

async fn wrong_method() -> Failure {
    Failure::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "that is not done with this method",
        "GET to look (status, log), POST to act (everything else)",
    )
}

/// Whoever presented a valid token. Looked at before the body is read.
struct Operator(Name);

impl FromRequestParts<Arc<App>> for Operator {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Operator, Failure> {
        let Peer(address) = parts
            .extensions
            .get()
            .copied()
            .ok_or_else(Failure::mismatched)?;
        let presented = parts.headers.get(header::AUTHORIZATION);
        let Some(presented) = presented.and_then(|header| auth::bearer(header.to_str().ok()?))
        else {
            return Err(Failure::new(
                StatusCode::UNAUTHORIZED,
                "no token was presented",
                "send Authorization: Bearer TOKEN; `kodo --token-file FILE` or KODO_TOKEN does it",
            ));
        };
        let source = Source::of(address);
        let now = Instant::now();
        let mut wrong = app.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if !wrong.allows(now, source) {
            return Err(Failure::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too many wrong tokens came from this address",
                "wait two seconds; the token was not even looked at",
            ));
        }
        if let Some(name) = auth::identify(&app.config.tokens, presented) {
            return Ok(Operator(name.clone()));
        }
        let count = wrong.count(now, source);
        eprintln!("admin: refused a wrong token from {address} ({count} lately)");
        Err(Failure::new(
            StatusCode::UNAUTHORIZED,
            "this token is not known here",
            "the node knows the tokens that were in the cluster file when its image was built",
        ))
    }
}

/// A JSON body of the wanted shape.
struct Wish<T>(T);

impl<T: for<'de> Deserialize<'de>> FromRequest<Arc<App>> for Wish<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Wish<T>, Failure> {
        let bytes = Bytes::from_request(request, app)
            .await
            .map_err(|rejection| unread(&rejection, limits::BODY))?;
        serde_json::from_slice(&bytes).map(Wish).map_err(|error| {
            let mut text = String::from("the body is not the JSON that this wants: ");
            let _ = write!(text, "{error}");
            let hint = "see the table of endpoints in the documentation of the admin API";
            Failure::new(StatusCode::BAD_REQUEST, text, hint)
        })
    }
}

/// A body of any bytes.
struct Sealed(Bytes);

impl FromRequest<Arc<App>> for Sealed {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Sealed, Failure> {
        let read = Bytes::from_request(request, app).await.map(Sealed);
        read.map_err(|rejection| unread(&rejection, limits::FILE))
    }
}

fn unread(rejection: &BytesRejection, limit: usize) -> Failure {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Failure::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is longer than {limit} bytes"),
            "no request needs that much",
        ),
        status => Failure::new(status, "the body could not be read", "send it again"),
    }
}
