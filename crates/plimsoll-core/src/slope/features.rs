//! What tells apart questions whose intervals err differently, and climbs that go on from such that do not: numbers that the fit and the
//! forecast have at hand. None holds an absolute time but that of a day.
//!
//! To add one, add a line to [`FEATURES`] and make both tables again ([`super::calibration`], [`super::evidence`]).

use super::course::Course;
use super::floor::FloorPoint;
use super::forecast::{Forecast, Outlook};
use super::models::Family;
use super::{Posterior, Question, Samples, noise};

const DAY: f64 = 86_400.0;
/// Smallest share that is told apart from none.
const LEAST: f64 = 1e-4;
/// Share of the draws that have to get there for a tenth of all to have a time.
const LEAST_SHARE: f64 = 0.11;
/// Smallest rise since the onset that a share of it is taken of, in units of the limit.
const LEAST_RISE: f64 = 1e-3;

/// One number: its name in the table and how it is made.
#[derive(Clone, Copy)]
pub(super) struct Feature {
    /// Name.
    pub(super) name: &'static str,
    of: fn(&Sight<'_>) -> f64,
}

/// All of them, in the order of [`Features`].
pub(super) const FEATURES: [Feature; COUNT] = [
    Feature { name: "spread", of: |s| s.spread.ln() },
    Feature { name: "spread above", of: |s| s.times.above() },
    Feature { name: "spread below", of: |s| s.times.below() },
    Feature { name: "median with never", of: |s| s.stretch(s.mid) },
    Feature { name: "share that dies", of: |s| s.times.share },
    Feature { name: "reach", of: |s| log(s.times.mid / s.seen) },
    Feature { name: "reach beside all", of: |s| log(s.times.mid / s.seen_all) },
    Feature { name: "blocks ahead", of: |s| log(s.ahead) },
    Feature { name: "blocks behind", of: |s| log(s.seen / s.outlook.floor.block) },
    Feature { name: "wander", of: |s| (s.wander() + 0.01).ln() },
    Feature { name: "jumps", of: |s| noise::jumps(s.outlook.floor).clamp(-1.0, 3.0) },
    Feature { name: "noise", of: |s| log(s.outlook.fit.noise.scale / s.room) },
    Feature { name: "memory of the noise", of: |s| s.outlook.fit.noise.rho },
    Feature { name: "independent points", of: |s| log(s.outlook.fit.noise.n_eff) },
    Feature { name: "room", of: |s| log(s.room) },
    Feature { name: "rise", of: |s| log(s.moves.rise / s.room) },
    Feature { name: "off the chord", of: |s| log(s.moves.bow / s.moves.rise) },
    Feature { name: "bend", of: |s| s.moves.bend },
    Feature { name: "largest move", of: |s| log(s.moves.largest / s.room) },
    Feature { name: "usual move", of: |s| log(s.moves.usual / s.room) },
    Feature { name: "few moves up", of: |s| s.in_moves(s.moves.ups) },
    Feature { name: "few moves since", of: |s| s.in_moves(s.moves.steps) },
    Feature { name: "residuals", of: |s| log(s.residuals() / s.moves.rise) },
    Feature { name: "usual height", of: |s| (s.outlook.bursts.usual() / s.whole).clamp(0.0, 2.0) },
    Feature { name: "greatest height", of: |s| (s.outlook.bursts.greatest() / s.whole).clamp(0.0, 2.0) },
    Feature { name: "first touch", of: |s| s.first_touch() },
    Feature { name: "newest pace", of: |s| s.beside_pace(s.moves.newest) },
    Feature { name: "recent pace", of: |s| s.beside_pace(s.moves.recent) },
    Feature { name: "plateau", of: |s| s.weights.saturating },
    Feature { name: "new plateau", of: |s| s.weights.plateau },
    Feature { name: "ever slower", of: |s| s.weights.sublinear },
    Feature { name: "onset", of: |s| s.weights.onset },
    Feature { name: "unknown load", of: |s| s.unknown_load() },
    Feature { name: "load now", of: |s| s.weights.work * s.load_since(s.outlook.floor.block) },
    Feature { name: "load since", of: |s| s.weights.work * s.load_since(s.seen) },
    Feature { name: "days of load", of: |s| s.outlook.load.map_or(0.0, |l| (l.span() / DAY).min(2.0)) },
    Feature { name: "after collections", of: |s| f64::from(u8::from(s.after_collections)) },
    Feature { name: "restarts", of: |s| f64::from(u8::from(s.outlook.floor.hidden())) },
    Feature { name: "onset seen", of: |s| f64::from(u8::from(s.p.onset.is_some())) },
    Feature { name: "climb of all seen", of: |s| log(s.seen / s.seen_all) },
    Feature { name: "age unseen", of: |s| s.age_unseen().ln() },
    Feature { name: "level", of: |s| (s.p.floor / s.p.death_level).clamp(-1.0, 2.0) },
    Feature { name: "rise of the limit", of: |s| log(s.moves.rise * s.outlook.fit.scale / s.p.death_level) },
    Feature { name: "slope of the limit", of: |s| log(s.p.slope.mid * s.p.span / s.p.death_level) },
    Feature { name: "slope beside its spread", of: |s| s.slope_sure() },
    Feature {
        name: "least slope",
        of: |s| (s.p.slope.low / s.p.slope.mid.abs().max(1e-12)).clamp(-3.0, 1.0),
    },
    Feature { name: "runs", of: |s| (s.outlook.floor.generations as f64).ln() },
    Feature { name: "points", of: |s| s.outlook.floor.depth.ln() },
    Feature { name: "above the record", of: |s| s.past.above },
    Feature { name: "given back", of: |s| log(s.past.given_back / s.moves.rise) },
    Feature { name: "earlier rise", of: |s| log(s.past.earlier_rise / s.moves.rise) },
    Feature { name: "straight up", of: |s| s.past.efficiency },
    Feature { name: "moves up", of: |s| s.past.ups },
    Feature { name: "straight window", of: |s| log(s.course.straight) },
    Feature { name: "time by it", of: |s| s.by_straight() },
    Feature { name: "unexplained", of: |s| log(s.course.unexplained) },
    Feature { name: "newest eighth", of: |s| s.course.newest[0] },
    Feature { name: "newest quarter", of: |s| s.course.newest[1] },
    Feature { name: "newest half", of: |s| s.course.newest[2] },
    Feature { name: "first third", of: |s| s.course.thirds[0] },
    Feature { name: "last third", of: |s| s.course.thirds[1] },
    Feature { name: "curvature", of: |s| s.course.curvature.clamp(-100.0, 100.0).asinh() },
    Feature { name: "a day ago", of: |s| s.course.day },
    Feature { name: "swing of a day", of: |s| log(s.course.swing) },
    Feature { name: "climb in days", of: |s| s.in_days() },
    Feature { name: "day known", of: |s| f64::from(u8::from(s.p.day_known)) },
];

/// How many there are.
const COUNT: usize = 66;

/// The numbers of one question.
pub type Features = [f64; COUNT];

/// The times at which those draws reach the limit that ever do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// Share of the draws.
    pub(super) share: f64,
    low: f64,
    /// Their median, seconds.
    pub(super) mid: f64,
    high: f64,
}

