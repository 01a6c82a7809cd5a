//! What a release that is not made yet would go through: the steps of its rollout, and how long they take at the
//! present load.

use std::time::Duration;

use api::change::{ChangeAction, ChangeView};
use api::traffic::Traffic;
use model::rollout::{Strategy, Update};
use model::units::DurationText;
use model::{Application, ApplicationName};
use planner::judge::{Load, forecast};

/// Adds to every change that makes a release how that takes over.
pub(crate) fn add(changes: &mut [ChangeView], definition: &Application, traffic: &Traffic) {
    for change in changes.iter_mut().filter(|it| it.action == ChangeAction::Release) {
        let found = definition.services.iter().find(|(name, _)| name.as_str() == change.service);
        let Some((name, service)) = found else { continue };
        let load = load(&definition.name, name.as_str(), traffic);
        change.details.push(of(&service.update, load));
    }
}

fn of(update: &Update, load: Load) -> String {
    match update.strategy {
        Strategy::Rolling => "rollout: one instance after the other".to_owned(),
        Strategy::Immediate => "rollout: all instances at once".to_owned(),
        Strategy::Recreate => "rollout: the old instances end, then the new ones start".to_owned(),
        Strategy::Bluegreen => {
            "rollout: all traffic at once, to a full set of new instances".to_owned()
        }
        Strategy::Canary => {
            let weights: Vec<String> =
                update.steps.iter().map(|it| it.weight.to_string()).collect();
            let steps = weights.join(", ");
            let time = match forecast(&update.analysis, &update.steps, load).steps {
                None => "nobody asks it anything, so each step waits for you".to_owned(),
                Some(times) => {
                    let sum: Duration = times.iter().sum();
                    let rounded = Duration::from_secs(sum.as_secs());
                    format!(
                        "judged in about {} at {:.0} requests/s if it is as good",
                        DurationText(rounded),
                        load.per_second
                    )
                }
            };
            format!("rollout: canary of {steps}, then all; {time}")
        }
    }
}

/// What is asked of a service now.
fn load(application: &ApplicationName, service: &str, traffic: &Traffic) -> Load {
    let edges = traffic.edges.iter();
    let edges = edges.filter(|it| it.application == *application && it.callee.as_str() == service);
    let (mut requests, mut failed) = (0, 0);
    for release in edges.flat_map(|it| &it.releases) {
        requests += release.requests;
        failed += release.bad;
    }
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let (requests, failed) = (requests as f64, failed as f64);
    let seconds = traffic.window.as_secs_f64();
    Load {
        per_second: if 0.0 < seconds { requests / seconds } else { 0.0 },
        errors: if 0.0 < requests { failed / requests } else { 0.0 },
        has_latency: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::rollout::Step;
    use model::units::Share;

    #[track_caller]
    fn check(strategy: Strategy, per_second: f64, expected: &str) {
        let step = |percent| Step { weight: Share::from_percent(percent), ..Step::default() };
        let steps = vec![step(5), step(50)];
        let update = Update { strategy, steps, ..Update::default() };
        assert_eq!(of(&update, Load { per_second, errors: 0.0, has_latency: true }), expected);
    }

    #[test]
    fn what_comes_is_said_in_a_line() {
        check(Strategy::Rolling, 9.0, "rollout: one instance after the other");
        check(
            Strategy::Canary,
            0.0,
            "rollout: canary of 5%, 50%, then all; nobody asks it anything, so each step waits for you",
        );
        check(
            Strategy::Canary,
            100.0,
            "rollout: canary of 5%, 50%, then all; judged in about 2m31s at 100 requests/s if it is as good",
        );
    }
}
