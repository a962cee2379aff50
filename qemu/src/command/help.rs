//! What the lab says about its commands.

/// Each command: its form, and what it does.
pub(crate) const COMMANDS: &[(&str, &str)] = &[
    ("status", "nodes, paths, VIP, client and faults at a glance"),
    ("cables", "cables with their faults and counters"),
    (
        "power on|off|reset|button NODE|all",
        "a machine's switches; `button` asks it to shut down",
    ),
    ("reset NODE", "press the reset button"),
    ("nmi NODE", "send a non-maskable interrupt"),
    (
        "pause NODE",
        "stop a machine with its clocks, as hypervisors do; `resume NODE` lets it go on",
    ),
    ("resume NODE", "let a paused machine go on"),
    (
        "stall NODE",
        "stop a machine while time goes on for it; `unstall NODE` lets it go on",
    ),
    ("unstall NODE", "let a stalled machine go on"),
    (
        "hangdisk NODE",
        "a machine's disk stops answering; `unhangdisk NODE` lets it go on",
    ),
    ("unhangdisk NODE", "let a hanging disk answer again"),
    ("cut CABLE", "pull a cable: the carrier falls at both ends"),
    (
        "drop CABLE [from|to END]",
        "nothing passes, but the carrier stays",
    ),
    ("oneway CABLE END", "nothing that END sends passes"),
    (
        "loss CABLE CHANCE [from|to END]",
        "lose frames (on a serial line: bytes): `loss crossover 30%`",
    ),
    (
        "delay CABLE TIME [JITTER] [from|to END]",
        "frames come late: `delay crossover 50ms 20ms`",
    ),
    ("dup CABLE CHANCE [from|to END]", "frames come twice"),
    (
        "reorder CABLE CHANCE [HOLD] [from|to END]",
        "frames are held back and overtaken",
    ),
    ("corrupt CABLE CHANCE [from|to END]", "bits flip"),
    (
        "filter CABLE TYPE…|none [from|to END]",
        "EtherTypes that do not pass: `filter lan-node1 kodo`",
    ),
    (
        "noise CABLE RATE [from|to END]",
        "random bytes a second on a serial line",
    ),
    (
        "part A [->] B [on SWITCH]",
        "two machines or hosts do not hear each other; with -> (or `to`) B does not hear A",
    ),
    (
        "heal CABLE|A [->] B|all",
        "put a cable back and end its faults; let two hear each other again",
    ),
    (
        "stranger NAME ADDRESS",
        "put a host that answers for ADDRESS on the LAN; its cable is lan-NAME",
    ),
    (
        "move GROUP NODE [once]",
        "ask the cluster to move a group, and to prefer NODE from then on; with `once` not that",
    ),
    (
        "maintenance on|off",
        "ask the cluster to touch nothing, or to act again",
    ),
    (
        "unmanage GROUP",
        "ask the cluster to leave a group alone; `manage GROUP` ends it",
    ),
    ("manage GROUP", "ask the cluster to act on a group again"),
    (
        "standby NODE",
        "ask the cluster to keep a node free; `online NODE` ends it",
    ),
    ("online NODE", "ask the cluster to use a node again"),
    (
        "takeover NODE",
        "tell a node that its silent peers are dead",
    ),
    (
        "drill NODE KIND",
        "break a node from inside: service-kill, kernel-panic, pid1-stuck, pid1-dies",
    ),
    ("halt NODE power-off|reboot", "let a node leave in order"),
    ("watch NODE|off", "show a machine's console as it prints"),
    ("console NODE [LINES]", "the end of a machine's console"),
    ("type NODE TEXT", "type a line on a machine's console"),
    ("timeline [LINES]", "what happened, with milliseconds"),
    (
        "judge",
        "outages, and times with two owners of a VIP, since the mark",
    ),
    ("mark", "count outages, overlaps and lines from here"),
    (
        "wait EXPR [within TIME]",
        "wait until EXPR holds, 60s unless said otherwise; `help expr` explains it",
    ),
    ("expect EXPR", "fail unless EXPR holds now"),
    ("idle TIME", "let time pass"),
    ("note TEXT", "put a remark into the timeline"),
    ("save", "write timeline and captures to the lab's directory"),
    ("help [COMMAND|expr]", "this list, or more about one"),
    ("quit", "switch everything off and end the lab"),
];

