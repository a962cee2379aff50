//! What the files say, in kodo's terms, before it is written down.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

/// Longest name that the cluster file takes.
const NAME_MAX: usize = kodo_engine::limits::NAME;
/// Notes that are kept, far more than a person reads: the last one says that there were more.
const NOTES_MAX: usize = 5_000;
/// Characters of one note: a whole block of keepalived's, each of its lines named.
const NOTE_MAX: usize = 4_000;
/// Nodes that are kept: one more than a cluster has, so that it is known to be too many.
const NODES_MAX: usize = kodo_engine::limits::NODES + 1;
/// Names that are kept apart: several times what a cluster has. Later ones are left out anyway.
const NAMES_MAX: usize = 512;
/// Groups and tables that are kept: several times what a cluster has.
const KEPT_MAX: usize = 128;

/// Where a directive stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    file: String,
    line: usize,
}

impl Place {
    pub(crate) fn new(file: &str, line: usize) -> Self {
        Self {
            file: file.to_owned(),
            line,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A directive that was not carried over, or not as it stood.
#[derive(Clone, Debug)]
pub struct Note {
    pub(crate) place: Place,
    pub(crate) what: String,
    pub(crate) why: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.what, self.why)
    }
}

/// A file that cannot be read at all.
#[derive(Debug)]
pub struct Fault {
    place: Place,
    what: String,
    next: String,
}

impl Fault {
    pub(crate) fn new(place: Place, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            place,
            what: what.into(),
            next: next.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.place, self.what, self.next)
    }
}

/// What a group is made of.
#[derive(Clone, Debug)]
pub(crate) enum Member {
    Vip {
        name: String,
        address: IpAddr,
        prefix: Option<u8>,
        place: Place,
    },
    Service {
        name: String,
        /// What it was there, such as `ocf:heartbeat:apache`.
        was: String,
        port: Option<u16>,
        start_timeout: Option<String>,
        stop_timeout: Option<String>,
        place: Place,
    },
}

/// When a group returns to the better node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failback {
    Auto,
    Manual,
    Delayed(String),
}

#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) members: Vec<Member>,
    /// The best first; those left out come after them, unless `only` these may run it.
    pub(crate) prefer: Vec<String>,
    pub(crate) only: bool,
    /// Nodes that may run it with their scores, which become `prefer`.
    pub(crate) scored: Vec<(i64, String)>,
    pub(crate) failback: Option<Failback>,
    pub(crate) stickiness: Option<u32>,
    pub(crate) priority: Option<i16>,
    pub(crate) threshold: Option<u8>,
    pub(crate) failure_timeout: Option<String>,
    /// "all", or a number.
    pub(crate) clones: Option<String>,
}

impl Group {
    pub(crate) fn new(name: String, place: Place) -> Self {
        Self {
            name,
            place,
            members: Vec::new(),
            prefer: Vec::new(),
            only: false,
            scored: Vec::new(),
            failback: None,
            stickiness: None,
            priority: None,
            threshold: None,
            failure_timeout: None,
            clones: None,
        }
    }
}

/// A table that joins groups and nodes, or `[timing]`: what the checker may refuse as a whole.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) place: Place,
    /// What it was there.
    pub(crate) was: String,
    pub(crate) header: &'static str,
    /// The keys, with their values as TOML writes them.
    pub(crate) keys: Vec<(&'static str, String)>,
    /// The groups that it names; without one of them it means nothing.
    pub(crate) groups: Vec<String>,
}

/// All that the files say.
#[derive(Debug, Default)]
pub struct Draft {
    pub(crate) cluster: Option<String>,
    pub(crate) nodes: Vec<String>,
    pub(crate) groups: Vec<Group>,
    pub(crate) tables: Vec<Table>,
    pub(crate) ping: Vec<(IpAddr, Place)>,
    /// The ports that heartbeats went over.
    pub(crate) media: Vec<String>,
    pub(crate) serial: Vec<(String, Place)>,
    pub(crate) baud: Option<u32>,
    pub(crate) watchdog: bool,
    /// Of `keepalive`, in whole seconds; 0 if the files say nothing.
    pub(crate) keepalive: u32,
    /// `auto_failback`, for all groups that say nothing themselves.
    pub(crate) failback: Option<Failback>,
    pub(crate) notes: Vec<Note>,
    names: BTreeSet<String>,
}

