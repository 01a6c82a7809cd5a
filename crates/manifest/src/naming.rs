//! What a file's application is called, whatever else is wrong with the file.
//!
//! Commands about an application that runs need nothing of its file but the name: a variable that is not set, or a
//! mistake further down, must not make them turn to another application.

use std::collections::BTreeMap;

use crate::import::{self, Kind};
use crate::problem::Findings;
use crate::yaml;

/// The name of the application that a file describes, where the file says one that can be read. `name` is the file's,
/// with its folder if that is known; `environment` is the caller's.
pub fn name_of(name: &str, text: &str, environment: &BTreeMap<String, String>) -> Option<String> {
    let kind = import::detect(name, text);
    let written = match kind {
        Kind::Procfile => None,
        Kind::Spigo => said(text, "arch"),
        Kind::Pelago | Kind::Compose => said(text, "name"),
    };
    // A name that is made of variables is only known when the rest is read.
    let written = written.filter(|it| !it.contains('$'));
    match kind {
        Kind::Pelago => written,
        Kind::Spigo => Some(import::name_like(&written?, "architecture")),
        Kind::Compose => {
            let project = import::project(name, environment);
            Some(import::compose_name(written.as_deref(), project))
        }
        Kind::Procfile => Some(import::name_like(import::project(name, environment), "app")),
    }
}

/// The text behind a key at the top of a file: also of one that is no YAML further down.
fn said(text: &str, key: &str) -> Option<String> {
    if let Some(root) = yaml::parse(&import::untabbed(text), &mut Findings::default()) {
        let node = root.get(key)?;
        return Some(node.raw.clone()).filter(|it| node.is_scalar() && !it.is_empty());
    }
    let mut lines = text.lines();
    let line = lines.find_map(|it| it.strip_prefix(key)?.trim_start().strip_prefix(':'))?;
    let value = line.split(" #").next().unwrap_or_default().trim();
    let value = value.trim_matches(['"', '\'']);
    Some(value.to_owned()).filter(|it| !it.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(file: &str, text: &str, expected: Option<&str>) {
        let environment = BTreeMap::from([("SET".to_owned(), "x".to_owned())]);
        assert_eq!(name_of(file, text, &environment).as_deref(), expected, "{file}: {text}");
    }

    #[test]
    fn issue_12_a_name_is_read_whatever_else_is_wrong() {
        check("pelago.yaml", "name: shop\nservices: {a: {command: x}}", Some("shop"));
        let unset = "name: broken\nservices: {a: {environment: {T: \"${env.NOT_SET}\"}}}";
        check("pelago.yaml", unset, Some("broken"));
        check("pelago.yaml", "name: 'shop' # ours\nservices: {a: [", Some("shop"));
        check("pelago.yaml", "services: {a: {command: x}}", None);
        check("pelago.yaml", "name: ${env.SET}\nservices: {}", None);
        check("pelago.yaml", "name: {a: b}", None);
    }

    #[test]
    fn others_are_called_as_their_folder_unless_they_say() {
        check("blog/compose.yaml", "services: {a: {image: x}}", Some("blog"));
        check("blog/compose.yaml", "name: news\nservices: {a: {image: x}}", Some("news"));
        check("blog/Procfile", "web: run", Some("blog"));
        // Compose writes the names of its projects small, and nobody else does.
        check("MyShop/compose.yaml", "services: {a: {image: x}}", Some("myshop"));
        check("My App.v2/compose.yaml", "services: {a: {image: x}}", Some("my-app-v2"));
        check("MyShop/compose.yaml", "name: News\nservices: {a: {image: x}}", Some("News"));
        check("MyShop/Procfile", "web: run", Some("MyShop"));
    }
}
