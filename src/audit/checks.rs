//! The judgement of one check: the sentences on what is not as it was asked for.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::content::json::{Json, Value, View};
use crate::content::{Document, Pointer};

use super::{Check, Scalar, decimal};

/// How many places of one check are named; the rest are counted.
const NAMED: usize = 3;

/// What a check finds in a document; empty if all is as it was asked for.
pub(super) fn judge(check: &Check, document: &Document<'_>) -> Vec<String> {
    let mut found = Found { messages: Vec::new(), more: 0 };
    if let Check::Size { .. } = check {
        return judge_size(check, document.size()).into_iter().collect();
    }
    let payloads = document.values();
    if payloads.is_empty() {
        let kind = document.kind();
        found.say(|| {
            if kind.has_values() {
                format!("the file is `{kind}`, but holds no widget to look into")
            } else {
                format!("the file is `{kind}`, which has no values to look at")
            }
        });
        return found.messages;
    }
    let several = payloads.len() > 1;
    for (number, json) in (1..).zip(payloads) {
        let place = Payload { json, number: several.then_some(number) };
        place.judge(check, &mut found);
    }
    if found.more > 0 {
        let more = found.more;
        let places = if more == 1 { "place" } else { "places" };
        found.messages.push(format!("and so it is in {more} more {places}"));
    }
    found.messages
}

/// What a check of the size finds, which needs no more than that.
pub(super) fn judge_size(check: &Check, size: u64) -> Option<String> {
    let Check::Size { min, max } = check else { return None };
    outside("the file", "byte", size, *min, *max)
}

struct Found {
    messages: Vec<String>,
    more: usize,
}

impl Found {
    fn say(&mut self, message: impl FnOnce() -> String) {
        if self.messages.len() < NAMED {
            self.messages.push(message());
        } else {
            self.more += 1;
        }
    }
}

/// One JSON value of a document, and its number if there are several.
#[derive(Clone, Copy)]
struct Payload<'t> {
    json: Json<'t>,
    number: Option<usize>,
}

impl<'t> Payload<'t> {
    fn judge(self, check: &Check, found: &mut Found) {
        match check {
            Check::Equals { at, value } => self.equals(at, value, found),
            Check::Required { at } => drop(self.matches(at, found)),
            Check::Items { at, min, max } => self.items(at, *min, *max, found),
            Check::Finite { at } => self.finite(at, found),
            Check::Range { at, min, max } => self.range(at, *min, *max, found),
            Check::Ordered { lower, upper } => self.ordered(lower, upper, found),
            Check::Contains { at, values } => self.contains(at, values, found),
            Check::SameLength { at } => self.same_length(at, found),
            Check::Ribbon { at } => self.ribbons(at, found),
            Check::Size { .. } => {}
        }
    }

    /// How a place is named in a message.
    fn name(self, pointer: &str) -> String {
        let place =
            if pointer.is_empty() { "the whole value".to_owned() } else { format!("`{pointer}`") };
        match self.number {
            Some(number) => format!("{place} of widget {number}"),
            None => place,
        }
    }

    fn place(self, value: Value<'_>) -> String {
        self.name(&value.pointer())
    }

