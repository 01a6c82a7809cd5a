//! The functions of templates.

use std::cmp::Ordering;

use super::Data;
use super::format::{general, printf};
use crate::parse::{anchored, duration_ms, number};

/// A function: its name and what it takes.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    arguments_min: usize,
    arguments_max: usize,
    pub(super) compute: fn(Vec<Data>) -> Result<Data, String>,
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Function {
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        FUNCTIONS.iter().find(|it| it.name == name)
    }

    pub(super) fn check(&self, count: usize) -> Result<(), String> {
        let Self { name, arguments_min: least, arguments_max: most, .. } = *self;
        if least <= count && count <= most {
            return Ok(());
        }
        let plural = if least == 1 { "argument" } else { "arguments" };
        Err(format!("{name} takes {least} {plural}, not {count}"))
    }
}

const fn one(name: &'static str, compute: fn(Vec<Data>) -> Result<Data, String>) -> Function {
    Function { name, arguments_min: 1, arguments_max: 1, compute }
}

const fn two(name: &'static str, compute: fn(Vec<Data>) -> Result<Data, String>) -> Function {
    Function { name, arguments_min: 2, arguments_max: 2, compute }
}

/// Arguments that one call may have.
const MANY: usize = 20;

const FUNCTIONS: &[Function] = &[
    one("humanize", |it| of_number("humanize", it, humanize)),
    one("humanize1024", |it| of_number("humanize1024", it, humanize_binary)),
    one("humanizeDuration", |it| of_number("humanizeDuration", it, humanize_duration)),
    one("humanizePercentage", |it| {
        of_number("humanizePercentage", it, |value| format!("{}%", general(value * 100.0, 4)))
    }),
    one("humanizeTimestamp", |it| of_number("humanizeTimestamp", it, humanize_timestamp)),
    one("toUpper", |it| Ok(of_text(it, str::to_uppercase))),
    one("toLower", |it| Ok(of_text(it, str::to_lowercase))),
    one("title", |it| Ok(of_text(it, title))),
    one("safeHtml", |it| Ok(of_text(it, str::to_owned))),
    one("stripPort", |it| Ok(of_text(it, |text| host(text).to_owned()))),
    one("stripDomain", |it| Ok(of_text(it, strip_domain))),
    one("parseDuration", parse_duration),
    Function {
        name: "print",
        arguments_min: 1,
        arguments_max: MANY,
        compute: |it| Ok(Data::Text(it.into_iter().map(Data::into_text).collect())),
    },
    Function {
        name: "printf",
        arguments_min: 1,
        arguments_max: MANY,
        compute: |it| Ok(Data::Text(printf(it))),
    },
    Function { name: "reReplaceAll", arguments_min: 3, arguments_max: 3, compute: replace_all },
    two("match", matches),
    Function { name: "eq", arguments_min: 2, arguments_max: MANY, compute: equal },
    two("ne", |it| compared(&it, Ordering::is_ne)),
    two("lt", |it| compared(&it, Ordering::is_lt)),
    two("le", |it| compared(&it, Ordering::is_le)),
    two("gt", |it| compared(&it, Ordering::is_gt)),
    two("ge", |it| compared(&it, Ordering::is_ge)),
    one("not", |it| Ok(Data::Truth(!it.iter().all(Data::holds)))),
    Function {
        name: "and",
        arguments_min: 1,
        arguments_max: MANY,
        compute: |it| first(it, |data| !data.holds()),
    },
    Function {
        name: "or",
        arguments_min: 1,
        arguments_max: MANY,
        compute: |it| first(it, Data::holds),
    },
];

fn of_number(
    name: &str,
    arguments: Vec<Data>,
    write: impl Fn(f64) -> String,
) -> Result<Data, String> {
    let value = match arguments.into_iter().next() {
        Some(Data::Number(value)) => value,
        Some(Data::Text(text)) => {
            number(&text).ok_or_else(|| format!("error calling {name}: {text:?} is no number"))?
        }
        Some(Data::Truth(truth)) => {
            return Err(format!("error calling {name}: {truth} is no number"));
        }
        None => return Err(format!("error calling {name}: nothing to write")),
    };
    if value.is_finite() {
        return Ok(Data::Text(write(value)));
    }
    Ok(Data::Text(general(value, 4)))
}

fn of_text(arguments: Vec<Data>, write: impl Fn(&str) -> String) -> Data {
    let text = arguments.into_iter().next().map(Data::into_text).unwrap_or_default();
    Data::Text(write(&text))
}

/// A number with the prefix of its thousands, or of its thousandths.
fn scaled(value: f64, unit: &str) -> String {
    let mut value = value;
    let mut prefix = "";
    if 1.0 <= value.abs() {
        for next in ["k", "M", "G", "T", "P", "E", "Z", "Y"] {
            if value.abs() < 1000.0 {
                break;
            }
            (prefix, value) = (next, value / 1000.0);
        }
    } else if 0.0 < value.abs() {
        for next in ["m", "u", "n", "p", "f", "a", "z", "y"] {
            if 1.0 <= value.abs() {
                break;
            }
            (prefix, value) = (next, value * 1000.0);
        }
    }
    format!("{}{prefix}{unit}", general(value, 4))
}

fn humanize(value: f64) -> String {
    scaled(value, "")
}

fn humanize_binary(value: f64) -> String {
    let mut value = value;
    let mut prefix = "";
    for next in ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"] {
        if value.abs() < 1024.0 {
            break;
        }
        (prefix, value) = (next, value / 1024.0);
    }
    format!("{}{prefix}", general(value, 4))
}

