//! SVG, element by element. Colours are classes, so that the page's style decides them, dark or light.

use crate::html::escaped;

/// Where text begins at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// A drawing.
#[derive(Clone, Debug)]
pub(crate) struct Svg {
    width: f64,
    height: f64,
    body: String,
}

/// Places are no further out: what is drawn further out nobody sees.
const PLACE_MAX: f64 = 1e5;

/// A place as text: to a tenth of a pixel, and always a number.
pub(crate) fn place(value: f64) -> String {
    let value = if value.is_nan() { 0.0 } else { value.clamp(-PLACE_MAX, PLACE_MAX) };
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}

impl Svg {
    /// An empty one.
    pub(crate) const fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    /// A straight line.
    pub(crate) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        add!(
            self.body,
            "<line class=\"{class}\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>",
            place(from.0),
            place(from.1),
            place(to.0),
            place(to.1)
        );
    }

    /// A rectangle between two corners, with a title if it has one.
    pub(crate) fn rectangle(&mut self, class: &str, from: (f64, f64), to: (f64, f64), title: &str) {
        let (x, y) = (from.0.min(to.0), from.1.min(to.1));
        let (width, height) = ((to.0 - from.0).abs(), (to.1 - from.1).abs());
        add!(
            self.body,
            "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\">{}</rect>",
            place(x),
            place(y),
            place(width),
            place(height),
            titled(title)
        );
    }

    /// Text from outside.
    pub(crate) fn text(&mut self, class: &str, at: (f64, f64), anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        add!(
            self.body,
            "<text class=\"{class}\" x=\"{}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
            place(at.0),
            place(at.1),
            escaped(text)
        );
    }

    /// A line through points.
    pub(crate) fn polyline(&mut self, class: &str, points: &[(f64, f64)]) {
        if let [only] = points {
            self.dot(class, *only, 2.0);
        } else if !points.is_empty() {
            add!(self.body, "<polyline class=\"{class}\" points=\"{}\"/>", listed(points));
        }
    }

    /// An area with these corners.
    pub(crate) fn polygon(&mut self, class: &str, points: &[(f64, f64)]) {
        if 2 < points.len() {
            add!(self.body, "<polygon class=\"{class}\" points=\"{}\"/>", listed(points));
        }
    }

    /// A dot.
    pub(crate) fn dot(&mut self, class: &str, at: (f64, f64), radius: f64) {
        add!(
            self.body,
            "<circle class=\"dot {class}\" cx=\"{}\" cy=\"{}\" r=\"{}\"/>",
            place(at.0),
            place(at.1),
            place(radius)
        );
    }

    /// A curve from left to right through points, level at each of them; with a title.
    pub(crate) fn curve(&mut self, class: &str, points: &[(f64, f64)], width: f64, title: &str) {
        let mut path = String::new();
        let mut before: Option<(f64, f64)> = None;
        for point in points {
            let (x, y) = (place(point.0), place(point.1));
            if let Some(from) = before {
                let middle = place(f64::midpoint(from.0, point.0));
                let from_y = place(from.1);
                add!(path, "C{middle} {from_y} {middle} {y} {x} {y}");
            } else {
                add!(path, "M{x} {y}");
            }
            before = Some(*point);
        }
        self.path(class, &path, width, title);
    }

    /// A path as SVG has it, with a title.
    pub(crate) fn path(&mut self, class: &str, path: &str, width: f64, title: &str) {
        add!(
            self.body,
            "<path class=\"{class}\" d=\"{path}\" stroke-width=\"{}\">{}</path>",
            place(width),
            titled(title)
        );
    }

    /// What begins here belongs together and has a title; [`Svg::close`] ends it.
    pub(crate) fn open(&mut self, class: &str, title: &str) {
        add!(self.body, "<g class=\"{class}\">{}", titled(title));
    }

    /// Ends what [`Svg::open`] began.
    pub(crate) fn close(&mut self) {
        self.body.push_str("</g>");
    }

    /// As an element that a page may hold, as wide as there is room. The label says what it shows.
    pub(crate) fn html(self, label: &str) -> String {
        let (width, height) = (place(self.width), place(self.height));
        let label = escaped(label);
        format!(
            "<div class=\"scroll\" tabindex=\"0\"><svg class=\"wide\" viewBox=\"0 0 {width} {height}\" \
             role=\"img\" aria-label=\"{label}\">{}</svg></div>\n",
            self.body
        )
    }

    /// As an element of its own size, never smaller.
    pub(crate) fn fixed(self, label: &str) -> String {
        let (width, height) = (place(self.width), place(self.height));
        let label = escaped(label);
        format!(
            "<svg viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
             role=\"img\" aria-label=\"{label}\">{}</svg>",
            self.body
        )
    }
}

fn titled(title: &str) -> String {
    if title.is_empty() { String::new() } else { format!("<title>{}</title>", escaped(title)) }
}

fn listed(points: &[(f64, f64)]) -> String {
    let points: Vec<String> =
        points.iter().map(|it| format!("{},{}", place(it.0), place(it.1))).collect();
    points.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_always_a_number() {
        let places = [0.0, 1.25, 30.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        let texts = places.map(place);
        assert_eq!(texts, ["0", "1.2", "30", "0", "100000", "-100000"]);
    }
}
