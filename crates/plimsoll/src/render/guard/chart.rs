//! The rounds as a picture, and as lines of text: levels, the fitted line, and what would have been borne.

use plimsoll_core::guard::Judged;
use plimsoll_core::guard::growth::{Growth, Verdict};

use super::words::{borne, slope, title};
use super::{Phase, Tested};
use crate::render::picture::{Anchor, Colour, Picture};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 150.0;
/// Room for the levels at the left and for the heading above.
const LEFT: f64 = 96.0;
const TOP: f64 = 34.0;
/// Size of the text.
const TEXT: f64 = 12.0;

const BLACK: Colour = [0x22, 0x22, 0x22];
const GREY: Colour = [0x88, 0x88, 0x88];
const PALE: Colour = [0xbb, 0xbb, 0xbb];
const SHADE: Colour = [0xee, 0xee, 0xee];
const DOT: Colour = [0x33, 0x44, 0x55];

/// A panel for every metric that was judged.
pub(crate) fn picture(tested: &Tested) -> Picture {
    let panels: Vec<(&Phase, Judged)> =
        tested.phases.iter().flat_map(|p| p.course.judged().into_iter().map(move |j| (p, j))).collect();
    let panels: Vec<_> = panels.iter().filter_map(|(p, j)| Some((p, j, j.growth.as_ref().ok()?))).collect();
    let mut out = Picture::new(WIDTH + LEFT + 20.0, 40.0 + panels.len() as f64 * (HEIGHT + TOP + 12.0));
    out.bold((10.0, 24.0), &format!("{}: {}", tested.outcome().name(), title(tested)), 14.0, BLACK);
    for (number, (_, j, g)) in panels.iter().enumerate() {
        let top = 40.0 + number as f64 * (HEIGHT + TOP + 12.0);
        panel(&mut out, top, j, g);
    }
    out
}

/// Where levels and work stand on the page.
struct Frame {
    top: f64,
    work: f64,
    low: f64,
    high: f64,
}

impl Frame {
    fn of(top: f64, j: &Judged) -> Frame {
        let values = j.levels.iter().map(|l| l.value);
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        // What moves by less than the tolerance is drawn flat.
        let work = j.levels.last().map_or(1.0, |l| l.work);
        let room = (high - low).max(j.tolerance * work).max(1.0) * 0.08;
        let high = high.max(low + j.tolerance * work);
        Frame { top, work, low: low - room, high: high + room }
    }

    /// From the bottom up, 0 to 1.
    fn share(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    fn at(&self, work: f64, value: f64) -> (f64, f64) {
        (LEFT + WIDTH * work / self.work, self.top + TOP + HEIGHT * (1.0 - self.share(value)))
    }
}

fn colour(verdict: Verdict) -> Colour {
    match verdict {
        Verdict::Growing => [0xc0, 0x39, 0x2b],
        Verdict::Flat => [0x27, 0x80, 0x4a],
        Verdict::Saturating | Verdict::Undecided => [0xb9, 0x77, 0x0e],
    }
}

fn panel(out: &mut Picture, top: f64, j: &Judged, g: &Growth) {
    let f = Frame::of(top, j);
    out.bold(
        (10.0, top + 22.0),
        &format!("{}: {}", j.metric.what(), g.verdict.name()),
        TEXT,
        colour(g.verdict),
    );
    let words = format!("{}, borne {}", slope(j, g), borne(j));
    out.text((LEFT + WIDTH, top + 22.0), &words, TEXT, BLACK, Anchor::End);
    for (value, y) in [(f.high, top + TOP + 10.0), (f.low, top + TOP + HEIGHT)] {
        out.text((LEFT - 6.0, y), &j.metric.level(value), TEXT, GREY, Anchor::End);
    }
    lines(out, &f, j, g);
    out.frame((LEFT, top + TOP), (WIDTH, HEIGHT), PALE);
}

/// Warm-up as a shade, the levels as dots, the fitted line, and beside it what would be borne.
fn lines(out: &mut Picture, f: &Frame, j: &Judged, g: &Growth) {
    let settled = &j.levels[g.warm_up.min(j.levels.len())..];
    let (Some(first), Some(last)) = (settled.first(), settled.last()) else { return };
    let begin = f.at(first.work, g.levels.0);
    out.area((LEFT, f.top + TOP), (begin.0 - LEFT, HEIGHT), SHADE);
    j.levels.iter().for_each(|l| out.dot(f.at(l.work, l.value), 2.5, DOT));
    let bound = g.levels.0 + j.tolerance * (last.work - first.work);
    out.line(begin, f.at(last.work, bound), GREY, true);
    out.line(begin, f.at(last.work, g.levels.1), colour(g.verdict), false);
}

/// Columns and rows of a chart of text.
const COLUMNS: usize = 64;
const ROWS: usize = 7;

/// The same in lines of text: a dot for each round, `─` the fitted line, `·` what would be borne.
pub(super) fn text(j: &Judged, g: &Growth) -> Vec<String> {
    let f = Frame::of(0.0, j);
    let mut cells = vec![[' '; COLUMNS]; ROWS];
    let mut put = |work: f64, value: f64, c: char| {
        let column = (work / f.work * COLUMNS as f64).ceil().max(1.0) as usize - 1;
        let row = ((1.0 - f.share(value)) * ROWS as f64).max(0.0) as usize;
        if let Some(cell) = cells.get_mut(row.min(ROWS - 1)).and_then(|r| r.get_mut(column.min(COLUMNS - 1)))
        {
            *cell = c;
        }
    };
    let settled = &j.levels[g.warm_up.min(j.levels.len())..];
    if let (Some(first), Some(last)) = (settled.first(), settled.last()) {
        let span = last.work - first.work;
        for (slope, c) in [(j.tolerance, '·'), ((g.levels.1 - g.levels.0) / span, '─')] {
            for k in 0..=COLUMNS * 2 {
                let done = span * k as f64 / (COLUMNS * 2) as f64;
                put(first.work + done, g.levels.0 + slope * done, c);
            }
        }
    }
    j.levels.iter().for_each(|l| put(l.work, l.value, '●'));
    let label = |row: usize| match row {
        0 => j.metric.level(f.high),
        r if r == ROWS - 1 => j.metric.level(f.low),
        _ => String::new(),
    };
    let line = |(row, cells): (usize, &[char; COLUMNS])| {
        format!("{:>10} │{}", label(row), cells.iter().collect::<String>())
    };
    cells.iter().enumerate().map(line).collect()
}
