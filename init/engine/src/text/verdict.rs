//! What speaks for and against nodes, as people read it.
//!
//! Owns the two ways in which a verdict is said: shortly, after the node's name, in a list of
//! reasons; and as a sentence, to an operator whose wish it hinders.

use core::fmt::{Result, Write};

use super::Text;
use crate::config::Config;
use crate::engine::{Engine, Hindrance};
use crate::placement::{Reasons, Verdict};

impl Verdict {
    /// Writes it as people read it, with the file's names.
    ///
    /// # Errors
    /// Only what `out` itself fails with.
    pub fn text(self, config: &Config, out: &mut impl Write) -> Result {
        let mut text = Text { config, out };
        match self {
            Verdict::NotMember => text.put("not a member"),
            Verdict::OtherFile => text.put("its file does not have the group"),
            Verdict::Never => text.put("the file does not let it run there"),
            Verdict::Leaving => text.put("leaves"),
            Verdict::Standby => text.put("on standby"),
            Verdict::Banned => text.put("it failed there"),
            Verdict::Unwell => text.put("the node is too ill for it"),
            Verdict::Unfit => text.put("no instance there that it could promote"),
            Verdict::Without(with) => {
                text.group(with)?;
                text.put(" is not there")
            }
            Verdict::Apart(other) => {
                text.group(other)?;
                text.put(" is there")
            }
            Verdict::Full { weight, free } => {
                write!(text.out, "no room: takes {weight} of {free}")
            }
            Verdict::Open { score, serves } => {
                let serves = if serves { "" } else { ", clients out of reach" };
                write!(text.out, "open, worth {score}{serves}")
            }
        }
    }
}

impl Reasons {
    /// Writes them in one line, with the file's names: `worth 1 there; node1: not a member;
    /// node3, node4: on standby`.
    ///
    /// # Errors
    /// Only what `out` itself fails with.
    pub fn text(&self, config: &Config, out: &mut impl Write) -> Result {
        let mut text = Text { config, out };
        let mut between = "";
        if let Some(worth) = self.worth {
            write!(text.out, "worth {worth} there")?;
            between = "; ";
        }
        for (verdict, nodes) in self.others.iter().flatten() {
            text.put(between)?;
            between = "; ";
            text.nodes(*nodes)?;
            text.put(": ")?;
            verdict.text(config, text.out)?;
        }
        if !self.more.is_empty() {
            text.put("; and ")?;
            text.nodes(self.more)?;
        }
        Ok(())
    }
}

impl Engine {
    /// Writes what hinders a move and what happens meanwhile, with the file's names.
    ///
    /// # Errors
    /// Only what `out` itself fails with.
    pub fn hindrance_text(&self, what: &Hindrance, out: &mut impl Write) -> Result {
        let config = self.config();
        let mut text = Text { config, out };
        text.hindrance(what, self.in_quarantine(what.node))?;
        text.put("; until that ends ")?;
        text.group(what.group)?;
        match what.runs.lowest() {
            Some(runs) => {
                text.put(" stays on ")?;
                text.node(runs)
            }
            None => text.put(" is down"),
        }
    }
}

impl<W: Write> Text<'_, W> {
    fn hindrance(&mut self, what: &Hindrance, quarantined: bool) -> Result {
        let (group, node) = (what.group, what.node);
        match what.why {
            Verdict::NotMember => self.of_node(what, " is not a member of the view"),
            Verdict::OtherFile => {
                self.of_node(what, " runs a cluster file without ")?;
                self.group(group)
            }
            Verdict::Never => {
                self.put("the file does not let ")?;
                self.group(group)?;
                self.put(" run on ")?;
                self.node(node)
            }
            Verdict::Leaving => self.of_node(what, " is leaving"),
            Verdict::Standby if quarantined => {
                self.of_node(what, " is in quarantine until it is called online")
            }
            Verdict::Standby => self.of_node(what, " is on standby"),
            Verdict::Banned => {
                self.group(group)?;
                self.put(" failed on ")?;
                self.node(node)
            }
            Verdict::Unwell => {
                self.of_node(what, " is too ill for ")?;
                self.group(group)
            }
            Verdict::Unfit => {
                self.of_node(what, " has no instance that ")?;
                self.group(group)?;
                self.put(" could promote")
            }
            Verdict::Without(with) => {
                self.group(group)?;
                self.put(" must be with ")?;
                self.group(with)?;
                self.put(", which stays elsewhere")
            }
            Verdict::Apart(other) => {
                self.group(group)?;
                self.put(" must not be with ")?;
                self.group(other)?;
                self.put(", which is on ")?;
                self.node(node)
            }
            Verdict::Full { weight, free } => {
                self.of_node(what, " has no room for ")?;
                self.group(group)?;
                write!(self.out, ": it takes {weight} of {free}")
            }
            Verdict::Open { serves: false, .. } => {
                self.of_node(what, " does not reach the clients")
            }
            Verdict::Open { .. } => self.put("other groups would have to leave for it"),
        }
    }

    fn of_node(&mut self, what: &Hindrance, words: &str) -> Result {
        self.node(what.node)?;
        self.put(words)
    }
}
