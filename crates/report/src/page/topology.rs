//! The topology: who calls whom, in layers, with what happens on each edge.
//!
//! An edge is as wide as the logarithm of its rate, its colour and dash say how many calls fail, and a bold label where retries
//! and hedges make more attempts than calls. A service shows how busy it is.

use std::collections::BTreeMap;

use api::simulation::{EdgeReport, Report, ServiceReport};

use super::Section;
use crate::draw::{Anchor, Graph, Layout, Svg, legend};
use crate::figure::{Unit, amount, float};
use crate::html::cut;

/// Services that are drawn, the busiest: more cannot be read.
const SERVICES_MAX: usize = 80;
/// Edges up to which each has a label; beyond, only those with more attempts than calls.
const LABELLED_MAX: usize = 26;
/// Attempts a call from which an edge is said to amplify.
const AMPLIFIES_FROM: f64 = 1.02;
/// Who calls from outside, in edges.
const OUTSIDE: &str = "outside";

const BOX_WIDTH: f64 = 126.0;
const BOX_HEIGHT: f64 = 42.0;
const LAYER_WIDTH_MAX: f64 = 260.0;
const LAYER_WIDTH_MIN: f64 = 226.0;
const WIDTH: f64 = 1080.0;

/// How busy something is, as a class: queues grow steeply from 70 % on, and 90 % leave no room.
pub(super) fn busy_class(utilisation: f64) -> &'static str {
    if utilisation >= 0.9 {
        "critical"
    } else if utilisation >= 0.7 {
        "warn"
    } else {
        "ok"
    }
}

/// How many fail, as a class.
fn error_class(errors: f64) -> &'static str {
    if errors >= 0.05 {
        "critical"
    } else if errors >= 0.001 {
        "warn"
    } else {
        "quiet"
    }
}

/// Of one run.
pub(super) fn section(report: &Report) -> Section {
    let (id, title) = ("topology", "Topology");
    if report.services.is_empty() || report.edges.is_empty() {
        return Section { id, title, html: String::new() };
    }
    let map = Map::of(report);
    let entries =
        [("quiet", "calls succeed"), ("warn", "0.1 % fail or more"), ("critical", "5 % or more")];
    let mut html = legend(&entries);
    html.push_str("<p class=\"note\">On an edge: calls a request; bold, with ↻, attempts a call where there are more.</p>\n");
    html.push_str(&map.drawing());
    let left_out = report.services.len().saturating_sub(SERVICES_MAX);
    if 0 < left_out {
        add!(
            html,
            "<p class=\"note\">The {SERVICES_MAX} services with most arrivals; {left_out} more are in the tables.</p>\n"
        );
    }
    Section { id, title, html }
}

/// What is drawn: services with a place each, the outside after them, and edges between those.
struct Map<'a> {
    services: Vec<&'a ServiceReport>,
    edges: Vec<(usize, usize, &'a EdgeReport)>,
}

