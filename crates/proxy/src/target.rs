//! Request targets, alike over both versions of HTTP (RFC 9112, section 3.2; RFC 9113, section 8.3.1).
//!
//! It refuses bytes that no target has (RFC 3986, section 2), as far as no browser sends them: what one reader takes for the
//! end of a target, another may not. Braces and the like pass, as browsers leave them in queries.

use crate::h1::head::Limits;
use crate::h1::request::Rejected;

/// Refuses a target that is too long, or has bytes that none has.
pub(crate) fn check(target: &[u8], limits: Limits) -> Result<(), Rejected> {
    if limits.target_bytes() < target.len() {
        return Err(Rejected { status: 414, what: "the target is too long" });
    }
    let mut in_query = false;
    let is_wrong = |byte: &u8| match byte {
        b'#' | b'"' | b'<' | b'>' => true,
        b'`' => !in_query,
        b'?' => {
            in_query = true;
            false
        }
        byte => !byte.is_ascii_graphic(),
    };
    if target.iter().any(is_wrong) {
        let what = "the target has a character it cannot have; escape it as % and two digits";
        return Err(Rejected { status: 400, what });
    }
    Ok(())
}

/// Whether a target is a path, or the server itself, of which only OPTIONS asks.
pub(crate) fn is_path(target: &[u8], method: &[u8]) -> bool {
    target.starts_with(b"/") || (target == b"*" && method == b"OPTIONS")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issue_13_targets_have_the_bytes_that_browsers_send() {
        let limits = Limits::default();
        let status = |target: &str| check(target.as_bytes(), limits).map_err(|it| it.status);
        for target in ["/", "*", "/a;b=c/~!$&'()*+,=:@", "/%c3%a4", "/{a}|^\\[]", "/?a=`b`{}|^"] {
            assert_eq!(status(target), Ok(()), "{target}");
        }
        for target in [
            "/\u{e4}", "/a b", "/\t", "/a#b", "/<a>", "/`", "/\"", "/?<", "/?\"", "/?\u{7f}", "/\0",
        ] {
            assert_eq!(status(target), Err(400), "{target}");
        }
        assert_eq!(status(&"/".repeat(8 << 10)), Ok(()));
        assert_eq!(status(&"/".repeat((8 << 10) + 1)), Err(414));
    }

    #[test]
    fn issue_13_only_options_asks_of_the_server_itself() {
        assert!(is_path(b"/x", b"GET") && is_path(b"*", b"OPTIONS"));
        assert!(!is_path(b"*", b"GET") && !is_path(b"", b"OPTIONS") && !is_path(b"?x", b"GET"));
    }
}
