//! Expressions of `wait` and `expect`.
//!
//! Owns their grammar and how each subject is looked up in a lab. Everything is looked at
//! from outside or asked from a node's admin API; a node that does not answer is `silent`.

use std::cmp::Ordering;
use std::fmt;
use std::time::Duration;

use serde_json::Value as Json;

use super::duration;
use crate::error::{Error, Result};
use crate::lab::{Lab, Mark};

/// A node that does not answer within this is silent; an expression is looked at often.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// One or several comparisons that must all hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    terms: Vec<Term>,
    text: String,
}

#[derive(Clone, Debug, PartialEq)]
enum Term {
    Compare {
        subject: Vec<String>,
        how: How,
        value: Value,
    },
    /// A console line contains a text, or none does.
    Log {
        node: Option<String>,
        text: String,
        present: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
}

/// What a subject is, or is compared with.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Word(String),
    Number(f64),
    /// In seconds.
    Time(f64),
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => f.write_str(word),
            Self::Number(number) => write!(f, "{number}"),
            Self::Time(seconds) => write!(f, "{:.0}ms", seconds * 1000.0),
        }
    }
}

impl Expr {
    /// Reads an expression.
    ///
    /// # Errors
    /// [`Error::Command`] that says what was expected.
    pub fn parse(text: &str) -> Result<Self> {
        let words = super::words(text)?;
        let terms: Result<Vec<Term>> = words.split(|word| word == "and").map(term).collect();
        Ok(Self {
            terms: terms?,
            text: text.to_owned(),
        })
    }

    /// Whether nodes must be asked to know.
    pub(crate) fn asks_nodes(&self) -> bool {
        let outside = ["carrier", "power", "boots"];
        self.terms.iter().any(|term| match term {
            Term::Compare { subject, .. } => {
                let seen = subject[0] == "vip"
                    || outside.contains(&subject.last().map_or("", String::as_str));
                subject.len() > 1 && !seen
            }
            Term::Log { .. } => false,
        })
    }

    /// Whether it holds now; when not, why not.
    ///
    /// # Errors
    /// [`Error::Command`] or [`Error::Unknown`] when a subject is not there at all.
    pub fn holds(&self, lab: &Lab, since: Mark) -> Result<Result<(), String>> {
        let mut asked = Asked {
            lab,
            answers: Vec::new(),
        };
        for term in &self.terms {
            if let Err(why) = term.holds(&mut asked, since)? {
                return Ok(Err(why));
            }
        }
        Ok(Ok(()))
    }
}

fn term(words: &[String]) -> Result<Term> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let ["log", node, rest @ ..] = words.as_slice() {
        let (present, text) = match rest {
            ["absent", text] => (false, text),
            [text] => (true, text),
            _ => {
                return Err(Error::Command(
                    "`log` wants a node or `any`, then a text in double quotes".to_owned(),
                ));
            }
        };
        let node = (*node != "any").then(|| (*node).to_owned());
        return Ok(Term::Log {
            node,
            text: (*text).to_owned(),
            present,
        });
    }
    // `a=b` may be written without blanks.
    let joined = words.join(" ");
    let at = joined.find(['=', '!', '<', '>']);
    let at = at.ok_or_else(|| {
        Error::Command(format!(
            "`{joined}` compares nothing; `help expr` explains it"
        ))
    })?;
    let (subject, rest) = joined.split_at(at);
    let signs = rest
        .find(|c| !['=', '!', '<', '>'].contains(&c))
        .unwrap_or(rest.len());
    let how = match &rest[..signs] {
        "=" | "==" => How::Equal,
        "!=" => How::Unequal,
        "<" => How::Less,
        "<=" => How::LessOrEqual,
        ">" => How::More,
        ">=" => How::MoreOrEqual,
        other => {
            return Err(Error::Command(format!(
                "`{other}` is no comparison: say = != < <= > or >="
            )));
        }
    };
    let (subject, value) = (subject.trim(), rest[signs..].trim());
    if subject.is_empty() || value.is_empty() || value.contains(' ') {
        return Err(Error::Command(format!(
            "`{joined}`: a comparison has one word on each side"
        )));
    }
    let value = match (value.parse::<f64>(), duration(value)) {
        (Ok(number), _) => Value::Number(number),
        (Err(_), Some(time)) => Value::Time(time.as_secs_f64()),
        (Err(_), None) => Value::Word(value.to_owned()),
    };
    Ok(Term::Compare {
        subject: subject.split('.').map(str::to_owned).collect(),
        how,
        value,
    })
}

