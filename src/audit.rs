//! Whether an output is what was asked for: rules over its values, and what they found.
//!
//! Knows nothing of cells and templates: rules come with their values filled in.
//! A finding is a value, not an error; whether it fails a target is decided elsewhere.
//!
//! A check whose pointer matches nothing always finds that: a rule that looks at nothing says
//! nothing, and a plot without traces is the accident that it was written for.
//! In a page, pointers start at a widget's payload, and every widget must hold to every rule.

mod checks;
mod decimal;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::content::{As, Document, Pointer, Unreadable};
use crate::digest::Digest;

/// Raised with every change of what a check finds.
///
/// 2: a ribbon without a point is found.
pub const VERSION: u32 = 2;

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
    /// `null` is let through (`finite` refuses it), and so is an empty list (`items` refuses it);
    /// texts and words are not.
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
    /// `ribbon`: every trace that matches is a band drawn as one closed line, whose edges never
    /// cross: `x` runs there and back, and `y` has one edge on the way there, the other on the way
    /// back, as plotly.R and ggplotly draw ribbons (`/data/[fill=toself]`).
    ///
    /// Which edge comes first is free, so a band that is upside down as a whole looks right, as it
    /// does to a reader. A point that is `null` ends a band, and another begins; a trace without a
    /// point is no ribbon.
    Ribbon { at: Pointer },
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

/// Judges a file that was read by all rules for its output, in their order.
pub fn audit_document(rules: &[Rule], document: &Document<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in rules {
        let messages = checks::judge(&rule.check, document).into_iter();
        findings.extend(messages.map(|message| Finding { output: rule.output.clone(), message }));
    }
    findings
}

/// Checks the size alone: all that can be asked of plain bytes, which then need not be read.
pub fn audit_size(rules: &[Rule], size: u64) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in rules {
        if let Some(message) = checks::judge_size(&rule.check, size) {
            findings.push(Finding { output: rule.output.clone(), message });
        }
    }
    findings
}

