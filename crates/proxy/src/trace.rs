//! Trace contexts, as callers send them: W3C Trace Context and B3, in one header or several.

use model::Rng;

use crate::spans::{Sampled, Spans};

/// The ids of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceContext {
    pub(crate) trace: u128,
    /// The caller's span.
    pub(crate) parent: Option<u64>,
    /// This request's span, which is the callee's parent.
    pub(crate) span: u64,
    /// Whether the trace is recorded.
    pub(crate) sampled: bool,
}

/// What a caller sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sent<'a> {
    pub(crate) traceparent: Option<&'a [u8]>,
    pub(crate) b3: Option<&'a [u8]>,
    /// `x-b3-traceid`, `x-b3-spanid`, `x-b3-sampled`.
    pub(crate) b3_parts: [Option<&'a [u8]>; 3],
}

impl TraceContext {
    /// Goes on with the caller's trace, or begins one. Whether that is recorded is for [`Self::sampled`] to say, once the
    /// request crosses an edge: requests that are refused take no place from those that are not.
    pub(crate) fn of(sent: &Sent<'_>, rng: &mut Rng) -> Self {
        let span = rng.next_u64().max(1);
        let given = sent.traceparent.and_then(traceparent);
        let given = given.or_else(|| sent.b3.and_then(b3)).or_else(|| b3_parts(sent.b3_parts));
        if let Some((trace, parent, sampled)) = given {
            return Self { trace, parent: Some(parent), span, sampled };
        }
        let high = u128::from(rng.next_u64()) << 64;
        let trace = (high | u128::from(rng.next_u64())).max(1);
        Self { trace, parent: None, span, sampled: false }
    }

    /// Recorded if its caller says so, or, where it begins here, if there is room.
    pub(crate) fn sampled(self, rng: &mut Rng, spans: &Spans) -> Self {
        match self.parent {
            Some(_) => self,
            None => Self { sampled: spans.sample(rng) == Sampled::Yes, ..self },
        }
    }

    /// Appends the value of `traceparent` for the callee.
    pub(crate) fn write_traceparent(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"00-");
        hex(out, self.trace, 32);
        out.push(b'-');
        hex(out, u128::from(self.span), 16);
        out.extend_from_slice(if self.sampled { b"-01" } else { b"-00" });
    }

    /// Appends the value of `b3` for the callee.
    pub(crate) fn write_b3(&self, out: &mut Vec<u8>) {
        hex(out, self.trace, 32);
        out.push(b'-');
        hex(out, u128::from(self.span), 16);
        out.extend_from_slice(if self.sampled { b"-1" } else { b"-0" });
        if let Some(parent) = self.parent {
            out.push(b'-');
            hex(out, u128::from(parent), 16);
        }
    }

    /// Appends the lines of the several B3 headers for the callee.
    pub(crate) fn write_b3_parts(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"x-b3-traceid: ");
        hex(out, self.trace, 32);
        out.extend_from_slice(b"\r\nx-b3-spanid: ");
        hex(out, u128::from(self.span), 16);
        if let Some(parent) = self.parent {
            out.extend_from_slice(b"\r\nx-b3-parentspanid: ");
            hex(out, u128::from(parent), 16);
        }
        out.extend_from_slice(b"\r\nx-b3-sampled: ");
        out.push(if self.sampled { b'1' } else { b'0' });
        out.extend_from_slice(b"\r\n");
    }
}

/// The last `digits` (32 at most) hexadecimal digits of `number`, in lower case.
#[expect(clippy::cast_possible_truncation, reason = "the halves of a number, and four bits")]
pub(crate) fn hex(out: &mut Vec<u8>, number: u128, digits: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 32];
    let (high, low) = ((number >> 64) as u64, number as u64);
    for (place, digit) in text.iter_mut().enumerate() {
        let (half, place) = if place < 16 { (high, place) } else { (low, place - 16) };
        *digit = DIGITS[(half >> (60 - 4 * place)) as usize & 15];
    }
    out.extend_from_slice(text.get(32 - digits..).unwrap_or_default());
}

/// The same as text.
pub(crate) fn hex_text(number: u128, digits: usize) -> String {
    let mut out = Vec::with_capacity(digits);
    hex(&mut out, number, digits);
    String::from_utf8(out).unwrap_or_default()
}

type Given = (u128, u64, bool);

