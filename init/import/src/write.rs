//! The cluster file, written from a draft and what the operator adds.
//!
//! What it writes, the checker accepts: a table that it refuses is left out and named, with
//! the checker's own words. Placeholders say that they are some.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use kodo_config::{Cluster, Severity};
use kodo_engine::limits;
use kodo_node::limits as node;

use super::draft::{Failback, Group, Member, Note, Table};
use super::{Draft, Place};

/// `kodo import, not a key. Replace.`, as hex: nobody takes it for one.
const NO_KEY: &str = "6b6f646f20696d706f72742c206e6f742061206b65792e205265706c6163652e20";

/// Columns of a comment.
const WIDTH: usize = 96;

/// Addresses that a cluster file takes in `ping`.
const PINGS: usize = kodo_netstack::limits::TARGETS;

/// A network card's address is of this form where only the machine knows the real one.
const NO_MAC: &str = "02:00:00:00";

/// `--machine NAME=ADDRESS/PREFIX[,MAC[,MAC]]`: what only the operator knows of a node.
#[derive(Clone, Debug)]
pub struct NodeOption {
    name: String,
    address: IpAddr,
    prefix: u8,
    macs: Vec<String>,
}

impl FromStr for NodeOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "write NAME=ADDRESS/PREFIX,MAC, such as node1=192.168.0.18/24,52:54:00:00:01:01";
        let (name, rest) = text.split_once('=').ok_or(form)?;
        let mut parts = rest.split(',');
        let (address, prefix) =
            super::haresources::address(parts.next().unwrap_or("")).ok_or(form)?;
        let macs: Vec<String> = parts.map(str::to_owned).collect();
        let sound = |mac: &String| {
            mac.split(':').count() == 6
                && mac
                    .split(':')
                    .all(|b| b.len() == 2 && u8::from_str_radix(b, 16).is_ok())
        };
        if macs.len() > 2 || !macs.iter().all(sound) {
            return Err(form.to_owned());
        }
        Ok(Self {
            name: super::draft::tidy(name),
            address,
            prefix: prefix.ok_or(form)?,
            macs,
        })
    }
}

/// What the operator adds to what the files say.
#[derive(Debug, Default)]
pub struct Known {
    /// Each node's own address and cards.
    pub nodes: Vec<NodeOption>,
    /// The gateway of the LAN.
    pub gateway: Option<IpAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Net {
    base: u128,
    prefix: u8,
    v4: bool,
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => u128::from(u32::from(a)),
        IpAddr::V6(a) => u128::from(a),
    }
}

impl Net {
    fn of(address: IpAddr, prefix: u8) -> Self {
        let v4 = address.is_ipv4();
        let width: u8 = if v4 { 32 } else { 128 };
        let host = u32::from(width.saturating_sub(prefix));
        let base = bits(address)
            .checked_shr(host)
            .and_then(|n| n.checked_shl(host))
            .unwrap_or(0);
        Self { base, prefix, v4 }
    }

    fn holds(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.v4 && Net::of(address, self.prefix) == *self
    }

    /// A host's address in it that is not taken.
    fn free(&self, taken: &[IpAddr]) -> Option<IpAddr> {
        (1..=254_u128)
            .map(|n| self.base + n)
            .filter_map(|n| {
                Some(if self.v4 {
                    IpAddr::V4(Ipv4Addr::from(u32::try_from(n).ok()?))
                } else {
                    IpAddr::V6(Ipv6Addr::from(n))
                })
            })
            .find(|a| self.holds(*a) && !taken.contains(a) && self.last() != bits(*a))
    }

    fn last(&self) -> u128 {
        let width: u8 = if self.v4 { 32 } else { 128 };
        let host = u32::from(width.saturating_sub(self.prefix));
        self.base
            + 1_u128
                .checked_shl(host)
                .map_or(u128::MAX - self.base, |n| n - 1)
    }
}