    /// All that matches; nothing is a finding.
    fn matches(self, at: &Pointer, found: &mut Found) -> Vec<Value<'t>> {
        let mut all = Vec::new();
        at.select(self.json.root(), |value| all.push(value));
        if all.is_empty() {
            found.say(|| format!("{} is missing", self.name(&at.to_string())));
        }
        all
    }

    fn equals(self, at: &Pointer, wanted: &Scalar, found: &mut Found) {
        let mut any = false;
        at.select(self.json.root(), |value| {
            any = true;
            if is(value, wanted) {
                return;
            }
            found.say(|| {
                let place = self.place(value);
                let there = shown(value);
                if there == format!("`{wanted}`") {
                    let (there, wanted) = (sort(value), sort_of(wanted));
                    return format!(
                        "{place} is {shown} as a {there}, but as a {wanted} it was asked for",
                        shown = shown(value)
                    );
                }
                format!("{place} is {there}, but `{wanted}` was asked for")
            });
        });
        if !any {
            let place = self.name(&at.to_string());
            found.say(|| format!("{place} is missing, but `{wanted}` was asked for"));
        }
    }

    fn items(self, at: &Pointer, min: Option<u64>, max: Option<u64>, found: &mut Found) {
        for value in self.matches(at, found) {
            match count(value) {
                Some(count) => {
                    let message = outside(&self.place(value), "item", count as u64, min, max);
                    if let Some(message) = message {
                        found.say(|| message);
                    }
                }
                None => {
                    found.say(|| format!("{} is {}, not a list", self.place(value), shown(value)))
                }
            }
        }
    }

    fn finite(self, at: &Pointer, found: &mut Found) {
        for value in self.matches(at, found) {
            leaves(value, &mut |leaf| {
                if !number(leaf).is_some_and(f64::is_finite) {
                    found.say(|| {
                        format!("{} is {}, not a finite number", self.place(leaf), shown(leaf))
                    });
                }
            });
        }
    }

    fn range(self, at: &Pointer, min: Option<f64>, max: Option<f64>, found: &mut Found) {
        for value in self.matches(at, found) {
            leaves(value, &mut |leaf| {
                let beyond = match number(leaf) {
                    Some(number) if min.is_some_and(|min| number < min) => {
                        min.map(|m| ("below", m))
                    }
                    Some(number) if max.is_some_and(|max| number > max) => {
                        max.map(|m| ("above", m))
                    }
                    Some(_) => return,
                    None if matches!(leaf.view(), View::Null) => return,
                    None => None,
                };
                found.say(|| {
                    let (place, there) = (self.place(leaf), shown(leaf));
                    match beyond {
                        Some((side, bound)) => format!("{place} is {there}, {side} {bound}"),
                        None => format!("{place} is {there}, not a number"),
                    }
                });
            });
        }
    }

    fn ordered(self, lower: &Pointer, upper: &Pointer, found: &mut Found) {
        for partners in self.partners(&[lower, upper], found) {
            let [low, high] = partners.as_slice() else { continue };
            match (low.view(), high.view()) {
                (View::List(lows), View::List(highs)) => {
                    self.same_count(&partners, found);
                    for (low, high) in lows.zip(highs) {
                        self.pair(low, high, found);
                    }
                }
                _ => self.pair(*low, *high, found),
            }
        }
    }

    fn pair(self, low: Value<'_>, high: Value<'_>, found: &mut Found) {
        let (below, above) = (number(low), number(high));
        match (below, above) {
            (Some(below), Some(above)) if below <= above => {}
            (Some(_), Some(_)) => found.say(|| {
                let (low, high) = ((self.place(low), shown(low)), (self.place(high), shown(high)));
                format!("{} is {}, above {}, which is {}", low.0, low.1, high.0, high.1)
            }),
            _ if matches!((low.view(), high.view()), (View::Null, View::Null)) => {}
            _ => {
                let odd = if below.is_none() { low } else { high };
                found.say(|| format!("{} is {}, not a number", self.place(odd), shown(odd)));
            }
        }
    }

    fn contains(self, at: &Pointer, wanted: &[Scalar], found: &mut Found) {
        let mut loose = HashSet::new();
        let mut any_loose = false;
        for value in self.matches(at, found) {
            let items = match value.view() {
                View::List(items) => items,
                _ => {
                    any_loose = true;
                    loose.extend(plain(value));
                    continue;
                }
            };
            let there: HashSet<Scalar> = items.filter_map(plain).collect();
            let place = self.place(value);
            lacks(&place, &there, wanted, found);
        }
        if any_loose {
            lacks(&self.name(&at.to_string()), &loose, wanted, found);
        }
    }

    fn same_length(self, at: &[Pointer], found: &mut Found) {
        let at: Vec<&Pointer> = at.iter().collect();
        for partners in self.partners(&at, found) {
            self.same_count(&partners, found);
        }
    }

    fn ribbons(self, at: &Pointer, found: &mut Found) {
        for trace in self.matches(at, found) {
            let lists = [("x", trace.get(b"x")), ("y", trace.get(b"y"))];
            let [(_, Some(x)), (_, Some(y))] = lists else {
                let absent = if lists[0].1.is_none() { "x" } else { "y" };
                found.say(|| format!("{} has no `{absent}` to be a ribbon", self.place(trace)));
                continue;
            };
            let (View::List(xs), View::List(ys)) = (x.view(), y.view()) else {
                self.same_count(&[x, y], found);
                continue;
            };
            if xs.len() != ys.len() {
                self.same_count(&[x, y], found);
                continue;
            }
            let points: Vec<(Value<'_>, Value<'_>)> = xs.zip(ys).collect();
            let gap = |point: &(Value<'_>, Value<'_>)| {
                matches!(point.0.view(), View::Null) || matches!(point.1.view(), View::Null)
            };
            if points.iter().all(gap) {
                found.say(|| format!("{} has no point to be a ribbon", self.place(trace)));
            }
            for band in points.split(gap) {
                self.band(trace, band, found);
            }
        }
    }

    /// One closed line: the first point at an `x` is on the way there, the last on the way back.
    fn band(self, trace: Value<'_>, mut points: &[(Value<'_>, Value<'_>)], found: &mut Found) {
        if let [first, inner @ .., last] = points
            && plain(first.0) == plain(last.0)
            && plain(first.1) == plain(last.1)
            && inner.iter().any(|point| plain(point.0) == plain(first.0))
        {
            // The line is closed by its first point again, which is no edge.
            points = &points[..points.len() - 1];
        }
        let mut edges: HashMap<Option<Scalar>, [Value<'_>; 2]> = HashMap::new();
        let mut order = Vec::new();
        for (x, y) in points {
            let at = plain(*x);
            edges.entry(at.clone()).and_modify(|edge| edge[1] = *y).or_insert_with(|| {
                order.push((at, *x));
                [*y, *y]
            });
        }
        let mut side = None;
        for (at, x) in order {
            let [there, back] = edges[&at];
            if there.id == back.id {
                found.say(|| format!("{} has one edge only at {}", self.place(trace), shown(x)));
                continue;
            }
            let (Some(first), Some(last)) = (number(there), number(back)) else {
                let odd = if number(there).is_none() { there } else { back };
                found.say(|| format!("{} is {}, not a number", self.place(odd), shown(odd)));
                continue;
            };
            if first != last && *side.get_or_insert(first < last) != (first < last) {
                found.say(|| {
                    let edge = |y: Value<'_>| format!("{} is {}", self.place(y), shown(y));
                    let (trace, x) = (self.place(trace), shown(x));
                    format!(
                        "the edges of {trace} cross: at {x}, {} and {}",
                        edge(there),
                        edge(back)
                    )
                });
            }
        }
    }

    /// Says so if lists that belong together have different lengths.
    fn same_count(self, partners: &[Value<'_>], found: &mut Found) {
        let Some((first, rest)) = partners.split_first() else { return };
        let places = |value: Value<'_>| match count(value) {
            Some(count) => format!("{} has {}", self.place(value), counted(count as u64, "item")),
            None => format!("{} is {}, not a list", self.place(value), shown(value)),
        };
        for other in rest {
            if count(*first).is_none() || count(*first) != count(*other) {
                found.say(|| format!("{}, but {}", places(*first), places(*other)));
            }
        }
    }

    /// The values that belong together, one for each pointer; a value without partners is a finding.
    fn partners(self, at: &[&Pointer], found: &mut Found) -> Vec<Vec<Value<'t>>> {
        let mut groups: BTreeMap<String, Vec<Option<Value<'t>>>> = BTreeMap::new();
        for (side, pointer) in at.iter().enumerate() {
            let matches = pointer.select_bound(self.json.root());
            if matches.is_empty() {
                found.say(|| format!("{} is missing", self.name(&pointer.to_string())));
                return Vec::new();
            }
            for (trail, value) in matches {
                groups.entry(trail).or_insert_with(|| vec![None; at.len()])[side] = Some(value);
            }
        }
        // In the order of the text, which is the order of a reader.
        let mut groups: Vec<_> = groups.into_values().collect();
        groups.sort_unstable_by_key(|group| group.iter().flatten().map(|value| value.id).min());
        let mut whole = Vec::with_capacity(groups.len());
        for group in groups {
            let lone = group.iter().position(Option::is_none);
            let there: Vec<Value<'t>> = group.into_iter().flatten().collect();
            match (lone, there.first()) {
                (Some(side), Some(value)) => found.say(|| {
                    let wanted = at[side];
                    format!("{} has no partner at `{wanted}`", self.place(*value))
                }),
                _ => whole.push(there),
            }
        }
        whole
    }
}

