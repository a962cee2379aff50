//! Carrying commands out.
//!
//! Owns what each command does to a lab and what it prints. Every front (prompt, second
//! terminal, script) does the same through here.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use super::expr::Expr;
use super::{Command, Harm, Switch, help};
use crate::admin::Admin;
use crate::board::Board;
use crate::boot::Cidr;
use crate::error::{Error, Result};
use crate::lab::{Lab, Mark};
use crate::time::seconds;
use crate::wire::fabric::{CableState, Part};
use crate::wire::flow::Faults;

/// Nodes are asked for their status at most this often.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// What a command led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Something to read, perhaps nothing.
    Said(String),
    /// A console's lines are to be shown as they come, or no longer.
    Watch(Option<String>),
    /// The lab is to end.
    Quit,
}

/// A lab at somebody's command.
pub struct Session {
    lab: Lab,
    /// Asks the nodes all the time, so only once somebody looks.
    board: OnceLock<Board>,
    /// Quantities of expressions count from here.
    since: Mutex<Mark>,
    over: AtomicBool,
    /// How often whatever waited was to give up.
    cancels: AtomicU32,
    /// Strangers that came so far.
    strangers: AtomicU8,
}

impl Session {
    /// Takes the lab over.
    #[must_use]
    pub fn new(lab: Lab) -> Self {
        let since = Mutex::new(lab.mark());
        Self {
            lab,
            board: OnceLock::new(),
            since,
            over: AtomicBool::new(false),
            cancels: AtomicU32::new(0),
            strangers: AtomicU8::new(0),
        }
    }

    /// The lab.
    #[must_use]
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// The nodes' own words, kept fresh.
    #[must_use]
    pub(crate) fn board(&self) -> &Board {
        self.board.get_or_init(|| Board::start(&self.lab))
    }

