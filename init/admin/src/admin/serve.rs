//! Listening and the life of a connection.
//!
//! Owns sockets and their bounds. An address that is not there yet (its NIC is still
//! negotiating, IPv6 still looks for duplicates) is tried again until it is.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::Service as _;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use super::gate::{Connections, Source};
use super::limits;
use super::routes::{self, App, Peer};

/// Begins to serve every address, in the background.
pub(super) fn start(addresses: Vec<IpAddr>, port: u16, app: &Arc<App>) {
    let router = routes::router(Arc::clone(app));
    let connections = Arc::new(Mutex::new(Connections::default()));
    for address in addresses {
        let address = SocketAddr::new(address, port);
        tokio::spawn(listen(address, router.clone(), Arc::clone(&connections)));
    }
}

async fn listen(address: SocketAddr, router: Router, connections: Arc<Mutex<Connections>>) {
    let listener = bind(address).await;
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            // Out of descriptors, for example: others must close first.
            sleep(limits::BIND_RETRY).await;
            continue;
        };
        let source = Source::of(peer.ip());
        let Some(place) = Place::take(&connections, source) else {
            continue;
        };
        let router = router.clone();
        tokio::spawn(async move {
            converse(stream, peer.ip(), router).await;
            drop(place);
        });
    }
}

async fn bind(address: SocketAddr) -> TcpListener {
    let mut told = false;
    loop {
        match try_bind(address) {
            Ok(listener) => {
                eprintln!("admin: serving http://{address}/");
                return listener;
            }
            Err(error) if !told => {
                told = true;
                eprintln!("admin: cannot serve {address} yet: {error}; trying on");
            }
            Err(_) => {}
        }
        sleep(limits::BIND_RETRY).await;
    }
}

fn try_bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(16)
}

async fn converse(stream: TcpStream, peer: IpAddr, router: Router) {
    let inner = TowerToHyperService::new(router);
    let service = hyper::service::service_fn(move |mut request: hyper::Request<_>| {
        request.extensions_mut().insert(Peer(peer));
        inner.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEAD_TIMEOUT)
        .max_buf_size(limits::HEAD)
        .max_headers(limits::HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    // Whatever ended it, there is nobody to tell.
    let _ = timeout(limits::CONNECTION_LIFE, connection).await;
}

/// A place among the connections; given back however the connection ends.
struct Place {
    connections: Arc<Mutex<Connections>>,
    source: Source,
}

impl Place {
    fn take(connections: &Arc<Mutex<Connections>>, source: Source) -> Option<Place> {
        let entered = connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .enter(source);
        entered.then(|| Place {
            connections: Arc::clone(connections),
            source,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .leave(self.source);
    }
}