impl Times {
    /// Of sorted draws; `None` where too few ever get there, or some are there already.
    pub(super) fn of(draws: &[f64]) -> Option<Times> {
        let finite = &draws[..draws.partition_point(|d| d.is_finite())];
        let share = finite.len() as f64 / draws.len().max(1) as f64;
        let at = |q: f64| finite.get(((finite.len().max(1) - 1) as f64 * q).round() as usize).copied();
        let (low, mid, high) = (at(0.1)?, at(0.5)?, at(0.9)?);
        (share > LEAST_SHARE && low > 0.0).then_some(Times { share, low, mid, high })
    }

    fn above(&self) -> f64 {
        (self.high / self.mid).ln().min(7.0)
    }

    fn below(&self) -> f64 {
        (self.mid / self.low).ln().min(7.0)
    }

    /// Spread on the logarithmic scale, `blur` at least.
    pub(super) fn spread(&self, blur: f64) -> f64 {
        (0.5 * (self.above() + self.below())).hypot(blur)
    }
}

/// Sums of the weights of models that go on differently.
struct Weights {
    work: f64,
    saturating: f64,
    plateau: f64,
    sublinear: f64,
    onset: f64,
}

impl Weights {
    fn of(f: &Forecast) -> Weights {
        let of = |family| f.families.iter().filter(|x| x.0 == family).map(|x| x.1).sum();
        Weights {
            work: f.work_share.clamp(0.0, 1.0),
            saturating: of(Family::Saturating),
            plateau: of(Family::Plateau),
            sublinear: of(Family::Sublinear),
            onset: of(Family::Onset),
        }
    }
}

/// How the floor of the live run moved; amounts in scaled units, of moves from block to block.
#[derive(Debug, Default)]
struct Moves {
    largest: f64,
    /// Root of the mean square.
    usual: f64,
    /// How many equal moves up would be as uneven as those of the whole run, and as all since the onset.
    ups: f64,
    steps: f64,
    /// Climbed since the onset.
    rise: f64,
    /// Typical distance from the straight line between onset and now.
    bow: f64,
    /// The second half of the climb less the first, over the whole.
    bend: f64,
    /// Means of the newest three moves, and of the newest twelve.
    newest: f64,
    recent: f64,
}