impl<'a> Map<'a> {
    fn of(report: &'a Report) -> Self {
        let mut services: Vec<&ServiceReport> = report.services.iter().collect();
        services.sort_by(|a, b| {
            b.arrivals.value.total_cmp(&a.arrivals.value).then(a.name.cmp(&b.name))
        });
        services.truncate(SERVICES_MAX);
        let mut places: BTreeMap<&str, usize> =
            services.iter().enumerate().map(|it| (it.1.name.as_str(), it.0)).collect();
        places.entry(OUTSIDE).or_insert(services.len());
        let place = |edge: &'a EdgeReport| {
            Some((*places.get(edge.caller.as_str())?, *places.get(edge.callee.as_str())?, edge))
        };
        let edges = report.edges.iter().filter_map(place).collect();
        Self { services, edges }
    }

    fn drawing(&self) -> String {
        let edges = self.edges.iter().map(|it| (it.0, it.1)).collect();
        let layout = Layout::of(&Graph { nodes: self.services.len() + 1, edges });
        let layers = float(layout.layers.saturating_sub(1)).max(1.0);
        let layer_width =
            ((WIDTH - BOX_WIDTH - 20.0) / layers).clamp(LAYER_WIDTH_MIN, LAYER_WIDTH_MAX);
        let left = BOX_WIDTH / 2.0 + 10.0;
        let at = |it: &(usize, f64)| (left + float(it.0) * layer_width, it.1 + 10.0);
        let width = (2.0 * left + layers * layer_width).max(WIDTH);
        let mut svg = Svg::new(width, layout.height + 20.0);
        let mut labels = Vec::new();
        for ((_, _, edge), path) in self.edges.iter().zip(&layout.edges) {
            labels.extend(self.edge(&mut svg, edge, &path.iter().map(at).collect::<Vec<_>>()));
        }
        for ((place, _, edge), path) in self.edges.iter().zip(&layout.edges) {
            if path.is_empty()
                && let Some(node) = layout.nodes.get(*place)
            {
                peers(&mut svg, edge, at(node));
            }
        }
        write_labels(&mut svg, &labels);
        for (place, node) in layout.nodes.iter().enumerate() {
            match self.services.get(place) {
                Some(service) => service_box(&mut svg, service, at(node)),
                None if self.edges.iter().any(|it| it.0 == place) => outside(&mut svg, at(node)),
                None => {}
            }
        }
        let html =
            svg.html("The services and the calls between them; the tables below have all figures");
        // What is wider than the page keeps its size and scrolls.
        if WIDTH < width {
            html.replacen(
                "class=\"wide\"",
                &format!("class=\"wide\" style=\"min-width:{width:.0}px\""),
                1,
            )
        } else {
            html
        }
    }

    /// An edge, and its label if it has one.
    fn edge(&self, svg: &mut Svg, edge: &EdgeReport, path: &[(f64, f64)]) -> Option<Label> {
        let (first, last) = (*path.first()?, *path.last()?);
        let is_forward = first.0 < last.0;
        let side = if is_forward { BOX_WIDTH / 2.0 } else { -BOX_WIDTH / 2.0 };
        let mut points = path.to_vec();
        if let Some(first) = points.first_mut() {
            first.0 += side;
        }
        if let Some(last) = points.last_mut() {
            last.0 -= side + if is_forward { 5.0 } else { -5.0 };
        }
        let width = 1.0 + (1.0 + edge.calls.value.max(0.0)).log10().min(5.0);
        let class = error_class(edge.errors.value);
        svg.curve(&format!("edge {class}"), &points, width, &story(edge));
        arrow(svg, class, points.last().copied()?, if is_forward { -7.0 } else { 7.0 });
        let amplifies = AMPLIFIES_FROM <= edge.attempts_per_call.value;
        if !amplifies && LABELLED_MAX < self.edges.len() {
            return None;
        }
        let calls = format!("×{}", amount(edge.calls_per_request.value));
        if amplifies {
            let text = format!("{calls} ↻{}", amount(edge.attempts_per_call.value));
            return Some(Label { class: "call amplifies", text, points });
        }
        Some(Label { class: "call", text: calls, points })
    }
}

/// What stands on an edge.
struct Label {
    class: &'static str,
    text: String,
    /// The places the edge passes.
    points: Vec<(f64, f64)>,
}

/// Writes labels where they are free of each other, as far as that is possible: near the end of their edge, near its
/// beginning, or between.
fn write_labels(svg: &mut Svg, labels: &[Label]) {
    let mut taken: Vec<(f64, f64, f64)> = Vec::new();
    for label in labels {
        let half = float(label.text.chars().count()) * 3.0 + 2.0;
        let is_free = |at: &(f64, f64)| {
            taken.iter().all(|it| it.2 + half < (it.0 - at.0).abs() || 11.0 < (it.1 - at.1).abs())
        };
        let hops = label.points.windows(2).collect::<Vec<_>>();
        let ends = hops.last().into_iter().chain(hops.first());
        let mut tries: Vec<(f64, f64)> = Vec::new();
        for hop in ends {
            if let [from, to] = hop {
                tries.extend([0.66, 0.54, 0.42, 0.3].map(|part| along(*from, *to, part)));
            }
        }
        let Some(at) = tries.iter().find(|it| is_free(it)).or(tries.first()).copied() else {
            continue;
        };
        taken.push((at.0, at.1, half));
        svg.text(label.class, (at.0, at.1 + 3.5), Anchor::Middle, &label.text);
    }
}

/// The place so far along a curve that is level at both ends.
fn along(from: (f64, f64), to: (f64, f64), part: f64) -> (f64, f64) {
    let rest = 1.0 - part;
    let middle = f64::midpoint(from.0, to.0);
    let (first, inner, last) = (rest.powi(3), 3.0 * rest * part, part.powi(3));
    let x = first * from.0 + inner * middle + last * to.0;
    let y = (first + inner * rest) * from.1 + (inner * part + last) * to.1;
    (x, y)
}

