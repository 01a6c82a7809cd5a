//! Seeds.

/// The operating system has no entropy to give.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gives no random numbers: {0}")]
pub struct EntropyError(getrandom::Error);

/// A seed for `model::Rng`, from the operating system.
pub fn seed() -> Result<u64, EntropyError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(EntropyError)?;
    Ok(u64::from_le_bytes(bytes))
}

/// A secret of 256 bits as 64 hexadecimal digits.
pub fn secret() -> Result<String, EntropyError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(EntropyError)?;
    let digit = |it: u8| char::from_digit(u32::from(it), 16).unwrap_or('0');
    Ok(bytes.iter().flat_map(|it| [digit(it >> 4), digit(it & 15)]).collect())
}
