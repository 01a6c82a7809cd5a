//! What an artifact leaves out.
//!
//! `.dockerignore` is read as Docker reads it, which is not as Git reads `.gitignore`: once, in the artifact's own folder,
//! each pattern from there on, the last one that matches a path or a folder above it decides. `.pelagoignore` is in
//! Git's syntax, may stand in any folder, and wins. An ignore file that has no end is refused.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use regex::{RegexSet, RegexSetBuilder};

use super::{BakeError, Made};

/// The file in Docker's syntax.
pub(super) const DOCKER: &str = ".dockerignore";
/// The file in Git's syntax.
pub(super) const PELAGO: &str = ".pelagoignore";
/// Bytes an ignore file may have: a thousand patterns. Each takes some ten kilobytes when it is compiled.
const BYTES_MAX: u64 = 32 << 10;
/// Bytes that the patterns of a file may take when they are compiled.
const COMPILED_BYTES_MAX: usize = 64 << 20;

/// What decided about a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Kept,
    /// By the file of this name.
    LeftOut(&'static str),
}

/// What is known in a folder: its own ignore files and those above it.
#[derive(Clone, Debug)]
pub(super) struct Ignored<'a> {
    docker: &'a Patterns,
    /// The last of Docker's patterns that matches the folder or one above it.
    last: Option<usize>,
    /// The files in Git's syntax, the outermost first.
    ours: Vec<Gitignore>,
    /// Whether one of those takes the folder, or one above it, back in: then Docker's patterns say nothing below it.
    is_kept: bool,
}

impl<'a> Ignored<'a> {
    pub(super) const fn new(docker: &'a Patterns) -> Self {
        Self { docker, last: None, ours: Vec::new(), is_kept: false }
    }

    /// Takes up the file in `folder`, if there is one.
    pub(super) fn enter(&mut self, folder: &Path) -> Result<(), BakeError> {
        let path = folder.join(PELAGO);
        let Some(text) = read(&path)? else { return Ok(()) };
        let mut builder = GitignoreBuilder::new(folder);
        for line in text.lines() {
            builder.add_line(Some(path.clone()), line).map_err(|error| refused(&path, &error))?;
        }
        self.ours.push(builder.build().map_err(|error| refused(&path, &error))?);
        Ok(())
    }

    /// What becomes of `source`, which is `path` in the artifact; and what is known below it.
    pub(super) fn verdict(&self, source: &Path, path: &str, kind: fs::FileType) -> (Verdict, Self) {
        let last = self.last.max(self.docker.last(path));
        let below = Self { last, ..self.clone() };
        for it in self.ours.iter().rev() {
            match it.matched(source, kind.is_dir()) {
                Match::None => {}
                Match::Ignore(_) => return (Verdict::LeftOut(PELAGO), below),
                Match::Whitelist(_) => return (Verdict::Kept, Self { is_kept: true, ..below }),
            }
        }
        let is_left_out = !self.is_kept && self.docker.excludes(last);
        (if is_left_out { Verdict::LeftOut(DOCKER) } else { Verdict::Kept }, below)
    }

    /// Whether something below a folder that is left out by this file may be wanted all the same.
    pub(super) fn may_keep_below(&self, by: &str) -> bool {
        by == DOCKER
            && (self.docker.has_exceptions() || self.ours.iter().any(|it| 0 < it.num_whitelists()))
    }
}

/// The patterns of a `.dockerignore`.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    set: Option<RegexSet>,
    /// Which of them take back what one before has left out.
    exceptions: Vec<bool>,
}

impl Patterns {
    /// Those of the artifact in `root`, unless it was made by a build: what is left out of a build's input says
    /// nothing of what comes out.
    pub(super) fn of(root: &Path, made: Made) -> Result<Self, BakeError> {
        let path = root.join(DOCKER);
        match made {
            Made::ByBuild => Ok(Self::default()),
            Made::ByHand => read(&path)?.map_or_else(
                || Ok(Self::default()),
                |text| Self::parse(&text).map_err(|error| refused(&path, &error)),
            ),
        }
    }

    fn parse(text: &str) -> Result<Self, regex::Error> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let written = text.lines().filter(|it| !it.starts_with('#')).map(str::trim);
        let mut patterns = Vec::new();
        let mut exceptions = Vec::new();
        for line in written {
            let (is_exception, line) = match line.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, line),
            };
            let clean = cleaned(line);
            // Nothing, or the folder itself, which Docker passes over.
            if !clean.is_empty() {
                patterns.push(expression(&clean));
                exceptions.push(is_exception);
            }
        }
        let set = RegexSetBuilder::new(&patterns).size_limit(COMPILED_BYTES_MAX).build()?;
        Ok(Self { set: Some(set), exceptions })
    }

    fn last(&self, path: &str) -> Option<usize> {
        self.set.as_ref()?.matches(path).iter().next_back()
    }

    fn excludes(&self, last: Option<usize>) -> bool {
        last.and_then(|it| self.exceptions.get(it)).is_some_and(|it| !it)
    }

    fn has_exceptions(&self) -> bool {
        self.exceptions.contains(&true)
    }
}