/// The cluster file, and the draft's notes with those that came with the writing.
///
/// # Errors
/// What is missing, when the files name nothing that could run.
pub fn write(mut draft: Draft, known: &Known) -> Result<(String, Draft), String> {
    for node in &known.nodes {
        draft.node(&node.name, &Place::new("--machine", 1));
    }
    if draft.nodes.len() > limits::NODES {
        return Err(format!(
            "{} nodes; a cluster has at most {}",
            draft.nodes.len(),
            limits::NODES
        ));
    }
    drop_empty(&mut draft);
    if draft.nodes.is_empty() && draft.groups.is_empty() {
        return Err(
            "the files name no node and nothing to run; name ha.cf with haresources, or cib.xml"
                .to_owned(),
        );
    }
    let mut spare = 0;
    while draft.nodes.len() < 2 {
        spare += 1;
        let name = format!("node{spare}");
        if !draft.nodes.contains(&name) {
            draft.nodes.push(name);
        }
    }
    let nets = networks(&mut draft, known);
    limit(&mut draft);
    addresses_last(&mut draft);
    pingable(&mut draft, nets[0]);
    let tables = std::mem::take(&mut draft.tables);
    let mut accepted: Vec<Table> = Vec::new();
    // A serial line may be too slow for the timing that follows without the old one.
    let (timing, tables): (Vec<_>, Vec<_>) = tables
        .into_iter()
        .partition(|table| table.header == "[timing]");
    let verdict = judge(&render(&draft, known, &nets, &timing));
    if let Err(why) = verdict {
        for table in &timing {
            draft.note(
                &table.place,
                &table.was,
                &format!(
                    "`kodo check` refuses these times together: {why}; see `kodo explain timing`"
                ),
            );
        }
        if judge(&render(&draft, known, &nets, &accepted)).is_err() && !draft.serial.is_empty() {
            for (line, place) in std::mem::take(&mut draft.serial) {
                draft.note(
                    &place,
                    &format!("serial {line}"),
                    "too slow for the default timing: write a `[timing]` and a `[[node.serial]]`",
                );
            }
        }
    } else {
        accepted = timing;
    }
    if let Err(why) = judge(&render(&draft, known, &nets, &accepted)) {
        return Err(format!("no sound cluster file comes of it: {why}"));
    }
    for table in tables {
        accepted.push(table.clone());
        if let Err(why) = judge(&render(&draft, known, &nets, &accepted)) {
            accepted.pop();
            draft.note(
                &table.place,
                &table.was,
                &format!("`kodo check` refuses it: {why}"),
            );
        }
    }
    let mut text = render(&draft, known, &nets, &accepted);
    text.push_str(&left_out(&draft));
    Ok((text, draft))
}

/// What the checker has against a text.
fn judge(text: &str) -> Result<(), String> {
    let no_files = |_, name: &str| Err(format!("{name} is not read"));
    match Cluster::parse("cluster.toml", text, &no_files) {
        Ok(_) => Ok(()),
        Err(items) => Err(items
            .into_iter()
            .find(|item| item.severity == Severity::Error)
            .map_or_else(String::new, |item| item.message)),
    }
}

/// Leaves out addresses that were there before and groups without anything, and says so.
fn drop_empty(draft: &mut Draft) {
    let mut known = BTreeSet::new();
    for mut group in std::mem::take(&mut draft.groups) {
        group.members.retain(|member| match member {
            Member::Vip { address, place, .. } if !known.insert(*address) => {
                draft.note(place, &address.to_string(), "this address was there before");
                false
            }
            Member::Vip { .. } | Member::Service { .. } => true,
        });
        if group.members.is_empty() {
            draft.note(
                &group.place,
                &format!("the group {}", group.name),
                "nothing in it was carried over",
            );
        } else {
            draft.groups.push(group);
        }
    }
}

