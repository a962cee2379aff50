//! The lab's commands: what a person types at the prompt, in a second terminal, or in a
//! script.
//!
//! Owns the language: words in, a [`Command`] out, with messages that say what was meant
//! to be there. A [`Session`] carries it out.

mod exec;
pub mod expr;
pub(crate) mod help;
pub mod script;

use std::net::IpAddr;
use std::time::Duration;

pub use exec::{Outcome, Session};

use crate::error::{Error, Result};
use crate::lab::Parting;
use crate::wire::fabric::Direction;
use crate::wire::mac::EtherType;
use expr::Expr;

/// A wait that names no time.
pub const WAIT: Duration = Duration::from_secs(60);

/// What a machine's switches and buttons do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// Current on.
    On,
    /// Current off.
    Off,
    /// Reset button.
    Reset,
    /// Power button.
    Button,
    /// Non-maskable interrupt.
    Nmi,
    /// Stop with its clocks.
    Pause,
    /// Go on after a pause.
    Resume,
    /// Stop while time goes on.
    Stall,
    /// Go on after a stall.
    Unstall,
    /// The disk stops answering.
    HangDisk,
    /// The disk answers again.
    UnhangDisk,
}

/// What is done to what passes a cable. Chances are 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub enum Harm {
    /// Nothing passes.
    Drop,
    /// Frames come late, by this and at most this more.
    Delay(Duration, Duration),
    /// Frames are lost.
    Loss(f64),
    /// Frames come twice.
    Duplicate(f64),
    /// Frames are held back for this long and overtaken.
    Reorder(f64, Option<Duration>),
    /// Bits flip.
    Corrupt(f64),
    /// These do not pass; none for all pass.
    Filter(Vec<EtherType>),
    /// Random bytes a second.
    Noise(u32),
}

/// One command.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Explain the commands, or one of them.
    Help(Option<String>),
    /// Show everything at a glance.
    Status,
    /// Show cables with their faults and counters.
    Cables,
    /// Work a machine's switches; `None` for all machines.
    Power(Switch, Option<String>),
    /// Pull cables.
    Cut(String),
    /// Put a cable back and end its faults; `None` for all cables.
    Heal(Option<String>),
    /// Keep two stations apart.
    Part(Parting),
    /// Let two stations hear each other again.
    Join(Parting),
    /// Harm what passes.
    Harm(String, Harm, Direction),
    /// Move a group to a node, which it prefers from then on or not.
    Move {
        /// The group.
        group: String,
        /// The node.
        node: String,
        /// The group does not prefer it from then on.
        once: bool,
    },
    /// Let nothing be touched, or end that.
    Maintenance(bool),
    /// Act on a group again, or watch it only.
    Manage(String, bool),
    /// Put a node on standby, or back.
    Standby(String, bool),
    /// Tell a node that its peer is dead.
    Takeover(String),
    /// Break a node on purpose.
    Drill(String, String),
    /// Let a node leave in order, then power off or reboot.
    Halt(String, String),
    /// Show the end of a console.
    Console(String, usize),
    /// Show a console's lines as they come, or no longer.
    Watch(Option<String>),
    /// Type a line on a console.
    Type(String, String),
    /// Show the story so far; only its last lines with a number.
    Timeline(Option<usize>),
    /// Show outages and double owners since the mark.
    Judge,
    /// Begin counting outages, overlaps and lines from here.
    Mark,
    /// Wait until something is so.
    Wait(Expr, Duration),
    /// Fail unless something is so.
    Expect(Expr),
    /// Let time pass.
    Idle(Duration),
    /// Put a stranger with this address on the LAN.
    Stranger(String, IpAddr),
    /// Put a remark into the timeline.
    Note(String),
    /// Write timeline and captures out.
    Save,
    /// End the lab.
    Quit,
}

