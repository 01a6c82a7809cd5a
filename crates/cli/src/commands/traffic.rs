//! `pelago traffic`.

use api::request::{Accepted, ReleaseMatch, ReleaseShare, RequestMatch, SetTraffic};
use model::ReleaseNumber;
use model::edge::RequestKey;
use model::route::HeaderMatch;
use model::units::Share;

use super::wishes;
use crate::arguments::{self, Traffic, TrafficAction};
use crate::client::Target;
use crate::error::CommandError;
use crate::output::Output;
use crate::{Context, daemon, meant};

pub(crate) async fn run(
    context: &Context,
    asked: &Traffic,
    output: &mut Output,
) -> Result<(), CommandError> {
    let TrafficAction::Set(set) = &asked.action;
    let wish = wish(set)?;
    let client = daemon::ensure(context).await?;
    let application = meant::application(context, &client, output).await?;
    let path = ["v1", "applications", &application, "services", &set.service, "traffic"];
    let accepted: Accepted = client.post(Target::new(&path), &wish).await?;
    wishes::wait(&client, &application, accepted.index, &[&set.service], output).await
}

fn wish(set: &arguments::SetTraffic) -> Result<SetTraffic, CommandError> {
    let shares = set.shares.iter().map(|it| share(it));
    let headers = set.header.iter().map(|it| matched(it, RequestMatch::Header));
    let cookies = set.cookie.iter().map(|it| matched(it, RequestMatch::Cookie));
    Ok(SetTraffic {
        shares: shares.collect::<Result<_, _>>()?,
        matches: headers.chain(cookies).collect::<Result<_, _>>()?,
        sticky: set.sticky.as_deref().map(key).transpose()?,
    })
}

/// `r12=10%`; `r12` alone gets everything.
fn share(text: &str) -> Result<ReleaseShare, CommandError> {
    let (release, weight) = match text.split_once('=') {
        Some((release, weight)) => (
            release,
            weight.parse().map_err(|error| CommandError::wrong(format!("`{text}`: {error}")))?,
        ),
        None => (text, Share::ALL),
    };
    Ok(ReleaseShare { release: number(release)?, weight })
}

/// `x-beta=1:r12`, or `x-beta:r12` for any value.
fn matched(
    text: &str,
    has: impl FnOnce(HeaderMatch) -> RequestMatch,
) -> Result<ReleaseMatch, CommandError> {
    let (what, release) = text.rsplit_once(':').ok_or_else(|| {
        CommandError::wrong(format!(
            "`{text}` does not say to which release; write for example `x-beta=1:r12`"
        ))
    })?;
    let (name, value) = match what.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (what, None),
    };
    let mut has = has(HeaderMatch { name: name.to_owned(), value });
    if let RequestMatch::Header(header) = &mut has {
        header.name.make_ascii_lowercase();
    }
    Ok(ReleaseMatch { has, release: number(release)? })
}

fn key(text: &str) -> Result<RequestKey, CommandError> {
    match text.split_once(':') {
        Some(("header", name)) if !name.is_empty() => {
            Ok(RequestKey::Header(name.to_ascii_lowercase()))
        }
        Some(("cookie", name)) if !name.is_empty() => Ok(RequestKey::Cookie(name.to_owned())),
        None if text == "client" => Ok(RequestKey::ClientAddress),
        _ => Err(CommandError::wrong(format!(
            "`{text}` is no key; write `header:NAME`, `cookie:NAME` or `client`"
        ))),
    }
}

fn number(text: &str) -> Result<ReleaseNumber, CommandError> {
    text.parse()
        .map_err(|error: model::release::ReleaseNumberError| CommandError::wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(shares: &[&str], header: &[&str], cookie: &[&str], sticky: &str) -> String {
        let owned = |texts: &[&str]| texts.iter().map(|it| (*it).to_owned()).collect();
        let set = arguments::SetTraffic {
            service: "cart".to_owned(),
            shares: owned(shares),
            header: owned(header),
            cookie: owned(cookie),
            sticky: (!sticky.is_empty()).then(|| sticky.to_owned()),
        };
        match wish(&set) {
            Ok(wish) => serde_json::to_string(&wish).unwrap(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn traffic_is_set_as_it_is_typed() {
        assert_eq!(
            set(&["r11=90%", "r12=10%"], &["X-Beta=1:r12"], &["Beta:r12"], "cookie:Session"),
            concat!(
                r#"{"shares":[{"release":11,"weight":"90%"},{"release":12,"weight":"10%"}],"#,
                r#""matches":[{"header":{"name":"x-beta","value":"1"},"release":12},"#,
                r#"{"cookie":{"name":"Beta"},"release":12}],"sticky":{"cookie":"Session"}}"#,
            )
        );
        assert_eq!(
            set(&["r12"], &[], &[], "client"),
            r#"{"shares":[{"release":12,"weight":"100%"}],"matches":[],"sticky":"client-address"}"#
        );
    }

    #[test]
    fn what_is_typed_wrong_is_answered_with_what_would_be_right() {
        let release =
            "`12` is not a release; a release is written as `r` and its number, as in `r12`";
        assert_eq!(set(&["12=5%"], &[], &[], ""), release);
        assert_eq!(
            set(&["r12=5"], &[], &[], ""),
            "`r12=5`: `5` has no unit; write a percentage such as `20%`"
        );
        assert_eq!(
            set(&["r12"], &["x-beta"], &[], ""),
            "`x-beta` does not say to which release; write for example `x-beta=1:r12`"
        );
        assert_eq!(
            set(&["r12"], &[], &[], "session"),
            "`session` is no key; write `header:NAME`, `cookie:NAME` or `client`"
        );
    }
}
