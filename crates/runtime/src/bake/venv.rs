//! Python's virtual environments: the programs in them begin with the place where the environment was made, and would
//! run that one and not the copy. They are kept with a beginning that looks for the interpreter beside them, which is how
//! `uv venv --relocatable` writes them. The interpreter itself is a link to the machine's, and stays one.

use std::fs::{self, Metadata};
use std::path::Path;

/// Bytes of a program that is made by an installer: they have a few hundred.
const SCRIPT_BYTES_MAX: u64 = 64 << 10;

/// A program of a virtual environment, so that it runs wherever it is; nothing if the file is none.
pub(super) fn relocated(source: &Path, path: &Path, metadata: &Metadata) -> Option<Vec<u8>> {
    let folder = source.parent().filter(|it| it.ends_with("bin"))?;
    // An environment that is not part of the artifact is not this one's to change.
    path.parent()?.parent()?;
    if SCRIPT_BYTES_MAX < metadata.len() || !folder.parent()?.join("pyvenv.cfg").is_file() {
        return None;
    }
    let text = String::from_utf8(fs::read(source).ok()?).ok()?;
    let (first, rest) = text.split_once('\n')?;
    let interpreter = Path::new(first.strip_prefix("#!")?.trim());
    let name = interpreter.file_name()?.to_str().filter(|it| it.starts_with("py"))?;
    let is_own = interpreter.parent()?.canonicalize().ok()? == folder.canonicalize().ok()?;
    let beside = r#""$(dirname -- "$(realpath -- "$0")")""#;
    // A shell runs the second line; for Python the second and third are one text.
    let script = format!("#!/bin/sh\n'''exec' {beside}/'{name}' \"$0\" \"$@\"\n' '''\n{rest}");
    is_own.then(|| script.into_bytes())
}
