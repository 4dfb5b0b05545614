//! What went wrong, where, and what to do: the one error type, and how it is shown.
//!
//! Errors are built beside the data they complain of; only `render` draws them.
//! A failed target is not an `Error`: it is a value of the run.

use std::fmt;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// Who can mend it; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Something in the Jheemfile or on the command line is wrong (exit code 2).
    User,
    /// Something that the work needs is missing or broken: a file, a daemon, a disk (exit code 3).
    Environment,
    /// Another jheem holds the project (exit code 4).
    Locked,
    /// What was asked for needs something that this version does not reach (exit code 5).
    Unsupported,
    /// A defect in jheem itself (exit code 101).
    Bug,
}

impl Kind {
    /// The exit code of a command that ends with this error; `docs/exit-codes.md` lists them.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::User => 2,
            Kind::Environment => 3,
            Kind::Locked => 4,
            Kind::Unsupported => 5,
            Kind::Bug => 101,
        }
    }
}

/// A text that errors can point into.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// The name shown to the user, such as `Jheemfile.toml`.
    pub name: String,
    pub text: String,
}

/// A range of bytes of a source.
pub type Span = Range<usize>;

/// A place that an error speaks of, and a few words on it.
#[derive(Clone, Debug)]
pub struct Place {
    pub source: Arc<Source>,
    pub span: Span,
    pub label: String,
}

/// One mistake: a message, the place it is about, and hints that are actions.
#[derive(Clone, Debug)]
pub struct Error {
    pub kind: Kind,
    pub message: String,
    /// The place that it is about comes first; the others explain it.
    pub places: Vec<Place>,
    pub causes: Vec<String>,
    pub hints: Vec<String>,
    /// Whether a disk takes no more, which whatever comes next will meet as well.
    pub no_room: bool,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    fn new(kind: Kind, message: impl Into<String>) -> Error {
        Error {
            kind,
            message: message.into(),
            places: Vec::new(),
            causes: Vec::new(),
            hints: Vec::new(),
            no_room: false,
        }
    }

    /// A mistake that the user can mend in a file or on the command line.
    pub fn user(message: impl Into<String>) -> Error {
        Error::new(Kind::User, message)
    }

    /// Something around jheem that is missing or broken.
    pub fn environment(message: impl Into<String>) -> Error {
        Error::new(Kind::Environment, message)
    }

    /// Another jheem is at work.
    pub fn locked(message: impl Into<String>) -> Error {
        Error::new(Kind::Locked, message)
    }

    /// Out of this version's reach.
    pub fn unsupported(message: impl Into<String>) -> Error {
        Error::new(Kind::Unsupported, message)
    }

    /// A defect in jheem.
    pub fn bug(message: impl Into<String>) -> Error {
        Error::new(Kind::Bug, message)
    }

    /// A file operation that failed: `Error::io("read", path, &err)`.
    pub fn io(verb: &str, path: &Path, error: &std::io::Error) -> Error {
        let made = Error::environment(format!("cannot {verb} `{}`", path.display()));
        let no_room = matches!(
            error.kind(),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::ReadOnlyFilesystem
        );
        let made = Error { no_room, ..made.because(error) };
        match remedy(error.kind(), path) {
            Some(hint) => made.hint(hint),
            None => made,
        }
    }

    /// Points at the place the message is about.
    pub fn at(mut self, source: &Arc<Source>, span: Span) -> Error {
        let place = Place { source: Arc::clone(source), span, label: String::new() };
        self.places.insert(0, place);
        self
    }

    /// Points at a second place, such as where a name was first given.
    pub fn related(mut self, source: &Arc<Source>, span: Span, label: impl Into<String>) -> Error {
        self.places.push(Place { source: Arc::clone(source), span, label: label.into() });
        self
    }

    /// What lay below and what to do, as lines below the message.
    pub fn details(&self) -> Vec<String> {
        let hints = self.hints.iter().map(|hint| format!("hint: {hint}"));
        self.causes.iter().cloned().chain(hints).collect()
    }

    /// All of it in one line, hints too, where there is room for no more.
    pub fn in_one_line(&self) -> String {
        self.hints.iter().fold(self.to_string(), |line, hint| format!("{line}; {hint}"))
    }

    /// Adds what lay below.
    pub fn because(mut self, cause: impl fmt::Display) -> Error {
        self.causes.push(cause.to_string());
        self
    }

