//! Generator of labelled services: eight healthy and eight leaking classes, one sample a minute for three
//! days, amounts as a fraction of the limit. Seeded: the same seed and index give the same service.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Samples of a visible series: three days of minutes.
pub const LENGTH: usize = 72 * 60;
/// Longest simulated future, minutes: beyond the longest life.
const FUTURE: usize = 420 * 60;
const HOUR: f64 = 60.0;

/// Names of the classes; the first eight are healthy.
pub const CLASSES: [&str; 16] = [
    "sawtooth",
    "warm-up",
    "diurnal",
    "step deploy",
    "cache fill",
    "page cache",
    "restarts",
    "batch",
    "linear",
    "+restarts",
    "burst",
    "sub-linear",
    "at deploy",
    "traffic",
    "noisy",
    "+page cache",
];
/// Number of healthy classes.
pub const HEALTHY: usize = 8;
const WARM_UP: usize = 1;
const DIURNAL: usize = 2;
const STEP: usize = 3;
const CACHE_FILL: usize = 4;
const PAGE_CACHE: usize = 5;
const RESTARTS: usize = 6;
const BATCH: usize = 7;
const LEAK_RESTARTS: usize = 9;
const LEAK_BURST: usize = 10;
const LEAK_POWER: usize = 11;
const LEAK_DEPLOY: usize = 12;
const LEAK_TRAFFIC: usize = 13;
const LEAK_NOISY: usize = 14;
const LEAK_PAGE: usize = 15;

/// One run of the service.
#[derive(Debug, Clone)]
pub struct Run {
    /// First visible minute.
    pub first: usize,
    /// Start of the process in minutes; negative when before the series.
    pub start: f64,
    /// Version.
    pub version: u32,
    /// Minute at which this run would die if it were never restarted.
    pub death: Option<usize>,
}

/// One labelled service.
#[derive(Debug, Clone)]
pub struct Service {
    /// Index into [`CLASSES`].
    pub class: usize,
    /// Killed by the floor (managed heap) instead of by usage.
    pub managed: bool,
    /// Anonymous memory, fraction of the limit, a value a minute.
    pub rss: Vec<f64>,
    /// Memory that stays after a collection, fraction of the limit.
    pub floor: Vec<f64>,
    /// Working set: with page cache.
    pub ws: Vec<f64>,
    /// Requests per second, relative.
    pub load: Vec<f64>,
    /// Runs, oldest first.
    pub runs: Vec<Run>,
    /// Minute at which the leak begins to show; none when healthy.
    pub onset: Option<usize>,
    /// Minute of the kill when it falls into the series.
    pub kill: Option<usize>,
}

impl Service {
    /// Whether it leaks.
    pub fn leaks(&self) -> bool {
        self.onset.is_some()
    }

    /// The run that is live at a minute.
    pub fn run_at(&self, minute: usize) -> &Run {
        let k = self.runs.partition_point(|r| r.first <= minute).max(1) - 1;
        &self.runs[k]
    }

    /// Minutes from `minute` to the death of the live run.
    pub fn time_left(&self, minute: usize) -> Option<f64> {
        self.run_at(minute).death.map(|d| d as f64 - minute as f64)
    }

    /// Life in minutes, from the onset to the death of the run that is live then.
    pub fn life(&self) -> Option<f64> {
        self.onset.and_then(|o| self.time_left(o))
    }
}

/// Seeded source of the distributions that the generator needs.
#[derive(Clone)]
struct Dice(ChaCha8Rng);

impl Dice {
    fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    fn log_uniform(&mut self, low: f64, high: f64) -> f64 {
        self.uniform(low.ln(), high.ln()).exp()
    }

    fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    fn normal(&mut self) -> f64 {
        let r = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        r * (std::f64::consts::TAU * self.unit()).cos()
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    fn pick(&mut self, n: usize) -> usize {
        (self.unit() * n as f64) as usize
    }

    /// AR(1) of unit variance with correlation time `tau` minutes.
    fn correlated(&mut self, n: usize, tau: f64) -> Vec<f64> {
        let a = (-1.0 / tau).exp();
        let s = (1.0 - a * a).sqrt();
        let mut x = self.normal();
        (0..n)
            .map(|_| {
                x = a * x + s * self.normal();
                x
            })
            .collect()
    }
}

/// What the floor does beyond base, warm-up, load and noise.
#[derive(Debug, Clone)]
enum Trend {
    None,
    Fill { amount: f64, tau: f64 },
    Linear { slope: f64 },
    Power { factor: f64, power: f64 },
    Traffic { slope: f64 },
    Jumps { sums: Vec<f64>, rate: f64, per_hour: f64 },
}

impl Trend {
    fn scale(&mut self, by: f64) {
        match self {
            Trend::Linear { slope } | Trend::Traffic { slope } => *slope *= by,
            Trend::Power { factor, .. } => *factor *= by,
            Trend::Jumps { sums, rate, .. } => {
                sums.iter_mut().for_each(|x| *x *= by);
                *rate *= by;
            }
            Trend::None | Trend::Fill { .. } => {}
        }
    }
}

/// Everything that drives one service.
#[derive(Clone)]
struct World {
    managed: bool,
    base: f64,
    coupling: f64,
    load: Vec<f64>,
    smooth: Vec<f64>,
    work: Vec<f64>,
    /// Standard deviation and correlation time, minutes, of the noise.
    noise_of: (f64, f64),
    noise: Vec<f64>,
    /// Whether there are bursts, and whether they are those of batch work.
    bursts_of: Option<bool>,
    bursts: Vec<f64>,
    warm: (f64, f64),
    trend: Trend,
    tooth: f64,
    period: f64,
    incomplete: f64,
    healthy: bool,
}

/// The state of garbage within one run.
#[derive(Debug, Clone, Copy, Default)]
struct Garbage {
    amount: f64,
    target: f64,
}

impl World {
    /// Floor of a run that started at minute `start`, with its own warm-up and level.
    fn floor(&self, i: usize, run: &Start) -> f64 {
        let age = i as f64 - run.start;
        let warm = run.warm * (1.0 - (-age / self.warm.1).exp());
        let trend = if run.leaks { self.trend(i, age, run) } else { 0.0 };
        let x =
            run.base + warm + trend + self.coupling * (self.smooth[i] - 1.0) + self.noise[i] + self.bursts[i];
        if self.healthy { x.clamp(0.02, 0.93) } else { x.max(0.02) }
    }

    fn trend(&self, i: usize, age: f64, run: &Start) -> f64 {
        let hours = age / HOUR;
        let since = run.start.max(0.0) as usize;
        let before = (-run.start).max(0.0);
        match &self.trend {
            Trend::None => 0.0,
            Trend::Fill { amount, tau } => amount * (1.0 - (-hours / tau).exp()),
            Trend::Linear { slope } => slope * hours,
            Trend::Power { factor, power } => factor * hours.max(0.0).powf(*power),
            Trend::Traffic { slope } => slope * (self.work[i] - self.work[since] + before) / HOUR,
            Trend::Jumps { sums, rate, .. } => sums[i] - sums[since] + rate * before / HOUR,
        }
    }

    fn usage(&self, floor: f64, i: usize, g: &mut Garbage, dice: &mut Dice) -> f64 {
        let room = if self.managed { (0.985 - floor).max(0.002) } else { f64::INFINITY };
        g.amount += self.tooth / self.period * self.load[i].max(0.05);
        if g.amount >= g.target.min(room) {
            g.amount = self.tooth.min(room) * self.incomplete * dice.unit();
            g.target = self.tooth * dice.uniform(0.9, 1.1);
        }
        let usage = floor + g.amount.min(room);
        if self.healthy { usage.min(0.975) } else { usage }
    }

