//! Developer tasks: `cargo run -p xtask -- generate` writes the files that are made from the code.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let task = std::env::args().nth(1);
    let result = match task.as_deref() {
        Some("generate") => generate(),
        _ => Err(io::Error::other("the tasks are: generate")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where even this cannot be written, the exit code says it.
            drop(writeln!(io::stderr(), "error: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Writes the schemas and the references of pelago.yaml and scenario.yaml, which a test in `manifest` holds
/// against the code.
fn generate() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let pretty = |it: &serde_json::Value| serde_json::to_string_pretty(it).map(|it| it + "\n");
    fs::write(root.join("schema/pelago.schema.json"), pretty(&manifest::schema())?)?;
    fs::write(root.join("schema/scenario.schema.json"), pretty(&manifest::scenario_schema())?)?;
    fs::write(root.join("docs/manifest.md"), manifest::reference())?;
    fs::write(root.join("docs/scenario.md"), manifest::scenario_reference())
}
