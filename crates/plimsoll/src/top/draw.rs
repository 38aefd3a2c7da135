//! Drawing the live view.

use plimsoll_core::clock::Decision;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Clear, Paragraph, Row as TableRow, Table, TableState};

use super::{Row, View};

/// Draws one frame.
pub(crate) fn draw(frame: &mut Frame<'_>, view: &mut View) {
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(3), Constraint::Length(1)])
            .areas(frame.area());
    frame.render_widget(Line::from(headline(view)).style(Style::new().bold()), head);
    table(frame, view, body);
    frame.render_widget(Line::from(keys(view)).style(Style::new().dim()), foot);
    detail(frame, view, body);
}

fn headline(view: &View) -> String {
    let climbing = view.rows.iter().filter(|r| r.leaks).count();
    format!("plimsoll  {} processes, {climbing} climbing, sorted by {}", view.seen, view.sort.name())
}

fn keys(view: &View) -> String {
    if view.typing {
        format!("filter: {}_", view.filter)
    } else if view.detail.is_some() {
        "↑↓ scroll  Esc back  Ctrl-C quit".to_owned()
    } else {
        let filter =
            if view.filter.is_empty() { String::new() } else { format!("  (filter: {})", view.filter) };
        format!("↑↓ select  Enter detail  s sort  / filter  q quit{filter}")
    }
}

fn table(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let rows: Vec<TableRow<'_>> = view.shown().into_iter().map(table_row).collect();
    let widths = [
        Constraint::Length(7),
        Constraint::Length(18),
        Constraint::Length(9),
        Constraint::Length(12),
        Constraint::Length(13),
        Constraint::Length(12),
        Constraint::Length(25),
        Constraint::Min(10),
    ];
    let head = TableRow::new(["PID", "NAME", "RSS", "", "SLOPE", "TIME LEFT", "UNTIL", "WHAT"]);
    let table = Table::new(rows, widths)
        .header(head.style(Style::new().add_modifier(Modifier::UNDERLINED)))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::default().with_selected(Some(view.selected));
    frame.render_stateful_widget(table, area, &mut state);
}

fn table_row(r: &Row) -> TableRow<'static> {
    let c = &r.cells;
    let style = match r.decision {
        Decision::AlreadyUnresponsive | Decision::DrainAndCapture => Style::new().fg(Color::Red).bold(),
        Decision::InvestigateLive => Style::new().fg(Color::Yellow),
        Decision::KeepWatching | Decision::NothingToDo => Style::new(),
    };
    TableRow::new([
        r.pid.to_string(),
        c.name.clone(),
        c.resident.clone(),
        c.spark.clone(),
        c.slope.clone(),
        c.time.clone(),
        c.until.clone(),
        c.what.clone(),
    ])
    .style(style)
}

/// The closer look covers the table: on a small terminal two panes would show neither.
fn detail(frame: &mut Frame<'_>, view: &mut View, area: Rect) {
    let Some((pid, text)) = &view.detail else { return };
    let lines = text.lines().count().min(usize::from(u16::MAX)) as u16;
    view.scroll = view.scroll.min(lines.saturating_sub(area.height.saturating_sub(2)));
    let pane = Paragraph::new(text.as_str())
        .scroll((view.scroll, 0))
        .block(Block::new().borders(Borders::TOP).title(format!(" pid {pid} ")));
    frame.render_widget(Clear, area);
    frame.render_widget(pane, area);
}
