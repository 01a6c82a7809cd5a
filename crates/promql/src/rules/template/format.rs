//! Numbers and texts in Go's formats.

use super::Data;
use crate::parse::number_text;

/// Digits a number may be asked to have, and columns a text.
const WIDTH_MAX: usize = 100;

/// A number in so many significant digits, as Go's `%.4g`: with an exponent where it is great or small, and without
/// zeros at the end.
pub(super) fn general(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return number_text(value);
    }
    let digits = digits.max(1);
    let scientific = format!("{value:.*e}", digits - 1);
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let most = i32::try_from(digits).unwrap_or(i32::MAX);
    if exponent < -4 || most <= exponent {
        return format!("{}e{exponent:+03}", without_zeros(mantissa));
    }
    let decimals = usize::try_from(most - 1 - exponent).unwrap_or_default();
    without_zeros(&format!("{value:.decimals$}")).to_owned()
}

fn without_zeros(number: &str) -> &str {
    if number.contains('.') {
        return number.trim_end_matches('0').trim_end_matches('.');
    }
    number
}

/// `printf` as Go has it, with the verbs that make sense for texts and numbers.
pub(super) fn printf(arguments: Vec<Data>) -> String {
    let mut arguments = arguments.into_iter();
    let format = arguments.next().map(Data::into_text).unwrap_or_default();
    let mut written = String::new();
    let mut rest = format.chars().peekable();
    while let Some(next) = rest.next() {
        if next != '%' {
            written.push(next);
            continue;
        }
        let mut flags = Flags::default();
        while let Some(flag) = rest.next_if(|it| "+-0 #".contains(*it)) {
            match flag {
                '-' => flags.align = Align::Left,
                '0' if flags.align == Align::Right => flags.align = Align::Zeros,
                '+' => flags.sign = "+",
                _ => {}
            }
        }
        flags.width = digits(&mut rest).unwrap_or_default();
        if rest.next_if_eq(&'.').is_some() {
            flags.precision = Some(digits(&mut rest).unwrap_or_default());
        }
        match rest.next() {
            None => written.push_str("%!(NOVERB)"),
            Some('%') => written.push('%'),
            Some(verb) => match arguments.next() {
                None => written.push_str(&format_missing(verb)),
                Some(argument) => written.push_str(&flags.write(verb, argument)),
            },
        }
    }
    written
}

fn format_missing(verb: char) -> String {
    format!("%!{verb}(MISSING)")
}

fn digits(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<usize> {
    let mut number = None;
    while let Some(digit) = rest.peek().and_then(|it| it.to_digit(10)) {
        rest.next();
        let digit = usize::try_from(digit).unwrap_or_default();
        number = Some((number.unwrap_or(0_usize) * 10 + digit).min(WIDTH_MAX));
    }
    number
}

#[derive(Default)]
struct Flags {
    align: Align,
    sign: &'static str,
    width: usize,
    precision: Option<usize>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Align {
    #[default]
    Right,
    Left,
    Zeros,
}

impl Flags {
    fn write(&self, verb: char, argument: Data) -> String {
        let text = match (verb, argument) {
            ('v', argument) => argument.into_text(),
            ('s', Data::Text(text)) => match self.precision {
                Some(most) => text.chars().take(most).collect(),
                None => text,
            },
            ('q', Data::Text(text)) => format!("{text:?}"),
            ('f' | 'F', Data::Number(number)) => {
                self.signed(number, &format!("{:.*}", self.precision.unwrap_or(6), number.abs()))
            }
            ('e', Data::Number(number)) => {
                self.signed(number, &exponential(number.abs(), self.precision))
            }
            ('g', Data::Number(number)) => {
                let shortest = || crate::parse::literal_text(number.abs());
                let text = self.precision.map_or_else(shortest, |it| general(number.abs(), it));
                self.signed(number, &text)
            }
            ('d', Data::Number(number)) if number.fract().abs() <= 0.0 => {
                self.signed(number, &format!("{:.0}", number.abs()))
            }
            (verb, Data::Number(number)) => {
                format!("%!{verb}(float64={})", crate::parse::literal_text(number))
            }
            ('t', Data::Truth(truth)) => truth.to_string(),
            (verb, Data::Truth(truth)) => format!("%!{verb}(bool={truth})"),
            (verb, Data::Text(text)) => format!("%!{verb}(string={text})"),
        };
        self.padded(text)
    }

    /// The digits of a number with its sign; what is infinite or no number has no digits.
    fn signed(&self, number: f64, digits: &str) -> String {
        if !number.is_finite() {
            return number_text(number);
        }
        let sign = if number.is_sign_negative() { "-" } else { self.sign };
        format!("{sign}{digits}")
    }

    fn padded(&self, text: String) -> String {
        let missing = self.width.saturating_sub(text.chars().count());
        if missing == 0 {
            return text;
        }
        match self.align {
            Align::Left => text + &" ".repeat(missing),
            Align::Right => " ".repeat(missing) + &text,
            Align::Zeros => {
                let signs = text.len() - text.trim_start_matches(['-', '+']).len();
                let (sign, digits) = text.split_at_checked(signs).unwrap_or(("", &text));
                format!("{sign}{}{digits}", "0".repeat(missing))
            }
        }
    }
}

fn exponential(number: f64, precision: Option<usize>) -> String {
    let scientific = format!("{number:.*e}", precision.unwrap_or(6));
    match scientific.split_once('e') {
        Some((mantissa, exponent)) => {
            format!("{mantissa}e{:+03}", exponent.parse::<i32>().unwrap_or_default())
        }
        None => scientific,
    }
}
