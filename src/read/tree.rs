//! TOML as a tree with places, as much of it as can be had, and the mistakes of its syntax.
//!
//! Knows nothing of which keys there are.

use std::collections::BTreeSet;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use crate::error::{Error, Source, Span};
use crate::grammar::short;

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub span: Span,
    pub value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    /// As a decimal number without underscores and plus sign; `None` if it does not fit in 64 bits.
    Whole(Option<i64>),
    /// As written, without underscores and plus sign.
    Float(String),
    Bool(bool),
    /// Dates and times, which no key takes.
    Time,
    /// What stood here was refused, and nothing more is said of it.
    Refused,
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// A key of a table and its value; a table's entries stand in the order of the file.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub key: String,
    pub span: Span,
    pub node: Node,
}

impl Node {
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Table(entries) => entries,
            _ => &[],
        }
    }

    pub(super) fn entries_mut(&mut self) -> &mut [Entry] {
        match &mut self.value {
            Value::Table(entries) => entries,
            _ => &mut [],
        }
    }

    /// Calls an entry as it was meant; what is below joins what is there by that name already.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        let Value::Table(entries) = &mut self.value else { return };
        let Some(at) = entries.iter().position(|entry| entry.key == from) else { return };
        let entry = Entry { key: to.to_owned(), ..entries.remove(at) };
        self.join(entry);
    }

    /// Adds an entry to a table; of what is there already, the first stays.
    fn join(&mut self, more: Entry) {
        let Value::Table(entries) = &mut self.value else { return };
        match entries.iter_mut().find(|entry| entry.key == more.key) {
            None => entries.push(more),
            Some(known) => {
                let Value::Table(more) = more.node.value else { return };
                more.into_iter().for_each(|entry| known.node.join(entry));
            }
        }
    }

    pub(super) fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A number as text, if it is one and finite.
    pub(super) fn number(&self) -> Option<String> {
        match &self.value {
            Value::Whole(Some(number)) => Some(number.to_string()),
            Value::Float(text) if text.parse::<f64>().is_ok_and(f64::is_finite) => {
                Some(text.clone())
            }
            _ => None,
        }
    }

    /// What stands there, with its article.
    pub(super) fn what(&self) -> String {
        match &self.value {
            Value::Text(text) if text.is_empty() => "an empty text".to_owned(),
            Value::Text(text) => format!("the text `{}`", short(text)),
            Value::Whole(Some(number)) => format!("the number {number}"),
            Value::Whole(None) => "a number of more than 64 bits".to_owned(),
            Value::Float(text) => format!("the number {text}"),
            Value::Bool(value) => format!("`{value}`"),
            Value::Time => "a date or time".to_owned(),
            Value::Refused => "something else".to_owned(),
            Value::List(_) => "a list".to_owned(),
            Value::Table(_) => "a table".to_owned(),
        }
    }
}

/// What could be read of a file.
pub(super) struct Parsed {
    pub root: Node,
    /// Mistakes of syntax, at most one a line.
    pub errors: Vec<Error>,
    /// Where the tree is not what was meant, so that nothing more should be said of it.
    pub broken: Vec<Span>,
    /// Whether all keys are there, and only values are not.
    pub complete: bool,
}