const EXPR: &str = "\
An EXPR is one or several comparisons joined by `and`; = != < <= > >= compare.
  client = NODE|none|any       who answers the client behind the VIP
  vip = NODE|none|A+B          who speaks for the first VIP on the wire (vip.ADDRESS: another)
  NODE.power = on|off|paused|stalled
  NODE.boots >= 2              times it began to boot
  NODE.role = active|standby|observer|refused|silent
  NODE.health = healthy|degraded|silent
  NODE.path.PATH = up|one-way|down   a heartbeat path (lan, crossover, serial), at its worst
                               where it leads to several nodes; NODE.path.PATH.PEER: to this one
  NODE.holder.GROUP = NODE|none      who holds a group, as this node says
  NODE.runs.GROUP = A+B|none         where all of a group runs, as this node says
  NODE.waits.GROUP = FIRST|none      what a group waits for on this node
  NODE.maintenance = true|false      also NODE.managed.GROUP, NODE.quarantined.PEER
  NODE.failures.GROUP = 0      failures counted on this node
  NODE.witness.word = granted  idle, granted, taken, holding-off; also .reachable, .holder
  NODE.counter.NAME >= 1       forged, malformed, replayed, stale, twin, noise, unsent
  NODE.seen.PEER = dead        a peer's role as this node says
  CABLE.carrier = up|down
  outage <= 3s                 longest outage since the mark; gap: longest time between answers
  failures = 0                 requests without a good answer since the mark
  overlap = 0                  longest time with two owners of a VIP since the mark
  owners = 1                   nodes that speak for the first VIP now
  log NODE|any \"TEXT\"          a console line since the mark contains TEXT
  log NODE|any absent \"TEXT\"   no such line
";

/// The list, or more about one command.
pub(crate) fn text(about: Option<&str>) -> String {
    let row = |(form, what): &(&str, &str)| format!("  {form:<44} {what}\n");
    match about {
        Some("expr") => EXPR.to_owned(),
        Some(verb) => {
            let rows: String = COMMANDS
                .iter()
                .filter(|(form, _)| word(form) == verb)
                .map(row)
                .collect();
            let more = if matches!(verb, "wait" | "expect") {
                EXPR
            } else {
                ""
            };
            if rows.is_empty() {
                format!("there is no command `{verb}`\n")
            } else {
                rows + more
            }
        }
        None => COMMANDS.iter().map(row).collect(),
    }
}

/// All first words.
pub(crate) fn verbs() -> impl Iterator<Item = &'static str> {
    COMMANDS.iter().map(|(form, _)| word(form))
}

/// The command that a mistyped one resembles.
pub(crate) fn nearest(typed: &str) -> Option<&'static str> {
    let near = verbs().min_by_key(|verb| distance(typed, verb))?;
    (distance(typed, near) <= 2).then_some(near)
}

fn word(form: &'static str) -> &'static str {
    form.split(' ').next().unwrap_or(form)
}

/// Levenshtein's: letters to add, remove or change.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let change = corner + usize::from(from != *to);
            corner = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_its_help() {
        for verb in verbs() {
            assert!(text(Some(verb)).contains(verb));
            let typed = crate::command::Command::parse(verb);
            let unknown = matches!(&typed, Err(error) if error.to_string().contains("no command"));
            assert!(!unknown, "{verb}");
        }
    }

    #[test]
    fn near_misses_are_found() {
        assert_eq!(nearest("timline"), Some("timeline"));
        assert_eq!(nearest("frobnicate"), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