impl Moves {
    fn of(live: &[FloorPoint], onset: f64, scale: f64) -> Moves {
        let steps = || live.windows(2).map(|p| (p[1].v - p[0].v) / scale);
        let (mut square, mut up, mut up_square, mut largest) = (0.0, 0.0, 0.0, 0.0_f64);
        for m in steps() {
            square += m * m;
            up += m.max(0.0);
            up_square += m.max(0.0).powi(2);
            largest = largest.max(m.abs());
        }
        let since = &live[live.partition_point(|p| p.t < onset).min(live.len() - 1)..];
        let (first, last) = (since[0], since[since.len() - 1]);
        let rise = ((last.v - first.v) / scale).max(LEAST_RISE);
        let since_square: f64 = since.windows(2).map(|p| ((p[1].v - p[0].v) / scale).powi(2)).sum();
        Moves {
            largest,
            usual: (square / (live.len() - 1).max(1) as f64).sqrt(),
            ups: (up * up / up_square.max(1e-12)).clamp(1.0, 200.0),
            steps: (rise * rise / since_square.max(1e-9)).clamp(0.3, 300.0),
            rise,
            bow: bow(since, scale),
            bend: bend(since, rise * scale),
            newest: pace(live, 3) / scale,
            recent: pace(live, 12) / scale,
        }
    }
}

/// Root of the mean square distance from the chord.
fn bow(since: &[FloorPoint], scale: f64) -> f64 {
    let (first, last) = (since[0], since[since.len() - 1]);
    let pace = (last.v - first.v) / (last.t - first.t).max(1e-9);
    let square: f64 = since.iter().map(|p| (p.v - first.v - pace * (p.t - first.t)).powi(2)).sum();
    (square / since.len() as f64).sqrt() / scale
}

fn bend(since: &[FloorPoint], rise: f64) -> f64 {
    let (first, last) = (since[0], since[since.len() - 1]);
    let middle = since[since.partition_point(|p| p.t < 0.5 * (first.t + last.t)).min(since.len() - 1)];
    ((last.v - 2.0 * middle.v + first.v) / rise).clamp(-3.0, 3.0)
}

/// Mean climb from one point to the next over the newest `count` moves.
fn pace(live: &[FloorPoint], count: usize) -> f64 {
    let count = count.min(live.len() - 1);
    (live[live.len() - 1].v - live[live.len() - 1 - count].v) / count.max(1) as f64
}

/// What the live run did before the climb, and how evenly it climbed since.
#[derive(Debug)]
struct Past {
    /// Share of the rise that lies above all that was before.
    above: f64,
    /// Largest fall, scaled units.
    given_back: f64,
    /// Largest rise before the onset within as many points as the climb has.
    earlier_rise: f64,
    /// Rise since the onset over all movement since.
    efficiency: f64,
    /// Share of the moves since that went up.
    ups: f64,
}

impl Past {
    fn of(live: &[FloorPoint], onset: f64, scale: f64, rise: f64) -> Past {
        let from = live.partition_point(|p| p.t < onset).min(live.len() - 1);
        let (before, since) = live.split_at(from);
        let last = live[live.len() - 1].v;
        let record = before.iter().fold(f64::NEG_INFINITY, |m, p| m.max(p.v));
        let (mut top, mut given_back) = (f64::NEG_INFINITY, 0.0_f64);
        for p in live {
            top = top.max(p.v);
            given_back = given_back.max(top - p.v);
        }
        let window = since.len();
        let rise_at = |k: usize| {
            let own = &before[k.saturating_sub(window)..=k];
            before[k].v - own.iter().fold(f64::INFINITY, |m, p| m.min(p.v))
        };
        let moves = || since.windows(2).map(|p| (p[1].v - p[0].v) / scale);
        let all: f64 = moves().map(f64::abs).sum();
        Past {
            above: if before.is_empty() { 1.0 } else { ((last - record) / (scale * rise)).clamp(-3.0, 1.0) },
            given_back: given_back / scale,
            earlier_rise: (0..before.len()).map(rise_at).fold(0.0, f64::max) / scale,
            efficiency: (rise / all.max(1e-9)).clamp(0.0, 1.0),
            ups: moves().filter(|m| *m > 0.0).count() as f64 / (since.len() - 1).max(1) as f64,
        }
    }
}

/// What the features are made of.
struct Sight<'a> {
    outlook: &'a Outlook<'a>,
    p: &'a Posterior,
    past: Past,
    course: Course,
    times: Times,
    spread: f64,
    weights: Weights,
    moves: Moves,
    /// Median of all draws, those that never die with them.
    mid: f64,
    /// Seconds of climb seen, and seconds seen at all.
    seen: f64,
    seen_all: f64,
    /// From the floor to the level at which it kills, and to the limit; scaled.
    room: f64,
    whole: f64,
    /// Blocks to the median.
    ahead: f64,
    /// Whether the samples are the floor itself.
    after_collections: bool,
}

