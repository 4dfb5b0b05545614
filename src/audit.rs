//! Whether an output is what was asked for: rules over its values, and what they found.
//!
//! Knows nothing of cells and templates: rules come with their values filled in.
//! A finding is a value, not an error; whether it fails a target is decided elsewhere.
//!
//! A check whose pointer matches nothing always finds that: a rule that looks at nothing says
//! nothing, and a plot without traces is the accident that it was written for.

mod checks;
mod decimal;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::content::{As, Document, Pointer, Unreadable};
use crate::digest::Digest;

/// Raised with every change of what a check finds.
pub const VERSION: u32 = 1;

/// One check of one output.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The output's name, for messages.
    pub output: String,
    pub check: Check,
}

/// What must hold; the names are the keys of an `[[plot.NAME.audit]]` table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Check {
    /// `equals`: every value that matches is this one; numbers are compared by value.
    Equals { at: Pointer, value: Scalar },
    /// `required`: something matches.
    Required { at: Pointer },
    /// `items`: every list or object that matches has so many items, bounds included.
    Items { at: Pointer, min: Option<u64>, max: Option<u64> },
    /// `finite`: every value that matches, and all below it, is a number that is finite.
    ///
    /// `null`, texts (`"NaN"`, `"NA"`, `"Inf"`) and words are not; an empty list is.
    Finite { at: Pointer },
    /// `range`: every number that matches or is below it lies within, bounds included.
    ///
    /// `null` is let through (`finite` refuses it), texts and words are not.
    Range { at: Pointer, min: Option<f64>, max: Option<f64> },
    /// `ordered`: no number of `lower` is above its partner in `upper`.
    ///
    /// Values are partners if the patterns in both pointers stand for the same: `*` for the same
    /// name or index, a condition for the first, second, … item that meets it. So
    /// `/sim/*/value.lower` and `/sim/*/value.upper` compare within a row, and
    /// `/data/[name=lower]/y` and `/data/[fill=tonexty]/y` the first ribbon's edges with each
    /// other, then the second's. Lists are compared item by item, and have the same length.
    /// A pair of `null` is let through.
    Ordered { lower: Pointer, upper: Pointer },
    /// `contains`: every list that matches holds all these values, in any order.
    ///
    /// Where texts or numbers match (`/sim/*/year`), all that match together are the list.
    Contains { at: Pointer, values: Vec<Scalar> },
    /// `same_length`: lists that are partners (as for `ordered`) have the same number of items.
    SameLength { at: Vec<Pointer> },
    /// `size`: the file has so many bytes, bounds included.
    Size { min: Option<u64>, max: Option<u64> },
}

/// A plain value that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Scalar {
    Text(String),
    /// As written; compared by value, exactly: `1` is `1.0` and `1e0`.
    Number(String),
    Bool(bool),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Text(text) | Scalar::Number(text) => f.write_str(text),
            Scalar::Bool(value) => write!(f, "{value}"),
        }
    }
}

/// Something that is not as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// The output's name.
    pub output: String,
    /// A sentence without its full stop: what is there, and what was asked for.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Reads a file as `kind` and judges it by one rule.
pub fn audit(rule: &Rule, bytes: &[u8], kind: As) -> Vec<Finding> {
    match Document::parse(bytes, kind) {
        Ok(document) => audit_document(std::slice::from_ref(rule), &document),
        Err(error) => vec![unreadable(&rule.output, kind, &error)],
    }
}

/// Judges a file that was read by all rules for its output, in their order.
pub fn audit_document(rules: &[Rule], document: &Document<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in rules {
        let messages = checks::judge(&rule.check, document).into_iter();
        findings.extend(messages.map(|message| Finding { output: rule.output.clone(), message }));
    }
    findings
}

/// What an audit says of a file that cannot be read as what it is declared to be.
pub fn unreadable(output: &str, kind: As, error: &Unreadable) -> Finding {
    let message = format!("the file cannot be read as `{kind}`: {error}");
    Finding { output: output.to_owned(), message }
}