    fn dies(&self, floor: f64, usage: f64) -> bool {
        !self.healthy && if self.managed { floor >= 0.97 } else { usage >= 1.0 }
    }
}

/// What of a run is visible.
#[derive(Default)]
struct Series {
    rss: Vec<f64>,
    floor: Vec<f64>,
}

/// How one run begins.
#[derive(Debug, Clone)]
struct Start {
    first: usize,
    start: f64,
    version: u32,
    base: f64,
    warm: f64,
    leaks: bool,
}

/// The service with the given index under a seed; `class` is an index into [`CLASSES`].
pub fn generate(seed: u64, class: usize, index: usize) -> Service {
    let Drawn { world, starts, mut dice } = draw(seed, class, index);
    simulate(class, &world, &starts, &mut dice)
}

/// The same service, so many times side by side: one load, one leak, deploys at the same minutes; noise, bursts, garbage, jumps and
/// restarts of their own.
pub fn replicas(seed: u64, class: usize, index: usize, count: usize) -> Vec<Service> {
    let Drawn { world, starts, mut dice } = draw(seed, class, index);
    let mut out = vec![simulate(class, &world, &starts, &mut dice.clone())];
    for _ in 1..count {
        // Far enough along the same stream that none meets another.
        dice.0.set_word_pos(dice.0.get_word_pos() + (1 << 32));
        let mut own = dice.clone();
        let (world, starts) = beside(&world, &starts, class, &mut own);
        out.push(simulate(class, &world, &starts, &mut own));
    }
    out
}

/// What a replica has of its own.
fn beside(world: &World, starts: &[Start], class: usize, dice: &mut Dice) -> (World, Vec<Start>) {
    let total = world.load.len();
    let mut own = world.clone();
    own.noise = noise(total, world.noise_of, dice);
    if let Some(batch) = world.bursts_of {
        own.bursts = bursts(total, batch, dice);
    }
    if let Trend::Jumps { rate, per_hour, .. } = world.trend {
        own.trend = Trend::Jumps { sums: jumps(total, per_hour, rate / per_hour, dice), rate, per_hour };
    }
    let mut starts = starts.to_vec();
    if matches!(class, RESTARTS | LEAK_RESTARTS) {
        starts.truncate(1);
        regular_restarts(world, &mut starts, dice);
        vary(&mut starts, dice);
    }
    (own, starts)
}

/// What a service is made from, and the dice as they lie then.
struct Drawn {
    world: World,
    starts: Vec<Start>,
    dice: Dice,
}

fn draw(seed: u64, class: usize, index: usize) -> Drawn {
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(
        seed ^ (class as u64 * 1_000_003 + index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15),
    ));
    let healthy = class < HEALTHY;
    let total = if healthy { LENGTH } else { LENGTH + FUTURE };
    let mut world = exogenous(class, healthy, total, &mut dice);
    let life = dice.log_uniform(5.0, 240.0);
    let uptime = if dice.chance(0.5) { 0.0 } else { dice.uniform(0.0, 48.0) };
    let uptime = if healthy { uptime } else { uptime.min(0.5 * life) };
    set_trend(&mut world, class, life, uptime, total, &mut dice);
    let starts = plan_starts(&world, class, uptime, &mut dice);
    if !healthy {
        tune(&mut world, &starts, life, &dice);
    }
    Drawn { world, starts, dice }
}

/// Bursts, teeth and load move the death away from where the bare slope would put it: scales the leak until
/// the first leaking run lives about as long as was drawn.
fn tune(world: &mut World, starts: &[Start], life: f64, dice: &Dice) {
    let Some(start) = starts.iter().find(|s| s.leaks) else { return };
    for _ in 0..4 {
        let death = life_of(world, start, start.first, &mut Series::default(), &mut dice.clone());
        let lived = (death.unwrap_or(start.first + FUTURE) - start.first) as f64 / HOUR;
        if (lived / life - 1.0).abs() < 0.1 {
            return;
        }
        world.trend.scale((lived.max(0.5) / life).clamp(0.2, 3.0));
    }
}

