//! The grid that file names lie on: which parts of them vary, and whether they vary freely.
//!
//! Pure: paths in, guesses out, the best one first.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::kinds;

/// Files that plots are drawn into; the first of several with one name is the plot itself.
const PLOT_ENDINGS: [&str; 8] = ["json", "html", "svg", "png", "pdf", "webp", "jpg", "jpeg"];
/// Words at the end of a file's name that make it another file's companion.
const COMPANION_WORDS: [&str; 9] =
    ["metadata", "meta", "info", "caption", "thumbnail", "thumb", "preview", "params", "config"];
/// What stands between the parts of a file's name.
const SEPARATORS: [char; 4] = ['_', '-', '.', ' '];
/// Fewer files show no grid.
const FEWEST_FILES: usize = 4;
/// A part with more values is a number of the file, not an axis.
const MOST_VALUES: usize = 1000;
const MOST_CELLS: usize = 300_000;
/// Files that fill less of a grid than this do not lie on it.
const LEAST_FILLED: f64 = 0.2;
const MOST_PARTS: usize = 10;
/// So many groups of files are tried.
const MOST_GROUPS: usize = 4;

/// An axis read off names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axis {
    pub name: String,
    pub values: Vec<String>,
    /// Other texts for its values that stand in names: a label's name, and a text for each pattern.
    pub labels: Vec<(String, Vec<(String, String)>)>,
    pub joined_by: Option<&'static str>,
    /// Whether its name is a number because nothing told what it is.
    pub nameless: bool,
}

/// Another file beside each plot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Companion {
    pub name: String,
    pub path: String,
    pub files: usize,
}

/// Values of two axes that never meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    pub axes: (String, String),
    pub first: String,
    pub seconds: Vec<String>,
}

/// A guess.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    pub axes: Vec<Axis>,
    /// The template of a plot's path.
    pub path: String,
    pub ending: String,
    pub companions: Vec<Companion>,
    /// Plots that lie on the grid.
    pub files: usize,
    pub cells: usize,
    /// Files beside them that do not.
    pub strangers: Vec<String>,
    pub gaps: Vec<Gap>,
    score: f64,
}

/// Guesses, the best first.
pub fn guesses(paths: &[String]) -> Vec<Grid> {
    let mut groups: BTreeMap<(&str, usize, &str), Vec<&str>> = BTreeMap::new();
    for path in paths {
        let Some(ending) = ending(path) else { continue };
        let top = path.split_once('/').map_or(".", |(top, _)| top);
        let depth = path.matches('/').count();
        groups.entry((top, depth, ending)).or_default().push(path);
        // The folders at the top may themselves be values.
        groups.entry(("", depth, ending)).or_default().push(path);
    }
    let all: HashSet<&str> = paths.iter().map(String::as_str).collect();
    let mut largest: Vec<(&str, Vec<&str>)> =
        groups.into_iter().map(|((.., ending), paths)| (ending, paths)).collect();
    largest.sort_by_key(|(ending, paths)| {
        (std::cmp::Reverse(paths.len()), PLOT_ENDINGS.iter().position(|e| e == ending))
    });
    largest.dedup();
    let mut grids = Vec::new();
    for (ending, group) in largest.into_iter().take(MOST_GROUPS) {
        let (mains, suffixes) = companions(&group, ending, &all);
        for separator in SEPARATORS.map(Some).into_iter().chain([None]) {
            for parts in part_counts(&mains, ending, separator) {
                grids.extend(fit(&mains, ending, separator, parts, &suffixes));
            }
        }
    }
    grids.sort_by(|a, b| b.score.total_cmp(&a.score));
    grids
}

/// The ending of a path that may be a plot's.
fn ending(path: &str) -> Option<&'static str> {
    let (_, found) = path.rsplit('/').next()?.rsplit_once('.')?;
    PLOT_ENDINGS.into_iter().find(|ending| *ending == found)
}

