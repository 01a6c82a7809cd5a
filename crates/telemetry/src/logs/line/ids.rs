//! Ids of traces and spans, as people's logging libraries write them.
//!
//! Hexadecimal ones have 32 or 16 digits for a trace and 16 for a span; Datadog's libraries write decimal
//! numbers, in fields whose names begin with `dd.`. All zeros means that there is none (W3C Trace Context).

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// What every name of a trace id has in it, whether it is written `trace` or `Trace`.
static TRACE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("race"));
/// The same of a span.
static SPAN: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("pan"));
/// Hits of the word that are looked at: a line that says it more often says nothing about its trace.
const HITS_MAX: usize = 16;

/// What a name of an id promises.
enum Name {
    /// `.._id`: hexadecimal digits.
    Hexadecimal,
    /// `dd..._id`: decimal ones, in most versions.
    Datadog,
    /// `traceparent`: a header of W3C Trace Context.
    Parent,
}

/// The trace and the span that a text names, such as `trace_id=..`, `traceId: ..` or `traceparent: 00-..`.
pub(in crate::logs) fn ids_in(text: &str) -> (Option<u128>, Option<u64>) {
    let bytes = text.as_bytes();
    for (name, value) in named(bytes, &TRACE) {
        let trace = match name {
            Name::Hexadecimal => hexadecimal(value, &[32, 16]),
            Name::Datadog => decimal(value),
            Name::Parent => match traceparent(value) {
                (Some(trace), Some(span)) => return (Some(trace), Some(span)),
                (trace, _) => trace,
            },
        };
        if trace.is_some() {
            return (trace, span_in(bytes));
        }
    }
    (None, None)
}

fn span_in(bytes: &[u8]) -> Option<u64> {
    named(bytes, &SPAN).find_map(|(name, value)| match name {
        Name::Hexadecimal => hexadecimal(value, &[16]).and_then(low),
        Name::Datadog => decimal(value).and_then(low),
        Name::Parent => None,
    })
}

/// Every place where a name of an id and something like `=` stands, with what comes after.
fn named<'a>(bytes: &'a [u8], word: &'a Finder<'static>) -> impl Iterator<Item = (Name, &'a [u8])> {
    word.find_iter(bytes).take(HITS_MAX).filter_map(move |hit| {
        let before = bytes.get(..hit.checked_sub(1)?)?;
        let rest = bytes.get(hit + word.needle().len()..)?;
        if let Some(rest) = rest.strip_prefix(b"parent") {
            return Some((Name::Parent, value(rest)?));
        }
        let ([b'_' | b'-' | b'.', rest @ ..] | rest) = rest;
        let [b'i' | b'I', b'd' | b'D', rest @ ..] = rest else { return None };
        let name = if before.ends_with(b"dd.") { Name::Datadog } else { Name::Hexadecimal };
        Some((name, value(rest)?))
    })
}

/// What comes after a name: a closing quote, `=`, `:` or a space, and an opening quote.
fn value(rest: &[u8]) -> Option<&[u8]> {
    /// As many as JSON in a string in JSON needs.
    const PUNCTUATION_MAX: usize = 6;
    let is_punctuation = |it: &&u8| matches!(it, b'=' | b':' | b' ' | b'"' | b'\'' | b'\\');
    let count = rest.iter().take_while(is_punctuation).count();
    if (1..=PUNCTUATION_MAX).contains(&count) { rest.get(count..) } else { None }
}

/// `00-<32 digits>-<16 digits>-..`, the header of W3C Trace Context.
fn traceparent(value: &[u8]) -> (Option<u128>, Option<u64>) {
    let Some(rest) = value.strip_prefix(b"00-") else { return (None, None) };
    let span = rest.get(33..).and_then(|it| hexadecimal(it, &[16])).and_then(low);
    (hexadecimal(rest, &[32]), span)
}

/// The number at the beginning of `value`, if it has one of these numbers of digits, no more, and is not 0.
fn hexadecimal(value: &[u8], digits: &[usize]) -> Option<u128> {
    let count = value.iter().take(33).take_while(|it| it.is_ascii_hexdigit()).count();
    if !digits.contains(&count) {
        return None;
    }
    let number = value.iter().take(count).try_fold(0_u128, |number, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some((number << 4) | u128::from(digit))
    })?;
    (number != 0).then_some(number)
}

/// Datadog's: 64 bits in decimal, or 128 in hexadecimal, which has more digits.
fn decimal(value: &[u8]) -> Option<u128> {
    if let Some(number) = hexadecimal(value, &[32]) {
        return Some(number);
    }
    let count = value.iter().take(21).take_while(|it| it.is_ascii_digit()).count();
    let digits = std::str::from_utf8(value.get(..count)?).ok()?;
    digits.parse::<u64>().ok().filter(|it| *it != 0).map(u128::from)
}

fn low(number: u128) -> Option<u64> {
    u64::try_from(number).ok()
}

/// Reads a whole value as the id of a trace, by the name of its field.
pub(crate) fn trace_of(name: &str, value: &str) -> Option<u128> {
    match name {
        "trace_id" | "traceId" | "traceID" | "traceid" | "trace.id" | "trace-id" | "TraceId"
        | "otelTraceID" => hexadecimal(value.as_bytes(), &[32, 16]).filter(|_| value.len() <= 32),
        "dd.trace_id" => decimal(value.as_bytes()),
        "traceparent" => traceparent(value.as_bytes()).0,
        _ => None,
    }
}

/// Reads a whole value as the id of a span, by the name of its field.
pub(crate) fn span_of(name: &str, value: &str) -> Option<u64> {
    match name {
        "span_id" | "spanId" | "spanID" | "spanid" | "span.id" | "span-id" | "SpanId"
        | "otelSpanID" => hexadecimal(value.as_bytes(), &[16]).and_then(low),
        "dd.span_id" => decimal(value.as_bytes()).and_then(low),
        _ => None,
    }
}
