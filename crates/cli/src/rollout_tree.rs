//! A rollout, for a person who waits or looks.

use api::rollout::{ArmView, MetricView, RolloutStateView, RolloutView, StepStateView, StepView};

use crate::commands::releases::share;
use crate::output::{Output, Tone};
use crate::table;

/// Characters of a bar.
const BAR_CHARS: usize = 10;

/// What the state of a rollout means to whoever looks.
pub(crate) const fn tone(state: RolloutStateView) -> Tone {
    match state {
        RolloutStateView::Completed => Tone::Good,
        RolloutStateView::Running => Tone::Busy,
        RolloutStateView::Paused | RolloutStateView::Waiting => Tone::Strong,
        RolloutStateView::Rejected | RolloutStateView::Aborted => Tone::Bad,
    }
}

/// What is new about a rollout, on one line. It changes with what happens, not with every figure.
pub(crate) fn news(view: &RolloutView) -> String {
    let RolloutView { service, to, state, reason, .. } = view;
    let at = match current(view) {
        Some(step) if !state.is_over() => format!(" at {}", share(step.weight)),
        _ => String::new(),
    };
    match state {
        // Its reason counts down; the step is what is new.
        RolloutStateView::Running => {
            let doing = match current(view).map(|it| it.state) {
                Some(StepStateView::Preparing) => "starting instances for",
                _ => "taking",
            };
            let weight = current(view).map_or(1.0, |it| it.weight);
            format!("{service}@{to} {doing} {}", share(weight))
        }
        _ if reason.is_empty() => format!("{service}@{to} {state}{at}"),
        _ => format!("{service}@{to} {state}{at}: {reason}"),
    }
}

fn current(view: &RolloutView) -> Option<&StepView> {
    let is_current =
        |it: &&StepView| matches!(it.state, StepStateView::Current | StepStateView::Preparing);
    view.steps.iter().find(is_current)
}

/// The lines of the tree.
pub(crate) fn lines(view: &RolloutView, output: &Output) -> Vec<String> {
    let state = output.paint(tone(view.state), &view.state.to_string());
    let name = output.paint(Tone::Strong, &view.service);
    let elapsed = output.paint(Tone::Faint, &time(view.elapsed_s));
    let RolloutView { from, to, strategy, .. } = view;
    let mut lines = vec![format!("{name}  {from} -> {to}  {strategy}  {state}  {elapsed}")];
    lines.extend(view.steps.iter().map(|it| step(it, output)));
    if !view.reason.is_empty() {
        lines.push(format!("└─ {}", view.reason));
    }
    let rows = [arm(&view.from, &view.old), arm(&view.to, &view.new)];
    lines.extend(table::lines(output, &ARMS, &rows).into_iter().map(|it| format!("   {it}")));
    if !view.metrics.is_empty() {
        let rows: Vec<_> = view.metrics.iter().map(metric).collect();
        let compared = table::lines(output, &METRICS, &rows);
        lines.extend(compared.into_iter().map(|it| format!("   {it}")));
    }
    lines
}

fn step(step: &StepView, output: &Output) -> String {
    let (mark, tone, words) = match step.state {
        StepStateView::Done => ("✔", Tone::Good, ""),
        StepStateView::Preparing => ("◌", Tone::Busy, "  starting instances"),
        StepStateView::Current => ("●", Tone::Busy, ""),
        StepStateView::Failed => ("✘", Tone::Bad, ""),
        StepStateView::Ahead => ("·", Tone::Faint, ""),
    };
    let line = format!("{mark} {}{words}", share(step.weight));
    format!("├─ {}", output.paint(tone, &line))
}

const ARMS: [&str; 9] =
    ["RELEASE", "SHARE", "READY", "RATE", "ERRORS", "P50", "P95", "P99", "JUDGED"];

fn arm(release: &str, arm: &ArmView) -> Vec<table::Cell> {
    let plain = |text: String| (text, Tone::Plain);
    let ms = |it: Option<f64>| plain(it.map_or_else(|| "-".to_owned(), millis));
    let errors = arm.errors.map_or_else(|| "-".to_owned(), |it| format!("{:.2}%", it * 100.0));
    vec![
        plain(release.to_owned()),
        plain(share(arm.share)),
        plain(format!("{}/{}", arm.ready, arm.wanted)),
        plain(format!("{:.1}/s", arm.rate)),
        plain(errors),
        ms(arm.p50_ms),
        ms(arm.p95_ms),
        ms(arm.p99_ms),
        plain(arm.judged.to_string()),
    ]
}

fn millis(ms: f64) -> String {
    if ms < 10.0 { format!("{ms:.1}ms") } else { format!("{ms:.0}ms") }
}