fn exogenous(class: usize, healthy: bool, total: usize, dice: &mut Dice) -> World {
    let diurnal = matches!(class, DIURNAL | LEAK_TRAFFIC) || dice.chance(0.5);
    let load = load(total, diurnal, dice);
    let coupling = if class == DIURNAL {
        dice.uniform(0.03, 0.15)
    } else if dice.chance(0.25) {
        dice.uniform(0.005, 0.03)
    } else {
        0.0
    };
    let batch = matches!(class, BATCH | LEAK_NOISY);
    let (sd, tau) = if batch {
        (dice.uniform(0.006, 0.025), dice.uniform(60.0, 360.0))
    } else {
        (dice.uniform(0.001, 0.006), dice.log_uniform(5.0, 120.0))
    };
    let noise = noise(total, (sd, tau), dice);
    let bursts_of = (batch || dice.chance(0.15)).then_some(batch);
    let bursts = bursts_of.map_or_else(|| vec![0.0; total], |batch| bursts(total, batch, dice));
    let warm = match class {
        WARM_UP => (dice.uniform(0.10, 0.40), dice.uniform(0.3, 2.5) * HOUR),
        _ => (dice.uniform(0.01, 0.12), dice.uniform(0.1, 1.0) * HOUR),
    };
    let tooth = match dice.pick(4) {
        0 => 0.005,
        1 => 0.02,
        2 => dice.uniform(0.03, 0.10),
        _ => dice.uniform(0.10, 0.25),
    };
    World {
        managed: dice.chance(0.5),
        base: dice.uniform(0.12, 0.40),
        coupling,
        smooth: smoothed(&load, 10.0),
        work: running_sum(&load),
        load,
        noise_of: (sd, tau),
        noise,
        bursts_of,
        bursts,
        warm,
        trend: Trend::None,
        tooth,
        period: dice.log_uniform(2.0, 45.0),
        incomplete: dice.uniform(0.0, 0.25),
        healthy,
    }
}

fn noise(total: usize, (sd, tau): (f64, f64), dice: &mut Dice) -> Vec<f64> {
    dice.correlated(total, tau).iter().map(|x| x * sd).collect()
}

fn load(total: usize, diurnal: bool, dice: &mut Dice) -> Vec<f64> {
    let (sd, tau) = (dice.uniform(0.03, 0.12), dice.uniform(5.0, 60.0));
    let wobble = dice.correlated(total, tau);
    let (amplitude, phase, second) =
        (dice.uniform(0.3, 0.9), dice.uniform(0.0, 1440.0), dice.uniform(0.0, std::f64::consts::TAU));
    (0..total)
        .map(|i| {
            let angle = (i as f64 + phase) / 1440.0 * std::f64::consts::TAU;
            let day =
                if diurnal { amplitude * (angle.sin() + 0.25 * (2.0 * angle + second).sin()) } else { 0.0 };
            ((1.0 + day).max(0.05) * (1.0 + sd * wobble[i])).max(0.02)
        })
        .collect()
}

fn smoothed(x: &[f64], tau: f64) -> Vec<f64> {
    let mut level = x[0];
    x.iter()
        .map(|v| {
            level += (v - level) / tau;
            level
        })
        .collect()
}

fn running_sum(x: &[f64]) -> Vec<f64> {
    let mut sum = 0.0;
    x.iter()
        .map(|v| {
            sum += v;
            sum
        })
        .collect()
}

fn bursts(total: usize, batch: bool, dice: &mut Dice) -> Vec<f64> {
    let mut out = vec![0.0; total];
    let gap = if batch { dice.uniform(4.0, 24.0) } else { dice.uniform(8.0, 48.0) } * HOUR;
    let (top, longest) = if batch { (0.25, 150.0) } else { (0.15, 60.0) };
    let mut add = |from: f64, length: f64, height: f64| {
        let (a, b) = (from as usize, ((from + length) as usize).min(total));
        out.iter_mut().take(b).skip(a).for_each(|x: &mut f64| *x = x.max(height));
    };
    let mut t = dice.exponential(gap);
    while t < total as f64 {
        add(t, dice.uniform(5.0, longest), dice.uniform(if batch { 0.05 } else { 0.03 }, top));
        t += dice.exponential(gap);
    }
    if batch {
        let (hour, length, height) =
            (dice.uniform(0.0, 1440.0), dice.uniform(30.0, 150.0), dice.uniform(0.05, 0.25));
        let mut t = hour;
        while t < total as f64 {
            add(t + dice.uniform(-10.0, 10.0).max(-t), length, height);
            t += 1440.0;
        }
    }
    out
}

