//! What is to be replaced, and by what.

use super::numbers;
use super::tokens::Tokens;
use crate::hprof::visitor::Type;
use crate::secrets::names::announces_secret;

/// What becomes of `byte[]` and `char[]`, where all text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Texts {
    /// Words and numbers become others of the same shape; what is no text becomes zero.
    #[default]
    Tokens,
    /// All becomes zero.
    Zero,
}

/// What becomes of the other arrays of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Numbers {
    /// All becomes zero.
    #[default]
    Zero,
    /// They stay.
    Keep,
}

/// Fields of numbers to replace, as the user chose them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldRule {
    class: Option<String>,
    field: String,
}

/// Why a choice of fields is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to read the field {0:?}: it is written as package.Class.field, or *.field for all classes")]
pub struct FieldRuleError(String);

impl FieldRule {
    /// From `com.example.User.pin`, or `*.pin` for the field in any class.
    ///
    /// # Errors
    /// [`FieldRuleError`]: there is no class, or no field.
    pub fn parse(text: &str) -> Result<FieldRule, FieldRuleError> {
        let wrong = || FieldRuleError(text.to_owned());
        let (class, field) = text.rsplit_once('.').ok_or_else(wrong)?;
        if class.is_empty() || field.is_empty() {
            return Err(wrong());
        }
        Ok(FieldRule { class: (class != "*").then(|| class.to_owned()), field: field.to_owned() })
    }

    fn names(&self, class: &str, field: &str) -> bool {
        self.field == field && self.class.as_ref().is_none_or(|c| c == class)
    }
}

/// What is to be replaced. By default all that may tell a secret: contents of arrays, numbers in fields whose names
/// announce a secret, and hashes, from which a password can be found by trying.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Arrays of bytes and characters.
    pub texts: Texts,
    /// All other arrays of numbers.
    pub numbers: Numbers,
    /// Fields of numbers, static or not, to replace in any case.
    pub fields: Vec<FieldRule>,
    /// Replace numbers in fields whose names announce a secret.
    pub secret_names: bool,
    /// Replace the numbers that fields named `hash` hold, and the halves of a `java.util.UUID`.
    pub hashes: bool,
    /// Words that are names in the program's code stay readable in texts, three letters or longer.
    pub keep_words: bool,
    /// Memory for what comes before the first object, bytes. Until then it is not known which texts are names; when
    /// there is more, the rest of the names are replaced too.
    pub held: usize,
    /// Memory for names and classes, bytes.
    pub memory: usize,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            texts: Texts::default(),
            numbers: Numbers::default(),
            fields: Vec::new(),
            secret_names: true,
            hashes: true,
            keep_words: false,
            held: 256 << 20,
            memory: 512 << 20,
        }
    }
}

/// How a number in a field is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Number(Type),
    Hash,
}

impl Change {
    pub(super) fn apply(self, tokens: &mut Tokens, bytes: &mut [u8]) {
        match self {
            Change::Number(ty) => numbers::replace(tokens, ty, bytes),
            Change::Hash => numbers::replace_hash(tokens, bytes),
        }
    }
}

impl Policy {
    /// What becomes of a field; nothing when it stays. References always stay.
    pub(super) fn change_of(&self, class: &str, field: &str, ty: Type) -> Option<Change> {
        if ty == Type::Object {
            return None;
        }
        if self.fields.iter().any(|rule| rule.names(class, field)) {
            return Some(Change::Number(ty));
        }
        let is_integer = matches!(ty, Type::Int | Type::Long);
        if self.hashes && is_integer && is_hash(class, field) {
            return Some(Change::Hash);
        }
        // Whether there is a password is not the password.
        let is_secret = self.secret_names && ty != Type::Boolean && announces_secret(field);
        is_secret.then_some(Change::Number(ty))
    }
}

fn is_hash(class: &str, field: &str) -> bool {
    match field {
        "mostSigBits" | "leastSigBits" => class == "java.util.UUID",
        _ => ["hash", "hashCode", "Hash"].iter().any(|end| field.ends_with(end)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_chosen_by_class_and_name() {
        let policy = Policy {
            fields: vec![
                FieldRule::parse("com.example.User.age").unwrap(),
                FieldRule::parse("*.salary").unwrap(),
            ],
            ..Policy::default()
        };
        let change = |class, field, ty| policy.change_of(class, field, ty);
        assert_eq!(change("com.example.User", "age", Type::Int), Some(Change::Number(Type::Int)));
        assert_eq!(change("com.example.Dog", "age", Type::Int), None);
        assert_eq!(change("com.example.Dog", "salary", Type::Double), Some(Change::Number(Type::Double)));
        assert_eq!(change("com.example.Dog", "salary", Type::Object), None);
        for text in ["age", ".age", "User.", ""] {
            assert!(FieldRule::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hashes_and_secret_names_go_by_default() {
        let policy = Policy::default();
        let change = |class, field, ty| policy.change_of(class, field, ty);
        assert_eq!(change("java.lang.String", "hash", Type::Int), Some(Change::Hash));
        assert_eq!(change("java.util.HashMap$Node", "hash", Type::Int), Some(Change::Hash));
        assert_eq!(change("java.lang.String", "hashIsZero", Type::Boolean), None);
        assert_eq!(change("java.util.UUID", "mostSigBits", Type::Long), Some(Change::Hash));
        assert_eq!(change("com.example.Card", "pin", Type::Short), Some(Change::Number(Type::Short)));
        assert_eq!(change("com.example.Card", "hasPin", Type::Boolean), None);
        assert_eq!(change("java.util.ArrayList", "size", Type::Int), None);
        let none = Policy { hashes: false, secret_names: false, ..Policy::default() };
        assert_eq!(none.change_of("java.lang.String", "hash", Type::Int), None);
        assert_eq!(none.change_of("com.example.Card", "pin", Type::Short), None);
    }
}
