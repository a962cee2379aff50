//! Every model of the quick suite: searched to its end, no promise broken, nothing missed.

use kodo_tests_model::{quick, search, shrink, tell};

#[test]
fn every_model_holds() {
    for setting in quick() {
        let outcome = search(&setting, 2, None, |_| {});
        if let Some(violation) = &outcome.violation {
            let story = tell(&setting, &shrink(&setting, violation)).join("\n");
            panic!("{}: {}\n{story}", setting.name, violation.promise);
        }
        assert!(
            outcome.finished,
            "{} was not searched to its end",
            setting.name
        );
        let missing = outcome.missing(&setting);
        assert!(
            missing.is_empty(),
            "{} never reached {missing:?}",
            setting.name
        );
    }
}
