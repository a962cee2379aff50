//! Every named scenario over a modest number of seeds. `cargo xtask sim` runs more, shrinks
//! what fails and tells its story.

use kodo_tests_sim::{Fleet, scenario};

/// Every scenario's name, so that one that is added is not forgotten here.
macro_rules! scenarios {
    ($($test:ident $name:literal $seeds:literal,)*) => {
        $(#[test]
        fn $test() {
            check($name, $seeds);
        })*

        #[test]
        fn none_is_forgotten() {
            let here = [$($name),*];
            for scenario in scenario::all() {
                assert!(here.contains(&scenario.name), "{} is not run here", scenario.name);
            }
        }
    };
}

scenarios! {
    power_loss "power-loss" 40,
    kernel_panic "kernel-panic" 20,
    pid1_stuck "pid1-stuck" 30,
    graceful_move "graceful-move" 30,
    slow_release "slow-release" 30,
    pause "pause" 50,
    pause_slow_net "pause-slow-net" 50,
    stall "stall" 50,
    fast_reboot "fast-reboot" 50,
    failback_auto "failback-auto" 20,
    failback_manual "failback-manual" 20,
    clock_skew "clock-skew" 60,
    crossover_cut "crossover-cut" 20,
    serial_cut "serial-cut" 20,
    serial_noise "serial-noise" 20,
    lan_cut_active "lan-cut-active" 30,
    one_way_loss "one-way-loss" 20,
    split_accept "split-accept" 60,
    split_ping "split-ping" 60,
    ethertype_eaten "ethertype-eaten" 40,
    arbiter_lost "arbiter-lost" 30,
    arbiter_swings "arbiter-swings" 60,
    flapping_nic "flapping-nic" 20,
    lossy "lossy" 12,
    lossy_hour "lossy-hour" 1,
    simultaneous_boot "simultaneous-boot" 60,
    lonely_boot "lonely-boot" 30,
    slow_link "slow-link" 30,
    twins "twins" 20,
    mixed_files "mixed-files" 20,
    service_crash "service-crash" 20,
    service_hangs "service-hangs" 20,
    stuck_stop "stuck-stop" 20,
    guarded_split "guarded-split" 30,
    promoted_dies "promoted-dies" 200,
    role_lost "role-lost" 200,
    demote_hangs "demote-hangs" 200,
    roles "roles" 200,
    forged "forged" 20,
    replayed "replayed" 20,
    duplicate_address "duplicate-address" 20,
    power_loss_many "power-loss-many" 20,
    member_loss "member-loss" 15,
    coordinator_loss "coordinator-loss" 15,
    rolling_restart "rolling-restart" 10,
    amnesia "amnesia" 60,
    lonely_boot_many "lonely-boot-many" 15,
    simultaneous_boot_many "simultaneous-boot-many" 20,
    n_plus_one "n-plus-one" 10,
    mutual_standby "mutual-standby" 10,
    takeover_anyway "takeover-anyway" 15,
    standstill_many "standstill-many" 20,
    graceful_move_many "graceful-move-many" 15,
    big_cluster "big-cluster" 1,
    forged_many "forged-many" 10,
    replayed_many "replayed-many" 10,
    lossy_many "lossy-many" 4,
    all_paths_cut_many "all-paths-cut-many" 20,
    even_split "even-split" 15,
    three_parts "three-parts" 20,
    asymmetric_three "asymmetric-three" 2,
    one_way_many "one-way-many" 10,
    shifting_parts "shifting-parts" 100,
    shifting_amnesia "shifting-amnesia" 100,
    swinging_part "swinging-part" 15,
    torn_mesh "torn-mesh" 8,
    serial_only "serial-only" 10,
    torn_and_healed "torn-and-healed" 15,
    sleeper "sleeper" 10,
    vouched_return "vouched-return" 30,
    written_off_return "written-off-return" 15,
    power_loss_of_all "power-loss-of-all" 200,
    disk_hangs "disk-hangs" 40,
    spare_has_room "spare-has-room" 20,
    apart "apart" 30,
    together_in_order "together-in-order" 30,
    failback_delayed "failback-delayed" 15,
    maintenance "maintenance" 20,
    unmanaged "unmanaged" 20,
    quarantine "quarantine" 15,
    standby_amid_faults "standby-amid-faults" 30,
    failures_forgotten "failures-forgotten" 20,
    stop_blocked "stop-blocked" 30,
    clones "clones" 20,
    boot_storm "boot-storm" 8,
    twins_and_parts "twins-and-parts" 30,
    revolving_cut "revolving-cut" 40,
    amnesiac_grantor "amnesiac-grantor" 40,
    mixed_timing "mixed-timing" 40,
    guarded "guarded" 40,
    reload_good "reload-good" 30,
    reload_bad "reload-bad" 20,
    key_rotation "key-rotation" 20,
    reload_coordinator_dies "reload-coordinator-dies" 40,
    witness_power_loss "witness-power-loss" 20,
    witness_lost "witness-lost" 20,
    witness_restarts "witness-restarts" 40,
    witness_and_split "witness-and-split" 40,
    witness_swings "witness-swings" 60,
    witness_even_split "witness-even-split" 20,
    random "random" 150,
}

#[track_caller]
fn check(name: &str, seeds: u64) {
    let chosen: Vec<_> = scenario::named(name).into_iter().collect();
    let fleet = Fleet {
        scenarios: &chosen,
        first: 1,
        seeds,
        jobs: 1,
        enough: 1,
        limit: None,
    };
    let tally = fleet.run(&|_| {});
    if let Some(failure) = tally.failures.first() {
        let seed = failure.plan.seed;
        panic!(
            "seed {seed}: {}\nits story: cargo xtask sim --scenario {name} --seed {seed}",
            failure.violation
        );
    }
    assert_eq!(tally.runs, seeds);
}
