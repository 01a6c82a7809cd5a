//! Messages between control and data plane: a length, and JSON.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

/// Bytes of a message, at most: a table of a thousand services with ten instances each has two million.
const MESSAGE_BYTES_MAX: u32 = 64 << 20;

/// Reads a message. Nothing if the other side has ended the connection.
pub(crate) async fn read<T: DeserializeOwned>(from: &mut OwnedReadHalf) -> io::Result<Option<T>> {
    let length = match from.read_u32_le().await {
        Ok(length) => length,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    if MESSAGE_BYTES_MAX < length {
        let text = format!("a message of {length} bytes is longer than {MESSAGE_BYTES_MAX}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let mut message = vec![0; length as usize];
    from.read_exact(&mut message).await?;
    serde_json::from_slice(&message).map(Some).map_err(io::Error::from)
}

/// Writes a message.
pub(crate) async fn write(to: &mut OwnedWriteHalf, message: &impl Serialize) -> io::Result<()> {
    to.write_all(&encode(message)?).await
}

/// A message as it is written.
pub(crate) fn encode(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message)?;
    let length = u32::try_from(bytes.len() - 4).map_err(io::Error::other)?;
    if let Some(start) = bytes.get_mut(..4) {
        start.copy_from_slice(&length.to_le_bytes());
    }
    Ok(bytes)
}
