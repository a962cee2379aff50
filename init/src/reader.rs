//! The reader: one changed cluster file, from sealed bytes to what this node makes of it.
//!
//! Owns the order: open it with the keys of the running file, check it by the rules of every
//! cluster file, compare it with the running one, number its services and VIPs, and hand the
//! result to PID 1. It is the only process of a running node that parses such a file: without
//! privileges, files or network, in bounded memory, ended when it takes too long, and it knows
//! cluster keys for as long as it lives, which nobody outside can talk to. A mistake of the
//! file, or of this process, changes nothing.

use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;

use kodo_admin::relay::FILE_TEXT;
use kodo_config::bundle::LARGEST;
use kodo_config::{Bundle, Change, Cluster, Diagnostic, Severity};

use crate::lanes::Link;
use crate::plan;
use crate::wire::{self, FromReader, MESSAGE, Read, Running, ToReader};

/// How the file is called in messages.
const NAME: &str = "cluster file";
/// Bytes of a file that are looked at: a bundle, and what else a node keeps of it.
const MOST: usize = 2 * LARGEST;

const _: () = assert!(
    kodo_admin::admin::limits::FILE == LARGEST,
    "what operators may send can be read"
);

/// Reads one file, answers PID 1, ends.
pub(crate) fn run() -> Result<(), String> {
    let mut link = Link::inherit("kodo-reader").map_err(|error| error.to_string())?;
    answer(&mut link)
}

/// The same over any channel.
pub(crate) fn answer(link: &mut Link) -> Result<(), String> {
    let (node, files, running) = match link.receive() {
        Ok(Some((ToReader::Running { node, files }, Some(memory)))) => {
            (node, files, content(memory)?)
        }
        other => return Err(format!("no running file came, but {other:?}")),
    };
    let sealed = match link.receive() {
        Ok(Some((ToReader::Sealed, Some(memory)))) => content(memory)?,
        other => return Err(format!("no file came, but {other:?}")),
    };
    let running: Running = wire::decode(&running).map_err(|error| error.to_string())?;
    let (answer, keeps) = match read(&running, &node, &files, &sealed) {
        Ok((read, next)) => (FromReader::Read(Box::new(read)), Some(memory(&next)?)),
        Err(why) => (FromReader::Refused(shortened(why)), None),
    };
    let keeps = keeps.as_ref().map(std::os::fd::AsFd::as_fd);
    link.send(&answer, keeps).map_err(|error| error.to_string())
}

/// What this node makes of a sealed file, and what it keeps of it; or what is wrong.
fn read(
    running: &Running,
    node: &str,
    files: &[String],
    sealed: &[u8],
) -> Result<(Read, Running), String> {
    let old = running.bundle.cluster(NAME).map_err(|items| told(&items))?;
    let bundle = Bundle::open(sealed, &old.keys, old.file_hash()).map_err(|why| why.to_string())?;
    let new = bundle.cluster(NAME).map_err(|items| told(&items))?;
    let changes = new.changes(&old);
    new.unfit(&old, &changes)?;
    lacking(&new, files)?;
    let position = new.node_by_name(node).ok_or("this node is not in it")?;
    let (config, seats) = new.node_after(node, &running.config)?;
    if let Some(fault) = config.engine.fault() {
        return Err(format!("no node can run it: {fault}"));
    }
    let duties = plan::duties(&new, position, &config, &seats, &running.starts)?;
    let keeps = Running {
        bundle,
        config: config.clone(),
        starts: running.starts.clone(),
    };
    let read = Read {
        changes: lines(&changes),
        config,
        duties,
    };
    if wire::encode(
        &FromReader::Read(Box::new(read.clone())),
        &mut vec![0; MESSAGE],
    )
    .is_err()
    {
        return Err("it is too large for a node that runs: build images of it".into());
    }
    Ok((read, keeps))
}

/// Every error of a refused file, as text.
fn told(items: &[Diagnostic]) -> String {
    let errors = items.iter().filter(|item| item.severity == Severity::Error);
    let errors: Vec<String> = errors.map(ToString::to_string).collect();
    errors.join("\n")
}

/// A service brings its files by the image only.
fn lacking(cluster: &Cluster, files: &[String]) -> Result<(), String> {
    let wants = |service: &&kodo_config::cluster::Service| {
        service.files.is_some() && !files.contains(&service.name)
    };
    match cluster.services.iter().find(wants) {
        None => Ok(()),
        Some(service) => Err(format!(
            "service {}: the image of this node has no files for it; build images of the new file and boot the nodes from them one by one",
            service.name
        )),
    }
}

/// The differences as lines, as far as there is room for them.
fn lines(changes: &[Change]) -> Vec<String> {
    let mut room = FILE_TEXT;
    let mut lines = Vec::new();
    for (at, change) in changes.iter().enumerate() {
        let line = change.to_string();
        // The last line, and the lengths of all.
        match room.checked_sub(line.len() + 64) {
            Some(left) => room = left,
            None => {
                lines.push(format!("and {} more", changes.len() - at));
                break;
            }
        }
        lines.push(line);
    }
    lines
}

fn shortened(mut text: String) -> String {
    if text.len() > FILE_TEXT {
        let end = (0..=FILE_TEXT - 4)
            .rev()
            .find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
        text.push_str(" ...");
    }
    text
}

/// The bytes of somebody's memory, which may be anything.
fn content(memory: OwnedFd) -> Result<Vec<u8>, String> {
    let mut file = std::fs::File::from(memory);
    let mut bytes = Vec::new();
    file.rewind()
        .and_then(|()| file.take(MOST as u64).read_to_end(&mut bytes))
        .map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// What PID 1 keeps for the next reader.
pub(crate) fn memory(running: &Running) -> Result<OwnedFd, String> {
    let bytes = postcard::to_allocvec(running).map_err(|error| error.to_string())?;
    if bytes.len() > MOST {
        return Err("it is larger than what is read again".into());
    }
    let memory = kodo_sys::memory::anonymous(c"kodo-running").map_err(|error| error.to_string())?;
    let mut file = std::fs::File::from(memory);
    file.write_all(&bytes).map_err(|error| error.to_string())?;
    Ok(file.into())
}

#[cfg(test)]
mod tests;
