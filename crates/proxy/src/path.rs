//! Paths as routes are matched with: one spelling for all that mean the same (RFC 3986, sections 5.2.4 and 6.2.2).
//!
//! An instance takes `/%62ig`, `/x/../big` and `//big` for `/big`. If a route did not, its limits could be walked around. So
//! characters that need no escape are decoded, dot segments resolved, and slashes merged, as Envoy's `normalize_path` and
//! `merge_slashes` do. What is escaped for a reason stays so: `%2F` is no slash (package scopes, object keys). It is for
//! matching alone: what is passed on is what came, so that addresses that were signed still are.
//!
//! It refuses what no two readers agree on: an escape that is none, a zero byte, a way above the root, and `//..`, where it
//! matters which is done first: nginx merges slashes and then goes up, RFC 3986 and Envoy go up from an empty segment.

use std::borrow::Cow;

use model::route::PathParameters;

/// Why a path is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadPath {
    #[error("the path has a `%` that is not followed by two hexadecimal digits")]
    Escape,
    #[error("the path has a zero byte in it")]
    Zero,
    #[error("the path leads above its root")]
    AboveRoot,
    #[error(
        "the path has `//..` in it, which leads to one place for some servers and to another for others"
    )]
    TwoWays,
}

/// The path as routes see it. What does not begin with a slash is no path, and is left as it is.
pub(crate) fn matched(path: &[u8]) -> Result<Cow<'_, [u8]>, BadPath> {
    if is_plain(path) || path.first() != Some(&b'/') {
        return Ok(Cow::Borrowed(path));
    }
    let decoded = decoded(path)?;
    Ok(Cow::Owned(merged(&resolved(&decoded)?)))
}

/// The path as routes see it that have `parameters` so.
pub(crate) fn matched_with(
    path: &[u8],
    parameters: PathParameters,
) -> Result<Cow<'_, [u8]>, BadPath> {
    match without_parameters(path, parameters) {
        Cow::Borrowed(path) => matched(path),
        Cow::Owned(path) => Ok(Cow::Owned(matched(&path)?.into_owned())),
    }
}

/// Without what begins with `;` in each segment, where that is ignored. Before anything is decoded or resolved, as servlets have it:
/// `/a/..;x/b` is `/b`, and `%3B` is a character like any other.
fn without_parameters(path: &[u8], parameters: PathParameters) -> Cow<'_, [u8]> {
    if parameters == PathParameters::Keep || !path.contains(&b';') {
        return Cow::Borrowed(path);
    }
    let bare = |it: &[u8]| it.split(|it| *it == b';').next().unwrap_or_default().to_vec();
    let segments: Vec<Vec<u8>> = path.split(|it| *it == b'/').map(bare).collect();
    Cow::Owned(segments.join(&b'/'))
}

/// Whether a path is surely as it should be: neither an escape, nor an empty or a dotted segment.
fn is_plain(path: &[u8]) -> bool {
    let mut after_slash = false;
    for byte in path {
        if *byte == b'%' || *byte == 0 || (after_slash && matches!(byte, b'/' | b'.')) {
            return false;
        }
        after_slash = *byte == b'/';
    }
    true
}

/// Whether a path has segments that lead elsewhere.
pub(crate) fn has_dots(path: &[u8], parameters: PathParameters) -> bool {
    let is_dots = |it: &[u8]| matches!(it, b"." | b"..");
    let path = without_parameters(path, parameters);
    decoded(&path).map_or(true, |it| it.split(|it| *it == b'/').any(is_dots))
}

/// Without escapes of characters that need none (section 2.3); the digits of others in capitals (6.2.2.1).
fn decoded(path: &[u8]) -> Result<Vec<u8>, BadPath> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte == 0 {
            return Err(BadPath::Zero);
        }
        if *byte != b'%' {
            out.push(*byte);
            continue;
        }
        let digits = rest.get(..2).and_then(|it| str::from_utf8(it).ok()).ok_or(BadPath::Escape)?;
        let is_hex = digits.bytes().all(|it| it.is_ascii_hexdigit());
        let value =
            u8::from_str_radix(digits, 16).ok().filter(|_| is_hex).ok_or(BadPath::Escape)?;
        match value {
            0 => return Err(BadPath::Zero),
            it if it.is_ascii_alphanumeric() || b"-._~".contains(&it) => out.push(it),
            _ => {
                out.push(b'%');
                out.extend(digits.bytes().map(|it| it.to_ascii_uppercase()));
            }
        }
        rest = rest.get(2..).unwrap_or_default();
    }
    Ok(out)
}

/// Without segments that stand for this one or the one above (section 5.2.4). An empty segment is one, as there.
fn resolved(path: &[u8]) -> Result<Vec<u8>, BadPath> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut segments = path.get(1..).unwrap_or_default().split(|it| *it == b'/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            b".." if kept.last().is_some_and(|it| it.is_empty()) => return Err(BadPath::TwoWays),
            b"." | b".." => {
                if segment == b".." && kept.pop().is_none() {
                    return Err(BadPath::AboveRoot);
                }
                if is_last {
                    // What it stands for is a folder.
                    kept.push(b"");
                }
            }
            other => kept.push(other),
        }
    }
    Ok(kept.iter().flat_map(|it| [b"/", *it].concat()).collect())
}

