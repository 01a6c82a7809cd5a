//! Compose's `${..}`: `$NAME`, `${NAME}`, `:-` and `-` for a default, `:?` and `?` for an error, `:+` and
//! `+` for a replacement, `$$` for a dollar sign (Compose specification, chapter 12).

/// What a name stands for, if it is set.
pub(crate) type Lookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Defaults within defaults; more than two are not meant to be read.
const DEPTH_MAX: usize = 8;
/// Bytes a text may grow to: what Linux takes for one argument (`MAX_ARG_STRLEN`, execve(2)).
const BYTES_MAX: usize = 128 << 10;

/// A text with everything put in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Filled {
    pub(crate) text: String,
    /// Names that were not set and had no default; Compose takes them as empty.
    pub(crate) unset: Vec<String>,
}

/// Fills `text` with what `lookup` knows, or says what is wrong with it.
pub(crate) fn interpolate(text: &str, lookup: &Lookup<'_>) -> Result<Filled, String> {
    let mut filled = Filled::default();
    fill(text, lookup, &mut filled, 0)?;
    Ok(filled)
}

fn fill(text: &str, lookup: &Lookup<'_>, filled: &mut Filled, depth: usize) -> Result<(), String> {
    if DEPTH_MAX < depth {
        return Err(format!("more than {DEPTH_MAX} references inside of each other"));
    }
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        filled.text.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            filled.text.push('$');
            rest = after;
        } else if let Some(after) = after.strip_prefix('{') {
            let (inner, after) = closing(after)
                .ok_or("a `${` is never closed; write `$$` for a dollar sign".to_owned())?;
            braced(inner, lookup, filled, depth)?;
            rest = after;
        } else {
            let (name, after) = leading_name(after);
            if name.is_empty() {
                // As in Compose, what names nothing stands for itself: `5$`, `$(id -u)`, `$2a$14$..`.
                filled.text.push('$');
                rest = after;
                continue;
            }
            put(name, lookup(name), filled);
            rest = after;
        }
        if BYTES_MAX < filled.text.len() {
            return Err(format!("with everything put in this has more than {BYTES_MAX} bytes"));
        }
    }
    filled.text.push_str(rest);
    Ok(())
}

fn put(name: &str, value: Option<String>, filled: &mut Filled) {
    match value {
        Some(value) => filled.text.push_str(&value),
        None => filled.unset.push(name.to_owned()),
    }
}

/// What is before the brace that closes, and what is behind it.
fn closing(text: &str) -> Option<(&str, &str)> {
    let mut open = 0_usize;
    let mut before = '\0';
    for (at, character) in text.char_indices() {
        match character {
            '{' if before == '$' => open += 1,
            '}' if open == 0 => {
                let (inner, rest) = text.split_at_checked(at)?;
                return Some((inner, rest.strip_prefix('}')?));
            }
            '}' => open -= 1,
            _ => {}
        }
        before = character;
    }
    None
}

fn leading_name(text: &str) -> (&str, &str) {
    let inner = |it: char| it.is_ascii_alphanumeric() || it == '_';
    let end = text.find(|it| !inner(it)).unwrap_or(text.len());
    if text.starts_with(|it: char| it.is_ascii_digit()) {
        return ("", text);
    }
    text.split_at_checked(end).unwrap_or(("", text))
}

fn braced(
    inner: &str,
    lookup: &Lookup<'_>,
    filled: &mut Filled,
    depth: usize,
) -> Result<(), String> {
    let (name, operation) = leading_name(inner);
    if name.is_empty() {
        return Err(format!("`${{{inner}}}` names no variable; write `$$` for a dollar sign"));
    }
    let value = lookup(name);
    let (colon, operation) = match operation.strip_prefix(':') {
        Some(operation) => (true, operation),
        None => (false, operation),
    };
    let set = value.clone().filter(|it| !(colon && it.is_empty()));
    let mut characters = operation.chars();
    match (characters.next(), characters.as_str(), set) {
        (None, _, _) if !colon => put(name, value, filled),
        (Some('-' | '?'), _, Some(value)) => filled.text.push_str(&value),
        (Some('-'), default, None) => fill(default, lookup, filled, depth + 1)?,
        (Some('?'), message, None) => {
            let message = if message.is_empty() { "it is required" } else { message };
            return Err(format!("`{name}` is not set in your shell or in .env: {message}"));
        }
        (Some('+'), replacement, Some(_)) => fill(replacement, lookup, filled, depth + 1)?,
        (Some('+'), _, None) => {}
        _ => {
            return Err(format!(
                "`${{{inner}}}` is not understood; write for example `${{{name}:-default}}`"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lookup(name: &str) -> Option<String> {
        let pairs = [("TAG", "1.4"), ("EMPTY", "")];
        pairs.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).to_owned())
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let filled = interpolate(text, &lookup).map(|it| it.text);
        assert_eq!(filled.unwrap_or_else(|it| it), expected);
    }

    #[test]
    fn fills_as_compose_does() {
        check("a:$TAG-b ${TAG}", "a:1.4-b 1.4");
        check("$$TAG $${TAG}", "$TAG ${TAG}");
        check("${NONE:-x}${EMPTY:-y}${EMPTY-z}${NONE-w}", "xyw");
        check("${NONE:-a${TAG}b}", "a1.4b");
        check("${TAG:+yes}${EMPTY:+no}${EMPTY+set}${NONE+no}", "yesset");
        check("${TAG?}", "1.4");
        check(
            "${NONE:?add it to .env}",
            "`NONE` is not set in your shell or in .env: add it to .env",
        );
        check("${NONE?}", "`NONE` is not set in your shell or in .env: it is required");
        // Issue 12: a hash or a price was an error.
        for text in ["5$", "$(id -u)", "$2a$14$1l.x", "^x$|y"] {
            check(text, text);
        }
        check("${NONE:-$2a$14$1l.x}", "$2a$14$1l.x");
        check("${TAG", "a `${` is never closed; write `$$` for a dollar sign");
        check("${TAG!}", "`${TAG!}` is not understood; write for example `${TAG:-default}`");
        assert_eq!(interpolate("a$NONE", &lookup).unwrap().unset, ["NONE"]);
    }

    proptest! {
        #[test]
        fn never_panics(text in "[${}:a-zA-Z?+-]{0,40}") {
            drop(interpolate(&text, &lookup));
        }
    }
}