/// Everything about an edge.
fn story(edge: &EdgeReport) -> String {
    let mut story = format!(
        "{} → {}\n{} calls, {} a request\n{} attempts a call, {} fail\np50 {}, p99 {}",
        edge.caller,
        edge.callee,
        Unit::Rate.show(edge.calls.value),
        amount(edge.calls_per_request.value),
        amount(edge.attempts_per_call.value),
        Unit::Share.show(edge.errors.value),
        Unit::Time.show(edge.latency.p50_ms.value),
        Unit::Time.show(edge.latency.p99_ms.value),
    );
    for (reason, rate) in &edge.refused {
        add!(story, "\nrefused, {reason}: {}", Unit::Rate.show(rate.value));
    }
    story
}

/// The head of an edge, as long as `back` behind where it points.
fn arrow(svg: &mut Svg, class: &str, at: (f64, f64), back: f64) {
    let corners =
        [(at.0 - back, at.1), (at.0 + back * 0.3, at.1 - 4.5), (at.0 + back * 0.3, at.1 + 4.5)];
    svg.polygon(&format!("arrow {class}"), &corners);
}

/// Calls among the instances of one service: a loop above it.
fn peers(svg: &mut Svg, edge: &EdgeReport, at: (f64, f64)) {
    use crate::draw::place;
    let (x, y) = (at.0 + BOX_WIDTH / 2.0 - 34.0, at.1 - BOX_HEIGHT / 2.0);
    let (from, to, top) = (place(x), place(x + 22.0), place(y - 22.0));
    let y = place(y);
    let path = format!("M{from} {y}C{from} {top} {to} {top} {to} {y}");
    let class = error_class(edge.errors.value);
    svg.path(&format!("edge {class}"), &path, 1.6, &story(edge));
}

fn service_box(svg: &mut Svg, service: &ServiceReport, at: (f64, f64)) {
    let (left, top) = (at.0 - BOX_WIDTH / 2.0, at.1 - BOX_HEIGHT / 2.0);
    let busy = service.utilisation.as_ref().map(|it| it.value).filter(|it| it.is_finite());
    let class = busy.map_or("ok", busy_class);
    let instances = amount(service.instances);
    let words = match busy {
        None => "no limit".to_owned(),
        Some(it) if 0.0 < it && it < 0.01 => "< 1\u{202f}%".to_owned(),
        Some(it) => format!("{:.0}\u{202f}%", it * 100.0),
    };
    let title = format!(
        "{}\n{instances} instances, busy {words}\n{} arrive, {} fail\nsojourn mean {}, p99 {}",
        service.name,
        Unit::Rate.show(service.arrivals.value),
        Unit::Share.show(service.errors.value),
        Unit::Time.show(service.sojourn.mean_ms.value),
        Unit::Time.show(service.sojourn.p99_ms.value),
    );
    svg.open(&format!("service {class}"), &title);
    svg.rectangle("box", (left, top), (left + BOX_WIDTH, top + BOX_HEIGHT), "");
    svg.text("strong", (left + 10.0, top + 16.0), Anchor::Start, &cut(&service.name, 17));
    svg.text("tick", (left + 10.0, top + 30.0), Anchor::Start, &format!("{instances} inst"));
    svg.text("tick", (left + BOX_WIDTH - 10.0, top + 30.0), Anchor::End, &words);
    if let Some(busy) = busy {
        let (from, to) = (left + 10.0, left + BOX_WIDTH - 10.0);
        let y = top + BOX_HEIGHT - 6.0;
        svg.rectangle("track", (from, y), (to, y + 2.5), "");
        svg.rectangle("fill", (from, y), (from + (to - from) * busy.clamp(0.0, 1.0), y + 2.5), "");
    }
    svg.close();
}

fn outside(svg: &mut Svg, at: (f64, f64)) {
    svg.open("service outside", "requests of users");
    let (half_width, half_height) = (42.0, 15.0);
    svg.rectangle(
        "box",
        (at.0 + BOX_WIDTH / 2.0 - 2.0 * half_width, at.1 - half_height),
        (at.0 + BOX_WIDTH / 2.0, at.1 + half_height),
        "",
    );
    let x = at.0 + BOX_WIDTH / 2.0 - half_width;
    svg.text("strong", (x, at.1 + 4.0), Anchor::Middle, "users");
    svg.close();
}
