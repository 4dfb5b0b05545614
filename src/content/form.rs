//! What an output may be declared to be: the values of `as`, and their versions.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::nearest;

/// What is compared, once a file is unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Form {
    Bytes,
    Json,
    Plotly,
    Html,
}

impl Form {
    /// Raised with every change of what counts as the same content.
    pub fn version(self) -> u32 {
        match self {
            Form::Bytes | Form::Json | Form::Plotly | Form::Html => 1,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Form::Bytes => "bytes",
            Form::Json => "json",
            Form::Plotly => "plotly",
            Form::Html => "html",
        }
    }
}

/// What an output is taken for: the value of `as`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct As {
    /// Packed with gzip; all members count, their headers do not.
    pub gzip: bool,
    pub form: Form,
}

impl As {
    pub const BYTES: As = As { gzip: false, form: Form::Bytes };
    pub const JSON: As = As { gzip: false, form: Form::Json };
    pub const PLOTLY: As = As { gzip: false, form: Form::Plotly };
    pub const HTML: As = As { gzip: false, form: Form::Html };
    pub const GZIP: As = As { gzip: true, form: Form::Bytes };

    /// All that can be written, in the order in which it is documented.
    pub const NAMES: [&str; 8] =
        ["bytes", "json", "plotly", "html", "gzip", "gzip+json", "gzip+plotly", "gzip+html"];

    /// Parses the value of `as`; the error names what can be written.
    pub fn parse(text: &str) -> Result<As, String> {
        let (gzip, inner) = match text.strip_prefix("gzip+") {
            Some(inner) => (true, inner),
            None if text == "gzip" => return Ok(As::GZIP),
            None => (false, text),
        };
        let forms = [Form::Bytes, Form::Json, Form::Plotly, Form::Html];
        let form = forms.into_iter().find(|form| form.name() == inner);
        match form {
            Some(form) if !(gzip && form == Form::Bytes) => Ok(As { gzip, form }),
            _ => {
                let near = nearest(text, As::NAMES);
                let near = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
                let names = As::NAMES.map(|name| format!("`{name}`")).join(", ");
                Err(format!("unknown content `{text}`: expected one of {names}{near}"))
            }
        }
    }

    /// True if it holds values that pointers can name, for `volatile` and for audits.
    pub fn has_values(self) -> bool {
        self.form != Form::Bytes
    }
}

impl fmt::Display for As {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.gzip, self.form) {
            (true, Form::Bytes) => f.write_str("gzip"),
            (true, form) => write!(f, "gzip+{}", form.name()),
            (false, form) => f.write_str(form.name()),
        }
    }
}

impl FromStr for As {
    type Err = String;

    fn from_str(text: &str) -> Result<As, String> {
        As::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_is_taken_for_is_written_as_it_was_read() {
        for name in As::NAMES {
            assert_eq!(As::parse(name).unwrap().to_string(), name);
        }
        assert_eq!(
            As::parse("plotty").unwrap_err(),
            "unknown content `plotty`: expected one of `bytes`, `json`, `plotly`, `html`, `gzip`, `gzip+json`, `gzip+plotly`, `gzip+html`; did you mean `plotly`?"
        );
        assert!(As::parse("gzip+bytes").is_err());
        assert!(As::parse("").is_err());
    }
}