/// Leaves out what is beyond the limits of a cluster, and what then names something that is
/// not there, and says so.
fn limit(draft: &mut Draft) {
    let (mut vips, mut services) = (0, 0);
    let mut kept = Vec::new();
    for mut group in std::mem::take(&mut draft.groups) {
        if kept.len() == limits::GROUPS {
            draft.note(
                &group.place,
                &format!("the group {}", group.name),
                &format!("a cluster has at most {} groups", limits::GROUPS),
            );
            continue;
        }
        let mut members = 0;
        group.members.retain(|member| {
            let (count, most, name, place) = match member {
                Member::Vip { name, place, .. } => (&mut vips, node::VIPS, name, place),
                Member::Service { name, place, .. } => (&mut services, node::SERVICES, name, place),
            };
            let room = *count < most && members < limits::MEMBERS;
            if room {
                *count += 1;
                members += 1;
            } else {
                let why = format!(
                    "a cluster has at most {} VIPs and {} services, a group {} members",
                    node::VIPS,
                    node::SERVICES,
                    limits::MEMBERS
                );
                draft.note(place, name, &why);
            }
            room
        });
        kept.push(group);
    }
    draft.groups = kept;
    drop_empty(draft);
    let names: BTreeSet<String> = draft
        .groups
        .iter()
        .map(|group| group.name.clone())
        .collect();
    for table in std::mem::take(&mut draft.tables) {
        if table.groups.iter().all(|group| names.contains(group)) {
            draft.tables.push(table);
        } else {
            draft.note(
                &table.place,
                &table.was,
                "it names a group that was not carried over",
            );
        }
    }
}

/// Puts a group's addresses behind its services: an address that is there first refuses
/// clients until the service behind it runs.
fn addresses_last(draft: &mut Draft) {
    let mut turned = Vec::new();
    for group in &mut draft.groups {
        let is_vip = |member: &Member| matches!(member, Member::Vip { .. });
        let sorted = group.members.is_sorted_by_key(is_vip);
        if !sorted {
            group.members.sort_by_key(is_vip);
            turned.push((group.place.clone(), group.name.clone()));
        }
        group
            .scored
            .sort_by_key(|(score, _)| std::cmp::Reverse(*score));
        for (_, node) in std::mem::take(&mut group.scored) {
            if !group.prefer.contains(&node) {
                group.prefer.push(node);
            }
        }
    }
    for (place, name) in turned {
        draft.note(
            &place,
            &format!("the order in {name}"),
            "carried over with its addresses last: so clients are not refused while a service starts",
        );
    }
}

/// Leaves out what cannot be pinged from the LAN port, and says so.
fn pingable(draft: &mut Draft, first: Net) {
    let mut kept = Vec::new();
    for (address, place) in std::mem::take(&mut draft.ping) {
        let what = format!("ping {address}");
        if address.is_ipv4() != first.v4 {
            let why = "the LAN ports have addresses of the other family only";
            draft.note(&place, &what, why);
        } else if kept.len() == PINGS {
            let why = format!("at most {PINGS} addresses are pinged");
            draft.note(&place, &what, &why);
        } else {
            kept.push((address, place));
        }
    }
    draft.ping = kept;
}

