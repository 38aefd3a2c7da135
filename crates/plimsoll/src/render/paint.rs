//! Colours, by meaning.

/// All codes that text is painted with, and the one that ends it.
pub(crate) const CODES: [&str; 6] = ["0", BOLD, DIM, RED, YELLOW, GREEN];
const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "1;31";
const YELLOW: &str = "33";
const GREEN: &str = "32";

/// Paints, or not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    pub(crate) fn new(on: bool) -> Self {
        Paint { on }
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A heading.
    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap(BOLD, text)
    }

    /// Less important.
    pub(crate) fn dim(self, text: &str) -> String {
        self.wrap(DIM, text)
    }

    /// Danger.
    pub(crate) fn red(self, text: &str) -> String {
        self.wrap(RED, text)
    }

    /// Caution.
    pub(crate) fn yellow(self, text: &str) -> String {
        self.wrap(YELLOW, text)
    }

    /// All is well.
    pub(crate) fn green(self, text: &str) -> String {
        self.wrap(GREEN, text)
    }
}
