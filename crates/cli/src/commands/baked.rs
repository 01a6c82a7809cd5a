//! What went into the releases that were made, and what ignore files left out of them.

use std::collections::BTreeMap;

use api::request::{Accepted, BakedView};
use model::units::RoundedSize;

use crate::error::CommandError;
use crate::output::{Output, Tone};

/// Names of what was left out that stand on a line; the answer in JSON has more.
const SHOWN_MAX: usize = 3;

pub(super) fn say(accepted: &Accepted, output: &mut Output) -> Result<(), CommandError> {
    if output.is_json() {
        return Ok(());
    }
    for line in lines(&accepted.baked) {
        output.note(&output.paint(Tone::Faint, &line))?;
    }
    Ok(())
}

/// A line for each artifact, whoever runs it.
fn lines(baked: &[BakedView]) -> Vec<String> {
    let mut by_content: BTreeMap<(&str, usize, u64, usize), Vec<&BakedView>> = BTreeMap::new();
    for it in baked {
        let content = (it.artifact.as_str(), it.files, it.bytes, it.left_out);
        by_content.entry(content).or_default().push(it);
    }
    by_content.into_values().filter_map(|it| line(&it)).collect()
}

fn line(same: &[&BakedView]) -> Option<String> {
    let first = same.first()?;
    let services: Vec<&str> = same.iter().map(|it| it.service.as_str()).collect();
    let BakedView { artifact, files, bytes, left_out, such_as, .. } = first;
    let plural = if *files == 1 { "" } else { "s" };
    let line = format!(
        "baked {} from {artifact}: {files} file{plural}, {}",
        services.join(", "),
        RoundedSize(*bytes)
    );
    if *left_out == 0 {
        return Some(line);
    }
    let shown: Vec<&str> = such_as.iter().take(SHOWN_MAX).map(String::as_str).collect();
    let more = match left_out.saturating_sub(shown.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!("{line}; left out: {}{more}", shown.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_in_is_a_line_for_each_artifact() {
        let view = |service: &str, files, left_out| BakedView {
            service: service.to_owned(),
            artifact: "./app".to_owned(),
            files,
            bytes: 1_500,
            left_out,
            such_as: ["a", "b", "c", "d"].map(|it| format!("{it} (.dockerignore)")).to_vec(),
        };
        assert_eq!(
            lines(&[view("a", 1, 0), view("b", 1, 0)]),
            ["baked a, b from ./app: 1 file, 1.5 KiB"]
        );
        let found = lines(&[view("a", 2, 5)]);
        assert_eq!(
            found,
            [
                "baked a from ./app: 2 files, 1.5 KiB; left out: a (.dockerignore), b (.dockerignore), c \
              (.dockerignore) and 2 more"
            ]
        );
    }
}
