//! Likely secrets in texts: by their form (keys and tokens with public prefixes, private keys, passwords in addresses,
//! card numbers), or by the name they stand under. What is found is told by kind, place and count, with an example
//! that is masked: no part of this ever hands out a secret.

mod cards;
pub mod dump;
mod forms;
mod named;
pub mod names;

use std::collections::HashMap;

/// Places told apart at most.
const PLACES: usize = 4096;
/// Characters of a secret that its example shows at either end, at most.
const SHOWN: usize = 2;
/// Secrets shorter than this show nothing.
const SHOWN_FROM: usize = 12;

/// What kind of secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A private key in PEM.
    PrivateKey,
    /// A token or key of a service that can be told by its prefix.
    ServiceToken(&'static str),
    /// A JSON web token.
    WebToken,
    /// The value of an `Authorization` header.
    Authorization,
    /// A password in an address such as `https://user:password@host`.
    PasswordInUrl,
    /// A value behind a name that announces a secret, in one text: `password=...`.
    Assignment,
    /// A text in a field, or under a key of a map, whose name announces a secret.
    Named,
    /// The number of a payment card.
    CardNumber,
}

impl Kind {
    /// What a person calls it.
    pub fn words(self) -> String {
        match self {
            Kind::PrivateKey => "private key (PEM)".to_owned(),
            Kind::ServiceToken(service) => format!("{service} token"),
            Kind::WebToken => "JSON web token".to_owned(),
            Kind::Authorization => "authorization header".to_owned(),
            Kind::PasswordInUrl => "password in a URL".to_owned(),
            Kind::Assignment => "value assigned to a secret's name".to_owned(),
            Kind::Named => "value under a secret's name".to_owned(),
            Kind::CardNumber => "card number".to_owned(),
        }
    }
}

/// How sure it is that it is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Confidence {
    /// It may be one.
    Possible,
    /// It has the name and the looks of one.
    Likely,
    /// Hardly anything else has this form.
    Certain,
}

/// A likely secret in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    /// What kind.
    pub kind: Kind,
    /// How sure.
    pub confidence: Confidence,
    /// Where it begins in the text, bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

impl Match {
    /// The match in its text with all but its ends hidden.
    pub fn masked(&self, text: &[u8]) -> String {
        masked(text.get(self.start..self.end).unwrap_or_default())
    }
}

/// Calls `found` with each likely secret in a text of any encoding that contains ASCII. `context` is the name of the
/// field or the key that the text is the value of.
pub fn scan(text: &[u8], context: Option<&str>, mut found: impl FnMut(Match)) {
    let mut any = false;
    forms::scan(text, |found_one| {
        any = true;
        found(found_one);
    });
    if let Some(confidence) = context.filter(|_| !any).and_then(|name| named::judge(name, text)) {
        found(Match { kind: Kind::Named, confidence, start: 0, end: text.len() });
    }
}

/// A secret that can be told from others, but not used: two characters at either end at most, and how many there are.
fn masked(secret: &[u8]) -> String {
    let show = |bytes: &[u8]| -> String {
        bytes.iter().map(|b| if b.is_ascii_graphic() { char::from(*b) } else { '?' }).collect()
    };
    let ends = secret.len().checked_sub(SHOWN).filter(|_| secret.len() >= SHOWN_FROM);
    let shown = ends.and_then(|end| Some((secret.get(..SHOWN)?, secret.get(end..)?)));
    match shown {
        Some((first, last)) => format!("{}...{} ({} characters)", show(first), show(last), secret.len()),
        None => format!("... ({} characters)", secret.len()),
    }
}

/// Likely secrets of one kind at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind.
    pub kind: Kind,
    /// Where: a field of a class, a kind of array.
    pub place: String,
    /// How many.
    pub count: u64,
    /// That of the surest of them.
    pub confidence: Confidence,
    /// The surest of them, masked.
    pub example: String,
}

/// Scans texts and keeps what was found by kind and place.
#[derive(Debug, Default)]
pub struct Scanner {
    found: HashMap<(Kind, String), Found>,
    lost: u64,
}

#[derive(Debug)]
struct Found {
    count: u64,
    confidence: Confidence,
    example: String,
}

impl Scanner {
    /// Scans a text that was seen at `place`.
    pub fn scan(&mut self, text: &[u8], context: Option<&str>, place: &str) {
        scan(text, context, |found| self.add(found.kind, found.confidence, place, || found.masked(text)));
    }

    /// Notes one that was found. `example` is masked already.
    fn add(&mut self, kind: Kind, confidence: Confidence, place: &str, example: impl FnOnce() -> String) {
        let key = (kind, place.to_owned());
        if self.found.len() >= PLACES && !self.found.contains_key(&key) {
            self.lost += 1;
            return;
        }
        let mut example = Some(example);
        let mut make = || example.take().map(|e| e()).unwrap_or_default();
        let entry = self.found.entry(key).or_insert_with(|| Found { count: 0, confidence, example: make() });
        entry.count += 1;
        if confidence > entry.confidence {
            (entry.confidence, entry.example) = (confidence, make());
        }
    }

    /// Secrets found beyond the number of places that are told apart.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// What was found, the surest first, then the most frequent.
    pub fn findings(self) -> Vec<Finding> {
        let finding = |((kind, place), found): ((Kind, String), Found)| {
            let Found { count, confidence, example } = found;
            Finding { kind, place, count, confidence, example }
        };
        let mut all: Vec<Finding> = self.found.into_iter().map(finding).collect();
        all.sort_unstable_by(|a, b| {
            let order = (b.confidence, b.count).cmp(&(a.confidence, a.count));
            order.then_with(|| (a.kind, &a.place).cmp(&(b.kind, &b.place)))
        });
        all
    }
}

#[cfg(test)]
mod tests;