fn set_trend(world: &mut World, class: usize, life: f64, uptime: f64, total: usize, dice: &mut Dice) {
    let ceiling = if world.managed { 0.97 } else { 1.0 - world.tooth };
    let headroom = (ceiling - world.base - world.warm.0).max(0.2);
    let life = life + if class == LEAK_DEPLOY { 0.0 } else { uptime };
    let slope = headroom / life;
    world.trend = match class {
        CACHE_FILL => {
            let room = (0.85 - world.base - world.warm.0).max(0.2);
            world.tooth = world.tooth.min(0.12);
            Trend::Fill { amount: dice.uniform(0.20, 0.50).min(room), tau: dice.uniform(4.0, 30.0) }
        }
        LEAK_BURST => {
            let per_hour = dice.log_uniform(0.3, 3.0);
            Trend::Jumps { sums: jumps(total, per_hour, slope / per_hour, dice), rate: slope, per_hour }
        }
        LEAK_POWER => {
            let power = dice.uniform(0.55, 0.8);
            Trend::Power { factor: headroom / life.powf(power), power }
        }
        LEAK_TRAFFIC => Trend::Traffic { slope },
        c if c >= HEALTHY => Trend::Linear { slope },
        _ => Trend::None,
    };
}

/// Compound Poisson with gamma (shape 2) sizes.
fn jumps(total: usize, per_hour: f64, mean: f64, dice: &mut Dice) -> Vec<f64> {
    let (mut sum, mut next) = (0.0, dice.exponential(HOUR / per_hour));
    (0..total)
        .map(|i| {
            while next <= i as f64 {
                sum += dice.exponential(0.5 * mean) + dice.exponential(0.5 * mean);
                next += dice.exponential(HOUR / per_hour);
            }
            sum
        })
        .collect()
}

fn plan_starts(world: &World, class: usize, uptime: f64, dice: &mut Dice) -> Vec<Start> {
    let leaks = !matches!(class, LEAK_DEPLOY);
    let first =
        Start { first: 0, start: -uptime * HOUR, version: 0, base: world.base, warm: world.warm.0, leaks };
    let mut starts = vec![first];
    match class {
        RESTARTS | LEAK_RESTARTS => regular_restarts(world, &mut starts, dice),
        STEP => {
            for _ in 0..=dice.pick(3) {
                deploy(&mut starts, dice.uniform(4.0, 68.0), dice.uniform(-0.15, 0.25));
            }
        }
        LEAK_DEPLOY => {
            deploy(&mut starts, dice.uniform(12.0, 40.0), dice.uniform(-0.03, 0.03));
            if let Some(last) = starts.last_mut() {
                last.leaks = true;
            }
        }
        _ if dice.chance(0.3) => deploy(&mut starts, dice.uniform(6.0, 60.0), dice.uniform(-0.03, 0.03)),
        _ => {}
    }
    starts.sort_by_key(|s| s.first);
    let mut version = 0;
    for s in &mut starts {
        version += u32::from(s.version > 0);
        s.version = version;
    }
    vary(&mut starts, dice);
    starts
}

/// None begins outside what services do, and none after the first warms up just as the one before.
fn vary(starts: &mut [Start], dice: &mut Dice) {
    for (k, s) in starts.iter_mut().enumerate() {
        s.base = s.base.clamp(0.06, 0.55);
        if k > 0 {
            s.warm *= dice.uniform(0.85, 1.15);
        }
    }
}

fn regular_restarts(world: &World, starts: &mut Vec<Start>, dice: &mut Dice) {
    let every = dice.uniform(3.0, 12.0);
    starts[0].start = starts[0].start.max(-every * HOUR);
    let mut t = (starts[0].start / HOUR + every * dice.uniform(0.8, 1.2)).max(0.2);
    while t < 71.5 {
        let minute = (t * HOUR) as usize;
        let base = world.base + dice.uniform(-0.003, 0.003);
        starts.push(Start {
            first: minute,
            start: minute as f64,
            version: 0,
            base,
            warm: world.warm.0,
            leaks: true,
        });
        t += every * dice.uniform(0.8, 1.2);
    }
}

fn deploy(starts: &mut Vec<Start>, at: f64, shift: f64) {
    let minute = (at * HOUR) as usize;
    let before = starts[starts.len() - 1].clone();
    starts.push(Start {
        first: minute,
        start: minute as f64,
        version: 1,
        base: before.base + shift,
        ..before
    });
}

