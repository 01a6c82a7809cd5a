//! Waiting for an application to become what was asked for, and showing what it waits for.

use api::StatusView;
use api::status::{ApplicationView, ServiceStateView};

use crate::client::Client;
use crate::error::CommandError;
use crate::output::{Look, Output, Size, Tone, one_line};
use crate::tree;

/// Shows each state of an application: redrawn in a terminal, as news elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    drawn_lines: usize,
    told: Vec<(String, String)>,
}

impl Progress {
    pub(crate) fn show(
        &mut self,
        application: &ApplicationView,
        output: &mut Output,
    ) -> Result<(), CommandError> {
        if output.is_json() {
            return Ok(());
        }
        match output.look() {
            Look::Terminal => self.redraw(application, output),
            Look::Plain => self.tell(application, output),
        }
    }

    fn redraw(
        &mut self,
        application: &ApplicationView,
        output: &mut Output,
    ) -> Result<(), CommandError> {
        let Size { columns, rows } = output.size();
        let lines = fit(application, rows, output);
        let up = match self.drawn_lines {
            0 => String::new(),
            lines => format!("\u{1b}[{lines}A"),
        };
        // A line that the terminal wraps would be two, and the next drawing would begin in the wrong row.
        let drawn =
            lines.iter().map(|it| "\u{1b}[2K".to_owned() + &cut(it, columns) + "\u{1b}[0m\n");
        let drawn: String = drawn.collect();
        self.drawn_lines = lines.len();
        output.raw(&(up + &drawn))
    }

    fn tell(
        &mut self,
        application: &ApplicationView,
        output: &mut Output,
    ) -> Result<(), CommandError> {
        let mut now = Vec::new();
        for service in &application.services {
            let detail = match service.detail.as_str() {
                "" => String::new(),
                detail => format!(" ({})", one_line(detail)),
            };
            let (ready, replicas) = (service.ready, service.replicas);
            let text = format!("{} {} {ready}/{replicas}{detail}", service.name, service.state);
            let news = (service.name.clone(), text);
            if !self.told.contains(&news) {
                output.line(&news.1)?;
            }
            now.push(news);
        }
        self.told = now;
        Ok(())
    }
}

/// Follows an application until `done` says so, from the state after `index` on.
pub(crate) async fn until<T>(
    client: &Client,
    application: &str,
    index: u64,
    output: &mut Output,
    mut done: impl FnMut(&ApplicationView) -> Option<T>,
) -> Result<(T, StatusView), CommandError> {
    let mut progress = Progress::default();
    let mut after = index.saturating_sub(1);
    loop {
        let status = client.changed(Some(application), after).await?;
        after = status.index;
        let Some(view) = status.applications.first() else {
            return Err(CommandError::wrong(format!("application {application} is gone")));
        };
        progress.show(view, output)?;
        if let Some(result) = done(view) {
            return Ok((result, status));
        }
    }
}

/// The tree, if it has fewer lines than the terminal has rows; else so much of it as there is room for, what is
/// not done yet first: what was scrolled away could not be drawn again.
fn fit(application: &ApplicationView, rows: usize, output: &Output) -> Vec<String> {
    let room = rows.saturating_sub(3).max(1);
    let hidden = application.services.len().saturating_sub(room);
    if application.services.len() + 1 < rows || hidden == 0 {
        return tree::lines(application, output);
    }
    let mut shown = application.clone();
    shown.services.sort_by_key(|it| {
        matches!(it.state, ServiceStateView::Ready | ServiceStateView::Completed)
    });
    shown.services.truncate(room);
    let mut lines = tree::lines(&shown, output);
    lines.push(output.paint(Tone::Faint, &format!("   and {hidden} more")));
    lines
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
    use crate::output::captured;
    use crate::tree::tests::{application, service};

    #[test]
    fn a_tree_that_is_too_tall_shows_what_is_not_done_first() {
        let (output, _page) = captured::output(Look::Plain, Format::Text);
        let states = [ServiceStateView::Ready, ServiceStateView::Ready, ServiceStateView::Waiting];
        let names = ["a", "b", "c"];
        let services = names.iter().zip(states).map(|(name, state)| service(name, state)).collect();
        let application = application(services);
        let names = |rows| {
            let lines = fit(&application, rows, &output);
            let word = |it: &String| it.split_whitespace().nth(2).unwrap_or_default().to_owned();
            lines.iter().skip(1).map(word).collect::<Vec<_>>()
        };
        assert_eq!(names(5), ["a", "b", "c"]);
        assert_eq!(names(4), ["c", "more"]);
        assert_eq!(names(1), ["c", "more"]);
    }

    #[test]
    fn lines_are_cut_to_the_terminal() {
        assert_eq!(cut("├─ ✔ cart", 5), "├─ ✔ ");
        assert_eq!(cut("├─ cart", 50), "├─ cart");
        assert_eq!(cut("\u{1b}[32mready\u{1b}[0m", 3), "\u{1b}[32mrea");
        assert_eq!(cut("\u{1b}[32mready\u{1b}[0m", 5), "\u{1b}[32mready\u{1b}[0m");
    }
}
