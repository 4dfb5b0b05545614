//! Patterns over the values of an axis: an exact value, a glob, `!` all but, `@` a named set.

use globset::GlobBuilder;

use crate::error::Error;
use crate::graph::Axis;

/// Whether a text with `*` and `?` matches the whole value; a text without them matches itself.
pub fn glob_matches(pattern: &str, value: &str) -> bool {
    if !pattern.contains(['*', '?']) {
        return pattern == value;
    }
    // Only `*` and `?` are special: values hold brackets, braces and dots.
    let mut escaped = String::new();
    for c in pattern.chars() {
        if matches!(c, '[' | ']' | '{' | '}' | '\\' | '!') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    GlobBuilder::new(&escaped)
        .backslash_escape(true)
        .build()
        .is_ok_and(|glob| glob.compile_matcher().is_match(value))
}

/// Which values of the axis a list of patterns takes.
///
/// A value is in if some positive pattern takes it, or there is none, and no `!` pattern takes it.
/// A pattern that takes no value is refused; errors come with the pattern's index.
pub fn mask(axis: &Axis, patterns: &[&str]) -> Result<Vec<bool>, Vec<(usize, Error)>> {
    let mut errors = Vec::new();
    let any_positive = patterns.iter().any(|p| !p.starts_with('!'));
    let mut mask = vec![!any_positive; axis.values.len()];
    let mut taken_out = vec![false; axis.values.len()];
    for (index, pattern) in patterns.iter().enumerate() {
        let (positive, body) = match pattern.strip_prefix('!') {
            Some(body) => (false, body),
            None => (true, *pattern),
        };
        let matched: Vec<usize> = match body.strip_prefix('@') {
            Some(set) => match axis.sets.get(set) {
                Some(members) => members.clone(),
                None => {
                    let error = Error::user(format!("axis `{}` has no set `{set}`", axis.name))
                        .suggest(set, axis.sets.keys().map(String::as_str));
                    errors.push((index, error));
                    continue;
                }
            },
            None => {
                (0..axis.values.len()).filter(|&v| glob_matches(body, &axis.values[v])).collect()
            }
        };
        if matched.is_empty() {
            errors.push((index, matches_nothing(axis, body)));
        }
        for value in matched {
            if positive {
                mask[value] = true;
            } else {
                taken_out[value] = true;
            }
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(mask.iter().zip(taken_out).map(|(taken, out)| *taken && !out).collect())
}

fn matches_nothing(axis: &Axis, body: &str) -> Error {
    let error = Error::user(format!("`{body}` is not a value of the axis `{}`", axis.name));
    if let Some(separator) = &axis.joined_by {
        let parts = |text: &str| {
            let mut parts: Vec<String> =
                text.split(separator.as_str()).map(str::to_owned).collect();
            parts.sort();
            parts
        };
        if let Some(near) = axis.values.iter().find(|v| parts(v) == parts(body)) {
            return error.hint(format!("did you mean `{near}`? it has the same parts"));
        }
    }
    error.suggest(body, axis.values.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn facets() -> Axis {
        Axis {
            name: "facet".into(),
            values: ["none", "age", "risk", "age+risk", "age+sex"].map(String::from).to_vec(),
            sets: BTreeMap::from([("single".into(), vec![1, 2])]),
            labels: Vec::new(),
            joined_by: Some("+".into()),
        }
    }

    fn taken(patterns: &[&str]) -> Vec<String> {
        let axis = facets();
        let mask = mask(&axis, patterns).unwrap();
        axis.values.iter().zip(mask).filter(|(_, m)| *m).map(|(v, _)| v.clone()).collect()
    }

    #[test]
    fn patterns_take_values_globs_sets_and_all_but() {
        assert_eq!(taken(&["risk", "*+risk"]), ["risk", "age+risk"]);
        assert_eq!(taken(&["!none"]), ["age", "risk", "age+risk", "age+sex"]);
        assert_eq!(taken(&["@single", "!risk"]), ["age"]);
        assert_eq!(taken(&["*+*", "!*risk"]), ["age+sex"]);
    }

    #[test]
    fn a_pattern_that_takes_nothing_is_refused_with_what_was_meant() {
        let errors = mask(&facets(), &["sex+age", "nome", "@singel"]).unwrap_err();
        let hints: Vec<_> = errors.iter().map(|(i, e)| (*i, e.hints[0].as_str())).collect();
        assert_eq!(
            hints,
            [
                (0, "did you mean `age+sex`? it has the same parts"),
                (1, "did you mean `none`?"),
                (2, "did you mean `single`?"),
            ]
        );
    }
}
