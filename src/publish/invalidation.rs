//! Which paths a CDN must forget when objects change. Pure; knows nothing of who tells it.

use std::collections::BTreeSet;

use crate::percent;

/// So many paths are named one by one; each that is named is paid for.
const NAMED: usize = 1000;
/// CloudFront works on so many wildcards at once, over all requests.
const WILDCARDS: usize = 15;

/// The distribution that stands before the objects of a publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalidation {
    pub distribution: String,
    /// What keys in the bucket begin with and paths do not, without slashes around it; may be empty.
    pub drop_prefix: String,
    /// All distributions that the Jheemfile names.
    pub declared: BTreeSet<String>,
}

impl Invalidation {
    /// Whether what is owed to a distribution is told to this one: its own, and what was meant for one that is named no more.
    pub fn pays(&self, owed: &str) -> bool {
        owed == self.distribution || !self.declared.contains(owed)
    }

    /// The path under which readers have the object with this whole key; none if they have none.
    pub fn path(&self, full_key: &str) -> Option<String> {
        let below = match self.drop_prefix.as_str() {
            "" => full_key,
            prefix => full_key.strip_prefix(prefix)?.strip_prefix('/')?,
        };
        Some(format!("/{}", percent::path(below)))
    }
}

/// The paths as they are named: one by one, or where they are many the folders that they are in.
///
/// Folders are taken as deep as possible.
pub fn merged(paths: &BTreeSet<String>) -> Vec<String> {
    if paths.len() <= NAMED {
        return paths.iter().cloned().collect();
    }
    let deepest = paths.iter().map(|path| path.matches('/').count()).max().unwrap_or(0);
    for depth in (1..=deepest).rev() {
        let folders: BTreeSet<&str> = paths.iter().map(|path| folder(path, depth)).collect();
        if folders.len() <= WILDCARDS || depth == 1 {
            // What lies in another folder of these is said with it.
            let above = |folder: &str| {
                folders.iter().any(|other| other.len() < folder.len() && folder.starts_with(other))
            };
            let top = folders.iter().filter(|folder| !above(folder));
            return top.map(|folder| format!("{folder}*")).collect();
        }
    }
    vec!["/*".to_owned()]
}

/// The folder of a path, with its slash, at most so many slashes deep.
fn folder(path: &str, depth: usize) -> &str {
    let slashes = path.match_indices('/').take(depth);
    slashes.last().map_or(path, |(at, _)| &path[..=at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(cities: usize, plots: usize) -> BTreeSet<String> {
        (0..cities)
            .flat_map(|city| (0..plots).map(move |plot| format!("/rw/C.{city}/base/{plot}.json")))
            .collect()
    }

    #[test]
    fn a_path_is_the_key_without_the_prefix_of_the_origin() {
        let drop = |drop_prefix: &str| Invalidation {
            distribution: "E3".into(),
            drop_prefix: drop_prefix.into(),
            declared: BTreeSet::new(),
        };
        let key = "portal/rw/C.1/a+b é.json";
        assert_eq!(drop("portal").path(key).unwrap(), "/rw/C.1/a%2Bb%20%C3%A9.json");
        assert_eq!(drop("").path(key).unwrap(), "/portal/rw/C.1/a%2Bb%20%C3%A9.json");
        assert_eq!(drop("portal/rw").path(key).unwrap(), "/C.1/a%2Bb%20%C3%A9.json");
        assert_eq!(drop("port").path(key), None);
        assert_eq!(drop("other").path(key), None);
        assert_eq!(drop("").path("a*").unwrap(), "/a%2A", "no wildcard but jheem's own");
    }

    #[test]
    fn many_paths_are_merged_by_folder_and_then_upwards() {
        assert_eq!(merged(&grid(2, 500)).len(), 1000, "as they are");
        assert_eq!(merged(&grid(2, 501)), ["/rw/C.0/base/*", "/rw/C.1/base/*"]);
        assert_eq!(merged(&grid(16, 100)), ["/rw/*"], "no more than 15 wildcards at once");
        let mut other = grid(2, 501);
        other.insert("/rw/index.json".into());
        assert_eq!(merged(&other), ["/rw/*"], "a folder says what lies in it");
        other.insert("/index.json".into());
        assert_eq!(merged(&other), ["/*"]);
        let flat: BTreeSet<String> = (0..1001).map(|plot| format!("/{plot}.json")).collect();
        assert_eq!(merged(&flat), ["/*"]);
        assert_eq!(merged(&BTreeSet::new()), [""; 0]);
    }
}
