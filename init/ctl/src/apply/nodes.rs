//! The nodes that a file is for: where their APIs are, and who answers there.
//!
//! Owns the search. A node is who it says it is: addresses only tell where to ask.

use std::net::{IpAddr, SocketAddr};

use kodo_admin::api::{FileRead, Status};
use kodo_config::Cluster;
use kodo_config::cluster::Role;

use crate::client::{Authority, Client, Failure};

/// A node that answers.
pub(crate) struct Node {
    /// Its name in the file.
    pub(crate) name: String,
    client: Client,
    /// What it said when it was found.
    pub(crate) status: Status,
}

/// The nodes of a file, in its order.
pub(crate) struct Nodes {
    pub(crate) found: Vec<Node>,
    /// Names of the others.
    pub(crate) missing: Vec<String>,
    /// Why each address that did not answer did not.
    pub(crate) silent: Vec<String>,
}

/// Where to ask: what was named, or every static LAN address of the file's nodes, those of one
/// node together.
///
/// # Errors
/// When the file gives the nodes no API.
pub(crate) fn places(
    cluster: &Cluster,
    named: &[Authority],
) -> Result<Vec<Vec<Authority>>, String> {
    let Some(admin) = &cluster.admin else {
        return Err("the file has no [admin]: nodes that run cannot be talked to".to_owned());
    };
    if !named.is_empty() {
        return Ok(named.iter().map(|one| vec![one.clone()]).collect());
    }
    let at = |address: IpAddr| Authority::at(SocketAddr::new(address, admin.port));
    let of = |node| {
        Cluster::ports(node, Role::Lan)
            .flat_map(|(_, nic)| &nic.addresses)
            .map(|cidr| at(cidr.address))
            .collect()
    };
    Ok(cluster.nodes.iter().map(of).collect())
}

/// Asks everywhere.
///
/// # Errors
/// When somebody answers who does not know the token, or is not of this cluster.
pub(crate) fn find(
    cluster: &Cluster,
    places: Vec<Vec<Authority>>,
    token: &str,
) -> Result<Nodes, Failure> {
    let mut found: Vec<Node> = Vec::new();
    let mut silent = Vec::new();
    for addresses in places {
        let client = Client::new(addresses.clone(), token.to_owned());
        match client.status() {
            Ok(status) if status.cluster != cluster.name => {
                let what = format!("it is a node of cluster {}", status.cluster);
                return Err(Failure::Foreign(addresses[0].clone(), what));
            }
            Ok(status) if found.iter().all(|node| node.name != status.node) => found.push(Node {
                name: status.node.clone(),
                client,
                status,
            }),
            Ok(_) => {}
            Err(Failure::Unreachable(tried)) => {
                silent.extend(tried.iter().map(|(place, why)| format!("{place}: {why}")));
            }
            Err(failure) => return Err(failure),
        }
    }
    let place = |node: &Node| cluster.node_by_name(&node.name).unwrap_or(usize::MAX);
    found.sort_by_key(place);
    let missing = cluster.nodes.iter().map(|node| node.name.clone());
    let missing = missing.filter(|name| found.iter().all(|node| node.name != *name));
    Ok(Nodes {
        missing: missing.collect(),
        found,
        silent,
    })
}

impl Node {
    /// Hands it a sealed file: to be staged, or only to be compared.
    pub(crate) fn file(&self, sealed: &[u8], stage: bool) -> Result<FileRead, Failure> {
        let path = if stage { "/v1/file" } else { "/v1/file/diff" };
        self.client.post(path, sealed)
    }

    /// Asks it to have the staged file run everywhere.
    pub(crate) fn adopt(&self, hash: &str) -> Result<kodo_admin::api::Done, Failure> {
        let wish = kodo_admin::api::Adopt {
            hash: hash.to_owned(),
        };
        self.client.command("/v1/file/adopt", &wish)
    }

    /// What it says now.
    pub(crate) fn look(&self) -> Result<Status, Failure> {
        self.client.status()
    }
}
