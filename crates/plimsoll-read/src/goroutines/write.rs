//! Goroutines that were read from outside, as text: the form of `debug=1` with states, waits and creators.

use super::Goroutines;
use super::grouped::{CREATOR, CUT, LEAKED, MINUTES, NOTE, OUTSIDE, STATE};

impl Goroutines {
    /// The groups as text, which this reader reads as well as it does Go's own. `version` is that of the program's Go.
    pub fn to_text(&self, version: &str) -> String {
        let one_line = |text: &str| text.replace(['\n', '\r'], " ");
        let mut out = format!("goroutine profile: total {}\n{OUTSIDE}{}\n", self.counted, one_line(version));
        // A name with an end of line in it would be read as two lines.
        let mut line = |text: String| {
            out.push_str(&one_line(&text));
            out.push('\n');
        };
        for note in self.warnings.list() {
            line(format!("{NOTE}{note}"));
        }
        if let Some(why) = &self.truncated {
            line(format!("{CUT}{why}"));
        }
        for g in &self.groups {
            line(format!("{} @", g.count));
            if let Some(state) = &g.state {
                line(format!("{STATE}{state}"));
            }
            if let Some((low, high)) = g.minutes {
                line(format!("{MINUTES}{low} {high} {}", g.dated));
            }
            if g.leaked > 0 {
                line(LEAKED.to_owned());
            }
            if let Some(c) = &g.creator {
                line(format!("{CREATOR}{}\t{}", c.function, c.location));
            }
            for f in &g.frames {
                line(format!("#\t0x0\t{}\t{}", f.function, f.location));
            }
            line(String::new());
        }
        out
    }
}
