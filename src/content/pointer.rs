//! Pointer patterns: which values of a JSON text are meant.
//!
//! An RFC 6901 pointer whose steps may also be patterns:
//!
//! | step | meaning |
//! |---|---|
//! | `name` | the member of that name, or the item of that index, counted from 0 |
//! | `*` | any one step |
//! | `**` | any number of steps, also none |
//! | `[key=value]` | the items of a list whose member `key` is that text, number or word |
//! | `[key!=value]` | the items of a list whose member `key` is something else, or missing |
//!
//! Conditions may follow one another: `/data/[name=Baseline][fill=tonexty]/y`.
//! In a name, a key or a value, `~0` is `~` and `~1` is `/`; jheem adds `~2` for `*` and `~3` for
//! `[`, for names that would otherwise be patterns.
//! A pattern that may match a thing in two ways matches it once.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::json::{Name, Value, View};

/// A parsed pointer pattern; see the top of this file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pointer {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Step {
    Name(String),
    Any,
    AnyDepth,
    Where(Vec<Condition>),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Condition {
    key: String,
    value: String,
    equal: bool,
}

impl Pointer {
    /// Parses a pattern; the error says what is wrong and what to write.
    pub fn parse(text: &str) -> Result<Pointer, String> {
        let mut steps = Vec::new();
        if text.is_empty() {
            return Ok(Pointer { steps });
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err(format!("pointer `{text}` does not begin with `/`: write `/{text}`"));
        };
        for raw in rest.split('/') {
            let step = match raw {
                "*" => Step::Any,
                "**" => Step::AnyDepth,
                _ if raw.starts_with('[') => Step::Where(conditions(raw, text)?),
                _ if raw.contains('*') => {
                    return Err(format!(
                        "step `{raw}` of pointer `{text}` holds a `*`, which only stands for whole steps: write `*` alone, or `~2` for the letter"
                    ));
                }
                _ => Step::Name(unescape(raw, text)?),
            };
            // Two in a row mean no more than one.
            if !(step == Step::AnyDepth && steps.last() == Some(&Step::AnyDepth)) {
                steps.push(step);
            }
        }
        Ok(Pointer { steps })
    }

    /// True if it takes all there is: the whole value, or everything right below it.
    pub fn takes_everything(&self) -> bool {
        let mut steps = self.steps.iter().filter(|step| **step != Step::AnyDepth);
        steps.next().is_none_or(|step| *step == Step::Any) && steps.next().is_none()
    }

    /// True if it holds no patterns, so that it matches at most one value.
    pub fn is_plain(&self) -> bool {
        self.steps.iter().all(|step| matches!(step, Step::Name(_)))
    }

    /// Whether this pattern takes the value at a plain pointer, or something that holds it.
    pub fn covers(&self, plain: &Pointer) -> bool {
        fn takes(pattern: &[Step], path: &[Step]) -> bool {
            match (pattern.split_first(), path.split_first()) {
                (None, _) => true,
                (Some((Step::AnyDepth, rest)), _) => {
                    takes(rest, path) || path.split_first().is_some_and(|(_, p)| takes(pattern, p))
                }
                (Some((Step::Any | Step::Where(_), rest)), Some((_, path))) => takes(rest, path),
                (Some((Step::Name(name), rest)), Some((Step::Name(at), path))) => {
                    name == at && takes(rest, path)
                }
                _ => false,
            }
        }
        takes(&self.steps, &plain.steps)
    }

    /// Calls `found` with each value below `root` that matches, each once.
    pub(crate) fn select<'t>(&self, root: Value<'t>, mut found: impl FnMut(Value<'t>)) {
        let mut search = Search::new(self, None, |value, _: &str| found(value));
        search.walk(root, 0);
    }

    /// The values below `root` that match, each with what its patterns stood for, as one text.
    ///
    /// `*` stands for the name or index of its step, `**` for the steps that it took, and a
    /// condition for which of the items that meet it this is: 0 for the first.
    pub(crate) fn select_bound<'t>(&self, root: Value<'t>) -> Vec<(String, Value<'t>)> {
        let mut all = Vec::new();
        let keep = |value, trail: &str| all.push((trail.to_owned(), value));
        Search::new(self, Some(String::new()), keep).walk(root, 0);
        all
    }
}