/// The files of a group that are nobody's companion; and by what suffix the others follow them,
/// with how many do.
fn companions<'a>(
    group: &[&'a str],
    ending: &str,
    all: &HashSet<&str>,
) -> (Vec<&'a str>, Vec<(String, usize)>) {
    let tail = format!(".{ending}");
    let mains: Vec<&str> = group
        .iter()
        .copied()
        .filter(|path| {
            let stem = path.strip_suffix(&tail).unwrap_or(path);
            !COMPANION_WORDS.iter().any(|word| {
                stem.strip_suffix(word).and_then(|rest| rest.strip_suffix(SEPARATORS)).is_some_and(
                    |rest| {
                        PLOT_ENDINGS.iter().any(|e| all.contains(format!("{rest}.{e}").as_str()))
                    },
                )
            })
        })
        .collect();
    let mut suffixes = Vec::new();
    let other_endings = PLOT_ENDINGS.iter().filter(|e| **e != ending).map(|e| format!(".{e}"));
    let words = COMPANION_WORDS.iter().flat_map(|word| {
        SEPARATORS.iter().flat_map(move |separator| {
            PLOT_ENDINGS.iter().map(move |e| format!("{separator}{word}.{e}"))
        })
    });
    // A few of the files tell which suffixes there are at all.
    let probes: Vec<&str> = mains.iter().step_by(mains.len() / 64 + 1).copied().collect();
    for suffix in other_endings.chain(words) {
        let has = |path: &&&str| {
            all.contains(format!("{}{suffix}", path.strip_suffix(&tail).unwrap_or(path)).as_str())
        };
        if probes.iter().any(|path| has(&path)) {
            let files = mains.iter().filter(has).count();
            if files * 2 >= mains.len() {
                suffixes.push((suffix, files));
            }
        }
    }
    (mains, suffixes)
}

/// The stem of a path's file name, and the folders above it.
fn split<'a>(path: &'a str, ending: &str) -> (Vec<&'a str>, &'a str) {
    let mut folders: Vec<&str> = path.split('/').collect();
    let file = folders.pop().unwrap_or("");
    (folders, file.strip_suffix(ending).and_then(|f| f.strip_suffix('.')).unwrap_or(file))
}

/// The numbers of parts that one stem in fifty has, at least: one facet of sixteen may be shorter.
fn part_counts(paths: &[&str], ending: &str, separator: Option<char>) -> Vec<usize> {
    let Some(separator) = separator else { return vec![1] };
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for path in paths {
        *counts.entry(split(path, ending).1.matches(separator).count() + 1).or_default() += 1;
    }
    let often = |(parts, files): (usize, usize)| {
        (parts > 1 && parts <= MOST_PARTS && files * 50 >= paths.len()).then_some(parts)
    };
    counts.into_iter().filter_map(often).collect()
}

/// Cuts every path into folders and so many parts of the stem; longer stems keep parts together,
/// such that as many as possible are known from the short ones.
fn cut<'a>(
    paths: &[&'a str],
    ending: &str,
    separator: Option<char>,
    parts: usize,
) -> (Vec<Vec<&'a str>>, Vec<&'a str>) {
    let mut known: Vec<HashSet<&str>> = vec![HashSet::new(); parts];
    let pieces = |stem: &'a str| -> Vec<&'a str> {
        match separator {
            Some(separator) => stem.split(separator).collect(),
            None => vec![stem],
        }
    };
    for path in paths {
        let found = pieces(split(path, ending).1);
        if found.len() == parts {
            for (known, piece) in known.iter_mut().zip(found) {
                known.insert(piece);
            }
        }
    }
    let (mut rows, mut strangers) = (Vec::new(), Vec::new());
    for path in paths {
        let (mut row, stem) = split(path, ending);
        let found = pieces(stem);
        if found.len() < parts || found.len() > MOST_PARTS {
            strangers.push(*path);
            continue;
        }
        row.extend(together(stem, &found, &known));
        if row.iter().all(|part| is_value(part)) {
            rows.push(row);
        } else {
            strangers.push(path);
        }
    }
    (rows, strangers)
}