impl Command {
    /// Reads one line; `None` for a blank one or a comment.
    ///
    /// # Errors
    /// [`Error::Command`] that says what was expected.
    pub fn parse(line: &str) -> Result<Option<Self>> {
        let words = words(line)?;
        let Some((verb, rest)) = words.split_first() else {
            return Ok(None);
        };
        let mut words = Words { verb, rest };
        let command = words.command(line)?;
        words.end()?;
        Ok(Some(command))
    }
}

/// Words apart by blanks; double quotes keep blanks, `#` begins a comment.
fn words(line: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for letter in line.chars() {
        match letter {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '#' if !quoted && word.is_none() => break,
            blank if blank.is_whitespace() && !quoted => words.extend(word.take()),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    if quoted {
        return Err(Error::Command("a double quote is not closed".to_owned()));
    }
    words.extend(word);
    Ok(words)
}

struct Words<'a> {
    verb: &'a str,
    rest: &'a [String],
}

impl<'a> Words<'a> {
    fn command(&mut self, line: &str) -> Result<Command> {
        let machine = |words: &mut Self, switch| {
            let node = words.word("a node, or `all`")?;
            Ok(Command::Power(
                switch,
                (node != "all").then(|| node.to_owned()),
            ))
        };
        Ok(match self.verb {
            "help" | "?" => Command::Help(self.optional().map(str::to_owned)),
            "status" => Command::Status,
            "cables" => Command::Cables,
            "power" => {
                let switch = match self.word("on, off, reset or button")? {
                    "on" => Switch::On,
                    "off" => Switch::Off,
                    "reset" => Switch::Reset,
                    "button" => Switch::Button,
                    other => return Err(self.bad(other, "on, off, reset or button")),
                };
                return machine(self, switch);
            }
            "reset" => return machine(self, Switch::Reset),
            "nmi" => return machine(self, Switch::Nmi),
            "pause" => return machine(self, Switch::Pause),
            "resume" => return machine(self, Switch::Resume),
            "stall" => return machine(self, Switch::Stall),
            "unstall" => return machine(self, Switch::Unstall),
            "hangdisk" => return machine(self, Switch::HangDisk),
            "unhangdisk" => return machine(self, Switch::UnhangDisk),
            "cut" => Command::Cut(self.owned("a cable")?),
            "heal" => {
                let what = self.word("a cable, two stations, or `all`")?;
                if self.rest.is_empty() {
                    Command::Heal((what != "all").then(|| what.to_owned()))
                } else {
                    Command::Join(self.between(what)?)
                }
            }
            "part" => {
                let from = self.word("two stations: `part node1 node3`")?;
                let parting = self.between(from)?;
                Command::Part(match self.optional() {
                    None => parting,
                    Some("on") => parting.on(self.word("a switch or cable after `on`")?),
                    Some(other) => return Err(self.bad(other, "on SWITCH, or nothing")),
                })
            }
            "drop" | "delay" | "loss" | "dup" | "reorder" | "corrupt" | "oneway" | "filter"
            | "noise" => self.harm()?,
            "move" => Command::Move {
                group: self.owned("a group")?,
                node: self.owned("a node")?,
                once: match self.optional() {
                    None => false,
                    Some("once") => true,
                    Some(other) => return Err(self.bad(other, "once, or nothing")),
                },
            },
            "maintenance" => Command::Maintenance(match self.word("on or off")? {
                "on" => true,
                "off" => false,
                other => return Err(self.bad(other, "on or off")),
            }),
            "manage" => Command::Manage(self.owned("a group")?, true),
            "unmanage" => Command::Manage(self.owned("a group")?, false),
            "standby" => Command::Standby(self.owned("a node")?, true),
            "online" => Command::Standby(self.owned("a node")?, false),
            "takeover" => Command::Takeover(self.owned("the node that is to take over")?),
            "drill" => Command::Drill(
                self.owned("a node")?,
                self.owned("service-kill, kernel-panic or pid1-stuck")?,
            ),
            "halt" => Command::Halt(self.owned("a node")?, self.owned("power-off or reboot")?),
            "console" => {
                let node = self.owned("a node")?;
                let lines = self
                    .optional()
                    .map(|n| number(n).ok_or_else(|| self.bad(n, "a number of lines")));
                Command::Console(node, lines.transpose()?.unwrap_or(30))
            }
            "watch" => {
                let node = self.owned("a node, or `off`")?;
                Command::Watch((node != "off").then_some(node))
            }
            "type" => Command::Type(self.owned("a node")?, self.all()),
            "timeline" => {
                let lines = self
                    .optional()
                    .map(|n| number(n).ok_or_else(|| self.bad(n, "a number of lines")));
                Command::Timeline(lines.transpose()?)
            }
            "judge" => Command::Judge,
            "mark" => Command::Mark,
            "wait" => {
                let (text, within) = self.expression()?;
                Command::Wait(Expr::parse(&text)?, within.unwrap_or(WAIT))
            }
            "expect" => {
                let (text, within) = self.expression()?;
                if within.is_some() {
                    return Err(Error::Command(
                        "`expect` is about now; `wait … within …` waits".to_owned(),
                    ));
                }
                Command::Expect(Expr::parse(&text)?)
            }
            "idle" => Command::Idle(self.time("how long")?),
            "stranger" => {
                let name = self.owned("a name for it")?;
                let address = self.word("its address")?;
                let parsed = address
                    .parse()
                    .map_err(|_| self.bad(address, "an IP address"));
                Command::Stranger(name, parsed?)
            }
            "note" => Command::Note(self.all()),
            "save" => Command::Save,
            "quit" | "exit" => Command::Quit,
            other => {
                let near = help::nearest(other)
                    .map(|near| format!(" Did you mean `{near}`?"))
                    .unwrap_or_default();
                let line = line.trim();
                return Err(Error::Command(format!(
                    "`{line}`: there is no command `{other}`.{near} `help` lists them."
                )));
            }
        })
    }

    fn harm(&mut self) -> Result<Command> {
        let cable = self.owned("a cable")?;
        if self.verb == "oneway" {
            let from = self.owned("the end that is not heard any more")?;
            return Ok(Command::Harm(cable, Harm::Drop, Direction::From(from)));
        }
        let harm = match self.verb {
            "drop" => Harm::Drop,
            "delay" => {
                let delay = self.time("how long")?;
                let jitter = self.optional_time();
                Harm::Delay(delay, jitter.unwrap_or_default())
            }
            "loss" => Harm::Loss(self.chance()?),
            "dup" => Harm::Duplicate(self.chance()?),
            "reorder" => {
                let chance = self.chance()?;
                Harm::Reorder(chance, self.optional_time())
            }
            "corrupt" => Harm::Corrupt(self.chance()?),
            "noise" => {
                let rate = self.word("random bytes a second")?;
                Harm::Noise(number(rate).ok_or_else(|| self.bad(rate, "random bytes a second"))?)
            }
            _ => {
                let mut kinds = Vec::new();
                while let Some(word) = self
                    .rest
                    .first()
                    .filter(|word| !["from", "to"].contains(&word.as_str()))
                {
                    if word != "none" {
                        kinds.push(word.parse().map_err(Error::Command)?);
                    }
                    self.rest = &self.rest[1..];
                }
                Harm::Filter(kinds)
            }
        };
        let direction = match self.optional() {
            None => Direction::Both,
            Some("from") => Direction::From(self.owned("an end of the cable")?),
            Some("to") => Direction::To(self.owned("an end of the cable")?),
            Some(other) => return Err(self.bad(other, "from END, to END, or nothing")),
        };
        Ok(Command::Harm(cable, harm, direction))
    }

    /// The rest of `A B` or `A -> B`.
    fn between(&mut self, from: &str) -> Result<Parting> {
        let wanted = "a second station, or `->` and one";
        Ok(match self.word(wanted)? {
            // A shell would take `>` for itself.
            "->" | "to" => Parting::one_way(from, self.word("a station that is not to hear")?),
            to => Parting::between(from, to),
        })
    }

    /// `A and B … [within TIME]`, as text again.
    fn expression(&mut self) -> Result<(String, Option<Duration>)> {
        let rest = std::mem::take(&mut self.rest);
        let (words, within) = match rest {
            [words @ .., last, time] if last == "within" => (words, Some(time)),
            words => (words, None),
        };
        let within = within
            .map(|time| duration(time).ok_or_else(|| self.bad(time, "a time like 20s or 500ms")));
        // Words that were quoted stay so.
        let quoted = |word: &String| {
            if word.contains(' ') {
                format!("\"{word}\"")
            } else {
                word.clone()
            }
        };
        Ok((
            words.iter().map(quoted).collect::<Vec<_>>().join(" "),
            within.transpose()?,
        ))
    }

    fn optional(&mut self) -> Option<&'a str> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn word(&mut self, what: &str) -> Result<&'a str> {
        self.optional()
            .ok_or_else(|| Error::Command(format!("`{}` needs {what}", self.verb)))
    }

    fn owned(&mut self, what: &str) -> Result<String> {
        self.word(what).map(str::to_owned)
    }

    fn all(&mut self) -> String {
        std::mem::take(&mut self.rest).join(" ")
    }

    fn time(&mut self, what: &str) -> Result<Duration> {
        let word = self.word(&format!("{what}, like 20s or 500ms"))?;
        duration(word).ok_or_else(|| self.bad(word, "a time like 20s or 500ms"))
    }

    fn optional_time(&mut self) -> Option<Duration> {
        let time = self.rest.first().and_then(|word| duration(word))?;
        self.rest = &self.rest[1..];
        Some(time)
    }

    fn chance(&mut self) -> Result<f64> {
        let word = self.word("a chance like 30%")?;
        let number: Option<f64> = word.trim_end_matches('%').parse().ok();
        let fits = number.filter(|percent| (0.0..=100.0).contains(percent));
        fits.map(|percent| percent / 100.0)
            .ok_or_else(|| self.bad(word, "a chance like 30%"))
    }

    fn end(&self) -> Result<()> {
        match self.rest {
            [] => Ok(()),
            rest => Err(Error::Command(format!(
                "`{}` does not know what to do with `{}`",
                self.verb,
                rest.join(" ")
            ))),
        }
    }

    fn bad(&self, word: &str, wanted: &str) -> Error {
        Error::Command(format!("`{}` wants {wanted}, not `{word}`", self.verb))
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// `250ms`, `2s`, `1.5s`, `3min`; a bare number is milliseconds.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let at = text
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let scale = match unit {
        "ms" | "" => 0.001,
        "s" => 1.0,
        "min" => 60.0,
        _ => return None,
    };
    let seconds = number.parse::<f64>().ok()? * scale;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Command {
        Command::parse(line).unwrap().unwrap()
    }

    fn refused(line: &str) -> String {
        Command::parse(line).unwrap_err().to_string()
    }

    #[test]
    fn commands_read() {
        let own = str::to_owned;
        assert_eq!(
            parsed("power off node1 # now"),
            Command::Power(Switch::Off, Some(own("node1")))
        );
        assert_eq!(parsed("power on all"), Command::Power(Switch::On, None));
        assert_eq!(
            parsed("pause node2"),
            Command::Power(Switch::Pause, Some(own("node2")))
        );
        assert_eq!(
            parsed("hangdisk node2"),
            Command::Power(Switch::HangDisk, Some(own("node2")))
        );
        assert_eq!(parsed("cut crossover"), Command::Cut(own("crossover")));
        assert_eq!(parsed("heal all"), Command::Heal(None));
        let both = Parting::between("node1", "node3");
        assert_eq!(parsed("part node1 node3"), Command::Part(both.clone()));
        assert_eq!(parsed("heal node1 node3"), Command::Join(both));
        let one_way = Parting::one_way("node1", "node3");
        assert_eq!(
            parsed("part node1 to node3"),
            Command::Part(one_way.clone())
        );
        assert_eq!(
            parsed("heal node1 -> node3"),
            Command::Join(one_way.clone())
        );
        assert_eq!(
            parsed("part node1 -> node3 on lan"),
            Command::Part(one_way.on("lan"))
        );
        assert_eq!(
            parsed("loss lan-node1 30% from node1"),
            Command::Harm(
                own("lan-node1"),
                Harm::Loss(0.3),
                Direction::From(own("node1"))
            )
        );
        let delay = Harm::Delay(Duration::from_millis(50), Duration::from_millis(20));
        assert_eq!(
            parsed("delay crossover 50ms 20ms"),
            Command::Harm(own("crossover"), delay, Direction::Both)
        );
        assert_eq!(
            parsed("oneway crossover node1"),
            Command::Harm(own("crossover"), Harm::Drop, Direction::From(own("node1")))
        );
        let filter = Harm::Filter(vec![EtherType::KODO, EtherType(0x1234)]);
        assert_eq!(
            parsed("filter lan-node1 kodo 0x1234 to node1"),
            Command::Harm(own("lan-node1"), filter, Direction::To(own("node1")))
        );
        assert_eq!(
            parsed("filter lan-node1 none"),
            Command::Harm(own("lan-node1"), Harm::Filter(vec![]), Direction::Both)
        );
        let moved = |once| Command::Move {
            group: own("www"),
            node: own("node2"),
            once,
        };
        assert_eq!(parsed("move www node2"), moved(false));
        assert_eq!(parsed("move www node2 once"), moved(true));
        assert_eq!(parsed("maintenance off"), Command::Maintenance(false));
        assert_eq!(parsed("manage www"), Command::Manage(own("www"), true));
        assert_eq!(parsed("unmanage www"), Command::Manage(own("www"), false));
        assert_eq!(parsed("note a  \"b  c\""), Command::Note(own("a b  c")));
        assert_eq!(
            parsed("idle 1.5s"),
            Command::Idle(Duration::from_millis(1500))
        );
        assert_eq!(Command::parse("   # nothing").unwrap(), None);
        assert!(
            matches!(parsed("wait client = node2 and vip = node2 within 5s"), Command::Wait(_, time) if time.as_secs() == 5)
        );
        assert!(matches!(
            parsed("wait log node1 \"taking over\""),
            Command::Wait(_, WAIT)
        ));
    }

    #[test]
    fn mistakes_are_explained() {
        assert_eq!(
            refused("power sideways node1"),
            "`power` wants on, off, reset or button, not `sideways`"
        );
        assert_eq!(refused("cut"), "`cut` needs a cable");
        assert_eq!(
            refused("move www node2 twice"),
            "`move` wants once, or nothing, not `twice`"
        );
        assert_eq!(refused("maintenance"), "`maintenance` needs on or off");
        assert_eq!(
            refused("loss crossover lots"),
            "`loss` wants a chance like 30%, not `lots`"
        );
        assert_eq!(
            refused("part node1"),
            "`part` needs a second station, or `->` and one"
        );
        assert_eq!(
            refused("part node1 node2 node3"),
            "`part` wants on SWITCH, or nothing, not `node3`"
        );
        assert_eq!(
            refused("status now"),
            "`status` does not know what to do with `now`"
        );
        assert!(refused("stauts").contains("Did you mean `status`?"));
        assert!(refused("note \"a").contains("not closed"));
        assert!(refused("filter lan-node1 ip4 kodo").contains("EtherType"));
        assert!(refused("wait client = node1 within soon").contains("20s"));
    }

    #[test]
    fn times_read() {
        assert_eq!(duration("250"), Some(Duration::from_millis(250)));
        assert_eq!(duration("2min"), Some(Duration::from_secs(120)));
        for bad in ["", "s", "1h", "-1s", "1.2.3s"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }
}