/// The networks that the lan ports are in, the first one the operator's; VIPs get its prefix.
fn networks(draft: &mut Draft, known: &Known) -> Vec<Net> {
    let mut nets: Vec<Net> = Vec::new();
    for node in &known.nodes {
        let net = Net::of(node.address, node.prefix);
        if !nets.contains(&net) {
            nets.push(net);
        }
    }
    let fixed = !nets.is_empty();
    let mut vips: Vec<(IpAddr, u8)> = draft
        .groups
        .iter()
        .flat_map(|g| &g.members)
        .filter_map(|m| match m {
            Member::Vip {
                address, prefix, ..
            } => {
                let usual = if address.is_ipv4() { 24 } else { 64 };
                // A host prefix says nothing of the network.
                Some((
                    *address,
                    prefix.filter(|p| *p <= usual + 6).unwrap_or(usual),
                ))
            }
            Member::Service { .. } => None,
        })
        .collect();
    // The widest first, so that narrower ones are found inside it.
    vips.sort_by_key(|(_, prefix)| *prefix);
    for (address, prefix) in vips.iter().copied() {
        if !fixed && !nets.iter().any(|net| net.holds(address)) {
            nets.push(Net::of(address, prefix));
        }
    }
    // All VIPs are on one LAN: the one of most of them.
    let holding = |net: &Net| {
        vips.iter()
            .filter(|(address, _)| net.holds(*address))
            .count()
    };
    nets.sort_by_key(|net| std::cmp::Reverse(holding(net)));
    nets.truncate(1);
    if nets.is_empty() {
        nets.push(Net::of(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 0)), 24));
    }
    let mut groups = std::mem::take(&mut draft.groups);
    for group in &mut groups {
        group.members.retain_mut(|member| {
            let Member::Vip {
                address,
                prefix,
                place,
                ..
            } = member
            else {
                return true;
            };
            if let Some(net) = nets.iter().find(|net| net.holds(*address)) {
                *prefix = Some(net.prefix);
                true
            } else {
                draft.note(
                    place,
                    &address.to_string(),
                    "all VIPs are on one LAN, that of the nodes' lan ports; this one is on another",
                );
                false
            }
        });
    }
    draft.groups = groups;
    drop_empty(draft);
    nets
}

fn taken(draft: &Draft, known: &Known) -> Vec<IpAddr> {
    let vips = draft
        .groups
        .iter()
        .flat_map(|g| &g.members)
        .filter_map(|m| match m {
            Member::Vip { address, .. } => Some(*address),
            Member::Service { .. } => None,
        });
    vips.chain(known.nodes.iter().map(|n| n.address))
        .chain(draft.ping.iter().map(|(address, _)| *address))
        .chain(known.gateway)
        .collect()
}

fn render(draft: &Draft, known: &Known, nets: &[Net], tables: &[Table]) -> String {
    let mut out = String::new();
    let mut taken = taken(draft, known);
    let first = nets[0];
    let gateway = known
        .gateway
        .filter(|g| first.holds(*g))
        .or_else(|| draft.ping.iter().map(|(a, _)| *a).find(|a| first.holds(*a)))
        .or_else(|| first.free(&taken));
    taken.extend(gateway);
    let cluster = draft
        .cluster
        .clone()
        .unwrap_or_else(|| "imported".to_owned());
    let _ = write!(
        out,
        "# Written by `kodo import`. Lines marked REPLACE hold what the old files do not say.\n\
         # At the end: everything that was not carried over, where it stood and why.\n\
         # Then: kodo check FILE\n\nschema = 1\n\n[cluster]\nname = \"{cluster}\"\n\
         # REPLACE: this is no key. `kodo keygen cluster.key`, then key_file = \"cluster.key\"\n\
         key = \"{}\"\n",
        &NO_KEY[..64]
    );
    let mut ping: Vec<IpAddr> = draft.ping.iter().map(|(address, _)| *address).collect();
    let mut mark = "";
    if draft.nodes.len() == 2 {
        if ping.is_empty() {
            ping.extend(gateway);
            mark = "   # REPLACE: what every client depends on, such as the gateway";
        }
        out.push_str("split_brain = \"ping\"\n");
    } else {
        out.push_str("split_brain = \"quorum\"\n");
    }
    if !ping.is_empty() {
        let ping: Vec<String> = ping.iter().map(|p| format!("\"{p}\"")).collect();
        let _ = writeln!(out, "ping = [{}]{mark}", ping.join(", "));
    }
    if draft.watchdog {
        // It is fed by what PID 1 does in every keepalive, and must outlast a few of them.
        let kept = tables.iter().any(|table| table.header == "[timing]");
        let beat = if kept { draft.keepalive } else { 0 };
        let timeout = beat.saturating_mul(4).max(5);
        let _ = writeln!(out, "\n[watchdog]\ntimeout = \"{timeout}s\"");
    }
    for table in tables.iter().filter(|t| t.header == "[timing]") {
        show(&mut out, table);
    }
    for (index, name) in draft.nodes.iter().enumerate() {
        machine(
            &mut out,
            draft,
            known,
            nets,
            (index, name),
            gateway,
            &mut taken,
        );
    }
    let mut port = 0;
    for group in &draft.groups {
        members(&mut out, group, &mut port);
    }
    for group in &draft.groups {
        words(&mut out, draft, group);
    }
    for table in tables.iter().filter(|t| t.header != "[timing]") {
        show(&mut out, table);
    }
    out
}

