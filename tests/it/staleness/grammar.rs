//! Every key of the grammar changed, one after the other: what becomes stale. The table of
//! `docs/staleness.md` is written from what is found here, and a key without a row fails.
//!
//! Nothing is run: what each rule made is put into records by hand, so that images need no daemon.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jheem::digest::Digest;
use jheem::error::Source;
use jheem::expand::expand;
use jheem::grammar::sections;
use jheem::graph::{Graph, Start, Target};
use jheem::plan::{
    self, Absence, Board, Facts, FileFact, InputFact, Judge, Judgement, Rejudged, RunnerFact,
    Shelf, Verdict,
};
use jheem::read::read;
use jheem::records::{Made, MadeOutput, Outcome, Record, Records};
use jheem::selection::{Request, Selection, select};

use super::keys::{self, BASE, Case, Of};
use super::rule_keys;

/// Set to write the table anew, to be looked over in the diff.
const BLESS: &str = "JHEEM_BLESS";

fn graph(text: &str, profile: Option<&str>) -> Result<Graph, String> {
    let source = Arc::new(Source { name: "Jheemfile.toml".into(), text: text.into() });
    let told = |errors: Vec<jheem::error::Error>| -> String {
        errors.iter().map(|e| e.render(false)).collect::<Vec<_>>().join("\n")
    };
    let manifest = read(&source, profile).map_err(told)?;
    let files = |path: &str| {
        Ok(match path {
            "models.json" | "other.json" => {
                r#"{"outcomes": ["x", "y", "never"], "more": ["x", "y", "never", "z"], "one": ["x"], "two": ["x", "y"]}"#
            }
            _ => "year,later\n2025,2025\n2025,2030\n",
        }
        .to_owned())
    };
    expand(&manifest, &files).map_err(told)
}

fn selection(graph: &Graph) -> Selection {
    let all = graph.rules.iter().map(|r| r.name.to_string()).collect();
    let options = graph.rules.iter().flat_map(|r| &r.groups).filter_map(|g| g.option.clone());
    let with = options.collect::<BTreeSet<_>>().into_iter().collect();
    select(graph, &Request { goals: all, with, ..Request::default() }).unwrap()
}

/// What is there: inputs whose content is their last name, the files given, and runners by what they start.
fn facts(graph: &Graph, files: &HashMap<String, Digest>, image: &str) -> Facts {
    let mut facts = Facts::default();
    for (index, input) in graph.inputs.iter().enumerate() {
        for cell in 0..input.space.cells() {
            let path = graph.input_path(index, cell);
            let digest = Digest::of(path.rsplit('/').next().unwrap().as_bytes());
            facts.inputs.insert((index, cell), InputFact::There { digest, size: 1 });
        }
    }
    for id in graph.rule_ids() {
        let rule = graph.rule(id);
        let mut all = Vec::new();
        for cell in 0..rule.space.cells() {
            for output in 0..rule.outputs.len() {
                let path = graph.output_path(Target { rule: id, cell }, output);
                all.push(files.get(&path).map_or(FileFact::Missing, |d| FileFact::There(*d)));
            }
        }
        facts.files.push(all);
    }
    for runner in &graph.runners {
        let identity = match &runner.start {
            Start::Image(_) => format!("image sha256:{image}"),
            Start::Program(name) => match files.get(name) {
                Some(digest) => format!("program {digest}"),
                None => "program blake3:hand".to_owned(),
            },
            Start::Built { .. } => {
                facts.runners.push(RunnerFact::Built);
                continue;
            }
        };
        facts.runners.push(RunnerFact::Known { identity, note: None, manifest: None });
    }
    facts
}

/// A cache that holds everything, and whose outputs pass whatever audit there is.
#[derive(Default)]
struct Full {
    judged: AtomicUsize,
}

impl Shelf for Full {
    fn has(&self, _: &Digest) -> bool {
        true
    }

    fn is_sound(&self, _: &Digest) -> bool {
        true
    }