/// A path without `.`, `..` and what is empty, from the artifact's folder on.
fn cleaned(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/').filter(|it| !["", "."].contains(it)) {
        match parts.last() {
            Some(last) if part == ".." && *last != ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// A pattern as a regular expression over a whole path: `*` and `?` stay within a folder, `**` is any number of
/// folders.
fn expression(pattern: &str) -> String {
    let mut expression = String::from(r"(?s)\A");
    let mut rest = pattern.chars().peekable();
    while let Some(sign) = rest.next() {
        match sign {
            '*' if rest.next_if_eq(&'*').is_some() => {
                let _slash = rest.next_if_eq(&'/');
                expression.push_str(if rest.peek().is_none() { ".*" } else { "(.*/)?" });
            }
            '*' => expression.push_str("[^/]*"),
            '?' => expression.push_str("[^/]"),
            '[' if rest.clone().any(|it| it == ']') => {
                expression.push('[');
                expression.extend(rest.next_if_eq(&'^'));
                for inner in rest.by_ref() {
                    if "[&~".contains(inner) {
                        expression.push('\\');
                    }
                    expression.push(inner);
                    if inner == ']' {
                        break;
                    }
                }
            }
            '\\' => {
                let next = rest.next().unwrap_or('\\');
                expression.push_str(&regex::escape(next.encode_utf8(&mut [0; 4])));
            }
            other => expression.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    expression.push_str(r"\z");
    expression
}

/// The text of an ignore file; nothing if there is none.
fn read(path: &Path) -> Result<Option<String>, BakeError> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(BakeError::Read { path: path.to_owned(), source }),
    };
    if !metadata.is_file() {
        return Err(refused(path, &"it is no file"));
    }
    let mut bytes = Vec::new();
    let opened = super::store::open(path);
    let read = opened.and_then(|it| it.take(BYTES_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|source| BakeError::Read { path: path.to_owned(), source })?;
    if BYTES_MAX < bytes.len() as u64 {
        return Err(refused(path, &"it has more than 1 MiB"));
    }
    String::from_utf8(bytes).map(Some).map_err(|_| refused(path, &"it is not UTF-8"))
}

fn refused(path: &Path, why: &dyn std::fmt::Display) -> BakeError {
    BakeError::Ignore { path: PathBuf::from(path), why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Which of these are left out by a file, each with the folders above it.
    #[track_caller]
    fn check(text: &str, left_out: &[&str], kept: &[&str]) {
        let patterns = Patterns::parse(text).unwrap();
        let is_out = |path: &str| {
            let ends = path.char_indices().filter(|it| it.1 == '/').map(|it| it.0);
            let above = ends.filter_map(|it| path.get(..it)).chain([path]);
            patterns.excludes(above.filter_map(|it| patterns.last(it)).max())
        };
        for path in left_out {
            assert!(is_out(path), "{path} by {text}");
        }
        for path in kept {
            assert!(!is_out(path), "{path} by {text}");
        }
    }

    /// Issue 12: a pattern without a slash left out files of that name in every folder.
    #[test]
    fn patterns_begin_at_the_artifact() {
        check("client.js", &["client.js"], &["lib/client.js", "xclient.js"]);
        check("/a/", &["a", "a/b"], &["b/a"]);
        check("*.log", &["x.log"], &["a/x.log"]);
        check("*/*.log", &["a/x.log"], &["x.log", "a/b/x.log"]);
        check("**/*.log", &["x.log", "a/x.log", "a/b/x.log"], &["x.logs"]);
        check("a/**", &["a/b", "a/b/c"], &["a", "b/a"]);
        check("a/**/z", &["a/z", "a/b/c/z"], &["a/b"]);
        check("a?c", &["abc"], &["a/c", "ac"]);
        check("[a-c]x\nd[^e]", &["bx", "df", "dx/x"], &["de"]);
        check("# c\n\n ./b/../c \n.\n", &["c"], &["b", "d"]);
        check("a+b(c)\nx\\*", &["a+b(c)", "x*"], &["aab", "xy"]);
        check("", &[], &["a"]);
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        check("*\n!src\n!a.txt", &["b", "b/src"], &["src", "src/x", "a.txt"]);
        check("*.md\n!README.md\nREADME-x.md", &["a.md", "README-x.md"], &["README.md"]);
        check("!a\na", &["a", "a/b"], &[]);
        check("node_modules\n!node_modules/keep", &["node_modules/x"], &["node_modules/keep/y"]);
    }

    proptest! {
        #[test]
        fn any_file_is_read_or_refused(text in "[a-c*?/!\\[\\]^\\\\.& \n-]{0,40}", path in "[a-c/]{1,8}") {
            if let Ok(patterns) = Patterns::parse(&text) {
                let _last = patterns.last(&path);
            }
        }
    }
}
