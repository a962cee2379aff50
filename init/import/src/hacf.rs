//! `ha.cf`: nodes, timing, media and the rest of the daemon's directives.

use super::draft::{Failback, Table, duration};
use super::{Draft, Place};

pub(super) fn read(draft: &mut Draft, file: &str, text: &str) {
    let mut timing: Option<Table> = None;
    for (index, line) in text.lines().enumerate() {
        let place = Place::new(file, index + 1);
        let line = line.split('#').next().unwrap_or("").trim();
        let mut words = line.split_whitespace();
        let Some(word) = words.next() else { continue };
        let rest: Vec<&str> = words.collect();
        let first = rest.first().copied().unwrap_or("");
        if let Some(key) = ["keepalive", "warntime", "deadtime", "initdead"]
            .into_iter()
            .find(|key| *key == word)
        {
            match duration(first) {
                Some(time) => {
                    if key == "keepalive" {
                        draft.keepalive = seconds(&time);
                    }
                    let table = timing.get_or_insert_with(|| Table {
                        place: place.clone(),
                        was: "the timing directives".to_owned(),
                        header: "[timing]",
                        keys: Vec::new(),
                        groups: Vec::new(),
                    });
                    table.keys.retain(|(known, _)| *known != key);
                    table.keys.push((key, format!("\"{time}\"")));
                }
                None => draft.note(&place, line, "not a duration of more than nothing"),
            }
            continue;
        }
        match word {
            "node" => {
                for name in &rest {
                    draft.node(name, &place);
                }
            }
            "auto_failback" | "nice_failback" => {
                let on =
                    matches!(first, "on" | "yes" | "true" | "legacy") == (word == "auto_failback");
                draft.failback = Some(if on { Failback::Auto } else { Failback::Manual });
                if first == "legacy" || word == "nice_failback" {
                    draft.note(&place, line, "carried over as `failback`, on every group");
                }
            }
            "bcast" => draft
                .media
                .extend(rest.iter().map(|port| (*port).to_owned())),
            "ucast" | "mcast" | "ucast6" | "mcast6" => {
                draft.media.push(first.to_owned());
                draft.note(
                    &place,
                    line,
                    "heartbeats are raw Ethernet frames on every port: no address, group or UDP port",
                );
            }
            "serial" => draft.serial.extend(
                rest.iter()
                    .map(|line| (line.trim_start_matches("/dev/").to_owned(), place.clone())),
            ),
            "baud" => match first.parse() {
                Ok(baud) => draft.baud = Some(baud),
                Err(_) => draft.note(&place, line, "not a number"),
            },
            "ping" | "ping6" => {
                for target in &rest {
                    draft.ping(target, &place, line);
                }
            }
            "ping_group" => {
                for target in rest.iter().skip(1) {
                    draft.ping(target, &place, line);
                }
                draft.note(
                    &place,
                    line,
                    "its addresses stand in `ping`, one list for all: a node is cut off when none of them answers",
                );
            }
            "watchdog" => {
                draft.watchdog = true;
                draft.note(&place, line, "carried over as `[watchdog]`: the hardware's timer; for the kernel's own write `softdog = true`");
            }
            // Its parameters are passwords.
            "stonith" | "stonith_host" => draft.note(&place, word, why(word, first)),
            _ => draft.note(&place, line, why(word, first)),
        }
    }
    if let Some(timing) = timing {
        draft.table(timing);
    }
}

/// A duration of the cluster file in whole seconds, rounded up.
fn seconds(time: &str) -> u32 {
    let digits = time.trim_end_matches(|c: char| !c.is_ascii_digit());
    let number: u32 = digits.parse().unwrap_or(0);
    match &time[digits.len()..] {
        "ms" => number.div_ceil(1000),
        "s" => number,
        "min" => number.saturating_mul(60),
        _ => number.saturating_mul(3600),
    }
}

/// Why a directive has no place in the cluster file.
fn why(word: &str, first: &str) -> &'static str {
    match word {
        "udpport" => "no UDP: heartbeats are raw Ethernet frames",
        "deadping" => "a ping target is given up after a time that follows from `deadtime`",
        "hbgenmethod" => "generations follow from the boot",
        "debug" | "debugfile" | "logfile" | "logfacility" | "use_logd" | "conn_logd_time"
        | "syslogmsgfmt" => "nodes have no log files; `kodo log` shows what happened",
        "crm" | "pacemaker" if matches!(first, "off" | "no" | "false") => {
            "always so: groups come from the cluster file"
        }
        "crm" | "pacemaker" => "the groups are in cib.xml, not in haresources: name that file too",
        "respawn" if first.is_empty() => "no programs are started beside the services",
        "respawn" => {
            "no programs are started beside the services; what ipfail and dopd did is built in or has no use here"
        }
        "apiauth" | "gid" | "uid" => "no local API: operators have tokens, see `[admin]`",
        "stonith" | "stonith_host" => {
            "no fencing devices: a lost node is waited for until its watchdog has reset it; see `guarded`"
        }
        "realtime"
        | "hopfudge"
        | "rtprio"
        | "coredumps"
        | "traditional_compression"
        | "compression"
        | "compression_threshold"
        | "memreserve" => "PID 1 is the cluster's own; there is no daemon to tune",
        "autojoin" => "the nodes are those in the file",
        "msgfmt" | "uuidfrom" => "the format of messages is kodo's own",
        "hbaping" => "no Fibre Channel",
        "cluster" => "name the cluster in `[cluster]`",
        "quorum_server" | "tiebreaker" => "see `split_brain = \"witness\"`",
        _ => "no such directive is known here",
    }
}
