//! When two engines are the same: for a search that must not visit one state twice.
//!
//! Owns what counts. Every field is named below, so that a new one cannot be forgotten.
//! Left out is only what decides nothing: equal engines do the same for ever, they may
//! just tell it differently.

use core::hash::{Hash, Hasher};

use super::{Absent, Engine};

impl Hash for Engine {
    fn hash<H: Hasher>(&self, to: &mut H) {
        let Engine {
            // the hash of the file stands for all of it; its keys go into no other hash
            config,
            codec: _,
            wait_bound: _,
            guard_bound: _,
            hold_back,
            terms: _,
            boot,
            now,
            deadline,
            sends,
            beats,
            rng,
            carriers,
            peers,
            other_file,
            files_differ_since,
            staged,
            wanted,
            absent,
            granted,
            clients,
            wellness,
            backoff,
            joined_at,
            exits,
            twin,
            role,
            view,
            view_since,
            ballot,
            ballot_since,
            agreed,
            left_out,
            epoch,
            lonely,
            torn_since,
            vouched,
            written_off,
            pledged,
            lease,
            witness,
            gates,
            plan,
            groups,
            resources,
            registers,
            keeper,
            timers,
            watchdog,
            leaving_since,
            resetting,
            // cleared whenever the stages run
            again: _,
            // earned and spent within one input
            progress: _,
            // drained after every input
            effects: _,
            // what people are told, and how often
            told_files: _,
            left_file: _,
            shown: _,
            doubted: _,
            short: _,
            counters: _,
            unreported: _,
            rejected_at: _,
        } = self;
        (config.me, config.file_hash, boot, now, deadline).hash(to);
        (sends, beats, rng, carriers).hash(to);
        (peers, other_file, files_differ_since, absent, granted).hash(to);
        (staged, wanted, hold_back).hash(to);
        (clients, wellness).hash(to);
        (backoff, joined_at, exits, twin, role).hash(to);
        (view, view_since, ballot, ballot_since, agreed, left_out).hash(to);
        (epoch, lonely, torn_since, vouched, written_off, pledged).hash(to);
        (lease, witness, gates).hash(to);
        (plan, groups, resources, registers, keeper).hash(to);
        (timers, watchdog, leaving_since, resetting).hash(to);
    }
}

impl Hash for Absent {
    fn hash<H: Hasher>(&self, to: &mut H) {
        let Absent {
            gone,
            // what people are told
            evidence: _,
            doubted: _,
        } = self;
        gone.hash(to);
    }
}