impl Term {
    fn holds(&self, asked: &mut Asked<'_>, since: Mark) -> Result<Result<(), String>> {
        match self {
            Self::Log {
                node,
                text,
                present,
            } => {
                let found = asked.lab.journal().find(since.events, |entry| {
                    let mut nodes = asked
                        .lab
                        .nodes()
                        .filter(|name| node.as_ref().is_none_or(|node| node == name));
                    nodes
                        .find_map(|name| entry.event.console_line(name))
                        .filter(|line| line.contains(text))
                });
                Ok(match (found, present) {
                    (Some(_), true) | (None, false) => Ok(()),
                    (Some(line), false) => Err(format!("there is a line `{line}`")),
                    (None, true) => Err(format!("no line contains `{text}`")),
                })
            }
            Self::Compare {
                subject,
                how,
                value,
            } => {
                let is = asked.look_up(subject, since)?;
                if compare(&is, *how, value)? {
                    return Ok(Ok(()));
                }
                Ok(Err(format!("{} is {is}", subject.join("."))))
            }
        }
    }
}

fn compare(is: &Value, how: How, with: &Value) -> Result<bool> {
    let order = match (is, with) {
        // Somebody, no matter who.
        (Value::Word(is), Value::Word(with)) if with == "any" => {
            let anybody = is != "none";
            return Ok(anybody == (how == How::Equal));
        }
        (Value::Word(is), Value::Word(with)) => (is == with).then_some(Ordering::Equal),
        // A bare number is milliseconds, as everywhere.
        (Value::Time(is), Value::Number(with)) => is.partial_cmp(&(with / 1000.0)),
        (Value::Time(is), Value::Time(with)) | (Value::Number(is), Value::Number(with)) => {
            is.partial_cmp(with)
        }
        // A node that is silent has no number to compare.
        (Value::Word(_), Value::Number(_) | Value::Time(_)) => None,
        (is, with) => {
            return Err(Error::Command(format!(
                "`{with}` cannot be compared with {is}"
            )));
        }
    };
    let (equal, less, more) = match order {
        Some(order) => (
            order == Ordering::Equal,
            order == Ordering::Less,
            order == Ordering::Greater,
        ),
        None => (false, false, false),
    };
    Ok(match how {
        How::Equal => equal,
        How::Unequal => !equal,
        How::Less => less,
        How::LessOrEqual => less || equal,
        How::More => more,
        How::MoreOrEqual => more || equal,
    })
}

/// A lab and what its nodes answered, each asked once.
struct Asked<'a> {
    lab: &'a Lab,
    answers: Vec<(String, Option<Json>)>,
}

