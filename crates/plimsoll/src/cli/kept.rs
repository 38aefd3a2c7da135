//! `plimsoll triage --from STORE`: everybody whom an agent has kept and who was alive at the end, ranked by clock.

use std::collections::BTreeSet;
use std::path::Path;

use plimsoll_core::judge::{Judgement, judge};
use plimsoll_core::recording::Recording;
use plimsoll_core::units;
use plimsoll_host::store::series;

use super::overview::rank;
use super::triage::FailOn;
use crate::error::CliError;
use crate::exit_code;
use crate::output::{self, Format, Progress};
use crate::render;
use crate::render::overview::Said;

/// Names that are read together: the store is read once for each such group, and no more is held.
const TOGETHER: usize = 16;
/// Who was not seen for so long before the newest sample has ended, seconds.
const ALIVE: f64 = 900.0;

/// How to look.
pub(super) struct Options {
    pub(super) past: f64,
    pub(super) rows: usize,
    pub(super) limit: Option<f64>,
    pub(super) fail_on: FailOn,
    pub(super) format: Format,
}

pub(super) fn run(store: &Path, options: &Options) -> Result<u8, CliError> {
    let unreadable = |e| {
        CliError::cannot_judge(format!("there are no series in {}", store.display()))
            .because(e)
            .hint("--from is a file, or the folder that plimsoll watch keeps")
    };
    let (lives, mut warnings, _) = series::lives(store, f64::NEG_INFINITY).map_err(unreadable)?;
    let newest = lives.iter().map(|l| l.to).fold(f64::NEG_INFINITY, f64::max);
    let alive = || lives.iter().filter(|l| l.to >= newest - ALIVE);
    let pids: BTreeSet<i32> = alive().map(|l| l.target.pid).collect();
    let names: Vec<&str> =
        alive().map(|l| l.target.name.as_str()).collect::<BTreeSet<_>>().into_iter().collect();
    if names.is_empty() {
        return Err(CliError::cannot_judge(format!("nothing is kept in {}", store.display()))
            .hint("plimsoll series tells who is kept"));
    }
    let progress = Progress::new();
    let (mut judged, mut seen, mut found): (Vec<(Recording, Judgement)>, usize, bool) =
        (Vec::new(), 0, false);
    for names in names.chunks(TOGETHER) {
        progress.show(&format!("judging {} of those kept", pids.len()));
        let wanted = |t: &plimsoll_core::target::Target| names.contains(&t.name.as_str());
        let (all, ..) = series::recordings(store, newest - options.past, &wanted).map_err(unreadable)?;
        for kept in all.into_iter().filter(|kept| pids.contains(&kept.target.pid)) {
            seen += 1;
            let judgement = judge(&kept.recording, options.limit);
            found |= options.fail_on.holds(&judgement);
            judged.push((kept.recording, judgement));
        }
        rank(&mut judged);
        judged.truncate(options.rows);
    }
    drop(progress);
    let is_whole = warnings.is_empty();
    let ended = lives.len() - alive().count();
    if ended > 0 {
        let lives = if ended == 1 { "life has" } else { "lives have" };
        warnings.push(format!(
            "{ended} {lives} ended before and are judged with those that followed, where any did"
        ));
    }
    show(store, &judged, seen, &warnings, options)?;
    Ok(match (found, is_whole) {
        (true, _) => exit_code::FINDINGS,
        (false, true) => exit_code::FINE,
        (false, false) => exit_code::PARTIAL,
    })
}

fn show(
    store: &Path,
    judged: &[(Recording, Judgement)],
    seen: usize,
    warnings: &[String],
    options: &Options,
) -> Result<(), CliError> {
    if options.format != Format::Table {
        let targets: Vec<_> = judged.iter().map(|(r, j)| render::json::target(r, j)).collect();
        return output::result(&render::json::text(
            &render::json::triage(&targets, warnings),
            options.format,
        ));
    }
    let paint = render::paint::Paint::new(output::colour());
    let past = units::duration(options.past);
    let said = Said {
        head: format!("{seen} processes kept in {}, of the last {past}", store.display()),
        command: format!("plimsoll triage --from {} --target pid:", store.display()),
    };
    let mut text = render::overview::screen(judged, &said, paint);
    for warning in warnings {
        text += &paint.dim(&format!("note: {}\n", output::plain(warning)));
    }
    output::result(&text)
}