fn show(out: &mut String, table: &Table) {
    let _ = writeln!(out, "\n{}   # {}", table.header, table.place);
    for (key, value) in &table.keys {
        let _ = writeln!(out, "{key} = {value}");
    }
}

fn machine(
    out: &mut String,
    draft: &Draft,
    known: &Known,
    nets: &[Net],
    (index, name): (usize, &String),
    gateway: Option<IpAddr>,
    taken: &mut Vec<IpAddr>,
) {
    let told = known.nodes.iter().find(|n| n.name == *name);
    let _ = writeln!(out, "\n[[node]]\nname = \"{name}\"");
    for (port, net) in nets.iter().enumerate() {
        let (address, mark) = match told.filter(|n| net.holds(n.address)) {
            Some(node) => (Some(node.address), ""),
            None => (net.free(taken), "   # REPLACE: the node's own address"),
        };
        let Some(address) = address else { continue };
        taken.push(address);
        out.push_str("\n[[node.nic]]\nrole = \"lan\"\n");
        mac(
            out,
            told.filter(|_| port == 0).and_then(|n| n.macs.first()),
            index,
            port,
        );
        let _ = writeln!(out, "address = [\"{address}/{}\"]{mark}", net.prefix);
        if let Some(gateway) = gateway.filter(|g| net.holds(*g)) {
            let mark = if known.gateway == Some(gateway) {
                ""
            } else {
                "   # REPLACE: the network's gateway"
            };
            let _ = writeln!(out, "gateway = [\"{gateway}\"]{mark}");
        }
    }
    let mut media = draft.media.clone();
    media.sort();
    media.dedup();
    let second = told.and_then(|n| n.macs.get(1));
    if second.is_some() || (told.is_none() && media.len() > 1) {
        out.push_str("\n[[node.nic]]\nrole = \"crossover\"   # a cable between the nodes; it needs no address\n");
        mac(out, second, index, nets.len());
    }
    if draft.nodes.len() == 2 && !draft.serial.is_empty() {
        // ttyS0 is the console here.
        let serial: Vec<&str> = draft.serial.iter().map(|(line, _)| line.as_str()).collect();
        let _ = writeln!(
            out,
            "\n[[node.serial]]\ndevice = \"ttyS1\"   # was {}",
            serial.join(", ")
        );
        if let Some(baud) = draft.baud {
            let _ = writeln!(out, "baud = {baud}");
        }
    }
}

fn mac(out: &mut String, told: Option<&String>, node: usize, port: usize) {
    match told {
        Some(mac) => {
            let _ = writeln!(out, "mac = \"{mac}\"");
        }
        None => {
            let _ = writeln!(
                out,
                "mac = \"{NO_MAC}:{:02x}:{:02x}\"   # REPLACE: from the card's label",
                node + 1,
                port + 1
            );
        }
    }
}

