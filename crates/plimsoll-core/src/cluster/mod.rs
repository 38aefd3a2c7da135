//! Workloads of a cluster, judged from the history that a monitoring system already has: all lives of all replicas of a
//! workload together, the next to die first.
//!
//! A replica that is restarted before it dies hides its leak, and one replica alone is noisy: so the lives of all replicas go
//! into one question, and the clock is that of the replica that is nearest to its limit. Replicas that were born together
//! die together: that is a [`Wave`].

mod apart;
mod bind;
mod calm;
mod judge;
mod limits;
mod marked;
mod net;
#[cfg(test)]
mod tests;
mod wave;
mod work;

pub use bind::bind;
pub use judge::{judge, judge_with, rank, with_question};
pub use limits::Limits;
pub use marked::set_against;
pub use net::Net;
pub use work::Work;

use serde::{Deserialize, Serialize};

use crate::mark::Mark;
use crate::series::Point;
use crate::slope::{Death, Interval, Samples, Shape};

/// One run of one container, from its start to its end or to now.
#[derive(Debug, Clone, PartialEq)]
pub struct Life {
    /// Start of the process, Unix seconds.
    pub start: f64,
    /// What ran: an image, or the revision of its template.
    pub version: Option<String>,
    /// The number that is judged, in order of time; bytes.
    pub points: Vec<Point>,
}

/// One container of one pod, over its restarts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Replica {
    /// Name of the pod.
    pub pod: String,
    /// Its lives, oldest first.
    pub lives: Vec<Life>,
    /// What kills it, bytes.
    pub limits: Limits,
    /// Requests per second that it serves, where that is known.
    pub load: Vec<Point>,
    /// Share of the last hour in which something in it waited for memory, where that is known.
    pub waits: Option<f64>,
    /// Whether an agent says that evidence of it would be written, where one watches it.
    pub net: Option<bool>,
}

impl Replica {
    /// What kills it now, bytes.
    pub fn limit(&self) -> Option<f64> {
        self.limits.now()
    }

    fn last(&self) -> Option<Point> {
        self.lives.last()?.points.last().copied()
    }
}

/// All replicas of one container of one deployment, stateful set and so on.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// The cluster, where several are told apart; else empty.
    pub cluster: String,
    /// Namespace.
    pub namespace: String,
    /// Name of what owns the pods.
    pub name: String,
    /// Name of the container.
    pub container: String,
    /// The number that is judged, in words.
    pub number: String,
    /// Whether that is a heap, and no more than a part of what the container uses.
    pub is_heap: bool,
    /// What its samples are.
    pub samples: Samples,
    /// How the limit ends it.
    pub death: Death,
    /// Its replicas.
    pub replicas: Vec<Replica>,
    /// Kills for want of memory that were counted, where that is known.
    pub kills: Option<u64>,
}

impl Workload {
    /// Whether `words` name it: NAME, NAMESPACE/NAME, or CLUSTER/NAMESPACE/NAME.
    #[must_use]
    pub fn is_called(&self, words: &str) -> bool {
        let mut asked = words.rsplitn(3, '/');
        let own = [&self.name, &self.namespace, &self.cluster];
        own.into_iter().all(|own| asked.next().is_none_or(|part| part == own))
    }

    /// How many versions ran.
    pub fn versions(&self) -> usize {
        let all = self.replicas.iter().flat_map(|r| &r.lives).filter_map(|l| l.version.as_ref());
        all.collect::<std::collections::BTreeSet<_>>().len()
    }

    /// What was known at `t` (Unix seconds) and not later: for walks that never look ahead.
    #[must_use]
    pub fn until(&self, t: f64) -> Workload {
        let mut known = self.cut(&|points| points[..points.partition_point(|p| p.t <= t)].to_vec());
        known.replicas.iter_mut().for_each(|r| r.limits = r.limits.until(t));
        known
    }

    /// What was seen at `t` (Unix seconds) and later.
    #[must_use]
    pub fn since(&self, t: f64) -> Workload {
        self.cut(&|points| points[points.partition_point(|p| p.t < t)..].to_vec())
    }

    fn cut(&self, kept: &dyn Fn(&[Point]) -> Vec<Point>) -> Workload {
        let life = |l: &Life| Life { start: l.start, version: l.version.clone(), points: kept(&l.points) };
        let replica = |r: &Replica| Replica {
            pod: r.pod.clone(),
            lives: r.lives.iter().map(life).filter(|l| !l.points.is_empty()).collect(),
            limits: r.limits.clone(),
            load: kept(&r.load),
            waits: r.waits,
            net: r.net,
        };
        let replicas = self.replicas.iter().map(replica).filter(|r| !r.lives.is_empty()).collect();
        Workload {
            replicas,
            cluster: self.cluster.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            container: self.container.clone(),
            number: self.number.clone(),
            ..*self
        }
    }
}

