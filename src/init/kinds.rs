//! What values look like: a city, a scenario, an outcome; and what can be a name.

use std::collections::BTreeSet;

use crate::grammar::RESERVED_NAMES;

/// Words that tell what an axis of plots is; the first kind that fits most of its values wins.
const KINDS: [(&str, &[&str]); 4] = [
    ("statistic", &["mean", "median", "interval", "quantile", "individual.simulation", "stdev"]),
    (
        "outcome",
        &[
            "incidence",
            "prevalence",
            "testing",
            "awareness",
            "suppression",
            "suppressed",
            "diagnos",
            "mortality",
            "death",
            "prep",
            "clients",
            "cases",
            "proportion",
            "engagement",
            "linkage",
            "retention",
            "infections",
            "new",
            "hospital",
        ],
    ),
    (
        "scenario",
        &[
            "cessation",
            "interruption",
            "baseline",
            "scenario",
            "noint",
            "base",
            "prerun",
            "intervention",
            "status.quo",
            "counterfactual",
            "policy",
            "control",
            "expansion",
        ],
    ),
    ("facet", &["age", "sex", "race", "risk", "none", "unfaceted", "facet"]),
];

/// The name of an axis with these values, if they tell.
pub fn axis_name(values: &BTreeSet<&str>) -> Option<&'static str> {
    let all = |is: fn(&str) -> bool| values.iter().all(|v| is(v));
    if all(is_city) {
        return Some("city");
    }
    if all(|v| v.len() == 2 && v.bytes().all(|b| b.is_ascii_uppercase())) {
        return Some("state");
    }
    if all(|v| v.len() == 4 && v.parse::<u16>().is_ok_and(|year| (1900..2200).contains(&year))) {
        return Some("year");
    }
    let (name, hits) = KINDS
        .into_iter()
        .map(|(name, words)| {
            let fits = |v: &&&str| words.iter().any(|w| v.to_lowercase().contains(w));
            (name, values.iter().filter(fits).count())
        })
        .rev()
        .max_by_key(|(_, hits)| *hits)?;
    (hits * 2 >= values.len() && hits > 0).then_some(name)
}

/// `C.12580`: how the plots of cities are called.
fn is_city(value: &str) -> bool {
    value
        .strip_prefix(|c: char| c.is_ascii_uppercase())
        .and_then(|rest| rest.strip_prefix('.'))
        .is_some_and(|digits| digits.len() == 5 && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// The text as a name: letters, digits, `_` and `-`; none if nothing of it can be one.
pub fn as_name(text: &str) -> Option<String> {
    let name: String = text
        .chars()
        .take(60)
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '-' })
        .collect();
    let name = name.trim_matches(['-', '_']);
    name.bytes().any(|b| b.is_ascii_alphabetic()).then(|| name.to_owned())
}

/// A name that is not reserved and none of those taken.
pub fn free_name(wanted: &str, taken: &[String]) -> String {
    let free = |name: &String| !taken.contains(name) && !RESERVED_NAMES.contains(&name.as_str());
    let plain = wanted.to_owned();
    if free(&plain) {
        return plain;
    }
    (2..)
        .map(|number| format!("{wanted}{number}"))
        .find(|name| free(name))
        .expect("there are more numbers than names")
}
