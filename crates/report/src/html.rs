//! Text in HTML and XML: everything that comes from outside goes through here.
//!
//! What is written is both HTML and well-formed XML (every element closed, every attribute quoted), so that a strict parser
//! can hold it to that.

/// Text as it may stand between tags and in quoted attributes. What XML has no way to write becomes a replacement character.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\t' | '\n' | '\r' => safe.push(character),
            '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            control if control.is_control() => safe.push('\u{fffd}'),
            other => safe.push(other),
        }
    }
    safe
}

/// At most so many characters, the last of them an ellipsis if there were more.
pub(crate) fn cut(text: &str, characters: usize) -> String {
    if text.chars().count() <= characters {
        return text.to_owned();
    }
    let kept: String = text.chars().take(characters.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// A name, cut to what a place has room for, whole in its title.
pub(crate) fn name(text: &str) -> String {
    let (short, whole) = (escaped(&cut(text, NAME_CHARACTERS_MAX)), escaped(text));
    format!("<span class=\"name\" title=\"{whole}\">{short}</span>")
}

/// Characters of a name in a table, at most.
const NAME_CHARACTERS_MAX: usize = 44;

/// A cell of a table. What is in it is HTML already.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell {
    /// What is shown.
    pub(crate) html: String,
    /// What rows are sorted by, where it is a number.
    pub(crate) order: Option<f64>,
}

impl Cell {
    /// Text from outside.
    pub(crate) fn text(text: &str) -> Self {
        Self { html: escaped(text), order: None }
    }

    /// Something that is HTML already.
    pub(crate) const fn html(html: String) -> Self {
        Self { html, order: None }
    }

    /// A number, as it is shown.
    pub(crate) const fn number(html: String, order: f64) -> Self {
        Self { html, order: Some(order) }
    }
}

/// A table, which can be sorted by any column if the reader's program runs scripts.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// What it is, for those who do not see it.
    pub(crate) caption: String,
    /// What its columns are.
    pub(crate) head: Vec<String>,
    /// Its rows.
    pub(crate) rows: Vec<Vec<Cell>>,
    /// A row below the others, which stays there: an axis, say. None if empty.
    pub(crate) foot: Vec<Cell>,
}

impl Table {
    /// No rows yet.
    pub(crate) fn new(caption: &str, head: &[&str]) -> Self {
        Self {
            caption: caption.to_owned(),
            head: head.iter().map(|it| (*it).to_owned()).collect(),
            rows: Vec::new(),
            foot: Vec::new(),
        }
    }

    /// As HTML, scrolling sideways where there is no room.
    pub(crate) fn html(&self) -> String {
        let mut html = String::from("<div class=\"scroll\" tabindex=\"0\"><table>");
        add!(html, "<caption>{}</caption><thead><tr>", escaped(&self.caption));
        for (place, head) in self.head.iter().enumerate() {
            let is_number =
                self.rows.first().and_then(|it| it.get(place)).is_some_and(|it| it.order.is_some());
            let class = if is_number { " class=\"n\"" } else { "" };
            add!(html, "<th scope=\"col\"{class}>{}</th>", escaped(head));
        }
        html.push_str("</tr></thead><tbody>");
        for row in &self.rows {
            html.push_str("<tr>");
            cells(&mut html, row);
            html.push_str("</tr>");
        }
        html.push_str("</tbody>");
        if !self.foot.is_empty() {
            html.push_str("<tfoot><tr>");
            cells(&mut html, &self.foot);
            html.push_str("</tr></tfoot>");
        }
        html.push_str("</table></div>\n");
        html
    }

    /// As HTML that is folded up: what a drawing shows, for those who do not see it, or want its figures.
    pub(crate) fn folded(&self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        format!(
            "<details class=\"figures\"><summary>The figures</summary>{}</details>",
            self.html()
        )
    }
}

fn cells(html: &mut String, row: &[Cell]) {
    for cell in row {
        if let Some(order) = cell.order {
            let order = if order.is_finite() { order } else { -1.0 };
            add!(html, "<td class=\"n\" data-order=\"{order}\">{}</td>", cell.html);
        } else {
            add!(html, "<td>{}</td>", cell.html);
        }
    }
}
