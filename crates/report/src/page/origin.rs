//! Where it comes from: enough to run it again and get the same bytes.

use api::simulation::Origin;

use super::Section;
use crate::figure::{Unit, amount, wide};
use crate::html::escaped;

/// Of one run, or of several with their names.
pub(super) fn section(origins: &[(&str, &Origin)]) -> Section {
    let html: Vec<String> = origins.iter().map(|(side, it)| one(side, it)).collect();
    Section { id: "origin", title: "Origin", html: html.concat() }
}

fn one(side: &str, origin: &Origin) -> String {
    let title = if side.is_empty() { String::new() } else { format!("<h3>{}</h3>", escaped(side)) };
    let facts = [
        ("seed", format!("<code>{}</code>", origin.seed)),
        ("replications", origin.replications.to_string()),
        ("duration", Unit::Seconds.show(origin.duration_s)),
        ("warm-up", Unit::Seconds.show(origin.warm_up_s)),
        ("events", amount(wide(origin.events))),
        ("model", format!("<code>{}</code>", escaped(&origin.model))),
        ("digest", format!("<code>{}</code>", escaped(&origin.digest))),
        ("Pelago", escaped(&origin.version)),
    ];
    let facts: Vec<String> = facts
        .iter()
        .map(|(term, fact)| format!("<div><dt>{term}</dt><dd>{fact}</dd></div>"))
        .collect();
    let command = if origin.command.is_empty() {
        String::new()
    } else {
        format!(
            "<p>The same bytes again:</p><div class=\"command\"><pre><code>{}</code></pre>\
             <button type=\"button\" class=\"copy\" hidden=\"hidden\">Copy</button></div>\n",
            escaped(&origin.command)
        )
    };
    format!("{title}{command}<dl>{}</dl>\n", facts.concat())
}
