//! From what keys are made of to what makes such keys: templates of the growth test's load, out of the templates that real
//! keys have in common. No key itself is repeated.

use super::keys::LONGEST_HEX;
use crate::keys::SlotKind;

/// A slot with as many values as this share of its keys gets a new one each time.
const NEW: f64 = 0.3;

/// One place of a template that varies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Varies {
    /// What it is made of.
    pub kind: SlotKind,
    /// Different values that were seen.
    pub distinct: u64,
}

/// `/users/{number}/orders?page={number}` with its slots and the number of its keys as a template that [`super::Template`]
/// reads: `/users/{i}/orders?page={n%50}`.
///
/// What varies with nearly every key gets a new value each time, what has few values stays among as many.
pub fn generator(text: &str, slots: &[Varies], keys: u64) -> String {
    let (mut out, mut rest, mut slots) = (String::new(), text, slots.iter());
    while let Some(at) = rest.find('{') {
        let Some((name, after)) = rest[at + 1..].split_once('}') else { break };
        out.push_str(&rest[..at].replace('}', "}}"));
        rest = after;
        // A list of words has a slot, too; what hides a secret's word has none.
        let slot = if name == SlotKind::Word.name() { None } else { slots.next() };
        out.push_str(&placeholder(name, slot, keys));
    }
    out.push_str(&rest.replace('{', "{{").replace('}', "}}"));
    out
}

/// Words of a list; a key may have braces and strokes of its own.
fn is_list(name: &str) -> bool {
    name.contains('|') && name.split('|').all(|w| !w.is_empty() && !w.contains('{'))
}

fn placeholder(name: &str, slot: Option<&Varies>, keys: u64) -> String {
    let bounded = slot.map(|s| s.distinct.max(1)).filter(|d| (*d as f64) < NEW * keys as f64);
    match (name, bounded) {
        (list, _) if is_list(list) => format!("{{{list}}}"),
        ("number", Some(values)) => format!("{{n%{values}}}"),
        ("number", None) => "{i}".to_owned(),
        ("uuid", _) => "{uuid}".to_owned(),
        ("token", _) => "{token}".to_owned(),
        ("word", _) => "{word}".to_owned(),
        (hex, _) => {
            let digits = hex.strip_prefix("hex").and_then(|d| d.parse::<usize>().ok());
            digits.map_or_else(|| "{hex}".to_owned(), |d| format!("{{hex{}}}", d.clamp(1, LONGEST_HEX)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::{KeyMode, Template};
    use crate::keys::Keys;

    #[test]
    fn keys_made_from_the_templates_of_real_keys_have_the_same_templates() {
        let mut keys = Keys::default();
        for n in 0..4000_u64 {
            let hex = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 << 63;
            keys.push(&format!(
                "/users/{}/orders?page={}&sort={}&trace={hex:016x}",
                70_000 + n,
                n % 40,
                ["asc", "desc"][n as usize % 2]
            ));
        }
        let said = keys.finish();
        let [template] = said.templates.as_slice() else { panic!("{said:?}") };
        let slots: Vec<Varies> =
            template.slots.iter().map(|s| Varies { kind: s.kind, distinct: s.distinct }).collect();
        let text = generator(&template.text, &slots, template.count);
        assert_eq!(text, "/users/{i}/orders?page={n%40}&sort={asc|desc}&trace={hex16}");
        let made = Template::parse(&text).expect("a template of the load");
        let mut again = Keys::default();
        (70_000..74_000).for_each(|n| again.push(&made.expand(n, KeyMode::Distinct, 1)));
        assert_eq!(again.finish().templates[0].text, template.text);
    }

    #[test]
    fn braces_that_are_none_stay_braces() {
        assert_eq!(generator("/a{", &[], 9), "/a{{");
        assert_eq!(generator("id={word}:{uuid}", &[], 9), "id={word}:{uuid}");
        for text in ["/a{", "/}a/{number}}", "{hex500}", "{hex}", "{strange}", "/{{|ord}", "{{a|b}"] {
            let made = generator(text, &[], 9);
            assert!(Template::parse(&made).is_ok(), "{text}: {made}");
        }
    }
}
