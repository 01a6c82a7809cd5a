//! Small drawings that stand in a table's row.

use api::simulation::Estimate;

use crate::draw::svg::{Anchor, Svg};

/// Width of the drawing of an interval.
pub(crate) const WHISKER_WIDTH: f64 = 260.0;
const HEIGHT: f64 = 22.0;

/// An interval as a whisker with a dot, over lines at zero or a limit. `place` says where a value is, from 0 to 1.
pub(crate) fn whisker(
    class: &str,
    found: &Estimate,
    lines: &[(&str, f64)],
    place: impl Fn(f64) -> f64,
    label: &str,
) -> String {
    let mut svg = Svg::new(WHISKER_WIDTH, HEIGHT);
    let middle = HEIGHT / 2.0;
    let x = |value: f64| 6.0 + place(value).clamp(0.0, 1.0) * (WHISKER_WIDTH - 12.0);
    for (class, value) in lines {
        svg.line(class, (x(*value), 2.0), (x(*value), HEIGHT - 2.0));
    }
    if found.value.is_finite() {
        if let Some(half) = found.half_width.filter(|it| it.is_finite()) {
            let (from, to) = (x(found.value - half), x(found.value + half));
            svg.line(&format!("range {class}"), (from, middle), (to, middle));
        }
        svg.dot(class, (x(found.value), middle), 4.0);
    }
    svg.fixed(label)
}

/// The axis below a column of [`whisker`]s.
pub(crate) fn axis(ticks: &[(&str, f64)], place: impl Fn(f64) -> f64) -> String {
    let mut svg = Svg::new(WHISKER_WIDTH, HEIGHT);
    for (text, value) in ticks {
        let x = 6.0 + place(*value).clamp(0.0, 1.0) * (WHISKER_WIDTH - 12.0);
        svg.line("axis", (x, 0.0), (x, 4.0));
        svg.text("tick", (x, 16.0), Anchor::Middle, text);
    }
    svg.fixed("the axis, in percent")
}