fn members(out: &mut String, group: &Group, ports: &mut u16) {
    for member in &group.members {
        match member {
            Member::Vip {
                name,
                address,
                prefix,
                place,
            } => {
                let prefix = prefix.unwrap_or(24);
                let _ = writeln!(
                    out,
                    "\n[[vip]]   # {place}\nname = \"{name}\"\naddress = \"{address}/{prefix}\""
                );
            }
            Member::Service {
                name,
                was,
                port,
                start_timeout,
                stop_timeout,
                place,
            } => {
                let was: String = was.chars().filter(|c| !c.is_control()).take(60).collect();
                let given = if *ports == 0 { 80 } else { 8079 + *ports };
                *ports += 1;
                let _ = writeln!(
                    out,
                    "\n[[service]]   # {place}: {was}\n# The built-in web server stands in for it, with the files in `files`.\n\
                     name = \"{name}\"\nkind = \"builtin\"\nport = {given}"
                );
                if let Some(port) = port.filter(|p| *p != given) {
                    let _ = writeln!(out, "# It was port {port} there.");
                }
                for (key, value) in [
                    ("start_timeout", start_timeout),
                    ("stop_timeout", stop_timeout),
                ] {
                    if let Some(value) = value {
                        let _ = writeln!(out, "{key} = \"{value}\"");
                    }
                }
            }
        }
    }
}

fn words(out: &mut String, draft: &Draft, group: &Group) {
    let list = |names: &[String]| {
        names
            .iter()
            .map(|n| format!("\"{n}\""))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let names: Vec<String> = group
        .members
        .iter()
        .map(|(Member::Vip { name, .. } | Member::Service { name, .. })| name.clone())
        .collect();
    let _ = writeln!(
        out,
        "\n[[group]]   # {}\nname = \"{}\"\nmembers = [{}]   # started in this order, stopped in reverse",
        group.place,
        group.name,
        list(&names)
    );
    if !group.prefer.is_empty() {
        let mut prefer = group.prefer.clone();
        if !group.only {
            prefer.extend(
                draft
                    .nodes
                    .iter()
                    .filter(|n| !group.prefer.contains(n))
                    .cloned(),
            );
        }
        let _ = writeln!(out, "prefer = [{}]", list(&prefer));
    }
    if let Some(clones) = &group.clones {
        let _ = writeln!(out, "clones = {clones}");
    } else {
        match group.failback.as_ref().or(draft.failback.as_ref()) {
            Some(Failback::Auto) => out.push_str("failback = \"auto\"\n"),
            Some(Failback::Manual) => out.push_str("failback = \"manual\"\n"),
            Some(Failback::Delayed(time)) => {
                let _ = writeln!(out, "failback = \"delayed\"\nfailback_delay = \"{time}\"");
            }
            None => {}
        }
        if let Some(stickiness) = group.stickiness {
            let _ = writeln!(out, "stickiness = {stickiness}");
        }
    }
    if let Some(threshold) = group.threshold {
        let _ = writeln!(out, "migration_threshold = {threshold}");
    }
    if let Some(time) = &group.failure_timeout {
        let _ = writeln!(out, "failure_timeout = \"{time}\"");
    }
}

fn left_out(draft: &Draft) -> String {
    if draft.notes.is_empty() {
        return "\n# Everything was carried over.\n".to_owned();
    }
    let mut out = "\n# Not carried over, or not as it stood, by reason:\n".to_owned();
    let mut reasons: Vec<&str> = Vec::new();
    let mut places: BTreeMap<&str, Vec<&Note>> = BTreeMap::new();
    for note in &draft.notes {
        let same = places.entry(&note.why).or_default();
        if same.is_empty() {
            reasons.push(&note.why);
        }
        same.push(note);
    }
    for why in reasons {
        out.push_str("#\n");
        wrapped(&mut out, "# ", why);
        for note in &places[why] {
            wrapped(
                &mut out,
                "#     ",
                &format!("{}: {}", note.place, note.what),
            );
        }
    }
    out
}

/// Writes a comment in lines that fit a terminal.
fn wrapped(out: &mut String, indent: &str, text: &str) {
    let mut line = indent.to_owned();
    for word in text.split(' ') {
        if line.len() > indent.len() && line.len() + 1 + word.len() > WIDTH {
            let _ = writeln!(out, "{}", line.trim_end());
            line = format!("{indent}    ");
        }
        line.push_str(word);
        line.push(' ');
    }
    let _ = writeln!(out, "{}", line.trim_end());
}
