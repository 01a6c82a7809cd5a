//! Why one should believe it, or not: checks of the run itself, what was assumed, and what is not said.

use api::simulation::{Comparison, Credibility, Origin};

use super::Section;
use crate::figure::Unit;
use crate::html::escaped;

/// Items that are shown; of more, how many they are.
const ITEMS_MAX: usize = 12;

/// Of one answer.
pub(super) fn section(credibility: &Credibility, origin: &Origin) -> Section {
    Section { id: "credibility", title: "Credibility", html: html(credibility, origin) }
}

/// Of both sides of a comparison.
pub(super) fn of_both(comparison: &Comparison) -> Section {
    let sides = [("A", &comparison.a), ("B", &comparison.b)].map(|(side, it)| {
        format!("<div><h3>{side}</h3>{}</div>", html(&it.credibility, &it.origin))
    });
    let html = format!("<div class=\"two\">{}</div>", sides.concat());
    Section { id: "credibility", title: "Credibility", html }
}

fn html(credibility: &Credibility, origin: &Origin) -> String {
    let mut html = String::new();
    if credibility.violations.is_empty() {
        add!(
            html,
            "<p><span class=\"pill ok\">✓ checks hold</span> Every request is accounted for, and Little's law holds at every \
             station, to {}.</p>\n",
            Unit::Share.show(credibility.little_max_error)
        );
    } else {
        html.push_str(
            "<p><span class=\"pill critical\">! checks fail</span> Something is wrong with this run itself; do not trust \
             its figures.</p>\n",
        );
        html.push_str(&list(&credibility.violations));
    }
    let by = match origin.warm_up_by.as_str() {
        "" => String::new(),
        by => format!(" ({})", escaped(by)),
    };
    add!(
        html,
        "<p>{} independent replications of {} each, of which the first {}{by} are not counted. Intervals are 95 %.</p>\n",
        origin.replications,
        Unit::Seconds.show(origin.duration_s),
        Unit::Seconds.show(origin.warm_up_s),
    );
    let parts = [("Assumed", &credibility.assumptions), ("Not given", &credibility.refusals)];
    for (title, items) in parts.into_iter().filter(|it| !it.1.is_empty()) {
        add!(html, "<h3>{title}</h3>{}", list(items));
    }
    html
}

fn list(items: &[String]) -> String {
    let mut html = String::from("<ul>");
    for item in items.iter().take(ITEMS_MAX) {
        add!(html, "<li>{}</li>", escaped(item));
    }
    if ITEMS_MAX < items.len() {
        add!(html, "<li>and {} more</li>", items.len() - ITEMS_MAX);
    }
    html.push_str("</ul>\n");
    html
}