impl Sight<'_> {
    /// Age of the process beside what of it was seen.
    fn age_unseen(&self) -> f64 {
        let floor = self.outlook.floor;
        let now = self.outlook.now;
        ((now - floor.live_start) / (now - floor.live_first).max(floor.block)).clamp(1.0, 1e3)
    }

    /// Time to the limit by the longest straight window, beside the median.
    fn by_straight(&self) -> f64 {
        if self.course.straight_slope > 0.0 {
            (self.room / self.course.straight_slope / self.times.mid).ln().clamp(-4.0, 4.0)
        } else {
            4.0
        }
    }

    /// Where the day is not known: logarithm of the length of the climb in days, of hours to a few days.
    fn in_days(&self) -> f64 {
        if self.p.day_known { 1.5 } else { (self.seen / DAY).clamp(0.05, 4.0).ln() }
    }

    fn slope_sure(&self) -> f64 {
        let s = self.p.slope;
        (s.mid / (s.high - s.low).max(1e-12)).clamp(-5.0, 20.0).asinh()
    }

    /// Logarithm of a time beside the median.
    fn stretch(&self, time: f64) -> f64 {
        if time.is_finite() { (time / self.times.mid).ln().clamp(-7.0, 7.0) } else { 3.0 }
    }

    fn wander(&self) -> f64 {
        if self.mid.is_finite() { self.outlook.wander(self.room, self.mid) } else { 0.0 }
    }

    /// Spread of the logarithm of the time when so many equal moves were seen and as large ones are to come.
    fn in_moves(&self, count: f64) -> f64 {
        0.5 * (1.0 / count + self.moves.rise / (count * self.room) + 1e-3).ln()
    }

    /// Root of the mean square residual of the live run.
    fn residuals(&self) -> f64 {
        let floor = self.outlook.floor;
        let own = &self.outlook.fit.residuals[floor.bounds[floor.bounds.len() - 2]..];
        (own.iter().map(|r| r * r).sum::<f64>() / own.len() as f64).sqrt()
    }

    /// What is left of the way when something as high as ever kills.
    fn first_touch(&self) -> f64 {
        ((self.whole - self.outlook.bursts.greatest()) / self.room).clamp(0.1, 3.0).ln()
    }

    /// A climb from block to block beside the one that the median takes.
    fn beside_pace(&self, climb: f64) -> f64 {
        -(climb * self.ahead / self.room).clamp(0.15, 6.0).ln()
    }

    /// How uncertain the load to come leaves a climb that follows it.
    fn unknown_load(&self) -> f64 {
        let is_young = self.outlook.load.is_some_and(|l| l.span() < 0.95 * DAY);
        if is_young { self.weights.work * self.outlook.load_spread.min(1.0) } else { 0.0 }
    }

    /// Logarithm of the mean load of the newest seconds beside all.
    fn load_since(&self, seconds: f64) -> f64 {
        let now = self.outlook.now;
        self.outlook.load.map_or(0.0, |l| l.between(now - seconds, now).clamp(0.2, 4.0).ln())
    }
}

fn log(x: f64) -> f64 {
    x.clamp(LEAST, 1e9).ln()
}

/// The numbers of a question whose draws are not calibrated yet.
pub(super) fn features(
    q: &Question<'_>,
    outlook: &Outlook<'_>,
    p: &Posterior,
    forecast: &Forecast,
    times: Times,
    spread: f64,
) -> Features {
    let floor = outlook.floor;
    let first = floor.live_first.min(q.now - floor.block);
    let onset = p.onset.map_or(floor.live_start, |x| x.mid.max(floor.live_start)).max(first);
    let live = &floor.points[floor.bounds[floor.bounds.len() - 2]..];
    let room = ((p.death_level - p.floor) / outlook.fit.scale).max(LEAST_RISE);
    let moves = Moves::of(live, onset, outlook.fit.scale);
    let sight = Sight {
        outlook,
        p,
        past: Past::of(live, onset, outlook.fit.scale, moves.rise),
        course: Course::of(live, onset, (outlook.fit.scale, outlook.floor.block), moves.rise),
        times,
        spread,
        weights: Weights::of(forecast),
        moves,
        mid: p.time_to_limit.mid,
        seen: (q.now - onset).max(floor.block),
        seen_all: (q.now - floor.live_start.max(first)).max(floor.block),
        room,
        whole: ((q.limit - p.floor) / outlook.fit.scale).max(LEAST_RISE),
        ahead: times.mid / floor.block,
        after_collections: q.samples == Samples::PostCollection,
    };
    let tell = |f: &Feature| Some((f.of)(&sight)).filter(|x| x.is_finite()).unwrap_or(0.0);
    FEATURES.each_ref().map(tell)
}
