//! The node's configuration, until `kodo-config` makes it: ports and lines, no groups.

use kodo_config::cluster::Cluster;
use kodo_engine::NodeId;
use kodo_engine::config as engine;

/// The configuration of the node at `position`.
pub(crate) fn node(cluster: &Cluster, position: usize) -> kodo_node::Config {
    let name = |text: &str| heapless::String::try_from(text).unwrap_or_default();
    let me = &cluster.nodes[position];
    let port = |_: &kodo_config::cluster::Nic| kodo_netstack::config::PortConfig::default();
    kodo_node::Config {
        cluster: name(&cluster.name),
        engine: kodo_engine::Config {
            cluster_id: cluster.cluster_id(),
            file_hash: cluster.file_hash(),
            keys: cluster.keys.iter().cloned().collect(),
            me: NodeId::from_index(position),
            nodes: cluster.nodes.iter().map(|node| name(&node.name)).collect(),
            timing: engine::Timing {
                keepalive: cluster.timing.keepalive,
                warntime: cluster.timing.warntime,
                deadtime: cluster.timing.deadtime,
                initdead: cluster.timing.initdead,
                linkwait: cluster.timing.linkwait,
                lease: cluster.timing.lease,
                release: cluster.timing.release,
            },
            split_brain: engine::SplitBrain::Accept,
            pings: false,
            paths: heapless::Vec::new(),
            resources: heapless::Vec::new(),
            groups: heapless::Vec::new(),
        },
        supervisor: kodo_supervisor::Config::default(),
        netstack: kodo_netstack::Config {
            ports: me.nics.iter().map(port).collect(),
            lines: u8::try_from(me.serial.len()).unwrap_or(0),
            ..Default::default()
        },
        paths: heapless::Vec::new(),
        resources: heapless::Vec::new(),
        public: kodo_node::io::Port(0),
        act_timeout: std::time::Duration::from_secs(2),
        drills: cluster.drills,
    }
}
