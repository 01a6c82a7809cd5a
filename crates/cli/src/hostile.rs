//! What is printed of others does nothing to a terminal, whichever way it takes.

use api::ApiError;
use api::status::ServiceStateView;

use crate::arguments::Format;
use crate::canvas::Canvas;
use crate::error::CommandError;
use crate::output::{Look, Output, Tone, Writing, captured, one_line};
use crate::{table, tree};

/// Colours none of ours, a bell, a title, C1, a right-to-left override, a line over another, DEL.
const EVIL: &str =
    "\u{1b}[45mEVIL\u{7}\u{1b}]0;t\u{7}\u{9b}45m\u{202e}\r over\u{7f}\u{2028}\u{fdd3}";

/// Every way of writing there is.
type Way = (&'static str, fn(&mut Output));
const WAYS: &[Way] = &[
    ("line", |output| output.line(EVIL).unwrap()),
    ("painted line", |output| output.line(&output.paint(Tone::Bad, EVIL)).unwrap()),
    ("line as it is", |output| output.said(EVIL, Writing::AsItIs).unwrap()),
    ("block", |output| output.block(&format!("a\n{EVIL}\n")).unwrap()),
    ("document", |output| output.document(&format!("a\n{EVIL}\n")).unwrap()),
    ("note", |output| output.note(EVIL).unwrap()),
    ("notes", |output| output.notes(&format!("a\n{EVIL}")).unwrap()),
    ("error", |output| output.error(&CommandError::wrong(EVIL))),
    ("error of the API", |output| output.error(&ApiError::no_application(EVIL).into())),
    ("document of JSON", |output| output.json(&[EVIL]).unwrap()),
    ("line of JSON", |output| output.json_line(&[EVIL]).unwrap()),
    ("table", |output| {
        let row = [Tone::Plain, Tone::Source(3)].map(|tone| (EVIL.to_owned(), tone)).to_vec();
        table::write(output, &["A", "B"], &[row]).unwrap();
    }),
    ("tree on a canvas", |output| {
        let mut service = tree::tests::service(EVIL, ServiceStateView::Failed);
        EVIL.clone_into(&mut service.detail);
        EVIL.clone_into(&mut service.release);
        let mut application = tree::tests::application(vec![service]);
        EVIL.clone_into(&mut application.name);
        let lines = tree::lines(&application, output);
        Canvas::default().draw(&lines, output).unwrap();
    }),
];

#[test]
fn issue_12_nothing_of_others_acts_on_a_terminal() {
    for (name, write) in WAYS {
        for format in [Format::Text, Format::Json] {
            let (mut output, page) = captured::output(Look::Terminal, format);
            write(&mut output);
            let page = page.text();
            let found = ["\u{1b}[45m", "\u{7}", "\u{1b}]", "\u{9b}", "\u{202e}", "\r", "\u{7f}"];
            let found: Vec<_> = found.iter().filter(|it| page.contains(**it)).collect();
            assert!(found.is_empty() && page.contains("EVIL"), "{name}: {found:?} in {page:?}");
            assert!(!page.contains(['\u{2028}', '\u{fdd3}']), "{name}: {page:?}");
        }
    }
}

#[test]
fn a_file_gets_a_document_as_it_is_and_nothing_else() {
    for (name, write) in WAYS {
        let (mut output, page) = captured::output(Look::Plain, Format::Text);
        write(&mut output);
        let is_exact = ["document", "line as it is"].contains(name);
        // A canvas is drawn on terminals only.
        let is_drawn = name.contains("canvas");
        assert!(
            page.text().contains('\u{1b}') == is_exact || is_drawn,
            "{name}: {:?}",
            page.text()
        );
    }
}

#[test]
fn a_cell_is_as_wide_as_it_is_shown() {
    let (mut output, page) = captured::output(Look::Plain, Format::Text);
    let row = |text: &str| vec![table::plain(text), table::plain("x")];
    table::write(&mut output, &["A", "B"], &[row("a\u{1b}c"), row("b\n \tc")]).unwrap();
    assert_eq!(page.text(), "A         B\na\\u{1b}c  x\nb c       x\n");
    assert_eq!(one_line("a\r\n\u{2028} b\u{7}"), "a b\\u{7}");
}