/// The way to keep pieces together in which most are known; of equals, the one whose last is longest.
fn together<'a>(stem: &'a str, pieces: &[&'a str], known: &[HashSet<&str>]) -> Vec<&'a str> {
    let parts = known.len();
    if pieces.len() == parts {
        return pieces.to_vec();
    }
    let mut starts = Vec::with_capacity(pieces.len());
    let mut at = 0;
    for piece in pieces {
        starts.push(at);
        at += piece.len() + 1;
    }
    let end = |piece: usize| starts[piece] + pieces[piece].len();
    let mut best: (usize, Vec<&str>) = (0, Vec::new());
    // Every choice of the pieces with which parts begin; the first part begins with the first piece.
    let mut begins: Vec<usize> = (0..parts).collect();
    loop {
        let ends = begins.iter().skip(1).map(|next| next - 1).chain([pieces.len() - 1]);
        let way: Vec<&str> =
            begins.iter().zip(ends).map(|(first, last)| &stem[starts[*first]..end(last)]).collect();
        let hits = way.iter().zip(known).filter(|(part, known)| known.contains(**part)).count();
        if best.1.is_empty() || hits > best.0 {
            best = (hits, way);
        }
        // The next choice, in lexical order.
        let last = (1..parts).rev().find(|&p| begins[p] < pieces.len() - (parts - p));
        let Some(position) = last else { return best.1 };
        begins[position] += 1;
        for later in position + 1..parts {
            begins[later] = begins[later - 1] + 1;
        }
    }
}

/// Whether a part of a name can be a value of an axis.
fn is_value(part: &str) -> bool {
    !part.is_empty()
        && part.len() <= 200
        && part != ".."
        && part != "."
        && part.trim() == part
        && !part.starts_with(['!', '@'])
        && !part.contains(['*', '?', '{', '}'])
}

/// What a position of the names is.
enum Part {
    Constant(String),
    Axis(usize),
    /// Told by an axis: its label of this name.
    Label(usize, String),
}

fn fit(
    paths: &[&str],
    ending: &str,
    separator: Option<char>,
    parts: usize,
    suffixes: &[(String, usize)],
) -> Option<Grid> {
    let (rows, strangers) = cut(paths, ending, separator, parts);
    let width = rows.first()?.len();
    let columns: Vec<BTreeSet<&str>> =
        (0..width).map(|at| rows.iter().map(|row| row[at]).collect()).collect();
    let folders = width - parts;
    let mut axes: Vec<Axis> = Vec::new();
    let mut places: Vec<usize> = Vec::new();
    let mut kinds: Vec<Part> = Vec::new();
    for (at, values) in columns.iter().enumerate() {
        if values.len() == 1 {
            kinds.push(Part::Constant(rows[0][at].to_owned()));
            continue;
        }
        if values.len() > MOST_VALUES {
            return None;
        }
        let teller = places
            .iter()
            .position(|&place| columns[place].len() >= values.len() && tells(&rows, place, at));
        if let Some(teller) = teller {
            kinds.push(label(&mut axes[teller], teller, &rows, places[teller], at));
            continue;
        }
        let before = (at > folders)
            .then(|| at - 1)
            .filter(|&before| columns[before].len() == 1)
            .map(|before| rows[0][before]);
        kinds.push(Part::Axis(axes.len()));
        places.push(at);
        let axis = axis(values, before, &axes);
        axes.push(axis);
    }
    let cells =
        axes.iter().try_fold(1_usize, |cells, axis| cells.checked_mul(axis.values.len()))?;
    let numbered = Numbered::of(&rows, &places, &columns);
    let files = numbered.rows.iter().collect::<HashSet<_>>().len();
    let filled = files as f64 / cells as f64;
    if axes.is_empty() || files < FEWEST_FILES || cells > MOST_CELLS || filled < LEAST_FILLED {
        return None;
    }
    let stem = path(&kinds, folders, separator, &axes);
    let gaps = gaps(&numbered, &axes);
    let path = format!("{stem}.{ending}");
    // `_metadata.json` and `.metadata.json` may both stand beside a plot.
    let mut taken = vec!["plot".to_owned()];
    let companion = |(suffix, files): &(String, usize)| {
        let name = kinds::free_name(&companion_name(suffix), &taken);
        taken.push(name.clone());
        Companion { name, path: format!("{stem}{suffix}"), files: *files }
    };
    let companions = suffixes.iter().map(companion).collect();
    // Finer cuts explain more, as long as the grid stays full. The power was tried out: the real
    // grid, of which 29 % cannot exist, is cut into its five axes, and numbered files are not cut.
    let score = files as f64 * filled.powf(2.0 / 3.0) * (1.0 + 0.5 * axes.len() as f64);
    let strangers = strangers.into_iter().map(str::to_owned).collect();
    let ending = ending.to_owned();
    Some(Grid { axes, path, ending, companions, files, cells, strangers, gaps, score })
}

/// Whether each value at one place always comes with one value at the other.
fn tells(rows: &[Vec<&str>], place: usize, other: usize) -> bool {
    let mut with: HashMap<&str, &str> = HashMap::new();
    rows.iter().all(|row| *with.entry(row[place]).or_insert(row[other]) == row[other])
        && (rows.len() >= 2 * with.len() || rows.iter().all(|row| row[place] == row[other]))
}

/// A part that an axis tells: the axis itself where the texts are its values, else a label of it.
fn label(axis: &mut Axis, index: usize, rows: &[Vec<&str>], place: usize, at: usize) -> Part {
    if rows.iter().all(|row| row[place] == row[at]) {
        return Part::Axis(index);
    }
    let pairs = rows.iter().map(|row| (value_of(axis, row[place]), row[at].to_owned()));
    let texts: BTreeMap<String, String> = pairs.collect();
    let taken: Vec<String> = axis.labels.iter().map(|(name, _)| name.clone()).collect();
    let name = kinds::free_name("text", &taken);
    axis.labels.push((name.clone(), texts.into_iter().collect()));
    Part::Label(index, name)
}

/// The axis of these values; `before` is the word that always stands in front of them.
fn axis(values: &BTreeSet<&str>, before: Option<&str>, axes: &[Axis]) -> Axis {
    let taken: Vec<String> = axes.iter().map(|axis| axis.name.clone()).collect();
    if let Some(facets) = facets(values) {
        let name = kinds::free_name("facet", &taken);
        let part = vec![
            ("none".to_owned(), "unfaceted".to_owned()),
            ("*".to_owned(), format!("facet_{{{name}}}")),
        ];
        let labels = vec![("part".to_owned(), part)];
        let joined_by = joined(&facets);
        return Axis { name, values: facets, labels, joined_by, nameless: false };
    }
    let told = before.and_then(kinds::as_name).filter(|name| name.len() > 1);
    let told = kinds::axis_name(values).map(str::to_owned).or(told);
    let nameless = told.is_none();
    let wanted = told.unwrap_or_else(|| format!("part{}", axes.len() + 1));
    let values: Vec<String> = values.iter().map(|v| (*v).to_owned()).collect();
    Axis {
        name: kinds::free_name(&wanted, &taken),
        joined_by: joined(&values),
        values,
        labels: Vec::new(),
        nameless,
    }
}

/// `none`, `age`, … from `unfaceted`, `facet_age`, …
fn facets(values: &BTreeSet<&str>) -> Option<Vec<String>> {
    let mut facets = vec!["none".to_owned()];
    for value in values.iter().filter(|v| **v != "unfaceted") {
        facets.push(value.strip_prefix("facet_").filter(|f| *f != "none")?.to_owned());
    }
    (values.contains("unfaceted") && facets.len() > 1).then_some(facets)
}

/// `+`, where values are made of each other by it and no two of them have the same parts.
fn joined(values: &[String]) -> Option<&'static str> {
    let sorted = |value: &String| {
        let mut parts: Vec<&str> = value.split('+').collect();
        parts.sort_unstable();
        parts.join("+")
    };
    let distinct: HashSet<String> = values.iter().map(sorted).collect();
    (distinct.len() == values.len() && values.iter().any(|v| v.contains('+'))).then_some("+")
}

