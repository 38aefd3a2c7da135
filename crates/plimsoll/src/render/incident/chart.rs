//! The memory of an incident as a picture: what is in use, its floor, the limit, and what happened when.

use std::fmt::Write as _;

use plimsoll_core::agent::What;
use plimsoll_core::fact::Fact;
use plimsoll_core::series::{Point, Series};
use plimsoll_core::units;

use super::{Seen, when};
use crate::render::ci::escape;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 90.0;
const TOP: f64 = 16.0;
/// Columns of the picture: the lowest and the last of each are drawn.
const COLUMNS: usize = 430;

struct Frame {
    from: f64,
    to: f64,
    high: f64,
}

impl Frame {
    fn x(&self, t: f64) -> f64 {
        LEFT + WIDTH * ((t - self.from) / (self.to - self.from)).clamp(0.0, 1.0)
    }

    fn y(&self, v: f64) -> f64 {
        TOP + HEIGHT * (1.0 - v / self.high)
    }
}

/// None where the store has no series of it.
pub(super) fn memory(seen: &Seen<'_>) -> Option<String> {
    let recording = seen.recording.as_ref()?;
    let first = |facts: &[Fact]| {
        facts.iter().map(|f| recording.series(*f)).find(|s| s.points().len() > 1).map(Series::points)
    };
    let usage = first(&[Fact::CgroupUnreclaimable, Fact::CgroupAnon, Fact::RecordedUsage, Fact::Rss])?;
    let live = first(&[Fact::JvmLive, Fact::GoLive, Fact::V8Live, Fact::RecordedLive]);
    let limit = first(&[Fact::CgroupLimit, Fact::RecordedLimit]).and_then(|p| p.last()).map(|p| p.v);
    let (from, to) = (usage.first()?.t, usage.last()?.t);
    let highest = usage.iter().map(|p| p.v).fold(limit.unwrap_or(0.0), f64::max);
    if to <= from || highest <= 0.0 {
        return None;
    }
    let f = Frame { from, to, high: highest * 1.08 };
    let (w, h) = (LEFT + WIDTH + 20.0, TOP + HEIGHT + 46.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" font-family=\"sans-serif\" font-size=\"12\" role=\"img\" aria-label=\"memory over time\">\n<rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\" stroke=\"#bbb\"/>\n"
    );
    marks(&mut out, &f, seen);
    line(&mut out, &f, &columns(usage, &f, f64::max), "#9db4c8", "");
    line(&mut out, &f, &columns(usage, &f, f64::min), "#1f4e79", "");
    if let Some(live) = live {
        line(&mut out, &f, &columns(live, &f, f64::min), "#27804a", "");
    }
    if let Some(limit) = limit {
        let ends = [Point { t: from, v: limit }, Point { t: to, v: limit }];
        line(&mut out, &f, &ends, "#c0392b", " stroke-dasharray=\"6 4\"");
    }
    if let Some(ends) = fitted(seen, &f) {
        line(&mut out, &f, &ends, "#111", " stroke-dasharray=\"2 3\"");
    }
    axes(&mut out, &f, limit);
    out.push_str("</svg>\n");
    Some(out)
}

/// The slope that the judgement found, from its onset on.
fn fitted(seen: &Seen<'_>, f: &Frame) -> Option<[Point; 2]> {
    const WITHOUT_ONSET: f64 = 3.0 * 3600.0;
    let now = seen.recording.as_ref()?.until(seen.incident.to).now()?;
    let posterior = seen.judgement.as_ref()?.clock.binding()?.posterior.as_ref().ok()?;
    let onset = posterior.onset.map_or(now - WITHOUT_ONSET, |o| o.mid);
    let level = |t: f64| posterior.floor - posterior.slope.mid * (now - t);
    // It begins where it would have been nothing, at the earliest.
    let empty = if posterior.slope.mid > 0.0 { now - posterior.floor / posterior.slope.mid } else { f.from };
    let begin = onset.max(f.from).max(empty).min(now);
    Some([Point { t: begin, v: level(begin) }, Point { t: now, v: level(now) }])
}

