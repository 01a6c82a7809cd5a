//! What is said of a text that is not YAML: the parser's words in ours, with a remedy, for the mistakes
//! people make.

/// A part of what the parser says, and what to say instead. The first that fits counts.
const KNOWN: &[(&str, &str)] = &[
    ("tab", "a tab stands where only spaces may indent; replace it with spaces"),
    (
        "mapping values are not allowed",
        "a `:` cannot stand here; quote the text if it is part of it, else look at the \
             indentation, and for a `:` missing in the line before",
    ),
    ("unexpected end of plain scalar", "the text is not finished here"),
    ("unclosed bracket", "a `[` or `{` is never closed"),
    ("found unexpected end of stream", "a quote is never closed"),
    (
        "invalid indentation in quoted scalar",
        "a quote is never closed, or its text goes on in a line that is indented too little",
    ),
    ("invalid trailing content", "text follows behind the closing quote; quote all of it"),
    (
        "unknown escape character",
        "a `\\` between double quotes begins an escape; write `\\\\`, or use single quotes",
    ),
    (
        "did not find expected ',' or '}'",
        "a `,` or a `}` is missing; quote a text that has one of `{}[],` in it, as in \
         \"${PORT}\"",
    ),
    (
        "expected ',' or ']'",
        "a `,` or a `]` is missing; quote a text that has one of `{}[],` in it, as in \
         \"${PORT}\"",
    ),
    (
        "scanning an anchor or alias",
        "a `*` or a `&` cannot begin a text without quotes; put it in quotes",
    ),
    (
        "block sequence entries are not allowed",
        "a `-` begins an item only in a line of its own; begin a new line, or write `[a, b]`",
    ),
    (
        "unknown anchor",
        "this alias refers to nothing; write the `&name` before the `*name`, or put a text that \
         begins with `*` in quotes",
    ),
    ("recursion limit", "more levels of nesting than anybody reads"),
    (
        "did not find expected key",
        "a key was expected here; look at the indentation of this line and the one before",
    ),
    (
        "simple key expect",
        "a `:` is missing, or this line is indented differently from the one before",
    ),
    ("while parsing a block mapping", "a key and a `:` were expected here"),
];

/// A text with what other readers of YAML take written as ours takes it, each sign in its line: a bracket that closes
/// at the column of its key, and a tab behind a colon.
pub(super) fn lenient(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.split('\n') {
        let line = line.replace(":\t", ": ");
        let closes = line.trim_start().starts_with([']', '}']);
        // It goes to the end of the line before, and leaves an empty one.
        let before = lines.iter_mut().rev().find(|it| !it.trim().is_empty());
        match before.filter(|it| closes && !it.contains('#')) {
            Some(before) => {
                before.push_str(line.trim_end());
                lines.push(String::new());
            }
            None => lines.push(line),
        }
    }
    lines.join("\n")
}

/// What to say of what the parser says.
pub(super) fn explain(theirs: &str) -> String {
    let ours = KNOWN.iter().find(|(part, _)| theirs.contains(part)).map(|(_, ours)| *ours);
    format!("not YAML: {}", ours.unwrap_or(theirs))
}

#[cfg(test)]
mod tests {
    use crate::problem::Findings;
    use crate::yaml::parse;

    #[test]
    fn mistakes_are_explained() {
        for (text, expected) in [
            ("a: \"b\nc: d\n", "a quote is never closed, or"),
            ("a: \"b", "a quote is never closed"),
            ("a: \"b\" c\n", "quote all of it"),
            ("a: \"C:\\path\"\n", "or use single quotes"),
            ("a: {b: ${C}, d: 1}\n", "a `,` or a `}` is missing"),
            ("a: {b: c\nd: e\n", "a `,` or a `}` is missing"),
            ("a: [b {c}]\n", "a `,` or a `]` is missing"),
            ("a: *.shop\n", "begins with `*` in quotes"),
            ("a: & b\n", "put it in quotes"),
            ("a: - b\n", "a `-` begins an item only"),
            ("a\n  b: c\n", "a `:` missing in the line before"),
        ] {
            let mut findings = Findings::default();
            drop(parse(text, &mut findings));
            let errors = findings.errors;
            assert!(
                errors.first().is_some_and(|it| it.message.contains(expected)),
                "{text}{errors:?}"
            );
        }
    }
}
