//! One service, and one of this node's own children: a cgroup and its main process.
//!
//! One that runs an OCF agent is asked on its channel ([`Talk`]). A service with roles has a socket pair in each life, one end its own, the other for its
//! hooks: descriptor [`CHANNEL`] of both. A program of somebody else need not use it. A hook
//! runs in the service's cgroup as its user, so a kill ends it too, and is no other service's.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kodo_config::cluster::{Agent, StopSignal};
use kodo_engine::surface::Reason;
use kodo_node::io::{ActError, Token};
use kodo_sys::Result;
use kodo_sys::confine::{Confinement, Files};
use kodo_sys::process::{self, Give, Send, Spawn};
use kodo_sys::root::{Home, Root};
use kodo_sys::seqpacket::{self, Channel};

use super::cgroup::{Cgroup, Tree, Whose};
use super::output::Lines;
use super::talk::Talk;
use crate::lanes::CHANNEL;
use crate::wire::{Child, ServiceSetup, Turn};

/// This binary, which is also every child's program.
const SELF: &str = "/proc/self/exe";
const EBUSY: i32 = 16;
/// Bytes of each writable directory of a service; they count as the service's memory too.
const ROOM: u64 = 16 << 20;

/// A service.
pub(super) struct Service {
    setup: ServiceSetup,
    cgroup: Cgroup,
    /// Its main process, while that runs.
    pub(super) main: Option<process::Child>,
    /// The kill that waits until nothing is left.
    pub(super) killed: Option<Token>,
    output: Option<(OwnedFd, Lines)>,
    /// Of a main process that has roles.
    roles: Option<Roles>,
    /// Of a main process that runs an agent.
    pub(super) talk: Option<Talk>,
}

/// What a life's hooks need.
struct Roles {
    /// The hooks' end of their channel to the main process.
    channel: Channel,
    /// What hooks say goes where the main process's words go.
    words: OwnedFd,
    /// The hook that runs.
    hook: Option<(Token, process::Child)>,
}

/// The word by which a service is told why it runs.
fn word(reason: Reason) -> &'static str {
    match reason {
        Reason::Start => "START",
        Reason::Failover => "FAILOVER",
        Reason::Failback => "FAILBACK",
        Reason::Move => "MOVE",
        Reason::Recover => "RECOVER",
        // Reasons to stop; nothing is started for them.
        Reason::Yield => "YIELD",
        Reason::Shutdown => "SHUTDOWN",
    }
}

/// The signal itself.
fn ask(signal: StopSignal) -> Send {
    match signal {
        StopSignal::Term => Send::Terminate,
        StopSignal::Int => Send::Interrupt,
        StopSignal::Quit => Send::Quit,
        StopSignal::Hup => Send::HangUp,
        StopSignal::Usr1 => Send::User1,
        StopSignal::Usr2 => Send::User2,
        StopSignal::Winch => Send::Window,
    }
}

impl Service {
    pub(super) fn new(setup: ServiceSetup, tree: &Tree) -> Result<Service> {
        let cgroup = tree.make(&setup.name, Whose::Service(setup.bounds))?;
        Ok(Service {
            setup,
            cgroup,
            main: None,
            killed: None,
            output: None,
            roles: None,
            talk: None,
        })
    }

    /// The cluster file has other words for it, by which it starts the next time; its bounds
    /// hold at once.
    pub(super) fn renew(&mut self, setup: ServiceSetup) -> Result<()> {
        self.setup = setup;
        self.cgroup.bound(self.setup.bounds)
    }

