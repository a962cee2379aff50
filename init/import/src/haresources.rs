//! `haresources`: one line for each group, with its first node and its members.

use std::net::IpAddr;

use super::draft::{Group, Member, is_web, no_place};
use super::{Draft, Place};

pub(super) fn read(draft: &mut Draft, file: &str, text: &str) {
    let mut joined = String::new();
    let mut begun = 0;
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or("");
        if joined.is_empty() {
            begun = index + 1;
        }
        // A backslash continues the line.
        if let Some(part) = line.trim_end().strip_suffix('\\') {
            joined.push_str(part);
            joined.push(' ');
            continue;
        }
        joined.push_str(line);
        group(draft, &Place::new(file, begun), &joined);
        joined.clear();
    }
    group(draft, &Place::new(file, begun), &joined);
}

fn group(draft: &mut Draft, place: &Place, line: &str) {
    let mut words = line.split_whitespace();
    let Some(node) = words.next() else { return };
    let node = draft.node(node, place);
    let mut members = Vec::new();
    for word in words {
        let mut parts = word.split("::");
        let agent = parts.next().unwrap_or(word);
        let is_address = matches!(agent, "IPaddr" | "IPaddr2" | "IPv6addr");
        let written = if is_address {
            parts.next().unwrap_or("")
        } else {
            word
        };
        if let Some((address, prefix)) = address(written) {
            if written.split('/').count() > 2 {
                draft.note(
                    place,
                    word,
                    "carried over as a VIP, without its interface and broadcast address: the port follows from the network",
                );
            }
            let name = draft.fresh("vip");
            members.push(Member::Vip {
                name,
                address,
                prefix,
                place: place.clone(),
            });
        } else if is_address {
            draft.note(
                place,
                word,
                "no numeric address; host names would need a name service while failing over",
            );
        } else if is_web(agent) {
            let name = draft.fresh(agent);
            members.push(Member::Service {
                name,
                was: word.to_owned(),
                port: None,
                start_timeout: None,
                stop_timeout: None,
                place: place.clone(),
            });
        } else {
            draft.note(place, word, no_place(agent));
        }
    }
    let name = draft.fresh(&format!("group-{node}"));
    let mut group = Group::new(name, place.clone());
    group.members = members;
    group.prefer = vec![node];
    draft.group(group);
}

/// `ADDRESS[/PREFIX[/INTERFACE[/BROADCAST]]]`; the netmask may be in dotted form.
pub(super) fn address(written: &str) -> Option<(IpAddr, Option<u8>)> {
    let mut parts = written.split('/');
    let address: IpAddr = parts.next()?.parse().ok()?;
    let limit = if address.is_ipv4() { 32 } else { 128 };
    let prefix = parts
        .next()
        .and_then(prefix)
        .filter(|p| *p <= limit && *p > 0);
    Some((address, prefix))
}

/// A prefix length, as such or as a netmask.
pub(super) fn prefix(written: &str) -> Option<u8> {
    if let Ok(bits) = written.parse::<u8>() {
        return Some(bits);
    }
    let mask = u32::from(written.parse::<std::net::Ipv4Addr>().ok()?);
    (mask.leading_ones() + mask.trailing_zeros() == 32)
        .then(|| u8::try_from(mask.leading_ones()).unwrap_or(32))
}