/// Cells of one output that have the same content although their requests differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    pub content: Digest,
    /// Labels of the cells, in the order in which they were given; at least two.
    pub cells: Vec<String>,
}

impl fmt::Display for Duplicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, rest @ ..] = self.cells.as_slice() else {
            unreachable!("one cell is no duplicate")
        };
        write!(f, "`{first}` has the same content as `{second}`")?;
        if !rest.is_empty() {
            write!(f, " and {} more", rest.len())?;
        }
        Ok(())
    }
}

/// Finds cells of one output with the same content (`unique = true`), in the order of the first.
///
/// `exempt` names cells that may look like any other.
pub fn duplicates(
    cells: &[(String, Digest)],
    mut exempt: impl FnMut(&str) -> bool,
) -> Vec<Duplicate> {
    let mut by_content: BTreeMap<Digest, Vec<usize>> = BTreeMap::new();
    for (index, (label, content)) in cells.iter().enumerate() {
        if !exempt(label) {
            by_content.entry(*content).or_default().push(index);
        }
    }
    let mut groups: Vec<(Digest, Vec<usize>)> =
        by_content.into_iter().filter(|(_, group)| group.len() > 1).collect();
    groups.sort_unstable_by_key(|(_, group)| group[0]);
    let labels = |group: Vec<usize>| group.into_iter().map(|index| cells[index].0.clone());
    groups
        .into_iter()
        .map(|(content, group)| Duplicate { content, cells: labels(group).collect() })
        .collect()
}

/// The digest of how an output is judged: it moves exactly when the judgement could.
///
/// In: what the file is taken for and the version of that, what is volatile, the checks.
/// Out: the order of patterns and of rules, rules that stand twice, the name of the output, and
/// how a number or a pointer was written.
/// A set of rules that are equal in effect but not in words (`min = 0`) counts as another one.
pub fn digest_of_rules(kind: As, volatile: &[Pointer], rules: &[Rule]) -> Digest {
    let mut volatile: Vec<&Pointer> = volatile.iter().collect();
    volatile.sort_unstable();
    volatile.dedup();
    let mut checks: Vec<Vec<u8>> = rules.iter().map(|rule| packed(&rule.check.plain())).collect();
    checks.sort_unstable();
    checks.dedup();
    Digest::of(&packed(&(VERSION, kind, kind.form.version(), volatile, checks)))
}

fn packed(value: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).expect("plain values have a packed form")
}

impl Check {
    /// The same check in the one way of writing that stands for all.
    fn plain(&self) -> Check {
        let mut check = self.clone();
        match &mut check {
            Check::Equals { value, .. } => *value = value.plain(),
            Check::Contains { values, .. } => {
                *values = values.iter().map(Scalar::plain).collect();
                values.sort_unstable();
                values.dedup();
            }
            Check::SameLength { at } => {
                at.sort_unstable();
                at.dedup();
            }
            Check::Range { min, max, .. } => {
                // Adding zero makes `-0.0` the same as `0.0`.
                *min = min.map(|bound| bound + 0.0);
                *max = max.map(|bound| bound + 0.0);
            }
            Check::Required { .. }
            | Check::Items { .. }
            | Check::Finite { .. }
            | Check::Ordered { .. }
            | Check::Size { .. } => {}
        }
        check
    }

    /// True if it looks at values, which `bytes` and `gzip` do not have.
    pub fn needs_values(&self) -> bool {
        !matches!(self, Check::Size { .. })
    }
}

impl Scalar {
    fn plain(&self) -> Scalar {
        match self {
            Scalar::Number(text) => Scalar::Number(decimal::plain(text)),
            other => other.clone(),
        }
    }

    /// The numbers `from`, `from + step`, … up to `to`, without rounding; at most 10,000.
    ///
    /// # Errors
    /// A fragment that says which of the three is wrong.
    pub fn sequence(from: &str, to: &str, step: &str) -> Result<Vec<Scalar>, String> {
        let numbers = decimal::sequence(from, to, step)?;
        Ok(numbers.into_iter().map(Scalar::Number).collect())
    }
}