/// One point for each column that has samples.
fn columns(points: &[Point], f: &Frame, of: fn(f64, f64) -> f64) -> Vec<Point> {
    let width = (f.to - f.from) / COLUMNS as f64;
    let column = |p: &Point| ((p.t - f.from) / width) as usize;
    let one = |part: &[Point]| {
        let v = part.iter().map(|p| p.v).reduce(of)?;
        Some(Point { t: part.first()?.t, v })
    };
    points.chunk_by(|a, b| column(a) == column(b)).filter_map(one).collect()
}

fn line(out: &mut String, f: &Frame, points: &[Point], colour: &str, more: &str) {
    let path: Vec<String> = points.iter().map(|p| format!("{:.1},{:.1}", f.x(p.t), f.y(p.v))).collect();
    // Writing to a string cannot fail.
    let _always = writeln!(
        out,
        "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"{more} points=\"{}\"/>",
        path.join(" ")
    );
}

/// Kills, captures, acts and notes; what it is stands in the picture's own hint.
fn marks(out: &mut String, f: &Frame, seen: &Seen<'_>) {
    for m in &seen.marks {
        let x = f.x(m.unix_seconds);
        let _always = writeln!(
            out,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{:.1}\" stroke=\"#0e7c86\" stroke-dasharray=\"3 3\"><title>{}</title></line>",
            TOP + HEIGHT,
            escape(&format!("{}: {}", super::mark_words(m), when(m.unix_seconds)))
        );
    }
    for e in &seen.incident.events {
        let colour = match e.what {
            What::Killed => "#c0392b",
            What::Stored => "#27804a",
            What::Braked | What::Restored | What::Mitigated => "#b9770e",
            What::Noted | What::Found | What::Alerted => "#7d3c98",
            _ => continue,
        };
        let x = f.x(e.time);
        let _always = writeln!(
            out,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{:.1}\" stroke=\"{colour}\" stroke-width=\"1\"><title>{}</title></line>",
            TOP + HEIGHT,
            escape(&format!("{}: {}", super::what(e), when(e.time)))
        );
    }
}

fn axes(out: &mut String, f: &Frame, limit: Option<f64>) {
    let mut level = |value: f64, text: &str| {
        let _always = writeln!(
            out,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\" fill=\"#555\">{text}</text>",
            LEFT - 6.0,
            f.y(value) + 4.0
        );
    };
    level(0.0, "0");
    level(f.high / 2.0, &units::bytes(f.high / 2.0));
    if let Some(limit) = limit {
        level(limit, &units::bytes(limit));
    }
    for (x, anchor, t) in [(LEFT, "start", f.from), (LEFT + WIDTH, "end", f.to)] {
        let _always = writeln!(
            out,
            "<text x=\"{x}\" y=\"{:.0}\" text-anchor=\"{anchor}\" fill=\"#555\">{}</text>",
            TOP + HEIGHT + 18.0,
            when(t)
        );
    }
    let legend = [
        ("#9db4c8", "in use, highest"),
        ("#1f4e79", "floor"),
        ("#27804a", "heap after collection, captures"),
        ("#c0392b", "limit, kills"),
        ("#b9770e", "brakes, mitigations"),
        ("#7d3c98", "notes, findings"),
        ("#0e7c86", "marks"),
        ("#111", "slope"),
    ];
    let mut x = LEFT;
    for (colour, text) in legend {
        let _always = writeln!(
            out,
            "<rect x=\"{x:.0}\" y=\"{:.0}\" width=\"9\" height=\"9\" fill=\"{colour}\"/><text x=\"{:.0}\" y=\"{:.0}\" font-size=\"11\" fill=\"#333\">{text}</text>",
            TOP + HEIGHT + 30.0,
            x + 13.0,
            TOP + HEIGHT + 39.0
        );
        x += 24.0 + 6.2 * text.len() as f64;
    }
}
