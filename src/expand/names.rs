//! Names and paths: what may stand in them, and what was meant.

use crate::error::{Error, Span};
use crate::manifest::{self, At, Reference, RuleName};
use crate::template::Template;

pub(super) fn rule_name(reference: &Reference) -> RuleName {
    match reference {
        Reference::Output { rule, .. } => rule.clone(),
        Reference::Input(name) => RuleName { kind: manifest::RuleKind::Step, name: name.clone() },
    }
}

pub(super) fn node_name(reference: &Reference) -> String {
    match reference {
        Reference::Input(name) => format!("input.{name}"),
        Reference::Output { rule, .. } => rule.to_string(),
    }
}

/// Where a hole of a template stands in the Jheemfile; the whole text if escapes hide it.
pub fn hole_span(text: &str, template: &At<Template>, at: &Span) -> Span {
    let written = text.get(template.span.clone()).unwrap_or("");
    match written.find(&template.value.text) {
        Some(offset) if !template.value.text.is_empty() => {
            let start = template.span.start + offset;
            start + at.start..start + at.end
        }
        _ => template.span.clone(),
    }
}

/// The parts of a value in alphabetical order, if the axis says that their order means nothing.
pub(super) fn sorted_parts(value: &str, joined_by: &Option<At<String>>) -> String {
    match joined_by {
        Some(separator) => {
            let mut parts: Vec<&str> = value.split(separator.as_str()).collect();
            parts.sort_unstable();
            parts.join(separator)
        }
        None => value.to_owned(),
    }
}

/// Adds what was meant by a name that is not known, or else that it can be declared.
pub(super) fn or_declare<'n>(
    error: Error,
    name: &str,
    known: impl IntoIterator<Item = &'n str>,
    header: &str,
) -> Error {
    let error = error.suggest(name, known);
    if error.hints.is_empty() { error.hint(format!("declare it: `[{header}]`")) } else { error }
}

/// Adds what was meant by a name that is not known, or else what is known; `none` if nothing is.
pub(super) fn or_one_of<'n>(
    error: Error,
    name: &str,
    known: impl IntoIterator<Item = &'n str>,
    none: &str,
) -> Error {
    const FEW: usize = 8;
    let known: Vec<&str> = known.into_iter().collect();
    let error = error.suggest(name, known.iter().copied());
    if !error.hints.is_empty() {
        return error;
    }
    let few: Vec<String> = known.iter().take(FEW).map(|name| format!("`{name}`")).collect();
    let more = if known.len() > FEW { ", …" } else { "" };
    match few.as_slice() {
        [] => error.hint(none),
        [one] => error.hint(format!("there is only {one}")),
        _ => error.hint(format!("use one of {}{more}", few.join(", "))),
    }
}

pub(super) fn not_a_value(
    value: &str,
    axis: &str,
    values: &[String],
    joined_by: &Option<At<String>>,
) -> Error {
    let error = Error::user(format!("`{value}` is not a value of the axis `{axis}`"));
    let same = sorted_parts(value, joined_by);
    match values.iter().find(|v| sorted_parts(v, joined_by) == same) {
        Some(near) => error.hint(format!("did you mean `{near}`? it has the same parts")),
        None => or_one_of(error, value, values.iter().map(String::as_str), "take it out"),
    }
}

/// Why a text cannot be part of a file's name.
pub(super) fn cannot_name_a_file(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        Some("it is empty")
    } else if text.contains('/') {
        Some("it holds a slash")
    } else if text.contains('\\') {
        Some("it holds a backslash")
    } else if text == "." || text == ".." {
        Some("it names a folder")
    } else if text.chars().any(char::is_control) {
        Some("it holds a control character")
    } else if text.trim() != text {
        Some("it begins or ends with a blank, which nobody sees")
    } else if text.len() > 200 {
        Some("it is longer than 200 bytes")
    } else {
        None
    }
}

/// Why a text is no path within the project.
pub fn bad_path(path: &str) -> Option<Error> {
    if path.is_empty() {
        return Some(
            Error::user("the path is empty").hint("name a file below the project's folder"),
        );
    }
    if path.starts_with('/') || path.starts_with('~') {
        return Some(
            Error::user(format!("`{path}` is an absolute path"))
                .hint("write it from the project's folder"),
        );
    }
    for segment in path.split('/') {
        let problem = match segment {
            ".." => Some("leads out of its folder with `..`"),
            "" => Some("has an empty part"),
            "." => Some("has a part `.`"),
            _ if segment.chars().any(char::is_control) => Some("holds a control character"),
            _ => None,
        };
        if let Some(problem) = problem {
            let error = Error::user(format!("`{path}` {problem}"));
            return Some(error.hint("write a plain path from the project's folder"));
        }
    }
    if path == "cache" || path.starts_with("cache/") {
        return Some(
            Error::user(format!("`{path}` lies in jheem's own folder `cache`"))
                .hint("use another folder"),
        );
    }
    None
}
