//! The forms of texts in a Jheemfile: how each is called, and how it is told.

use std::ops::Range;
use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use regex::Regex;

use crate::content::Pointer;
use crate::source::Location;
use crate::template::{Piece, Template};

/// Names that stand for something else in templates, and that no axis may have.
pub const RESERVED_NAMES: [&str; 12] = [
    "batch", "dir", "file", "input", "join", "list", "now", "object", "output", "path", "preset",
    "project",
];

/// What a text must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// Any text but the empty one.
    Text,
    /// Any text at all.
    Argument,
    /// What the user calls something.
    Name,
    /// A name that can be a hole.
    AxisName,
    /// A value of an axis.
    Value,
    /// A pattern over values: a value, a glob, `!pattern` or `@set`.
    Pattern,
    /// A text with holes; may be empty.
    Template,
    /// A text that is read as a template is, and has no holes; may be empty.
    Fixed,
    /// A path in the project, with holes.
    Path,
    /// A path of a file that holds values.
    DataFile,
    /// A key of an object, with holes.
    ObjectKey,
    /// A glob over paths.
    Glob,
    Regex,
    /// A pointer pattern.
    Pointer,
    /// A pointer to values in a data file, whose steps may be `*`.
    ValuesPointer,
    /// A number of bytes with its unit.
    Size,
    /// A share of something, in percent.
    Share,
    /// A time span above zero.
    Time,
    /// A time span that may be zero.
    Wait,
    /// `step.NAME`, `plot.NAME` or `publish.NAME`.
    Goal,
    /// `step.NAME` or `plot.NAME`.
    Rule,
    /// `input.NAME`, `step.NAME.OUTPUT` or `plot.NAME.OUTPUT`.
    Reference,
    /// `step.NAME.OUTPUT`.
    StepOutput,
    /// `input.NAME`.
    Input,
    /// A folder as a run sees it.
    RunFolder,
    /// A folder of the project, or `{batch}`.
    DirTarget,
    Image,
    Platform,
    User,
    Network,
    Capability,
    Variable,
    /// Where objects go.
    ObjectUrl,
    /// Where rows go.
    RowUrl,
    /// A place in a bucket.
    BucketUrl,
    /// Where an input comes from, with holes.
    SourceUrl,
    /// The value of an HTTP header.
    Header,
    /// The name of an object's user metadata.
    MetadataName,
    /// The name of a row's attribute.
    AttributeName,
    /// A number with holes; the last of the forms.
    NumberTemplate,
}

/// Why a text does not have its form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub message: String,
    /// The bytes of the text that it is about, if not all.
    pub at: Option<Range<usize>>,
    /// What to do.
    pub hint: String,
}

struct Words {
    /// With its article.
    what: &'static str,
    plural: &'static str,
    /// A regular expression that every such text matches, in the dialect that JSON Schema shares.
    pattern: Option<&'static str>,
    example: &'static str,
}

/// What to do about a text that cannot be a value of an axis.
pub(crate) const VALUE_HINT: &str =
    "write a value that does not begin with `!` or `@` and has no `*`, `?` or control characters";

const NAME: &str = "^[A-Za-z0-9_-]+$";
const ANYTHING: &str = "^[^\\x00-\\x1f\\x7f]+$";

