//! Searches with a truth: histories with a culprit, and runs with the noise of real ones.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

const RULES: Rules = Rules { sure: 0.98, error: 0.1, most: 200 };

fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    (0..12).map(|_| uniform(rng)).sum::<f64>() - 6.0
}

fn line(n: usize) -> History {
    History::line(&(0..n).map(|i| format!("c{i}")).collect::<Vec<_>>()).expect("a history")
}

/// Branches that are merged now and then.
fn branchy(n: usize, seed: u64) -> History {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut changes, mut heads): (Vec<Change>, Vec<usize>) = (Vec::new(), Vec::new());
    for at in 0..n {
        let draw = uniform(&mut rng);
        let parents = match heads.len() {
            // The last one brings together what is still open.
            _ if at == n - 1 => std::mem::take(&mut heads),
            0 => vec![],
            k if k > 1 && draw < 0.3 => vec![heads.swap_remove(0), heads.swap_remove(0)],
            1 if draw > 0.6 => vec![heads[0]],
            k => vec![heads.swap_remove((draw * 1e6) as usize % k)],
        };
        changes.push(Change { id: format!("c{at}"), title: String::new(), parents, weight: 1.0 });
        heads.push(at);
    }
    History::new(changes).expect("a history")
}

/// Searches with runs that `measure` makes of a version that holds the culprit or not.
fn search(
    history: &History,
    culprit: usize,
    mut measure: impl FnMut(bool, Place) -> Evidence,
) -> (Search, Next) {
    let mut search = Search::new(history.clone(), RULES);
    loop {
        match search.next() {
            Next::Run(place) => {
                let is_bad = matches!(place, Place::At(at) if history.held(at)[culprit]);
                search.push(Run { place, evidence: measure(is_bad, place) });
            }
            end => return (search, end),
        }
    }
}

/// A number of 0 or `jump`, with an error of 1.
fn slope(rng: &mut ChaCha8Rng, is_bad: bool, jump: f64) -> Evidence {
    Evidence::Slope { value: normal(rng) + if is_bad { jump } else { 0.0 }, error: 1.0 }
}

/// Share of right answers and mean number of runs over many searches.
fn many(histories: &[History], mut measure: impl FnMut(&mut ChaCha8Rng, bool) -> Evidence) -> (f64, f64) {
    let (mut right, mut runs, times) = (0, 0, 100);
    for seed in 0..times {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let history = &histories[seed as usize % histories.len()];
        let culprit = (uniform(&mut rng) * history.changes().len() as f64) as usize;
        let (search, end) = search(history, culprit, |is_bad, _| measure(&mut rng, is_bad));
        right += usize::from(matches!(end, Next::Found(f) if f.changes == [culprit]));
        runs += search.runs().len();
    }
    (right as f64 / times as f64, runs as f64 / times as f64)
}

#[test]
fn clear_runs_take_no_more_than_halving_and_the_ends() {
    for n in [1, 2, 3, 30, 128] {
        let history = line(n);
        for culprit in 0..n {
            let measure = |is_bad, _| Evidence::Slope { value: if is_bad { 48.0 } else { 0.1 }, error: 0.5 };
            let (search, end) = search(&history, culprit, measure);
            assert!(matches!(&end, Next::Found(f) if f.changes == [culprit]), "{culprit} of {n}: {end:?}");
            let least = (n as f64).log2().ceil() as usize;
            assert!(search.runs().len() <= 2 + least + 1, "{n}: {} runs", search.runs().len());
        }
    }
}

#[test]
fn slopes_whose_verdict_would_err_one_time_in_ten_find_the_change() {
    let (right, runs) = many(&[line(128)], |rng, is_bad| slope(rng, is_bad, 2.563));
    assert!(right >= 0.97, "{right} right in {runs} runs");
    assert!(runs <= 20.0, "{runs} runs");
}

#[test]
fn versions_that_all_grow_are_told_apart_too() {
    let grown = |rng: &mut ChaCha8Rng, is_bad: bool| match slope(rng, is_bad, 2.563) {
        Evidence::Slope { value, error } => Evidence::Slope { value: value + 5.0, error },
        other => other,
    };
    let (right, runs) = many(&[line(128)], grown);
    assert!(right >= 0.97, "{right} right in {runs} runs");
    assert!(runs <= 24.0, "{runs} runs");
}

