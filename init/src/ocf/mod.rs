//! An OCF resource agent as a service: what runs it, inside the service's own root.
//!
//! An agent (Open Cluster Framework, resource agent API 1.1) is a program that does one
//! action at a time and ends: `start`, `monitor`, `stop`, `promote`, `demote`. To the rest of
//! this node a service is one process that lives as long as it runs. [`runner`] is that
//! process: it starts, and then does what the svc lane asks for on its channel. It decides
//! nothing: how often to ask, what a failure means and how long things may take is the
//! supervisor's, as for every other service.
//!
//! A failed monitor is a failed probe, and after as many as the file says the service is
//! killed with all that it left anywhere in its cgroup, its memory and its mounts; then the
//! agent starts in a new root. `stop` runs when a service is stopped in order. Both are told
//! apart from Pacemaker, which runs `stop` in both cases, because there is nothing left to
//! be stopped after a kill.
//!
//! The daemon that an agent leaves behind becomes the runner's child, because the runner is
//! the first of the service's own processes; it reaps them.

pub(crate) mod agent;
pub(crate) mod runner;
pub(crate) mod score;

use std::path::Path;

/// What of this binary's names runs an agent: how it finds itself in a service's root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The process that runs the agent.
    Runner,
    /// What agents call to say how fit they are to be promoted.
    Score,
}

/// The role that this process was started in, by the name of its program.
pub(crate) fn role(program: &str) -> Option<Role> {
    use kodo_config::cluster::Agent;
    let name = |path: &str| Path::new(path).file_name().map(ToOwned::to_owned);
    let own = name(program)?;
    let is = |path: &str| name(path).as_ref() == Some(&own);
    if is(Agent::RUNNER) {
        return Some(Role::Runner);
    }
    Agent::SCORE
        .iter()
        .any(|path| is(path))
        .then_some(Role::Score)
}

#[cfg(test)]
mod tests;
