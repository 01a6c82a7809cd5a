//! The judge on rollouts: what it says, and in which words.

use model::{Rng, Timestamp};
use planner::judge;
use serde_json::json;
use world::Rollout;
use world::rollout::{Counts, Observation, Verdict};

/// A canary from r11 to r12 that takes the traffic of its first step.
fn rollout(weight: &str, analysis: &serde_json::Value) -> Rollout {
    let mut asked = json!({
        "alpha": "1%", "max_ratio": 1.25, "max_duration": "30m", "on_inconclusive": "hold", "warm_up": "5s",
    });
    for (key, value) in analysis.as_object().unwrap() {
        asked[key] = value.clone();
    }
    let none = json!({"requests": 0, "errors": 0, "slow": [0, 0, 0, 0, 0], "harmed": 0});
    serde_json::from_value(json!({
        "id": 7, "kind": "deploy", "from": 11, "to": 12, "group": 1, "by": null, "together": [],
        "update": {
            "strategy": "canary", "steps": [{"weight": weight}, {"weight": "50%"}], "keep_old": "1h",
            "auto_promote": true, "auto_revert": true, "analysis": asked,
        },
        "started_at": 0, "stage": {"taking": {"step": 0, "epoch": 9}}, "stage_since": 0,
        "paused_since": null, "promote_asked": false, "judged": null,
        "thresholds": {"latency_us": [4_000, 40_000, 90_000, 135_000, 270_000], "requests": 5_000},
        "counted": {"epoch": 9, "source": 1, "old": none, "new": none},
        "observations": [], "failures": 0, "last_failure": null, "outcome": null, "told": false,
    }))
    .unwrap()
}

/// How a release behaves: the share of its requests that fails, and that is slower than each threshold.
#[derive(Clone, Copy)]
struct Manner {
    errors: f64,
    slow: [f64; 5],
}

const WELL: Manner = Manner { errors: 0.01, slow: [0.5, 0.05, 0.01, 0.004, 0.0] };

fn counts(rng: &mut Rng, requests: u64, manner: Manner) -> Counts {
    let mut counts = Counts { requests, ..Counts::default() };
    for _ in 0..requests {
        counts.errors += u64::from(rng.happens(manner.errors));
        // One that is slower than a threshold is slower than those below it.
        let drawn = rng.unit();
        for (slow, share) in counts.slow.iter_mut().zip(manner.slow) {
            *slow += u64::from(drawn < share);
        }
    }
    counts.harmed = counts.errors;
    counts
}

/// Goes on second by second, at so many requests each, until there is a verdict: the second, the verdict, and
/// its reason.
fn judged(mut rollout: Rollout, rate: u64, new: Manner, seed: u64) -> (u64, Verdict, String) {
    let mut rng = Rng::new(seed);
    let weight = rollout.share(0);
    for second in 1..3_600 {
        let at = Timestamp::from_millis(second * 1_000);
        let of_new = (0..rate).filter(|_| rng.happens(weight.as_fraction())).count() as u64;
        rollout.observations.push(Observation {
            at,
            step: 0,
            weight: Some(weight),
            is_warm_up: second < 5,
            has_thresholds: rollout.thresholds.is_some(),
            old: counts(&mut rng, rate - of_new, WELL),
            new: counts(&mut rng, of_new, new),
        });
        let assessment = judge::assess(&rollout, at);
        if let Some(verdict) = assessment.verdict {
            return (second, verdict, assessment.reason);
        }
    }
    panic!("no verdict within an hour");
}

/// Of some rollouts, how many come to each verdict: pass, fail, inconclusive.
fn verdicts(new: Manner, rate: u64) -> [u32; 3] {
    let mut counts = [0; 3];
    for seed in 0..40 {
        let (_, verdict, _) = judged(rollout("25%", &json!({})), rate, new, seed);
        counts[verdict as usize] += 1;
    }
    counts
}

#[test]
fn good_releases_pass_and_bad_ones_fail() {
    assert_eq!(verdicts(WELL, 40), [40, 0, 0]);
    assert_eq!(verdicts(Manner { errors: 0.05, ..WELL }, 40), [0, 40, 0]);
    // 40 % slower at the 95th percentile only: the threshold is passed about twice as often.
    let tail = Manner { slow: [0.5, 0.12, 0.03, 0.012, 0.0], ..WELL };
    assert_eq!(verdicts(tail, 40), [0, 40, 0]);
    assert_eq!(verdicts(Manner { slow: [0.9, 0.09, 0.012, 0.005, 0.0], ..WELL }, 40), [0, 40, 0]);
}

