//! Single bits that flip in what the cache keeps: seen when it is read, and made good.
//!
//! Bits are chosen by a seed, so that a failure comes again. The records are damaged in `trust`.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::project::{Project, Ran};

/// Makes the program that trims.
const MAKER: &str = r#"#!/bin/sh
cat > "$1" <<'END'
#!/bin/sh
{ printf '\001\200\377\000'; cat "$1"; printf '\377'; } > "$2"
END
"#;

/// Every kind of a plot's output: JSON, metadata and page.
const MODEL: &str = r#"#!/bin/sh
set -e
out=$2; city=$3; text=$5
mkdir -p "$out/$city"
for outcome in $(echo "$4" | tr , ' '); do
    echo "GENERATING: $city/$outcome"
    if [ "$outcome" = never ]; then echo "ERROR: cannot exist"; continue; fi
    sum=$(cksum < trimmed/$city.bin)
    printf '{"city": "%s", "outcome": "%s", "sum": "%s", "text": "%s"}\n' "$city" "$outcome" "$sum" "$text" > "$out/$city/$outcome.json"
    printf '{"city": ["%s"], "outcome": ["%s"], "generation_time": ["%s"]}\n' "$city" "$outcome" "$(date +%s.%N)" > "$out/$city/${outcome}_metadata.json"
    printf '<!DOCTYPE html><html><body><p>%s %s</p></body></html>\n' "$city" "$outcome" > "$out/$city/$outcome.html"
    echo "SUCCESS: $outcome.json"
done
"#;

const JHEEMFILE: &str = r#"
[project]
name = "damage"
[axis.city]
values = ["A", "B"]
[axis.outcome]
values = ["x", "y", "never"]
[input.data]
path = "data/{city}.txt"
[runner.maker]
program = "./maker.sh"
pass_env = ["PATH"]
[step.tool]
runner = "maker"
command = ["{output.program}"]
output.program = { path = "build/trim", executable = true }
[runner.tool]
built_by = "step.tool.program"
pass_env = ["PATH"]
[runner.model]
program = "./model.sh"
pass_env = ["PATH"]
[runner.model.log]
target = 'GENERATING: (?<city>[^/]+)/(?<outcome>\S+)'
success = "SUCCESS: "
absent = ["cannot exist"]
[step.trim]
over = ["city"]
runner = "tool"
inputs = { data = "input.data" }
command = ["{input.data}", "{output.bin}"]
output.bin.path = "trimmed/{city}.bin"
[plot.p]
over = ["city", "outcome"]
runner = "model"
inputs = { bin = "step.trim.bin" }
command = ["plot", "{dir:plots}", "{city}", "{list:outcome}", "first"]
batch = { by = ["city"] }
[plot.p.output.plot]
path = "plots/{city}/{outcome}.json"
as = "json"
[plot.p.output.metadata]
path = "plots/{city}/{outcome}_metadata.json"
as = "json"
volatile = ["/generation_time"]
[plot.p.output.page]
path = "plots/{city}/{outcome}.html"
as = "html"
"#;

/// One output of each kind, and what makes it.
const KINDS: [(&str, &str); 5] = [
    ("build/trim", "step.tool"),
    ("trimmed/A.bin", "step.trim[city=A]"),
    ("plots/A/x.json", "plot.p[city=A, outcome=x]"),
    ("plots/A/x_metadata.json", "plot.p[city=A, outcome=x]"),
    ("plots/A/x.html", "plot.p[city=A, outcome=x]"),
];

/// What is fresh when all is.
const WHOLE: &str = "fresh=7 absent=2";
/// How many bits of each are tried.
const FLIPS: u64 = 5;

fn built() -> Project {
    let project = Project::new()
        .program("maker.sh", MAKER)
        .program("model.sh", MODEL)
        .file("data/A.txt", "1\n")
        .file("data/B.txt", "2\n")
        .jheemfile(JHEEMFILE);
    project.build("").success().targets("built=7 absent=2");
    project
}

/// The same bytes with one bit flipped; the seed says which.
fn flipped(bytes: &[u8], seed: u64) -> Vec<u8> {
    let hash = blake3::hash(&seed.to_le_bytes());
    let number = u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap());
    let bit = (number % (bytes.len() as u64 * 8)) as usize;
    let mut damaged = bytes.to_vec();
    damaged[bit / 8] ^= 1 << (bit % 8);
    damaged
}

