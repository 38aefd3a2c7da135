//! The state and the drawing of the live view, apart from terminal and sampling.

mod draw;

pub(crate) use draw::draw;

use plimsoll_core::classify::Cause;
use plimsoll_core::clock::Decision;
use plimsoll_core::fact::Fact;
use plimsoll_core::judge::Judgement;
use plimsoll_core::recording::Recording;
use ratatui::crossterm::event::{KeyCode, KeyModifiers};

use crate::render::overview::Cells;

/// What a key asks of the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// Nothing beyond drawing.
    Nothing,
    /// Look closer at this process.
    Open(i32),
    /// Stop the closer look.
    Close,
    /// Leave.
    Quit,
}

/// Order of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Sort {
    /// The next to die first.
    #[default]
    Clock,
    /// The largest first.
    Resident,
    /// The fastest growing first.
    Slope,
    /// By name.
    Name,
}

impl Sort {
    fn next(self) -> Sort {
        match self {
            Sort::Clock => Sort::Resident,
            Sort::Resident => Sort::Slope,
            Sort::Slope => Sort::Name,
            Sort::Name => Sort::Clock,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Sort::Clock => "clock",
            Sort::Resident => "size",
            Sort::Slope => "slope",
            Sort::Name => "name",
        }
    }
}

/// One process as shown.
struct Row {
    pid: i32,
    cells: Cells,
    decision: Decision,
    leaks: bool,
    /// Place by clock: 0 is the next to die.
    place: usize,
    resident: f64,
    slope: f64,
}

/// Everything on the screen.
#[derive(Default)]
pub(crate) struct View {
    rows: Vec<Row>,
    seen: usize,
    selected: usize,
    sort: Sort,
    filter: String,
    typing: bool,
    detail: Option<(i32, String)>,
    scroll: u16,
}

impl View {
    /// Takes in a judgement of the machine, ranked by clock.
    pub(crate) fn set_rows(&mut self, judged: &[(Recording, Judgement)], seen: usize) {
        let kept = self.shown().get(self.selected).map(|r| r.pid);
        self.seen = seen;
        self.rows = judged.iter().enumerate().map(|(place, (r, j))| row(place, r, j)).collect();
        self.order();
        let at = kept.and_then(|pid| self.shown().iter().position(|r| r.pid == pid));
        self.selected = at.unwrap_or(self.selected).min(self.shown().len().saturating_sub(1));
    }

    /// Takes in a new screen of the closer look.
    pub(crate) fn set_detail(&mut self, text: String) {
        if let Some((_, old)) = &mut self.detail {
            *old = text;
        }
    }

    fn order(&mut self) {
        match self.sort {
            Sort::Clock => self.rows.sort_by_key(|r| r.place),
            Sort::Resident => self.rows.sort_by(|a, b| b.resident.total_cmp(&a.resident)),
            Sort::Slope => self.rows.sort_by(|a, b| b.slope.total_cmp(&a.slope)),
            Sort::Name => self.rows.sort_by(|a, b| a.cells.name.cmp(&b.cells.name)),
        }
    }

    fn shown(&self) -> Vec<&Row> {
        let wanted = self.filter.to_lowercase();
        let matches = |r: &&Row| {
            r.cells.name.to_lowercase().contains(&wanted) || r.pid.to_string().starts_with(&wanted)
        };
        self.rows.iter().filter(matches).collect()
    }

    /// Reacts to a key.
    pub(crate) fn key(&mut self, code: KeyCode, modifiers: KeyModifiers) -> Act {
        if self.typing {
            return self.type_filter(code);
        }
        let last = self.shown().len().saturating_sub(1);
        match code {
            KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => return Act::Quit,
            KeyCode::Char('q') if self.detail.is_none() => return Act::Quit,
            KeyCode::Esc | KeyCode::Char('q') => {
                self.detail = None;
                self.filter.clear();
                return Act::Close;
            }
            KeyCode::Down | KeyCode::Char('j') if self.detail.is_some() => {
                self.scroll = self.scroll.saturating_add(1);
            }
            KeyCode::Up | KeyCode::Char('k') if self.detail.is_some() => {
                self.scroll = self.scroll.saturating_sub(1);
            }
            KeyCode::Down | KeyCode::Char('j') => self.selected = (self.selected + 1).min(last),
            KeyCode::Up | KeyCode::Char('k') => self.selected = self.selected.saturating_sub(1),
            KeyCode::Char('s') => {
                self.sort = self.sort.next();
                self.order();
            }
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Enter => return self.open(),
            _ => {}
        }
        Act::Nothing
    }

    fn open(&mut self) -> Act {
        let Some(pid) = self.shown().get(self.selected).map(|r| r.pid) else { return Act::Nothing };
        self.detail = Some((pid, "watching …".to_owned()));
        self.scroll = 0;
        Act::Open(pid)
    }

    fn type_filter(&mut self, code: KeyCode) -> Act {
        match code {
            KeyCode::Char(c) => self.filter.push(c),
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Esc => {
                self.filter.clear();
                self.typing = false;
            }
            KeyCode::Enter => self.typing = false,
            _ => {}
        }
        self.selected = 0;
        Act::Nothing
    }
}

fn row(place: usize, r: &Recording, j: &Judgement) -> Row {
    let slope = j.signals.total.as_ref().map_or(0.0, |t| t.slope.mid);
    Row {
        pid: r.target.pid,
        cells: Cells::of(r, j),
        decision: j.clock.decision,
        leaks: !matches!(j.verdict.cause, Cause::None | Cause::Undecided),
        place,
        resident: r.last(Fact::Rss).unwrap_or(0.0),
        slope,
    }
}

#[cfg(test)]
mod tests;
