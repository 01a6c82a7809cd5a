//! "Did you mean ..?": what was probably meant by a name nobody knows.

/// Separators by which two spellings may differ, beyond the letters.
const SEPARATORS: usize = 4;

/// The known name closest to `written`, if it is close enough to be what was meant.
pub(crate) fn did_you_mean<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let plain = bare(written);
    // A third of the letters may be wrong: `replica` for `replicas`, not `web` for `cart`.
    let limit = (plain.chars().count() / 3).max(1);
    known
        .into_iter()
        .filter(|it| *it != written && it.len().abs_diff(written.len()) <= limit + SEPARATORS)
        .map(|it| (strsim::damerau_levenshtein(&plain, &bare(it)), it))
        .filter(|(distance, it)| *distance <= limit && *distance < bare(it).len())
        .min()
        .map(|(_, it)| it)
}

/// Without what differs between habits: `dependsOn`, `depends-on`, `depends_on`.
fn bare(name: &str) -> String {
    // Longer names than this are not typing mistakes, and the distance is quadratic.
    const COMPARED_MAX: usize = 32;
    name.chars()
        .filter(|it| !"-_ .".contains(*it))
        .take(COMPARED_MAX)
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_names() {
        let known = ["replicas", "depends_on", "command", "image", "port"];
        for (written, meant) in [
            ("replica", Some("replicas")),
            ("dependsOn", Some("depends_on")),
            ("depends-on", Some("depends_on")),
            ("comand", Some("command")),
            ("imgae", Some("image")),
            ("ports", Some("port")),
            ("volumes", None),
            ("x", None),
        ] {
            assert_eq!(did_you_mean(written, known), meant, "{written}");
        }
    }
}