/// The template of the paths, without an ending.
fn path(kinds: &[Part], folders: usize, separator: Option<char>, axes: &[Axis]) -> String {
    let mut path = String::new();
    for (at, kind) in kinds.iter().enumerate() {
        if at > 0 && at <= folders {
            path.push('/');
        } else if at > folders {
            path.extend(separator);
        }
        match kind {
            Part::Constant(text) => path.push_str(&text.replace('{', "{{").replace('}', "}}")),
            Part::Axis(axis) => {
                let axis = &axes[*axis];
                let part = axis.labels.iter().any(|(name, _)| name == "part");
                let dot = if part { ".part" } else { "" };
                path.push_str(&format!("{{{}{dot}}}", axis.name));
            }
            Part::Label(axis, label) => path.push_str(&format!("{{{}.{label}}}", axes[*axis].name)),
        }
    }
    path
}

/// `metadata` for `_metadata.json`, `html` for `.html`.
fn companion_name(suffix: &str) -> String {
    let word = suffix.trim_start_matches(SEPARATORS);
    word.split('.').next().unwrap_or(word).to_owned()
}

/// Rows with the numbers of values in the place of their texts.
struct Numbered<'a> {
    /// The texts of each axis.
    texts: Vec<Vec<&'a str>>,
    rows: Vec<Vec<u16>>,
}