    /// Lets whatever waits give up: the lab is about to end.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
        self.lab.journal().nudge();
    }

    /// Lets whatever waits give up; the lab goes on.
    pub fn cancel(&self) {
        self.cancels.fetch_add(1, Ordering::Relaxed);
        self.lab.journal().nudge();
    }

    /// Whether the lab is about to end.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Reads a line and carries it out.
    ///
    /// # Errors
    /// When it cannot be understood or done, or an expectation does not hold.
    pub fn run(&self, line: &str) -> Result<Outcome> {
        match Command::parse(line)? {
            Some(command) => self.execute(&command),
            None => Ok(Outcome::Said(String::new())),
        }
    }

    /// Carries a command out.
    ///
    /// # Errors
    /// When it cannot be done, or an expectation does not hold.
    pub fn execute(&self, command: &Command) -> Result<Outcome> {
        let lab = &self.lab;
        let mut said = String::new();
        match command {
            Command::Help(about) => said = help::text(about.as_deref()),
            Command::Status => said = self.board().snapshot(lab).to_string(),
            Command::Cables => {
                said = lab.wire().cables().iter().map(cable_text).collect();
                for part in Part::words(&lab.wire().parts()) {
                    let _ = writeln!(said, "parted: {part}");
                }
            }
            Command::Power(Switch::On, None) => lab.power_on_all()?,
            Command::Power(switch, None) => {
                lab.nodes()
                    .try_for_each(|node| self.switch(*switch, node))?;
            }
            Command::Power(switch, Some(node)) => self.switch(*switch, node)?,
            Command::Cut(cable) => lab.cut(cable)?,
            Command::Heal(Some(cable)) => lab.heal(cable)?,
            Command::Heal(None) => lab.heal_all(),
            Command::Part(parting) => lab.part(parting)?,
            Command::Join(parting) => lab.join(parting)?,
            Command::Harm(cable, harm, direction) => {
                lab.fault(cable, direction, |faults| apply(harm, faults))?;
            }
            Command::Move { group, node, once } => {
                let what = format!("move {group} {node}{}", if *once { " once" } else { "" });
                said = self.ask_any(&what, |admin| match once {
                    true => admin.move_once(group, node),
                    false => admin.move_group(group, node),
                })?;
            }
            Command::Maintenance(on) => {
                let what = format!("maintenance {}", if *on { "on" } else { "off" });
                said = self.ask_any(&what, |admin| admin.maintenance(*on))?;
            }
            Command::Manage(group, on) => {
                let what = format!("{} {group}", if *on { "manage" } else { "unmanage" });
                said = self.ask_any(&what, |admin| admin.manage(group, *on))?;
            }
            Command::Standby(node, on) => {
                let what = format!("{} {node}", if *on { "standby" } else { "online" });
                said = self.ask_any(&what, |admin| admin.standby(node, *on))?;
            }
            Command::Takeover(node) => {
                said = self.ask(node, "takeover", Admin::takeover_anyway)?;
            }
            Command::Drill(node, kind) => {
                said = self.ask(node, &format!("drill {kind}"), |admin| admin.drill(kind))?;
            }
            Command::Halt(node, kind) => {
                said = self.ask(node, &format!("halt {kind}"), |admin| admin.halt(kind))?;
            }
            Command::Console(node, count) => {
                lab.machine(node)?;
                let lines = lab.console(
                    node,
                    Mark {
                        at: Duration::ZERO,
                        events: 0,
                    },
                );
                for (at, line) in &lines[lines.len().saturating_sub(*count)..] {
                    let _ = writeln!(said, "{:>10}  {line}", seconds(*at));
                }
            }
            Command::Type(node, text) => lab.type_in(node, format!("{text}\r").as_bytes())?,
            Command::Timeline(count) => {
                let timeline = lab.timeline();
                said = count
                    .map_or(timeline.clone(), |count| timeline.last(count))
                    .to_string();
            }
            Command::Judge => said = self.judgement(),
            Command::Mark => {
                *self.since.lock().unwrap_or_else(PoisonError::into_inner) = lab.mark();
            }
            Command::Wait(expr, within) => said = self.wait(expr, *within)?,
            Command::Expect(expr) => {
                if let Err(why) = expr.holds(lab, self.since())? {
                    return Err(Error::Command(format!("expected {expr}, but {why}")));
                }
            }
            Command::Idle(time) => {
                // Letting time pass is what was asked for.
                let patience = self.patience();
                let _ = lab.wait_for("the time to pass", *time, |_| patience().err());
            }
            Command::Stranger(name, address) => {
                let prefix = if address.is_ipv4() { 24 } else { 64 };
                let number = self.strangers.fetch_add(1, Ordering::Relaxed);
                let address = Cidr {
                    addr: *address,
                    prefix,
                };
                lab.add_host(name, Lab::stranger_mac(number), &[address])?;
            }
            Command::Note(text) => lab.note(text),
            Command::Save => {
                lab.save(None)?;
                said = format!("saved to {}\n", lab.dir().display());
            }
            Command::Watch(Some(node)) => {
                lab.machine(node)?;
                return Ok(Outcome::Watch(Some(node.clone())));
            }
            Command::Watch(None) => return Ok(Outcome::Watch(None)),
            Command::Quit => return Ok(Outcome::Quit),
        }
        Ok(Outcome::Said(said))
    }

    fn since(&self) -> Mark {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn switch(&self, switch: Switch, node: &str) -> Result<()> {
        let lab = &self.lab;
        match switch {
            Switch::On => lab.power_on(node),
            Switch::Off => lab.power_off(node),
            Switch::Reset => lab.reset(node),
            Switch::Button => lab.button(node),
            Switch::Nmi => lab.nmi(node),
            Switch::Pause => lab.pause(node),
            Switch::Resume => lab.resume(node),
            Switch::Stall => lab.stall(node),
            Switch::Unstall => lab.unstall(node),
            Switch::HangDisk => lab.disk_hangs(node),
            Switch::UnhangDisk => lab.disk_recovers(node),
        }
    }

    fn wait(&self, expr: &Expr, within: Duration) -> Result<String> {
        let since = self.since();
        let begun = self.lab.now();
        let patience = self.patience();
        let mut why = String::new();
        let mut looked: Option<Instant> = None;
        let found = self.lab.wait_for(&expr.to_string(), within, |lab| {
            // Asking a node is work for it; the wire and the client may be looked at any time.
            if expr.asks_nodes() && looked.is_some_and(|at| at.elapsed() < ASK_AGAIN) {
                return None;
            }
            let holds = expr.holds(lab, since);
            looked = Some(Instant::now());
            match holds {
                Ok(Ok(())) => Some(Ok(())),
                Ok(Err(not)) => {
                    why = not;
                    patience().err().map(Err)
                }
                Err(error) => Some(Err(error)),
            }
        });
        match found {
            Ok(result) => result.map(|()| {
                format!(
                    "{expr}: after {} ms\n",
                    (self.lab.now() - begun).as_millis()
                )
            }),
            Err(Error::Timeout { what, waited }) => Err(Error::Timeout {
                what: format!("{what}: {why}"),
                waited,
            }),
            Err(other) => Err(other),
        }
    }

    /// Says when whoever begins to wait now shall give up.
    fn patience(&self) -> impl Fn() -> Result<()> {
        let before = self.cancels.load(Ordering::Relaxed);
        move || {
            let why = match self.cancels.load(Ordering::Relaxed) {
                _ if self.is_over() => "the lab ends",
                now if now != before => "given up",
                _ => return Ok(()),
            };
            Err(Error::Command(why.to_owned()))
        }
    }

    fn ask(&self, node: &str, what: &str, ask: impl Fn(&Admin) -> Result<Json>) -> Result<String> {
        let admin = self.lab.admin(node)?;
        self.lab.note(&format!("{what} (asked {node})"));
        ask(&admin).map(|answer| said_by(node, &answer))
    }

    /// Asks the first node that answers; what it does holds for the cluster.
    fn ask_any(&self, what: &str, ask: impl Fn(&Admin) -> Result<Json>) -> Result<String> {
        let mut why = Error::Command("no machine is on".to_owned());
        for node in self.lab.nodes() {
            if self.lab.machine(node)?.pid.is_none() {
                continue;
            }
            let admin = self.lab.admin(node)?;
            if let Err(silent) = admin.status() {
                why = silent;
                continue;
            }
            self.lab.note(&format!("{what} (asked {node})"));
            return ask(&admin).map(|answer| said_by(node, &answer));
        }
        Err(why)
    }

    fn judgement(&self) -> String {
        let (lab, since) = (&self.lab, self.since());
        let mut text = String::new();
        let now = lab.now();
        for outage in lab.client().outages(since.at) {
            let who =
                |node: &Option<std::sync::Arc<str>>| node.as_deref().unwrap_or("nobody").to_owned();
            let ms = outage.duration(now).as_millis();
            let until = outage.until.map_or("it lasts on".to_owned(), |_| {
                format!("then {}", who(&outage.after))
            });
            let _ = writeln!(
                text,
                "outage of {ms} ms from {}: {} before, {until}",
                seconds(outage.from),
                who(&outage.before)
            );
        }
        for vip in &lab.boot().vips {
            let overlaps = lab.wire().overlaps(vip.addr, since.at);
            for overlap in &overlaps {
                let _ = writeln!(text, "{overlap}");
            }
            if overlaps.is_empty() {
                let _ = writeln!(text, "{}: never two owners at once", vip.addr);
            }
        }
        text
    }
}

