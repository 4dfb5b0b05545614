//! A policy document as it is written, and whether it allows an action on a resource.
//!
//! What is asked about may hold wildcards itself: it is allowed only if one statement allows all of it, and denied if any of it is.

use serde_json::{Map, Value};

/// The statements of a policy.
#[derive(Clone, Debug)]
pub struct Policy(Vec<Statement>);

#[derive(Clone, Debug)]
struct Statement {
    sid: Option<String>,
    allows: bool,
    actions: Listed,
    resources: Listed,
    /// Whether it holds only under a condition, which nobody knows beforehand.
    conditional: bool,
}

/// Patterns, and whether they are what is meant or what is not.
#[derive(Clone, Debug)]
struct Listed {
    patterns: Vec<String>,
    not: bool,
}

/// Something needed that a policy does not plainly allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The statement of the needs.
    pub sid: &'static str,
    pub action: &'static str,
    pub resource: String,
    pub kind: Lack,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// No statement allows it.
    Missing,
    /// A statement of this name denies it, or a part of it.
    Denied(Option<String>),
    /// It is allowed, or not denied, only under a condition.
    Conditional,
}

impl Policy {
    /// Reads a document; also one that stands below `Document` or `PolicyDocument`. The error is a fragment.
    pub fn read(text: &str) -> Result<Policy, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let mut value = &value;
        for wrapped in ["PolicyVersion", "Document", "PolicyDocument"] {
            value = value.get(wrapped).unwrap_or(value);
        }
        let statements = value.get("Statement").ok_or("it has no `Statement`")?;
        let all = match statements {
            Value::Array(all) => all.iter().collect(),
            one => vec![one],
        };
        let read = |(index, statement): (usize, &&Value)| {
            let statement = statement.as_object().ok_or("a `Statement` is no object".to_owned());
            statement
                .and_then(Statement::read)
                .map_err(|what| format!("statement {}: {what}", index + 1))
        };
        all.iter().enumerate().map(read).collect::<Result<_, _>>().map(Policy)
    }

    /// Why an action on all of a resource is not plainly allowed; none if it is.
    pub fn lacks(
        &self,
        sid: &'static str,
        action: &'static str,
        resource: &str,
    ) -> Option<Finding> {
        let finding = |kind| Finding { sid, action, resource: resource.to_owned(), kind };
        let mut conditional = false;
        for denial in self.0.iter().filter(|statement| !statement.allows) {
            if denial.actions.touches(action) && denial.resources.touches(resource) {
                if !denial.conditional {
                    return Some(finding(Lack::Denied(denial.sid.clone())));
                }
                conditional = true;
            }
        }
        let allows = |statement: &&Statement| {
            statement.allows
                && statement.actions.covers(action)
                && statement.resources.covers(resource)
        };
        let mut allowing = self.0.iter().filter(allows).peekable();
        if allowing.peek().is_none() {
            return Some(finding(Lack::Missing));
        }
        conditional |= allowing.all(|statement| statement.conditional);
        conditional.then(|| finding(Lack::Conditional))
    }
}

impl Statement {
    fn read(statement: &Map<String, Value>) -> Result<Statement, String> {
        let allows = match statement.get("Effect").and_then(Value::as_str) {
            Some("Allow") => true,
            Some("Deny") => false,
            _ => return Err("its `Effect` is neither `Allow` nor `Deny`".into()),
        };
        let actions = Listed::read(statement, "Action", "NotAction")?;
        Ok(Statement {
            sid: statement.get("Sid").and_then(Value::as_str).map(str::to_owned),
            allows,
            actions: Listed {
                patterns: actions.patterns.iter().map(|p| p.to_lowercase()).collect(),
                ..actions
            },
            resources: Listed::read(statement, "Resource", "NotResource")?,
            conditional: statement
                .get("Condition")
                .is_some_and(|c| c != &Value::Object(Map::new())),
        })
    }
}

impl Listed {
    fn read(statement: &Map<String, Value>, is: &str, not: &str) -> Result<Listed, String> {
        let (value, not) = match (statement.get(is), statement.get(not)) {
            (Some(value), None) => (value, false),
            (None, Some(value)) => (value, true),
            _ => return Err(format!("it must have one of `{is}` and `{not}`")),
        };
        let texts = match value {
            Value::Array(all) => all.iter().map(Value::as_str).collect(),
            one => one.as_str().map(|text| vec![text]),
        };
        let texts =
            texts.ok_or_else(|| format!("its `{is}` is neither a text nor a list of texts"))?;
        Ok(Listed { patterns: texts.into_iter().map(str::to_owned).collect(), not })
    }

