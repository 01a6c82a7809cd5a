//! A request's head on its way to an instance, in HTTP/2's types and as HTTP/1.1.

use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, Version, header};
use model::route::HeaderEdits;

use crate::crossing::Crossing;
use crate::h1::head::is_hop_by_hop;
use crate::h1::request::Side;
use crate::h1::write::{put, time_left};
use crate::h2::call::{Call, Forwarded, host};
use crate::h2::fields;
use crate::h2::grpc;
use crate::router::rewritten;
use crate::says::Received;
use crate::time_left::{TIMEOUT_BY, TIMEOUT_MS, TimeLeft, TimeoutBy};

impl Call {
    /// The path and query, rewritten as the route says.
    fn target(&self) -> String {
        let target = self.head.uri.path_and_query().map_or("/", |it| it.as_str());
        let rewritten = self.route.as_ref().and_then(|it| rewritten(&it.route, target));
        rewritten.unwrap_or_else(|| target.to_owned())
    }

    fn host(&self) -> &str {
        match host(&self.head) {
            "" => self.edge.name.callee.as_str(),
            host => host,
        }
    }

    /// What of the request is believed.
    fn side(&self) -> Side {
        self.forwarded.map_or(Side::Mesh, |it| it.side)
    }

    /// Where a trusted proxy says that the request has been, by this header.
    fn told(&self, name: &str) -> impl Iterator<Item = &str> {
        let is_told = self.side() == Side::Proxied;
        let values = self.head.headers.get_all(name).into_iter().filter(move |_| is_told);
        values.filter_map(|it| it.to_str().ok()).filter(|it| !it.is_empty())
    }