    fn rejudge(&self, graph: &Graph, target: Target, group: usize, made: &Made) -> Rejudged {
        self.judged.fetch_add(1, Ordering::Relaxed);
        // Judged otherwise, the same bytes have another content.
        let judged = plan::judged_by(graph, target, group);
        let again = |output: &MadeOutput| MadeOutput {
            content: Digest::of(format!("{} {judged}", output.content).as_bytes()),
            ..output.clone()
        };
        let outputs = made.outputs.iter().map(|o| o.as_ref().map(again)).collect();
        Rejudged::Passed(Made { outputs, judged, ..made.clone() })
    }
}

/// Everything made once, as the records of a build would say it; and the files in place.
fn built(graph: &Graph, folder: &Path) -> (Records, HashMap<String, Digest>) {
    let (mut records, _) = Records::open(folder).unwrap();
    let facts = facts(graph, &HashMap::new(), "1");
    let (last, shelf) = (HashMap::new(), Full::default());
    let judge = Judge { graph, facts: &facts, last: &last, shelf: &shelf };
    let mut board = Board::new(graph);
    let mut files = HashMap::new();
    for target in selection(graph).targets() {
        for group in 0..graph.rule(target.rule).groups.len() {
            let judgement = judge.judge(&board, None, target, group).unwrap();
            if matches!(judgement.verdict, Verdict::Absent(_)) {
                board.set(graph, target, group, judgement);
                continue;
            }
            let fingerprint = judgement.fingerprint.expect("all that it reads is made");
            let in_order = graph.outputs_in_order(target, group);
            let outputs = in_order.iter().map(|(output, _)| {
                let path = graph.output_path(target, *output);
                let bytes = Digest::of(format!("bytes of {path}").as_bytes());
                let content = Digest::of(format!("content of {path}").as_bytes());
                files.insert(path, bytes);
                Some(MadeOutput { bytes, content, size: 1 })
            });
            let made = Made {
                outputs: outputs.collect(),
                judged: plan::judged_by(graph, target, group),
                by_bytes: judgement.by_bytes.unwrap(),
                run: "1".into(),
            };
            let lines = judge.lines(&board, target, group).unwrap();
            records
                .commit(|w| {
                    let record = Record {
                        fingerprint,
                        outcome: Outcome::Made(made.clone()),
                        lines: w.number(&lines)?,
                        memo: Vec::new(),
                        run: "1".into(),
                        ever_made: true,
                        at: 1,
                    };
                    w.record(&plan::record_key(graph, target, group), &record)?;
                    w.made(&fingerprint, &made, 1)
                })
                .unwrap();
            let verdict = Verdict::Fresh;
            board.set(graph, target, group, Judgement { verdict, made: Some(made), ..judgement });
        }
    }
    (records, files)
}

/// What a change did, by rule.
#[derive(Default)]
struct Found {
    stale: BTreeMap<String, usize>,
    cells: BTreeMap<String, usize>,
    pending: BTreeSet<String>,
    absent: BTreeSet<String>,
    linked: bool,
    judged: bool,
}

fn found(graph: &Graph, facts: &Facts, records: &Records) -> Found {
    let last = records.all().unwrap();
    let shelf = Full::default();
    let judge = Judge { graph, facts, last: &last, shelf: &shelf };
    let selection = selection(graph);
    let board = judge.board(&selection, Some(records)).unwrap();
    let mut found = Found::default();
    for target in selection.targets() {
        let name = graph.rule(target.rule).name.to_string();
        let verdict = board.verdict(graph, &selection, target);
        if !matches!(verdict, Verdict::Absent(_)) {
            *found.cells.entry(name.clone()).or_default() += 1;
        }
        match verdict {
            Verdict::Fresh => {}
            Verdict::Restorable(_) => found.linked = true,
            Verdict::Stale(_) => *found.stale.entry(name).or_default() += 1,
            Verdict::Pending(_) => drop(found.pending.insert(name)),
            Verdict::Blocked(what) => panic!("{name} is blocked: {what}"),
            Verdict::Absent(Absence::Declared) => {}
            Verdict::Absent(_) => drop(found.absent.insert(name)),
        }
    }
    found.judged = shelf.judged.load(Ordering::Relaxed) > 0;
    found
}

