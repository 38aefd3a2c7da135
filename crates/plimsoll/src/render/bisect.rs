//! Which change it was, on one screen and as a document.

use plimsoll_core::bisect::{Evidence, Found, Head, Journal, Next, Place, Posterior, Unfound};
use plimsoll_core::fact::Unit;
use plimsoll_core::guard::Metric;
use plimsoll_core::recording::API_VERSION;
use plimsoll_core::slope::Interval;
use plimsoll_core::units;
use serde_json::{Value, json};

use super::json::number;
use super::overview::cut;
use super::paint::Paint;
use crate::cli::bisect::Answer;
use crate::output::plain;

/// Changes that are shown.
const SHOWN: usize = 8;
/// Share of what is believed that is shown when nothing was found.
const SHARE: f64 = 0.9;
/// Characters of a commit's name.
const SHORT: usize = 12;

/// A change, as short as it is known by.
pub(crate) fn short(head: &Head, at: usize) -> String {
    shortened(head, head.changes.get(at).map_or("", |c| &c.id))
}

/// A version.
pub(crate) fn place(head: &Head, place: Place) -> String {
    match place {
        Place::Good => format!("{} (good end)", shortened(head, &head.good)),
        Place::At(at) => short(head, at),
    }
}

fn shortened(head: &Head, id: &str) -> String {
    let most = if head.of == "commits" { SHORT } else { usize::MAX };
    plain(&id.chars().take(most).collect::<String>())
}

/// What a run told.
pub(crate) fn told(evidence: Evidence, metric: Option<&str>) -> String {
    match evidence {
        Evidence::Nothing => "tells nothing".to_owned(),
        Evidence::Verdict { bad: true } => "is bad".to_owned(),
        Evidence::Verdict { bad: false } => "is good".to_owned(),
        Evidence::Slope { value, error } => {
            let name = metric.unwrap_or("it");
            format!("{name} grows by {} (± {})", amount(metric, value), amount(metric, error))
        }
    }
}

/// So much per iteration.
fn amount(metric: Option<&str>, value: f64) -> String {
    let known = Metric::ALL.iter().find(|m| Some(m.name()) == metric);
    match known {
        Some(metric) if metric.unit() == Unit::Bytes => metric.per_iteration(value),
        _ => format!("{value:.4}"),
    }
}

/// The screen as text.
pub(crate) fn screen(answer: &Answer, paint: Paint) -> String {
    let posterior = answer.search.posterior();
    let mut out = paint.dim(&format!("{}\n", title(answer)));
    match &answer.end {
        Some(Next::Found(found)) => out += &culprit(found, answer, &posterior, paint),
        end => {
            out += &paint.yellow(&format!("NOT FOUND  {}\n", unfound(end.as_ref())));
            out += &likely(answer, &posterior);
        }
    }
    if let Some(levels) = posterior.levels {
        let metric = answer.journal.metric();
        let level = |i: Interval| {
            let amount = |v| amount(metric.as_deref(), v);
            format!("{} ({} to {})", amount(i.mid), amount(i.low), amount(i.high))
        };
        let [without, with] = levels.map(level);
        let name = metric.as_deref().unwrap_or("it");
        out += &format!("SLOPE      {name} per iteration: {without} without it, {with} with it (80 %)\n");
    }
    out += &against(answer, &posterior);
    out += &format!("HOW SURE   {}\n", how_sure(answer, &posterior));
    for note in &answer.notes {
        out += &paint.yellow(&format!("NOTE       {}\n", plain(note)));
    }
    out += &format!("NEXT       {}\n", next(answer));
    out + &paint.dim(&format!("LOG        plimsoll bisect replay {}\n", answer.log.display()))
}

