//! A line of standard input for each iteration, which the program answers with a line.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use plimsoll_core::guard::{KeyMode, Template};

use super::{Done, Halt, Keys, Load};
use crate::growth::Program;
use crate::world::World;

/// Writes lines to a program of ours.
pub struct StdinLoad {
    /// The program.
    pub program: Program,
    /// The line.
    pub line: Template,
    /// Which keys.
    pub keys: Keys,
    /// Longest wait for one answer.
    pub patience: Duration,
}

impl Load for StdinLoad {
    fn round(&mut self, count: u64, mode: KeyMode, stop: &AtomicBool) -> Result<Done, Halt> {
        let (keys, patience, template) = (self.keys, self.patience, self.line.clone());
        let lines = (0..count).map(|n| keys.expand(&template, n, mode));
        self.program.say_while(lines, |program| {
            for answered in 0..count {
                program.line(stop, patience).map_err(|halt| match halt {
                    Halt::Finished => Halt::Ended("it closed its output".to_owned()),
                    Halt::Broken(why) => Halt::Broken(format!(
                        "{why}, after {answered} of {count} answers of a round: each line is to be answered by one"
                    )),
                    halt => halt,
                })?;
            }
            Ok(())
        })?;
        self.keys.next += count;
        Ok(Done { iterations: count, failed: 0, marker: None })
    }

    fn pid(&self, _world: &World, _said: Option<i32>) -> i32 {
        self.program.pid()
    }

    fn end(&mut self) {
        self.program.finish();
    }
}
