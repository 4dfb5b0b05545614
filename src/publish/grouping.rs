//! Which entries of a manifest lie together in a chunk. Pure.
//!
//! Keys have parts, such as a city and a scenario. Those with the same first parts make a group, and a chunk holds whole groups:
//! what is rebuilt together is rewritten together. How many parts count begins with one, and grows when a group becomes too large,
//! so that the chunk of a city holds all of its scenarios, and a manifest of many models has one for each city of each.

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::Digest;

use super::edition;

/// A group has no more entries than this if more parts tell them apart.
pub const MOST: usize = 4096;
/// How many parts count where nothing was said: all. So it was before they were counted.
pub const ALL: usize = usize::MAX;

/// The parts of an object's key: its folders, or the whole key where it has none.
pub fn of_object(key: &str, depth: usize) -> &str {
    let Some((folder, _)) = key.rsplit_once('/') else { return key };
    match folder.match_indices('/').nth(depth.saturating_sub(1)) {
        Some((end, _)) => &folder[..end],
        None => folder,
    }
}

/// The parts of a row's key, as a ledger has it: those of its hash, which `#` parts.
pub fn of_row(key: &str, depth: usize) -> String {
    let values: Vec<serde_json::Value> = serde_json::from_str(key).unwrap_or_default();
    let Some(hash) = values.first() else { return key.to_owned() };
    let text = hash.get(1).and_then(|value| value.as_object()?.values().next()?.as_str());
    let end = text.and_then(|text| text.match_indices('#').nth(depth.saturating_sub(1)));
    match (text, end) {
        (Some(text), Some((end, _))) => text[..end].to_owned(),
        _ => hash.to_string(),
    }
}

/// The name of the chunk of a group. Each edition has chunks of its own, so that it can be read without the others.
pub fn chunk(group: &str) -> String {
    let number = Digest::of(group.as_bytes()).hex()[..2].to_owned();
    match edition::of_folder(group) {
        Some(edition) => format!("{edition}-{number}"),
        None => number,
    }
}

/// The edition that a chunk with this name is of, if it is of one.
pub fn edition_of(chunk: &str) -> Option<&str> {
    chunk.split_once('-').map(|(edition, _)| edition)
}

/// How many parts must count so that no group of these keys is too large, from so many on.
pub fn depth<'k>(
    keys: impl IntoIterator<Item = &'k str>,
    from: usize,
    group: impl Fn(&'k str, usize) -> String,
) -> usize {
    let mut depth = from;
    let mut large: Vec<&str> = keys.into_iter().collect();
    while depth != ALL {
        let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for key in large {
            groups.entry(group(key, depth)).or_default().push(key);
        }
        // What more parts do not tell apart stays together, however large.
        let parted = |keys: &Vec<&'k str>| {
            let finer = |depth| keys.iter().map(|key| group(key, depth)).collect::<BTreeSet<_>>();
            keys.len() > MOST && finer(ALL).len() > 1
        };
        large = groups.into_values().filter(parted).flatten().collect();
        if large.is_empty() {
            break;
        }
        depth += 1;
    }
    depth
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(prefix: &str, cities: usize) -> Vec<String> {
        let key = |city, plot: usize| {
            format!("{prefix}C.{city}/{}/{plot}.json", ["cessation", "brief", "long"][plot % 3])
        };
        (0..cities).flat_map(|city| (0..2016).map(move |plot| key(city, plot))).collect()
    }

    fn chosen(keys: &[String]) -> usize {
        let keys = keys.iter().map(String::as_str);
        depth(keys, 1, |key, depth| of_object(key, depth).to_owned())
    }

    fn groups(keys: &[String], depth: usize) -> usize {
        keys.iter().map(|key| of_object(key, depth)).collect::<BTreeSet<_>>().len()
    }

    #[test]
    fn a_group_is_a_city_whatever_stands_before_it() {
        let whole = grid("", 31);
        assert_eq!((chosen(&whole), groups(&whole, 1)), (1, 31));
        let below = grid("portal/rw/", 31);
        assert_eq!((chosen(&below), groups(&below, 3)), (3, 31));
        assert_eq!(chosen(&grid("", 1)), 1, "the first city is not parted by its scenarios");
        let models: Vec<String> =
            ["rw/", "cdc/"].iter().flat_map(|model| grid(model, 31)).collect();
        assert_eq!((chosen(&models), groups(&models, 2)), (2, 62));
        let flat: Vec<String> = (0..10_000).map(|plot| format!("{plot}.json")).collect();
        assert_eq!((chosen(&flat), groups(&flat, 1)), (1, 10_000));
        let one: Vec<String> = (0..10_000).map(|plot| format!("a/b/{plot}.json")).collect();
        assert_eq!((chosen(&one), groups(&one, 1)), (1, 1), "nothing tells these apart");
    }

    #[test]
    fn parts_are_cut_where_they_end() {
        assert_eq!(of_object("a/b/c.json", 1), "a");
        assert_eq!(of_object("a/b/c.json", 2), "a/b");
        assert_eq!(of_object("a/b/c.json", ALL), "a/b");
        assert_eq!(of_object("c.json", 1), "c.json");
        let row = r#"[["city_scenario",{"S":"C.1#base"}],["plot",{"S":"x#y"}]]"#;
        assert_eq!(of_row(row, 1), "C.1");
        // All of it is what it was before parts were counted.
        assert_eq!(of_row(row, ALL), r#"["city_scenario",{"S":"C.1#base"}]"#);
        assert_eq!(of_row(row, 2), of_row(row, ALL));
        assert_eq!(of_row("no row", 1), "no row");
    }

    #[test]
    fn an_edition_has_chunks_of_its_own() {
        let edition = "0123456789abcdef";
        for group in [edition.to_owned(), format!("{edition}/C.1"), format!("{edition}/C.1/base")] {
            assert_eq!(edition_of(&chunk(&group)), Some(edition), "{group}");
        }
        for group in ["C.1", "index.json", "portal/0123456789abcdef"] {
            assert_eq!(edition_of(&chunk(group)), None, "{group}");
        }
    }
}
