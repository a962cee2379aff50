//! Carries out what the command line says, and turns the outcome into an exit code.

use std::env;
use std::fs;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use kodo_admin::api::{self, HaltKind, Health, LogLine};

use crate::cli::{Access, Cli, Command, Explain, Switch};
use crate::client::{Authority, Client, Failure};
use crate::{apply, drain, kept, offline, show};

/// Done; of `status`: healthy.
pub(crate) const DONE: u8 = 0;
/// Refused; of `status`: degraded.
pub(crate) const REFUSED: u8 = 1;
/// Nobody could say.
pub(crate) const UNKNOWN: u8 = 2;
/// The command line was not understood (EX_USAGE of sysexits.h).
pub(crate) const USAGE: u8 = 64;

/// The operator's token itself.
const TOKEN: &str = "KODO_TOKEN";
/// Pause between two looks at a log that is followed.
const FOLLOW: Duration = Duration::from_secs(1);

/// What ended a command early.
enum Stop {
    /// The command line or what it names cannot be used.
    Usage(String),
    /// A node did not do it.
    Failure(Failure),
    /// Standard output is gone: whoever read it has enough.
    Deaf,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Failure(failure)
    }
}

pub(crate) fn run(cli: Cli) -> u8 {
    match carry_out(cli) {
        Ok(code) => code,
        Err(Stop::Deaf) => DONE,
        Err(Stop::Usage(why)) => {
            eprintln!("kodo: {why}");
            USAGE
        }
        Err(Stop::Failure(failure)) => {
            eprintln!("kodo: {failure}");
            match failure {
                Failure::Refused(..) => REFUSED,
                Failure::Unreachable(_)
                | Failure::Unauthorised(..)
                | Failure::Foreign(..)
                | Failure::Uncertain(..) => UNKNOWN,
            }
        }
    }
}

fn carry_out(cli: Cli) -> Result<u8, Stop> {
    let access = cli.access;
    match cli.command {
        Command::Status { json } => status(&access, json),
        Command::Log { lines, follow } => log(&access, lines, follow),
        Command::Standby { node } => {
            let said = format!("{node} is on standby");
            command(
                &connect(&access)?,
                "/v1/standby",
                &api::Standby { node, on: true },
                &said,
            )
        }
        Command::Online { node } => {
            let said = format!("{node} is online");
            command(
                &connect(&access)?,
                "/v1/standby",
                &api::Standby { node, on: false },
                &said,
            )
        }
        Command::Drain { node, timeout } => drain(&connect(&access)?, node, timeout),
        Command::Move { group, node, once } => {
            let this = if once { ", this once" } else { "" };
            let said = format!("{group} moves to {node}{this}");
            command(
                &connect(&access)?,
                "/v1/move",
                &api::Move { group, node, once },
                &said,
            )
        }
        Command::Maintenance { switch } => {
            let on = switch == Switch::On;
            let said = match on {
                true => "maintenance is on: nothing is started, stopped or moved",
                false => "maintenance is over",
            };
            command(
                &connect(&access)?,
                "/v1/maintenance",
                &api::Maintenance { on },
                said,
            )
        }
        Command::Manage { group } => manage(&connect(&access)?, group, true),
        Command::Unmanage { group } => manage(&connect(&access)?, group, false),
        Command::TakeoverAnyway { yes } => {
            let client = connect(&access)?;
            if !yes {
                confirm_takeover()?;
            }
            command(&client, "/v1/takeover-anyway", &(), "taking over")
        }
        Command::Cleanup { group } => {
            let said = format!("the failures of {group} are forgotten");
            command(
                &connect(&access)?,
                "/v1/cleanup",
                &api::Cleanup { group },
                &said,
            )
        }
        Command::Drill { kind } => {
            let client = connect_to_one(&access)?;
            let drill = api::Drill { kind: kind.into() };
            command(&client, "/v1/drill", &drill, "the drill begins")
        }
        Command::Halt(halt) => {
            let client = connect_to_one(&access)?;
            let kind = if halt.reboot {
                HaltKind::Reboot
            } else {
                HaltKind::PowerOff
            };
            command(
                &client,
                "/v1/halt",
                &api::Halt { kind },
                "the node leaves in order",
            )
        }
        Command::Import(asked) => Ok(offline::import(&asked)),
        Command::Check { file } => Ok(offline::check(&file)),
        Command::Explain {
            what: Explain::Timing { file },
        } => Ok(offline::explain_timing(&file)),
        Command::Simulate(asked) => {
            let ask = || connect(&access)?.status().map_err(Stop::from);
            let status = asked.is_of_running().then(ask).transpose()?;
            Ok(offline::simulate(&asked, status.as_ref()))
        }
        Command::Diff {
            file,
            new: Some(new),
        } => Ok(offline::diff(&file, &new)),
        Command::Diff { file, new: None } => {
            let wish = apply::Wish {
                file,
                without: Vec::new(),
                look_only: true,
                yes: false,
            };
            apply(&access, &wish)
        }
        Command::Apply { file, yes, without } => {
            let wish = apply::Wish {
                file,
                without,
                look_only: false,
                yes,
            };
            apply(&access, &wish)
        }
        Command::Witness(options) => Ok(crate::witness::run(&options)),
        Command::Keygen {
            token: Some(name),
            file,
        } => Ok(offline::keygen_token(&name, file.as_deref())),
        Command::Keygen {
            token: None,
            file: Some(file),
        } => Ok(offline::keygen(&file)),
        Command::Keygen {
            token: None,
            file: None,
        } => Err(Stop::Usage(
            "keygen wants a file for the key, or --token NAME".to_owned(),
        )),
    }
}

