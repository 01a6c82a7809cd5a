//! What applying would change of an application beside its services: it needs no release, and happens at once.

use std::collections::{BTreeMap, BTreeSet};

use model::Application;
use model::route::Route;
use world::routing::route_key;

use crate::change::Values;
use crate::release::values;

/// The differences of two definitions outside their services, a line each: routes, configuration, flags and rules.
/// Of an application that is new all of it is. Configuration may end up in an environment, and is masked like one.
pub fn whole(before: Option<&Application>, after: &Application, shown: Values) -> Vec<String> {
    let nothing = Application::empty(after.name.clone());
    let before = before.unwrap_or(&nothing);
    let mut lines = routes(&before.routes, &after.routes);
    lines.extend(match shown {
        Values::Shown => values("config", &before.config, &after.config),
        Values::Masked => named("config", &before.config, &after.config),
    });
    lines.extend(values("flags", &before.flags, &after.flags));
    let rules = |it: &Application| -> BTreeMap<String, String> {
        it.rules.files.iter().map(|it| (it.name.clone(), it.text.clone())).collect()
    };
    lines.extend(named("rules", &rules(before), &rules(after)));
    if before.rules.webhook != after.rules.webhook {
        // Its address may have a password in it.
        lines.push("rules.webhook: changed".to_owned());
    }
    lines
}

fn routes(before: &[Route], after: &[Route]) -> Vec<String> {
    let by_key = |routes: &[Route]| -> BTreeMap<String, Route> {
        routes.iter().map(|it| (route_key(it), it.clone())).collect()
    };
    let order = |routes: &[Route]| routes.iter().map(route_key).collect::<Vec<_>>();
    let mut lines = named("route", &by_key(before), &by_key(after));
    let same = |routes: &[Route]| {
        let mut keys = order(routes);
        keys.sort();
        keys
    };
    if same(before) == same(after) && order(before) != order(after) {
        lines.push("route: they are in another order".to_owned());
    }
    lines
}

/// Which entries are new, gone or different, by name: what is in them is too long for a line.
fn named<V: PartialEq>(
    what: &str,
    before: &BTreeMap<String, V>,
    after: &BTreeMap<String, V>,
) -> Vec<String> {
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let line = |key: &String| {
        let verb = match (before.get(key), after.get(key)) {
            (None, _) => "added",
            (_, None) => "removed",
            (one, other) if one != other => "changed",
            _ => return None,
        };
        Some(format!("{what} {key}: {verb}"))
    };
    keys.into_iter().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn application(more: &str) -> Application {
        serde_json::from_str(&format!(r#"{{"name": "shop", "services": {{}}{more}}}"#)).unwrap()
    }

    #[test]
    fn issue_12_everything_that_is_different_is_said() {
        let before = application(
            r#", "routes": [{"path": "/a", "service": "web"}, {"path": "/b", "service": "web"}],
                "config": {"max": 50}, "rules": {"files": [{"name": "a.yaml", "text": "x"}]}"#,
        );
        let after = application(
            r#", "routes": [{"path": "/b", "service": "cart"}, {"path": "/c", "service": "web"}],
                "config": {"max": 60}, "rules": {"files": [{"name": "a.yaml", "text": "y"}]}"#,
        );
        assert_eq!(
            whole(Some(&before), &after, Values::Shown),
            [
                "route */a: removed",
                "route */b: changed",
                "route */c: added",
                "config.max: 50 -> 60",
                "rules a.yaml: changed",
            ]
        );
        let masked = whole(Some(&before), &after, Values::Masked);
        assert!(masked.contains(&"config max: changed".to_owned()), "{masked:?}");
        assert_eq!(whole(Some(&after), &after, Values::Shown), [""; 0]);
        // Of one that is new everything is.
        let new = whole(None, &after, Values::Shown);
        assert!(
            !new.is_empty()
                && new.iter().all(|it| it.contains("added") || it.contains("(none) -> ")),
            "{new:?}"
        );
        let turned = application(
            r#", "routes": [{"path": "/c", "service": "web"}, {"path": "/b", "service": "cart"}],
                "config": {"max": 60}, "rules": {"files": [{"name": "a.yaml", "text": "y"}]}"#,
        );
        assert_eq!(
            whole(Some(&after), &turned, Values::Shown),
            ["route: they are in another order"]
        );
    }
}