#[expect(clippy::cast_possible_truncation, reason = "casts of floats saturate")]
fn humanize_duration(value: f64) -> String {
    if value.abs() < 1.0 {
        return scaled(value, "s");
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let whole = value.abs() as i64;
    let (days, hours) = (whole / 86_400, whole / 3600 % 24);
    let (minutes, seconds) = (whole / 60 % 60, whole % 60);
    if 0 < days {
        format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
    } else if 0 < hours {
        format!("{sign}{hours}h {minutes}m {seconds}s")
    } else if 0 < minutes {
        format!("{sign}{minutes}m {seconds}s")
    } else {
        format!("{sign}{}s", general(value.abs(), 4))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "casts of floats saturate")]
fn humanize_timestamp(value: f64) -> String {
    let part = |name: &str| crate::eval::calendar_part(name, value).map_or(0, |it| it as i64);
    let milliseconds = (value * 1000.0).round() as i64;
    let second = milliseconds.div_euclid(1000).rem_euclid(60);
    let fraction = match milliseconds.rem_euclid(1000) {
        0 => String::new(),
        it => format!(".{it:03}").trim_end_matches('0').to_owned(),
    };
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{second:02}{fraction} +0000 UTC",
        part("year"),
        part("month"),
        part("day_of_month"),
        part("hour"),
        part("minute"),
    )
}

/// Every word with a capital.
fn title(text: &str) -> String {
    let mut word = false;
    let letter = |it: char| {
        let first = !word && it.is_alphabetic();
        word = it.is_alphanumeric() || it == '_' || it == '\'';
        if first { it.to_uppercase().next().unwrap_or(it) } else { it }
    };
    text.chars().map(letter).collect()
}

/// An address without its port.
fn host(address: &str) -> &str {
    match address.rsplit_once(':') {
        Some((host, port)) if port.chars().all(|it| it.is_ascii_digit()) => {
            let plain = !host.contains(':');
            let bracketed = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
            if plain { host } else { bracketed.unwrap_or(address) }
        }
        _ => address,
    }
}

/// The first part of a name; addresses stay.
fn strip_domain(address: &str) -> String {
    let name = host(address);
    if name.parse::<std::net::IpAddr>().is_ok() {
        return address.to_owned();
    }
    let port = address.strip_prefix(name).unwrap_or_default();
    format!("{}{port}", name.split('.').next().unwrap_or_default())
}

#[expect(clippy::cast_precision_loss, reason = "durations are far below 2^53 milliseconds")]
fn parse_duration(arguments: Vec<Data>) -> Result<Data, String> {
    let text = arguments.into_iter().next().map(Data::into_text).unwrap_or_default();
    match duration_ms(&text) {
        Some(duration_ms) => Ok(Data::Number(duration_ms as f64 / 1000.0)),
        None => Err(format!("error calling parseDuration: {text:?} is no duration")),
    }
}

fn texts<const COUNT: usize>(arguments: Vec<Data>) -> Result<[String; COUNT], String> {
    let texts: Vec<String> = arguments.into_iter().map(Data::into_text).collect();
    texts.try_into().map_err(|_| "wrong number of arguments".to_owned())
}

fn replace_all(arguments: Vec<Data>) -> Result<Data, String> {
    let [pattern, replacement, text] = texts(arguments)?;
    let regex = regex::Regex::new(&pattern)
        .map_err(|_| format!("error calling reReplaceAll: {pattern:?} is no regular expression"))?;
    Ok(Data::Text(regex.replace_all(&text, replacement.as_str()).into_owned()))
}

fn matches(arguments: Vec<Data>) -> Result<Data, String> {
    let [pattern, text] = texts(arguments)?;
    let regex = anchored(&format!(".*(?:{pattern}).*"))
        .map_err(|_| format!("error calling match: {pattern:?} is no regular expression"))?;
    Ok(Data::Truth(regex.is_match(&text)))
}

/// Numbers by their value, texts by their letters; different kinds cannot be compared.
fn order(left: &Data, right: &Data) -> Result<Ordering, String> {
    match (left, right) {
        (Data::Number(left), Data::Number(right)) => {
            Ok(left.partial_cmp(right).unwrap_or(Ordering::Less))
        }
        (Data::Text(left), Data::Text(right)) => Ok(left.cmp(right)),
        (Data::Truth(left), Data::Truth(right)) => Ok(left.cmp(right)),
        _ => Err("incompatible types for comparison".to_owned()),
    }
}

fn compared(arguments: &[Data], holds: fn(Ordering) -> bool) -> Result<Data, String> {
    match arguments {
        [left, right] => Ok(Data::Truth(holds(order(left, right)?))),
        _ => Err("wrong number of arguments".to_owned()),
    }
}

/// Whether the first is one of the others.
fn equal(arguments: Vec<Data>) -> Result<Data, String> {
    let mut arguments = arguments.into_iter();
    let Some(first) = arguments.next() else { return Ok(Data::Truth(false)) };
    let mut found = false;
    for other in arguments {
        found |= order(&first, &other)?.is_eq();
    }
    Ok(Data::Truth(found))
}

/// The first that is what is looked for, else the last.
fn first(arguments: Vec<Data>, wanted: fn(&Data) -> bool) -> Result<Data, String> {
    let place = arguments.iter().position(wanted);
    let place = place.unwrap_or(arguments.len().saturating_sub(1));
    arguments.into_iter().nth(place).ok_or_else(|| "wrong number of arguments".to_owned())
}
