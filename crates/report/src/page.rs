//! The page: one HTML file that needs nothing else, made of sections in the order people ask.
//!
//! Does it do what is asked of it · why should I believe that · what does it bear · what throws it over · what happened when
//! · where does the time go · who calls whom · the figures · how do I run it again. It works without scripts and
//! without a network, in light and dark, on paper and on a telephone.

mod credibility;
mod differences;
mod load;
mod origin;
mod path;
mod services;
mod storm;
mod timeline;
mod topology;
mod users;
mod verdict;

use api::simulation::{Capacity, Comparison, Origin, Report, Storm, Sweep};

use crate::figure::{amount, wide};
use crate::html::escaped;

/// What a page is about.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// One application in one scenario.
    Report(&'a Report),
    /// The largest load that meets the objectives.
    Capacity(&'a Capacity),
    /// Two variants.
    Comparison(&'a Comparison),
    /// A parameter against what comes of it.
    Sweep(&'a Sweep),
    /// How an application takes shocks.
    Storm(&'a Storm),
}

/// A part of a page.
#[derive(Clone, Debug)]
struct Section {
    /// Its anchor.
    id: &'static str,
    /// Its heading.
    title: &'static str,
    /// What is in it, as HTML.
    html: String,
}

const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// The page. Everything from outside is escaped.
pub fn page(subject: &Subject<'_>) -> String {
    let (what, origin) = heading(subject);
    let sections = sections(subject);
    let application = escaped(&origin.application);
    let links: Vec<String> =
        sections.iter().map(|it| format!("<a href=\"#{}\">{}</a>", it.id, it.title)).collect();
    let body: Vec<String> = sections
        .iter()
        .map(|it| {
            format!("<section id=\"{}\"><h2>{}</h2>\n{}</section>\n", it.id, it.title, it.html)
        })
        .collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src 'unsafe-inline'\"/>\n\
         <title>{application} · {what} · Pelago</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header><span class=\"logo\" aria-hidden=\"true\">◈</span><h1>{application}</h1>\
         <span class=\"what\">{what}</span><span class=\"pill unknown\" title=\"nothing of this happened for real\">\
         simulated</span></header>\n<nav aria-label=\"Sections\">{}</nav>\n<main>\n{}</main>\n\
         <footer>Pelago {} · seed {} · {} events</footer>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        links.join(" "),
        body.concat(),
        escaped(&origin.version),
        origin.seed,
        amount(wide(origin.events)),
    )
}

const fn heading<'a>(subject: &Subject<'a>) -> (&'static str, &'a Origin) {
    match *subject {
        Subject::Report(it) => ("report", &it.origin),
        Subject::Capacity(it) => ("capacity", &it.origin),
        Subject::Comparison(it) => ("comparison", &it.a.origin),
        Subject::Sweep(it) => ("sweep", &it.origin),
        Subject::Storm(it) => ("storm", &it.origin),
    }
}

fn sections(subject: &Subject<'_>) -> Vec<Section> {
    let sections = match *subject {
        Subject::Report(report) => {
            let mut sections = vec![
                verdict::of_report(report),
                credibility::section(&report.credibility, &report.origin),
                users::section(&report.users),
            ];
            sections.extend(of_run(report));
            sections.push(origin::section(&[("", &report.origin)]));
            sections
        }
        Subject::Capacity(it) => vec![
            verdict::of_capacity(it),
            credibility::section(&it.credibility, &it.origin),
            load::of_capacity(it),
            origin::section(&[("", &it.origin)]),
        ],
        Subject::Sweep(it) => vec![
            verdict::of_sweep(it),
            credibility::section(&it.credibility, &it.origin),
            load::of_sweep(it),
            origin::section(&[("", &it.origin)]),
        ],
        Subject::Storm(it) => vec![
            verdict::of_storm(it),
            credibility::section(&it.credibility, &it.origin),
            storm::section(it),
            origin::section(&[("", &it.origin)]),
        ],
        Subject::Comparison(it) => vec![
            verdict::of_comparison(it),
            credibility::of_both(it),
            differences::section(it),
            timeline::of_both(it),
            folded_run("run-a", "All of A", &it.a),
            folded_run("run-b", "All of B", &it.b),
            origin::section(&[("A", &it.a.origin), ("B", &it.b.origin)]),
        ],
    };
    sections.into_iter().filter(|it| !it.html.is_empty()).collect()
}

/// What one run was like, apart from its verdict.
fn of_run(report: &Report) -> Vec<Section> {
    vec![
        timeline::section(report),
        path::section(&report.critical_path),
        topology::section(report),
        services::services(&report.services),
        services::edges(&report.edges),
    ]
}

/// The same, folded up: for those who want to know more of one side of a comparison.
fn folded_run(id: &'static str, title: &'static str, report: &Report) -> Section {
    let mut sections = vec![users::section(&report.users)];
    sections.extend(of_run(report));
    let filled = sections.iter().filter(|it| !it.html.is_empty());
    let parts: Vec<String> = filled
        .map(|it| {
            format!("<details><summary class=\"part\">{}</summary>{}</details>", it.title, it.html)
        })
        .collect();
    Section { id, title, html: parts.concat() }
}