    /// Readable with priority when the cgroup becomes empty or populated.
    pub(super) fn events(&self) -> BorrowedFd<'_> {
        self.cgroup.events.as_fd()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.cgroup.is_empty()
    }

    pub(super) fn is_main(&self, pid: i32) -> bool {
        self.main.as_ref().is_some_and(|main| main.pid == pid)
    }

    /// Runs it. One that runs already is success; remains of an earlier life are an error
    /// (`EBUSY`). True when it was started now.
    pub(super) fn spawn(&mut self, reason: Reason) -> Result<bool> {
        if self.main.is_some() {
            return Ok(false);
        }
        if !self.cgroup.is_empty() {
            return Err(std::io::Error::from_raw_os_error(EBUSY));
        }
        let (reader, writer) = process::pipe()?;
        let event = format!("KODO_EVENT={}", word(reason));
        let wanted = self.setup.hooks.is_some() || self.setup.agent;
        let channel = wanted.then(seqpacket::pair);
        let (ours, own) = channel.transpose()?.unzip();
        let child = self.run(
            (&self.setup.program, &self.setup.arguments),
            &[event],
            writer.as_fd(),
            own.as_ref().map(Channel::as_fd),
        )?;
        self.main = Some(child);
        self.output = Some((reader, Lines::new(kodo_sys::clock::boottime())));
        match ours {
            Some(channel) if self.setup.agent => self.talk = Some(Talk::new(channel)),
            Some(channel) => {
                self.roles = Some(Roles {
                    channel,
                    words: writer,
                    hook: None,
                });
            }
            None => {}
        }
        Ok(true)
    }

    /// Runs a program as this service's user, in its cgroup and root.
    fn run(
        &self,
        (program, arguments): (&str, &[String]),
        why: &[String],
        words: BorrowedFd<'_>,
        channel: Option<BorrowedFd<'_>>,
    ) -> Result<process::Child> {
        let mut environment = vec![
            format!("KODO_NODE={}", self.setup.node),
            format!("KODO_SERVICE={}", self.setup.name),
        ];
        environment.extend_from_slice(why);
        let root = self.setup.root.as_ref();
        match root {
            Some(root) => environment.extend_from_slice(&root.environment),
            None => environment.push("PATH=/".to_owned()),
        }
        let home = root.map(|root| Root {
            directory: PathBuf::from(&root.directory),
            writable: root.writable.iter().map(PathBuf::from).collect(),
            room: ROOM,
            own_program: self.setup.agent.then(|| PathBuf::from(Agent::RUNNER)),
        });
        let at = |number, descriptor| Give { number, descriptor };
        let mut give = vec![at(1, words), at(2, words)];
        give.extend(channel.map(|channel| at(CHANNEL, channel)));
        Spawn {
            program: Path::new(program),
            arguments,
            environment: &environment,
            directory: Path::new(root.map_or("/", |root| &root.work)),
            home: home.as_ref().map_or(Home::Ours, Home::Own),
            give: &give,
            cgroup: Some(self.cgroup.directory.as_fd()),
            confinement: Some(Confinement {
                id: self.setup.id,
                low_ports: self.setup.low_port,
                reach: match (&self.setup.reads, root) {
                    // It sees nothing but its root.
                    (_, Some(_)) => Files::All,
                    (Some(directory), None) => Files::Below(process::open_directory(directory)?),
                    (None, None) => Files::Nothing,
                },
                network: true,
                files: 4096,
                // What its cgroup allows, for a user that no other service has.
                processes: u64::from(self.setup.bounds.pids),
            }),
            oom_score: 500,
            die_with_parent: true,
        }
        .start()
    }

    /// Runs the hook that tells the main process its role; `token` is answered when it has
    /// ended, of which the descriptor tells.
    pub(super) fn tell_role(
        &mut self,
        token: Token,
        turn: Turn,
    ) -> std::result::Result<BorrowedFd<'_>, ActError> {
        let errno = |error: kodo_sys::Error| ActError::Errno(kodo_sys::errno(&error));
        let (Some(roles), Some(hooks), Some(_)) = (&self.roles, &self.setup.hooks, &self.main)
        else {
            return Err(ActError::Absent);
        };
        if roles.hook.is_some() {
            return Err(ActError::Errno(EBUSY));
        }
        let (arguments, why) = match turn {
            Turn::Promote(reason) => {
                let reason = format!("KODO_REASON={}", word(reason));
                (
                    &hooks.promote,
                    vec!["KODO_EVENT=PROMOTE".to_owned(), reason],
                )
            }
            Turn::Demote => (&hooks.demote, vec!["KODO_EVENT=DEMOTE".to_owned()]),
        };
        let hook = self.run(
            (&hooks.program, arguments),
            &why,
            roles.words.as_fd(),
            Some(roles.channel.as_fd()),
        );
        let hook = hook.map_err(errno)?;
        let roles = self.roles.as_mut().ok_or(ActError::Absent)?;
        let (_, hook) = roles.hook.insert((token, hook));
        Ok(hook.pidfd.as_fd())
    }

    /// The request of the hook that was this process.
    pub(super) fn hook_ended(&mut self, pid: i32) -> Option<Token> {
        let hook = &mut self.roles.as_mut()?.hook;
        let (token, _) = hook.take_if(|(_, child)| child.pid == pid)?;
        self.hang_up_hooks();
        Some(token)
    }

    /// The main process has ended. A hook that still runs has its end told as ever.
    pub(super) fn main_ended(&mut self) {
        self.main = None;
        self.hang_up_hooks();
    }

    /// When neither the main process nor a hook is left, nobody says anything more.
    fn hang_up_hooks(&mut self) {
        if self.main.is_none() {
            self.roles.take_if(|roles| roles.hook.is_none());
        }
    }

    /// Readable when the main process has ended.
    pub(super) fn ended(&self) -> Option<BorrowedFd<'_>> {
        self.main.as_ref().map(|main| main.pidfd.as_fd())
    }

    /// What it writes.
    pub(super) fn written(&self) -> Option<BorrowedFd<'_>> {
        self.output.as_ref().map(|(reader, _)| reader.as_fd())
    }

    /// Asks the main process to end; none is success. One that runs an agent is asked to stop it.
    pub(super) fn terminate(&mut self) -> Result<()> {
        if let Some(talk) = &mut self.talk {
            return talk.stop();
        }
        self.main.as_ref().map_or(Ok(()), |main| {
            process::signal(&main.pidfd, ask(self.setup.stop_signal))
        })
    }

    /// KILL to everything; `token` is answered when nothing is left.
    pub(super) fn kill(&mut self, token: Token) -> Result<()> {
        self.cgroup.kill()?;
        self.killed = Some(token);
        Ok(())
    }

    /// KILL to the main process only.
    pub(super) fn kill_main(&self) {
        if let Some(main) = &self.main {
            // The only failure is that it is gone.
            let _ = process::signal(&main.pidfd, Send::Kill);
        }
    }

    /// Reads what it wrote. False when nobody can write any more.
    pub(super) fn output(
        &mut self,
        now: Duration,
        mut give: impl FnMut(&str, u32) -> bool,
    ) -> bool {
        let Some((reader, lines)) = &mut self.output else {
            return true;
        };
        let mut buffer = [0; 4096];
        match kodo_sys::tty::read(&*reader, &mut buffer) {
            Ok(0) => false,
            Ok(len) => {
                lines.take(now, &buffer[..len], &mut give);
                true
            }
            Err(error) => kodo_sys::would_block(&error),
        }
    }

    /// Gives up reading.
    pub(super) fn hang_up(&mut self) -> Option<OwnedFd> {
        self.output.take().map(|(reader, _)| reader)
    }
}

