//! Messages on the socket: the length in bytes (32 bits, little-endian), then as much JSON.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Bytes of one message, at most: a table of ten thousand instances is 2 MB.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Why a message could not be passed on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    /// The connection is not usable any more.
    #[error("the connection to the data plane ended")]
    Connection(#[from] io::Error),
    /// What came is no message, or what should go cannot be one.
    #[error("the data plane speaks another language; is it another version?")]
    Json(#[from] serde_json::Error),
    /// It is too long.
    #[error("a message of {0} bytes is longer than the {MESSAGE_BYTES_MAX} allowed")]
    TooLong(usize),
}

/// Sends one message.
pub(crate) async fn send<T: Serialize + Sync>(
    to: &mut (impl AsyncWrite + Unpin + Send),
    message: &T,
) -> Result<(), WireError> {
    let mut bytes = vec![0; size_of::<u32>()];
    serde_json::to_writer(&mut bytes, message)?;
    let length = bytes.len() - size_of::<u32>();
    let prefix = u32::try_from(length).ok().filter(|_| length <= MESSAGE_BYTES_MAX);
    let prefix = prefix.ok_or(WireError::TooLong(length))?.to_le_bytes();
    for (byte, value) in bytes.iter_mut().zip(prefix) {
        *byte = value;
    }
    Ok(to.write_all(&bytes).await?)
}

/// Receives one message; nothing if the other side has closed the connection between two.
pub(crate) async fn receive<T: DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin + Send),
) -> Result<Option<T>, WireError> {
    let mut prefix = [0; size_of::<u32>()];
    match from.read_exact(&mut prefix).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    };
    let length = usize::try_from(u32::from_le_bytes(prefix)).unwrap_or(usize::MAX);
    if MESSAGE_BYTES_MAX < length {
        return Err(WireError::TooLong(length));
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes).await?;
    Ok(Some(serde_json::from_slice(&bytes)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_sent_is_received() {
        let (mut here, mut there) = tokio::io::duplex(16);
        let message = vec!["a".repeat(100), String::new()];
        let sent = async {
            send(&mut here, &message).await.unwrap();
            drop(here);
        };
        let received = async {
            let first: Option<Vec<String>> = receive(&mut there).await.unwrap();
            let end: Option<Vec<String>> = receive(&mut there).await.unwrap();
            (first, end)
        };
        let ((), received) = tokio::join!(sent, received);
        assert_eq!(received, (Some(message), None));
    }

    #[track_caller]
    fn check(bytes: &[u8], expected: &str) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut bytes = bytes;
        let received = runtime.block_on(receive::<u8>(&mut bytes));
        assert_eq!(received.unwrap_err().to_string(), expected);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        check(&[2, 0, 0, 0, b'['], "the connection to the data plane ended");
        check(
            &[1, 0, 0, 0, b'['],
            "the data plane speaks another language; is it another version?",
        );
        check(
            &[255, 255, 255, 255],
            "a message of 4294967295 bytes is longer than the 67108864 allowed",
        );
    }
}
