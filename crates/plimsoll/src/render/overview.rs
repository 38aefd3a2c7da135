//! The overview: one row per process, the next to die first.

use plimsoll_core::clock::Decision;
use plimsoll_core::fact::Fact;
use plimsoll_core::judge::Judgement;
use plimsoll_core::recording::Recording;
use plimsoll_core::signals::total_series;
use plimsoll_core::units;

use super::chart::sparkline;
use super::paint::Paint;
use crate::output::plain;

/// What was looked at, and the command that looks at one of it, up to its pid.
pub(crate) struct Said {
    pub(crate) head: String,
    pub(crate) command: String,
}

/// The screen as text.
pub(crate) fn screen(judged: &[(Recording, Judgement)], said: &Said, paint: Paint) -> String {
    let mut out = format!("{}\n", paint.dim(&plain(&said.head)));
    out += &paint.bold(&format!(
        "{:>7} {:<18} {:>9} {:<12} {:>13} {:>12} {:<25} {}\n",
        "PID", "NAME", "RSS", "", "SLOPE", "TIME LEFT", "UNTIL", "WHAT"
    ));
    for (r, j) in judged {
        out += &row(r, j, paint);
        out.push('\n');
    }
    let urgent = judged.iter().find(|(_, j)| j.finding());
    out += &match urgent {
        Some((r, _)) => {
            format!("\nNEXT  {}{}   the whole screen of the first\n", plain(&said.command), r.target.pid)
        }
        None => nothing(judged),
    };
    out
}

/// Nothing was found: because nothing climbs, or because the watch was too short to say so.
fn nothing(judged: &[(Recording, Judgement)]) -> String {
    let open = judged.iter().filter(|(_, j)| j.clock.bounds.iter().all(|b| b.posterior.is_err())).count();
    if open == 0 {
        "\nnothing here climbs towards a limit\n".to_owned()
    } else {
        format!("\n{open} of {} cannot be judged yet: watch longer (--for)\n", judged.len())
    }
}

fn row(r: &Recording, j: &Judgement, paint: Paint) -> String {
    let cells = Cells::of(r, j);
    let line = format!(
        "{:>7} {:<18} {:>9} {:<12} {:>13} {:>12} {:<25} {}",
        r.target.pid,
        cells.name,
        cells.resident,
        cells.spark,
        cells.slope,
        cells.time,
        cells.until,
        cells.what
    );
    match j.clock.decision {
        Decision::AlreadyUnresponsive | Decision::DrainAndCapture => paint.red(&line),
        Decision::InvestigateLive => paint.yellow(&line),
        Decision::KeepWatching | Decision::NothingToDo => line,
    }
}

/// The cells of one row, as text.
pub(crate) struct Cells {
    pub(crate) name: String,
    pub(crate) resident: String,
    pub(crate) spark: String,
    pub(crate) slope: String,
    pub(crate) time: String,
    pub(crate) until: String,
    pub(crate) what: String,
}

impl Cells {
    pub(crate) fn of(r: &Recording, j: &Judgement) -> Cells {
        let binding = j.clock.binding();
        let posterior = binding.and_then(|b| b.posterior.as_ref().ok());
        let time = match posterior.map(|p| p.time_to_limit) {
            None => "?".to_owned(),
            Some(t) if t.mid.is_infinite() => "–".to_owned(),
            Some(t) => units::duration(t.mid),
        };
        let what = match j.clock.decision {
            Decision::AlreadyUnresponsive => "unresponsive".to_owned(),
            _ => j.verdict.cause.name().to_owned(),
        };
        Cells {
            name: cut(&r.target.name, 18),
            resident: r.last(Fact::Rss).map_or_else(|| "?".to_owned(), units::bytes),
            spark: sparkline(total_series(r).points(), 12),
            slope: posterior.map_or_else(|| "?".to_owned(), |p| units::rate(p.slope.mid)),
            until: cut(binding.map_or("", |b| b.name.as_str()), 25),
            time,
            what,
        }
    }
}

/// At most `width` characters.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width - 1).chain(['…']).collect()
}