/// One of this node's own children.
pub(super) struct OwnChild {
    which: Child,
    main: Option<process::Child>,
    cgroup: Option<Cgroup>,
}

impl OwnChild {
    pub(super) fn new(which: Child) -> OwnChild {
        OwnChild {
            which,
            main: None,
            cgroup: None,
        }
    }

    pub(super) fn is_main(&self, pid: i32) -> bool {
        self.main.as_ref().is_some_and(|main| main.pid == pid)
    }

    /// Readable when its main process has ended.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.main.as_ref().map(|main| main.pidfd.as_fd())
    }

    /// Its main process is gone; which child that was.
    pub(super) fn ended(&mut self) -> Child {
        self.main = None;
        self.kill();
        self.which
    }

    /// KILL to everything of it.
    pub(super) fn kill(&mut self) {
        if let Some(cgroup) = &self.cgroup {
            // The file is there as long as the cgroup is, and nobody removes it.
            let _ = cgroup.kill();
        }
    }

    /// Runs it with its channel as descriptor [`CHANNEL`]; the console child also gets
    /// the console as its output and the first virtual terminal as its input.
    pub(super) fn start(&mut self, tree: &Tree, channel: &OwnedFd) -> Result<()> {
        let cgroup = tree.make(self.which.name(), Whose::Child)?;
        let console = (self.which == Child::Console)
            .then(|| kodo_sys::tty::open_text(Path::new("/dev/console")));
        let console = console.transpose()?;
        // A machine without a display has none.
        let screen = (self.which == Child::Console)
            .then(|| kodo_sys::tty::open_text(Path::new("/dev/tty1")).ok())
            .flatten();
        let kernel_log = std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/kmsg")
            .ok();

        let mut give = vec![Give {
            number: CHANNEL,
            descriptor: channel.as_fd(),
        }];
        if let Some(console) = &console {
            give.push(Give {
                number: 1,
                descriptor: console.as_fd(),
            });
        }
        if let Some(screen) = &screen {
            give.push(Give {
                number: 0,
                descriptor: screen.as_fd(),
            });
        }
        if let Some(kernel_log) = &kernel_log {
            // Whatever it has to complain about goes to the kernel's ring.
            give.push(Give {
                number: 2,
                descriptor: kernel_log.as_fd(),
            });
        }
        let main = Spawn {
            program: Path::new(SELF),
            arguments: &["init".to_owned(), self.which.name().to_owned()],
            environment: &[],
            directory: Path::new("/"),
            home: Home::Ours,
            give: &give,
            cgroup: Some(cgroup.directory.as_fd()),
            confinement: Some(Confinement {
                id: identity(self.which),
                low_ports: false,
                reach: Files::Nothing,
                network: self.which != Child::Reader,
                files: 256,
                processes: 32,
            }),
            oom_score: 200,
            die_with_parent: true,
        }
        .start()?;
        self.cgroup = Some(cgroup);
        self.main = Some(main);
        Ok(())
    }
}

/// User and group id of each child; services come after them.
fn identity(child: Child) -> u32 {
    100 + child as u32
}