/// What an audit says of a file that cannot be read as what it is declared to be.
pub fn unreadable(output: &str, kind: As, error: &Unreadable) -> Finding {
    let message = format!("the file cannot be read as `{kind}`: {error}");
    Finding { output: output.to_owned(), message }
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
            | Check::Size { .. }
            | Check::Ribbon { .. } => {}
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const METADATA: &str = r#"{
        "city": ["C.12580"], "scenario": ["cessation"], "outcome": ["incidence"],
        "statistic_type": ["mean.and.interval"], "facet_choice": ["age+sex"],
        "has_baseline": [true], "draws": [1000.0], "generation_time": ["2026-01-01 00:00:00"]
    }"#;

    /// Two strata, each with a ribbon of two traces, and observed points.
    const PLOT: &str = r#"{
        "data": [
            {"name": "low", "stratum": "a", "x": [2010, 2011, 2012], "y": [1, 2, 3]},
            {"name": "high", "stratum": "a", "x": [2010, 2011, 2012], "y": [2, 3, 4], "fill": "tonexty"},
            {"name": "low", "stratum": "b", "x": [2010, 2011, 2012], "y": [5, 6, 7]},
            {"name": "high", "stratum": "b", "x": [2010, 2011, 2012], "y": [6, 6.5, 8], "fill": "tonexty"},
            {"name": "observed", "x": [2010], "y": [null]}
        ],
        "layout": {"title": "Incidence"}
    }"#;

    const ROWS: &str = r#"{"sim": [
        {"year": 2025, "value": 2, "value.lower": 1, "value.upper": 3},
        {"year": 2026, "value": 2, "value.lower": null, "value.upper": null}
    ]}"#;

    fn at(text: &str) -> Pointer {
        Pointer::parse(text).unwrap()
    }

    fn text(text: &str) -> Scalar {
        Scalar::Text(text.to_owned())
    }

    fn number(text: &str) -> Scalar {
        Scalar::Number(text.to_owned())
    }

    fn rule(check: Check) -> Rule {
        Rule { output: "plot".to_owned(), check }
    }

    fn found_as(check: &Check, file: &[u8], kind: As) -> Vec<String> {
        let found = match Document::parse(file, kind) {
            Ok(document) => audit_document(&[rule(check.clone())], &document),
            Err(error) => vec![unreadable("plot", kind, &error)],
        };
        found.iter().map(Finding::to_string).collect()
    }

    #[track_caller]
    fn passes(check: &Check, file: &str) {
        assert_eq!(found_as(check, file.as_bytes(), As::PLOTLY), [""; 0]);
    }

    #[track_caller]
    fn finds(check: &Check, file: &str, messages: &[&str]) {
        assert_eq!(found_as(check, file.as_bytes(), As::PLOTLY), messages);
    }

    /// `file` with one thing changed; the thing must be there.
    #[track_caller]
    fn with(file: &str, old: &str, new: &str) -> String {
        assert!(file.contains(old), "{old}");
        file.replacen(old, new, 1)
    }

    #[test]
    fn a_plot_of_something_else_is_found() {
        for (pointer, wanted, other) in [
            ("/city/0", "C.12580", "C.12940"),
            ("/scenario/0", "cessation", "brief_interruption"),
            ("/outcome/0", "incidence", "testing"),
            ("/statistic_type/0", "mean.and.interval", "median.and.interval"),
            ("/facet_choice/0", "age+sex", "sex+age"),
        ] {
            let check = Check::Equals { at: at(pointer), value: text(wanted) };
            passes(&check, METADATA);
            let message = format!("`{pointer}` is `{other}`, but `{wanted}` was asked for");
            finds(&check, &with(METADATA, wanted, other), &[&message]);
        }
    }

    #[test]
    fn a_missing_baseline_is_found() {
        let check = Check::Equals { at: at("/has_baseline/0"), value: Scalar::Bool(true) };
        passes(&check, METADATA);
        let message = "`/has_baseline/0` is `false`, but `true` was asked for";
        finds(&check, &with(METADATA, "[true]", "[false]"), &[message]);
        let message = "`/has_baseline/0` is missing, but `true` was asked for";
        finds(&check, &with(METADATA, "[true]", "[]"), &[message]);
        let message = "`/has_baseline/0` is `true` as a text, but as a word it was asked for";
        finds(&check, &with(METADATA, "[true]", "[\"true\"]"), &[message]);
        let message = "`/has_baseline/0` is a list of 1 item, but `true` was asked for";
        finds(&check, &with(METADATA, "[true]", "[[true]]"), &[message]);
    }

    #[test]
    fn numbers_are_equal_by_value() {
        let check = |wanted| Check::Equals { at: at("/draws/0"), value: number(wanted) };
        passes(&check("1000"), METADATA);
        passes(&check("1e3"), METADATA);
        finds(&check("80"), METADATA, &["`/draws/0` is `1000.0`, but `80` was asked for"]);
    }

    #[test]
    fn every_value_that_a_pattern_matches_must_be_equal() {
        let check = Check::Equals { at: at("/data/[fill=tonexty]/name"), value: text("high") };
        passes(&check, PLOT);
        let message = "`/data/1/name` is `top`, but `high` was asked for";
        finds(&check, &with(PLOT, "high", "top"), &[message]);
    }

    #[test]
    fn a_file_that_is_not_json_is_found() {
        let check = Check::Required { at: at("/data") };
        passes(&check, PLOT);
        for (file, message) in [
            ("garbage", "`garbage` is not a JSON value, at line 1, column 1 (byte 0)"),
            (
                "{\"data\": [{\"y\": [1, 2",
                "the text ends too early, at line 1, column 22 (byte 21, `/data/0/y`)",
            ),
            (
                "{\"data\": [{\"y\": [1, NaN]}]}",
                "bare `NaN` is not JSON, at line 1, column 21 (byte 20, `/data/0/y/1`)",
            ),
        ] {
            finds(&check, file, &[&format!("the file cannot be read as `plotly`: {message}")]);
        }
    }

    #[test]
    fn what_is_required_must_be_there() {
        passes(&Check::Required { at: at("/layout/title") }, PLOT);
        passes(&Check::Required { at: at("/data/[name=observed]") }, PLOT);
        let check = Check::Required { at: at("/data/[name=expected]") };
        finds(&check, PLOT, &["`/data/[name=expected]` is missing"]);
    }

    #[test]
    fn a_plot_without_traces_or_strata_is_found() {
        let items = |pointer, min, max| Check::Items { at: at(pointer), min, max };
        passes(&items("/data", Some(1), None), PLOT);
        passes(&items("/data", Some(5), Some(5)), PLOT);
        let message = "`/data` has 0 items, but at least 1 was asked for";
        finds(&items("/data", Some(1), None), "{\"data\": []}", &[message]);
        let message = "`/data` has 5 items, but at least 9 were asked for";
        finds(&items("/data", Some(9), None), PLOT, &[message]);
        let message = "`/data` has 5 items, but at most 4 were asked for";
        finds(&items("/data", None, Some(4)), PLOT, &[message]);
        finds(&items("/data", Some(0), None), "{}", &["`/data` is missing"]);
        let message = "`/data` is `1`, not a list";
        finds(&items("/data", Some(0), None), "{\"data\": 1}", &[message]);
    }

    #[test]
    fn a_value_that_is_no_finite_number_is_found() {
        let check = Check::Finite { at: at("/data/[name!=observed]/y") };
        passes(&check, PLOT);
        for odd in ["null", "\"NaN\"", "\"NA\"", "\"Inf\"", "true", "1e999", "-1e999"] {
            let shown = odd.trim_matches('"');
            let message = format!("`/data/2/y/1` is `{shown}`, not a finite number");
            finds(&check, &with(PLOT, "[5, 6, 7]", &format!("[5, {odd}, 7]")), &[&message]);
        }
        let message = "`/data/4/y/0` is `null`, not a finite number";
        finds(&Check::Finite { at: at("/data/*/y") }, PLOT, &[message]);
        let message = "`/data/*/z` is missing";
        finds(&Check::Finite { at: at("/data/*/z") }, PLOT, &[message]);
    }

    #[test]
    fn a_value_out_of_range_is_found() {
        let check = Check::Range { at: at("/data/*/y"), min: Some(0.0), max: Some(8.0) };
        passes(&check, PLOT);
        passes(&Check::Range { at: at("/data/*/y"), min: None, max: None }, PLOT);
        let message = "`/data/0/y/0` is `-0.1`, below 0";
        finds(&check, &with(PLOT, "[1, 2, 3]", "[-0.1, 2, 3]"), &[message]);
        let message = "`/data/3/y/2` is `8.0001`, above 8";
        finds(&check, &with(PLOT, "6.5, 8]", "6.5, 8.0001]"), &[message]);
        let message = "`/data/3/y/2` is `8`, not a number";
        finds(&check, &with(PLOT, "6.5, 8]", "6.5, \"8\"]"), &[message]);
    }

    #[test]
    fn a_lower_edge_above_its_upper_edge_is_found() {
        let check =
            Check::Ordered { lower: at("/data/[name=low]/y"), upper: at("/data/[fill=tonexty]/y") };
        passes(&check, PLOT);
        let message = "`/data/2/y/1` is `6.6`, above `/data/3/y/1`, which is `6.5`";
        finds(&check, &with(PLOT, "[5, 6, 7]", "[5, 6.6, 7]"), &[message]);
        let message = "`/data/2/y/1` is `null`, not a number";
        finds(&check, &with(PLOT, "[5, 6, 7]", "[5, null, 7]"), &[message]);
        let message = "`/data/2/y` has 2 items, but `/data/3/y` has 3 items";
        finds(&check, &with(PLOT, "[5, 6, 7]", "[5, 6]"), &[message]);
        let message = "`/data/2/y` has no partner at `/data/[fill=tonexty]/y`";
        finds(&check, &with(PLOT, "8], \"fill\": \"tonexty\"", "8]"), &[message]);

        let rows =
            Check::Ordered { lower: at("/sim/*/value.lower"), upper: at("/sim/*/value.upper") };
        passes(&rows, ROWS);
        let message = "`/sim/0/value.lower` is `4`, above `/sim/0/value.upper`, which is `3`";
        finds(&rows, &with(ROWS, "\"value.lower\": 1", "\"value.lower\": 4"), &[message]);
    }

    #[test]
    fn a_ribbon_whose_edges_cross_is_found() {
        let check = Check::Ribbon { at: at("/data/[fill=toself]") };
        let band = |x: &str, y: &str| {
            format!("{{\"data\": [{{\"fill\": \"toself\", \"x\": [{x}], \"y\": [{y}]}}]}}")
        };
        // As plotly.R and ggplotly draw it, the upper edge first, two bands with a gap.
        passes(&check, &band("1, 2, 3, 3, 3, 2, 1", "0.5, 1, 2, 2, 4, 3, 2.5"));
        passes(&check, &band("1, 2, 3, 3, 3, 2, 1, 1", "0, 1, 2, 2, 4, 3, 2, 0"));
        passes(&check, &band("1, 2, 3, 3, 2, 1", "2, 3, 4, 2, 1, 0"));
        // No wider than a line where it begins, closed there or not.
        passes(&check, &band("1, 2, 2, 1", "5, 4, 6, 5"));
        passes(&check, &band("1, 2, 2, 1, 1", "5, 4, 6, 5, 5"));
        passes(&check, &band("1, 2, 2, 1, null, 1, 2, 2, 1", "0, 0, 1, 1, null, 3, 3, 2, 2"));

        let message =
            "the edges of `/data/0` cross: at `2`, `/data/0/y/1` is `3.5` and `/data/0/y/5` is `3`";
        finds(&check, &band("1, 2, 3, 3, 3, 2, 1", "0.5, 3.5, 2, 2, 4, 3, 2.5"), &[message]);
        let message = "`/data/0` has one edge only at `2`";
        finds(&check, &band("1, 2, 3, 3, 1", "0, 1, 2, 4, 2"), &[message]);
        let message = "`/data/0/y/1` is `NaN`, not a number";
        finds(&check, &band("1, 2, 2, 1", "0, \"NaN\", 2, 2"), &[message]);
        let message = "`/data/0/x` has 2 items, but `/data/0/y` has 3 items";
        finds(&check, &band("1, 2", "0, 1, 2"), &[message]);
        finds(&check, PLOT, &["`/data/[fill=toself]` is missing"]);
        let message = "`/data/0` has no point to be a ribbon";
        for (x, y) in [("", ""), ("1, 2, 2, 1", "null, null, null, null"), ("null", "1")] {
            finds(&check, &band(x, y), &[message]);
        }
        let message = "`/data/0` has no `y` to be a ribbon";
        finds(&check, &band("1, 2", "0, 1").replace("\"y\"", "\"z\""), &[message]);
    }

    #[test]
    fn missing_years_are_found() {
        let years = |from, to| Scalar::sequence(from, to, "1").unwrap();
        let check = |pointer, values| Check::Contains { at: at(pointer), values };
        passes(&check("/data/[name!=observed]/x", years("2010", "2012")), PLOT);
        let message = "`/data/0/x` lacks `2013`, `2014`, `2015` and 2 more";
        finds(&check("/data/0/x", years("2010", "2017")), PLOT, &[message]);
        let gap = with(PLOT, "[2010, 2011, 2012]", "[2010, 2012]");
        let message = "`/data/0/x` lacks `2011`";
        finds(&check("/data/[name!=observed]/x", years("2010", "2012")), &gap, &[message]);
        // A text is not the number that it looks like.
        let texts = with(PLOT, "[2010, 2011, 2012]", "[2010, \"2011\", 2012.0]");
        finds(&check("/data/0/x", years("2010", "2012")), &texts, &[message]);

        passes(&check("/sim/*/year", years("2025", "2026")), ROWS);
        let message = "`/sim/*/year` lacks `2027`";
        finds(&check("/sim/*/year", years("2025", "2027")), ROWS, &[message]);
        let strata = vec![text("a"), text("b")];
        passes(&check("/data/*/stratum", strata.clone()), PLOT);
        let message = "`/data/*/stratum` lacks `b`";
        finds(&check("/data/*/stratum", strata), &PLOT.replace("\"b\"", "\"a\""), &[message]);
    }

    #[test]
    fn lists_of_different_length_are_found() {
        let check = Check::SameLength { at: vec![at("/data/*/x"), at("/data/*/y")] };
        passes(&check, PLOT);
        let message = "`/data/0/x` has 3 items, but `/data/0/y` has 2 items";
        finds(&check, &with(PLOT, "[1, 2, 3]", "[1, 2]"), &[message]);
        let message = "`/data/0/x` has no partner at `/data/*/y`";
        finds(&check, &with(PLOT, "\"y\": [1, 2, 3]", "\"z\": 0"), &[message]);
    }

    #[test]
    fn an_empty_file_is_found_whatever_it_is() {
        let check = Check::Size { min: Some(2), max: Some(9) };
        assert!(found_as(&check, b"PNG", As::BYTES).is_empty());
        let found = found_as(&check, b"", As::BYTES);
        assert_eq!(found, ["the file has 0 bytes, but at least 2 were asked for"]);
        let found = found_as(&check, b"0123456789", As::BYTES);
        assert_eq!(found, ["the file has 10 bytes, but at most 9 were asked for"]);
        let found = found_as(&Check::Required { at: at("/data") }, b"PNG", As::BYTES);
        assert_eq!(found, ["the file is `bytes`, which has no values to look at"]);
    }

    #[test]
    fn every_widget_of_a_page_is_looked_into() {
        let page = |widgets: &[&str]| {
            let script = |payload: &&str| {
                format!("<script type=\"application/json\" data-for=\"w\">{payload}</script>")
            };
            widgets.iter().map(script).collect::<String>()
        };
        let check = Check::Equals { at: at("/x/city"), value: text("C.12580") };
        let found = |widgets: &[&str]| found_as(&check, page(widgets).as_bytes(), As::HTML);
        let (good, bad) = ("{\"x\":{\"city\":\"C.12580\"}}", "{\"x\":{\"city\":\"C.12940\"}}");
        assert!(found(&[good]).is_empty());
        assert!(found(&[good, good]).is_empty());
        assert_eq!(found(&[bad]), ["`/x/city` is `C.12940`, but `C.12580` was asked for"]);
        assert_eq!(
            found(&[good, bad]),
            ["`/x/city` of widget 2 is `C.12940`, but `C.12580` was asked for"]
        );
        assert_eq!(found(&[]), ["the file is `html`, but holds no widget to look into"]);
    }

    #[test]
    fn a_few_places_are_named_and_the_rest_are_counted() {
        let check = Check::Finite { at: at("/y") };
        let nulls = |count| format!("{{\"y\": [{}]}}", vec!["null"; count].join(","));
        assert_eq!(found_as(&check, nulls(3).as_bytes(), As::JSON).len(), 3);
        let found = found_as(&check, nulls(1000).as_bytes(), As::JSON);
        assert_eq!((found.len(), found[3].as_str()), (4, "and so it is in 997 more places"));
    }

    #[test]
    fn one_document_serves_its_digest_and_all_rules() {
        let document = Document::parse(METADATA.as_bytes(), As::JSON).unwrap();
        let rules = [
            rule(Check::Equals { at: at("/city/0"), value: text("C.12940") }),
            rule(Check::Required { at: at("/generation_time") }),
            rule(Check::Required { at: at("/upgrade") }),
        ];
        let found = audit_document(&rules, &document);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].output, "plot");
        let digest = document.content_digest(&[at("/generation_time")]);
        let later = with(METADATA, "00:00:00", "00:00:01");
        let later = Document::parse(later.as_bytes(), As::JSON).unwrap();
        assert_eq!(digest, later.content_digest(&[at("/generation_time")]));
    }

    #[test]
    fn the_digest_of_rules_moves_only_with_the_judgement() {
        let size = rule(Check::Size { min: Some(2), max: None });
        let years = |values: &[&str]| {
            let values = values.iter().map(|value| number(value)).collect();
            rule(Check::Contains { at: at("/data/*/x"), values })
        };
        let city = |value: &str| rule(Check::Equals { at: at("/city/0"), value: text(value) });
        let of = |volatile: &[&str], rules: &[&Rule]| {
            let volatile: Vec<Pointer> = volatile.iter().map(|text| at(text)).collect();
            let rules: Vec<Rule> = rules.iter().map(|rule| (*rule).clone()).collect();
            digest_of_rules(As::JSON, &volatile, &rules)
        };
        let time = "/**/generation_time";
        let years_asked = years(&["1", "2"]);
        let plain = of(&[time], &[&size, &years_asked]);

        let renamed = Rule { output: "other".to_owned(), check: size.check.clone() };
        let same = [
            of(&[time], &[&years_asked, &size]),
            of(&[time], &[&size, &years(&["2.0", "1", "1e0"]), &size]),
            of(&[time], &[&renamed, &years_asked]),
            of(&[time, "/**/**/generation_time"], &[&size, &years_asked]),
        ];
        assert_eq!(same, [plain; 4]);

        let rules = [size.clone(), years_asked.clone()];
        let others = [
            digest_of_rules(As::PLOTLY, &[at(time)], &rules),
            of(&[], &[&size, &years_asked]),
            of(&["/generation_time"], &[&size, &years_asked]),
            of(&[time], &[&size]),
            of(&[time], &[&size, &years(&["1", "3"])]),
            of(&[time], &[&size, &years_asked, &city("C.12580")]),
            of(&[time], &[&size, &years_asked, &city("C.12940")]),
            plain,
        ];
        let distinct: std::collections::BTreeSet<_> = others.iter().collect();
        assert_eq!(distinct.len(), others.len());
        insta::assert_snapshot!(plain, @"blake3:6bfa26942e7afa6f7b579dee614a0d1ddeee11f41ce2f912b8f5b92e5deff1e7");
    }

    fn all_checks() -> Vec<Check> {
        let y = || at("/data/*/y");
        vec![
            Check::Equals { at: at("/**"), value: number("1") },
            Check::Required { at: at("/data/[name=low]") },
            Check::Items { at: at("/**"), min: Some(1), max: Some(2) },
            Check::Finite { at: at("") },
            Check::Range { at: y(), min: Some(0.0), max: Some(1.0) },
            Check::Ordered { lower: at("/data/[name=low]/**"), upper: at("/data/*/*") },
            Check::Contains { at: at("/data/*/x"), values: vec![text("a"), number("2010")] },
            Check::SameLength { at: vec![at("/data/*/x"), y(), at("/**/*/**")] },
            Check::Size { min: Some(1), max: Some(1) },
            Check::Ribbon { at: at("/data/*") },
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 128,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn no_bytes_are_a_panic(
            changes in prop::collection::vec((any::<usize>(), any::<u8>()), 0..4),
            cut: usize,
        ) {
            let mut bytes = PLOT.as_bytes().to_vec();
            for (at, byte) in changes {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            bytes.truncate(1 + cut % (2 * bytes.len()));
            for check in all_checks() {
                for kind in As::NAMES {
                    for message in found_as(&check, &bytes, As::parse(kind).unwrap()) {
                        prop_assert!(!message.is_empty());
                    }
                }
            }
        }
    }
}