/// How a workload's memory moves, in the words of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Movement {
    /// Climbs without a plateau.
    Leak,
    /// The same, and restarts have kept it from showing.
    RestartMasked,
    /// Rose in its first hours, and stays there.
    WarmUp,
    /// Rises towards a plateau over longer: a cache that fills.
    Saturating,
    /// Rises and falls with the time of day.
    Daily,
    /// Jumped once.
    Step,
    /// Stays where it is.
    Flat,
    /// A climb and a plateau cannot be told apart yet.
    Undecided,
}

impl Movement {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Movement::Leak => "leak",
            Movement::RestartMasked => "leak, restarts hide it",
            Movement::WarmUp => "warmed up, then flat",
            Movement::Saturating => "fills up to a plateau",
            Movement::Daily => "goes with the day",
            Movement::Step => "a step, then flat",
            Movement::Flat => "flat",
            Movement::Undecided => "climb or plateau",
        }
    }
}

/// What is known of a workload that could be judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Pod whose clock this is: the one nearest to its limit, or one that climbs as the others do not.
    pub pod: String,
    /// The floor of that pod, bytes.
    pub floor: f64,
    /// Slope of the floor, bytes per second.
    pub slope: Interval,
    /// Seconds to the limit; infinite without one, or where nothing climbs.
    pub time_to_limit: Interval,
    /// Probability of a climb without a plateau, as it was learnt of such climbs where there is a limit.
    pub p_leak: f64,
    /// How it moves.
    pub movement: Movement,
    /// Shape of the model that holds most.
    pub shape: Shape,
    /// When the climb began, Unix seconds, where that was seen.
    pub onset: Option<Interval>,
    /// The version that came with the onset, where one did.
    pub since: Option<String>,
    /// The mark that is nearest to the onset, and how many more are as near, where one is.
    pub since_mark: Option<(Mark, usize)>,
    /// Seconds of further observation that would tell leak and plateau apart.
    pub undecided_for: Option<f64>,
    /// Replicas that die close together.
    pub wave: Option<Wave>,
    /// Where it was judged without the others: how many of them hardly climb.
    pub unlike: Option<Unlike>,
    /// A limit that would do, bytes, where the present one is far too large.
    pub enough: Option<f64>,
    /// What the climb goes with, where requests are counted and tell it.
    pub work: Option<Work>,
}

/// How another number of the same workload moves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Other {
    /// The number, in words.
    pub number: String,
    /// Whether it is a heap.
    pub is_heap: bool,
    /// How it moves.
    pub movement: Movement,
}

/// Replicas that do not climb as one of them does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unlike {
    /// How many hardly climb beside it.
    pub replicas: usize,
    /// Of how many others whose climb is known.
    pub of: usize,
}

/// Replicas that reach their limit close together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wave {
    /// How many.
    pub replicas: usize,
    /// Seconds from the first to the last.
    pub within: f64,
    /// Seconds between two restarts that would spread them evenly.
    pub stagger: f64,
}

/// One row of the screen.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The cluster, where several are told apart; else empty.
    pub cluster: String,
    /// Namespace, owner and container.
    pub namespace: String,
    /// Owner of the pods.
    pub name: String,
    /// Container.
    pub container: String,
    /// The number that was judged.
    pub number: String,
    /// Whether that is a heap.
    pub is_heap: bool,
    /// Another number of it that was judged.
    pub other: Option<Other>,
    /// Replicas alive now.
    pub replicas: usize,
    /// Restarts that were seen in the time looked at.
    pub restarts: usize,
    /// Kills for want of memory, where that is known.
    pub kills: Option<u64>,
    /// The limit of the pod whose clock it is, bytes.
    pub limit: Option<f64>,
    /// What would be left of it.
    pub net: Net,
    /// The pod in which something waited for memory the longest of the last hour, and the share of it.
    pub waits: Option<(String, f64)>,
    /// What is known, or why nothing is and seconds until it can be.
    pub verdict: Result<Verdict, (String, Option<f64>)>,
}

impl Row {
    /// Whether it climbs towards its death.
    pub fn is_finding(&self) -> bool {
        let leaks = |v: &Verdict| matches!(v.movement, Movement::Leak | Movement::RestartMasked);
        self.verdict.as_ref().is_ok_and(leaks)
    }
}