impl Asked<'_> {
    fn look_up(&mut self, subject: &[String], since: Mark) -> Result<Value> {
        let lab = self.lab;
        let names: Vec<&str> = subject.iter().map(String::as_str).collect();
        let word = |text: &str| Value::Word(text.to_owned());
        let longest = |times: Vec<Duration>| {
            Value::Time(times.into_iter().max().unwrap_or_default().as_secs_f64())
        };
        Ok(match names.as_slice() {
            ["client"] => word(lab.client().answering().as_deref().unwrap_or("none")),
            ["vip", rest @ ..] => word(&owners(lab, &rest.join("."))?.join("+")).or_none(),
            ["owners"] => Value::Number(count(owners(lab, "")?.len())),
            ["outage"] => {
                let now = lab.now();
                longest(
                    lab.client()
                        .outages(since.at)
                        .iter()
                        .map(|outage| outage.duration(now))
                        .collect(),
                )
            }
            ["gap"] => Value::Time(lab.client().longest_gap(since.at).as_secs_f64()),
            ["failures"] => Value::Number(count(lab.client().failures(since.at).len())),
            ["overlap"] => {
                let vips = lab.boot().vips.iter();
                let found = vips.flat_map(|vip| lab.wire().overlaps(vip.addr, since.at));
                // A single frame is an overlap too, however short.
                longest(
                    found
                        .map(|o| o.duration().max(Duration::from_micros(1)))
                        .collect(),
                )
            }
            [cable, "carrier"] => {
                let cables = lab.wire().cables();
                let found = cables.iter().find(|state| *state.name == **cable);
                let known = || cables.iter().map(|state| state.name.to_string()).collect();
                let found = found.ok_or_else(|| unknown("cable", cable, known()))?;
                word(if found.carrier.contains(&true) {
                    "up"
                } else {
                    "down"
                })
            }
            [node, "power"] => word(&lab.machine(node)?.power().to_string()),
            [node, "boots"] => Value::Number(f64::from(lab.machine(node)?.boots)),
            [node, rest @ ..] => {
                lab.machine(node).map_err(|_| {
                    Error::Command(format!(
                        "`{}` is nothing to compare; `help expr` lists what is",
                        subject.join(".")
                    ))
                })?;
                match self.status(node)? {
                    None => word("silent"),
                    Some(status) => in_status(&status, rest).ok_or_else(|| {
                        Error::Command(format!("{node} says nothing about `{}`", rest.join(".")))
                    })?,
                }
            }
            [] => return Err(Error::Command("a comparison needs a subject".to_owned())),
        })
    }

    fn status(&mut self, node: &str) -> Result<Option<Json>> {
        if let Some((_, answer)) = self.answers.iter().find(|(name, _)| name == node) {
            return Ok(answer.clone());
        }
        let answer = self.lab.admin(node)?.timeout(ANSWER_WITHIN).status().ok();
        self.answers.push((node.to_owned(), answer.clone()));
        Ok(answer)
    }
}

impl Value {
    fn or_none(self) -> Self {
        match self {
            Self::Word(word) if word.is_empty() => Self::Word("none".to_owned()),
            other => other,
        }
    }

    fn of(json: &Json) -> Option<Self> {
        match json {
            Json::Null => Some(Self::Word("none".to_owned())),
            Json::Bool(flag) => Some(Self::Word(flag.to_string())),
            Json::Number(number) => Some(Self::Number(number.as_f64()?)),
            Json::String(word) => Some(Self::Word(word.clone())),
            Json::Array(_) | Json::Object(_) => None,
        }
    }
}

/// Finds something in a node's status; `None` when it is not there.
fn in_status(status: &Json, names: &[&str]) -> Option<Value> {
    let named = |list: &Json, name: &str| {
        list.as_array()?
            .iter()
            .find(|item| item["name"] == name)
            .cloned()
    };
    match names {
        ["path", path] => {
            let peers = status["nodes"].as_array()?.iter();
            let states =
                peers.filter_map(|peer| Some(named(&peer["paths"], path)?["state"].clone()));
            let badness = |state: &Json| ["up", "one-way"].iter().position(|good| state == good);
            Value::of(&states.max_by_key(|state| badness(state).unwrap_or(usize::MAX))?)
        }
        ["path", path, peer] => {
            let peer = named(&status["nodes"], peer)?;
            Value::of(&named(&peer["paths"], path)?["state"])
        }
        ["holder", group] => Value::of(&named(&status["groups"], group)?["holder"]),
        ["runs", group] => {
            let group = named(&status["groups"], group)?;
            let nodes = group["nodes"].as_array()?.iter().filter_map(Json::as_str);
            Some(Value::Word(nodes.collect::<Vec<_>>().join("+")).or_none())
        }
        ["waits", group] => Value::of(&named(&status["groups"], group)?["waits_for"]),
        ["managed", group] => Value::of(&named(&status["groups"], group)?["managed"]),
        ["quarantined", peer] => Value::of(&named(&status["nodes"], peer)?["quarantined"]),
        ["group", group] => Value::of(&named(&status["groups"], group)?["state"]),
        ["failures", group] => Value::of(&named(&status["groups"], group)?["failures"]),
        ["seen", peer] => Value::of(&named(&status["nodes"], peer)?["role"]),
        ["witness", name] => Value::of(status["witness"].get(name)?),
        ["counter", name] => Value::of(status["counters"].get(name)?),
        [name] => Value::of(status.get(name)?),
        _ => None,
    }
}

