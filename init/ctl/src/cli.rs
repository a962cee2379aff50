//! The words of the command line, and the help that teaches them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use kodo_admin::api::DrillKind;

use crate::simulate::Simulate;

const AFTER: &str = "\
First steps:
  export KODO_NODE=192.168.0.18,192.168.0.19   every node, the first that answers is asked
  export KODO_TOKEN=...                        your operator token, or --token-file FILE
  kodo status                                  is all well? what is not?
  kodo log                                     what happened, and on which evidence

Before there is a cluster:
  kodo import ha.cf haresources -o cluster.toml   coming from Heartbeat or keepalived?
  kodo keygen cluster.key        the key that signs heartbeats
  kodo keygen --token anna       a token for an operator
  kodo check cluster.toml        is the cluster file sound?
  kodo explain timing cluster.toml   what will clients notice of a failure?
  kodo simulate cluster.toml --fail node1   what will the cluster do about it?

Before you touch a running cluster:
  kodo simulate cluster.toml --running --standby node1   what would be done, and why?

A changed cluster file for nodes that run:
  kodo diff changed.toml         what would change? can they do it while they run?
  kodo apply changed.toml        checks, shows, asks, then changes all nodes together

Planned work on node1:
  kodo drain node1       its groups move away; says when it may be switched off
  ...                    work, restart, reflash
  kodo online node1      it is a full member again

Planned work on everything, such as the switch between the nodes:
  kodo maintenance on    nothing is started, stopped or moved, whatever is seen
  ...                    work
  kodo status            is all as it was?
  kodo maintenance off   failures are acted on again

Exit codes:
  0   done; of status: healthy
  1   refused; of status: degraded; of check: not a cluster file to build from
  2   unknown: no node answered, or none accepted the token
  64  the command line was not understood";

const IMPORT: &str = "\
From Heartbeat 1:
  kodo import /etc/ha.d/ha.cf /etc/ha.d/haresources /etc/ha.d/authkeys -o cluster.toml

From Heartbeat 2 or Pacemaker:
  cibadmin -Q > cib.xml
  kodo import /etc/ha.d/ha.cf cib.xml -o cluster.toml

With what only you know, so that nothing of it is left to replace:
  kodo import ha.cf haresources -o cluster.toml --gateway 192.168.0.1 \\
    --machine node1=192.168.0.18/24,52:54:00:00:01:01,52:54:00:00:01:02 \\
    --machine node2=192.168.0.19/24,52:54:00:00:02:01,52:54:00:00:02:02

Then make a key (kodo keygen cluster.key), name it in the file, and: kodo check cluster.toml";

const SIMULATE: &str = "\
What would the running cluster do now, if node1 failed, or `web` stopped for good?
  kodo simulate cluster.toml --running --fail node1
  kodo simulate cluster.toml --running --stop web

Can the cluster lose any one node?
  kodo simulate cluster.toml --fail node1
  kodo simulate cluster.toml --fail node2

What will this maintenance do, and where would the database go?
  kodo simulate cluster.toml --standby node1 --online node1 --why db

Will the groups return by themselves?
  kodo simulate cluster.toml --fail node1 --join node1 --wait

What does the changed file do to the running cluster?
  kodo simulate cluster.toml --running --apply changed.toml

Of each node `--why` says what speaks against the group there; where it is open, what the
place is worth by location, colocations and stickiness.";

const APPLY: &str = "\
What can change while the nodes run: groups and all their words, locations, colocations, orders,
services' probes and timeouts, services and VIPs that come or go, capacities, operators' tokens,
keys, drills. What a group is made of stops and starts again; all else goes on.

What needs images of the new file, and booting the nodes from them one by one: nodes, network
ports, serial lines, timing, split_brain and who decides it, ping, the watchdog, the API's port,
and a service's files. Such a file is refused as a whole.

A new cluster key without a missed beat, in three steps, each followed by `kodo apply`:
  1. add the new key as the second line of the key file: both are accepted, the old one signs
  2. swap the two lines: the new one signs
  3. delete the second line, the old key
A step that would cut nodes off is refused.

A node that boots runs the file of its image. Build images of the new file and put them in place
before the next boot; a node that came back with the old one gets the new one when it is applied
again.";