impl Form {
    fn words(self) -> Words {
        let words = |what, plural, pattern, example| Words { what, plural, pattern, example };
        match self {
            Form::Text => words("a text", "texts", Some("^[\\s\\S]+$"), "text"),
            Form::Argument => words("a text", "texts", None, "--verbose"),
            Form::Name => words("a name", "names", Some(NAME), "full"),
            Form::AxisName => words("an axis", "axes", Some(NAME), "city"),
            Form::Value => words(
                "a value",
                "values",
                Some("^[^\\x00-\\x1f\\x7f!@*?][^\\x00-\\x1f\\x7f*?]*$"),
                "C.12580",
            ),
            Form::Pattern => words(
                "a pattern",
                "patterns",
                Some("^!?(@[A-Za-z0-9_-]+|[^\\x00-\\x1f\\x7f!@][^\\x00-\\x1f\\x7f]*)$"),
                "C.1*",
            ),
            Form::Template => words("a template", "templates", None, "{city}"),
            Form::Fixed => words("a text without holes", "texts without holes", None, "observed"),
            Form::Path => words(
                "a path in the project",
                "paths in the project",
                Some("^[^\\x00-\\x1f\\x7f/][^\\x00-\\x1f\\x7f]*$"),
                "plots/{city}.json",
            ),
            Form::DataFile => words(
                "a path of a JSON, TOML, YAML or CSV file in the project",
                "paths of data files",
                Some("^[^\\x00-\\x1f\\x7f/][^\\x00-\\x1f\\x7f]*\\.(json|toml|yaml|yml|csv)$"),
                "models.json",
            ),
            Form::ObjectKey => words(
                "a key of an object",
                "keys of objects",
                Some("^[^\\x00-\\x1f\\x7f/][^\\x00-\\x1f\\x7f]*$"),
                "{city}/{file}",
            ),
            Form::Glob => words("a glob", "globs", Some(ANYTHING), "**/*.tmp"),
            Form::Regex => {
                words("a regular expression", "regular expressions", Some("^[\\s\\S]+$"), "ERROR: ")
            }
            Form::Pointer => {
                words("a pointer pattern", "pointer patterns", Some("^(/[\\s\\S]*)?$"), "/data/*/y")
            }
            Form::ValuesPointer => words(
                "a pointer to values",
                "pointers to values",
                Some("^(/[\\s\\S]*)?$"),
                "/scenarios/*/id",
            ),
            Form::Size => words(
                "a size",
                "sizes",
                Some("^[0-9]+(\\.[0-9]+)? ?(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$"),
                "8GiB",
            ),
            Form::Share => words("a share", "shares", Some("^(100|[1-9]?[0-9])%$"), "90%"),
            Form::Time => {
                words("a time span", "time spans", Some("^([1-9][0-9]*(ms|s|m|h|d) ?)+$"), "1h 30m")
            }
            Form::Wait => {
                words("a time span", "time spans", Some("^([0-9]+(ms|s|m|h|d) ?)+$"), "10s")
            }
            Form::Goal => words(
                "the name of a rule or a publish",
                "names of rules and publishes",
                Some("^(step|plot|publish)\\.[A-Za-z0-9_-]+$"),
                "plot.rw",
            ),
            Form::Rule => words(
                "the name of a rule",
                "names of rules",
                Some("^(step|plot)\\.[A-Za-z0-9_-]+$"),
                "plot.rw",
            ),
            Form::Reference => words(
                "a reference to an input or an output",
                "references to inputs and outputs",
                Some("^(input\\.[A-Za-z0-9_-]+|(step|plot)\\.[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+)$"),
                "input.base` or `step.trim.trimmed",
            ),
            Form::StepOutput => words(
                "a reference to an output of a step",
                "references to outputs of steps",
                Some("^step\\.[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+$"),
                "step.compile.binary",
            ),
            Form::Input => words(
                "a reference to an input",
                "references to inputs",
                Some("^input\\.[A-Za-z0-9_-]+$"),
                "input.code",
            ),
            Form::RunFolder => words(
                "a folder as the run sees it",
                "folders as the run sees them",
                Some(ANYTHING),
                "/app/plots",
            ),
            Form::DirTarget => words(
                "a folder of the project or `{batch}`",
                "folders of the project or `{batch}`",
                Some("^([^\\x00-\\x1f\\x7f/{}][^\\x00-\\x1f\\x7f{}]*|\\{batch\\})$"),
                "plots",
            ),
            Form::Image => words(
                "the name of an image",
                "names of images",
                Some("^[A-Za-z0-9][A-Za-z0-9._:/@-]*$"),
                "ghcr.io/me/model:1.0.0",
            ),
            Form::Platform => words(
                "a platform",
                "platforms",
                Some("^[a-z0-9]+/[a-z0-9_]+(/[a-z0-9]+)?$"),
                "linux/amd64",
            ),
            Form::User => words(
                "a user",
                "users",
                Some("^[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?$"),
                "1000:1000",
            ),
            Form::Network => words(
                "the name of a network",
                "names of networks",
                Some("^[A-Za-z0-9][A-Za-z0-9_.:-]*$"),
                "none",
            ),
            Form::Capability => {
                words("a capability", "capabilities", Some("^[A-Z][A-Z_]*$"), "NET_RAW")
            }
            Form::Variable => words(
                "the name of an environment variable",
                "names of environment variables",
                Some("^[A-Za-z_][A-Za-z0-9_]*$"),
                "MODEL_ID",
            ),
            Form::ObjectUrl => words(
                "a destination of objects",
                "destinations of objects",
                Some("^(file:[^\\x00-\\x1f\\x7f]+|s3://[a-z0-9.-]{3,63}(/[^\\x00-\\x1f\\x7f]*)?)$"),
                "file:site` or `s3://bucket/prefix",
            ),
            Form::BucketUrl => words(
                "a place in a bucket",
                "places in buckets",
                Some("^s3://[a-z0-9.-]{3,63}(/[^\\x00-\\x1f\\x7f]*)?$"),
                "s3://bucket/prefix",
            ),
            Form::RowUrl => words(
                "a destination of rows",
                "destinations of rows",
                Some("^(sqlite:[^\\x00-\\x1f\\x7f]+|dynamodb://[A-Za-z0-9_.-]{3,255})$"),
                "sqlite:site/plots.db` or `dynamodb://table",
            ),
            Form::SourceUrl => words(
                "a source",
                "sources",
                Some("^(file:|s3://|github://|https://|http://)[^\\x00-\\x1f\\x7f]+$"),
                "s3://bucket/base/{city}.Rdata`, `https://example.org/{city}.Rdata` or `github://owner/repository@tag/{city}.Rdata",
            ),
            Form::Header => words(
                "the value of a header",
                "values of headers",
                Some("^[\\x21-\\x7e]([\\x20-\\x7e]*[\\x21-\\x7e])?$"),
                "application/json",
            ),
            Form::MetadataName => words(
                "the name of metadata",
                "names of metadata",
                Some("^[a-z0-9][a-z0-9_.-]*$"),
                "config_type",
            ),
            Form::AttributeName => words(
                "the name of an attribute",
                "names of attributes",
                Some("^[\\s\\S]{1,255}$"),
                "city_scenario",
            ),
            Form::NumberTemplate => words(
                "a number or a template of one",
                "numbers or templates of them",
                Some("^[\\s\\S]*(\\{[\\s\\S]+\\}|[0-9])[\\s\\S]*$"),
                "{object.size}",
            ),
        }
    }

