//! The command that asks a question again: whatever was not left at its default.

use std::path::Path;

use crate::arguments::simulation::{Compare, FindCapacity, Playing, Run, Storm, Sweep};

/// A command in the making.
struct Words(Vec<String>);

impl Words {
    fn of(question: &str) -> Self {
        Self(vec!["pelago".to_owned(), "sim".to_owned(), question.to_owned()])
    }

    fn word(mut self, word: Option<&str>) -> Self {
        self.0.extend(word.map(quoted));
        self
    }

    fn option(mut self, name: &str, value: Option<&str>) -> Self {
        if let Some(value) = value {
            self.0.push(name.to_owned());
            self.0.push(quoted(value));
        }
        self
    }

    fn each(mut self, name: &str, values: &[String]) -> Self {
        for value in values {
            self = self.option(name, Some(value));
        }
        self
    }

    /// Threads, pages and exports do not change what is found.
    fn playing(self, it: &Playing) -> String {
        let users = it.users.map(|it| it.to_string());
        let think = it.users.map(|_| it.think.as_str());
        let words = self
            .option("--scenario", it.scenario.as_deref().and_then(Path::to_str))
            .option("--load", it.load.as_deref())
            .option("--users", users.as_deref())
            .option("--think", think)
            .option("--duration", it.duration.as_deref())
            .option("--warm-up", it.warm_up.as_deref())
            .each("--fault", &it.fault)
            .each("--set", &it.set)
            .option("--replications", Some(&it.replications.to_string()))
            .option("--seed", Some(&it.seed.to_string()));
        words.0.join(" ")
    }
}

pub(super) fn run(asked: &Run) -> String {
    let words = Words::of("run").word(asked.what.as_deref());
    words.option("--precision", asked.precision.as_deref()).playing(&asked.playing)
}

pub(super) fn capacity(asked: &FindCapacity) -> String {
    let words = Words::of("capacity").word(asked.what.as_deref());
    words.option("--precision", Some(&asked.precision)).playing(&asked.playing)
}

pub(super) fn compare(asked: &Compare) -> String {
    Words::of("compare")
        .word(Some(&asked.what))
        .word(asked.other.as_deref())
        .each("--with", &asked.with)
        .option("--with-scenario", asked.with_scenario.as_deref().and_then(Path::to_str))
        .playing(&asked.playing)
}

pub(super) fn sweep(asked: &Sweep) -> String {
    let words = Words::of("sweep").word(Some(&asked.what)).word(Some(&asked.parameter));
    let words = asked.values.iter().fold(words, |words, it| words.word(Some(it)));
    words.playing(&asked.playing)
}

pub(super) fn storm(asked: &Storm) -> String {
    let loads: Vec<String> = asked.loads.iter().map(ToString::to_string).collect();
    Words::of("storm")
        .word(asked.what.as_deref())
        .option("--trigger", Some(&asked.trigger))
        .option("--loads", Some(&loads.join(",")))
        .option("--sizes", Some(&asked.sizes.join(",")))
        .option("--before", Some(&asked.before))
        .option("--after", Some(&asked.after))
        .playing(&asked.playing)
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = |it: char| it.is_alphanumeric() || "-_./,=:%@+".contains(it);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::simulation::Question;
    use crate::arguments::{Arguments, Asking, Command};
    use clap::Parser as _;
    use model::template::split_words;

    fn question(words: &[String]) -> Question {
        match Arguments::try_parse_from(words).unwrap().command {
            Command::Asking(Asking::Sim(sim)) => sim.question,
            other => panic!("{other:?}"),
        }
    }

    fn again(question: &Question) -> String {
        match question {
            Question::Run(it) => run(it),
            Question::Capacity(it) => capacity(it),
            Question::Compare(it) => compare(it),
            Question::Sweep(it) => sweep(it),
            Question::Storm(it) => storm(it),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn check(line: &str, expected: &str) {
        let found = again(&question(&split_words(line).unwrap()));
        assert_eq!(found, expected);
        // Whoever pastes it asks the same.
        assert_eq!(again(&question(&split_words(&found).unwrap())), expected);
    }

    #[test]
    fn what_was_asked_is_asked_again() {
        check("pelago sim run", "pelago sim run --replications 10 --seed 1");
        check(
            "pelago sim run shop.yaml --load '50/s for 10s, 9/s for 1m' --fault 'at 60s kill cart' --seed 7 --threads 2 --html x",
            "pelago sim run shop.yaml --load '50/s for 10s, 9/s for 1m' --fault 'at 60s kill cart' --replications 10 --seed 7",
        );
        check(
            "pelago sim capacity --users 5",
            "pelago sim capacity --precision 2% --users 5 --think 1s --replications 10 --seed 1",
        );
        check(
            "pelago sim compare a.yaml --with services.a.replicas=3",
            "pelago sim compare a.yaml --with services.a.replicas=3 --replications 10 --seed 1",
        );
        check(
            "pelago sim sweep a.yaml load 5/s 10/s",
            "pelago sim sweep a.yaml load 5/s 10/s --replications 10 --seed 1",
        );
        check(
            "pelago sim storm a --trigger \"slow x by 2\" --loads 1,2",
            "pelago sim storm a --trigger 'slow x by 2' --loads 1,2 --sizes 1s,5s,10s,30s,60s --before 30s --after 2m --replications 10 --seed 1",
        );
    }

    #[test]
    fn words_are_quoted_where_a_shell_would_split_them() {
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("services.a=1"), "services.a=1");
    }
}