/// Looks after a kodo cluster: what runs where, why, and what to do about it.
///
/// Speaks to the admin API of one node over HTTP; what one node knows, all know.
#[derive(Debug, Parser)]
#[command(name = "kodo", version, after_help = AFTER, max_term_width = 100, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) access: Access,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How to reach a node.
#[derive(Debug, Args)]
pub(crate) struct Access {
    /// Address of a node, with a port if it is not 5580; several, separated by commas,
    /// are tried in turn.
    #[arg(
        long = "node",
        global = true,
        id = "address",
        env = "KODO_NODE",
        value_name = "ADDR",
        value_delimiter = ','
    )]
    pub(crate) node: Vec<String>,
    /// File with your operator token on its first line. Without it the token itself is
    /// taken from KODO_TOKEN: never from the command line, which other users can see.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show groups, nodes, paths and what is wrong.
    ///
    /// Exits with 0 when the cluster is healthy, 1 when it is degraded, 2 when no node
    /// could be asked: fit for a monitoring system as it is.
    Status {
        /// Print the API's JSON instead.
        #[arg(long)]
        json: bool,
    },
    /// Show a node's log: decisions with their evidence.
    ///
    /// The newest 256 lines are kept since the node booted. Times are seconds since then.
    Log {
        /// Show only so many of the newest lines.
        #[arg(short = 'n', long, value_name = "LINES")]
        lines: Option<usize>,
        /// Go on showing new lines until interrupted.
        #[arg(short, long)]
        follow: bool,
    },
    /// Take a node out of service: its groups move away, and it takes none until `online`.
    ///
    /// Survives everything, but a power loss of all nodes at once only where they have a state
    /// partition: the answer says which disks keep it.
    Standby {
        /// Its name in the cluster file.
        node: String,
    },
    /// Take a node out of service as `standby` does, and wait until it holds nothing.
    ///
    /// Says what it still holds, and when it can be switched off. Exits with 1 when it still
    /// holds something after the timeout, or keeps it because nothing is moved at present, and
    /// with 2 when nobody can say. The node stays on standby in any case.
    Drain {
        /// Its name in the cluster file.
        node: String,
        /// How long to wait.
        #[arg(long, value_name = "TIME", default_value = "60s", value_parser = kodo_config::time::parse)]
        timeout: std::time::Duration,
    },
    /// Undo `standby`, `drain` or a quarantine: the node may run groups again.
    ///
    /// Whether groups return at once is the cluster file's `failback`. A node is put into
    /// quarantine when it died more often than the cluster file allows; find out why first.
    Online {
        /// Its name in the cluster file.
        node: String,
    },
    /// Run a group on this node, and prefer it from now on; with `--once`, only move it.
    ///
    /// The old holder stops it in order first: connections in flight end, later ones find
    /// the new holder. Where the node cannot have it now, the answer says why and what happens
    /// instead; the wish stays open.
    Move {
        /// The group's name in the cluster file.
        group: String,
        /// The node that shall run it.
        node: String,
        /// Do not prefer that node from now on: when the group has to move the next time, the
        /// cluster file's order counts again.
        #[arg(long)]
        once: bool,
    },
    /// Touch nothing while people work on the cluster, or end that.
    ///
    /// While it is on, no group is started, stopped or moved and no failure is counted: a
    /// service that you restart by hand is not restarted elsewhere, and a group whose node dies
    /// runs nowhere until it is off. Leases still count: a node that nobody hears lets go of
    /// what must not run twice.
    Maintenance {
        /// Begin or end it.
        switch: Switch,
    },
    /// Act on a group again after `unmanage`.
    Manage {
        /// The group's name in the cluster file.
        group: String,
    },
    /// Leave one group alone: it stays as and where it is, and is only watched.
    ///
    /// As `maintenance on`, for this group; nobody takes it over when its node dies.
    Unmanage {
        /// The group's name in the cluster file.
        group: String,
    },
    /// Vouch that the silent node is dead: take its groups over without further evidence.
    ///
    /// Only for the case that a surviving node says it waits for evidence and you know that
    /// the other machine is off. If it still runs, both will own the address and the data.
    /// Pull its power first. A node that is heard cannot be overruled like this.
    TakeoverAnyway {
        /// Do not ask for confirmation.
        #[arg(long)]
        yes: bool,
    },
    /// Forget a group's failures on every node, so that it may run everywhere again.
    ///
    /// Where it could not be stopped and the cluster file says `on_stop_failure = "block"`, the
    /// stop is tried again: see to what was stuck there first.
    Cleanup {
        /// The group's name in the cluster file.
        group: String,
    },
    /// Break the node that is asked, on purpose, to see the cluster handle it.
    ///
    /// Only where the cluster file says `drills = true`. Name exactly one node.
    Drill {
        /// How.
        kind: Drill,
    },
    /// Give everything up in order, then power off or reboot the node that is asked.
    ///
    /// Name exactly one node.
    Halt(Halt),
    /// Judge a cluster file: everything that is wrong, where, why, and what to write instead.
    ///
    /// The same judgement as when an image is built. Needs no node.
    Check {
        /// The cluster file.
        file: PathBuf,
    },
    /// Say what a cluster file means in practice. Needs no node.
    Explain {
        #[command(subcommand)]
        what: Explain,
    },
    /// Foretell what a cluster would do: where groups start, and what follows from events.
    ///
    /// The engine's own placement judges, as on the nodes. At first every node is healthy and
    /// every group is where it starts, or, with `--running`, all is as in the running cluster.
    /// Then the events happen in the order in which they are typed, and everything that is
    /// done about each is printed, in its order, with the cause and with what spoke for and
    /// against the nodes. Changes nothing anywhere, and
    /// needs no node without `--running`.
    #[command(after_help = SIMULATE)]
    Simulate(Simulate),
    /// Say what differs between two cluster files, or between one and the running cluster.
    ///
    /// `kodo diff OLD NEW` needs no node. `kodo diff NEW` asks every node of the file to compare
    /// it with what it runs, and changes nothing. Exits with 0 when nodes that run can go over
    /// to the new file (`kodo apply`), with 1 when they cannot, and says why.
    Diff {
        /// The changed file; with two, the old one.
        file: PathBuf,
        /// The changed file, when the first is the old one.
        new: Option<PathBuf>,
    },
    /// Change nodes that run to another cluster file, all together.
    ///
    /// Checks the file here and on every node, shows what differs and what placement will do
    /// about it, asks, and then has all nodes change at one instant. No heartbeat is missed,
    /// nothing stops that the change does not name, and when any node refuses the file nothing
    /// changes anywhere. Finds the nodes by the file's own addresses, unless --node says where
    /// they are.
    #[command(after_help = APPLY)]
    Apply {
        /// The changed cluster file.
        file: PathBuf,
        /// Do not ask for confirmation.
        #[arg(long)]
        yes: bool,
        /// Go on without this node, which does not answer; may be given several times.
        #[arg(long, value_name = "NODE")]
        without: Vec<String>,
    },
    /// Be the witness of clusters: speak for one part at a time of each that is split.
    ///
    /// For a third machine that shares neither power feed nor switch with the nodes. Keeps no
    /// state and runs until it is killed; run exactly one for a cluster, and restart it when
    /// its machine was restored from a snapshot. Losing it alone stops nothing.
    Witness(Witness),
    /// Make a cluster file of the files of Heartbeat, early Pacemaker or keepalived.
    ///
    /// Each file is known by its name or content: ha.cf, haresources, authkeys, cib.xml,
    /// keepalived.conf. What the old files do not say is marked REPLACE in the new one, and what
    /// was not carried over stands at its end, with the line where it was and why.
    #[command(after_help = IMPORT)]
    Import(Import),
    /// Make a cluster key, or an operator's token. Needs no node.
    ///
    /// `kodo keygen FILE` writes a fresh cluster key to a file that does not exist yet.
    /// `kodo keygen --token NAME` shows a fresh token once, and the table for the cluster file
    /// that makes nodes accept it; with FILE its hash is added to that tokens file instead.
    Keygen {
        /// Make a token for this operator instead of a key.
        #[arg(long, value_name = "NAME")]
        token: Option<String>,
        /// Where to: a new file for a key, a tokens file for a token.
        #[arg(required_unless_present = "token")]
        file: Option<PathBuf>,
    },
}

