//! A changed cluster file, on its way through this process.
//!
//! Owns what is kept of the running file and of the staged one, and the reader's turn. The file
//! itself is memory that is passed on unread. What the reader makes of it is checked by the
//! node before it is staged, and everybody's part of it changes at the instant at which the
//! node says so: until then nothing has changed, whatever became of the file.

use std::os::fd::OwnedFd;
use std::time::Duration;

use kodo_admin::relay::{FileRead, FileRefused, FromNode, ToProbe};
use kodo_engine::surface::Level;
use kodo_node::io::{Input, Token};
use kodo_node::status::Name;
use kodo_sys::seqpacket::Channel;
use kodo_sys::{AsFd, Result};

use super::Pid1;
use super::lane;
use crate::plan::Duties;
use crate::wire::{Child, FromReader, Read, ToReader, ToSvc};

/// A reader that takes longer is killed. It starts a process and checks a file, which an
/// emulated machine does within one second.
pub(super) const PATIENCE: Duration = Duration::from_secs(4);

/// What this process keeps of cluster files.
#[derive(Debug)]
pub(super) struct Reload {
    /// The running file's hash.
    hash: u64,
    /// Of the running file, for the next reader; or why no file can follow it.
    running: core::result::Result<OwnedFd, String>,
    /// Services whose files are in the image.
    files: Vec<String>,
    /// The question that the reader works on.
    reading: Option<Question>,
    /// What the node is asked to stage, until it has gone over to it at once.
    offered: Option<(Question, Option<Staged>)>,
    /// What changes when the node says so.
    staged: Option<Staged>,
}

/// An operator's file.
#[derive(Debug)]
struct Question {
    token: Token,
    operator: Name,
    stage: bool,
    /// What the reader said of it.
    changes: Vec<String>,
}

/// Everything of a file but the node's part.
#[derive(Debug)]
struct Staged {
    hash: u64,
    duties: Duties,
    running: OwnedFd,
}

impl Reload {
    pub(super) fn new(
        hash: u64,
        running: core::result::Result<OwnedFd, String>,
        files: Vec<String>,
    ) -> Reload {
        Reload {
            hash,
            running,
            files,
            reading: None,
            offered: None,
            staged: None,
        }
    }
}

impl Pid1 {
    /// The admin child passes an operator's file on.
    pub(super) fn file(
        &mut self,
        token: Token,
        operator: Name,
        stage: bool,
        sealed: Option<OwnedFd>,
    ) {
        let question = Question {
            token,
            operator,
            stage,
            changes: Vec::new(),
        };
        if self.reload.reading.is_some() || self.reload.offered.is_some() {
            return self.refuse_file(&question, FileRefused::Busy);
        }
        let Some(sealed) = sealed else {
            return self.refuse_file(&question, FileRefused::Unread);
        };
        match self.ask_reader(&sealed) {
            Ok(channel) => {
                self.children.began(Child::Reader, channel, PATIENCE);
                self.reload.reading = Some(question);
            }
            Err(why) => self.refuse_file(&question, FileRefused::Wrong(why)),
        }
    }

    fn ask_reader(&self, sealed: &OwnedFd) -> core::result::Result<Channel, String> {
        let running = self.reload.running.as_ref().map_err(Clone::clone)?;
        let setup = ToReader::Running {
            node: self.plan.node.clone(),
            files: self.reload.files.clone(),
        };
        let start = || -> Result<Channel> {
            let (ours, theirs) = kodo_sys::seqpacket::pair()?;
            lane::send(&ours, &setup, Some(running.as_fd()))?;
            lane::send(&ours, &ToReader::Sealed, Some(sealed.as_fd()))?;
            self.watch_child(Child::Reader, &ours)?;
            self.svc
                .send(&ToSvc::Child(Child::Reader), Some(theirs.as_fd()))?;
            Ok(ours)
        };
        start().map_err(|error| format!("its reader does not start: {error}"))
    }