fn said_by(node: &str, answer: &Json) -> String {
    match answer["nodes"].as_u64() {
        Some(nodes) => format!("{node} agreed; nodes that know: {nodes}\n"),
        None => format!("{node} agreed\n"),
    }
}

fn apply(harm: &Harm, faults: &mut Faults) {
    match harm {
        Harm::Drop => faults.drop = true,
        Harm::Delay(delay, jitter) => (faults.delay, faults.jitter) = (*delay, *jitter),
        Harm::Loss(chance) => faults.loss = *chance,
        Harm::Duplicate(chance) => faults.duplicate = *chance,
        Harm::Reorder(chance, hold) => {
            faults.reorder = *chance;
            faults.hold = hold.unwrap_or(faults.hold);
        }
        Harm::Corrupt(chance) => faults.corrupt = *chance,
        Harm::Filter(kinds) => faults.filter = kinds.iter().copied().collect(),
        Harm::Noise(rate) => faults.noise = *rate,
    }
}

fn cable_text(cable: &CableState) -> String {
    let mut text = String::new();
    let state = match (cable.cut, cable.carrier.contains(&true)) {
        (true, _) => "cut",
        (false, true) => "carrier",
        (false, false) => "no carrier",
    };
    let _ = writeln!(text, "{:<16} {state}", cable.name);
    for flow in &cable.flows {
        let c = flow.counters;
        let lost = c.lost + c.filtered + c.parted + c.cut + c.overrun;
        let _ = writeln!(
            text,
            "  from {:<10} sent {:>7}  delivered {:>7}  lost {lost:>6} (filtered {}, parted {}, cut {}, overrun {})  twice {}  corrupt {}  late {}  {}",
            flow.from,
            c.sent,
            c.delivered,
            c.filtered,
            c.parted,
            c.cut,
            c.overrun,
            c.duplicated,
            c.corrupted,
            c.reordered,
            flow.faults
        );
    }
    text
}
