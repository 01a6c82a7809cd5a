//! Aligned columns.

use crate::error::CommandError;
use crate::output::{Output, Tone, one_line};

/// A cell: its text and what it means.
pub(crate) type Cell = (String, Tone);

/// A cell that means nothing in particular.
pub(crate) fn plain(text: &str) -> Cell {
    (text.to_owned(), Tone::Plain)
}

/// Writes rows under a heading.
pub(crate) fn write(
    output: &mut Output,
    heading: &[&str],
    rows: &[Vec<Cell>],
) -> Result<(), CommandError> {
    for line in lines(output, heading, rows) {
        output.line(&line)?;
    }
    Ok(())
}

/// Rows under a heading; columns are as wide as their widest cell, the last one as it is. A cell is one
/// line.
pub(crate) fn lines(output: &Output, heading: &[&str], rows: &[Vec<Cell>]) -> Vec<String> {
    let on_one_line =
        |row: &Vec<Cell>| row.iter().map(|(it, tone)| (one_line(it), *tone)).collect();
    let rows: Vec<Vec<Cell>> = rows.iter().map(on_one_line).collect();
    let mut widths: Vec<usize> = heading.iter().map(|it| it.len()).collect();
    for row in &rows {
        for (width, (text, _)) in widths.iter_mut().zip(row) {
            *width = (*width).max(text.chars().count());
        }
    }
    let heading: Vec<Cell> = heading.iter().map(|it| ((*it).to_owned(), Tone::Faint)).collect();
    let mut lines = Vec::new();
    for row in std::iter::once(&heading).chain(&rows) {
        let mut line = String::new();
        for (at, ((text, tone), width)) in row.iter().zip(&widths).enumerate() {
            let last = at + 1 == row.len();
            line.push_str(&output.paint(*tone, text));
            if !last {
                let gap = width - text.chars().count() + 2;
                line.extend(std::iter::repeat_n(' ', gap));
            }
        }
        lines.push(line.trim_end().to_owned());
    }
    lines
}
