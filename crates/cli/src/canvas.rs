//! Lines of a terminal that are drawn again and again in the same place.

use crate::error::CommandError;
use crate::output::Output;

/// The lines that were drawn last.
#[derive(Debug, Default)]
pub(crate) struct Canvas {
    drawn_lines: usize,
}

impl Canvas {
    /// Draws `lines` in place of those drawn before. There must be fewer than the terminal has rows: what
    /// was scrolled away cannot be drawn again.
    pub(crate) fn draw(
        &mut self,
        lines: &[String],
        output: &mut Output,
    ) -> Result<(), CommandError> {
        let columns = output.size().columns;
        let up = match self.drawn_lines {
            0 => String::new(),
            lines => format!("\u{1b}[{lines}A"),
        };
        // A line that the terminal wraps would be two, and the next drawing would begin in the wrong row.
        let drawn = lines.iter().map(|it| {
            let line = cut(&output.finished(it), columns);
            format!("\u{1b}[2K{line}\u{1b}[0m\n")
        });
        let drawn: String = drawn.collect();
        let clear = if lines.len() < self.drawn_lines { "\u{1b}[J" } else { "" };
        self.drawn_lines = lines.len();
        output.raw(&(up + &drawn + clear))
    }
}

/// The first `columns` characters of a line; colours take no room.
fn cut(line: &str, columns: usize) -> String {
    let mut text = String::new();
    let mut width = 0;
    let mut in_colour = false;
    for character in line.chars() {
        in_colour |= character == '\u{1b}';
        if !in_colour {
            width += 1;
        }
        if columns < width {
            break;
        }
        text.push(character);
        in_colour &= character != 'm';
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Format;
    use crate::output::{Look, captured};

    #[test]
    fn lines_are_cut_to_the_terminal() {
        assert_eq!(cut("├─ ✔ cart", 5), "├─ ✔ ");
        assert_eq!(cut("├─ cart", 50), "├─ cart");
        assert_eq!(cut("\u{1b}[32mready\u{1b}[0m", 3), "\u{1b}[32mrea");
        assert_eq!(cut("\u{1b}[32mready\u{1b}[0m", 5), "\u{1b}[32mready\u{1b}[0m");
    }

    #[test]
    fn what_is_drawn_takes_the_place_of_what_was() {
        let (mut output, page) = captured::output(Look::Terminal, Format::Text);
        let mut canvas = Canvas::default();
        canvas.draw(&["one".to_owned(), "two".to_owned()], &mut output).unwrap();
        canvas.draw(&["three".to_owned()], &mut output).unwrap();
        let first = "\u{1b}[2Kone\u{1b}[0m\n\u{1b}[2Ktwo\u{1b}[0m\n";
        let second = "\u{1b}[2A\u{1b}[2Kthree\u{1b}[0m\n\u{1b}[J";
        assert_eq!(page.text(), format!("{first}{second}"));
    }
}
