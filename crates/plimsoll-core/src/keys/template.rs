//! A template as text: what keys of one shape have in common. What stands for a few keys only would be a key itself, and
//! shows its make alone.

use std::collections::HashMap;

use super::{FEW, Part, Shape, Slot, SlotKind, Template, Values};

/// Different keys that a template stands for at least, if its words are to be shown.
const MANY_KEYS: u64 = 3;
/// Digits of a number that is the same in all keys, and is shown: a version, a year, the size of a page.
const SHORT: usize = 4;
/// How a slot without a name is named: by what it comes after, or as all there is.
pub(super) const AFTER: &str = "after ";
pub(super) const ITSELF: &str = "the key itself";

/// Those of all shapes, most keys first; shapes that show their make only may come to the same.
pub(super) fn templates(shapes: &[Shape], is_secret: fn(&str) -> bool) -> Vec<Template> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut all: Vec<Template> = Vec::new();
    for shape in shapes {
        let template = template(shape, is_secret);
        let place = *places.entry(template.text.clone()).or_insert(all.len());
        match all.get_mut(place) {
            Some(known) => known.count += template.count,
            None => all.push(template),
        }
    }
    all.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.text.cmp(&b.text)));
    all
}

fn template(shape: &Shape, is_secret: fn(&str) -> bool) -> Template {
    let (count, example) = (shape.count, shape.example.clone());
    let slots = slots(shape);
    let different = slots.iter().map(|slot| slot.distinct).max().unwrap_or(1);
    if different < MANY_KEYS {
        let text = make(shape);
        return Template { normal: text.clone(), text, count, example, slots: Vec::new() };
    }
    let mut text = String::new();
    for part in &shape.pieces {
        let hidden = name_before(&text).is_some_and(is_secret);
        match part {
            Part::Delimiter(c) => text.push(*c),
            Part::Word(_) if hidden => text.push_str(&braced(SlotKind::Word)),
            Part::Word(word) => text.push_str(word),
            Part::Slot(values) if hidden => text.push_str(&kind_text(values)),
            Part::Slot(values) => text.push_str(&slot_text(values, count)),
        }
    }
    Template { text, normal: normal_form(shape, is_secret), count, example, slots }
}

/// What keys are made of, without anything that stands in them but delimiters.
fn make(shape: &Shape) -> String {
    let mut text = String::new();
    for part in &shape.pieces {
        match part {
            Part::Delimiter(c) => text.push(*c),
            Part::Word(_) => text.push_str(&braced(SlotKind::Word)),
            Part::Slot(values) => text.push_str(&kind_text(values)),
        }
    }
    text
}

/// The slots of a shape, from left to right.
pub(super) fn slots(shape: &Shape) -> Vec<Slot> {
    let (mut text, mut slots) = (String::new(), Vec::new());
    let mut before: Option<&str> = None;
    for part in &shape.pieces {
        match part {
            Part::Delimiter(c) => text.push(*c),
            Part::Word(word) => {
                text.push_str(word);
                before = Some(word);
            }
            Part::Slot(values) => {
                let name = slot_name(&text, before);
                slots.push(Slot { name, kind: values.kind, distinct: values.distinct.count() });
                text.push_str(&kind_text(values));
            }
        }
    }
    slots
}

/// The parameter or field before `=` or `:`.
fn name_before(text: &str) -> Option<&str> {
    let head = text.strip_suffix(['=', ':'])?;
    let name = head.rsplit(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').next();
    name.filter(|name| !name.is_empty())
}

/// The name before it, else what it comes after.
fn slot_name(before: &str, word: Option<&str>) -> String {
    match (name_before(before), word) {
        (Some(name), _) => name.to_owned(),
        (_, Some(word)) => format!("{AFTER}{word}"),
        _ => ITSELF.to_owned(),
    }
}

/// What is the same in all keys stands as it is, unless it may be one person's or one machine's: a long number, hex
/// digits, a token. So do the words of a short list.
fn slot_text(values: &Values, keys: u64) -> String {
    let is_list = values.kind == SlotKind::Word && values.few.len() <= FEW;
    match values.few.as_slice() {
        [only] if is_constant(values) => only.clone(),
        all if is_list && keys >= MANY_KEYS * all.len() as u64 => {
            let mut all = all.to_vec();
            all.sort_unstable();
            format!("{{{}}}", all.join("|"))
        }
        _ => kind_text(values),
    }
}

fn is_constant(values: &Values) -> bool {
    let is_plain = match values.kind {
        SlotKind::Number => values.longest <= SHORT,
        SlotKind::Word => true,
        SlotKind::Hex | SlotKind::Uuid | SlotKind::Token => false,
    };
    is_plain && values.distinct.count() == 1
}

fn kind_text(values: &Values) -> String {
    if values.kind == SlotKind::Hex && values.shortest == values.longest {
        return format!("{{hex{}}}", values.longest);
    }
    braced(values.kind)
}

fn braced(kind: SlotKind) -> String {
    format!("{{{}}}", kind.name())
}

/// A URL without its query, where that has slots; otherwise the template, its slots by name only.
pub(super) fn normal_form(shape: &Shape, is_secret: fn(&str) -> bool) -> String {
    let mut text = String::new();
    for part in &shape.pieces {
        let hidden = name_before(&text).is_some_and(is_secret);
        match part {
            Part::Delimiter('?' | '#') if text.contains('/') => break,
            Part::Delimiter(c) => text.push(*c),
            _ if hidden => text.push_str("{id}"),
            Part::Word(word) => text.push_str(word),
            Part::Slot(values) if is_constant(values) => text.push_str(&slot_text(values, shape.count)),
            Part::Slot(_) => text.push_str("{id}"),
        }
    }
    text
}
