//! A plot: lines over two axes, with their intervals as areas or whiskers, and what else is worth a mark.

use crate::draw::scale::Scale;
use crate::draw::svg::{Anchor, Svg};
use crate::figure::float;
use crate::html::{cut, escaped};

/// One value, with its interval if it has one. A value that is none makes a gap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) half_width: Option<f64>,
}

/// Values that belong together.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    /// What it is called.
    pub(crate) name: String,
    /// Its colour and dash: `s1` to `s6`.
    pub(crate) class: &'static str,
    /// From left to right.
    pub(crate) points: Vec<Point>,
    /// Radius of a dot at each point; none is drawn if it is zero.
    pub(crate) dot: f64,
}

/// A part of the x axis that is marked from top to bottom.
#[derive(Clone, Debug)]
pub(crate) struct Band {
    pub(crate) class: &'static str,
    pub(crate) from: f64,
    pub(crate) to: f64,
    /// What is written at its top; nothing if empty.
    pub(crate) label: String,
    /// The whole story.
    pub(crate) title: String,
}

/// What is told of everything at one place of the x axis when somebody points there.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) title: String,
}

/// An axis.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    pub(crate) scale: Scale,
    /// What it is and its unit.
    pub(crate) label: String,
    /// Text in place of the scale's own ticks.
    pub(crate) ticks: Option<Vec<(f64, String)>>,
}

/// All of it.
#[derive(Clone, Debug)]
pub(crate) struct Plot {
    pub(crate) size: (f64, f64),
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) bands: Vec<Band>,
    pub(crate) series: Vec<Series>,
    pub(crate) columns: Vec<Column>,
}

/// Pixels a character of a label takes, about.
const CHARACTER_PX: f64 = 5.8;
/// Lines of labels above bands, at most: what has no room is in its title.
pub(crate) const LABEL_LINES_MAX: usize = 3;
/// Pixels from one such line to the next.
pub(crate) const LABEL_LINE_PX: f64 = 14.0;

impl Plot {
    /// Draws it. The label says what it shows to those who do not see it.
    pub(crate) fn html(&self, label: &str) -> String {
        let mut svg = Svg::new(self.size.0, self.size.1);
        self.bands(&mut svg);
        self.axes(&mut svg);
        self.labels(&mut svg);
        for series in &self.series {
            self.interval(&mut svg, series);
        }
        for series in &self.series {
            self.series(&mut svg, series);
        }
        let (bottom, top) = self.y.scale.range();
        for column in &self.columns {
            let (from, to) = (self.x.scale.place(column.from), self.x.scale.place(column.to));
            svg.rectangle("hit", (from, top), (to, bottom), &column.title);
        }
        svg.html(label)
    }

    fn axes(&self, svg: &mut Svg) {
        let (left, right) = self.x.scale.range();
        let (bottom, top) = self.y.scale.range();
        for (value, text) in self.y.ticks.clone().unwrap_or_else(|| self.y.scale.ticks()) {
            let y = self.y.scale.place(value);
            svg.line("grid", (left, y), (right, y));
            svg.text("tick", (left - 6.0, y + 3.5), Anchor::End, &text);
        }
        svg.line("axis", (left, bottom), (right, bottom));
        for (value, text) in self.x.ticks.clone().unwrap_or_else(|| self.x.scale.ticks()) {
            let x = self.x.scale.place(value);
            svg.line("axis", (x, bottom), (x, bottom + 4.0));
            svg.text("tick", (x, bottom + 16.0), Anchor::Middle, &cut(&text, 14));
        }
        svg.text("label", (4.0, top - 8.0), Anchor::Start, &self.y.label);
        svg.text("label", (right, bottom + 32.0), Anchor::End, &self.x.label);
    }

    fn bands(&self, svg: &mut Svg) {
        let (bottom, top) = self.y.scale.range();
        for band in &self.bands {
            let (from, to) = (self.x.scale.place(band.from), self.x.scale.place(band.to));
            if to - from < 1.5 {
                svg.open(band.class, &band.title);
                svg.line("edge", (from, top), (from, bottom));
                svg.close();
            } else {
                svg.rectangle(band.class, (from, top), (to, bottom), &band.title);
            }
        }
    }

    /// What marked parts are, above them, in lines above each other where they would overlap.
    fn labels(&self, svg: &mut Svg) {
        let (_, top) = self.y.scale.range();
        let (_, right) = self.x.scale.range();
        let mut ends = [f64::MIN; LABEL_LINES_MAX];
        for band in self.bands.iter().filter(|it| !it.label.is_empty()) {
            let short = cut(&band.label, 26);
            let width = float(short.chars().count()) * CHARACTER_PX;
            let start = self.x.scale.place(band.from).min(right - width);
            let free = ends.iter().position(|it| *it < start);
            if let Some((line, end)) = free.and_then(|it| Some((it, ends.get_mut(it)?))) {
                *end = start + width + 8.0;
                let y = top - 7.0 - float(line) * LABEL_LINE_PX;
                svg.text("mark", (start + 1.0, y), Anchor::Start, &short);
            }
        }
    }

    /// Intervals: an area below a line, whiskers through single dots.
    fn interval(&self, svg: &mut Svg, series: &Series) {
        for part in parts(&series.points) {
            let of = |it: &Point, sign: f64| {
                let half = it.half_width.filter(|it| it.is_finite()).unwrap_or(0.0);
                (self.x.scale.place(it.x), self.y.scale.place(it.y + sign * half))
            };
            if part.iter().all(|it| it.half_width.is_none()) {
                continue;
            }
            let above = part.iter().map(|it| of(it, 1.0));
            let below = part.iter().rev().map(|it| of(it, -1.0));
            let corners: Vec<(f64, f64)> = above.chain(below).collect();
            svg.polygon(&format!("interval {}", series.class), &corners);
            if 0.0 < series.dot {
                for point in &part {
                    svg.line(&format!("whisker {}", series.class), of(point, 1.0), of(point, -1.0));
                }
            }
        }
    }

    fn series(&self, svg: &mut Svg, series: &Series) {
        for part in parts(&series.points) {
            let places: Vec<(f64, f64)> = part
                .iter()
                .map(|it| (self.x.scale.place(it.x), self.y.scale.place(it.y)))
                .collect();
            svg.polyline(&format!("line {}", series.class), &places);
            if 0.0 < series.dot {
                for place in &places {
                    svg.dot(series.class, *place, series.dot);
                }
            }
        }
    }
}

/// The stretches without a gap.
fn parts(points: &[Point]) -> Vec<Vec<Point>> {
    let of = points.split(|it| !it.y.is_finite() || !it.x.is_finite());
    of.filter(|it| !it.is_empty()).map(<[Point]>::to_vec).collect()
}

/// Which line is which.
pub(crate) fn legend(entries: &[(&str, &str)]) -> String {
    let mut html = String::from("<p class=\"legend\">");
    for (class, name) in entries {
        add!(
            html,
            "<span><svg width=\"22\" height=\"8\" aria-hidden=\"true\"><line class=\"line {class}\" x1=\"0\" \
             y1=\"4\" x2=\"22\" y2=\"4\"/></svg> {}</span>",
            escaped(name)
        );
    }
    html.push_str("</p>\n");
    html
}