fn status(access: &Access, json: bool) -> Result<u8, Stop> {
    let status = connect(access)?.status()?;
    if json {
        let mut text = serde_json::to_string_pretty(&status).unwrap_or_default();
        text.push('\n');
        print(&text)?;
    } else {
        print(&show::status(&status))?;
    }
    Ok(match status.health {
        Health::Healthy => DONE,
        Health::Degraded => REFUSED,
    })
}

fn log(access: &Access, lines: Option<usize>, follow: bool) -> Result<u8, Stop> {
    let client = connect(access)?;
    let mut from = 0;
    let all = read_log(&client, &mut from)?;
    let skipped = lines.map_or(0, |lines| all.len().saturating_sub(lines));
    print_lines(&all[skipped..])?;
    if !follow {
        return Ok(DONE);
    }
    loop {
        sleep(FOLLOW);
        match read_log(&client, &mut from) {
            Ok(lines) => print_lines(&lines)?,
            // It may be rebooting, and its first lines after that are worth waiting for.
            Err(Failure::Unreachable(_)) => {}
            Err(failure) => return Err(failure.into()),
        }
    }
}

/// Everything from `from` on, page by page.
fn read_log(client: &Client, from: &mut u64) -> Result<Vec<LogLine>, Failure> {
    let mut all = Vec::new();
    loop {
        let page = client.log(*from)?;
        if page.next < *from {
            // The node booted: its log begins anew.
            *from = 0;
            continue;
        }
        *from = page.next;
        if page.lines.is_empty() {
            return Ok(all);
        }
        all.extend(page.lines);
    }
}

fn print_lines(lines: &[LogLine]) -> Result<(), Stop> {
    lines
        .iter()
        .try_for_each(|line| print(&format!("{}\n", show::log_line(line))))
}

fn command(
    client: &Client,
    path: &str,
    wish: &impl serde::Serialize,
    said: &str,
) -> Result<u8, Stop> {
    let done = client.command(path, wish)?;
    let mut text = format!("{said} ({} of {} nodes know)\n", done.nodes, done.of);
    if !done.warning.is_empty() {
        text.push_str(&format!("but not yet: {}\n", done.warning));
    }
    if !done.forgotten_by.is_empty() {
        text.push_str(&format!("forgotten by: {}\n", done.forgotten_by));
    }
    print(&text)?;
    if !done.kept_on.is_empty() {
        print(&kept::line(client, &done.kept_on))?;
    }
    Ok(DONE)
}

fn manage(client: &Client, group: String, on: bool) -> Result<u8, Stop> {
    let said = match on {
        true => format!("{group} is managed again"),
        false => format!("{group} is left alone: it is watched only"),
    };
    command(client, "/v1/manage", &api::Manage { group, on }, &said)
}

