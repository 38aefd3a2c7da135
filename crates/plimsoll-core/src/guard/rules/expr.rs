//! Expressions over recorded series: written as PromQL for a server, and evaluated here with the same meaning for replays.

use std::fmt;

/// Functions over a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// The slope of a straight line through the samples, per second.
    Deriv,
    /// The mean.
    Avg,
    /// The lowest.
    Min,
    /// The highest.
    Max,
    /// How many samples.
    Count,
    /// How often the value changed.
    Changes,
}

impl Over {
    fn name(self) -> &'static str {
        match self {
            Over::Deriv => "deriv",
            Over::Avg => "avg_over_time",
            Over::Min => "min_over_time",
            Over::Max => "max_over_time",
            Over::Count => "count_over_time",
            Over::Changes => "changes",
        }
    }
}

/// Operators; comparisons keep the left side where they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Sum.
    Add,
    /// Difference.
    Sub,
    /// Product.
    Mul,
    /// Quotient.
    Div,
    /// Left where it is above right.
    Above,
    /// Left where it is below right.
    Below,
    /// Left where right is there.
    And,
    /// Left, or right where left is not there.
    Or,
    /// Left where right is not there.
    Unless,
}

impl Op {
    fn sign(self) -> &'static str {
        match self {
            Op::Add => "+",
            Op::Sub => "-",
            Op::Mul => "*",
            Op::Div => "/",
            Op::Above => ">",
            Op::Below => "<",
            Op::And => "and",
            Op::Or => "or",
            Op::Unless => "unless",
        }
    }

    /// How tightly it binds, as in PromQL.
    fn strength(self) -> u8 {
        match self {
            Op::Or => 1,
            Op::And | Op::Unless => 2,
            Op::Above | Op::Below => 3,
            Op::Add | Op::Sub => 4,
            Op::Mul | Op::Div => 5,
        }
    }
}

/// An expression. Series are named by the rule that records them.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// A constant.
    Number(f64),
    /// The time of the evaluation.
    Now,
    /// A recorded series, so many seconds ago.
    At(&'static str, f64),
    /// A function over a window of a recorded series that ended so many seconds ago.
    Over {
        /// The function.
        over: Over,
        /// The series.
        series: &'static str,
        /// Seconds.
        window: f64,
        /// Seconds.
        ago: f64,
    },
    /// Two expressions.
    Both(Op, Box<Expr>, Box<Expr>),
    /// The mean over replicas and lives of a workload: over one series it is that series.
    OfWorkload(&'static str, Box<Expr>),
}

/// A recorded series now.
pub(super) fn now(series: &'static str) -> Expr {
    Expr::At(series, 0.0)
}

/// A recorded series, seconds ago.
pub(super) fn ago(series: &'static str, seconds: f64) -> Expr {
    Expr::At(series, seconds)
}

/// A function over the last seconds of a series.
pub(super) fn over(over: Over, series: &'static str, window: f64) -> Expr {
    Expr::Over { over, series, window, ago: 0.0 }
}

macro_rules! operators {
    ($($name:ident = $op:ident),+) => {
        impl Expr {
            $(
                #[doc = concat!("Both by `", stringify!($op), "`.")]
                #[must_use]
                pub fn $name(self, right: impl Into<Expr>) -> Expr {
                    Expr::Both(Op::$op, Box::new(self), Box::new(right.into()))
                }
            )+
        }
    };
}

operators!(
    plus = Add,
    minus = Sub,
    times = Mul,
    per = Div,
    above = Above,
    below = Below,
    and = And,
    or = Or,
    unless = Unless
);

impl From<f64> for Expr {
    fn from(number: f64) -> Expr {
        Expr::Number(number)
    }
}

/// Seconds as PromQL writes them.
pub(super) fn span(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    let parts: String = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")]
        .iter()
        .scan(whole, |rest, (size, unit)| {
            let n = *rest / size;
            *rest %= size;
            Some(if n > 0 { format!("{n}{unit}") } else { String::new() })
        })
        .collect();
    if parts.is_empty() { "0s".to_owned() } else { parts }
}

/// A number without digits that say nothing.
pub(super) fn number(value: f64) -> String {
    let text = format!("{value:.6}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if value != 0.0 && value.abs() < 0.001 { format!("{value:e}") } else { text.to_owned() }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offset = |ago: &f64| if *ago > 0.0 { format!(" offset {}", span(*ago)) } else { String::new() };
        match self {
            Expr::Number(v) => f.write_str(&number(*v)),
            Expr::Now => f.write_str("time()"),
            Expr::At(series, ago) => write!(f, "{series}{}", offset(ago)),
            Expr::Over { over, series, window, ago } => {
                write!(f, "{}({series}[{}]{})", over.name(), span(*window), offset(ago))
            }
            Expr::OfWorkload(how, inner) => {
                write!(f, "{how} by (source, namespace, workload, container, instance) ({inner})")
            }
            Expr::Both(op, left, right) => {
                part(f, left, op.strength(), false)?;
                // Conditions stand under each other: these lines are read by people.
                let space = if op.strength() <= 2 { "\n" } else { " " };
                write!(f, "{space}{} ", op.sign())?;
                part(f, right, op.strength(), true)
            }
        }
    }
}

/// One side of an operator, in brackets where PromQL would bind it otherwise.
fn part(f: &mut fmt::Formatter<'_>, side: &Expr, strength: u8, is_right: bool) -> fmt::Result {
    match side {
        Expr::Both(op, ..) if op.strength() < strength || is_right && op.strength() == strength => {
            write!(f, "({side})")
        }
        _ => write!(f, "{side}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promql_binds_as_the_tree_does() {
        let e = now("limit").minus(now("floor")).per(now("slope")).below(86_400.0);
        assert_eq!(e.to_string(), "(limit - floor) / slope < 86400");
        let d = |w| over(Over::Deriv, "floor", w);
        let e = d(10_800.0).above(0.0).and(now("a").above(1.0).or(ago("a", 86_400.0)));
        assert_eq!(e.to_string(), "deriv(floor[3h]) > 0\nand (a > 1\nor a offset 1d)");
        let e = now("a").minus(now("b").minus(now("c")));
        assert_eq!(e.to_string(), "a - (b - c)");
        let e = Expr::Over { over: Over::Deriv, series: "f", window: 5400.0, ago: 5400.0 };
        assert_eq!(e.to_string(), "deriv(f[1h30m] offset 1h30m)");
        assert_eq!(number(31_457_280.0 / 3600.0), "8738.133333");
    }
}