impl Found {
    /// In words, for somebody who changed this key.
    fn words(&self, of: Of) -> String {
        let own: HashSet<&str> = of.rules().iter().copied().collect();
        let stale = self.stale.iter().map(|(name, count)| (name, self.cells[name] == *count));
        let (direct, readers): (Vec<_>, Vec<_>) =
            stale.partition(|(name, _)| own.contains(name.as_str()));
        let mut words: Vec<String> = Vec::new();
        if !direct.is_empty() {
            let whole = direct.iter().all(|(_, whole)| *whole);
            words.push(if whole {
                of.noun().to_owned()
            } else {
                format!("some cells of {}", of.noun())
            });
        }
        if !readers.is_empty() {
            words.push("its readers".into());
        }
        if !self.pending.is_empty() && readers.is_empty() {
            words.push("its readers, if its content changes".into());
        }
        if words.is_empty() {
            words.push("nothing".into());
        }
        if self.judged {
            words.push("what is stored is judged again".into());
        }
        if self.linked {
            words.push("outputs are put in place from the cache".into());
        }
        words.join("; ")
    }
}

/// One row: the change made, and what was found; or why it cannot be made.
fn row(case: &Case, records: &Records, files: &HashMap<String, Digest>) -> Result<String, String> {
    let mut text = BASE.to_owned();
    for (from, to) in case.edits {
        if !text.contains(from) {
            return Err(format!("`{}`: the Jheemfile does not say `{from}`", case.key));
        }
        text = text.replace(from, to);
    }
    let graph = graph(&text, case.profile).map_err(|e| format!("`{}`: {e}", case.key))?;
    let facts = facts(&graph, files, if case.other_image { "2" } else { "1" });
    let effect = found(&graph, &facts, records).words(case.of);
    Ok(format!("| `{}` | {} | {effect} |", case.key, case.change))
}

/// Every key of the grammar, by its table.
fn grammar_keys() -> Vec<String> {
    let name = |title: &str, key: &str| match title {
        "" => key.to_owned(),
        title => format!("{title}.{key}"),
    };
    sections().iter().flat_map(|t| t.keys.iter().map(|k| name(t.title, k.name))).collect()
}

#[test]
fn every_key_of_the_grammar_says_what_a_change_of_it_makes_stale() {
    let folder = tempfile::tempdir().unwrap();
    let base = graph(BASE, None).unwrap_or_else(|e| panic!("{e}"));
    let (records, files) = built(&base, folder.path());
    let untouched = found(&base, &facts(&base, &files, "1"), &records);
    assert_eq!(untouched.words(Of::Other), "nothing");
    let known = grammar_keys();
    let all = || keys::CASES.iter().chain(rule_keys::CASES);
    for case in all() {
        assert!(known.contains(&case.key.to_owned()), "the grammar has no key `{}`", case.key);
    }
    let mut table = String::from("| key | the change | what becomes stale |\n|---|---|---|\n");
    let (mut missing, mut wrong) = (Vec::new(), Vec::new());
    for key in &known {
        let cases: Vec<&Case> = all().filter(|c| c.key == key).collect();
        if cases.is_empty() {
            missing.push(key);
        }
        for case in cases {
            match row(case, &records, &files) {
                Ok(row) => writeln!(table, "{row}").unwrap(),
                Err(why) => wrong.push(why),
            }
        }
    }
    assert!(missing.is_empty(), "no row for {missing:#?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    compare(&table);
}

/// The table stands between two marks in the docs.
fn compare(table: &str) {
    const MARKS: [&str; 2] = ["<!-- begin: every key -->\n", "<!-- end: every key -->\n"];
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/staleness.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let begin = text.find(MARKS[0]).expect("the docs have the first mark") + MARKS[0].len();
    let end = text.find(MARKS[1]).expect("the docs have the last mark");
    if std::env::var_os(BLESS).is_some() {
        std::fs::write(&path, format!("{}{table}{}", &text[..begin], &text[end..])).unwrap();
        return;
    }
    let (written, found) = (text[begin..end].lines(), table.lines());
    for (written, found) in written.zip(found) {
        assert_eq!(written, found, "the docs say otherwise; set {BLESS}=1 to write them");
    }
    assert_eq!(&text[begin..end], table, "set {BLESS}=1 to write it");
}