    /// The reader has answered.
    pub(super) fn file_read(&mut self, answer: FromReader, keeps: Option<OwnedFd>) {
        let Some(mut question) = self.reload.reading.take() else {
            return;
        };
        match (answer, keeps) {
            (FromReader::Refused(why), _) => {
                self.refuse_file(&question, FileRefused::Wrong(why));
            }
            (FromReader::Read(read), Some(running)) => {
                let Read {
                    changes,
                    config,
                    duties,
                } = *read;
                let hash = config.engine.file_hash;
                question.changes = changes;
                if !question.stage {
                    return self.answer_file(&question, hash, false);
                }
                let token = question.token;
                let staged = Staged {
                    hash,
                    duties,
                    running,
                };
                self.reload.offered = Some((question, Some(staged)));
                // Answered within this call, by `file_staged`.
                self.give(Input::Stage(token, &config));
            }
            (FromReader::Read(_), None) => self.refuse_file(&question, FileRefused::Unread),
        }
    }

    /// The reader ended. Without an answer there is none.
    pub(super) fn reader_ended(&mut self, why: &str) {
        if let Some(question) = self.reload.reading.take() {
            self.note(
                Level::Warn,
                &format!("the reader of a cluster file ended without an answer: {why}"),
            );
            self.refuse_file(&question, FileRefused::Unread);
        }
    }

    /// The node has staged what it was offered, or not.
    pub(super) fn file_staged(
        &mut self,
        token: Token,
        verdict: core::result::Result<u64, kodo_node::Unfit>,
    ) {
        let Some((question, offered)) = self.reload.offered.take() else {
            panic!("a file that nobody offered was staged");
        };
        assert!(question.token == token, "one file at a time is offered");
        match verdict {
            Ok(hash) => {
                self.answer_file(&question, hash, true);
                // To stage the running file is to stage none.
                self.reload.staged = offered.filter(|_| hash != self.reload.hash);
            }
            // The node has logged it.
            Err(why) => {
                self.reply_file(question.token, Err(FileRefused::Wrong(why.to_string())));
            }
        }
    }

    /// From here on the node runs the staged file: so does everybody else.
    pub(super) fn adopted(&mut self, hash: u64) {
        let reload = &mut self.reload;
        let wanted = |staged: &mut Staged| staged.hash == hash;
        let offered = reload.offered.as_mut();
        let offered = offered.and_then(|(_, staged)| staged.take_if(wanted));
        // The node stages nothing but what was kept here.
        let Some(staged) = offered.or_else(|| reload.staged.take_if(wanted)) else {
            panic!("a file that nobody kept was adopted: {hash:016x}");
        };
        (reload.hash, reload.running) = (hash, Ok(staged.running));
        let old = core::mem::replace(&mut self.plan.duties, staged.duties);
        let Duties {
            services,
            admin,
            probe,
            vips: _,
        } = &self.plan.duties;
        // A lane that takes no requests is stuck, which its overdue answers show.
        let _ = self.svc.send(&ToSvc::Setup(services.clone()), None);
        self.children
            .send(Child::Probe, &ToProbe::Setup(probe.clone()));
        if *admin != old.admin {
            // A token that is no longer valid ends its connections too.
            self.renew_child(Child::Admin);
        }
        self.renew_gate();
    }

    fn answer_file(&mut self, question: &Question, hash: u64, staged: bool) {
        let verdict = Ok(FileRead {
            hash,
            changes: question.changes.clone(),
            staged,
        });
        self.reply_file(question.token, verdict);
    }

    fn refuse_file(&mut self, question: &Question, refused: FileRefused) {
        let why = match &refused {
            FileRefused::Busy => "another one is being read",
            FileRefused::Unread => "it was not read",
            FileRefused::Wrong(why) => why.lines().next().unwrap_or_default(),
        };
        let text = format!("a cluster file of {} is refused: {why}", question.operator);
        self.note(Level::Warn, &text);
        self.reply_file(question.token, Err(refused));
    }

    fn reply_file(&self, token: Token, verdict: core::result::Result<FileRead, FileRefused>) {
        self.children
            .send(Child::Admin, &FromNode::File { token, verdict });
    }
}