#[test]
fn no_unit_is_too_small_or_too_large() {
    for unit in [0.0, 1e-90, 1e-12, 1e12, 1e60] {
        let measure =
            |is_bad, _| Evidence::Slope { value: if is_bad { 9.0 * unit } else { 0.0 }, error: 0.3 * unit };
        let (_, end) = search(&line(40), 30, measure);
        let found = matches!(&end, Next::Found(f) if f.changes == [30]);
        let none = matches!(end, Next::Unfound(Unfound::NoDifference(_)));
        assert!(if unit > 0.0 { found } else { none }, "{unit}: {end:?}");
    }
}

#[test]
fn verdicts_that_err_one_time_in_ten_find_the_change() {
    let verdict =
        |rng: &mut ChaCha8Rng, is_bad: bool| Evidence::Verdict { bad: is_bad == (uniform(rng) > 0.1) };
    let (right, runs) = many(&[line(128)], verdict);
    assert!(right >= 0.96, "{right} right in {runs} runs");
    assert!(runs <= 24.0, "{runs} runs");
}

#[test]
fn histories_with_branches_are_searched_too() {
    let histories: Vec<History> = (0..20).map(|seed| branchy(60, seed)).collect();
    assert!(histories.iter().any(|h| h.changes().iter().any(|c| c.parents.len() > 1)));
    let (right, runs) = many(&histories, |rng, is_bad| slope(rng, is_bad, 4.0));
    assert!(right >= 0.98, "{right} right in {runs} runs");
    assert!(runs <= 13.0, "{runs} runs");
}

#[test]
fn a_stray_run_does_not_send_the_search_astray() {
    let (right, runs) = many(&[line(64)], |rng, is_bad| {
        let is_stray = uniform(rng) < 0.01;
        slope(rng, is_bad != is_stray, 20.0)
    });
    assert!(right >= 0.96, "{right} right in {runs} runs");
}

#[test]
fn what_does_not_build_is_left_out_and_what_it_hides_is_said() {
    let history = line(40);
    let broken = |at: usize| (18..=21).contains(&at);
    let find = |culprit: usize| {
        search(&history, culprit, |is_bad, place| match place {
            Place::At(at) if broken(at) => Evidence::Nothing,
            _ => Evidence::Slope { value: if is_bad { 9.0 } else { 0.0 }, error: 0.3 },
        })
    };
    let (search, end) = find(30);
    assert!(matches!(&end, Next::Found(f) if f.changes == [30]), "{end:?}");
    let once = |place| search.runs().iter().filter(|r| r.place == place).count() <= 1;
    assert!((18..=21).all(|at| once(Place::At(at))), "what does not build is not built again");
    // Of 18 to 22 only 22 can be run: any of them may be the one.
    let (search, end) = find(20);
    let Next::Found(found) = end else {
        panic!("{end:?} {:?} {:?}", search.runs(), search.posterior().changes)
    };
    let mut changes = found.changes.clone();
    changes.sort_unstable();
    assert_eq!(changes, [18, 19, 20, 21, 22]);
    assert!(found.sure >= RULES.sure);
}

#[test]
fn a_history_without_the_difference_and_a_broken_end_are_told() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let (found, end) = search(&line(30), 7, |_, _| slope(&mut rng, false, 0.0));
    assert!(matches!(end, Next::Unfound(Unfound::NoDifference(_))), "{end:?} after {}", found.runs().len());
    let (_, end) = search(&line(30), 7, |_, _| Evidence::Verdict { bad: true });
    assert!(matches!(end, Next::Unfound(Unfound::NoDifference(_))), "{end:?}");
    let nothing =
        |_, place| if place == Place::Good { Evidence::Nothing } else { Evidence::Verdict { bad: true } };
    let (search, end) = search(&line(30), 7, nothing);
    assert_eq!((end, search.runs().len()), (Next::Unfound(Unfound::End(Place::Good)), 3));
}