fn owners(lab: &Lab, vip: &str) -> Result<Vec<String>> {
    let owners = lab.wire().owners();
    let found = owners
        .iter()
        .find(|record| vip.is_empty() || record.vip.to_string() == vip);
    let known = || owners.iter().map(|record| record.vip.to_string()).collect();
    let found = found.ok_or_else(|| unknown("VIP", vip, known()))?;
    let mut names: Vec<String> = found.owners.iter().map(ToString::to_string).collect();
    names.sort();
    Ok(names)
}

fn unknown(kind: &'static str, name: &str, known: Vec<String>) -> Error {
    Error::Unknown {
        kind,
        name: name.to_owned(),
        known,
    }
}

fn count(n: usize) -> f64 {
    u32::try_from(n).map_or(f64::INFINITY, f64::from)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn expressions_read() {
        for good in [
            "client = node1",
            "client=node1 and outage<=3s",
            "node1.boots >= 2",
            "log any \"a b\"",
            "vip.fd00::1 = none",
        ] {
            assert_eq!(Expr::parse(good).unwrap().to_string(), good);
        }
        for bad in [
            "",
            "client",
            "client = ",
            "= a",
            "client =! a",
            "a = b c",
            "log node1",
            "client = a and",
        ] {
            assert!(Expr::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_some_subjects_need_the_nodes() {
        let asks = |text: &str| Expr::parse(text).unwrap().asks_nodes();
        assert!(asks("client = node1 and node1.role = active") && asks("node2.path.lan = up"));
        assert!(!asks(
            "client = node1 and vip.10.0.0.1 = none and node1.power = on and lan-node1.carrier = up"
        ));
        assert!(!asks("log node1 \"a.b = c\" and outage <= 3s"));
    }

    #[test]
    fn values_compare() {
        let word = |text: &str| Value::Word(text.to_owned());
        let holds = |is: Value, how, with: Value| compare(&is, how, &with).unwrap();
        assert!(
            holds(word("node1"), How::Equal, word("any"))
                && !holds(word("none"), How::Equal, word("any"))
        );
        assert!(holds(word("none"), How::Unequal, word("any")));
        assert!(holds(
            Value::Time(0.25),
            How::LessOrEqual,
            Value::Number(250.0)
        ));
        assert!(holds(Value::Time(2.0), How::More, Value::Time(1.0)));
        assert!(!holds(word("silent"), How::MoreOrEqual, Value::Number(0.0)));
        assert!(compare(&Value::Number(1.0), How::Equal, &word("x")).is_err());
    }

    #[test]
    fn a_status_is_searched() {
        let status = json!({
            "role": "active", "health": "healthy", "reachable": true,
            "nodes": [{"name": "node1", "role": "active", "paths": []},
                      {"name": "node2", "role": "dead", "quarantined": true,
                       "paths": [{"name": "crossover", "state": "one-way"}]}],
            "maintenance": false,
            "groups": [{"name": "www", "holder": null, "state": "stopped", "failures": 2,
                        "managed": true, "nodes": ["node1", "node2"], "waits_for": "db"},
                       {"name": "db", "nodes": [], "waits_for": null}],
            "witness": {"word": "granted", "reachable": true, "holder": null},
            "counters": {"forged": 3}
        });
        let found = |path: &str| {
            in_status(&status, &path.split('.').collect::<Vec<_>>()).map(|value| value.to_string())
        };
        for (path, value) in [
            ("role", "active"),
            ("reachable", "true"),
            ("path.crossover", "one-way"),
            ("holder.www", "none"),
            ("failures.www", "2"),
            ("seen.node2", "dead"),
            ("runs.www", "node1+node2"),
            ("runs.db", "none"),
            ("waits.www", "db"),
            ("waits.db", "none"),
            ("managed.www", "true"),
            ("quarantined.node2", "true"),
            ("maintenance", "false"),
            ("counter.forged", "3"),
            ("witness.word", "granted"),
            ("witness.holder", "none"),
        ] {
            assert_eq!(found(path).as_deref(), Some(value), "{path}");
        }
        assert_eq!(found("path.crossover.node2").as_deref(), Some("one-way"));
        assert_eq!(found("path.crossover.node1"), None);
        assert_eq!(found("path.serial"), None);
        assert_eq!(found("nodes"), None);
    }
}
