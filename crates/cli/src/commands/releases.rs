//! `pelago releases` and `pelago diff`.

use api::release::{DiffView, ReleaseEntry, ReleaseStateView};

use crate::arguments::{Diff, Releases};
use crate::client::{Client, Target};
use crate::error::CommandError;
use crate::output::{Output, Tone};
use crate::table::Cell;
use crate::{Context, daemon, meant, table};

/// Characters of a digest that are shown.
const DIGEST_CHARS: usize = 12;

pub(crate) async fn list(
    context: &Context,
    asked: &Releases,
    output: &mut Output,
) -> Result<(), CommandError> {
    let client = daemon::ensure(context).await?;
    let application = meant::application(context, &client, output).await?;
    let releases = entries(&client, &application, asked.service.as_deref()).await?;
    if output.is_json() {
        return output.json(&releases);
    }
    table::write(output, &HEADING, &rows(&releases))
}

async fn entries(
    client: &Client,
    application: &str,
    service: Option<&str>,
) -> Result<Vec<ReleaseEntry>, CommandError> {
    let target = Target::new(&["v1", "applications", application, "releases"]);
    client.get(target.with("service", service)).await
}

const HEADING: [&str; 8] = ["RELEASE", "STATE", "SHARE", "READY", "MADE", "BY", "FROM", "NOTE"];

fn rows(releases: &[ReleaseEntry]) -> Vec<Vec<Cell>> {
    let plain = |text: String| (text, Tone::Plain);
    let row = |it: &ReleaseEntry| {
        let idle = it.share == 0.0;
        let share = if idle { "-".to_owned() } else { share(it.share) };
        let files = it.artifact.as_deref().and_then(|it| it.get(..DIGEST_CHARS));
        let from = it.commit.as_deref().or(files).unwrap_or("-");
        vec![
            plain(format!("{}@{}", it.service, it.release)),
            (word(it.state).to_owned(), tone(it.state)),
            plain(share),
            plain(if it.ready == 0 { "-".to_owned() } else { it.ready.to_string() }),
            (it.made_at.clone(), Tone::Faint),
            plain(it.by.clone().unwrap_or_else(|| "-".to_owned())),
            plain(from.to_owned()),
            plain(it.note.clone().unwrap_or_default()),
        ]
    };
    releases.iter().map(row).collect()
}

const fn word(state: ReleaseStateView) -> &'static str {
    match state {
        ReleaseStateView::Serving => "serving",
        ReleaseStateView::RollingOut => "rolling out",
        ReleaseStateView::Warm => "warm",
        ReleaseStateView::Rejected => "rejected",
        ReleaseStateView::Retired => "retired",
    }
}

const fn tone(state: ReleaseStateView) -> Tone {
    match state {
        ReleaseStateView::Serving => Tone::Good,
        ReleaseStateView::RollingOut => Tone::Busy,
        ReleaseStateView::Rejected => Tone::Bad,
        ReleaseStateView::Warm => Tone::Plain,
        ReleaseStateView::Retired => Tone::Faint,
    }
}

/// A share of traffic: `90%`, `2.5%`.
pub(crate) fn share(share: f64) -> String {
    // To a tenth of a percent, without a zero behind the point.
    let percent = (share * 1e3).round() / 10.0;
    format!("{percent}%")
}

pub(crate) async fn diff(
    context: &Context,
    asked: &Diff,
    output: &mut Output,
) -> Result<(), CommandError> {
    let client = daemon::ensure(context).await?;
    let application = meant::application(context, &client, output).await?;
    let (service, from) = named(&asked.from)?;
    let to = match asked.to.as_deref() {
        Some(to) if to.contains('@') => {
            let (other, number) = named(to)?;
            if other != service {
                return Err(CommandError::wrong(format!(
                    "`{}` and `{to}` are of two services; compare releases of one",
                    asked.from
                )));
            }
            number.to_owned()
        }
        Some(number) => number.to_owned(),
        None => serving(&client, &application, service).await?,
    };
    let path = ["v1", "applications", &application, "services", service, "diff"];
    let target = Target::new(&path).with("from", Some(from)).with("to", Some(&to));
    let target = target.with("show_values", asked.show_values.then_some("true"));
    let view: DiffView = client.get(target).await?;
    if output.is_json() {
        return output.json(&view);
    }
    if view.differences.is_empty() {
        return output.line(&format!("{} and {} are alike", view.from, view.to));
    }
    output.line(&output.paint(Tone::Strong, &format!("{} -> {}", view.from, view.to)))?;
    view.differences.iter().try_for_each(|it| output.line(&format!("  {it}")))
}

/// The release of a service that serves.
async fn serving(
    client: &Client,
    application: &str,
    service: &str,
) -> Result<String, CommandError> {
    let releases = entries(client, application, Some(service)).await?;
    let serving = releases.into_iter().find(|it| it.state == ReleaseStateView::Serving);
    serving.map(|it| it.release).ok_or_else(|| {
        CommandError::wrong(format!("no release of {service} serves; name the second one, too"))
    })
}

/// `cart@r11`, in two.
fn named(text: &str) -> Result<(&str, &str), CommandError> {
    text.split_once('@').ok_or_else(|| {
        CommandError::wrong(format!(
            "`{text}` names no release of a service; write it as `cart@r11`"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Format;
    use crate::output::{Look, captured};

    fn entry(release: &str, state: ReleaseStateView, share: f64) -> ReleaseEntry {
        ReleaseEntry {
            application: "shop".to_owned(),
            service: "cart".to_owned(),
            release: release.to_owned(),
            state,
            share,
            ready: usize::from(0.0 < share),
            made_at: "2026-11-22T06:00:00.000Z".to_owned(),
            kept_until: None,
            runs: "./cart".to_owned(),
            artifact: Some("0123456789abcdef".repeat(4)),
            note: None,
            by: Some("ada".to_owned()),
            commit: None,
        }
    }

    #[test]
    fn a_row_for_each_release() {
        let note = Some("faster baskets".to_owned());
        let commit = Some("1a2b3c4d5e6f+".to_owned());
        let releases = [
            ReleaseEntry { note, commit, ..entry("r12", ReleaseStateView::RollingOut, 0.025) },
            entry("r11", ReleaseStateView::Serving, 0.975),
            ReleaseEntry {
                by: None,
                artifact: None,
                ..entry("r9", ReleaseStateView::Retired, 0.0)
            },
        ];
        let (mut output, page) = captured::output(Look::Plain, Format::Text);
        table::write(&mut output, &HEADING, &rows(&releases)).unwrap();
        insta::assert_snapshot!(page.text(), @"
        RELEASE   STATE        SHARE  READY  MADE                      BY   FROM           NOTE
        cart@r12  rolling out  2.5%   1      2026-11-22T06:00:00.000Z  ada  1a2b3c4d5e6f+  faster baskets
        cart@r11  serving      97.5%  1      2026-11-22T06:00:00.000Z  ada  0123456789ab
        cart@r9   retired      -      -      2026-11-22T06:00:00.000Z  -    -
        ");
    }

    #[test]
    fn releases_are_named_with_their_service() {
        assert_eq!(named("cart@r11").unwrap(), ("cart", "r11"));
        let message = named("r11").unwrap_err().to_string();
        assert_eq!(message, "`r11` names no release of a service; write it as `cart@r11`");
    }
}
