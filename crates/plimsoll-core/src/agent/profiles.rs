//! When a profile of a workload is due: at a steady pace, and ever more rarely while memory is short.

use super::rules::Profiles;

/// How many times the usual pause is waited at most.
const RAREST: f64 = 8.0;

/// The pace of one workload.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pace {
    next: f64,
    /// Times the usual pause.
    slower: f64,
}

impl Pace {
    /// Whether one is due now (Unix seconds). Under pressure none is, and the next look is later each time.
    pub fn due(&mut self, now: f64, rules: &Profiles, pressed: bool) -> bool {
        // A clock that was set back must not hold everything up.
        let waits = self.next - now;
        if waits > 0.0 && waits <= RAREST * rules.every {
            return false;
        }
        self.slower = if pressed { (2.0 * self.slower).clamp(1.0, RAREST) } else { 1.0 };
        self.next = now + self.slower * rules.every;
        !pressed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_makes_profiles_rarer_and_calm_brings_the_pace_back() {
        let rules = Profiles { every: 60.0, ..Profiles::default() };
        let mut pace = Pace::default();
        assert!(pace.due(1000.0, &rules, false));
        assert!(!pace.due(1059.0, &rules, false));
        assert!(pace.due(1060.0, &rules, false));
        let looks = |pace: &mut Pace, from: f64, pressed| {
            (0..).map(|i| from + f64::from(i)).find(|t| {
                let before = *pace;
                pace.due(*t, &rules, pressed);
                *pace != before
            })
        };
        let mut at = 1060.0;
        for pause in [60.0, 120.0, 240.0, 480.0, 480.0] {
            let next = looks(&mut pace, at, true).expect("one");
            assert_eq!(next - at, pause);
            at = next;
        }
        assert!(pace.due(at + 480.0, &rules, false) && pace.due(at + 540.0, &rules, false));
        assert!(pace.due(10.0, &rules, false), "a clock that was set back");
    }
}
