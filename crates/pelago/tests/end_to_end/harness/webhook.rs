//! Who is told by a webhook.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use serde_json::Value;

/// Waits for a message, takes it, and returns it.
#[track_caller]
pub(crate) fn receive(listener: &TcpListener) -> Value {
    let (mut stream, _) = listener.accept().unwrap();
    let mut text = String::new();
    let mut bytes = [0; 4_096];
    loop {
        let count = stream.read(&mut bytes).unwrap();
        text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        if let Some((_, body)) = text.split_once("\r\n\r\n")
            && let Ok(body) = serde_json::from_str(body)
        {
            stream.write_all(b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n").unwrap();
            return body;
        }
    }
}