fn title(answer: &Answer) -> String {
    let head = &answer.journal.head;
    let steps = &answer.journal.steps;
    let seconds: f64 = steps.iter().map(|s| s.seconds).sum();
    let nothing = answer.search.runs().iter().filter(|r| r.evidence == Evidence::Nothing).count();
    let mut seen: Vec<Place> = steps.iter().map(|s| s.place).collect();
    seen.sort_unstable();
    seen.dedup();
    let lost = if nothing > 0 { format!(", {nothing} of which told nothing") } else { String::new() };
    format!(
        "{} {} after {}: {} runs of {} of them{lost}, {}",
        head.changes.len(),
        head.of,
        shortened(head, &head.good),
        steps.len(),
        seen.len(),
        units::duration(seconds)
    )
}

fn culprit(found: &Found, answer: &Answer, posterior: &Posterior, paint: Paint) -> String {
    let head = &answer.journal.head;
    let line = |at: usize| {
        let title = head.changes.get(at).map_or("", |c| &c.title);
        format!("{} {:.3}  {}\n", short(head, at), posterior.changes[at], cut(&plain(title), 70))
    };
    if let [one] = found.changes.as_slice() {
        return paint.red(&format!("CULPRIT    {}", line(*one)));
    }
    let mut out = paint.red(&format!(
        "CULPRIT    one of {} {}, which nothing tells apart, as no version between them can be run\n",
        found.changes.len(),
        head.of
    ));
    out.extend(found.changes.iter().take(SHOWN).map(|at| format!("           {}", line(*at))));
    out
}

fn unfound(end: Option<&Next>) -> String {
    match end {
        Some(Next::Unfound(Unfound::NoDifference(p))) => {
            format!("the bad version does not differ from the good one under this command ({p:.2})")
        }
        Some(Next::Unfound(Unfound::End(Place::Good))) => {
            "the good version tells nothing, however often it is run".to_owned()
        }
        Some(Next::Unfound(Unfound::End(_))) => {
            "the bad version tells nothing, however often it is run".to_owned()
        }
        Some(Next::Unfound(Unfound::TooManyRuns)) => "it took more runs than are allowed".to_owned(),
        Some(Next::Unfound(Unfound::NothingToRun)) => "no version that can be run would tell more".to_owned(),
        Some(Next::Found(_) | Next::Run(_)) | None => "it was interrupted".to_owned(),
    }
}

/// What is believed so far.
fn likely(answer: &Answer, posterior: &Posterior) -> String {
    let head = &answer.journal.head;
    let likeliest = posterior.likeliest(SHARE);
    let mut out = format!("LIKELY     {} {} hold {SHARE:.2} of what is believed\n", likeliest.len(), head.of);
    for at in likeliest.iter().take(SHOWN) {
        let title = head.changes.get(*at).map_or("", |c| &c.title);
        out += &format!(
            "           {} {:.3}  {}\n",
            short(head, *at),
            posterior.changes[*at],
            cut(&plain(title), 70)
        );
    }
    out
}

/// The runs that say otherwise.
fn against(answer: &Answer, posterior: &Posterior) -> String {
    let Some(Next::Found(found)) = &answer.end else { return String::new() };
    let Some(first) = found.changes.first() else { return String::new() };
    let against = answer.search.against(*first, posterior);
    let head = &answer.journal.head;
    let mut out = String::new();
    for at in against.iter().take(SHOWN) {
        let run = answer.search.runs()[*at];
        let told = told(run.evidence, answer.journal.metric().as_deref());
        out += &format!("AGAINST    run {}: {} {told}\n", at + 1, place(head, run.place));
    }
    out
}

fn how_sure(answer: &Answer, posterior: &Posterior) -> String {
    let by = match answer.journal.metric() {
        Some(metric) => format!("by the slopes of {metric} with their errors"),
        None => "by verdicts that may be wrong".to_owned(),
    };
    match &answer.end {
        Some(Next::Found(found)) => format!(
            "{:.3}, {by}; that the versions do not differ at all: {:.3}; a second change of the same kind in this range would not show",
            found.sure, posterior.nothing
        ),
        _ => format!(
            "not: {by}, nothing is likely enough; that the versions do not differ at all: {:.3}",
            posterior.nothing
        ),
    }
}

