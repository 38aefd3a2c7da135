//! `plimsoll canary`: how long and how large a canary must be to show a slope.

use plimsoll_core::canary::{Setting, length, smallest};
use plimsoll_core::recording::API_VERSION;
use plimsoll_core::units;
use serde_json::{Value, json};

use super::triage::{bytes, duration};
use crate::error::CliError;
use crate::exit_code;
use crate::output::{self, Format};

/// Numbers of replicas that are shown.
const REPLICAS: [u32; 4] = [1, 3, 10, 30];

/// How long must a canary run, and how large must it be, to show a slope?
///
/// A level shows at once, a slope only with time: some minutes of a canary see no leak. 5 % false alarms, 90 of 100 leaks seen.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  plimsoll canary --noise 20MiB --headroom 600MiB --gone-in 24h
  plimsoll canary --noise 20MiB --headroom 600MiB --gone-in 24h --for 10m     would ten minutes see it?")]
pub(crate) struct Args {
    /// How far a floor lies off its line (standard deviation).
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    noise: f64,

    /// For how long floors lie on the same side of it.
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = duration)]
    alike_for: f64,

    /// The leak that must be seen: it takes so much memory ...
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    headroom: f64,

    /// ... in this time.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    gone_in: f64,

    /// Add this for the warm-up.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    warm_up: f64,

    /// A length that is planned: would it do?
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    planned: Option<f64>,
}

/// One size of a canary.
struct Size {
    replicas: u32,
    seconds: f64,
    /// The smallest slope that the planned length shows; nothing when it is all warm-up.
    smallest: Option<f64>,
}

pub(crate) fn run(args: &Args, format: Format) -> Result<u8, CliError> {
    let difference = args.headroom / args.gone_in;
    let size = |replicas: u32| {
        let setting = Setting {
            noise: args.noise,
            alike_for: args.alike_for,
            replicas: f64::from(replicas),
            difference,
        };
        let planned = args.planned.map(|planned| planned - args.warm_up);
        let smallest = planned.and_then(|seconds| smallest(&setting, seconds));
        Some(Size { replicas, seconds: args.warm_up + length(&setting)?, smallest })
    };
    let sizes: Option<Vec<Size>> = REPLICAS.into_iter().map(size).collect();
    let sizes =
        sizes.ok_or_else(|| CliError::usage("--noise, --headroom and --gone-in must be above zero"))?;
    let text = match format {
        Format::Table => screen(args, difference, &sizes),
        _ => crate::render::json::text(&document(args, difference, &sizes), format),
    };
    output::result(&text)?;
    let is_enough = |planned: f64| sizes.iter().any(|s| s.seconds <= planned);
    Ok(if args.planned.is_none_or(is_enough) { exit_code::FINE } else { exit_code::CANNOT_JUDGE })
}

fn screen(args: &Args, difference: f64, sizes: &[Size]) -> String {
    let mut out = format!(
        "a leak of {} against a baseline of as many replicas, {} of warm-up counted; 5 % false alarms, 90 % seen\n",
        units::rate(difference),
        units::duration(args.warm_up)
    );
    for s in sizes {
        let planned = match (args.planned, s.smallest) {
            (None, _) => String::new(),
            (Some(_), None) => "; the planned time is all warm-up".to_owned(),
            (Some(planned), Some(smallest)) => {
                let word = if s.seconds <= planned { "does" } else { "is too short" };
                format!("; {} {word}: it shows {} and more", units::duration(planned), units::rate(smallest))
            }
        };
        let plural = if s.replicas == 1 { "" } else { "s" };
        out += &format!("{:>3} replica{plural}  {}{planned}\n", s.replicas, units::duration(s.seconds));
    }
    out
}

/// The document (`docs/json.md`).
fn document(args: &Args, difference: f64, sizes: &[Size]) -> Value {
    let size = |s: &Size| {
        let is_enough = args.planned.map(|planned| s.seconds <= planned);
        json!({"replicas": s.replicas, "seconds": s.seconds, "smallestBytesPerSecond": s.smallest, "plannedIsEnough": is_enough})
    };
    json!({
        "apiVersion": API_VERSION, "kind": "CanaryPlan", "bytesPerSecond": difference, "warmUpSeconds": args.warm_up,
        "falseAlarms": 0.05, "power": 0.9, "sizes": sizes.iter().map(size).collect::<Vec<_>>(),
    })
}