/// What a cluster file is made of.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The old files; of keepalived one for each node, the better node's first.
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Where to: a new file. Without it the cluster file is printed.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// What the old files do not say of a node: its address, the MAC address of its LAN port,
    /// and that of the port to the other node.
    #[arg(long = "machine", value_name = "NAME=ADDRESS/PREFIX[,MAC[,MAC]]")]
    pub(crate) nodes: Vec<kodo_import::NodeOption>,
    /// The gateway of the LAN.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) gateway: Option<std::net::IpAddr>,
}

/// What a witness is told.
#[derive(Debug, Args)]
pub(crate) struct Witness {
    /// Where to listen. Name the very address that the cluster files name: an answer that
    /// leaves from another address of this machine is not believed.
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:5581")]
    pub(crate) listen: std::net::SocketAddr,
    /// A list of clusters, or a cluster file; several are taken together.
    ///
    /// A list has, for each cluster: `[[cluster]]`, `name = "web"`, `key_file = "web.key"`
    /// (or `key`), and for the log `nodes = ["node1", "node2"]`. A key file may hold two keys
    /// while the nodes change from one to the other. Of a cluster file only the name, the
    /// nodes and the witness's key are read: it may come here without the cluster's key.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub(crate) cluster: Vec<PathBuf>,
    /// How long nothing is granted after a start. A witness keeps nothing on disk: what it
    /// granted before must be over by then. No cluster whose bound W is longer is served.
    /// Never start it with a shorter one than it ran with before.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = kodo_config::time::parse)]
    pub(crate) hold_off: std::time::Duration,
}

