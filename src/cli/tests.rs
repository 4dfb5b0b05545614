use std::fmt::Write as _;
use std::path::PathBuf;

use clap::CommandFactory as _;
use serde::Serialize;

use super::*;
use crate::costs::Requests;
use crate::event::{
    Ending, Event, FinishedTargets, PlannedPublish, PlannedTargets, PublishedCounts,
};
use crate::report::answer::{Answer, Last, Origin, OriginRead, State, Trace};
use crate::why::Difference;

const PAGE: &str = "docs/command-line.md";

fn page() -> (PathBuf, String) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let text = std::fs::read_to_string(&path).unwrap();
    (path, text)
}

/// The page with what stands between `<!-- begin -->` and the next end replaced.
fn filled(page: &str, begin: &str, body: &str) -> String {
    let begin = format!("<!-- {begin} -->\n");
    let start = page.find(&begin).unwrap_or_else(|| panic!("no `{begin}` in {PAGE}")) + begin.len();
    let length = page[start..].find("<!-- end -->").expect("what is printed has an end");
    format!("{}{body}{}", &page[..start], &page[start + length..])
}

/// Two tests write the page, each its own parts of it.
static PAGE_IN_HAND: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn same_as_page(make: impl Fn(String) -> String) {
    let _in_hand = PAGE_IN_HAND.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (path, text) = page();
    let made = make(text.clone());
    if std::env::var_os("JHEEM_BLESS").is_some() {
        std::fs::write(&path, &made).unwrap();
        return;
    }
    assert_eq!(made, text, "{PAGE} says otherwise; set JHEEM_BLESS=1 to write it");
}

/// The options of a command as a table, without those that are named.
fn options(command: &clap::Command, without: &[String]) -> String {
    let mut table = String::from("\n| option | default | meaning |\n|---|---|---|\n");
    for argument in command.get_arguments() {
        let id = argument.get_id().to_string();
        if without.contains(&id) || ["help", "version"].contains(&id.as_str()) {
            continue;
        }
        let value = argument.get_value_names().map(|names| names[0].to_string());
        let takes = argument.get_action().takes_values();
        let mut names = Vec::new();
        names.extend(argument.get_short().map(|short| format!("`-{short}`")));
        names.extend(argument.get_long().map(|long| match (&value, takes) {
            (Some(value), true) => format!("`--{long} {value}`"),
            _ => format!("`--{long}`"),
        }));
        if names.is_empty() {
            names.push(format!("`{}`", value.unwrap_or_default()));
        }
        let default = argument.get_default_values().first().filter(|_| takes);
        let default = default.map_or("–".to_owned(), |d| format!("`{}`", d.to_string_lossy()));
        let help = argument.get_help().expect("every option is explained").to_string();
        let help = help.replace('|', "\\|").replace("[default:", "(default:").replace(']', ")");
        writeln!(table, "| {} | {default} | {help} |", names.join(", ")).unwrap();
    }
    table + "\n"
}

fn ids(command: &clap::Command) -> Vec<String> {
    command.get_arguments().map(|a| a.get_id().to_string()).collect()
}

#[test]
fn every_command_and_option_stands_on_the_page() {
    let root = Cli::command();
    let global = ids(&root);
    let select = Select::augment_args(clap::Command::new("select"));
    same_as_page(|mut text| {
        text = filled(&text, "options: jheem", &options(&root, &[]));
        text = filled(&text, "options: select", &options(&select, &[]));
        for command in root.get_subcommands().filter(|c| !c.is_hide_set()) {
            let name = command.get_name();
            assert!(text.contains(&format!("\n### `jheem {name}`\n")), "no section on `{name}`");
            assert!(text.contains(&format!("$ jheem {name}")), "no example of `{name}`");
            let mut nested: Vec<(String, &clap::Command)> = command
                .get_subcommands()
                .map(|below| (format!("jheem {name} {}", below.get_name()), below))
                .collect();
            nested.push((format!("jheem {name}"), command));
            for (title, command) in nested {
                let mut common = [global.clone(), ids(&select)].concat();
                if name == "publish" {
                    common.extend(ids(root.find_subcommand("build").unwrap()));
                }
                let own = ids(command).iter().any(|id| !common.contains(id));
                // One positional argument needs no table.
                let told = command.get_arguments().any(|a| !a.is_positional());
                if own && told {
                    text = filled(&text, &format!("options: {title}"), &options(command, &common));
                }
            }
        }
        text
    });
}

