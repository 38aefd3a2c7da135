//! The search over commits on simulated histories whose culprit is known, with runs that are wrong one time in ten; the
//! bound that no search can beat beside it, and `git bisect run` on the same histories in real repositories.
//!
//!     cargo run --release -p plimsoll-bench --bin bisect [-- SEARCHES [GIT-SEARCHES [SURE [FIRST-SEED]]]]

use std::io::Write as _;
use std::ops::Range;
use std::process::{Command, Stdio};

use plimsoll_core::bisect::{Change, Evidence, History, Next, Place, Rules, Run, Search};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Rules of `plimsoll bisect commits`.
const RULES: Rules = Rules { sure: 0.98, error: 0.1, most: 200 };
/// Difference of two levels, in errors of one run, of which a threshold between them is wrong one time in ten.
const ONE_IN_TEN: f64 = 2.563;

fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v) = (uniform(rng).max(1e-300), uniform(rng));
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// Commits of one branch, or of branches that are merged now and then.
fn history(n: usize, branches: bool, rng: &mut ChaCha8Rng) -> History {
    let (mut changes, mut heads): (Vec<Change>, Vec<usize>) = (Vec::new(), Vec::new());
    for at in 0..n {
        let draw = uniform(rng);
        let parents = match heads.len() {
            _ if at == n - 1 => std::mem::take(&mut heads),
            0 => Vec::new(),
            k if k > 1 && draw < 0.3 => vec![heads.swap_remove(0), heads.swap_remove(0)],
            1 if branches && draw > 0.6 => vec![heads[0]],
            k => vec![heads.swap_remove((draw * 1e6) as usize % k)],
        };
        changes.push(Change { id: format!("c{at}"), title: String::new(), parents, weight: 1.0 });
        heads.push(at);
    }
    History::new(changes).unwrap_or_else(|e| panic!("{e}"))
}

/// What one run tells.
#[derive(Clone, Copy, PartialEq)]
enum Noise {
    /// A slope whose error is always the same.
    Even,
    /// The same, and every version grows by three errors.
    Grown,
    /// A slope whose error is known and differs from run to run, as that of the growth test does.
    Scattered,
    /// A verdict only.
    Verdict,
    /// A slope without any doubt.
    Clear,
}