#[test]
fn the_search_ends_at_its_most_runs_and_weights_shorten_it() {
    let mut short = Search::new(line(30), Rules { most: 2, ..RULES });
    let place = Place::At(29);
    for place in [Place::Good, place] {
        assert_eq!(short.next(), Next::Run(place));
        short.push(Run { place, evidence: Evidence::Verdict { bad: place != Place::Good } });
    }
    assert_eq!(short.next(), Next::Unfound(Unfound::TooManyRuns));
    let mut changes = line(64).changes().to_vec();
    changes[20].weight = 40.0;
    let weighted = History::new(changes).expect("a history");
    let measure = |is_bad, _| Evidence::Slope { value: if is_bad { 9.0 } else { 0.0 }, error: 0.3 };
    let (search, end) = search(&weighted, 20, measure);
    assert!(matches!(&end, Next::Found(f) if f.changes == [20]), "{end:?}");
    assert!(search.runs().len() <= 5, "{} runs", search.runs().len());
}

#[test]
fn what_is_no_history_is_refused() {
    let change = |id: &str, parents: Vec<usize>, weight| Change {
        id: id.into(),
        title: String::new(),
        parents,
        weight,
    };
    assert_eq!(History::new(vec![]), Err(HistoryError::Empty));
    assert_eq!(History::new(vec![change("a", vec![0], 1.0)]), Err(HistoryError::Order("a".into())));
    let beside = vec![change("a", vec![], 1.0), change("b", vec![], 1.0)];
    assert_eq!(History::new(beside), Err(HistoryError::Beside("a".into())));
    assert_eq!(History::new(vec![change("a", vec![], 0.0)]), Err(HistoryError::Weight("a".into())));
}

fn measured(name: &str, value: f64, half: f64, tolerance: f64) -> Measured {
    Measured { name: name.into(), value, low: value - half, high: value + half, tolerance }
}

fn step(place: Place, bad: Option<bool>, metrics: Vec<Measured>) -> Step {
    Step { place, unix_seconds: 1.0, seconds: 2.0, bad, metrics, why: String::new() }
}

#[test]
fn a_log_is_read_as_it_was_written_and_a_torn_end_is_left_out() {
    let head = Head::new("releases", "v0", &["run".into()], line(4).changes());
    let metrics = |heap: f64| vec![measured("threads", 0.0, 0.0, 0.001), measured("heap", heap, 3.0, 8.0)];
    let steps = vec![
        step(Place::Good, Some(false), metrics(0.5)),
        step(Place::At(3), Some(true), metrics(48.0)),
        step(Place::At(1), None, vec![]),
    ];
    let lines: Vec<String> = std::iter::once(serde_json::to_string(&head).expect("text"))
        .chain(steps.iter().map(|s| serde_json::to_string(s).expect("text")))
        .collect();
    let whole = lines.join("\n") + "\n";
    let (journal, length) = Journal::parse(&(whole.clone() + "{\"place\":\"go")).expect("a log");
    assert_eq!((journal.steps.as_slice(), length), (steps.as_slice(), whole.len()));
    assert_eq!(journal.metric().as_deref(), Some("heap"));
    let search = journal.search(RULES).expect("a search");
    assert_eq!(search.runs()[2].evidence, Evidence::Nothing);
    let error = 3.0 / crate::guard::growth::Z;
    assert_eq!(search.runs()[0].evidence, Evidence::Slope { value: 0.5, error });
    // Nothing differs by more than is borne: the verdicts count.
    let calm = Journal {
        steps: vec![
            step(Place::Good, Some(false), metrics(0.5)),
            step(Place::At(3), Some(false), metrics(0.6)),
        ],
        ..journal
    };
    assert_eq!(calm.metric(), None);
    assert_eq!(calm.search(RULES).expect("a search").runs()[0].evidence, Evidence::Verdict { bad: false });
    for (text, error) in [
        (String::new(), "its first line is no head"),
        (whole.replacen("BisectionLog", "Triage", 1), "it is plimsoll/v1 Triage"),
        (whole.replace("{\"at\":3}", "{\"at\":9}"), "line 3 is damaged: it runs a change that is not there"),
        (whole.replace("unixSeconds", "when"), "line 2 is damaged"),
    ] {
        let said = Journal::parse(&text).expect_err(&text).to_string();
        assert!(said.contains(error), "{said}");
    }
}
