//! What differs between two files of one cluster, for people, and what a node can do about it
//! while it runs.
//!
//! Owns the list of differences and the judgement of each: taken over while the cluster runs,
//! at the price of a restart of its own group, or only by images that are built anew. Every
//! field of [`Cluster`] is named here, so that none is forgotten: what the hash tells apart,
//! the list tells too. Shows no secret.

mod group;
mod service;
mod whole;

use core::fmt;

use kodo_engine::GroupId;
use kodo_engine::reload;

use crate::cluster::Cluster;
use crate::time::Show;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where it is, in the file's words: "group www: failback".
    pub place: String,
    /// What the old file says there; `None` when it has no such thing.
    pub was: Option<String>,
    /// What the new file says there; `None` when it has no such thing any more.
    pub becomes: Option<String>,
    /// What it takes.
    pub takes: Takes,
}

/// What a difference takes to become true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Takes {
    /// Nothing: what runs goes on.
    Nothing,
    /// The group that it is about stops, and starts again.
    Restart,
    /// Images of the new file, and booting the nodes from them one by one.
    Images,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        match (&self.was, &self.becomes) {
            (Some(was), Some(becomes)) => write!(f, "{was} -> {becomes}"),
            (None, Some(becomes)) => write!(f, "new, {becomes}"),
            (Some(was), None) => write!(f, "gone, was {was}"),
            (None, None) => f.write_str("changed"),
        }?;
        f.write_str(match self.takes {
            Takes::Nothing => "",
            Takes::Restart => " (its group restarts)",
            Takes::Images => " (needs new images)",
        })
    }
}

impl Cluster {
    /// What differs from an older file of this cluster, in the file's order.
    #[must_use]
    pub fn changes(&self, old: &Cluster) -> Vec<Change> {
        let mut list = List::default();
        whole::whole(&mut list, old, self);
        list.0
    }

    /// Whether nodes that run `old` can go over to this file while they run; `changes` are all
    /// that differ.
    ///
    /// # Errors
    /// What stands against it, and what to do instead.
    pub fn unfit(&self, old: &Cluster, changes: &[Change]) -> Result<(), String> {
        let fixed = changes
            .iter()
            .filter(|change| change.takes == Takes::Images);
        let fixed: Vec<String> = fixed.map(|change| format!("\n  {change}")).collect();
        if !fixed.is_empty() {
            return Err(format!(
                "running nodes cannot change this:{}\nbuild images of the new file and boot the nodes from them one by one",
                fixed.concat()
            ));
        }
        let heard = |by: &Cluster, from: &Cluster| {
            from.keys
                .first()
                .is_some_and(|signs| by.keys.contains(signs))
        };
        if !heard(old, self) {
            return Err(
                "the new file signs with a key that the running one does not accept: \
                 nodes that have changed would not be heard; first apply the running file with the \
                 new key as the second line of the key file"
                    .to_owned(),
            );
        }
        if !heard(self, old) {
            return Err(
                "the new file does not accept the key with which the running one signs: \
                 nodes that have not changed yet would not be heard; keep it as the second line of \
                 the key file until the new key signs everywhere"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// The groups of `old` that stop when nodes that run it go over to this file.
    ///
    /// # Errors
    /// Why they would refuse it.
    pub fn parting(&self, old: &Cluster) -> Result<Vec<GroupId>, String> {
        let first = |file: &Cluster| {
            file.nodes
                .first()
                .map_or(String::new(), |it| it.name.clone())
        };
        let running = old.node(&first(old)).map_err(|error| error.to_string())?;
        let (next, _) = self.node_after(&first(self), &running)?;
        let parts =
            reload::parting(&running.engine, &next.engine).map_err(|why| why.to_string())?;
        let changes = self.changes(old);
        let mut fixed = changes
            .iter()
            .filter(|change| change.takes == Takes::Images);
        match fixed.next() {
            Some(change) => Err(change.to_string()),
            None => Ok(parts.collect()),
        }
    }
}

#[derive(Default)]
struct List(Vec<Change>);

impl List {
    fn push(&mut self, place: String, was: Option<String>, becomes: Option<String>, takes: Takes) {
        if was != becomes {
            self.0.push(Change {
                place,
                was,
                becomes,
                takes,
            });
        }
    }

    fn word(&mut self, place: &str, word: &str, takes: Takes, was: String, becomes: String) {
        self.push(format!("{place}: {word}"), Some(was), Some(becomes), takes);
    }

    fn time(&mut self, place: &str, word: &str, takes: Takes, times: [core::time::Duration; 2]) {
        let [was, becomes] = times.map(|time| Show(time).to_string());
        self.word(place, word, takes, was, becomes);
    }

    /// Two lists of named things, in the file's order: what is gone, what stays, what is new.
    fn named<T>(
        &mut self,
        kind: &str,
        (was, becomes): (&[T], &[T]),
        name: impl Fn(&T) -> &str,
        show: &(impl Fn(&T) -> String, impl Fn(&T) -> String),
        mut both: impl FnMut(&mut List, &str, &T, &T),
    ) {
        let find = |list: &[T], wanted: &T| list.iter().position(|one| name(one) == name(wanted));
        for one in was {
            let place = format!("{kind} {}", name(one));
            match find(becomes, one) {
                Some(at) => both(self, &place, one, &becomes[at]),
                None => self.push(place, Some(show.0(one)), None, Takes::Nothing),
            }
        }
        for one in becomes.iter().filter(|one| find(was, one).is_none()) {
            self.push(
                format!("{kind} {}", name(one)),
                None,
                Some(show.1(one)),
                Takes::Nothing,
            );
        }
    }
}

fn names<'n>(list: impl Iterator<Item = &'n str>) -> String {
    let list: Vec<&str> = list.collect();
    match list.is_empty() {
        true => "none".to_owned(),
        false => list.join(", "),
    }
}

fn each<T: fmt::Display>(list: &[T]) -> String {
    let list: Vec<String> = list.iter().map(ToString::to_string).collect();
    names(list.iter().map(String::as_str))
}
