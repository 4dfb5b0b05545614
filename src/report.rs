//! What the user sees: draws events, plans and errors. The only file that prints.

use std::io::Write as _;

use crate::cli::{Format, Global};
use crate::error::Error;
use crate::event::Event;

/// Prints for people or for programs.
pub struct Report {
    format: Format,
    quiet: bool,
    color: bool,
}

impl Report {
    pub fn new(global: &Global) -> Report {
        Report { format: global.format, quiet: global.quiet, color: false }
    }

    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// One thing that happened.
    pub fn event(&mut self, event: &Event) {
        if self.is_json() {
            if let Ok(line) = serde_json::to_string(event) {
                self.data(&line);
            }
        } else if !self.quiet {
            let _gone = writeln!(anstream::stderr(), "{event:?}");
        }
    }

    /// A line of data, on stdout.
    pub fn data(&mut self, line: &str) {
        let _gone = writeln!(anstream::stdout(), "{line}");
    }

    /// A line of talk, on stderr.
    pub fn say(&mut self, line: &str) {
        if !self.quiet {
            let _gone = writeln!(anstream::stderr(), "{line}");
        }
    }

    pub fn errors(&mut self, errors: &[Error]) {
        for error in errors {
            let _gone = writeln!(anstream::stderr(), "{}\n", error.render(self.color));
        }
    }

    /// The folded reasons of a plan, one line each.
    pub fn plan(&mut self, reasons: &[String]) {
        for reason in reasons {
            self.data(reason);
        }
    }

    /// One target of a plan and its verdict.
    pub fn planned_target(&mut self, target: &str, verdict: &str) {
        self.data(&format!("{verdict}\t{target}"));
    }

    /// What `why` says of one target; `option` is the option whose outputs it is about.
    pub fn explained(&mut self, target: &str, option: Option<&str>, lines: &[String]) {
        match option {
            Some(option) => self.data(&format!("{target} (with {option})")),
            None => self.data(target),
        }
        for line in lines {
            self.data(&format!("  {line}"));
        }
    }

    /// Rule, cells, and how many of them are declared absent.
    pub fn counts(&mut self, rows: &[(String, usize, usize)]) {
        for (rule, cells, absent) in rows {
            self.data(&format!(
                "{rule}\t{cells} cells\t{absent} absent\t{} to make",
                cells - absent
            ));
        }
    }

    pub fn drift(&mut self, drift: &crate::publish::Drift) {
        self.data(&format!("{drift:?}"));
    }

    pub fn verified(&mut self, found: usize) {
        self.say(&format!("{found} differences"));
    }

    pub fn runs(&mut self, runs: &[crate::records::Run]) {
        for run in runs {
            self.data(&format!("{run:?}"));
        }
    }

    /// What the cache holds; `current` objects are what some target is now.
    pub fn usage(&mut self, usage: &crate::objects::Usage, current: usize) {
        self.data(&format!("{usage:?} {current}"));
    }

    /// What a collection freed, under a limit in bytes (`u64::MAX` for none).
    pub fn freed(&mut self, freed: &crate::objects::Freed, limit: u64) {
        self.data(&format!("{freed:?} {limit}"));
    }

    /// Everything is told.
    pub fn close(&mut self) {}
}
