//! A span: one piece of work in a trace, whoever reported it.
//!
//! The model is what Zipkin and OpenTelemetry have in common. Text is text: numbers and lists in attributes are
//! written out, since nobody searches for the type of a tag. Ids are W3C's: 128 bits for a trace, 64 for a
//! span; Zipkin's 64-bit traces have a high half of zero. It refuses to be of unlimited size: [`Span::clip`] cuts
//! what is over the limits and says so in a tag.

/// Bytes of a service's or an operation's name. Longer ones are mistakes, such as a query for a name.
pub const NAME_BYTES_MAX: usize = 512;
/// Bytes of a tag's key.
pub const KEY_BYTES_MAX: usize = 256;
/// Bytes of a tag's value, or of an event's text: a stack trace fits.
pub const VALUE_BYTES_MAX: usize = 16 << 10;
/// Tags of one span. OpenTelemetry's default limit is 128.
pub const TAGS_MAX: usize = 256;
/// Events of one span. OpenTelemetry's default limit is 128.
pub const EVENTS_MAX: usize = 256;
/// Links of one span. OpenTelemetry's default limit is 128.
pub const LINKS_MAX: usize = 128;
/// Bytes of all tags and events of one span. A block is 128 KiB; a span is to fit into half of one.
pub const TEXT_BYTES_MAX: usize = 64 << 10;
/// The tag that says that something was cut off.
pub const CLIPPED: &str = "pelago.clipped";

/// What a span is to the call it is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Nobody said.
    #[default]
    Unspecified,
    /// It waits for somebody else's answer.
    Client,
    /// It answers somebody else.
    Server,
    /// It sends a message and does not wait.
    Producer,
    /// It takes a message.
    Consumer,
    /// It is within a service.
    Internal,
}

impl Kind {
    /// All kinds, in the order of their numbers on disk.
    pub const ALL: [Self; 6] = [
        Self::Unspecified,
        Self::Client,
        Self::Server,
        Self::Producer,
        Self::Consumer,
        Self::Internal,
    ];

    /// Its name, in lower case; empty if nobody said.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "",
            Self::Client => "client",
            Self::Server => "server",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
            Self::Internal => "internal",
        }
    }
}

/// Another span this one has to do with, of another trace as a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link {
    /// Its trace.
    pub trace: u128,
    /// The span.
    pub id: u64,
}

/// One piece of work.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The trace; never 0.
    pub trace: u128,
    /// The span; never 0. In Zipkin's model a client's and its server's may be the same.
    pub id: u64,
    /// The span it is part of.
    pub parent: Option<u64>,
    /// What it is to the call.
    pub kind: Kind,
    /// Who did the work; empty if nobody said.
    pub service: String,
    /// What was done; empty if nobody said.
    pub operation: String,
    /// The other side of the call; empty if it is not known.
    pub remote: String,
    /// When it began, in microseconds since 1970; 0 if nobody said.
    pub start_us: u64,
    /// How long it took, in microseconds; 0 if nobody said.
    pub duration_us: u64,
    /// What else is known.
    pub tags: Vec<(String, String)>,
    /// What happened meanwhile, and when (microseconds since 1970).
    pub events: Vec<(u64, String)>,
    /// Other spans it has to do with.
    pub links: Vec<Link>,
    /// Whether it failed.
    pub is_error: bool,
    /// Whether it is the server's side of a span the client reported under the same id (Zipkin).
    pub shared: bool,
}

impl Span {
    /// When it ended, in microseconds since 1970.
    pub const fn end_us(&self) -> u64 {
        self.start_us.saturating_add(self.duration_us)
    }

