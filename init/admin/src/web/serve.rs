//! Requests and connections of the web service.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::files::{Content, Directory, Found, content_type};
use super::path::{Plain, plain};
use super::role::Present;
use super::{Error, WebConfig, limits, page};

const NODE_HEADER: HeaderName = HeaderName::from_static("x-kodo-node");
const ROLE_HEADER: HeaderName = HeaderName::from_static("x-kodo-role");
/// For the node's probe: how fit an instance is to be promoted.
const PROMOTION_HEADER: HeaderName = HeaderName::from_static("kodo-promotion");
/// All serve the same image, so none is better than another.
const PROMOTION: HeaderValue = HeaderValue::from_static("5");
const NODE_PAGE: &str = "/kodo";
const INDEX: &str = "index.html";

/// What is served.
#[derive(Debug)]
pub(super) struct Site {
    directory: Option<Directory>,
    node: String,
    cluster: String,
    node_header: HeaderValue,
    role: Option<Present>,
    since: Instant,
}

impl Site {
    pub(super) fn open(config: WebConfig, role: Option<Present>) -> Result<Site, Error> {
        let WebConfig {
            port: _,
            directory,
            node,
            cluster,
            roles: _,
        } = config;
        let directory = match directory {
            Some(path) => {
                Some(Directory::open(&path).map_err(|error| Error::Directory(path, error))?)
            }
            None => None,
        };
        let node_header = HeaderValue::from_str(&node)
            .unwrap_or_else(|_| HeaderValue::from_static("unprintable"));
        Ok(Site {
            directory,
            node,
            cluster,
            node_header,
            role,
            since: Instant::now(),
        })
    }

    pub(super) fn answer<B>(&self, request: &Request<B>) -> Response<Content> {
        let mut response = match *request.method() {
            Method::GET | Method::HEAD => self.look_up(request.uri().path(), request.uri().query()),
            _ => {
                let mut response =
                    plain_text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
                let allow = HeaderValue::from_static("GET, HEAD");
                response.headers_mut().insert(header::ALLOW, allow);
                response
            }
        };
        let headers = response.headers_mut();
        headers.insert(NODE_HEADER, self.node_header.clone());
        if let Some(role) = &self.role {
            let word = HeaderValue::from_static(role.get().word());
            headers.insert(ROLE_HEADER, word);
            headers.insert(PROMOTION_HEADER, PROMOTION);
        }
        let nosniff = HeaderValue::from_static("nosniff");
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
        response
    }

    fn look_up(&self, path: &str, query: Option<&str>) -> Response<Content> {
        if path == NODE_PAGE {
            return self.node_page();
        }
        let Some(wanted) = plain(path) else {
            return not_found();
        };
        let Some(directory) = &self.directory else {
            return if wanted.name.is_empty() {
                self.node_page()
            } else {
                not_found()
            };
        };
        match (directory.find(&wanted.name), wanted.directory) {
            (Some(Found::File(file, size)), false) => send(file, size, &wanted.name),
            (Some(Found::Directory), true) => self.index(directory, &wanted),
            (Some(Found::Directory), false) => redirect(path, query),
            (Some(Found::File(..)), true) | (None, _) => not_found(),
        }
    }

    fn index(&self, directory: &Directory, wanted: &Plain) -> Response<Content> {
        let name = match wanted.name.as_str() {
            "" => INDEX.to_owned(),
            name => format!("{name}/{INDEX}"),
        };
        match directory.find(&name) {
            Some(Found::File(file, size)) => send(file, size, &name),
            _ if wanted.name.is_empty() => self.node_page(),
            _ => not_found(),
        }
    }

    fn node_page(&self) -> Response<Content> {
        let role = self.role.as_ref().map(Present::get);
        let html = page::render(&self.node, &self.cluster, role, self.since.elapsed());
        let mut response = Response::new(Content::Whole(html.into()));
        let headers = response.headers_mut();
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, html);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

fn send(file: std::fs::File, size: u64, name: &str) -> Response<Content> {
    let mut response = Response::new(Content::File(file, size));
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static(content_type(name));
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// To the same path with a slash, so that relative links of its index work. The path
/// has no empty component, so this cannot lead to another host.
fn redirect(path: &str, query: Option<&str>) -> Response<Content> {
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let Ok(location) = HeaderValue::from_str(&format!("{path}/{query}")) else {
        return not_found();
    };
    let mut response = plain_text(StatusCode::MOVED_PERMANENTLY, "");
    response.headers_mut().insert(header::LOCATION, location);
    response
}

fn not_found() -> Response<Content> {
    plain_text(StatusCode::NOT_FOUND, "there is no such page here\n")
}

fn plain_text(status: StatusCode, text: &'static str) -> Response<Content> {
    let mut response = Response::new(Content::Whole(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Every address of the machine, IPv4 and IPv6; IPv4 alone where the kernel has no IPv6.
pub(super) fn bind(port: u16) -> io::Result<TcpListener> {
    let Ok(socket) = TcpSocket::new_v6() else {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))?;
        return socket.listen(limits::BACKLOG);
    };
    sockopt::set_ipv6_v6only(&socket, false)?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))?;
    socket.listen(limits::BACKLOG)
}

/// Serves until `stop`, then finishes what is in flight.
pub(super) async fn serve(listener: TcpListener, site: Site, stop: impl Future<Output = ()>) {
    let site = Arc::new(site);
    let places = Arc::new(Semaphore::new(limits::CONNECTIONS));
    let (stopping, stopped) = watch::channel(false);
    let mut conversations = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        tokio::select! {
            () = &mut stop => break,
            Some(_) = conversations.join_next() => {}
            (accepted, place) = accepted => match accepted {
                Ok((stream, _)) => {
                    let conversation = converse(stream, Arc::clone(&site), stopped.clone());
                    conversations.spawn(async move {
                        conversation.await;
                        drop(place);
                    });
                }
                Err(_) => sleep(limits::ACCEPT_RETRY).await,
            },
        }
    }
    drop(listener);
    stopping.send_replace(true);
    let finished = async { while conversations.join_next().await.is_some() {} };
    // What is not finished by then is cut off when the process ends.
    let _ = timeout(limits::GRACE, finished).await;
}

async fn converse(stream: TcpStream, site: Arc<Site>, mut stopped: watch::Receiver<bool>) {
    let stall = u32::try_from(limits::WRITE_STALL.as_millis()).unwrap_or(u32::MAX);
    // Best effort: without it, a vanished client holds its place for longer.
    let _ = sockopt::set_tcp_user_timeout(&stream, stall);
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let response = site.answer(&request);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEAD_TIMEOUT)
        .max_buf_size(limits::HEAD)
        .max_headers(limits::HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    // Whatever ends it, there is nobody to tell.
    tokio::select! {
        _ = &mut connection => return,
        _ = stopped.wait_for(|stopped| *stopped) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