/// With one slash where there are several.
fn merged(path: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(path.len());
    for byte in path {
        if *byte != b'/' || out.last() != Some(&b'/') {
            out.push(*byte);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(path: &str, expected: Result<&str, BadPath>) {
        let found = matched(path.as_bytes());
        let found = found.as_deref().map(|it| str::from_utf8(it).unwrap()).map_err(|it| *it);
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn issue_13_what_means_the_same_is_matched_alike() {
        for (path, expected) in [
            ("/", "/"),
            ("/big", "/big"),
            ("*", "*"),
            // RFC 3986, 6.2.2.2: unreserved characters need no escape.
            ("/%62ig", "/big"),
            ("/%7euser/%2D%2e%5F", "/~user/-._"),
            // RFC 3986, 5.4: the paths of the examples.
            ("/b/c/./g", "/b/c/g"),
            ("/b/c/../g", "/b/g"),
            ("/b/c/..", "/b/"),
            ("/b/c/.", "/b/c/"),
            ("/b/c/../../g", "/g"),
            ("/b/c/g..", "/b/c/g.."),
            ("/b/c/..g", "/b/c/..g"),
            ("/b/c/./g/.", "/b/c/g/"),
            ("/b/c/g/./h", "/b/c/g/h"),
            ("/b/c/g/../h", "/b/c/h"),
            // Escaped dots are dots (Envoy's `normalize_path`, nginx' `location`).
            ("/x/%2e%2E/big", "/big"),
            ("/x/.%2e/big", "/big"),
            // Envoy's `merge_slashes`, nginx' default of it.
            ("//big", "/big"),
            ("/a//b///c/", "/a/b/c/"),
            // What is escaped for a reason stays so, in one spelling.
            ("/@scope%2fname", "/@scope%2Fname"),
            ("/a%2F..%2Fb", "/a%2F..%2Fb"),
            ("/a%5c..%5Cb", "/a%5C..%5Cb"),
            ("/%20%c3%a4", "/%20%C3%A4"),
            // Parameters are part of their segment (section 3.3).
            ("/a;x=1/b", "/a;x=1/b"),
        ] {
            check(path, Ok(expected));
        }
    }

    #[test]
    fn issue_13_what_leads_to_two_places_is_refused() {
        for path in ["/x//../admin", "/x//%2e%2e/admin", "//../admin", "/a/b//..", "/x//./../admin"]
        {
            check(path, Err(BadPath::TwoWays));
        }
        let ignored = matched_with(b"/x/;a/../admin", PathParameters::Ignore);
        assert_eq!(ignored, Err(BadPath::TwoWays));
        check("/x//a/../admin", Ok("/x/admin"));
        check("/a//", Ok("/a/"));
    }

    /// RFC 3986, section 3.3, as Tomcat and Spring read it.
    #[test]
    fn issue_13_parameters_are_left_out_where_they_are_ignored() {
        let seen = |path: &'static str, parameters| {
            let found = matched_with(path.as_bytes(), parameters);
            found.map(|it| String::from_utf8(it.into_owned()).unwrap())
        };
        for (path, expected) in [
            ("/admin;x", "/admin"),
            ("/admin;x=y;z/users;a=/b", "/admin/users/b"),
            ("/;x/admin", "/admin"),
            ("/a/..;x/admin", "/admin"),
            ("/a/.;/b;", "/a/b"),
            ("/%61dmin;x", "/admin"),
            ("/admin;/", "/admin/"),
            ("/admin%3Bx", "/admin%3Bx"),
            ("/admin", "/admin"),
        ] {
            assert_eq!(seen(path, PathParameters::Ignore).as_deref(), Ok(expected), "{path}");
        }
        assert_eq!(seen("/..;/a", PathParameters::Ignore), Err(BadPath::AboveRoot));
        assert_eq!(seen("/admin;x", PathParameters::Keep).as_deref(), Ok("/admin;x"));
        assert!(has_dots(b"/a/..;x", PathParameters::Ignore));
        assert!(!has_dots(b"/a/..;x", PathParameters::Keep));
    }

    #[test]
    fn issue_13_what_nobody_agrees_on_is_refused() {
        for path in ["/%", "/%6", "/%6g", "/a%-1", "/%+1"] {
            check(path, Err(BadPath::Escape));
        }
        check("/a%00b", Err(BadPath::Zero));
        check("/a\0b", Err(BadPath::Zero));
        for path in ["/..", "/../a", "/a/../../b", "/%2e%2e/a", "/./../a"] {
            check(path, Err(BadPath::AboveRoot));
        }
    }

    proptest! {
        #[test]
        fn a_path_is_normal_once_and_for_all(path in "/([a-c./%;]|%2[eEfF]|%62|//){0,24}") {
            let Ok(once) = matched(path.as_bytes()) else { return Ok(()) };
            prop_assert!(!has_dots(&once, PathParameters::Keep), "{}", String::from_utf8_lossy(&once));
            prop_assert!(!once.windows(2).any(|it| it == b"//"));
            prop_assert_eq!(matched(&once).unwrap(), once.clone());
        }
    }
}
