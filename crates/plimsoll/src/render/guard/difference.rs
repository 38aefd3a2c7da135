//! Two programs beside each other, as screen and as JSON.

use plimsoll_core::guard::difference::{Change, Difference, differences};
use plimsoll_core::recording::API_VERSION;
use serde_json::{Value, json};

use super::Tested;
use super::words::title;
use crate::render::paint::Paint;

/// Both runs with what each was.
pub(crate) struct Both {
    pub(crate) a: (String, Tested),
    pub(crate) b: (String, Tested),
}

impl Both {
    /// Why nothing can be compared: a run proves nothing.
    fn withdrawn(&self) -> Vec<String> {
        let of = |name: &str, tested: &Tested| {
            let phases = tested.phases.iter().flat_map(|p| p.course.withdrawn());
            phases.map(|w| format!("{name} was withdrawn: {w}")).collect::<Vec<_>>()
        };
        [of("A", &self.a.1), of("B", &self.b.1)].concat()
    }

    pub(crate) fn differences(&self) -> Vec<Difference> {
        if !self.withdrawn().is_empty() {
            return Vec::new();
        }
        let judged = |t: &Tested| t.phases.last().map(|p| p.course.judged()).unwrap_or_default();
        differences(&judged(&self.a.1), &judged(&self.b.1))
    }
}

pub(crate) fn screen(both: &Both, paint: Paint) -> String {
    let mut out = String::new();
    for (name, (command, tested)) in [("A", &both.a), ("B", &both.b)] {
        out.push_str(&format!("{name}  {command}\n   {}\n", paint.dim(&title(tested))));
    }
    out.push('\n');
    for why in both.withdrawn() {
        out.push_str(&format!("{}\n", paint.red(&why)));
    }
    let all = both.differences();
    for d in &all {
        let say = |v: f64| d.metric.per_iteration(v);
        let (a, b) = d.growth;
        let what = match d.change {
            Change::Less => paint.green("B grows less"),
            Change::More => paint.red("B grows more"),
            Change::Same => "no difference that matters".to_owned(),
            Change::Unclear => paint.yellow("cannot be told"),
        };
        out.push_str(&format!(
            "{:12} {what}: {} per iteration ({} to {}); A {}, B {}\n",
            d.metric.name(),
            say(d.slope),
            say(d.low),
            say(d.high),
            say(a.trend.slope),
            say(b.trend.slope)
        ));
        let (from, to) = (a.levels.1, b.levels.1);
        out.push_str(&paint.dim(&format!(
            "{:12} level at the end: A {}, B {}\n",
            "",
            d.metric.level(from),
            d.metric.level(to)
        )));
    }
    out.push_str(&format!("NEXT         {}\n", next(&all)));
    out
}

fn next(all: &[Difference]) -> &'static str {
    let has = |change| all.iter().any(|d| d.change == change);
    if all.is_empty() {
        "see why a run proves nothing, and run both again"
    } else if has(Change::More) {
        "B makes something worse: see which metric, and whether it is worth it"
    } else if has(Change::Less) {
        "take B, and keep the growth test as its guard: plimsoll guard run"
    } else if has(Change::Unclear) {
        "more rounds (--rounds 128) or longer ones (--round) would tell"
    } else {
        "neither grows by more than the other: B changes nothing here"
    }
}

pub(crate) fn json(both: &Both) -> Value {
    let run = |(command, tested): &(String, Tested)| {
        let mut document = super::json(tested);
        document["command"] = json!(command);
        document
    };
    let finite = |v: f64| v.is_finite().then_some(v);
    let one = |d: &Difference| {
        json!({
            "name": d.metric.name(), "change": d.change.name(), "tolerance": d.tolerance,
            "slopePerIteration": { "value": finite(d.slope), "low": finite(d.low), "high": finite(d.high) },
        })
    };
    json!({
        "apiVersion": API_VERSION, "kind": "GuardComparison", "withdrawn": both.withdrawn(),
        "differences": both.differences().iter().map(one).collect::<Vec<_>>(), "a": run(&both.a), "b": run(&both.b),
    })
}
