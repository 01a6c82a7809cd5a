//! Rules held against `promtool test rules`: what it finds right has to be right here, and what it finds wrong, wrong.

use std::path::{Path, PathBuf};
use std::process::Command;

use promql::rules::{Group, read, rehearsal};

use crate::peer::program;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/promql/rules")
}

fn ours(test: &str, groups: &[Group]) -> Vec<String> {
    rehearsal::read(test).unwrap().run(groups)
}

/// Whether promtool finds the test right, and what it says.
fn theirs(test: &str) -> (bool, String) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = folder.path().join("test.yml");
    let rules = self::folder().join("shop.rules.yml");
    let test = test.replace("- shop.rules.yml", &format!("- {}", rules.display()));
    std::fs::write(&file, test).unwrap();
    let output =
        Command::new(program("promtool")).args(["test", "rules"]).arg(&file).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn rules_do_what_they_do_in_promtool() {
    let test = std::fs::read_to_string(folder().join("shop.test.yml")).unwrap();
    let rehearsal = rehearsal::read(&test).unwrap();
    let files = rehearsal.rule_files.iter().map(|it| std::fs::read_to_string(folder().join(it)));
    let groups: Vec<Group> = files.flat_map(|it| read(&it.unwrap()).unwrap()).collect();
    let (right, said) = theirs(&test);
    let wrong = ours(&test, &groups);
    assert!(right && wrong.is_empty(), "{said}\n{}", wrong.join("\n"));
    // One thing changed, and neither may find it right.
    for (from, to) in [
        ("10.0.0.3:80 is down", "10.0.0.3:80 is up"),
        ("value: 120", "value: 121"),
        ("eval_time: 4m30s", "eval_time: 3m30s"),
        ("eval_time: 12m", "eval_time: 8m"),
        ("eval_time: 14m", "eval_time: 19m"),
        ("20.6%", "20.61%"),
        ("4.051GiB", "4.05GiB"),
        ("exp_labels: {job: nobody}", "exp_labels: {}"),
        ("'{alertstate=\"firing\"}'", "'{alertstate=\"pending\"}'"),
    ] {
        let changed = test.replace(from, to);
        assert_ne!(changed, test, "{from}");
        let (right, said) = theirs(&changed);
        let wrong = ours(&changed, &groups);
        assert!(!right && !wrong.is_empty(), "{from} to {to}: {said}\n{wrong:?}");
    }
}