    /// Whether all that is asked about is meant.
    fn covers(&self, asked: &str) -> bool {
        let asked = lowered(asked);
        match self.not {
            false => self.patterns.iter().any(|pattern| covers(pattern, &asked)),
            true => !self.patterns.iter().any(|pattern| overlaps(pattern, &asked)),
        }
    }

    /// Whether any of what is asked about is meant.
    fn touches(&self, asked: &str) -> bool {
        let asked = lowered(asked);
        match self.not {
            false => self.patterns.iter().any(|pattern| overlaps(pattern, &asked)),
            true => !self.patterns.iter().any(|pattern| covers(pattern, &asked)),
        }
    }
}

/// Actions are the same in any case; names of resources are not.
fn lowered(asked: &str) -> String {
    if asked.starts_with("arn:") { asked.to_owned() } else { asked.to_lowercase() }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Any,
    One,
    Plain(char),
}

/// A pattern in parts; `${*}`, `${?}` and `${$}` are the characters themselves.
fn parts(pattern: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let plain = [("${*}", '*'), ("${?}", '?'), ("${$}", '$')];
        let plain = plain.iter().find(|(text, _)| rest.starts_with(text));
        let (part, length) = match (plain, first) {
            (Some((text, c)), _) => (Part::Plain(*c), text.len()),
            (None, '*') => (Part::Any, 1),
            (None, '?') => (Part::One, 1),
            (None, c) => (Part::Plain(c), c.len_utf8()),
        };
        parts.push(part);
        rest = &rest[length..];
    }
    parts
}

/// Whether a pattern holds everything that another one does.
fn covers(pattern: &str, asked: &str) -> bool {
    let by_field = || match (fields(pattern), fields(asked)) {
        // Where it is not known which account or region is asked about, any will do.
        (Some(pattern), Some(asked)) => {
            pattern.iter().zip(&asked).enumerate().all(|(at, (p, a))| {
                ((at == 3 || at == 4) && *a == "*") || compare(&parts(p), &parts(a), holds)
            })
        }
        _ => false,
    };
    compare(&parts(pattern), &parts(asked), holds) || by_field()
}

/// Whether anything matches both patterns.
fn overlaps(pattern: &str, asked: &str) -> bool {
    compare(&parts(pattern), &parts(asked), meets)
}

/// The six parts of an ARN.
fn fields(arn: &str) -> Option<[&str; 6]> {
    let fields: Vec<&str> = arn.splitn(6, ':').collect();
    fields.try_into().ok()
}

/// Whether one part of a pattern holds a part of another; `Any` is dealt with beforehand on the left.
fn holds(pattern: Part, asked: Part) -> bool {
    match pattern {
        Part::Any => true,
        Part::One => asked != Part::Any,
        plain => plain == asked,
    }
}

fn meets(pattern: Part, asked: Part) -> bool {
    matches!(pattern, Part::One) || matches!(asked, Part::One) || pattern == asked
}

/// Compares two patterns part by part: `*` on the left takes any number of parts.
///
/// With `meets`, so does `*` on the right; with `holds` that is a part which only `*` holds.
fn compare(pattern: &[Part], asked: &[Part], same: fn(Part, Part) -> bool) -> bool {
    let both = same(Part::One, Part::Any);
    // `reached[j]`: the parts of the pattern so far go with the first `j` that are asked about.
    let mut reached = vec![false; asked.len() + 1];
    reached[0] = true;
    if both {
        for (at, part) in asked.iter().enumerate() {
            reached[at + 1] = reached[at] && *part == Part::Any;
        }
    }
    for part in pattern {
        let mut next = vec![false; asked.len() + 1];
        next[0] = reached[0] && *part == Part::Any;
        for (at, other) in asked.iter().enumerate() {
            next[at + 1] = match part {
                Part::Any => reached[at + 1] || next[at],
                _ if both && *other == Part::Any => reached[at + 1] || next[at] || reached[at],
                part => reached[at] && same(*part, *other),
            };
        }
        reached = next;
    }
    reached[asked.len()]
}