#[test]
fn where_little_is_asked_nothing_is_said() {
    let (second, verdict, reason) =
        judged(rollout("5%", &json!({"max_duration": "2m"})), 1, WELL, 1);
    assert_eq!((second, verdict), (120, Verdict::Inconclusive));
    assert_eq!(reason, "3 requests to r12 and 113 to r11 are too few to tell within 2 minutes");
    let (_, verdict, reason) = judged(rollout("5%", &json!({"max_duration": "10s"})), 0, WELL, 1);
    assert_eq!(verdict, Verdict::Inconclusive);
    assert_eq!(reason, "no request came to r12 within 10 seconds");
}

#[test]
fn reasons_say_what_was_seen() {
    let (_, _, reason) = judged(rollout("25%", &json!({})), 40, Manner { errors: 0.1, ..WELL }, 3);
    insta::assert_snapshot!(reason, @"requests fail 13.7 times as often as with r11 (5.70 % of 158 against 0.41 % of 482; at least 1.3 times, and 1.25 times is allowed)");
    let tail = Manner { slow: [0.5, 0.2, 0.05, 0.02, 0.0], ..WELL };
    let (_, _, reason) = judged(rollout("25%", &json!({})), 40, tail, 3);
    insta::assert_snapshot!(reason, @"requests are slower than 40 ms (what r11's 95th percentile allows) 8.6 times as often as with r11 (24.19 % of 62 against 2.81 % of 178; at least 1.7 times, and 1.25 times is allowed)");
    let (_, _, reason) = judged(rollout("25%", &json!({})), 40, WELL, 3);
    insta::assert_snapshot!(reason, @"requests fail at most 2.5 times as often; slow at most 1.4 times as often");
}

#[test]
fn thresholds_leave_room_for_what_is_allowed() {
    let analysis = rollout("5%", &json!({"max_ratio": 1.5})).update.analysis;
    let thresholds = judge::thresholds(&analysis, [500, 10_000, 40_000], 300);
    assert_eq!(thresholds.latency_us, [1_500, 15_000, 60_000, 90_000, 180_000]);
}