/// Reads what can be read, and says what cannot.
pub(super) fn parse(source: &Arc<Source>) -> Parsed {
    let mut errors = Vec::new();
    let mut broken = Vec::new();
    let mut text = source.text.clone();
    let mut blanked = false;
    let mut quoted = Vec::new();
    // The parser gives up at a key without a value, and takes what follows for a part of what is not
    // closed: such a line is reported once, blanked, and the rest read again. Every round blanks a
    // line, and the number of rounds is bounded.
    for _ in 0..=MOST_ROUNDS {
        let (table, faults) = DeTable::parse_recoverable(&text);
        let lonely = faults.iter().find(|fault| fault.message().starts_with(LONELY_KEY));
        if let Some(line) = lonely.and_then(|fault| line_of(&text, fault.span()?.start)) {
            let at = line.start..line.start + text[line.clone()].trim_end().len();
            errors.push(lonely_key(source, at));
            text.replace_range(line.clone(), &" ".repeat(line.len()));
            blanked = true;
            continue;
        }
        if let Some(hole) = holes_round_a_hash(&text, &faults) {
            errors.push(no_quotes(source, &hole));
            // In quotes, what follows is read as it was meant; what they hold is not.
            text.replace_range(hole.start..hole.start + 1, "\"");
            text.replace_range(hole.end - 1..hole.end, "\"");
            quoted.push(hole);
            continue;
        }
        if let Some((line, error)) = open_line(source, &text, &faults) {
            errors.push(error);
            text.replace_range(line.clone(), &" ".repeat(line.len()));
            blanked = true;
            continue;
        }
        let mut root = Node { span: 0..0, value: Value::Table(entries(table.get_ref())) };
        if let Some(list) = unclosed_list(&faults, &root) {
            let at = list.start..list.start + 1;
            errors.push(
                Error::user("a list is not closed").at(source, at).hint("put `]` at its end"),
            );
            broken.push(list);
        } else if let Some(first) = swallowing(&faults) {
            errors.push(syntax_error(source, first));
            broken.push(first.span().map_or(0, |span| span.start)..text.len());
        }
        let mut bare = Vec::new();
        if faults.iter().any(|fault| is_misplaced(&text, fault)) {
            bare_holes(&root, &text, &mut bare);
        }
        for span in &bare {
            errors.push(no_quotes(source, span));
            refuse(&mut root, span);
        }
        for fault in &faults {
            let at = fault.span().map_or(0, |span| span.start);
            if is_misplaced(&text, fault) && (!bare.is_empty() || faults.len() > 1) {
                continue;
            }
            if broken.iter().any(|span| span.contains(&at) || span.end == at) {
                continue;
            }
            if fault.message().starts_with("unclosed table") {
                broken.push(at..next_header(&text, at));
            }
            errors.push(syntax_error(source, fault));
        }
        let in_values = |fault: &toml::de::Error| {
            IN_VALUES.iter().any(|start| fault.message().starts_with(start))
        };
        // A line that was blanked had a key.
        let complete = !blanked && faults.iter().all(in_values);
        for span in faults.iter().filter_map(toml::de::Error::span).chain(quoted) {
            refuse(&mut root, &span);
        }
        let errors = first_of_each_line(source, errors);
        return Parsed { root, errors, broken, complete };
    }
    let root = Node { span: 0..0, value: Value::Table(Vec::new()) };
    let errors = first_of_each_line(source, errors);
    Parsed { root, errors, broken, complete: false }
}

/// The mistakes of syntax after which the parser goes on as if nothing were missing but a value.
const IN_VALUES: [&str; 10] = [
    "string values must be quoted",
    "missing escaped value",
    "invalid basic string",
    "invalid literal string",
    "invalid float",
    "invalid boolean",
    "unexpected key or value, expected newline",
    "newlines are unsupported in inline tables",
    "trailing commas are not supported in inline tables",
    "comments are unsupported in inline tables",
];

/// Whether the parser takes a comma for the last of a table in braces that is not, as it does after
/// other mistakes.
fn is_misplaced(text: &str, fault: &toml::de::Error) -> bool {
    let after = fault.span().and_then(|span| text.get(span.end..)).unwrap_or_default();
    fault.message().starts_with("trailing commas") && !after.trim_start().starts_with('}')
}

/// Tables in braces that hold a name and nothing else: holes without their quotes.
fn bare_holes(node: &Node, text: &str, found: &mut Vec<Span>) {
    let written = text.get(node.span.clone()).unwrap_or_default();
    let inner = written.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    if inner.is_some_and(|inner| !inner.trim().is_empty()) && node.entries().is_empty() {
        found.push(node.span.clone());
    }
    let below = node.entries().iter().map(|entry| &entry.node).chain(node.items());
    below.for_each(|node| bare_holes(node, text, found));
}