/// What can be explained.
#[derive(Debug, Subcommand)]
pub(crate) enum Explain {
    /// How long failures take to be noticed and served elsewhere, and where each bound
    /// comes from.
    Timing {
        /// The cluster file.
        file: PathBuf,
    },
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    /// From now on.
    On,
    /// No longer.
    Off,
}

/// Ways to break a node.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Drill {
    /// KILL the main process of every service: restarted in place.
    ServiceKill,
    /// Panic the kernel: the node resets itself, the other one takes over.
    KernelPanic,
    /// Make PID 1 spin for ever: the hardware watchdog resets the node.
    Pid1Stuck,
    /// Abort PID 1: the kernel panics and resets the node.
    Pid1Dies,
}

impl From<Drill> for DrillKind {
    fn from(drill: Drill) -> DrillKind {
        match drill {
            Drill::ServiceKill => DrillKind::ServiceKill,
            Drill::KernelPanic => DrillKind::KernelPanic,
            Drill::Pid1Stuck => DrillKind::Pid1Stuck,
            Drill::Pid1Dies => DrillKind::Pid1Dies,
        }
    }
}

/// What follows the orderly leave.
#[derive(Clone, Copy, Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Halt {
    /// Switch the machine off.
    #[arg(long)]
    pub(crate) power_off: bool,
    /// Start it again.
    #[arg(long)]
    pub(crate) reboot: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_argument_is_explained() {
        fn look(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                assert!(
                    argument.get_help().is_some(),
                    "{} {}",
                    command.get_name(),
                    argument.get_id()
                );
            }
            command.get_subcommands().for_each(look);
        }
        look(&Cli::command());
    }

    #[test]
    fn several_nodes() {
        let cli = Cli::try_parse_from(["kodo", "--node", "192.0.2.1,192.0.2.2", "status"]).unwrap();
        assert_eq!(cli.access.node, ["192.0.2.1", "192.0.2.2"]);
    }

    #[test]
    fn the_node_to_ask_is_not_the_node_to_act_on() {
        let cli = Cli::try_parse_from(["kodo", "--node", "192.0.2.1", "standby", "node2"]).unwrap();
        assert_eq!(cli.access.node, ["192.0.2.1"]);
        assert!(matches!(cli.command, Command::Standby { node } if node == "node2"));
    }

    #[test]
    fn halt_wants_exactly_one_kind() {
        let parse =
            |args: &[&str]| Cli::try_parse_from(["kodo", "halt"].iter().chain(args)).is_ok();
        assert!(parse(&["--reboot"]) && parse(&["--power-off"]));
        assert!(!parse(&[]) && !parse(&["--reboot", "--power-off"]));
    }
}