#[test]
fn what_is_waited_for_is_said() {
    let mut rollout = rollout("25%", &json!({}));
    let mut said = Vec::new();
    let mut rng = Rng::new(9);
    for second in 1..=60 {
        let at = Timestamp::from_millis(second * 1_000);
        rollout.observations.push(Observation {
            at,
            step: 0,
            weight: Some(rollout.share(0)),
            is_warm_up: second < 5,
            has_thresholds: true,
            old: counts(&mut rng, 30, WELL),
            new: counts(&mut rng, 10, WELL),
        });
        if [2, 5, 10, 30].contains(&second) {
            said.push(judge::assess(&rollout, at).reason);
        }
    }
    insta::assert_snapshot!(said.join("\n"), @"
    warms up for 3 more seconds
    no request has been judged yet
    about 3 more minutes at 48 requests/s
    about 7 more minutes at 42 requests/s
    ");
}

#[test]
fn a_step_takes_as_long_as_the_policy_says() {
    let mut patient = rollout("25%", &json!({}));
    patient.update.steps[0].min_duration = std::time::Duration::from_mins(5);
    let (second, verdict, _) = judged(patient, 40, WELL, 3);
    assert_eq!((second, verdict), (300, Verdict::Pass));
    let mut many = rollout("25%", &json!({}));
    many.update.steps[0].min_requests = 2_000;
    let (second, verdict, _) = judged(many, 40, WELL, 3);
    assert_eq!(verdict, Verdict::Pass);
    assert!((190..=215).contains(&second), "{second}");
}

/// What the guardrail says after a while in which all was well, and seconds with so many requests to the new
/// release, and so many of them failing, while `old` of a hundred fail with the old one.
fn guarded(seconds: &[(u64, u64)], old: u64) -> Option<String> {
    let mut rollout = rollout("5%", &json!({}));
    let counts = |requests, errors| Counts { requests, errors, ..Counts::default() };
    let well = (counts(9_000, 0), counts(1_000, 0));
    let then = seconds.iter().map(|it| (counts(100, old), counts(it.0, it.1)));
    for (old, new) in std::iter::once(well).chain(then) {
        rollout.observations.push(Observation {
            at: Timestamp::EPOCH,
            step: 0,
            weight: None,
            is_warm_up: true,
            has_thresholds: false,
            old,
            new,
        });
    }
    judge::guardrail(&rollout)
}

#[test]
fn a_release_that_does_not_work_at_all_is_seen_at_once() {
    assert_eq!(guarded(&[(6, 6), (6, 6), (7, 7)], 1), None, "too few");
    assert_eq!(guarded(&[(6, 3), (6, 3), (8, 3)], 1), None, "less than half");
    let reason = "10 of the last 20 requests to r12 failed";
    assert_eq!(guarded(&[(6, 3), (6, 3), (8, 4)], 1).as_deref(), Some(reason));
    assert_eq!(guarded(&[(6, 4), (6, 4), (8, 7)], 66), None, "everything fails");
    assert_eq!(guarded(&[(40, 40)], 1), None, "one second may have a cause that has passed");
    assert_eq!(guarded(&[(5, 5), (5, 0), (5, 0), (5, 5)], 1), None, "and two may by chance");
    let alone = vec![(1, 1); 20];
    assert_eq!(guarded(&alone[1..], 0), None, "too few");
    let reason = "20 of the last 20 requests to r12 failed";
    assert_eq!(guarded(&alone, 0).as_deref(), Some(reason));
}

#[test]
fn requests_that_go_elsewhere_are_no_fair_comparison() {
    let mut rollout = rollout("25%", &json!({}));
    for second in 1..=20 {
        let count = |requests| Counts { requests, ..Counts::default() };
        rollout.observations.push(Observation {
            at: Timestamp::from_millis(second * 1_000),
            step: 0,
            weight: Some(rollout.share(0)),
            is_warm_up: false,
            has_thresholds: false,
            old: count(95),
            new: count(5),
        });
    }
    let now = Timestamp::from_millis(20_000);
    let assessment = judge::assess(&rollout, now);
    assert_eq!(assessment.verdict, Some(Verdict::Inconclusive));
    assert!(assessment.reason.starts_with("5.0 % of requests came to r12 instead of 25%"));
    rollout.is_by_key = true;
    assert_eq!(judge::assess(&rollout, now).verdict, None, "callers have what they have");
}

#[test]
fn what_a_rollout_takes_is_said_beforehand() {
    let rollout = rollout("5%", &json!({}));
    let load = |per_second, errors, has_latency| judge::Load { per_second, errors, has_latency };
    let rejections = |load| {
        let rejections =
            judge::forecast(&rollout.update.analysis, &rollout.update.steps, load).rejections;
        rejections.into_iter().map(|it| it.map(|it| it.as_secs())).collect::<Vec<_>>()
    };
    let forecast = |load| {
        let steps = judge::forecast(&rollout.update.analysis, &rollout.update.steps, load).steps;
        steps.map(|it| it.iter().map(std::time::Duration::as_secs).collect::<Vec<_>>())
    };
    assert_eq!(forecast(load(0.0, 0.0, true)), None);
    assert_eq!(forecast(load(100.0, 0.0, false)), Some(vec![133, 17]));
    // What is found in simulations: about 3200 requests for the 95th percentile at 5 %.
    assert_eq!(forecast(load(100.0, 0.0, true)), Some(vec![133, 17]));
    assert_eq!(forecast(load(1.0, 0.0, true)), Some(vec![1_800, 1_292]));
    assert_eq!(rejections(load(100.0, 0.0, true)), [None, None], "nothing fails");
    assert_eq!(rejections(load(0.0, 0.1, true)), [None, None], "no request comes");
    // In the benchmark's rollouts with 3 times the errors, at 25 %, it takes 90 seconds where half a percent fails.
    assert_eq!(rejections(load(100.0, 0.01, true)), [Some(353), Some(86)]);
    assert_eq!(rejections(load(0.1, 0.01, true)), [None, None], "not within half an hour");
}