/// Holes without their quotes and with a `#` between them, in a table in braces: the parser takes the
/// rest of the line for a comment, and so what follows for a part of the table.
fn holes_round_a_hash(text: &str, faults: &[toml::de::Error]) -> Option<Span> {
    faults.iter().find(|fault| fault.message().starts_with("unclosed inline table"))?;
    let mut lines = faults.iter().filter_map(|fault| line_of(text, fault.span()?.start));
    lines.find_map(|line| {
        let written = text.get(line.clone())?;
        let hash = comment_in(written)?;
        let open = written[..hash].rfind('{')?;
        let name = written[open..hash].strip_prefix('{')?.strip_suffix('}')?;
        let is_name = |c: char| c.is_alphanumeric() || "_-.:".contains(c);
        if name.is_empty() || !name.chars().all(is_name) {
            return None;
        }
        let rest = &written[open..];
        let mut hole = &rest[..rest.find([' ', '\t', ',']).unwrap_or(rest.len())];
        // The last brace may be the table's own.
        while hole.matches('}').count() > hole.matches('{').count() {
            hole = hole.strip_suffix('}')?;
        }
        (hole.is_ascii() && hole.len() > 1).then(|| {
            let start = line.start + open;
            start..start + hole.len()
        })
    })
}

/// Where the comment of a line begins, if it has one.
fn comment_in(line: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some('"'), '\\') => escaped = true,
            (Some(open), _) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '#') => return Some(at),
            _ => {}
        }
    }
    None
}

fn no_quotes(source: &Arc<Source>, span: &Span) -> Error {
    let written = short(source.text.get(span.clone()).unwrap_or_default());
    Error::user(format!("the text `{written}` has no quotes"))
        .at(source, span.clone())
        .hint(format!("write `\"{written}\"`"))
}

/// What the parser made of a value with a mistake is not what was meant.
fn refuse(node: &mut Node, at: &Span) {
    match &mut node.value {
        Value::Table(entries) if !entries.is_empty() => {
            entries.iter_mut().for_each(|entry| refuse(&mut entry.node, at));
        }
        Value::List(items) => items.iter_mut().for_each(|item| refuse(item, at)),
        _ if node.span.start <= at.end && at.start <= node.span.end => node.value = Value::Refused,
        _ => {}
    }
}

const MOST_ROUNDS: usize = 100;
const LONELY_KEY: &str = "key with no value";

/// A line whose text or table in braces is not closed, so that the parser takes what follows for a
/// part of it, and what is wrong with it.
fn open_line(
    source: &Arc<Source>,
    text: &str,
    faults: &[toml::de::Error],
) -> Option<(Span, Error)> {
    let starts = |fault: &toml::de::Error, words: &[&str]| {
        words.iter().any(|start| fault.message().starts_with(start))
    };
    let is_open = faults.iter().any(|fault| starts(fault, &["unclosed inline table"]));
    let mut faults: Vec<&toml::de::Error> = faults.iter().collect();
    faults.sort_by_key(|fault| fault.span().map_or(0, |span| span.start));
    for fault in &faults {
        let Some(end) = fault.span().map(|span| span.start) else { continue };
        let Some(line) = line_of(text, end) else { continue };
        let after = text.get(end..).unwrap_or_default();
        let next = end + (after.len() - after.trim_start().len());
        let others = |from: usize, words: &[&str]| {
            let here = |span: Span| from <= span.start && span.start <= next;
            let others = faults.iter().filter(|other| !std::ptr::eq(**other, *fault));
            others.filter(|other| starts(other, words)).filter_map(|o| o.span()).any(here)
        };
        let (message, hint) = if starts(fault, &["invalid basic string", "invalid literal string"])
            && (after.is_empty() || after.starts_with(['\n', '\r']))
            && others(end, &[""])
        {
            (NOT_CLOSED, CLOSE_IT)
        } else if starts(fault, &["newlines are unsupported"])
            && is_open
            && others(line.start, &["missing comma between key-value", "missing key for"])
        {
            ("a table in braces is not closed on its line", "put `}` at its end")
        } else {
            continue;
        };
        let place = line.end..line.end;
        return Some((line, Error::user(message).at(source, place).hint(hint)));
    }
    None
}