fn line(object: &impl Serialize) -> String {
    serde_json::to_string(object).unwrap()
}

/// One of each event, in the order of a build.
fn events() -> Vec<Event> {
    let run = "20261123-212736-1".to_owned();
    let target = "plot.rw[city=C.12580, outcome=incidence]".to_owned();
    let source =
        "s3://jheem-data-production/simulations/ryan-white/base/C.12580_base.Rdata".to_owned();
    let rule = "plot.rw".to_owned();
    vec![
        Event::Started {
            targets: PlannedTargets { fresh: 94, stale: 4, pending: 27, ..Default::default() },
            steps: 17,
            plots: 108,
            reasons: vec!["1 step stale: city=C.12580: parameters changed".into()],
        },
        Event::RunStarted {
            run: run.clone(),
            rule: rule.clone(),
            targets: 27,
            surplus: 0,
            what: "model batch --config jobs.yaml".into(),
        },
        Event::FetchStarted { source: source.clone(), bytes: 29_040_512 },
        Event::FetchProgress { source: source.clone(), bytes: 12_582_912 },
        Event::Fetched { source, bytes: Some(29_040_512), seconds: 3.2 },
        Event::Pulling {
            run: run.clone(),
            image: "ghcr.io/me/model@sha256:…".into(),
            done: 1_400_000_000,
            total: 5_600_000_000,
        },
        Event::Pulled {
            run: run.clone(),
            image: "ghcr.io/me/model@sha256:…".into(),
            bytes: 5_600_000_000,
            seconds: 154.2,
        },
        Event::TargetBegan { run: run.clone(), target: target.clone() },
        Event::Target {
            target,
            path: "plots/C.12580/incidence.json".into(),
            ending: Ending::Failed,
            message: Some("the run ended with code 1 without making it".into()),
            lines: vec!["ERROR: no such file".into()],
        },
        Event::Restored { targets: 4 },
        Event::RunEnded { run, rule: rule.clone(), exit: "code 1".into(), seconds: 12.3, made: 26 },
        Event::Retry { rule, targets: 1, reason: "out of memory".into() },
        Event::Note { message: "the image `model:latest` was last seen as sha256:…".into() },
        Event::Problem {
            message: "a run of `plot.rw` left 1 file that nobody asked for".into(),
            lines: vec!["plots/stray.json".into()],
        },
        Event::Stopping,
        Event::Published { publish: "site".into(), objects: 26, rows: 26, bytes: 471_234 },
        Event::Planned {
            targets: PlannedTargets { fresh: 94, stale: 4, pending: 27, ..Default::default() },
            publish: PlannedPublish { unchanged: 162, undecided: 54, ..Default::default() },
            runs: 4,
        },
        Event::Finished {
            ok: false,
            targets: FinishedTargets { fresh: 94, built: 30, failed: 1, ..Default::default() },
            published: PublishedCounts { objects: 26, rows: 26, bytes: 471_234 },
            runs: 5,
            nondeterministic: 0,
            seconds: 21.5,
            stopped_seconds: None,
        },
    ]
}

/// What an event is for; a new event does not compile until it is told here, and shown above.
fn meaning(event: &Event) -> &'static str {
    match event {
        Event::Started { .. } => "Everything was judged, and this is what will be done.",
        Event::RunStarted { .. } => {
            "A run began; `surplus` targets are made that nobody asked for."
        }
        Event::FetchStarted { .. } => "A remote input is sent for.",
        Event::FetchProgress { .. } => "So many bytes of it came so far.",
        Event::Fetched { .. } => {
            "It came; without `bytes` it did not, and the targets that need it say why."
        }
        Event::Pulling { .. } => {
            "The image of a run is on its way to this machine; both are 0 when it begins."
        }
        Event::Pulled { .. } => "It is there.",
        Event::TargetBegan { .. } => "A run says that it makes this target now.",
        Event::Target { .. } => "A target ended.",
        Event::Restored { .. } => "Targets were put back from the cache.",
        Event::RunEnded { .. } => "A run ended.",
        Event::Retry { .. } => "What a run lost is tried again, in smaller batches.",
        Event::Note { .. } => "Something to know; nothing failed by it.",
        Event::Problem { .. } => "Something of a whole run fails the build.",
        Event::Stopping => "Ctrl-C: runs are asked to end, and nothing more is begun.",
        Event::Published { .. } => "A publish wrote this.",
        Event::Planned { .. } => {
            "The last line of `plan`; `refused` is what cannot be published as it is asked for."
        }
        Event::Finished { .. } => {
            "The last line of `build` and `publish`; `nondeterministic` counts how often one request gave two contents, `stopped_seconds` is how long stopping took, if it was stopped."
        }
    }
}