    /// The form in words, with its article: `a size`.
    pub fn what(self) -> &'static str {
        self.words().what
    }

    /// The form in words, for many: `sizes`.
    pub fn plural(self) -> String {
        self.words().plural.to_owned()
    }

    /// A regular expression that every text of this form matches, for the JSON Schema.
    pub fn pattern(self) -> Option<&'static str> {
        self.words().pattern
    }

    /// Says whether a text has this form.
    ///
    /// # Errors
    /// What is wrong with it, where, and what to do.
    pub fn check(self, text: &str) -> Result<(), Fault> {
        let Words { what, pattern, example, .. } = self.words();
        if pattern.is_some() && !matches(self, text) {
            return Err(match self {
                _ if text.is_empty() => {
                    Fault::new("the text is empty", format!("write {what} such as `{example}`"))
                }
                Form::Name | Form::AxisName => Fault::new(
                    format!("`{}` is not a name", short(text)),
                    "write a name of letters, digits, `_` and `-`",
                ),
                Form::Value => Fault::new(format!("`{}` is not a value", short(text)), VALUE_HINT),
                Form::Path | Form::DataFile if text.starts_with('/') => outside_project(text),
                _ => Fault::new(
                    format!("`{}` is not {what}", short(text)),
                    format!("write {what} such as `{example}`"),
                ),
            });
        }
        match self {
            Form::AxisName if RESERVED_NAMES.contains(&text) => Err(Fault::new(
                format!("`{text}` means something else in templates, and is no name for an axis"),
                format!("call the axis otherwise, such as `{text}_name`"),
            )),
            Form::Template => template(text).map(drop),
            Form::Fixed => fixed(text),
            Form::Path => template(text).and_then(|path| in_project(&path.text)),
            Form::ObjectKey => template(text).and_then(|key| plain_parts(&key.text)),
            Form::DataFile | Form::DirTarget => in_project(text),
            Form::SourceUrl => template(text).and_then(|_| source(text)),
            Form::NumberTemplate => number_template(text),
            Form::RunFolder => run_folder(text),
            Form::Glob => glob(text),
            Form::Regex => Regex::new(text).map(drop).map_err(|error| regex_fault(&error)),
            Form::Pointer => Pointer::parse(text).map(drop).map_err(|message| {
                // The pointer's own message ends with what to write.
                let (message, hint) =
                    message.split_once(": ").unwrap_or((&message, "write `/a/b`"));
                Fault::new(message, hint)
            }),
            Form::ValuesPointer => Form::Pointer.check(text).and_then(|()| values_pointer(text)),
            Form::Size => size(text).map(drop),
            Form::Time | Form::Wait => duration(text).map(drop),
            Form::ObjectUrl | Form::RowUrl | Form::BucketUrl => destination(text),
            _ => Ok(()),
        }
    }
}