fn simulate(class: usize, world: &World, starts: &[Start], dice: &mut Dice) -> Service {
    let mut seen = Series { rss: Vec::with_capacity(LENGTH), floor: Vec::with_capacity(LENGTH) };
    let (mut runs, mut kill) = (Vec::new(), None);
    for (k, start) in starts.iter().enumerate() {
        let end = starts.get(k + 1).map_or(LENGTH, |s| s.first);
        let death = life_of(world, start, end, &mut seen, dice);
        runs.push(Run { first: start.first, start: start.start, version: start.version, death });
        if death.is_some_and(|d| d < end) {
            kill = death;
            break;
        }
    }
    let Series { rss, floor } = seen;
    let n = rss.len();
    let ws = working_set(class, &rss, &world.load, dice);
    let onset = (!world.healthy).then(|| starts.iter().find(|s| s.leaks).map_or(0, |s| s.first));
    Service {
        class,
        managed: world.managed,
        rss,
        floor,
        ws,
        load: world.load[..n].to_vec(),
        runs,
        onset,
        kill,
    }
}

/// Simulates one run to `end` into `seen` and, when it leaks, on to its death.
fn life_of(world: &World, start: &Start, end: usize, seen: &mut Series, dice: &mut Dice) -> Option<usize> {
    let mut garbage = Garbage { amount: 0.0, target: world.tooth };
    let last = if start.leaks && !world.healthy { world.load.len() } else { end };
    for i in start.first..last {
        let floor = world.floor(i, start);
        let usage = world.usage(floor, i, &mut garbage, dice);
        if world.dies(floor, usage) {
            return Some(i);
        }
        if i < end {
            seen.rss.push(usage.min(1.0));
            seen.floor.push(floor.min(1.0));
        }
    }
    None
}

/// Usage plus file cache: a little everywhere, climbing and reclaimed in the page cache classes.
fn working_set(class: usize, rss: &[f64], load: &[f64], dice: &mut Dice) -> Vec<f64> {
    let small = dice.uniform(0.005, 0.03);
    let rate = if matches!(class, PAGE_CACHE | LEAK_PAGE) { dice.uniform(0.004, 0.06) / HOUR } else { 0.0 };
    let mut cache = small;
    rss.iter()
        .zip(load)
        .map(|(r, l)| {
            cache += rate * l;
            if r + cache > 0.97 {
                cache = (0.97 - r).max(0.0) * if rate > 0.0 { dice.uniform(0.6, 1.0) } else { 1.0 };
            }
            (r + cache).min(1.0)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_service() {
        assert_eq!(generate(1, 8, 3).rss, generate(1, 8, 3).rss);
        assert_ne!(generate(1, 8, 3).rss, generate(2, 8, 3).rss);
    }

    #[test]
    fn replicas_share_load_and_leak_and_nothing_else() {
        for class in 0..CLASSES.len() {
            let of = replicas(1, class, 3, 3);
            assert_eq!(of[0].rss, generate(1, class, 3).rss);
            for [a, b] in [[0, 1], [1, 2]] {
                let (a, b) = (&of[a], &of[b]);
                let n = a.load.len().min(b.load.len());
                assert_eq!(a.load[..n], b.load[..n]);
                assert_ne!(a.rss[..n], b.rss[..n]);
                assert_eq!((a.leaks(), a.onset), (b.leaks(), b.onset));
            }
        }
    }

    #[test]
    fn healthy_services_live_and_leaking_ones_have_a_death() {
        for (class, name) in CLASSES.iter().enumerate() {
            for index in 0..6 {
                let s = generate(5, class, index);
                assert_eq!(s.leaks(), class >= HEALTHY);
                if s.leaks() {
                    assert!(s.life().is_some_and(|l| l > 120.0), "{name} {index}: {:?}", s.life());
                } else {
                    assert!(s.kill.is_none() && s.rss.len() == LENGTH);
                    assert!(s.rss.iter().all(|x| *x < 0.99));
                }
                assert_eq!(s.rss.len(), s.ws.len());
            }
        }
    }
}
