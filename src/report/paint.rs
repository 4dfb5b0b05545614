//! Colours of messages, or none.

use anstyle::{AnsiColor, Style};

/// Puts terminal colours around words, if the place they go to shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint {
    pub on: bool,
}

impl Paint {
    pub fn strong(self, text: &str) -> String {
        self.with(Style::new().bold(), text)
    }

    pub fn faint(self, text: &str) -> String {
        self.with(Style::new().dimmed(), text)
    }

    pub fn good(self, text: &str) -> String {
        self.with(AnsiColor::Green.on_default().bold(), text)
    }

    pub fn bad(self, text: &str) -> String {
        self.with(AnsiColor::Red.on_default().bold(), text)
    }

    pub fn warn(self, text: &str) -> String {
        self.with(AnsiColor::Yellow.on_default(), text)
    }

    pub fn note(self, text: &str) -> String {
        self.with(AnsiColor::Cyan.on_default(), text)
    }

    /// The colour of a verdict or of an ending; what needs nobody's eye is left plain.
    pub fn verdict(self, word: &str, text: &str) -> String {
        match word {
            "fresh" | "built" => self.good(text),
            "restorable" | "restored" => self.note(text),
            "stale" | "pending" | "skipped" => self.warn(text),
            "blocked" | "failed" => self.bad(text),
            "absent" => self.faint(text),
            _ => text.to_owned(),
        }
    }

    fn with(self, style: Style, text: &str) -> String {
        if self.on { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}