    /// Adds an action that would mend it.
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.hints.push(hint.into());
        self
    }

    /// Adds `did you mean` if one of `known` is near `name`.
    pub fn suggest<'a>(self, name: &str, known: impl IntoIterator<Item = &'a str>) -> Error {
        match nearest(name, known) {
            Some(near) => self.hint(format!("did you mean `{near}`?")),
            None => self,
        }
    }

    /// Line and column of the place, counted from one, the column in characters.
    pub fn line_and_column(&self) -> Option<(usize, usize)> {
        let Place { source, span, .. } = self.places.first()?;
        let before = source.text.get(..span.start)?;
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        Some((line, before[start..].chars().count() + 1))
    }

    /// The whole message as the user sees it, with carets; `color` adds terminal colours.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let title = Level::ERROR.primary_title(self.message.as_str());
        let mut group =
            title.elements(std::iter::empty::<Snippet<'_, annotate_snippets::Annotation<'_>>>());
        if let Some(first) = self.places.first() {
            let source = &first.source;
            let mut snippet = Snippet::source(source.text.as_str()).path(source.name.as_str());
            for (index, place) in self.places.iter().enumerate() {
                if !Arc::ptr_eq(source, &place.source) {
                    continue;
                }
                let kind =
                    if index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
                let mut annotation = kind.span(clamp(&place.span, &source.text));
                if !place.label.is_empty() {
                    annotation = annotation.label(place.label.as_str());
                }
                snippet = snippet.annotation(annotation);
            }
            group = group.element(snippet);
        }
        let mut text = renderer.render(&[group]).to_string();
        for cause in &self.causes {
            text.push_str("\n  because: ");
            text.push_str(cause);
        }
        for hint in &self.hints {
            text.push_str("\nhint: ");
            text.push_str(hint);
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for cause in &self.causes {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// What to do about a file operation that failed for a reason that is nobody's mistake in a Jheemfile.
fn remedy(kind: ErrorKind, path: &Path) -> Option<String> {
    let shown = path.display();
    Some(match kind {
        ErrorKind::StorageFull => format!("free some room on the disk of `{shown}`: see `df -h`"),
        ErrorKind::QuotaExceeded => {
            format!("free some of your quota on the disk of `{shown}`: see `quota -s`")
        }
        ErrorKind::FileTooLarge => {
            "raise the limit on the size of files: see `ulimit -f`".to_owned()
        }
        ErrorKind::ReadOnlyFilesystem => {
            format!("remount the file system of `{shown}` to be written, or use a copy elsewhere")
        }
        ErrorKind::PermissionDenied => {
            let folder = path.parent().filter(|folder| *folder != Path::new(""));
            let folder = folder.unwrap_or(Path::new(".")).display();
            format!("see whose it is with `ls -ld {folder} {shown}`, and change its owner or mode")
        }
        _ => return None,
    })
}

/// The name among `known` that is near enough to `name` to be what was meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// A span that lies within the text, on whole characters, and is not beyond its end.
fn clamp(span: &Span, text: &str) -> Span {
    let mut start = span.start.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let mut end = span.end.clamp(start, text.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_where_it_is_and_what_to_do() {
        let text = "[plot.rw]\nrunnr = \"model\"\n".to_owned();
        let source = Arc::new(Source { name: "Jheemfile.toml".into(), text });
        let error = Error::user("unknown key `runnr` in `[plot.rw]`")
            .at(&source, 10..15)
            .suggest("runnr", ["over", "runner"]);
        let shown = error.render(false);
        assert_eq!(
            shown,
            "error: unknown key `runnr` in `[plot.rw]`\n --> Jheemfile.toml:2:1\n  |\n2 | runnr = \"model\"\n  | ^^^^^\nhint: did you mean `runner`?"
        );
        assert_eq!(error.line_and_column(), Some((2, 1)));
    }

    #[test]
    fn a_disk_that_refuses_says_what_to_do() {
        for (kind, hint) in [
            (ErrorKind::StorageFull, "free some room on the disk of `cache/lock`: see `df -h`"),
            (ErrorKind::QuotaExceeded, "free some of your quota"),
            (ErrorKind::FileTooLarge, "raise the limit on the size of files"),
            (ErrorKind::ReadOnlyFilesystem, "remount the file system of `cache/lock`"),
            (ErrorKind::PermissionDenied, "see whose it is with `ls -ld cache cache/lock`"),
        ] {
            let error = Error::io("write", Path::new("cache/lock"), &kind.into());
            let said = error.in_one_line();
            assert!(said.starts_with("cannot write `cache/lock`: "), "{said}");
            assert!(said.contains(&format!("; {hint}")), "{said}");
        }
    }

    #[test]
    fn a_span_outside_the_text_still_renders() {
        let source = Arc::new(Source { name: "f".into(), text: "é".into() });
        let shown = Error::user("x").at(&source, 1..99).render(false);
        assert!(shown.contains("f:1:1"), "{shown}");
    }
}