const METRICS: [&str; 5] = ["COMPARED", "TIMES AS BAD", "ALLOWED", "FOR IT", "AGAINST IT"];

fn metric(metric: &MetricView) -> Vec<table::Cell> {
    let plain = |text: String| (text, Tone::Plain);
    let number = |it: Option<f64>| it.map_or_else(|| "?".to_owned(), |it| format!("{it:.2}"));
    let (low, high) = (number(metric.ratio_low), number(metric.ratio_high));
    let tone = if 1.0 <= metric.against { Tone::Bad } else { Tone::Plain };
    vec![
        plain(metric.metric.clone()),
        plain(format!("{} ({low} to {high})", number(metric.ratio))),
        plain(format!("{:.2}", metric.allowed)),
        (bar(metric.favour), Tone::Good),
        (bar(metric.against), tone),
    ]
}

/// How far something has come: `████░░░░░░`.
fn bar(share: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "between none and all of a few characters"
    )]
    let full = (share.clamp(0.0, 1.0) * BAR_CHARS as f64).floor() as usize;
    "█".repeat(full) + &"░".repeat(BAR_CHARS - full)
}

/// `42s`, `3m05s`, `2h07m`.
fn time(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a time that has passed"
    )]
    let seconds = seconds.max(0.0) as u64;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Format;
    use crate::output::{Look, captured};

    fn view(state: RolloutStateView) -> RolloutView {
        let step = |weight, state| StepView { weight, state };
        let arm = |share, rate, errors| ArmView {
            share,
            ready: 3,
            wanted: 3,
            rate,
            errors: Some(errors),
            p50_ms: Some(4.25),
            p95_ms: Some(40.4),
            p99_ms: None,
            judged: 1_234,
        };
        RolloutView {
            application: "shop".to_owned(),
            service: "cart".to_owned(),
            id: 77,
            state,
            reason: "about 40 more seconds at 120 requests/s".to_owned(),
            strategy: "canary".to_owned(),
            from: "r11".to_owned(),
            to: "r12".to_owned(),
            note: None,
            by: None,
            together: Vec::new(),
            started_at: "2026-11-22T06:00:00.000Z".to_owned(),
            ended_at: None,
            elapsed_s: 72.9,
            steps: vec![
                step(0.05, StepStateView::Done),
                step(0.25, StepStateView::Current),
                step(1.0, StepStateView::Ahead),
            ],
            old: arm(0.75, 90.123, 0.001),
            new: arm(0.25, 30.2, 0.0012),
            metrics: vec![MetricView {
                metric: "errors".to_owned(),
                old: 0.001,
                new: 0.0012,
                ratio: Some(1.2),
                ratio_low: Some(0.4),
                ratio_high: None,
                allowed: 1.25,
                against: 0.0,
                favour: 0.67,
            }],
            expected_s: Some(40.0),
            harmed: 0,
            worst: Vec::new(),
        }
    }

    #[test]
    fn a_rollout_as_a_tree() {
        let (output, _page) = captured::output(Look::Plain, Format::Text);
        let tree = lines(&view(RolloutStateView::Running), &output).join("\n");
        insta::assert_snapshot!(tree, @"
        cart  r11 -> r12  canary  running  1m12s
        ├─ ✔ 5%
        ├─ ● 25%
        ├─ · 100%
        └─ about 40 more seconds at 120 requests/s
           RELEASE  SHARE  READY  RATE    ERRORS  P50    P95   P99  JUDGED
           r11      75%    3/3    90.1/s  0.10%   4.2ms  40ms  -    1234
           r12      25%    3/3    30.2/s  0.12%   4.2ms  40ms  -    1234
           COMPARED  TIMES AS BAD      ALLOWED  FOR IT      AGAINST IT
           errors    1.20 (0.40 to ?)  1.25     ██████░░░░  ░░░░░░░░░░
        ");
    }

    #[test]
    fn news_are_what_happens() {
        assert_eq!(news(&view(RolloutStateView::Running)), "cart@r12 taking 25%");
        assert_eq!(
            news(&view(RolloutStateView::Paused)),
            "cart@r12 paused at 25%: about 40 more seconds at 120 requests/s"
        );
        assert_eq!(
            news(&view(RolloutStateView::Rejected)),
            "cart@r12 rejected: about 40 more seconds at 120 requests/s"
        );
    }

    #[test]
    fn times_are_short() {
        let times: Vec<String> = [0.4, 59.9, 185.0, 7_620.0].iter().map(|it| time(*it)).collect();
        assert_eq!(times, ["0s", "59s", "3m05s", "2h07m"]);
    }
}