/// Reads `[a=b][c!=d]`.
fn conditions(raw: &str, pointer: &str) -> Result<Vec<Condition>, String> {
    let inner = raw.strip_prefix('[').and_then(|raw| raw.strip_suffix(']'));
    let inner = inner.ok_or_else(|| {
        format!(
            "step `{raw}` of pointer `{pointer}` has no closing `]`: write `[key=value]`, or `~3` for a name that begins with `[`"
        )
    })?;
    let condition = |text: &str| {
        let Some((key, value)) = text.split_once('=') else {
            return Err(format!(
                "`[{text}]` in pointer `{pointer}` is not a condition: write `[key=value]` or `[key!=value]`"
            ));
        };
        let (key, equal) = key.strip_suffix('!').map_or((key, true), |key| (key, false));
        if key.is_empty() {
            return Err(format!(
                "`[{text}]` in pointer `{pointer}` names no key: write `[key=value]`"
            ));
        }
        let (key, value) = (unescape(key, pointer)?, unescape(value, pointer)?);
        Ok(Condition { key, value, equal })
    };
    inner.split("][").map(condition).collect()
}

fn unescape(raw: &str, pointer: &str) -> Result<String, String> {
    let mut text = String::with_capacity(raw.len());
    let mut letters = raw.chars();
    while let Some(letter) = letters.next() {
        if letter != '~' {
            text.push(letter);
            continue;
        }
        text.push(match letters.next() {
            Some('0') => '~',
            Some('1') => '/',
            Some('2') => '*',
            Some('3') => '[',
            _ => {
                return Err(format!(
                    "`~` in pointer `{pointer}` stands alone: write `~0` for `~` and `~1` for `/`"
                ));
            }
        });
    }
    Ok(text)
}

