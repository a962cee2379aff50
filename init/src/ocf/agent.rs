//! An agent's program: its actions, and the environment that tells it everything.
//!
//! Owns what the resource agent API and Pacemaker's agents expect to be told. Whatever the
//! service's own environment says of the same names wins.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kodo_config::cluster;
use kodo_sys::Result;
use kodo_sys::process::{self, Give, Spawn};
use kodo_sys::root::Home;

use super::score;

/// As for every service (see the svc lane): below that only root could go.
const OOM_SCORE: i16 = 500;
/// The version of Pacemaker's features that agents find: with 3.10 `crm_attribute` took over
/// from `crm_master`.
const FEATURES: &str = "3.16.2";

/// What an agent can be asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Start,
    Monitor,
    Promote,
    Demote,
    Stop,
}

impl Action {
    /// The agent's argument.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Action::Start => "start",
            Action::Monitor => "monitor",
            Action::Promote => "promote",
            Action::Demote => "demote",
            Action::Stop => "stop",
        }
    }
}

/// How long actions may take, as agents are told. The supervisor keeps to the same times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) start: Duration,
    pub(crate) stop: Duration,
    pub(crate) monitor: Duration,
    /// From one monitor to the next.
    pub(crate) interval: Duration,
}

/// An agent, and what all its actions are told.
#[derive(Debug)]
pub(crate) struct Agent {
    /// For messages: `provider:type`.
    pub(crate) name: String,
    program: PathBuf,
    environment: Vec<String>,
    pub(crate) times: Times,
    node: String,
    /// Instances that the cluster runs, of one that can be promoted.
    pub(crate) clones: Option<u16>,
    /// Where its promotion score is.
    pub(crate) score: PathBuf,
}

impl Agent {
    /// The agent `provider:type`. `own` is the environment of this process, and `state` the
    /// directory where agents keep their state.
    pub(crate) fn new(
        name: &str,
        own: impl IntoIterator<Item = (String, String)>,
        times: Times,
        clones: Option<u16>,
        state: &Path,
    ) -> std::result::Result<Agent, String> {
        let (provider, kind) = name
            .split_once(':')
            .ok_or_else(|| format!("{name} is no agent"))?;
        let own: Vec<(String, String)> = own.into_iter().collect();
        let of = |wanted: &str| {
            let found = own.iter().find(|(name, _)| name == wanted);
            found.map_or("", |(_, value)| value.as_str())
        };
        let root = match of("OCF_ROOT") {
            "" => Path::new(cluster::Agent::ROOT).parent(),
            root => Some(Path::new(root)),
        };
        let root = root.unwrap_or(Path::new("/"));
        let score = state.join(score::FILE);
        let (state, place) = (state.display().to_string(), root.display().to_string());
        let always = [
            ("OCF_ROOT", place.as_str()),
            ("OCF_RA_VERSION_MAJOR", "1"),
            ("OCF_RA_VERSION_MINOR", "1"),
            ("OCF_EXIT_REASON_PREFIX", "ocf-exit-reason:"),
            ("OCF_RESOURCE_INSTANCE", of("KODO_SERVICE")),
            ("OCF_RESOURCE_PROVIDER", provider),
            ("OCF_RESOURCE_TYPE", kind),
            ("OCF_RESKEY_crm_feature_set", FEATURES),
            ("HA_RSCTMP", state.as_str()),
            ("HA_VARRUN", state.as_str()),
            // What agents log goes to standard error, and from there into the node's log.
            ("HA_LOGFACILITY", "none"),
            ("HA_debug", "0"),
        ];
        let unsaid = always.into_iter().filter(|(name, _)| of(name).is_empty());
        let mut environment: Vec<String> = own
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        environment.extend(unsaid.map(|(name, value)| format!("{name}={value}")));
        environment.push(format!("{}={}", score::VARIABLE, score.display()));
        Ok(Agent {
            name: name.to_owned(),
            program: root.join("resource.d").join(provider).join(kind),
            node: of("KODO_NODE").to_owned(),
            environment,
            times,
            clones,
            score,
        })
    }

    /// Runs one action. `promoted` is its role at present.
    pub(crate) fn run(
        &self,
        action: Action,
        promoted: bool,
        words: [BorrowedFd<'_>; 2],
    ) -> Result<process::Child> {
        let mut environment = self.environment.clone();
        environment.extend(self.meta(action, promoted));
        let [output, error] = words;
        let give =
            [(1, output), (2, error)].map(|(number, descriptor)| Give { number, descriptor });
        Spawn {
            program: &self.program,
            arguments: &[self.program.display().to_string(), action.word().to_owned()],
            environment: &environment,
            directory: Path::new("/"),
            home: Home::Ours,
            give: &give,
            cgroup: None,
            confinement: None,
            oom_score: OOM_SCORE,
            die_with_parent: true,
        }
        .start()
    }

    /// What Pacemaker tells of an action by its meta attributes.
    fn meta(&self, action: Action, promoted: bool) -> Vec<String> {
        let Times {
            start,
            stop,
            monitor,
            interval,
        } = self.times;
        let (timeout, interval) = match action {
            Action::Start | Action::Promote => (start, Duration::ZERO),
            Action::Stop | Action::Demote => (stop, Duration::ZERO),
            Action::Monitor => (monitor, interval),
        };
        let mut meta = vec![
            ("name", action.word().to_owned()),
            ("timeout", timeout.as_millis().to_string()),
            ("interval", interval.as_millis().to_string()),
            ("on_node", self.node.clone()),
        ];
        if let Some(clones) = self.clones {
            let role = if promoted { "Promoted" } else { "Unpromoted" };
            let of_clones = [
                ("clone", "0".to_owned()),
                ("clone_max", clones.to_string()),
                ("clone_node_max", "1".to_owned()),
                ("promotable", "true".to_owned()),
                ("promoted_max", "1".to_owned()),
                ("promoted_node_max", "1".to_owned()),
                // By these names older agents know that they can be promoted.
                ("master_max", "1".to_owned()),
                ("master_node_max", "1".to_owned()),
                ("globally_unique", "false".to_owned()),
                ("notify", "false".to_owned()),
                ("role", role.to_owned()),
            ];
            meta.extend(of_clones);
        }
        let meta = meta.into_iter();
        meta.map(|(name, value)| format!("OCF_RESKEY_CRM_meta_{name}={value}"))
            .collect()
    }
}
