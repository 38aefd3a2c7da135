//! The rounds as a picture: levels, the fitted line, and what would have been borne.

use std::fmt::Write as _;

use plimsoll_core::guard::Judged;
use plimsoll_core::guard::growth::{Growth, Verdict};

use super::words::{borne, slope, title};
use super::{Phase, Tested};
use crate::render::ci::escape;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 150.0;
/// Room for the levels at the left and for the heading above.
const LEFT: f64 = 96.0;
const TOP: f64 = 34.0;

/// One page of SVG: a panel for every metric that was judged.
pub(crate) fn svg(tested: &Tested) -> String {
    let panels: Vec<(&Phase, Judged)> =
        tested.phases.iter().flat_map(|p| p.course.judged().into_iter().map(move |j| (p, j))).collect();
    let panels: Vec<_> = panels.iter().filter_map(|(p, j)| Some((p, j, j.growth.as_ref().ok()?))).collect();
    let height = 40.0 + panels.len() as f64 * (HEIGHT + TOP + 12.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{height}\" viewBox=\"0 0 {w} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<text x=\"10\" y=\"24\" font-size=\"15\" font-weight=\"bold\">{}: {}</text>\n",
        tested.outcome().name(),
        escape(&title(tested)),
        w = WIDTH + LEFT + 20.0,
    );
    for (number, (_, j, g)) in panels.iter().enumerate() {
        let top = 40.0 + number as f64 * (HEIGHT + TOP + 12.0);
        panel(&mut out, top, j, g);
    }
    out.push_str("</svg>\n");
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
    fn x(&self, work: f64) -> f64 {
        LEFT + WIDTH * work / self.work
    }

    fn y(&self, value: f64) -> f64 {
        self.top + TOP + HEIGHT * (self.high - value) / (self.high - self.low)
    }
}

fn panel(out: &mut String, top: f64, j: &Judged, g: &Growth) {
    let values = j.levels.iter().map(|l| l.value);
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    // What moves by less than the tolerance is drawn flat.
    let work = j.levels.last().map_or(1.0, |l| l.work);
    let room = (high - low).max(j.tolerance * work).max(1.0) * 0.08;
    let high = high.max(low + j.tolerance * work);
    let f = Frame { top, work, low: low - room, high: high + room };
    let colour = match g.verdict {
        Verdict::Growing => "#c0392b",
        Verdict::Flat => "#27804a",
        Verdict::Saturating | Verdict::Undecided => "#b9770e",
    };
    // Writing to a string cannot fail.
    let _always = writeln!(
        out,
        "<text x=\"10\" y=\"{:.0}\"><tspan font-weight=\"bold\">{}</tspan> <tspan fill=\"{colour}\">{}</tspan> {}, borne {}</text>",
        top + 22.0,
        j.metric.what(),
        g.verdict.name(),
        escape(&slope(j, g)),
        escape(&borne(j)),
    );
    let _always = writeln!(
        out,
        "<rect x=\"{LEFT}\" y=\"{:.1}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"none\" stroke=\"#bbb\"/>",
        top + TOP
    );
    for (value, y) in [(f.high, top + TOP + 10.0), (f.low, top + TOP + HEIGHT)] {
        let _always = writeln!(
            out,
            "<text x=\"{:.0}\" y=\"{y:.0}\" text-anchor=\"end\" fill=\"#555\">{}</text>",
            LEFT - 6.0,
            j.metric.level(value)
        );
    }
    lines(out, &f, j, g, colour);
}

/// Warm-up as a shade, the levels as dots, the fitted line, and beside it what would be borne.
fn lines(out: &mut String, f: &Frame, j: &Judged, g: &Growth, colour: &str) {
    let settled = &j.levels[g.warm_up.min(j.levels.len())..];
    let (Some(first), Some(last)) = (settled.first(), settled.last()) else { return };
    let _always = writeln!(
        out,
        "<rect x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{HEIGHT}\" fill=\"#eee\"/>",
        f.top + TOP,
        f.x(first.work) - LEFT
    );
    for level in &j.levels {
        let _always = writeln!(
            out,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.5\" fill=\"#345\"/>",
            f.x(level.work),
            f.y(level.value)
        );
    }
    let bound = g.levels.0 + j.tolerance * (last.work - first.work);
    for (end, stroke, dash) in [(g.levels.1, colour, ""), (bound, "#888", " stroke-dasharray=\"4 4\"")] {
        let _always = writeln!(
            out,
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{stroke}\" stroke-width=\"1.5\"{dash}/>",
            f.x(first.work),
            f.y(g.levels.0),
            f.x(last.work),
            f.y(end)
        );
    }
}
