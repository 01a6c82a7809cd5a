//! Answers before the answer (status 1xx) on their way from an attempt to the client, both on one task.
//!
//! They are passed on as they come (RFC 9110, section 15.2), and are lost where nobody looks: nothing depends on them.

use std::cell::{Cell, RefCell};

use http::{HeaderMap, Response, StatusCode, header};

use crate::h1::head::Limits;
use crate::h1::request::Method;
use crate::h1::response::ResponseHead;
use crate::h2::server::headers_of;

/// Answers before one answer, at most, that wait for whoever passes them on.
const WAITING_MAX: usize = 32;

/// Answers before one answer that are passed on at all: a client that reads nothing has them kept for it by the protocol's
/// library, which does not count them.
const PASSED_MAX: usize = 256;

/// Answers before an answer that have not been passed on yet. Whoever polls the attempts takes them afterwards.
#[derive(Debug, Default)]
pub(crate) struct Interim {
    waiting: RefCell<Vec<Response<()>>>,
    /// How many have come.
    count: Cell<usize>,
}

impl Interim {
    /// Takes what has come.
    pub(crate) fn take(&self) -> Vec<Response<()>> {
        std::mem::take(&mut *self.waiting.borrow_mut())
    }

    /// Says that the client is to send its body.
    pub(crate) fn go_on(&self) {
        self.put(StatusCode::CONTINUE, HeaderMap::new());
    }

    /// Takes in one that came over HTTP/2. That a client is to go on is said by the data plane itself there.
    pub(crate) fn http2(&self, response: Response<()>) {
        if response.status() != StatusCode::CONTINUE {
            let (head, ()) = response.into_parts();
            self.put(head.status, head.headers);
        }
    }

    /// Takes in those that came over HTTP/1.1, as they were written for a client.
    pub(crate) fn http1(&self, written: &mut Vec<u8>, limits: Limits) {
        let mut rest = written.as_slice();
        let mut head = ResponseHead::default();
        head.limits = limits;
        while head.read(rest, Method::Idempotent) == Ok(true) {
            if let Ok(status) = StatusCode::from_u16(head.status) {
                self.put(status, headers_of(&head, rest));
            }
            rest = rest.get(head.length..).unwrap_or_default();
        }
        written.clear();
    }

    fn put(&self, status: StatusCode, mut headers: HeaderMap) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() < WAITING_MAX && self.count.get() < PASSED_MAX {
            self.count.set(self.count.get() + 1);
            // There is no body of which to say how long it is (RFC 9110, section 8.6).
            headers.remove(header::CONTENT_LENGTH);
            let mut response = Response::new(());
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            waiting.push(response);
        }
    }
}