impl Fault {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Fault {
        Fault { message: message.into(), at: None, hint: hint.into() }
    }
}

/// The number of bytes that a size such as `8GiB` means.
pub(crate) fn size(text: &str) -> Result<u64, Fault> {
    let wrong = |_| Fault::new(format!("`{text}` is not a size"), "write a size such as `8GiB`");
    text.parse::<bytesize::ByteSize>().map(|size| size.as_u64()).map_err(wrong)
}

/// The time that a span such as `1h 30m` means.
pub(crate) fn duration(text: &str) -> Result<Duration, Fault> {
    humantime::parse_duration(text).map_err(|error| {
        Fault::new(
            format!("`{}` is not a time span: {error}", short(text)),
            "write a time span such as `6h`, `10m` or `45s`",
        )
    })
}

/// A text as it can be shown in a message: not too long, and on one line.
pub(crate) fn short(text: &str) -> String {
    const LONGEST: usize = 60;
    let line = text.escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn matches(form: Form, text: &str) -> bool {
    const FORMS: usize = Form::NumberTemplate as usize + 1;
    static COMPILED: [OnceLock<Regex>; FORMS] = [const { OnceLock::new() }; FORMS];
    let compile = |pattern| Regex::new(pattern).expect("the patterns of forms are tested");
    form.pattern().is_none_or(|pattern| {
        COMPILED[form as usize].get_or_init(|| compile(pattern)).is_match(text)
    })
}

fn template(text: &str) -> Result<Template, Fault> {
    Template::parse(text).map_err(|malformed| Fault {
        message: malformed.message,
        at: Some(malformed.at),
        hint: "write a hole as `{city}`, and `{{` or `}}` for a brace itself".to_owned(),
    })
}

/// A hole that nothing would fill is not to vanish without a word.
fn fixed(text: &str) -> Result<(), Fault> {
    match template(text)?.holes().next() {
        Some((hole, at)) => Err(Fault {
            message: format!("`{{{hole}}}` is a hole, and this is the same for every cell"),
            at: Some(at),
            hint: "write the text itself, with `{{` and `}}` for braces".to_owned(),
        }),
        None => Ok(()),
    }
}

fn values_pointer(text: &str) -> Result<(), Fault> {
    match text.split('/').find(|step| *step == "**" || step.starts_with('[')) {
        Some(step) => Err(Fault::new(
            format!("`{step}` stands for too much in a pointer to values"),
            "write the names of keys, and `*` for every item",
        )),
        None => Ok(()),
    }
}

fn outside_project(text: &str) -> Fault {
    Fault::new(
        format!("`{}` leads out of the project", short(text)),
        "write a path from the folder of the Jheemfile, without `..` and with no `/` in front",
    )
}

fn in_project(text: &str) -> Result<(), Fault> {
    if text.starts_with('/') || text.split('/').any(|part| part == "..") {
        return Err(outside_project(text));
    }
    if text.contains('\\') {
        return Err(Fault::new(
            format!("`{}` has a backslash", short(text)),
            "write `/` between the parts of a path",
        ));
    }
    Ok(())
}

/// A source whose holes are filled in must be one.
fn source(text: &str) -> Result<(), Fault> {
    let mut filled = String::new();
    let mut depth = 0;
    for character in text.chars() {
        match character {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                filled.push('x');
            }
            other if depth == 0 => filled.push(other),
            _ => {}
        }
    }
    Location::parse(&filled).map(drop).map_err(|why| {
        let (why, hint) = why.split_once(": ").unwrap_or((&why, "write `s3://BUCKET/KEY`"));
        // A password before the host is not said once more.
        let said = match text.split_once("://").zip(text.rsplit_once('@')) {
            Some(((scheme, _), (_, rest))) if why.starts_with("holds a login") => {
                format!("{scheme}://…@{rest}")
            }
            _ => text.to_owned(),
        };
        Fault::new(format!("`{}` {why}", short(&said)), hint)
    })
}