impl Draft {
    /// What was not carried over, or not as it stood, in the order in which it was found.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    pub(crate) fn note(&mut self, place: &Place, what: &str, why: &str) {
        // The key of `authkeys` and the like never come here; control characters may.
        let clean = |text: &str| -> String {
            let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
            text.chars()
                .filter(|c| !c.is_control())
                .take(NOTE_MAX)
                .collect()
        };
        let note = Note {
            place: place.clone(),
            what: clean(what),
            why: clean(why),
        };
        match self.notes.len() {
            len if len + 1 < NOTES_MAX => self.notes.push(note),
            len if len < NOTES_MAX => self.notes.push(Note {
                what: "this and what follows".to_owned(),
                why: "too much to be named: divide the file".to_owned(),
                ..note
            }),
            _ => {}
        }
    }

    /// The node of that name, made if it is new, with the name that the cluster file takes.
    pub(crate) fn node(&mut self, written: &str, place: &Place) -> String {
        let name = tidy(written);
        if !self.nodes.contains(&name) {
            if name != written {
                self.note(
                    place,
                    &format!("node {written}"),
                    &format!(
                        "names have no dots here and at most {NAME_MAX} characters: it is `{name}`"
                    ),
                );
            }
            if self.nodes.len() < NODES_MAX {
                self.nodes.push(name.clone());
            }
        }
        name
    }

    /// A name that no service, VIP or group has yet.
    pub(crate) fn fresh(&mut self, wanted: &str) -> String {
        let name = tidy(wanted);
        let mut unused = name.clone();
        let mut count = 1_usize;
        while self.names.len() < NAMES_MAX && self.names.contains(&unused) {
            count += 1;
            let tail = format!("-{count}");
            let room = NAME_MAX - tail.len();
            unused = format!("{}{tail}", &name[..name.len().min(room)]);
        }
        if self.names.len() < NAMES_MAX {
            self.names.insert(unused.clone());
        }
        unused
    }

    pub(crate) fn group(&mut self, group: Group) {
        if self.groups.len() < KEPT_MAX {
            self.groups.push(group);
        } else {
            let what = format!("the group {}", group.name);
            self.note(&group.place, &what, "too many groups");
        }
    }

    pub(crate) fn table(&mut self, table: Table) {
        if self.tables.len() < KEPT_MAX {
            self.tables.push(table);
        } else {
            self.note(&table.place, &table.was, "too many rules");
        }
    }

    pub(crate) fn ping(&mut self, target: &str, place: &Place, line: &str) {
        match target.parse() {
            Ok(address) if self.ping.iter().any(|(known, _)| *known == address) => {}
            Ok(address) if self.ping.len() < KEPT_MAX => self.ping.push((address, place.clone())),
            Ok(_) => self.note(place, line, "too many addresses to ping"),
            Err(_) => self.note(place, line, "`ping` takes numeric addresses only"),
        }
    }
}

/// The nearest name that the cluster file takes.
pub(crate) fn tidy(written: &str) -> String {
    let name: String = written
        .chars()
        .map(|c| match c {
            c if c.is_ascii_alphanumeric() || c == '-' || c == '_' => c,
            _ => '-',
        })
        .skip_while(|c| !c.is_ascii_alphanumeric())
        .take(NAME_MAX)
        .collect();
    if name.is_empty() {
        "unnamed".to_owned()
    } else {
        name
    }
}

/// A duration as Heartbeat and Pacemaker write it, as the cluster file does: a bare number is
/// in seconds. `None`: not a duration, or none.
pub(crate) fn duration(written: &str) -> Option<String> {
    let written = written.trim();
    let digits = written.chars().take_while(char::is_ascii_digit).count();
    let number: u32 = written[..digits].parse().ok().filter(|n| *n > 0)?;
    let unit = match written[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "s" | "sec" => "s",
        "ms" | "msec" => "ms",
        "us" | "usec" => return Some(format!("{}ms", number.div_ceil(1000))),
        "m" | "min" => "min",
        "h" | "hr" => "h",
        _ => return None,
    };
    Some(format!("{number}{unit}"))
}

/// What the program of a resource agent or init script is, if the built-in web server can
/// stand in for it.
pub(crate) fn is_web(agent: &str) -> bool {
    let name = agent.rsplit([':', '/']).next().unwrap_or(agent);
    let name = name.trim_end_matches(".service");
    matches!(
        name.to_ascii_lowercase().as_str(),
        "apache"
            | "apache2"
            | "httpd"
            | "httpd2"
            | "http"
            | "nginx"
            | "lighttpd"
            | "haproxy"
            | "varnish"
            | "tomcat"
    )
}

/// Why a resource that is neither an address nor a web server has no place.
pub(crate) fn no_place(agent: &str) -> &'static str {
    let name = agent.rsplit([':', '/']).next().unwrap_or(agent);
    match name.to_ascii_lowercase().as_str() {
        "filesystem" | "lvm" | "lvm-activate" | "mdadm" | "raid1" => {
            "nodes have no disks of the cluster's; data comes with the image"
        }
        "drbd" | "drbddisk" | "drbdupper" => "no replicated disks",
        "ipsrcaddr" => "programs choose their own source address",
        "mailto" => "no mail from nodes; watch `kodo status` and `kodo log`",
        "sendarp" => "an address is announced when it is taken, always",
        _ if agent.starts_with("stonith") => {
            "no fencing devices: a lost node is waited for until its watchdog has reset it"
        }
        _ => {
            "resource scripts do not run here, and the built-in web server cannot stand in for this"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Draft, Place, duration};

    #[test]
    fn durations_get_a_unit() {
        let known = [
            ("10", Some("10s")),
            ("1500ms", Some("1500ms")),
            ("2min", Some("2min")),
            ("10m", Some("10min")),
            ("0", None),
            ("soon", None),
        ];
        for (there, here) in known {
            assert_eq!(duration(there).as_deref(), here, "{there}");
        }
    }

    #[test]
    fn names_that_were_equal_are_told_apart() {
        let mut draft = Draft::default();
        let long = "a".repeat(100);
        let names = [draft.fresh(&long), draft.fresh(&long), draft.fresh("web.1")];
        assert!(names.iter().all(|name| name.len() <= super::NAME_MAX));
        assert_ne!(names[0], names[1]);
        assert_eq!(names[2], "web-1");
    }

    #[test]
    fn notes_have_an_end_that_says_so() {
        let mut draft = Draft::default();
        for line in 0..2 * super::NOTES_MAX {
            draft.note(&Place::new("ha.cf", line), "word", "reason");
        }
        assert_eq!(draft.notes().len(), super::NOTES_MAX);
        assert!(
            draft
                .notes()
                .last()
                .is_some_and(|last| last.why.starts_with("too much"))
        );
    }
}
