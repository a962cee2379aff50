//! Clusters in which votes decide: three nodes, a pair with a voter, a pair with a witness.
//!
//! Machines are kept apart from each other, not from their clients: what makes a node fall
//! silent is its own decision, and the wire shows whether it came in time.

use std::time::Duration;

use kodo_qemu::{Mark, Parting};
use kodo_tests_lab::{GROUP, Story, THREE, VOTER, WITNESS, Way};

/// A change of views and what follows from it, at the lab profile under emulation.
const SOON: Duration = Duration::from_secs(20);
/// A machine boots under emulation and joins.
const BOOT: Duration = Duration::from_secs(90);
/// The host of the witness, as the lab calls it.
const WITNESS_HOST: &str = "witness";
/// A view that stands this long does not flap.
const STEADY: Duration = Duration::from_secs(20);

#[test]
fn three_nodes_split() {
    let story = Story::of(THREE);
    standby_is_alone(&story);
    active_is_alone(&story);
    let active = story.serving(SOON);
    let (third, last) = (story.other(&active), story.last_other(&active));
    apart(&story, &Parting::between(&active, &last), &third, STEADY);
    apart(
        &story,
        &Parting::one_way(&active, &last),
        &third,
        STEADY / 2,
    );
    story.end();
}

#[test]
fn three_nodes_lose_power() {
    let story = Story::of(THREE);
    active_loses_power(&story);
    story.end();
}

#[test]
fn voter_decides_a_split() {
    let story = Story::of(VOTER);
    standby_is_alone(&story);
    active_is_alone(&story);
    let active = story.serving(SOON);
    let (standby, voter) = (story.other(&active), story.last_other(&active));
    apart(&story, &Parting::between(&active, &standby), &voter, STEADY);
    // Who is left out may have changed.
    let active = story.serving(SOON);
    let standby = story.other(&active);
    apart(
        &story,
        &Parting::one_way(&standby, &active),
        &voter,
        STEADY / 2,
    );
    let active = story.serving(SOON);
    let standby = story.other(&active);
    apart(
        &story,
        &Parting::between(&active, &voter),
        &standby,
        STEADY / 2,
    );
    story.end();
}

#[test]
fn voter_and_active_lose_power() {
    let story = Story::of(VOTER);
    let active = story.serving(SOON);
    let voter = story.last_other(&active);
    let before = story.now();
    story.foretell(&format!("--fail {voter}"));
    story.lab.power_off(&voter).expect("power off");
    sees_dead(&story, &active, &voter);
    undisturbed(&story, &active, before);

    // One vote of three: alone, the active serves no longer, and the standby does not begin.
    let split = story.now();
    story.foretell_cut_off(&active);
    story.isolate(&active);
    story.nobody_serves(SOON);
    story.watch(STEADY / 4);
    assert_eq!(story.takeovers(split), [""; 0]);
    let healed = story.now();
    // neither was asked before the other in what follows a loss of quorum
    let starts = |node: &str| format!("start {GROUP} on {node}");
    let (one, other) = (starts(&active), starts(&story.other(&active)));
    story.foretell_one_of(&[Way::Documented(&[&one]), Way::Documented(&[&other])]);
    story.lab.heal_all();
    story.serving(SOON);
    println!("two of three again: outage {:?}", story.outage(healed));

    story.foretell(&format!("--join {voter}"));
    story.lab.power_on(&voter).expect("power on");
    story.settled();
    active_loses_power(&story);
    story.end();
}

#[test]
fn witness_decides_a_split() {
    let story = Story::of(WITNESS);
    standby_is_alone(&story);

    // Neither the other node nor the witness hears the active, but clients do.
    let active = story.serving(SOON);
    let heir = story.other(&active);
    let split = story.now();
    story.foretell_cut_off(&active);
    story.isolate(&active);
    let unheard = Parting::between(&active, WITNESS_HOST);
    story.lab.part(&unheard).expect("the witness's host");
    story.served_by(&heir, SOON);
    println!("all-paths-cut: outage {:?}", story.outage(split));
    let healed = story.now();
    story.foretell(&format!("--join {active}"));
    story.lab.heal_all();
    story.settled();
    healed_well(&story, &heir, healed);
    assert_eq!(story.takeovers(split), [heir.as_str()]);

    // Only one way is lost, for long: one owner all the time.
    let (active, before) = (heir, story.now());
    let mute = Parting::one_way(&active, &story.other(&active));
    // both reach the witness
    story.foretell_one_of(&[Way::Documented(&[]), Way::CutOff(&active)]);
    story.lab.part(&mute).expect("nodes");
    story.watch(STEADY);
    let owner = story.serving(SOON);
    let moves = story.takeovers(before);
    println!("{mute}: {owner} serves, outage {:?}", story.outage(before));
    assert!(moves.len() <= 1, "flapping: {moves:?}");
    let healed = story.now();
    story.foretell(&format!("--join {}", story.other(&owner)));
    story.lab.heal_all();
    story.settled();
    healed_well(&story, &owner, healed);
    story.end();
}