/// Standby, then the wait until nothing is left there.
fn drain(client: &Client, node: String, timeout: Duration) -> Result<u8, Stop> {
    let wish = api::Standby { node, on: true };
    let said = format!("{} is on standby", wish.node);
    command(client, "/v1/standby", &wish, &said)?;
    let node = wish.node;
    let (why, code) = match drain::wait(client, &node, timeout)? {
        drain::End::Empty(said) => {
            print(&format!(
                "{said}\nit can be switched off; `kodo online {node}` when it is back\n"
            ))?;
            return Ok(DONE);
        }
        drain::End::Not(why) => (why, REFUSED),
        drain::End::Unknown(why) => (why, UNKNOWN),
    };
    eprintln!(
        "kodo: {why}\n  try: kodo status, to see why; {node} stays on standby until \
         `kodo online {node}`"
    );
    Ok(code)
}

/// A changed file, to be applied or only compared with what the nodes run.
fn apply(access: &Access, wish: &apply::Wish) -> Result<u8, Stop> {
    if !wish.look_only && !wish.yes && !io::stdin().is_terminal() {
        return Err(Stop::Usage(
            "apply wants --yes when nobody can be asked; `kodo diff` only looks".to_owned(),
        ));
    }
    let named = authorities(access)?;
    let token = token(access)?;
    let mut say = |text: &str| {
        // Whoever reads it may have enough; what was begun is finished.
        let _ = print(text);
    };
    let mut ask = |question: &str| {
        eprint!("{question} Type yes: ");
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        read.is_ok() && answer.trim() == "yes"
    };
    let mut desk = apply::Desk {
        say: &mut say,
        ask: &mut ask,
    };
    let end = apply::run(wish, &named, &token, &offline::loaded, &mut desk)?;
    let (why, code) = match end {
        apply::End::Done => return Ok(DONE),
        apply::End::Declined => ("nothing was changed".to_owned(), REFUSED),
        apply::End::Refused(why) => (why, REFUSED),
        apply::End::Unknown(why) => (why, UNKNOWN),
    };
    eprintln!("kodo: {}", why.trim_end());
    Ok(code)
}

fn confirm_takeover() -> Result<(), Stop> {
    if !io::stdin().is_terminal() {
        return Err(Stop::Usage(
            "takeover-anyway wants --yes when nobody can be asked".to_owned(),
        ));
    }
    eprint!(
        "If the silent node still runs, both nodes will own the address and the data.\n\
         Is its power off? Type yes: "
    );
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    if read.is_ok() && answer.trim() == "yes" {
        Ok(())
    } else {
        Err(Stop::Usage("nothing was done".to_owned()))
    }
}

fn connect(access: &Access) -> Result<Client, Stop> {
    if access.node.is_empty() {
        let why = "no node was named: --node ADDR, or KODO_NODE=ADDR,ADDR in the environment";
        return Err(Stop::Usage(why.to_owned()));
    }
    Ok(Client::new(authorities(access)?, token(access)?))
}

fn authorities(access: &Access) -> Result<Vec<Authority>, Stop> {
    let parse = |text: &String| Authority::parse(text.trim());
    let nodes = access.node.iter().map(parse).collect::<Result<_, _>>();
    nodes.map_err(Stop::Usage)
}

/// For what befalls the node that is asked: there must be no doubt which one.
fn connect_to_one(access: &Access) -> Result<Client, Stop> {
    if access.node.len() > 1 {
        let why = "this befalls the node that is asked: name exactly one with --node ADDR";
        return Err(Stop::Usage(why.to_owned()));
    }
    connect(access)
}

fn token(access: &Access) -> Result<String, Stop> {
    let token = match (&access.token_file, env::var(TOKEN)) {
        (Some(file), _) => read_token(file)?,
        (None, Ok(token)) => token.trim().to_owned(),
        (None, Err(_)) => {
            let why = "no token was given: --token-file FILE, or KODO_TOKEN in the environment";
            return Err(Stop::Usage(why.to_owned()));
        }
    };
    let sound = !token.is_empty() && token.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    sound.then_some(token).ok_or_else(|| {
        Stop::Usage("the token is empty or has characters that no token has".to_owned())
    })
}

fn read_token(file: &Path) -> Result<String, Stop> {
    let text = fs::read_to_string(file).map_err(|error| {
        Stop::Usage(format!(
            "cannot read the token in {}: {error}",
            file.display()
        ))
    })?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

fn print(text: &str) -> Result<(), Stop> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|_| Stop::Deaf)
}