fn lacks(place: &str, there: &HashSet<Scalar>, wanted: &[Scalar], found: &mut Found) {
    let missing: Vec<&Scalar> =
        wanted.iter().filter(|wanted| !there.contains(&wanted.plain())).collect();
    if missing.is_empty() {
        return;
    }
    found.say(|| {
        let (named, rest) = missing.split_at(missing.len().min(NAMED));
        let mut list =
            named.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ");
        if !rest.is_empty() {
            list.push_str(&format!(" and {} more", rest.len()));
        }
        format!("{place} lacks {list}")
    });
}

/// Says so if a count is out of bounds.
fn outside(
    place: &str,
    unit: &str,
    count: u64,
    min: Option<u64>,
    max: Option<u64>,
) -> Option<String> {
    let (side, bound) = match (min, max) {
        (Some(min), _) if count < min => ("least", min),
        (_, Some(max)) if count > max => ("most", max),
        _ => return None,
    };
    let verb = if bound == 1 { "was" } else { "were" };
    Some(format!("{place} has {}, but at {side} {bound} {verb} asked for", counted(count, unit)))
}

fn counted(count: u64, unit: &str) -> String {
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

fn count(value: Value<'_>) -> Option<usize> {
    match value.view() {
        View::List(items) => Some(items.len()),
        View::Object(members) => Some(members.len()),
        _ => None,
    }
}

fn number(value: Value<'_>) -> Option<f64> {
    match value.view() {
        View::Number(text) => std::str::from_utf8(text).ok()?.parse().ok(),
        _ => None,
    }
}

/// A text, number or word in the one way of writing that stands for all.
fn plain(value: Value<'_>) -> Option<Scalar> {
    match value.view() {
        View::Text(text) => Some(Scalar::Text(String::from_utf8_lossy(text).into_owned())),
        View::Number(text) => Some(Scalar::Number(decimal::plain(&String::from_utf8_lossy(text)))),
        View::Bool(value) => Some(Scalar::Bool(value)),
        View::Null | View::List(_) | View::Object(_) => None,
    }
}

fn is(value: Value<'_>, wanted: &Scalar) -> bool {
    plain(value).is_some_and(|there| there == wanted.plain())
}

/// Calls `leaf` with every value below that holds no others.
fn leaves<'t>(value: Value<'t>, leaf: &mut impl FnMut(Value<'t>)) {
    match value.view() {
        View::List(items) => items.for_each(|item| leaves(item, leaf)),
        View::Object(members) => members.for_each(|(_, member)| leaves(member, leaf)),
        _ => leaf(value),
    }
}

/// A value as it is shown in a message, cut where it is long.
fn shown(value: Value<'_>) -> String {
    const LONG: usize = 60;
    let text = match value.view() {
        View::Text(text) | View::Number(text) => String::from_utf8_lossy(text),
        View::Null => "null".into(),
        View::Bool(value) => value.to_string().into(),
        View::List(items) => return format!("a list of {}", counted(items.len() as u64, "item")),
        View::Object(_) => return "an object".to_owned(),
    };
    let line: String =
        text.chars().take(LONG).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(LONG).is_some() { format!("`{line}…`") } else { format!("`{line}`") }
}

fn sort(value: Value<'_>) -> &'static str {
    match value.view() {
        View::Text(_) => "text",
        View::Number(_) => "number",
        View::Bool(_) | View::Null => "word",
        View::List(_) => "list",
        View::Object(_) => "object",
    }
}

fn sort_of(scalar: &Scalar) -> &'static str {
    match scalar {
        Scalar::Text(_) => "text",
        Scalar::Number(_) => "number",
        Scalar::Bool(_) => "word",
    }
}