    /// The value of the first tag with a key.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags.iter().find(|it| it.0 == key).map(|it| it.1.as_str())
    }

    /// Cuts what is over the limits, and says in the tag [`CLIPPED`] how many parts were cut or left out.
    pub fn clip(&mut self) {
        let mut clipped = 0_usize;
        for name in [&mut self.service, &mut self.operation, &mut self.remote] {
            clipped += usize::from(cut(name, NAME_BYTES_MAX));
        }
        let mut room = TEXT_BYTES_MAX;
        let before = self.tags.len() + self.events.len() + self.links.len();
        self.tags.truncate(TAGS_MAX);
        self.tags.retain_mut(|(key, value)| {
            clipped += usize::from(cut(key, KEY_BYTES_MAX));
            clipped += usize::from(cut(value, VALUE_BYTES_MAX));
            take(&mut room, key.len() + value.len())
        });
        self.events.truncate(EVENTS_MAX);
        self.events.retain_mut(|(_, text)| {
            clipped += usize::from(cut(text, VALUE_BYTES_MAX));
            take(&mut room, text.len())
        });
        self.links.truncate(LINKS_MAX);
        clipped += before - (self.tags.len() + self.events.len() + self.links.len());
        if clipped != 0 {
            self.tags.push((CLIPPED.to_owned(), clipped.to_string()));
        }
    }
}

/// Whether there was room, which is taken.
const fn take(room: &mut usize, bytes: usize) -> bool {
    match room.checked_sub(bytes) {
        Some(rest) => {
            *room = rest;
            true
        }
        None => false,
    }
}

/// Cuts text to so many bytes at a character's boundary; whether it was longer.
fn cut(text: &mut String, bytes_max: usize) -> bool {
    if text.len() <= bytes_max {
        return false;
    }
    text.truncate(text.floor_char_boundary(bytes_max));
    true
}

/// A trace's id as W3C writes it: 32 hexadecimal digits.
pub fn trace_hex(trace: u128) -> String {
    format!("{trace:032x}")
}

/// A span's id as W3C writes it: 16 hexadecimal digits.
pub fn span_hex(id: u64) -> String {
    format!("{id:016x}")
}

/// Reads a trace's id of 1 to 32 hexadecimal digits; none if it is 0. Of longer ids Zipkin keeps the right end,
/// and so do we.
pub fn read_trace_hex(text: &str) -> Option<u128> {
    let digits = text.get(text.len().saturating_sub(32)..)?;
    read_hex(digits)
}

/// Reads a span's id of 1 to 16 hexadecimal digits; none if it is 0.
pub fn read_span_hex(text: &str) -> Option<u64> {
    if 16 < text.len() { None } else { read_hex(text).and_then(|it| u64::try_from(it).ok()) }
}

fn read_hex(text: &str) -> Option<u128> {
    let digits = !text.is_empty() && text.bytes().all(|it| it.is_ascii_hexdigit());
    let number = if digits { u128::from_str_radix(text, 16).ok() } else { None };
    number.filter(|it| *it != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_a_limit_is_cut_and_counted() {
        let mut span = Span {
            operation: "ä".repeat(300),
            tags: (0..300).map(|it| (format!("k{it}"), "v".to_owned())).collect(),
            events: vec![(1, "x".repeat(VALUE_BYTES_MAX + 1)); 5],
            links: vec![Link { trace: 1, id: 2 }; 130],
            ..Span::default()
        };
        span.clip();
        assert_eq!(span.operation.len(), 512);
        assert_eq!((span.tags.len(), span.events.len(), span.links.len()), (257, 3, 128));
        // One name, 44 tags, five texts of which two found no room, and two links.
        assert_eq!(span.tag(CLIPPED), Some("54"));
        let clipped = span.clone();
        span.tags.pop();
        span.clip();
        assert_eq!(span.tag(CLIPPED), None);
        assert_eq!(span.tags[..], clipped.tags[..256]);
    }

    #[test]
    fn ids_are_hexadecimal() {
        assert_eq!(
            read_trace_hex("463ac35c9f6413ad48485a3953bb6124"),
            Some(0x463a_c35c_9f64_13ad_4848_5a39_53bb_6124)
        );
        assert_eq!(read_trace_hex("00000000000000a1"), Some(0xa1));
        assert_eq!(read_trace_hex("ff000000000000000000000000000000a1"), Some(0xa1));
        assert_eq!(read_span_hex("A1"), Some(0xa1));
        for wrong in ["", "0", "+1", "g", "00000000000000000"] {
            assert_eq!((read_trace_hex(wrong), read_span_hex(wrong)), (None, None), "{wrong}");
        }
        assert_eq!(
            (trace_hex(0xa1), span_hex(0xa1)),
            (format!("{:0>32}", "a1"), format!("{:0>16}", "a1"))
        );
    }
}