/// The first mistake of what swallowed the rest of the file, where it is not known what that is.
fn swallowing(faults: &[toml::de::Error]) -> Option<&toml::de::Error> {
    const TO_THE_END: [(&str, &str); 2] = [
        ("unclosed array", "missing comma between array"),
        ("unclosed inline table", "missing comma between key-value"),
    ];
    let is = |fault: &toml::de::Error, start: &str| fault.message().starts_with(start);
    let swallowed = |end: &str| faults.iter().any(|fault| is(fault, end));
    let first = faults.iter().filter(|fault| {
        let of = |(end, inside): &(&str, &str)| is(fault, end) || is(fault, inside);
        TO_THE_END.iter().any(|kind| swallowed(kind.0) && of(kind))
    });
    first.min_by_key(|fault| fault.span().map_or(0, |span| span.start))
}

/// The innermost list that swallowed the rest of the file because it is not closed.
fn unclosed_list(faults: &[toml::de::Error], root: &Node) -> Option<Span> {
    faults.iter().find(|fault| fault.message().starts_with("unclosed array"))?;
    // The first mistake inside it is nearer to its beginning than the end of the file.
    let first = faults.iter().find(|fault| {
        ["unclosed array", "missing comma between array"]
            .iter()
            .any(|start| fault.message().starts_with(start))
    })?;
    innermost_list(root, first.span()?.start)
}

fn innermost_list(node: &Node, at: usize) -> Option<Span> {
    let below = node.entries().iter().map(|entry| &entry.node).chain(node.items());
    let deeper = below.filter_map(|node| innermost_list(node, at)).next_back();
    let here = matches!(node.value, Value::List(_)) && node.span.start < at && at <= node.span.end;
    deeper.or_else(|| here.then(|| node.span.clone()))
}

/// The line around a byte, without its line end; `None` if it is blank already.
fn line_of(text: &str, at: usize) -> Option<Span> {
    let at = at.min(text.len());
    let start = text.get(..at)?.rfind('\n').map_or(0, |end| end + 1);
    let end = text.get(at..)?.find(['\n', '\r']).map_or(text.len(), |length| at + length);
    let line = text.get(start..end)?;
    let blank = line.len() - line.trim_start().len();
    (!line.trim().is_empty()).then_some(start + blank..end)
}

fn lonely_key(source: &Arc<Source>, at: Span) -> Error {
    let line = source.text.get(at.clone()).unwrap_or_default();
    let key = line.split(['#', '\t', ' ', '=']).next().unwrap_or_default();
    Error::user(format!("`{}` has no value", short(key)))
        .at(source, at.start..at.start + key.len())
        .hint(format!("write `{} = …`, or begin the line with `#`", short(key)))
}

/// Of the syntax errors of one line, those after the first mostly follow from it.
fn first_of_each_line(source: &Source, mut errors: Vec<Error>) -> Vec<Error> {
    errors.sort_by_key(|error| error.places.first().map_or(0, |place| place.span.start));
    let (lines, mut seen) = (Lines::of(&source.text), BTreeSet::new());
    errors.retain(|error| {
        let start = error.places.first().map_or(0, |place| place.span.start);
        seen.insert(lines.number(start))
    });
    errors
}

/// Where the lines of a text end.
pub(super) struct Lines(Vec<usize>);

impl Lines {
    pub(super) fn of(text: &str) -> Lines {
        Lines(text.match_indices('\n').map(|(at, _)| at).collect())
    }

    /// The line of a byte, counted from 0.
    pub(super) fn number(&self, at: usize) -> usize {
        self.0.partition_point(|end| *end < at)
    }
}

/// Mistakes of syntax whose words depend on nothing: how the parser's begin, what is said in their
/// place, and the hint. The first that fits is taken.
const SYNTAX: [(&str, &str, &str); 11] = [
    (
        "newlines are unsupported in inline tables",
        "a table in braces goes over several lines, which TOML 1.0 does not allow",
        "write it on one line, or as a table of its own under a `[header]`",
    ),
    (
        "trailing commas are not supported in inline tables",
        "a comma ends a table in braces, which TOML 1.0 does not allow",
        "remove the comma before `}`",
    ),
    (
        "comments are unsupported in inline tables",
        "a comment stands in a table in braces, which TOML 1.0 does not allow",
        "move the comment to a line of its own, above the table",
    ),
    ("invalid basic string, expected `\"`", NOT_CLOSED, CLOSE_IT),
    ("invalid literal string, expected `'`", NOT_CLOSED, CLOSE_IT),
    ("unclosed array", "a list is not closed", "put `]` at its end"),
    (
        "missing comma between array elements",
        "a comma is missing between two values of a list, or its `]`",
        "write `[\"a\", \"b\"]`",
    ),
    ("unclosed table", "a header is not closed", "put `]` at its end"),
    (
        "invalid unquoted key",
        "a key has a letter that needs quotes",
        "put the key in quotes: `\"…\" = …`",
    ),
    ("cannot recurse further", TOO_DEEP, NEST_LESS),
    ("recursion limit", TOO_DEEP, NEST_LESS),
];