impl<'a> Numbered<'a> {
    /// `MOST_VALUES` keeps the numbers small.
    fn of(rows: &[Vec<&'a str>], places: &[usize], columns: &[BTreeSet<&'a str>]) -> Numbered<'a> {
        let texts: Vec<Vec<&str>> =
            places.iter().map(|&at| columns[at].iter().copied().collect()).collect();
        let numbers: Vec<HashMap<&str, u16>> =
            texts.iter().map(|texts| texts.iter().copied().zip(0..).collect()).collect();
        let number = |row: &Vec<&str>| {
            places.iter().zip(&numbers).map(|(&at, numbers)| numbers[row[at]]).collect()
        };
        Numbered { rows: rows.iter().map(number).collect(), texts }
    }
}

/// Values of two axes that both occur and never together; for the two axes that explain most.
fn gaps(numbered: &Numbered<'_>, axes: &[Axis]) -> Vec<Gap> {
    let mut best: (usize, Vec<Gap>) = (0, Vec::new());
    for one in 0..axes.len() {
        for two in (0..axes.len()).filter(|two| *two != one) {
            let (firsts, seconds) = (&numbered.texts[one], &numbered.texts[two]);
            let mut met = vec![false; firsts.len() * seconds.len()];
            for row in &numbered.rows {
                met[usize::from(row[one]) * seconds.len() + usize::from(row[two])] = true;
            }
            let never = |first: usize| -> Vec<String> {
                let with = &met[first * seconds.len()..][..seconds.len()];
                let apart = with.iter().zip(seconds).filter(|(met, _)| !**met);
                apart.map(|(_, second)| value_of(&axes[two], second)).collect()
            };
            let found: Vec<Gap> = firsts
                .iter()
                .enumerate()
                .map(|(first, text)| Gap {
                    axes: (axes[one].name.clone(), axes[two].name.clone()),
                    first: value_of(&axes[one], text),
                    seconds: never(first),
                })
                .filter(|gap| !gap.seconds.is_empty())
                .collect();
            let pairs: usize = found.iter().map(|gap| gap.seconds.len()).sum();
            // The same pairs can be told by either axis; the fewer tables, the better.
            let explains = (pairs * 1000).saturating_sub(found.len());
            if explains > best.0 {
                best = (explains, found);
            }
        }
    }
    best.1
}

/// The value that stands for a text in a name.
fn value_of(axis: &Axis, text: &str) -> String {
    if axis.labels.iter().any(|(name, _)| name == "part") {
        return match text {
            "unfaceted" => "none".to_owned(),
            text => text.strip_prefix("facet_").unwrap_or(text).to_owned(),
        };
    }
    text.to_owned()
}