/// `00-TRACE-PARENT-FLAGS` (W3C Trace Context, section 3.2); a later version may have more behind it.
fn traceparent(value: &[u8]) -> Option<Given> {
    let mut parts = value.splitn(5, |it| *it == b'-');
    let (version, trace) = (parts.next()?, parts.next()?);
    let (parent, flags) = (parts.next()?, parts.next()?);
    let known = version.len() == 2 && lower_hex(version)? != 0xff;
    let whole = trace.len() == 32 && parent.len() == 16 && flags.len() == 2;
    let alone = version != b"00" || parts.next().is_none();
    let (trace, parent) = (lower_hex(trace)?, u64::try_from(lower_hex(parent)?).ok()?);
    let flags = lower_hex(flags)?;
    (known && whole && alone && trace != 0 && parent != 0).then_some((
        trace,
        parent,
        flags & 1 == 1,
    ))
}

/// `TRACE-SPAN[-SAMPLED[-PARENT]]`, or a decision alone, which begins no trace here.
fn b3(value: &[u8]) -> Option<Given> {
    let mut parts = value.split(|it| *it == b'-');
    let (trace, span) = (parts.next()?, parts.next()?);
    let (trace, span) = b3_ids(trace, span)?;
    Some((trace, span, parts.next().is_some_and(|it| matches!(it, b"1" | b"d"))))
}

fn b3_parts([trace, span, sampled]: [Option<&[u8]>; 3]) -> Option<Given> {
    let (trace, span) = b3_ids(trace?, span?)?;
    Some((trace, span, sampled.is_some_and(|it| matches!(it, b"1" | b"true"))))
}

fn b3_ids(trace: &[u8], span: &[u8]) -> Option<(u128, u64)> {
    let whole = matches!(trace.len(), 16 | 32) && span.len() == 16;
    let (trace, span) = (lower_hex(trace)?, u64::try_from(lower_hex(span)?).ok()?);
    (whole && trace != 0 && span != 0).then_some((trace, span))
}

/// Up to 32 digits; W3C and B3 both want lower case.
fn lower_hex(digits: &[u8]) -> Option<u128> {
    if digits.is_empty() || 32 < digits.len() {
        return None;
    }
    digits.iter().try_fold(0, |number: u128, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Rng;
    use proptest::prelude::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn of(sent: &Sent<'_>) -> TraceContext {
        TraceContext::of(sent, &mut Rng::new(1))
    }

    #[track_caller]
    fn check(value: &str, expected: Option<bool>) {
        let sent = Sent { traceparent: Some(value.as_bytes()), ..Sent::default() };
        let context = of(&sent);
        assert_eq!(context.parent.map(|_| context.sampled), expected, "{value}");
    }

    #[test]
    fn traceparents() {
        check(&format!("00-{TRACE}-00f067aa0ba902b7-01"), Some(true));
        check(&format!("00-{TRACE}-00f067aa0ba902b7-00"), Some(false));
        check(&format!("cc-{TRACE}-00f067aa0ba902b7-01-more"), Some(true));
        check(&format!("00-{TRACE}-00f067aa0ba902b7-01-more"), None);
        check(&format!("ff-{TRACE}-00f067aa0ba902b7-01"), None);
        check(&format!("00-{TRACE}-0000000000000000-01"), None);
        check("00-00000000000000000000000000000000-00f067aa0ba902b7-01", None);
        check(&format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()), None);
        check(&format!("00-{TRACE}-00f067aa0ba902b7"), None);
        check("", None);
    }

    #[test]
    fn b3_in_one_header_and_in_several() {
        let one = format!("{TRACE}-00f067aa0ba902b7-1-05e3ac9a4f6e3b90");
        let context = of(&Sent { b3: Some(one.as_bytes()), ..Sent::default() });
        assert_eq!((context.parent, context.sampled), (Some(0x00f0_67aa_0ba9_02b7), true));
        let mut out = Vec::new();
        context.write_b3(&mut out);
        let span = format!("{:016x}", context.span);
        assert_eq!(out, format!("{TRACE}-{span}-1-00f067aa0ba902b7").into_bytes());
        let parts = [Some(&b"00f067aa0ba902b7"[..]), Some(&b"00f067aa0ba902b8"[..]), None];
        let context = of(&Sent { b3_parts: parts, ..Sent::default() });
        assert_eq!((context.trace, context.sampled), (0x00f0_67aa_0ba9_02b7, false));
        assert_eq!(of(&Sent { b3: Some(b"0"), ..Sent::default() }).parent, None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(seed: u64, sampled: bool, garbage in prop::collection::vec(any::<u8>(), 0..70)) {
            let mut rng = Rng::new(seed);
            let sent = Sent { traceparent: Some(&garbage), b3: Some(&garbage), ..Sent::default() };
            let mut context = TraceContext::of(&sent, &mut rng);
            context.sampled = sampled;
            let mut out = Vec::new();
            context.write_traceparent(&mut out);
            let read = traceparent(&out);
            prop_assert_eq!(read, Some((context.trace, context.span, context.sampled)));
        }
    }
}