const NOT_CLOSED: &str = "a text is not closed on its line";
const CLOSE_IT: &str = "put a quote at its end, or three at both ends of a text of several lines";
const TOO_DEEP: &str = "tables and lists are nested too deeply";
const NEST_LESS: &str = "nest them at most 80 deep";

/// A mistake of syntax in our own words, where the parser's are hard to act on.
fn syntax_error(source: &Arc<Source>, fault: &toml::de::Error) -> Error {
    let text = &source.text;
    let span = fault.span().unwrap_or(0..0);
    let span = span.start.min(text.len())..span.end.min(text.len());
    let said = fault.message();
    let said = said.strip_suffix(", expected nothing").unwrap_or(said);
    let fixed = SYNTAX.iter().find(|(start, ..)| said.starts_with(start));
    let (message, hint) = match fixed {
        Some((_, message, hint)) => ((*message).to_owned(), (*hint).to_owned()),
        None => found_there(text, &span, said),
    };
    Error::user(message).at(source, span).hint(hint)
}

/// The message and the hint of a mistake of syntax that speak of what stands there.
fn found_there(text: &str, span: &Span, said: &str) -> (String, String) {
    let found = text.get(span.clone()).unwrap_or_default();
    let next = text.get(span.start..).and_then(|rest| rest.chars().next());
    let starts = |start: &str| said.starts_with(start);
    if starts("missing escaped value") {
        return match next {
            Some(letter @ ('e' | 'x')) => (
                format!("`\\{letter}` in a text is not TOML 1.0"),
                "write the character as `\\u` and four hexadecimal digits".to_owned(),
            ),
            _ => (
                "a `\\` in a text stands before a letter that means nothing with it".to_owned(),
                "write `\\\\` for the backslash itself, or put the text in '…', where it is plain"
                    .to_owned(),
            ),
        };
    }
    if starts("duplicate key") {
        return (
            format!("`{found}` is given twice"),
            "remove one of the two, or put their keys together".to_owned(),
        );
    }
    match (starts("string values must be quoted"), found) {
        (true, "") => (
            "a value is missing".to_owned(),
            "write a value after the `=`, or begin the line with `#`".to_owned(),
        ),
        (true, found) => (
            format!("the text `{}` has no quotes", short(found)),
            format!("write `\"{}\"`", short(found)),
        ),
        (false, _) => (
            format!("this is not TOML: {said}"),
            "mend it here, or look it up at https://toml.io/en/v1.0.0".to_owned(),
        ),
    }
}

fn entries(table: &DeTable<'_>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            span: key.span(),
            node: Node { span: value.span(), value: value_of(value.get_ref()) },
        })
        .collect();
    entries.sort_by_key(|entry| entry.span.start);
    entries
}

fn value_of(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => {
            Value::Whole(i64::from_str_radix(number.as_str(), number.radix()).ok())
        }
        DeValue::Float(number) => {
            let text = number.as_str();
            Value::Float(text.strip_prefix('+').unwrap_or(text).to_owned())
        }
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(_) => Value::Time,
        DeValue::Array(items) => {
            let node = |item: &toml::Spanned<DeValue<'_>>| Node {
                span: item.span(),
                value: value_of(item.get_ref()),
            };
            Value::List(items.iter().map(node).collect())
        }
        DeValue::Table(table) => Value::Table(entries(table)),
    }
}

/// Where the next header begins, or the file ends.
fn next_header(text: &str, from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    rest.find("\n[").map_or(text.len(), |length| from + length)
}