impl Project {
    /// Puts bytes in a file's place, under no other name and with its mode.
    fn put_in_place(&self, path: &str, bytes: &[u8]) {
        let (beside, mode) = (self.path("beside"), fs::metadata(self.path(path)).unwrap());
        fs::write(&beside, bytes).unwrap();
        fs::set_permissions(&beside, mode.permissions()).unwrap();
        fs::rename(beside, self.path(path)).unwrap();
    }

    /// Where the cache keeps what an output says now.
    fn object(&self, output: &str) -> String {
        let hex = blake3::hash(&fs::read(self.path(output)).unwrap()).to_hex();
        let object = format!("cache/objects/{}/{}", &hex[..2], &hex[2..]);
        assert!(self.exists(&object), "the cache has no object of `{output}`");
        object
    }

    fn shown(&self, output: &str) -> Vec<u8> {
        shown(output, &fs::read(self.path(output)).unwrap())
    }
}

/// What somebody who reads an output sees: all of it, but the time at which it was made.
fn shown(output: &str, bytes: &[u8]) -> Vec<u8> {
    let parsed: Option<Value> = serde_json::from_slice(bytes).ok();
    match parsed {
        Some(Value::Object(mut map)) if output.ends_with("_metadata.json") => {
            map.remove("generation_time");
            Value::Object(map).to_string().into_bytes()
        }
        _ => bytes.to_vec(),
    }
}

/// Fails the test unless a build goes through, leaves every output as it was, and the next does nothing.
#[track_caller]
fn made_good(project: &Project, outputs: &[(String, Vec<u8>)], what: &str) -> Ran {
    let ran = project.build("");
    assert_eq!(ran.code, Some(0), "{what}: the build failed\n{ran}");
    for (output, shown) in outputs {
        assert!(project.shown(output) == *shown, "{what}: `{output}` is another now\n{ran}");
        project.object(output);
    }
    let again = project.build("").success().targets(WHOLE);
    assert_eq!(again.count("runs"), 0, "{what}\n{again}");
    ran
}

fn outputs(project: &Project) -> Vec<(String, Vec<u8>)> {
    let files = ["build", "plots", "trimmed"].iter().flat_map(|folder| project.files(folder));
    files.map(|path| (path.clone(), project.shown(&path))).collect()
}

#[test]
fn a_bit_that_flips_in_an_output_and_its_object_is_seen_and_it_is_made_again() {
    let project = built();
    let whole = outputs(&project);
    for (output, target) in KINDS {
        for seed in 0..FLIPS {
            let what = format!("bit {seed} of `{output}`");
            let (object, bytes) = (project.object(output), fs::read(project.path(output)).unwrap());
            let damaged = flipped(&bytes, seed);
            project.put_in_place(&object, &damaged);
            project.put_in_place(output, &damaged);
            let (verdict, said) = project.why(output);
            assert_eq!(verdict, "stale", "{what}: {said}");
            let words = format!("`{output}` must be put back, and the cache lost it");
            assert!(said.contains(&words), "{what}: `why` does not say `{words}`: {said}");
            let ran = made_good(&project, &whole, &what);
            assert_eq!(ran.ended("same"), [target], "{what}\n{ran}");
            // It may have been somebody's work, unless it shows the same.
            let edited = project.files("cache/edited");
            if shown(output, &damaged) == shown(output, &bytes) {
                assert_eq!(edited, [] as [String; 0], "{what}");
                continue;
            }
            let [kept] = &edited[..] else { panic!("{what}: kept are {edited:?}") };
            assert!(fs::read(project.path(kept)).unwrap() == damaged, "{what}: `{kept}`");
            fs::remove_dir_all(project.path("cache/edited")).unwrap();
        }
    }
}

#[test]
fn a_bit_that_flips_in_an_output_alone_is_put_back_from_the_cache() {
    let project = built();
    let whole = outputs(&project);
    for (output, _) in KINDS {
        for seed in 0..FLIPS {
            let what = format!("bit {seed} of `{output}`");
            let bytes = fs::read(project.path(output)).unwrap();
            project.put_in_place(output, &flipped(&bytes, seed));
            let (verdict, said) = project.why(output);
            assert_eq!(verdict, "restorable", "{what}: {said}");
            assert!(said.contains(&format!("`{output}`")), "{what}: {said}");
            let ran = made_good(&project, &whole, &what);
            assert_eq!(ran.count("runs"), 0, "{what}\n{ran}");
            assert!(fs::read(project.path(output)).unwrap() == bytes, "{what}");
        }
    }
}