fn answers() -> Vec<String> {
    let difference = Difference {
        what: "parameters (parameters/C.12580.yaml)".into(),
        before: Some("blake3:ad08…".into()),
        now: Some("blake3:cb0f…".into()),
    };
    let all = [
        Answer::Reason {
            rule: "step.base",
            verdict: "stale",
            targets: 1,
            narrowed: &["city=C.12580".to_owned()],
            reason: "parameters changed",
        },
        Answer::Verdict { target: "step.base[city=C.12580]", verdict: "stale" },
        Answer::Why {
            target: "step.base[city=C.12580]",
            option: None,
            verdict: "stale",
            reason: "something that it depends on changed",
            differences: &[difference],
            waits_for: &[],
            notes: &[],
            fingerprint: Some("blake3:e96d…".into()),
            last: Some(Last { run: "20261123-212736-1", at: "2026-11-23T21:27:36Z".into() }),
            cause: Some("never made"),
        },
        Answer::Count { rule: "plot.rw", cells: 62_496, absent: 18_135, to_make: 44_361 },
        Answer::Listed { target: "step.base[city=C.12580]" },
        Answer::Path { path: "plots/C.12580/incidence.json" },
        Answer::Drift {
            destination: "file:site".into(),
            key: "plots/C.12580/incidence.json",
            kind: "changed",
            published: Some("blake3:9d2a…, 18234 bytes"),
            found: Some("blake3:77c0…, 18235 bytes"),
        },
        Answer::Repaired {
            destination: "s3://site-bucket/plots".into(),
            key: "C.12580/incidence.json",
        },
        Answer::Lost {
            destination: "s3://site-bucket/plots".into(),
            key: "C.12580/testing.json",
            message: "its bytes are no longer in the cache: `jheem build plots/C.12580/testing.json`, then run this again",
        },
        Answer::Verified { differences: 2, repaired: 1 },
        Answer::Orphan {
            destination: "s3://site-bucket/plots".into(),
            kind: "object",
            key: "C.99999/incidence.json",
            publish: "site",
        },
        Answer::Kept {
            destination: "s3://site-bucket/plots".into(),
            key: "C.99999/incidence.json",
            why: "it was written over by something other than jheem",
        },
        Answer::WouldPrune { keys: 54 },
        Answer::Pruned { objects: 27, rows: 27, texts: 3, kept: 0 },
        Answer::Skipped {
            destination: "s3://site-bucket/plots".into(),
            key: "C.12580/testing.json",
            why: "another project publishes it",
        },
        Answer::Adopted { publish: "site", objects: 27, rows: 27, made: 0, skipped: 1 },
        Answer::Destination {
            publish: "plots",
            destination: "s3://bucket/rw".into(),
            create: 3,
            update: 24,
            unchanged: 189,
            undecided: 0,
            orphaned: 2,
            refused: 0,
            bytes: 471_234,
            requests: Requests { puts: 32, gets: 3, deletes: 1, ..Requests::default() },
            usd: 0.000_161_2,
        },
        Answer::Expected {
            requests: Requests { puts: 32, gets: 6, deletes: 1, ..Requests::default() },
            usd: 0.000_162_4,
        },
        Answer::Requests {
            requests: Requests { puts: 32, gets: 6, deletes: 1, ..Requests::default() },
            usd: 0.000_162_4,
        },
        Answer::Condition {
            what: "table",
            about: "dynamodb://jheem-test-tiny",
            holds: "no",
            said: "it does not exist in this region",
            hints: &["mend its name, `AWS_REGION`, or run `jheem provision`".to_owned()],
        },
        Answer::Examined { conditions: 9, failing: 1, untried: 0 },
        Answer::Provisioned {
            kind: "table",
            name: "jheem-test-tiny",
            state: "created",
            said: "with the key `city_scenario (S)`, paid by request",
        },
        Answer::Permission {
            statement: "QueryRows",
            action: "dynamodb:Query",
            resource: "arn:aws:dynamodb:*:*:table/jheem-test-tiny",
            kind: "missing",
        },
        Answer::Trace(&Trace {
            destination: "s3://bucket/rw".into(),
            key: "C.12580/incidence.json".into(),
            publish: "plots".into(),
            target: "plot.rw[city=C.12580, outcome=incidence]".into(),
            bytes: Some("blake3:9d2a…".into()),
            size: Some(18_234),
            state: State::AsBuilt,
        }),
        Answer::Origin(&Origin {
            target: "plot.rw[city=C.12580, outcome=incidence]".into(),
            run: "20261123-212736-1".into(),
            at: "2026-11-23T21:27:36Z".into(),
            runner: Some("image sha256:4f5e…".into()),
            command: Some("model batch --config jobs.yaml".into()),
            exit: Some("code 0".into()),
            log: Some("cache/logs/20261123-212736-1.log".into()),
            problem: None,
            reads: vec![OriginRead {
                what: "base (simulations/C.12580.Rdata)".into(),
                digest: "blake3:cb0f…".into(),
            }],
        }),
        Answer::Past {
            id: "20261123-212736-9d2a",
            at: "2026-11-23T21:27:36Z",
            by: "laptop (boot 3c1e90aa, project 5a0f…, cache 77c0…)",
            changed: 54,
            current: false,
        },
        Answer::RolledBack {
            destination: "s3://site-bucket/plots".into(),
            key: "C.12580/incidence.json",
            what: "held",
        },
        Answer::RollbackEnded { keys: 54 },
        Answer::Compared {
            target: "plot.rw[city=C.12580, outcome=incidence]",
            differences: &["plots/C.12580/incidence.json: `/data/0/y/3` differs".to_owned()],
        },
        Answer::Checked { targets: 3, differing: 1 },
        Answer::Run {
            run: "20261123-212736-1",
            rule: "plot.rw",
            command: "model batch --config jobs.yaml",
            targets: 27,
            started: "2026-11-23T21:27:36Z".into(),
            seconds: 12.3,
            exit: "code 0",
        },
        Answer::Line { text: "GENERATING: C.12580/cessation/incidence" },
        Answer::Cache {
            objects: 233,
            bytes: 8_074_035,
            current: 233,
            edited: 0,
            log_bytes: 812_345,
        },
        Answer::Freed {
            objects: 12,
            logs: 3,
            bytes: 400_123,
            kept: 7_673_912,
            limit: Some(8_000_000),
        },
        Answer::Error {
            kind: "user",
            message: "unknown key `runnr` in `[plot.rw]`",
            file: Some("Jheemfile.toml"),
            line: Some(12),
            column: Some(1),
            causes: &[],
            hints: &["did you mean `runner`?".to_owned()],
        },
    ];
    let told = |answer: &Answer<'_>| {
        let meaning = match answer {
            Answer::Reason { .. } => {
                "`plan`: targets of a rule that share a verdict and its reason."
            }
            Answer::Verdict { .. } => "`plan --each`.",
            Answer::Why { .. } => {
                "`why`; `option` names the option whose outputs it is about, `waits_for` what a pending target waits for down to the root, and `cause` why it was made when it was last made."
            }
            Answer::Count { .. } => "`list --count`.",
            Answer::Listed { .. } => "`list` and `accept`.",
            Answer::Path { .. } => "`list --paths`, `plan --write-batches` and `init`.",
            Answer::Drift { .. } => {
                "`verify`: `missing`, `changed`, `foreign`, `orphaned`; or `unpublished`, of a whole destination, with an empty key."
            }
            Answer::Repaired { .. } => "`verify --repair`: what was put back as it was published.",
            Answer::Lost { .. } => "`verify --repair`: what could not be put back, and what to do.",
            Answer::Verified { .. } => {
                "The last line of `verify`; of the differences, so many were put back."
            }
            Answer::Orphan { .. } => {
                "`prune`: an `object`, a `row` or an `edition` that no target publishes any more, and the publish that it is of."
            }
            Answer::Kept { .. } => "`prune`: one that was not removed, and why.",
            Answer::WouldPrune { .. } => "The last line of `prune --dry-run`.",
            Answer::Pruned { .. } => {
                "The last line of `prune`; `texts` were left over by manifests that were replaced."
            }
            Answer::Skipped { .. } => "`adopt`: something that was not adopted, and why.",
            Answer::Adopted { .. } => {
                "`adopt`: what was taken for published by one publish; with `--as-built`, `made` targets were also taken for made."
            }
            Answer::Destination { .. } => {
                "`plan`: what a publish would do at one destination, and the requests that write it; `bytes` are those of objects and rows that are written."
            }
            Answer::Expected { .. } => {
                "`plan --remote`: all requests that publishing would make, those to look among them, and what they cost."
            }
            Answer::Requests { .. } => {
                "`publish`: all requests that were made, those that were tried again among them, and what they cost."
            }
            Answer::Condition { .. } => {
                "`doctor`: one thing that the project needs, and whether it holds: `yes`, `no` or `untried`."
            }
            Answer::Examined { .. } => "The last line of `doctor`.",
            Answer::Provisioned { .. } => {
                "`provision`: a bucket or a table that is `there`, was `created`, is `to-create` (in a dry run), or `differs`."
            }
            Answer::Permission { .. } => {
                "`policy --check`: what is needed and not plainly allowed: `missing`, `denied`, or allowed on a condition (`conditional`)."
            }
            Answer::Trace(_) => {
                "`trace`: what is published, and the target that publishes it; `state` says how it stands to what was last built here: `as-built`, `same-content`, `differs`, `held`, `other-edition`, `not-built`, `unpublished` or `unknown`."
            }
            Answer::Origin(_) => {
                "`trace`: where a target comes from, by the last record of it here: first the published one, then what it reads, back to the data."
            }
            Answer::Past { .. } => {
                "`rollback --list`, the latest first: a publish that is known, and how many entries of the manifest it changed."
            }
            Answer::RolledBack { .. } => "`rollback`: what is `held` as it was, or `released`.",
            Answer::RollbackEnded { .. } => "The last line of `rollback`.",
            Answer::Compared { .. } => "`check`: a target was made once more, alone.",
            Answer::Checked { .. } => "The last line of `check`.",
            Answer::Run { .. } => "`log`, the latest first.",
            Answer::Line { .. } => "`log RUN` and `update`.",
            Answer::Cache { .. } => "`cache stat`; `current` objects are what targets are now.",
            Answer::Freed { .. } => "`cache gc`.",
            Answer::Error { .. } => {
                "Any command; `kind` is `user`, `environment`, `locked`, `unsupported` or `bug`."
            }
        };
        example(meaning, &line(answer))
    };
    all.iter().map(told).collect()
}

fn example(meaning: &str, line: &str) -> String {
    format!("{meaning}\n\n```json\n{line}\n```\n\n")
}

#[test]
fn every_event_stands_on_the_page_as_it_is_printed() {
    let events: String =
        events().iter().map(|event| example(meaning(event), &line(event))).collect();
    let answers: String = answers().concat();
    same_as_page(|text| {
        let text = filled(&text, "events: build", &format!("\n{events}"));
        filled(&text, "events: answers", &format!("\n{answers}"))
    });
}

#[test]
fn every_exit_code_stands_on_its_page() {
    use crate::error::Kind;
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/exit-codes.md");
    let text = std::fs::read_to_string(path).unwrap();
    for kind in [Kind::User, Kind::Environment, Kind::Locked, Kind::Unsupported, Kind::Bug] {
        let code = kind.exit_code();
        assert!(text.contains(&format!("\n| {code} |")), "no word on exit code {code}");
    }
    for code in [0, 1, 130] {
        assert!(text.contains(&format!("\n| {code} |")), "no word on exit code {code}");
    }
}