impl Noise {
    const ALL: [(Noise, &'static str); 5] = [
        (Noise::Clear, "slope, clear"),
        (Noise::Scattered, "slope, errors differ"),
        (Noise::Even, "slope, errors alike"),
        (Noise::Grown, "… and all versions grow"),
        (Noise::Verdict, "verdict"),
    ];

    fn run(self, is_bad: bool, rng: &mut ChaCha8Rng) -> Evidence {
        let level = if is_bad { ONE_IN_TEN } else { 0.0 };
        let error = match self {
            Noise::Verdict => return Evidence::Verdict { bad: is_bad == (uniform(rng) > 0.1) },
            Noise::Clear => 0.05,
            Noise::Even | Noise::Grown => 1.0,
            // The threshold is wrong one time in ten with these, too: most runs are clear, some tell little.
            Noise::Scattered => 0.8 * normal(rng).exp(),
        };
        let value = self.without() + level + error * normal(rng);
        Evidence::Slope { value, error }
    }

    /// The level without the change.
    fn without(self) -> f64 {
        if self == Noise::Grown { 3.0 } else { 0.0 }
    }

    /// What one run can tell.
    fn channel(self, rng: &mut ChaCha8Rng) -> Channel {
        let (mut wrong, mut bits, mut against, times) = (0, 0.0, 0.0, 200_000);
        for _ in 0..times {
            let (is_wrong, p_wrong) = match self.run(false, rng) {
                Evidence::Verdict { bad } => (bad, if bad { 0.9 } else { 0.1 }),
                Evidence::Slope { value, error } => {
                    let value = value - self.without();
                    let odds = (ONE_IN_TEN * (2.0 * value - ONE_IN_TEN) / (2.0 * error * error)).exp();
                    (value > ONE_IN_TEN / 2.0, odds / (1.0 + odds))
                }
                Evidence::Nothing => continue,
            };
            wrong += usize::from(is_wrong);
            // One bit, without what is still open after the run.
            bits += 1.0 + (1.0 - p_wrong).max(1e-300).log2();
            // Nothing is held for surer than one in 10^300.
            against += ((1.0 - p_wrong).max(1e-300) / p_wrong.max(1e-300)).log2();
        }
        let mean = |sum: f64| sum / f64::from(times);
        Channel { wrong: mean(f64::from(wrong as u32)), bits: mean(bits), against: mean(against) }
    }
}

/// What one run tells, on average.
struct Channel {
    /// Share of runs on the wrong side of the threshold.
    wrong: f64,
    /// Bits at most: the capacity of the channel.
    bits: f64,
    /// Bits against what is not so, once one change is suspected.
    against: f64,
}

impl Channel {
    /// Runs below which no search comes that may choose each run by those before, errs as rarely as that, and knows levels and errors
    /// from the start (Burnashev): first the change is found, then it is made sure of. The two ends come on top.
    fn bound(&self, n: usize, sure: f64) -> f64 {
        (n as f64).log2() / self.bits + (1.0 / (1.0 - sure)).log2() / self.against + 2.0
    }
}

/// Of many searches: share of right answers, the share that they said, mean and most runs.
#[derive(Default)]
struct Score {
    right: f64,
    said: f64,
    runs: f64,
    most: usize,
}

fn search(kind: (usize, bool), noise: Noise, seeds: Range<u64>, rules: Rules) -> Score {
    let mut score = Score::default();
    let searches = (seeds.end - seeds.start).max(1) as f64;
    for seed in seeds {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (history, culprit) = case(kind, &mut rng);
        let mut search = Search::new(history, rules);
        let end = loop {
            match search.next() {
                Next::Run(place) => {
                    let is_bad = matches!(place, Place::At(at) if search.history().held(at)[culprit]);
                    search.push(Run { place, evidence: noise.run(is_bad, &mut rng) });
                }
                end => break end,
            }
        };
        if let Next::Found(found) = end {
            score.said += found.sure;
            score.right += f64::from(u8::from(found.changes == [culprit]));
        }
        score.runs += search.runs().len() as f64;
        score.most = score.most.max(search.runs().len());
    }
    score.right /= searches;
    score.said /= searches;
    score.runs /= searches;
    score
}

/// A history whose culprit is known: the same for every search of a seed.
fn case((n, branches): (usize, bool), rng: &mut ChaCha8Rng) -> (History, usize) {
    let history = history(n, branches, rng);
    let culprit = (uniform(rng) * n as f64) as usize;
    (history, culprit)
}

/// A real repository in a folder that goes with it.
struct Repository(std::path::PathBuf);

impl Repository {
    /// The commits of a history upon one that is good, each with its number in a file.
    fn of(history: &History) -> std::io::Result<Repository> {
        let folder = std::env::temp_dir().join(format!("plimsoll-bench-bisect-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let repository = Repository(folder);
        repository.git(&["init", "--quiet", "--initial-branch", "main"], "", &[])?;
        // Marks are counted from one, and the first is the good one's.
        let commit = |mark: usize, parents: &[usize]| {
            let (who, number) = ("committer t <t@example.org> 1700000000 +0000", mark.to_string());
            let length = number.len();
            let word = |at: usize| if at == 0 { "from" } else { "merge" };
            let parents = parents.iter().enumerate().map(|(at, p)| format!("{} :{p}\n", word(at)));
            let parents: String = parents.collect();
            format!(
                "commit refs/heads/main\nmark :{mark}\n{who}\ndata {length}\n{number}\n{parents}M 644 inline number\ndata {length}\n{number}\n\n"
            )
        };
        let of = |(at, change): (usize, &Change)| {
            let parents: Vec<usize> = change.parents.iter().map(|p| p + 2).collect();
            commit(at + 2, if parents.is_empty() { &[1] } else { &parents })
        };
        let all: String = history.changes().iter().enumerate().map(of).collect();
        repository.git(&["fast-import", "--quiet"], &(commit(1, &[]) + &all), &[])?;
        Ok(repository)
    }

    fn git(&self, args: &[&str], input: &str, variables: &[(&str, &str)]) -> std::io::Result<String> {
        let mut child = Command::new("git")
            .arg("-C")
            .arg(&self.0)
            .args(args)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        child.stdin.take().map_or(Ok(()), |mut to| to.write_all(input.as_bytes()))?;
        Ok(String::from_utf8_lossy(&child.wait_with_output()?.stdout).into_owned())
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

/// `git bisect run` in real repositories of the same histories, with a command that is wrong one time in ten.
fn git(kind: (usize, bool), seeds: Range<u64>) -> std::io::Result<Score> {
    // Each run has a number, and is as wrong as that says.
    let script = "read k < number; c=$(cat .git/runs); echo $((c + 1)) > .git/runs; bad=0; grep -qx $k .git/bad && bad=1; \
                  awk -v s=$((SEED * 1000 + c)) 'BEGIN { srand(s); exit !(rand() < 0.1) }' && bad=$((1 - bad)); exit $bad";
    let mut score = Score::default();
    let searches = (seeds.end - seeds.start).max(1) as f64;
    for seed in seeds {
        let (history, culprit) = case(kind, &mut ChaCha8Rng::seed_from_u64(seed));
        let repository = Repository::of(&history)?;
        let bad = (0..history.changes().len()).filter(|at| history.held(*at)[culprit]);
        let bad: String = bad.map(|at| format!("{}\n", at + 2)).collect();
        std::fs::write(repository.0.join(".git/bad"), bad)?;
        std::fs::write(repository.0.join(".git/runs"), "0")?;
        repository.git(&["checkout", "--quiet", "--force", "main"], "", &[])?;
        let good = repository.git(&["rev-list", "--max-parents=0", "main"], "", &[])?;
        repository.git(&["bisect", "start", "main", good.trim()], "", &[])?;
        repository.git(&["bisect", "run", "sh", "-c", script], "", &[("SEED", &seed.to_string())])?;
        // The message of a commit is its number.
        let found = repository.git(&["log", "-1", "--format=%s", "refs/bisect/bad"], "", &[])?;
        let runs = std::fs::read_to_string(repository.0.join(".git/runs"))?;
        let runs: usize = runs.trim().parse().unwrap_or(0);
        score.right += f64::from(u8::from(found.trim() == (culprit + 2).to_string()));
        score.runs += runs as f64;
        score.most = score.most.max(runs);
    }
    score.right /= searches;
    score.runs /= searches;
    Ok(score)
}

/// Commits, and whether there are branches among them.
const KINDS: [(usize, bool); 4] = [(30, false), (128, false), (128, true), (1000, false)];

fn main() -> std::io::Result<()> {
    let number = |at: usize| std::env::args().nth(at).and_then(|a| a.parse().ok());
    let searches: u64 = number(1).unwrap_or(500);
    let first = number(4).unwrap_or(0);
    let sure = std::env::args().nth(3).and_then(|a| a.parse().ok()).unwrap_or(RULES.sure);
    let rules = Rules { sure, ..RULES };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{searches} searches each, until one change has {sure}.\n")?;
    writeln!(
        out,
        "| commits | one run | wrong, alone | right | said | runs (most) | beside clear runs | beside halving | bound, runs |\n|---|---|---|---|---|---|---|---|---|"
    )?;
    for (n, branches) in KINDS {
        let mut clear = None;
        for (noise, name) in Noise::ALL {
            let channel = noise.channel(&mut ChaCha8Rng::seed_from_u64(1));
            let score = search((n, branches), noise, first..first + searches, rules);
            let halving = (n as f64).log2();
            // The first row is the one without noise.
            let noiseless = *clear.get_or_insert(score.runs);
            let kind = if branches { " with branches" } else { "" };
            writeln!(
                out,
                "| {n}{kind} | {name} | {:.0} % | {:.1} % | {:.1} % | {:.1} ({}) | {:.2} | {:.2} | {:.1} |",
                channel.wrong * 100.0,
                score.right * 100.0,
                score.said * 100.0,
                score.runs,
                score.most,
                score.runs / noiseless,
                score.runs / halving,
                channel.bound(n, sure)
            )?;
            out.flush()?;
        }
    }
    let searches: u64 = number(2).unwrap_or(200);
    writeln!(
        out,
        "\ngit bisect run on the same histories, a verdict that is wrong one time in ten, {searches} each:\n"
    )?;
    writeln!(out, "| commits | right | runs (most) |\n|---|---|---|")?;
    for (n, branches) in KINDS {
        let score = git((n, branches), first..first + searches)?;
        let kind = if branches { " with branches" } else { "" };
        writeln!(out, "| {n}{kind} | {:.1} % | {:.1} ({}) |", score.right * 100.0, score.runs, score.most)?;
    }
    Ok(())
}
