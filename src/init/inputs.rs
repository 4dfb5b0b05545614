//! Which data files the plots may be drawn from: those whose names hold values of the axes.
//!
//! Pure: paths in, guesses out.

use std::collections::BTreeMap;

use super::grid::{Axis, Grid};
use super::kinds;

/// Endings of files that hold data.
const DATA_ENDINGS: [&str; 9] =
    ["Rdata", "RData", "rda", "rds", "csv", "parquet", "feather", "h5", "nc"];
/// So many data files are looked at, and so many inputs proposed.
const MOST_FILES: usize = 20_000;
const MOST_INPUTS: usize = 5;

/// An input read off names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    pub name: String,
    pub path: String,
    pub files: usize,
}

/// Templates that at least half of their cells have files for, by number of files.
pub fn guess(paths: &[String], grid: &Grid) -> Vec<Input> {
    let is_data = |path: &&String| {
        path.rsplit_once('.').is_some_and(|(_, ending)| DATA_ENDINGS.contains(&ending))
            && !path.contains(['{', '}'])
    };
    let mut templates: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for path in paths.iter().filter(is_data).take(MOST_FILES) {
        let mut template = path.clone();
        let mut cells = 1_usize;
        for axis in &grid.axes {
            if let Some(value) = held(&template, axis) {
                template = replaced(&template, value, &format!("{{{}}}", axis.name));
                cells = cells.saturating_mul(axis.values.len());
            }
        }
        if cells > 1 {
            templates.entry(template).or_insert((0, cells)).0 += 1;
        }
    }
    let mut found: Vec<(String, usize)> = templates
        .into_iter()
        .filter(|(_, (files, cells))| files * 2 >= *cells)
        .map(|(path, (files, _))| (path, files))
        .collect();
    found.sort_by_key(|(path, files)| (std::cmp::Reverse(*files), path.clone()));
    let mut taken = Vec::new();
    let mut inputs = Vec::new();
    for (path, files) in found.into_iter().take(MOST_INPUTS) {
        let name = kinds::free_name(&word(&path), &taken);
        taken.push(name.clone());
        inputs.push(Input { name, path, files });
    }
    inputs
}

/// The longest value of an axis that stands in a path between separators.
fn held<'a>(path: &str, axis: &'a Axis) -> Option<&'a str> {
    axis.values
        .iter()
        .map(String::as_str)
        .filter(|value| places(path, value).next().is_some())
        .max_by_key(|value| value.len())
}

/// Where a value stands in a path, bounded by what is not a letter, a digit or a hole.
fn places<'a>(path: &'a str, value: &'a str) -> impl Iterator<Item = usize> + 'a {
    path.match_indices(value).map(|(at, _)| at).filter(move |&at| {
        let bounded =
            |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '{' && c != '}');
        bounded(path[..at].chars().next_back()) && bounded(path[at + value.len()..].chars().next())
    })
}

fn replaced(path: &str, value: &str, hole: &str) -> String {
    let found: Vec<usize> = places(path, value).collect();
    let mut text = String::new();
    let mut copied = 0;
    for at in found.into_iter().filter(|at| *at >= copied).collect::<Vec<_>>() {
        if at < copied {
            continue;
        }
        text.push_str(&path[copied..at]);
        text.push_str(hole);
        copied = at + value.len();
    }
    text + &path[copied..]
}

/// The last word of a path that is written out: `base` for `simulations/base/{city}_base.Rdata`.
fn word(path: &str) -> String {
    let path = path.rsplit_once('.').map_or(path, |(path, _)| path);
    let mut words = Vec::new();
    for (index, piece) in path.split(['{', '}']).enumerate() {
        if index % 2 == 0 {
            words.extend(piece.split(|c: char| !c.is_ascii_alphanumeric()));
        }
    }
    let is_word = |w: &&str| w.bytes().any(|b| b.is_ascii_alphabetic()) && w.len() > 1;
    words.into_iter().rev().find(is_word).map_or_else(|| "data".to_owned(), str::to_lowercase)
}