    /// The headers that are passed on, with those that are added.
    fn headers(&self, crossing: &Crossing, left: TimeLeft) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(self.head.headers.len() + 6);
        for (name, value) in &self.head.headers {
            if self.side().lets_in(name.as_str().as_bytes())
                && !is_hop_by_hop(name.as_str().as_bytes())
                && *name != header::HOST
            {
                headers.append(name.clone(), value.clone());
            }
        }
        let text = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            write(&mut out);
            String::from_utf8(out).unwrap_or_default()
        };
        if let Some(Forwarded { peer, scheme, .. }) = self.forwarded {
            let mut all: Vec<String> = self.told("x-forwarded-for").map(str::to_owned).collect();
            all.push(peer.to_string());
            set(&mut headers, "x-forwarded-for", &all.join(", "));
            let proto = self.told("x-forwarded-proto").next().unwrap_or(scheme);
            set(&mut headers, "x-forwarded-proto", proto);
            let host = self.told("x-forwarded-host").next().unwrap_or(self.host());
            set(&mut headers, "x-forwarded-host", host);
        }
        let said = text(&|out| self.say(out));
        for (name, value) in said.lines().filter_map(|it| fields::read(it.as_bytes())) {
            headers.append(name, value);
        }
        set(&mut headers, "traceparent", &text(&|out| crossing.trace.write_traceparent(out)));
        if self.head.headers.contains_key("b3") {
            set(&mut headers, "b3", &text(&|out| crossing.trace.write_b3(out)));
        }
        if self.head.headers.contains_key("x-b3-traceid") {
            let lines = text(&|out| crossing.trace.write_b3_parts(out));
            for (name, value) in lines.lines().filter_map(|it| fields::read(it.as_bytes())) {
                headers.insert(name, value);
            }
        }
        set(&mut headers, TIMEOUT_MS, &left.time.as_millis().to_string());
        match left.by {
            TimeoutBy::Client => set(&mut headers, TIMEOUT_BY, "client"),
            TimeoutBy::Policy => drop(headers.remove(TIMEOUT_BY)),
        }
        if grpc::is_grpc(&self.head.headers) && self.head.headers.contains_key("grpc-timeout") {
            set(&mut headers, "grpc-timeout", &grpc::timeout_text(left.time));
        }
        if self.head.headers.get(header::TE).is_some_and(|it| it == "trailers") {
            set(&mut headers, "te", "trailers");
        }
        if let Some(route) = &self.route {
            edit(&mut headers, &route.route.request_headers);
        }
        headers
    }

    /// What the gateway says of itself, as lines.
    fn say(&self, out: &mut Vec<u8>) {
        if let Some(Forwarded { peer, scheme, version, .. }) = self.forwarded {
            let (peer, host) = (peer.to_string(), self.host().as_bytes());
            let received = Received { peer: &peer, scheme, host, version };
            received.write(out, self.core.front.says);
        }
    }

    /// The head for HTTP/1.1. Header by header into one buffer, where the route changes none.
    pub(crate) fn http1_head(&self, crossing: &Crossing, left: TimeLeft) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        put(&mut out, format_args!("{} {} HTTP/1.1\r\n", self.head.method, self.target()));
        fields::write(&mut out, "host", self.host().as_bytes());
        let is_edited = self.route.as_ref().is_some_and(|it| !it.route.request_headers.is_empty());
        if is_edited {
            let headers = self.headers(crossing, left);
            for (name, value) in headers.iter().filter(|(name, _)| **name != header::COOKIE) {
                fields::write(&mut out, name.as_str(), value.as_bytes());
            }
            cookies(&mut out, &headers);
        } else {
            self.http1_lines(&mut out, crossing, left);
        }
        if self.is_chunked() {
            fields::write(&mut out, "transfer-encoding", b"chunked");
        }
        out.extend_from_slice(b"\r\n");
        out
    }

    fn http1_lines(&self, out: &mut Vec<u8>, crossing: &Crossing, left: TimeLeft) {
        for (name, value) in &self.head.headers {
            if !self.is_written_anew(name) {
                fields::write(out, name.as_str(), value.as_bytes());
            }
        }
        cookies(out, &self.head.headers);
        if let Some(Forwarded { peer, scheme, .. }) = self.forwarded {
            out.extend_from_slice(b"x-forwarded-for: ");
            for before in self.told("x-forwarded-for") {
                out.extend_from_slice(before.as_bytes());
                out.extend_from_slice(b", ");
            }
            put(out, format_args!("{peer}\r\n"));
            let proto = self.told("x-forwarded-proto").next().unwrap_or(scheme);
            fields::write(out, "x-forwarded-proto", proto.as_bytes());
            let host = self.told("x-forwarded-host").next().unwrap_or(self.host());
            fields::write(out, "x-forwarded-host", host.as_bytes());
        }
        self.say(out);
        out.extend_from_slice(b"traceparent: ");
        crossing.trace.write_traceparent(out);
        out.extend_from_slice(b"\r\n");
        time_left(out, left);
        if self.head.headers.contains_key("b3") {
            out.extend_from_slice(b"b3: ");
            crossing.trace.write_b3(out);
            out.extend_from_slice(b"\r\n");
        }
        if self.head.headers.contains_key("x-b3-traceid") {
            crossing.trace.write_b3_parts(out);
        }
        if self.head.headers.get(header::TE).is_some_and(|it| it == "trailers") {
            fields::write(out, "te", b"trailers");
        }
    }

    /// Whether a header is not copied: it is between two parties alone, or is written anew.
    fn is_written_anew(&self, name: &HeaderName) -> bool {
        const NAMES: [&str; 10] = [
            "host",
            "cookie",
            "traceparent",
            TIMEOUT_MS,
            TIMEOUT_BY,
            "b3",
            "x-b3-traceid",
            "x-b3-spanid",
            "x-b3-parentspanid",
            "x-b3-sampled",
        ];
        let name = name.as_str();
        let is_forwarded = self.forwarded.is_some()
            && matches!(name, "x-forwarded-for" | "x-forwarded-proto" | "x-forwarded-host");
        is_forwarded
            || NAMES.contains(&name)
            || is_hop_by_hop(name.as_bytes())
            || !self.side().lets_in(name.as_bytes())
    }

    pub(crate) fn http2_request(&self, crossing: &Crossing, left: TimeLeft) -> Option<Request<()>> {
        let uri = Uri::builder()
            .scheme("http")
            .authority(self.host())
            .path_and_query(self.target())
            .build()
            .ok()?;
        let mut request = Request::new(());
        *request.method_mut() = self.head.method.clone();
        *request.uri_mut() = uri;
        *request.version_mut() = Version::HTTP_2;
        *request.headers_mut() = self.headers(crossing, left);
        // The client was told to go on already: few servers say so over HTTP/2.
        request.headers_mut().remove(header::EXPECT);
        Some(request)
    }
}

/// HTTP/2 may have cookies in several lines, HTTP/1.1 may not (RFC 9113, section 8.2.3).
fn cookies(out: &mut Vec<u8>, headers: &HeaderMap) {
    let mut separator: &[u8] = b"cookie: ";
    for value in headers.get_all(header::COOKIE) {
        out.extend_from_slice(separator);
        out.extend_from_slice(value.as_bytes());
        separator = b"; ";
    }
    if separator == b"; " {
        out.extend_from_slice(b"\r\n");
    }
}

/// Puts a header in the place of those of its name. One that cannot be written is left out.
fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// Changes headers as a route says.
pub(crate) fn edit(headers: &mut HeaderMap, edits: &HeaderEdits) {
    for name in &edits.remove {
        headers.remove(name.as_str());
    }
    let parsed = |(name, value): &(String, String)| {
        Some((name.parse::<HeaderName>().ok()?, value.parse::<HeaderValue>().ok()?))
    };
    for (name, value) in edits.set.iter().filter_map(parsed) {
        headers.insert(name, value);
    }
    for (name, value) in edits.add.iter().filter_map(parsed) {
        headers.append(name, value);
    }
}
