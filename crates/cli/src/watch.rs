//! Waiting for an application to become what was asked for, and showing what it waits for.

use api::StatusView;
use api::status::ApplicationView;

use crate::canvas::Canvas;
use crate::client::Client;
use crate::error::CommandError;
use crate::output::{Look, Output, Tone, one_line};
use crate::tree;

/// Shows each state of an application: redrawn in a terminal, as news elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    canvas: Canvas,
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
        let lines = fit(application, output.size().rows, output);
        self.canvas.draw(&lines, output)
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
    shown.services.sort_by_key(|it| it.state.is_fine());
    shown.services.truncate(room);
    let mut lines = tree::lines(&shown, output);
    lines.push(output.paint(Tone::Faint, &format!("   and {hidden} more")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Format;
    use crate::output::captured;
    use crate::tree::tests::{application, service};
    use api::status::ServiceStateView;

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
}
