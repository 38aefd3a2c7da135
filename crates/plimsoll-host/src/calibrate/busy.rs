//! Whether the machine is quiet enough to be measured, and has the memory for it.

use std::fs;

use plimsoll_core::units::percent;

use crate::world::World;

/// Share of the last ten seconds in which somebody waited for memory, and for a processor, from which it is not quiet.
const SHORT_OF_MEMORY: f64 = 0.05;
const SHORT_OF_TIME: f64 = 0.25;
/// Load for each processor, where the kernel tells no pressure.
const LOADED: f64 = 0.75;

/// Why a measurement would harm, or tell nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Busy {
    /// Memory is short: whatever is started here may have something killed.
    pub pressed: Option<String>,
    /// Others run: times would be theirs, too.
    pub busy: Option<String>,
}

impl Busy {
    /// Looks at the machine.
    pub fn of(world: &World) -> Busy {
        let share = |name: &str| pressure(world, name);
        let pressed = share("memory").filter(|share| *share > SHORT_OF_MEMORY);
        let waits = share("cpu");
        let busy = waits.filter(|share| *share > SHORT_OF_TIME);
        let loaded = if waits.is_none() { load(world).filter(|load| *load > LOADED) } else { None };
        Busy {
            pressed: pressed.map(|s| format!("somebody waited for memory {} of the last 10 s", percent(s))),
            busy: busy
                .map(|s| format!("somebody waited for a processor {} of the last 10 s", percent(s)))
                .or_else(|| loaded.map(|load| format!("the load was {load:.1} for each processor"))),
        }
    }
}

/// `avg10` of the line of some.
fn pressure(world: &World, name: &str) -> Option<f64> {
    let text = fs::read_to_string(world.proc_root.join("pressure").join(name)).ok()?;
    let some = text.lines().find(|l| l.starts_with("some "))?;
    let average: f64 = some.split(' ').find_map(|w| w.strip_prefix("avg10="))?.parse().ok()?;
    Some(average / 100.0)
}

fn load(world: &World) -> Option<f64> {
    let text = fs::read_to_string(world.proc_root.join("loadavg")).ok()?;
    let load: f64 = text.split(' ').next()?.parse().ok()?;
    let processors = std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64);
    Some(load / processors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_comes_first_and_the_load_where_there_is_none() {
        let root = tempfile::tempdir().expect("a folder");
        let world = World { proc_root: root.path().to_owned(), ..World::default() };
        assert_eq!(Busy::of(&world), Busy::default(), "nothing is known");
        let write = |name: &str, text: &str| fs::write(root.path().join(name), text).expect("written");
        write("loadavg", "10000.0 1 1 1/1 1\n");
        assert!(Busy::of(&world).busy.is_some_and(|why| why.contains("load")));
        fs::create_dir(root.path().join("pressure")).expect("made");
        write("pressure/memory", "some avg10=0.50 avg60=9.00 avg300=0.00 total=1\nfull avg10=9.00\n");
        write("pressure/cpu", "some avg10=10.00 avg60=90.00 avg300=0.00 total=1\n");
        assert_eq!(Busy::of(&world), Busy::default());
        write("pressure/memory", "some avg10=7.00 avg60=0.00 avg300=0.00 total=1\n");
        write("pressure/cpu", "some avg10=60.00 avg60=0.00 avg300=0.00 total=1\n");
        let found = Busy::of(&world);
        assert_eq!(found.pressed.as_deref(), Some("somebody waited for memory 7.0 % of the last 10 s"));
        assert!(found.busy.is_some_and(|why| why.contains("60 %")));
    }
}