/// A key of an object has no part that a path would take for something else.
fn plain_parts(text: &str) -> Result<(), Fault> {
    if text.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(Fault::new(
            format!("`{}` has a part that is empty, `.` or `..`", short(text)),
            "write a key such as `{city}/{file}`",
        ));
    }
    Ok(())
}

fn run_folder(text: &str) -> Result<(), Fault> {
    if text.split('/').any(|part| part == "..") {
        return Err(Fault::new(
            format!("`{}` holds `..`", short(text)),
            "write the folder in full, such as `/app/plots`",
        ));
    }
    Ok(())
}

fn glob(text: &str) -> Result<(), Fault> {
    globset::Glob::new(text).map(drop).map_err(|error| {
        Fault::new(
            format!("`{}` is not a glob: {}", short(text), error.kind()),
            "write a glob such as `**/*.tmp`, with `\\` before a letter that stands for itself",
        )
    })
}

fn regex_fault(error: &regex::Error) -> Fault {
    // The message of a syntax error draws the expression; its last line says what is wrong.
    let whole = error.to_string();
    let last = whole.lines().last().unwrap_or_default();
    let last = last.strip_prefix("error: ").unwrap_or(last);
    Fault::new(
        format!("this regular expression does not compile: {last}"),
        "mend it, or put `\\` before a letter that stands for itself; in '…' a `\\` is written once",
    )
}

fn destination(text: &str) -> Result<(), Fault> {
    let Some(path) = text.strip_prefix("file:").or_else(|| text.strip_prefix("sqlite:")) else {
        return Ok(());
    };
    if path.split('/').any(|part| part == "..") {
        return Err(Fault::new(
            format!("`{}` holds `..`", short(text)),
            "write a path from the folder of the Jheemfile, or an absolute one",
        ));
    }
    Ok(())
}

fn number_template(text: &str) -> Result<(), Fault> {
    static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$").expect("a constant expression")
    });
    let template = template(text)?;
    let has_holes = template.pieces.iter().any(|piece| matches!(piece, Piece::Hole { .. }));
    if has_holes || NUMBER.is_match(text) {
        return Ok(());
    }
    Err(Fault::new(
        format!("`{}` is not a number", short(text)),
        "write a number such as `12.5`, or a hole such as `{object.size}`",
    ))
}