#[test]
fn witness_restarts_during_a_split() {
    let story = Story::of(WITNESS);
    let active = story.serving(SOON);
    let split = story.now();
    // Both reach the witness: it speaks for one of them.
    story.foretell_one_of(&[Way::Documented(&[]), Way::CutOff(&active)]);
    story.isolate(&active);
    story.watch(STEADY / 4);
    let owner = story.serving(SOON);
    let moves = story.takeovers(split);
    println!("split: {owner} serves, outage {:?}", story.outage(split));
    assert!(moves.len() <= 1, "flapping: {moves:?}");

    let killed = story.now();
    let acts = |act: &str, node: &str| format!("{act} {GROUP} on {node}");
    let stops = acts("stop", &owner);
    story.foretell_one_of(&[Way::Documented(&[&stops])]);
    story.lab.stop_witness();
    story.nobody_serves(SOON);
    let (one, two) = (acts("start", &owner), acts("start", &story.other(&owner)));
    story.foretell_one_of(&[Way::Documented(&[&one]), Way::Documented(&[&two])]);
    story.start_witness(WITNESS);
    story.serving(SOON);
    println!("witness restarted: outage {:?}", story.outage(killed));
    story.watch(STEADY / 4);
    let owner = story.serving(SOON);

    let healed = story.now();
    story.foretell(&format!("--join {}", story.other(&owner)));
    story.lab.heal_all();
    story.settled();
    healed_well(&story, &owner, healed);
    story.end();
}

/// The active node's power is cut, and comes back.
fn active_loses_power(story: &Story) {
    let active = story.serving(SOON);
    let heir = story.other(&active);
    let cut = story.now();
    story.foretell(&format!("--fail {active}"));
    story.lab.power_off(&active).expect("power off");
    story.served_by(&heir, SOON);
    println!("power-loss: outage {:?}", story.outage(cut));
    story.foretell(&format!("--join {active}"));
    story.lab.power_on(&active).expect("power on");
    story.settled();
    assert_eq!(story.serving(SOON), heir, "failback is manual: it stays");
    assert_eq!(story.takeovers(cut), [heir]);
}

/// The standby hears nobody: nothing moves, neither then nor when it is back.
fn standby_is_alone(story: &Story) {
    let active = story.serving(SOON);
    let standby = story.other(&active);
    let before = story.now();
    story.foretell_cut_off(&standby);
    story.isolate(&standby);
    sees_dead(story, &active, &standby);
    story.foretell(&format!("--join {standby}"));
    story.lab.heal_all();
    story.settled();
    undisturbed(story, &active, before);
}

/// The active hears nobody, while clients still reach it: it falls silent, then the other
/// one serves, and keeps serving when the split is over.
fn active_is_alone(story: &Story) {
    let active = story.serving(SOON);
    let heir = story.other(&active);
    let split = story.now();
    story.foretell_cut_off(&active);
    story.isolate(&active);
    story.served_by(&heir, SOON);
    println!("all-paths-cut: outage {:?}", story.outage(split));
    let healed = story.now();
    story.foretell(&format!("--join {active}"));
    story.lab.heal_all();
    story.settled();
    healed_well(story, &heir, healed);
    assert_eq!(story.takeovers(split), [heir]);
}

/// Two of three do not hear each other, the third hears both: one view without one of the
/// two, for as long as it lasts.
fn apart(story: &Story, parting: &Parting, third: &str, time: Duration) {
    let before = story.now();
    let nodes = story.nodes();
    let two: Vec<&String> = nodes.iter().filter(|node| **node != *third).collect();
    story.foretell_one_of(&[Way::CutOff(two[0]), Way::CutOff(two[1])]);
    story.lab.part(parting).expect("nodes");
    // The third stays a member whatever is agreed; the service moves at most once for it.
    story.status(third, "a view of two nodes", SOON, |status| {
        (status["view"]["members"].as_array()?.len() == 2).then_some(())
    });
    let active = served_by_a_member(story, third);
    let (view, steady) = (story.view(third), story.now());
    story.watch(time);
    assert_eq!(story.view(third), view, "one view all the time");
    undisturbed(story, &active, steady);
    println!("{parting}: view {view}, outage {:?}", story.outage(before));
    assert!(story.takeovers(before).len() <= 1);

    let healed = story.now();
    let out = two.iter().find(|node| {
        let members = view["members"].as_array().expect("members");
        !members.iter().any(|member| *member == ***node)
    });
    story.foretell(&format!("--join {}", out.expect("one is left out")));
    story.lab.heal_all();
    story.settled();
    healed_well(story, &active, healed);
}

/// After a heal the owner stays, clients hardly notice, and nobody else tries.
fn healed_well(story: &Story, owner: &str, healed: Mark) {
    assert_eq!(story.serving(SOON), owner, "the loser does not fight back");
    assert_eq!(story.takeovers(healed), [""; 0]);
    let gap = story.outage(healed);
    println!("heal: longest gap {gap:?}");
    assert!(
        gap <= Duration::from_secs(1),
        "a client reaches the VIP within a second of the heal, not {gap:?}"
    );
}

/// Fails if a client was without an answer, or another node answered, since a moment.
fn undisturbed(story: &Story, active: &str, since: Mark) {
    assert_eq!(story.serving(SOON), active, "no failover");
    assert_eq!(story.takeovers(since), [""; 0]);
    let failures = story.lab.client().failures(since.at);
    assert!(failures.is_empty(), "requests failed: {failures:?}");
}

/// Waits until a member of a node's view serves.
fn served_by_a_member(story: &Story, node: &str) -> String {
    story.status(node, "a member that serves", SOON, |status| {
        let active = story.serving(SOON);
        let members = status["view"]["members"].as_array()?;
        members.iter().any(|m| *m == *active).then_some(active)
    })
}

/// Waits until a node takes another one for dead.
fn sees_dead(story: &Story, node: &str, dead: &str) {
    story.status(node, &format!("{dead} dead"), BOOT, |status| {
        let nodes = status["nodes"].as_array()?.iter();
        let mut peer = nodes.filter(|peer| peer["name"] == dead);
        (peer.next()?["role"] == "dead").then_some(())
    });
}
