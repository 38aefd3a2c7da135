//! A program that does its rounds by itself and tells of them.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use plimsoll_core::guard::KeyMode;
use plimsoll_core::guard::marker::{self, GO_ON, STOP};

use super::{Done, Halt, Load};
use crate::growth::Program;
use crate::growth::probe::descends;
use crate::world::World;

/// A program that tells of its rounds. What else it prints goes to `echo`.
pub struct MarkerLoad {
    program: Program,
    begun: bool,
    patience: Duration,
    echo: fn(&str),
}

impl MarkerLoad {
    /// Takes over a program; a round may last as long as `patience`.
    pub fn new(program: Program, patience: Duration, echo: fn(&str)) -> MarkerLoad {
        MarkerLoad { program, begun: false, patience, echo }
    }
}

impl Load for MarkerLoad {
    fn round(&mut self, _count: u64, _keys: KeyMode, stop: &AtomicBool) -> Result<Done, Halt> {
        // The first round begins by itself.
        if self.begun {
            self.program.say(&format!("{GO_ON}\n"))?;
        }
        loop {
            let line = self.program.line(stop, self.patience).map_err(|halt| match halt {
                Halt::Finished if !self.begun => Halt::Broken(format!(
                    "{} ended without a line PLIMSOLL ROUND iterations=N: it does not speak the marker protocol",
                    self.program.name()
                )),
                halt => halt,
            })?;
            match marker::parse(&line) {
                None => (self.echo)(&line),
                Some(Err(why)) => {
                    return Err(Halt::Broken(format!("a line of the protocol is wrong: {why}")));
                }
                Some(Ok(m)) => {
                    self.begun = true;
                    return Ok(Done { iterations: m.iterations, failed: m.failed, marker: Some(m) });
                }
            }
        }
    }

    fn pid(&self, world: &World, said: Option<i32>) -> i32 {
        let own = self.program.pid();
        said.filter(|pid| descends(world, *pid, own)).unwrap_or(own)
    }

    fn end(&mut self) {
        // It may have ended by itself.
        let _unheard = self.program.say(&format!("{STOP}\n"));
        self.program.finish();
    }
}