fn next(answer: &Answer) -> String {
    let head = &answer.journal.head;
    let is_commits = head.of == "commits";
    match &answer.end {
        Some(Next::Found(found)) => match found.changes.as_slice() {
            [one] if is_commits => format!("git show {}", short(head, *one)),
            [one] => format!(
                "what went into {}: plimsoll bisect commits between its tag and the one before",
                short(head, *one)
            ),
            _ => "make one of them build, and run the same command with --fresh; or read them all".to_owned(),
        },
        Some(Next::Unfound(Unfound::NoDifference(_))) => {
            "a load that shows the growth of the bad version first: more rounds, other keys, other settings"
                .to_owned()
        }
        Some(Next::Unfound(Unfound::End(_))) => {
            let why = answer.journal.steps.last().map_or("", |s| &s.why);
            format!("make the command work there: {}", plain(why))
        }
        Some(Next::Unfound(Unfound::TooManyRuns)) => {
            "a measurement with less noise (more rounds); or allow more by --most-runs, the log is kept"
                .to_owned()
        }
        Some(Next::Unfound(Unfound::NothingToRun)) => "read those that are likely".to_owned(),
        Some(Next::Run(_)) | None => "the same command goes on where it was".to_owned(),
    }
}

/// The document (`docs/json.md`).
pub(crate) fn document(answer: &Answer) -> Value {
    let posterior = answer.search.posterior();
    let head = &answer.journal.head;
    let found = match &answer.end {
        Some(Next::Found(found)) => Some(found),
        _ => None,
    };
    let shown = found.map_or_else(|| posterior.likeliest(SHARE), |f| f.changes.clone());
    let change = |at: &usize| {
        let title = head.changes.get(*at).map_or("", |c| &c.title);
        json!({"id": head.changes.get(*at).map(|c| &c.id), "title": title, "p": number(posterior.changes[*at])})
    };
    let against =
        found.and_then(|f| Some(answer.search.against(*f.changes.first()?, &posterior))).unwrap_or_default();
    let runs = answer.journal.steps.iter().zip(answer.search.runs()).enumerate();
    json!({
        "apiVersion": API_VERSION, "kind": "Bisection", "of": head.of, "good": head.good, "count": head.changes.len(),
        "outcome": outcome(answer.end.as_ref()),
        "changes": shown.iter().map(change).collect::<Vec<_>>(),
        "sure": found.map(|f| f.sure),
        "pNoDifference": number(posterior.nothing),
        "metric": answer.journal.metric(),
        "levels": posterior.levels.map(|[without, with]| {
            json!({"without": super::json::interval(without), "with": super::json::interval(with)})
        }),
        "runs": runs.map(|(at, (step, run))| self::run(&answer.journal, step, run.evidence, against.contains(&at))).collect::<Vec<_>>(),
        "log": answer.log.display().to_string(), "notes": answer.notes, "next": next(answer),
    })
}

fn outcome(end: Option<&Next>) -> &'static str {
    match end {
        Some(Next::Found(_)) => "found",
        Some(Next::Unfound(Unfound::NoDifference(_))) => "no-difference",
        Some(Next::Unfound(Unfound::End(_))) => "end-tells-nothing",
        Some(Next::Unfound(Unfound::TooManyRuns)) => "too-many-runs",
        Some(Next::Unfound(Unfound::NothingToRun)) => "nothing-to-run",
        Some(Next::Run(_)) | None => "interrupted",
    }
}

fn run(
    journal: &Journal,
    step: &plimsoll_core::bisect::Step,
    evidence: Evidence,
    speaks_against: bool,
) -> Value {
    let mut out = json!({
        "version": crate::cli::bisect::id(journal, step.place), "unixSeconds": number(step.unix_seconds),
        "seconds": number(step.seconds), "bad": step.bad, "speaksAgainst": speaks_against,
    });
    match evidence {
        Evidence::Slope { value, error } => {
            out["slope"] = json!({"value": number(value), "error": number(error)});
        }
        Evidence::Nothing => out["nothing"] = json!(step.why),
        Evidence::Verdict { .. } => {}
    }
    out
}
