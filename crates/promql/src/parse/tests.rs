//! What is read, what is refused, and that nothing makes the reader stumble.

use proptest::prelude::*;

use super::{DEPTH_MAX, parse, parse_selector};
use crate::eval::{Answer, Context, instant};
use crate::memory::Memory;

#[track_caller]
fn check(text: &str, shown: &str) {
    assert_eq!(parse(text).map(|it| it.to_string()).as_deref(), Ok(shown));
}

#[track_caller]
fn refused(text: &str, error: &str) {
    assert_eq!(parse(text).map(|it| it.to_string()).unwrap_err().to_string(), error);
}

#[test]
fn precedence_is_that_of_prometheus() {
    let check = |text: &str, value: f64| {
        let expr = parse(text).unwrap();
        let answer = instant(&expr, 0, &Context::new(&Memory::default())).unwrap();
        assert_eq!(answer, Answer::Scalar(value), "{text}");
    };
    check("2 + 3 * 4 ^ 2", 50.0);
    check("-2 ^ 2", -4.0);
    check("2 ^ 3 ^ 2", 512.0);
    check("2 ^ -1 * 4", 2.0);
    check("10 - 3 - 2", 5.0);
    check("1 + 2 == bool 3", 1.0);
    check("1h + 1", 3601.0);
    check("0x10 + 017 + 1_000", 1031.0);
}

#[test]
fn texts_are_written_as_they_were_meant() {
    check(
        "sum without(a,b,)(rate( {\"a.b\",c='d'} [300] ))",
        "sum without (a, b) (rate({__name__=\"a.b\",c=\"d\"}[5m]))",
    );
    check(
        "a * on() group_left(\"x y\") b offset -1h30m",
        "a * on () group_left (\"x y\") b offset -1h30m",
    );
    check("min_over_time(a[1h:] @ end() offset 5m)", "min_over_time(a[1h:] @ end() offset 5m)");
    check("a #comment\n@ 1.5", "a @ 1.500");
    check("sum{sum=\"by\"} > bool by", "sum{sum=\"by\"} > bool by");
}

#[test]
fn what_prometheus_2_reads_otherwise_is_refused_as_3_does() {
    refused("a[", "1:3: parse error: unclosed left bracket");
    refused("a[5x]", "1:3: parse error: bad number or duration syntax: \"5\"");
    refused("a[5m+1m]", "1:5: parse error: arithmetic of durations is not supported");
    refused("a{b=~\"(\"}", "1:3: parse error: error parsing regexp \"(\": unclosed group");
    refused("@ 1", "1:1: parse error: unexpected <op:@>");
    refused("{\"a\",\"b\"}", "1:6: parse error: metric name must not be set twice: \"a\" or \"b\"");
    assert_eq!(parse_selector("rate(a[5m])").unwrap_err().message, "expected a metric selector");
}

#[test]
fn deep_and_long_expressions_are_refused() {
    let nested = |levels: usize| format!("{}1{}", "(".repeat(levels), ")".repeat(levels));
    assert!(parse(&nested(DEPTH_MAX - 1)).is_ok());
    let deep = "the expression is nested deeper than 100 levels";
    assert_eq!(parse(&nested(10_000)).unwrap_err().message, deep);
    assert_eq!(parse(&"-(".repeat(10_000)).unwrap_err().message, deep);
    assert_eq!(parse(&format!("1{}", " + 1".repeat(10_000))).unwrap_err().message, deep);
    let subqueries = format!("vector(1){}", "[1m:1m] offset 1m".repeat(1_000));
    assert_eq!(parse(&subqueries).unwrap_err().message, deep);
    assert!(
        parse(&"a".repeat(100_000)).unwrap_err().message.starts_with("the expression is longer")
    );
}

/// The walks are recursive; the deepest expression that is read must not exhaust a thread's stack.
#[test]
fn the_deepest_expression_is_evaluated() {
    for (before, after, levels) in [
        ("abs(-max_over_time(", "[1m:1m]))", 23),
        ("sum(", ")", 98),
        ("topk(1, ", ")", 98),
        ("quantile(0.5, ", ")", 98),
        ("sort(", ")", 98),
        ("absent(", ")", 98),
        ("clamp_min(", ", 1)", 98),
        ("vector(scalar(", "))", 49),
        ("label_join(", ", \"a\", \"b\")", 98),
        ("histogram_quantile(0.5, ", ")", 98),
        ("timestamp(", ")", 98),
        ("last_over_time(", "[1m:1m])", 49),
        ("-", "", 98),
        ("(", ")", 98),
        ("1 + ", "", 98),
        ("", " + 1", 98),
        ("", " + vector(1)", 98),
        ("", " > bool vector(1)", 98),
        ("", " or vector(1)", 98),
        ("vector(1) unless (", ")", 49),
    ] {
        let text = format!("{}vector(1){}", before.repeat(levels), after.repeat(levels));
        let expr = parse(&text).unwrap_or_else(|error| panic!("{before}{after}: {error}"));
        assert!(!expr.to_string().is_empty() && !expr.pretty().is_empty());
        let answer = instant(&expr, 0, &Context::new(&Memory::default()));
        assert!(matches!(answer, Ok(Answer::Vector(_))), "{before}{after}: {answer:?}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[ a-c0-9mst(){}\\[\\]:,.@^*/%=!~<>\"'`#+-]{0,40}|.{0,40}") {
        if let Ok(expr) = parse(&text) {
            let shown = expr.to_string();
            prop_assert_eq!(parse(&shown).map(|it| it.to_string()), Ok(shown));
        }
    }
}