fn escape(text: &str) -> String {
    text.replace('~', "~0").replace('/', "~1")
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            f.write_str("/")?;
            match step {
                Step::Name(name) => {
                    let name = escape(name).replace('*', "~2");
                    match name.strip_prefix('[') {
                        Some(rest) => write!(f, "~3{rest}")?,
                        None => f.write_str(&name)?,
                    }
                }
                Step::Any => f.write_str("*")?,
                Step::AnyDepth => f.write_str("**")?,
                Step::Where(conditions) => {
                    for Condition { key, value, equal } in conditions {
                        let sign = if *equal { "=" } else { "!=" };
                        write!(f, "[{}{sign}{}]", escape(key), escape(value))?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl FromStr for Pointer {
    type Err = String;

    fn from_str(text: &str) -> Result<Pointer, String> {
        Pointer::parse(text)
    }
}

impl TryFrom<String> for Pointer {
    type Error = String;

    fn try_from(text: String) -> Result<Pointer, String> {
        Pointer::parse(&text)
    }
}

impl From<Pointer> for String {
    fn from(pointer: Pointer) -> String {
        pointer.to_string()
    }
}

impl Condition {
    fn holds(&self, item: Value<'_>) -> bool {
        let same = match item.get(self.key.as_bytes()).map(Value::view) {
            Some(View::Text(text) | View::Number(text)) => text == self.value.as_bytes(),
            Some(View::Bool(value)) => self.value == if value { "true" } else { "false" },
            Some(View::Null) => self.value == "null",
            Some(View::List(_) | View::Object(_)) | None => false,
        };
        same == self.equal
    }
}

struct Search<'p, F> {
    steps: &'p [Step],
    /// What the patterns so far stood for, if anyone asked.
    trail: Option<String>,
    /// Where the search was, by value and step: only two `**` can come to one place twice.
    seen: Option<HashSet<(u32, usize)>>,
    found: F,
}

impl<'p, 't, F: FnMut(Value<'t>, &str)> Search<'p, F> {
    fn new(pointer: &'p Pointer, trail: Option<String>, found: F) -> Search<'p, F> {
        let steps = pointer.steps.as_slice();
        let deep = steps.iter().filter(|step| **step == Step::AnyDepth).count();
        let seen = (deep > 1).then(HashSet::new);
        Search { steps, trail, seen, found }
    }

    fn walk(&mut self, value: Value<'t>, at: usize) {
        if let Some(seen) = &mut self.seen
            && !seen.insert((value.id, at))
        {
            return;
        }
        let Some(step) = self.steps.get(at) else {
            let trail = self.trail.as_deref().unwrap_or("");
            return (self.found)(value, trail);
        };
        match (step, value.view()) {
            (Step::Name(name), View::Object(members)) => {
                if let Some(member) = members.get(name.as_bytes()) {
                    self.walk(member, at + 1);
                }
            }
            (Step::Name(name), View::List(mut items)) => {
                if let Some(item) = index(name).and_then(|index| items.nth(index)) {
                    self.walk(item, at + 1);
                }
            }
            (Step::Any, View::List(items)) => {
                for (index, item) in items.enumerate() {
                    self.bound(|| format!("{index}/"), |search| search.walk(item, at + 1));
                }
            }
            (Step::Any, View::Object(members)) => {
                for (name, member) in members {
                    self.bound(|| named(name), |search| search.walk(member, at + 1));
                }
            }
            (Step::Where(conditions), View::List(items)) => {
                let meets = |item: &Value<'t>| conditions.iter().all(|c| c.holds(*item));
                for (index, item) in items.filter(meets).enumerate() {
                    self.bound(|| format!("{index}/"), |search| search.walk(item, at + 1));
                }
            }
            (Step::AnyDepth, view) => {
                // The mark of its end keeps the steps of two `**` apart.
                self.bound(|| "~/".to_owned(), |search| search.walk(value, at + 1));
                // Nothing but the end of a pattern matches a value that holds no others.
                let ends = at + 1 == self.steps.len();
                let worth =
                    |v: &Value<'t>| ends || matches!(v.view(), View::List(_) | View::Object(_));
                match view {
                    View::List(items) => {
                        for (index, item) in items.enumerate().filter(|(_, item)| worth(item)) {
                            self.bound(|| format!("{index}/"), |search| search.walk(item, at));
                        }
                    }
                    View::Object(members) => {
                        for (name, member) in members.filter(|(_, member)| worth(member)) {
                            self.bound(|| named(name), |search| search.walk(member, at));
                        }
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }

    /// Does `then` with `step` added to the trail, if there is one.
    fn bound(&mut self, step: impl FnOnce() -> String, then: impl FnOnce(&mut Self)) {
        let Some(trail) = &mut self.trail else { return then(self) };
        let length = trail.len();
        trail.push_str(&step());
        then(self);
        if let Some(trail) = &mut self.trail {
            trail.truncate(length);
        }
    }
}

/// The index that a name is, written without needless zeros.
fn index(name: &str) -> Option<usize> {
    let plain = name == "0" || !name.starts_with('0');
    (plain && name.bytes().all(|byte| byte.is_ascii_digit())).then(|| name.parse().ok())?
}

fn named(name: Name<'_>) -> String {
    escape(&String::from_utf8_lossy(name.bytes())) + "/"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::json::Json;
    use crate::content::parse::parse;

    /// The plain pointers of all that `pattern` matches in `text`.
    fn matches(pattern: &str, text: &str) -> Vec<String> {
        let tree = parse(text.as_bytes()).unwrap();
        let json = Json { tree: &tree, source: text.as_bytes() };
        let mut found = Vec::new();
        Pointer::parse(pattern).unwrap().select(json.root(), |value| found.push(value.pointer()));
        found
    }

    const PLOT: &str = r#"{
        "data": [
            {"name": "lower", "y": [1, 2], "uid": "a"},
            {"name": "upper", "y": [3, 4], "fill": "tonexty", "uid": "b"},
            {"name": "lower", "y": [5, 6], "visible": true}
        ],
        "layout": {"title": {"text": "t"}, "a/b": {"m~n": 0}, "*": 1, "[x": 2, "": 3}
    }"#;

    #[test]
    fn a_pointer_names_one_value() {
        assert_eq!(matches("", PLOT), [""]);
        assert_eq!(matches("/data/0/y/1", PLOT), ["/data/0/y/1"]);
        assert_eq!(matches("/layout/a~1b/m~0n", PLOT), ["/layout/a~1b/m~0n"]);
        assert_eq!(matches("/layout/", PLOT), ["/layout/"]);
        for absent in ["/data/3", "/data/00", "/data/-", "/data/0/y/1/0", "/date", "/data/+1"] {
            assert!(matches(absent, PLOT).is_empty(), "{absent}");
        }
    }

    #[test]
    fn stars_stand_for_steps() {
        assert_eq!(matches("/data/*/uid", PLOT), ["/data/0/uid", "/data/1/uid"]);
        assert_eq!(matches("/**/text", PLOT), ["/layout/title/text"]);
        assert_eq!(matches("/layout/title/**", PLOT), ["/layout/title", "/layout/title/text"]);
        assert_eq!(matches("/**/name", r#"{"name":{"name":1}}"#), ["/name", "/name/name"]);
        assert_eq!(matches("/**/**/y/0", PLOT).len(), 3);
        // Two ways to come there, one match.
        assert_eq!(matches("/**/a/**/b", r#"{"a":{"a":{"b":1}}}"#), ["/a/a/b"]);
    }

    #[test]
    fn a_pattern_of_stars_takes_everything() {
        for (text, everything) in [
            ("", true),
            ("/**", true),
            ("/*", true),
            ("/**/*", true),
            ("/*/**", true),
            ("/*/*", false),
            ("/**/text", false),
            ("/[name=lower]", false),
            ("/data", false),
        ] {
            assert_eq!(Pointer::parse(text).unwrap().takes_everything(), everything, "{text}");
        }
    }

    #[test]
    fn conditions_choose_the_items_of_a_list() {
        assert_eq!(matches("/data/[name=lower]/y", PLOT), ["/data/0/y", "/data/2/y"]);
        assert_eq!(matches("/data/[fill!=tonexty]/name", PLOT), ["/data/0/name", "/data/2/name"]);
        assert_eq!(matches("/data/[name=lower][uid=a]", PLOT), ["/data/0"]);
        assert_eq!(matches("/data/[visible=true]", PLOT), ["/data/2"]);
        assert!(matches("/data/[name=]", PLOT).is_empty());
    }

    #[test]
    fn names_that_look_like_patterns_can_be_written() {
        assert_eq!(matches("/layout/~2", PLOT), ["/layout/*"]);
        assert_eq!(matches("/layout/~3x", PLOT), ["/layout/[x"]);
    }

    #[test]
    fn a_pointer_is_written_as_it_was_read() {
        for text in
            ["", "/", "/a/*/**/b", "/a~0b~1c", "/~2/~2~2", "/~3x", "/data/[name=a~1b][fill!=x=y]/y"]
        {
            assert_eq!(Pointer::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Pointer::parse("/**/**/a"), Pointer::parse("/**/a"));
    }

    #[test]
    fn a_mistaken_pointer_is_refused_with_what_to_write() {
        for (text, message) in [
            (
                "generation_time",
                "pointer `generation_time` does not begin with `/`: write `/generation_time`",
            ),
            ("/a~b", "`~` in pointer `/a~b` stands alone: write `~0` for `~` and `~1` for `/`"),
            (
                "/data/y*",
                "step `y*` of pointer `/data/y*` holds a `*`, which only stands for whole steps: write `*` alone, or `~2` for the letter",
            ),
            (
                "/data/[name",
                "step `[name` of pointer `/data/[name` has no closing `]`: write `[key=value]`, or `~3` for a name that begins with `[`",
            ),
            (
                "/data/[name]",
                "`[name]` in pointer `/data/[name]` is not a condition: write `[key=value]` or `[key!=value]`",
            ),
            ("/data/[=x]", "`[=x]` in pointer `/data/[=x]` names no key: write `[key=value]`"),
        ] {
            assert_eq!(Pointer::parse(text).unwrap_err(), message);
        }
    }

    #[test]
    fn partners_are_told_by_what_the_patterns_stood_for() {
        let tree = parse(PLOT.as_bytes()).unwrap();
        let json = Json { tree: &tree, source: PLOT.as_bytes() };
        let trails = |pattern| {
            let bound = Pointer::parse(pattern).unwrap().select_bound(json.root());
            bound.into_iter().map(|(trail, _)| trail).collect::<Vec<_>>()
        };
        assert_eq!(trails("/data/*/uid"), ["0/", "1/"]);
        assert_eq!(trails("/data/[name=upper]/y"), trails("/data/[name!=lower]/y"));
        assert_eq!(trails("/data/[name=lower]/y/*"), ["0/0/", "0/1/", "1/0/", "1/1/"]);
    }
}