#[test]
fn a_bit_that_flips_in_an_object_is_seen_when_the_object_is_needed() {
    let project = built();
    let whole = outputs(&project);
    for (output, target) in KINDS {
        for seed in 0..FLIPS {
            let what = format!("bit {seed} of the object of `{output}`");
            let (object, bytes) = (project.object(output), fs::read(project.path(output)).unwrap());
            project.put_in_place(output, &bytes);
            project.put_in_place(&object, &flipped(&bytes, seed));
            // Nothing reads it: the output is whole.
            let ran = project.build("").success().targets(WHOLE);
            assert_eq!(ran.count("runs"), 0, "{what}\n{ran}");
            fs::remove_file(project.path(output)).unwrap();
            let ran = made_good(&project, &whole, &what);
            assert_eq!(ran.ended("same"), [target], "{what}\n{ran}");
        }
    }
}

#[test]
fn a_run_never_reads_an_object_with_a_flipped_bit() {
    let project = built();
    for seed in 0..FLIPS {
        let object = project.object("trimmed/A.bin");
        let bytes = fs::read(project.path("trimmed/A.bin")).unwrap();
        project.put_in_place("trimmed/A.bin", &bytes);
        project.put_in_place(&object, &flipped(&bytes, seed));
        // Another text in the plots; what they read is as it was.
        let text = project.read("Jheemfile.toml");
        let at = text.find("\"{list:outcome}\", \"").unwrap() + "\"{list:outcome}\", \"".len();
        let end = at + text[at..].find('"').unwrap();
        project.write("Jheemfile.toml", format!("{}text {seed}{}", &text[..at], &text[end..]));
        let before: Value = serde_json::from_str(&project.read("plots/A/x.json")).unwrap();
        project.build("").success();
        let after: Value = serde_json::from_str(&project.read("plots/A/x.json")).unwrap();
        assert_eq!(after["text"], format!("text {seed}"));
        assert_eq!(after["sum"], before["sum"], "bit {seed}: a plot was drawn from damaged bytes");
        assert!(fs::read(project.path("trimmed/A.bin")).unwrap() == bytes, "bit {seed}");
        project.build("").success().targets(WHOLE);
        // With its output gone too, the step is made again, or the object was made good before.
        fs::remove_file(project.path("trimmed/A.bin")).unwrap();
        project.build("").success();
        assert!(fs::read(project.path("trimmed/A.bin")).unwrap() == bytes, "bit {seed}");
    }
}

#[test]
fn bits_that_flip_in_logs_of_runs_change_no_verdict_and_the_logs_are_still_shown() {
    let project = built();
    let logs = project.files("cache/logs");
    assert!(logs.len() >= 4, "{logs:?}");
    let (_, absent) = project.why("plots/A/never.json");
    for seed in 0..FLIPS {
        for log in &logs {
            let bytes = fs::read(project.path(log)).unwrap();
            if !bytes.is_empty() {
                project.put_in_place(log, &flipped(&bytes, seed));
            }
        }
        let ran = project.build("").success().targets(WHOLE);
        assert_eq!(ran.count("runs"), 0, "{ran}");
        project.jheem("log").success();
        for log in &logs {
            let name = PathBuf::from(log).file_stem().unwrap().to_string_lossy().into_owned();
            project.jheem(&format!("log {name}")).success();
        }
        // What a run said of a plot that cannot exist is remembered apart from its log.
        assert_eq!(project.why("plots/A/never.json").1, absent);
    }
    for log in &logs {
        fs::remove_file(project.path(log)).unwrap();
    }
    project.build("").success().targets(WHOLE);
    project.jheem("log last").code(3).says("cannot read the log");
}

#[test]
fn a_damaged_note_that_names_were_compared_is_not_believed() {
    let project = built();
    // The first build began without a folder for it.
    project.build("").success();
    let note = "cache/checked";
    let whole = fs::read(project.path(note)).unwrap();
    let damages = (0..FLIPS).map(|seed| flipped(&whole, seed));
    for damaged in damages.chain([Vec::new(), vec![0xff; 1000]]) {
        project.write(note, &damaged);
        project.build("").success().targets(WHOLE);
        assert!(fs::read(project.path(note)).unwrap() == whole, "the note was not written anew");
    }
    // It was of another Jheemfile: two outputs of one path are found all the same.
    project.change("plots/{city}/{outcome}_metadata.json", "plots/{city}/{outcome}.html");
    project.build("").code(2).says("make one file");
    assert!(fs::read(project.path(note)).unwrap() == whole, "names that clash were noted as well");
}
