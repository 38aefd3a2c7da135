//! The agent's configuration: YAML, every mistake named with its line.

use plimsoll_core::agent::Rules;

/// The rules in a configuration; an empty one is the default.
///
/// # Errors
/// What is wrong, with the line where there is one.
pub fn rules(text: &str) -> Result<Rules, String> {
    if text.lines().all(|l| l.trim().is_empty() || l.trim_start().starts_with('#')) {
        return Ok(Rules::default());
    }
    let rules: Rules = serde_saphyr::from_str(text).map_err(|e| e.to_string())?;
    match rules.wrong() {
        Some(wrong) => Err(wrong),
        None => Ok(rules),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_core::agent::Mode;

    #[test]
    fn rules_are_read() {
        assert_eq!(rules("# nothing\n").unwrap(), Rules::default());
        let r =
            rules("mode: capture\nevery: 5s\nbrake:\n  raiseShare: 0.5\n  for: 2m\nonly: [java]\n").unwrap();
        assert_eq!((r.mode, r.every, r.brake.unwrap().for_seconds), (Mode::Capture, 5.0, 120.0));
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        for (text, parts) in [
            ("mode: capture\nevry: 5s\n", ["evry", "line 2"]),
            ("every: soon\n", ["a time such as", "line 1"]),
            ("mode: [\n", ["line", ""]),
            ("every: 2h\n", ["every", "between"]),
            ("mode: capture\nbrake: brak\n", ["expected auto, raise, park", "line 2"]),
            ("brake:\n  use: auto\n  fro: 2m\n", ["fro", "line 3"]),
            ("brake: {use: stop}\n", ["not stop", "line 1"]),
            ("brake: {standStill: 1h}\n", ["standStill", "not be longer than 10m"]),
        ] {
            let said = rules(text).unwrap_err();
            assert!(parts.iter().all(|p| said.contains(p)), "{text:?}: {said}");
        }
    }
}
