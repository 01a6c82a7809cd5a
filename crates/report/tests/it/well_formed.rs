//! A strict reader of XML without a document type: what pages and `GraphML` are held to.

/// Says what is wrong, if anything is.
pub(crate) fn check(text: &str) -> Result<(), String> {
    let mut open: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        if rest[..at].contains('>') {
            return Err(format!("a stray > in {:?}", &rest[..at]));
        }
        references(&rest[..at])?;
        let end =
            rest[at..].find('>').ok_or_else(|| format!("no end of {:?}", cut(&rest[at..])))? + at;
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if tag.starts_with(['!', '?']) {
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            let last = open.pop();
            if last.as_deref() != Some(name) {
                return Err(format!("</{name}> ends {last:?}"));
            }
            continue;
        }
        let (tag, is_empty) = tag.strip_suffix('/').map_or((tag, false), |it| (it, true));
        let name = tag.split_whitespace().next().unwrap_or_default();
        attributes(&tag[name.len()..]).map_err(|it| format!("<{tag}>: {it}"))?;
        if name.is_empty() || !name.chars().all(|it| it.is_ascii_alphanumeric() || it == ':') {
            return Err(format!("no name: <{tag}>"));
        }
        if !is_empty {
            open.push(name.to_owned());
        }
    }
    if open.is_empty() { Ok(()) } else { Err(format!("not closed: {open:?}")) }
}

fn cut(text: &str) -> String {
    text.chars().take(60).collect()
}

/// `&` begins a reference, and of five only.
fn references(text: &str) -> Result<(), String> {
    for part in text.split('&').skip(1) {
        let known = ["amp;", "lt;", "gt;", "quot;", "#39;"];
        if !known.iter().any(|it| part.starts_with(it)) {
            return Err(format!("a stray & before {:?}", cut(part)));
        }
    }
    Ok(())
}

fn attributes(text: &str) -> Result<(), String> {
    let mut names = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, value) =
            rest.split_once("=\"").ok_or_else(|| format!("no value in {rest:?}"))?;
        let (value, after) = value.split_once('"').ok_or_else(|| format!("no end of {name}"))?;
        references(value)?;
        if name.is_empty() || name.contains(char::is_whitespace) || names.contains(&name) {
            return Err(format!("a name: {name:?}"));
        }
        if !after.is_empty() && !after.starts_with(char::is_whitespace) {
            return Err(format!("no space after {name}"));
        }
        names.push(name);
        rest = after.trim_start();
    }
    Ok(())
}

#[test]
fn what_is_wrong_is_found() {
    assert_eq!(check("<!DOCTYPE html><a b=\"c &lt;\"><d/>e</a>"), Ok(()));
    for wrong in [
        "<a>",
        "<a></b>",
        "<a b=c></a>",
        "a & b<c/>",
        "<a b=\"1\" b=\"2\"/>",
        "<a>></a>",
        "<a b></a>",
    ] {
        assert!(check(wrong).is_err(), "{wrong}");
    }
}
