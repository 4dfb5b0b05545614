use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::*;
use crate::digest::Digest;
use crate::error::Source;
use crate::event::{FinishedTargets, PlannedPublish, PlannedTargets, PublishedCounts};
use crate::publish::{DriftKind, parse_destination};
use crate::why::{Difference, Upstream};

#[derive(Clone, Default)]
struct Paper(Rc<RefCell<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

struct Shown {
    report: Report,
    out: Paper,
    err: Paper,
}

fn shown(arguments: &[&str]) -> Shown {
    use clap::Parser as _;
    let cli = crate::cli::Cli::parse_from([&["jheem"], arguments].concat());
    let (out, err) = (Paper::default(), Paper::default());
    let plain = |paper: &Paper| Sink {
        stream: Box::new(paper.clone()),
        paint: Paint { on: false },
        gone: false,
        lost: None,
    };
    let report = Report::to(&cli.global, plain(&out), plain(&err), false);
    Shown { report, out, err }
}

/// What stands on stdout and on stderr after a command said all this.
fn said(arguments: &[&str], say: impl FnOnce(&mut Report)) -> (String, String) {
    let mut shown = shown(arguments);
    say(&mut shown.report);
    shown.report.close().unwrap();
    (shown.out.text(), shown.err.text())
}

fn started(stale: usize) -> Event {
    Event::Started {
        targets: PlannedTargets { stale, fresh: 9, absent: 2, ..PlannedTargets::default() },
        steps: 1,
        plots: stale + 8,
        reasons: vec![
            "1477 plots stale: city=C.12580, scenario=cessation: prerun changed".into(),
            "1 step stale: step.model: never made".into(),
            "2 plots absent: plot.rw: the container said that it cannot exist".into(),
        ],
    }
}

fn target(name: &str, ending: Ending, message: &str) -> Event {
    Event::Target {
        target: format!("plot.rw[outcome={name}]"),
        path: format!("plots/{name}.json"),
        ending,
        message: (!message.is_empty()).then(|| message.to_owned()),
        lines: vec!["GENERATING: \u{1b}[31mC.12580\u{1b}[0m".into(), "ERROR: no such file".into()],
    }
}

fn run_ended(made: usize, exit: &str) -> Event {
    Event::RunEnded {
        run: "20261123-212736-1".into(),
        rule: "plot.rw".into(),
        exit: exit.into(),
        seconds: 12.34,
        made,
    }
}

fn run_started(targets: usize) -> Event {
    Event::RunStarted {
        run: "20261123-212736-1".into(),
        rule: "plot.rw".into(),
        targets,
        surplus: 0,
        what: "model batch".into(),
    }
}

fn finished(ok: bool, targets: FinishedTargets, runs: usize) -> Event {
    Event::Finished {
        ok,
        targets,
        published: PublishedCounts { objects: 2, rows: 2, bytes: 2_500_000 },
        runs,
        nondeterministic: 0,
        seconds: 12.7,
        stopped_seconds: None,
    }
}

#[test]
fn a_build_reads_at_a_glance() {
    let (out, err) = said(&[], |report| {
        report.event(&started(3));
        report.event(&run_started(3));
        report.event(&target("incidence", Ending::Built, ""));
        report.event(&target("testing", Ending::Same, ""));
        report.event(&target("awareness", Ending::Absent, "does not reference a valid dimension"));
        report.event(&run_ended(2, "code 0"));
        report.event(&Event::Published {
            publish: "site".into(),
            objects: 2,
            rows: 2,
            bytes: 2_500_000,
        });
        let targets =
            FinishedTargets { fresh: 9, built: 2, absent: 3, ..FinishedTargets::default() };
        report.event(&finished(true, targets, 1));
    });
    assert_eq!(out, "");
    insta::assert_snapshot!(err, @r#"
    1,477 plots stale: city=C.12580, scenario=cessation: prerun changed
        1 step stale: step.model: never made
    run: plot.rw: 2 made in 12 s (20261123-212736-1)
          built 2 plots, 1 with the content of before
          fresh 9
         absent 3
      published 2 objects, 2 rows (2.4 MiB)
           runs 1; `jheem log last` shows the last one's log
    done in 13 s
    "#);
}

#[test]
fn failures_are_shown_at_once_with_their_lines() {
    let (out, err) = said(&["build"], |report| {
        report.event(&started(7));
        report.event(&run_started(7));
        for name in ["a", "b", "c", "d", "e"] {
            report.event(&target(name, Ending::Failed, "the model says `no such file`"));
        }
        report.event(&target("f", Ending::Failed, "refused by the audit: /city/0 is \"x\""));
        report.event(&run_ended(0, "code 1"));
        report.event(&Event::Problem {
            message: "a run of `plot.rw` left 1 file that nobody asked for".into(),
            lines: vec!["plots/stray.json".into()],
        });
        let targets =
            FinishedTargets { fresh: 9, failed: 6, skipped: 1, ..FinishedTargets::default() };
        report.event(&finished(false, targets, 1));
    });
    assert_eq!(out, "");
    insta::assert_snapshot!(err, @r#"
    1,477 plots stale: city=C.12580, scenario=cessation: prerun changed
        1 step stale: step.model: never made
    failed: plot.rw[outcome=a]
      the model says `no such file`
      │ GENERATING: C.12580
      │ ERROR: no such file
    failed: plot.rw[outcome=b]
      the model says `no such file`
      │ GENERATING: C.12580
      │ ERROR: no such file
    failed: plot.rw[outcome=c]
      the model says `no such file`
      │ GENERATING: C.12580
      │ ERROR: no such file
    failed: plot.rw[outcome=f]
      refused by the audit: /city/0 is "x"
      │ GENERATING: C.12580
      │ ERROR: no such file
    run: plot.rw: 0 made in 12 s, code 1 (20261123-212736-1)
    error: a run of `plot.rw` left 1 file that nobody asked for
      │ plots/stray.json
          fresh 9
         failed 6
        skipped 1
      published 2 objects, 2 rows (2.4 MiB)
           runs 1; `jheem log 20261123-212736-1` shows what went wrong
      5 failed so: the model says `no such file`
      1 skipped so: not begun, since something failed before; `--keep-going` goes on
    failed: 6 plots of 16 targets, 1 skipped, 1 problem (13 s)
    "#);
}

#[test]
fn a_build_that_was_stopped_says_how_long_stopping_took() {
    let stopped = |targets: FinishedTargets, runs| Event::Finished {
        ok: false,
        targets,
        published: PublishedCounts::default(),
        runs,
        nondeterministic: 0,
        seconds: 312.0,
        stopped_seconds: Some(1.42),
    };
    let (_, err) = said(&[], |report| {
        report.event(&started(3));
        report.event(&run_started(3));
        report.event(&target("incidence", Ending::Built, ""));
        report.event(&Event::Stopping);
        report.event(&run_ended(1, "stopped"));
        let targets = FinishedTargets { built: 1, skipped: 2, ..FinishedTargets::default() };
        report.event(&stopped(targets, 1));
    });
    insta::assert_snapshot!(err, @r#"
    1,477 plots stale: city=C.12580, scenario=cessation: prerun changed
        1 step stale: step.model: never made
    stopping: what is made is kept; Ctrl-C again ends it at once
    run: plot.rw: 1 made in 12 s, stopped (20261123-212736-1)
        built 1 plot
      skipped 2
         runs 1; `jheem log last` shows the last one's log
    stopped 1.4 s after it was asked to (5 min 12 s in all)
    "#);
    let (_, err) = said(&[], |report| report.event(&stopped(FinishedTargets::default(), 0)));
    assert_eq!(err, "stopped 1.4 s after it was asked to (5 min 12 s in all)\n");
}

#[test]
fn a_build_with_nothing_to_do_is_one_calm_line() {
    let (out, err) = said(&[], |report| {
        report.event(&Event::Started {
            targets: PlannedTargets { fresh: 120, ..PlannedTargets::default() },
            steps: 12,
            plots: 108,
            reasons: Vec::new(),
        });
        report.event(&Event::Finished {
            ok: true,
            targets: FinishedTargets { fresh: 120, ..FinishedTargets::default() },
            published: PublishedCounts::default(),
            runs: 0,
            nondeterministic: 0,
            seconds: 0.041,
            stopped_seconds: None,
        });
    });
    assert_eq!(
        (out.as_str(), err.as_str()),
        ("", "everything is fresh: 108 plots, 12 steps (0.04 s)\n")
    );
}

#[test]
fn quiet_is_quiet_until_something_fails() {
    let well = |report: &mut Report| {
        report.event(&started(1));
        report.event(&Event::Note { message: "the tag moved".into() });
        report.event(&target("incidence", Ending::Built, ""));
        let targets = FinishedTargets { built: 1, ..FinishedTargets::default() };
        report.event(&finished(true, targets, 1));
    };
    assert_eq!(said(&["--quiet"], well), (String::new(), String::new()));
    let (_, err) = said(&["--quiet"], |report| {
        report.event(&started(1));
        report.event(&target("incidence", Ending::Failed, "the disk is full"));
        let targets = FinishedTargets { failed: 1, ..FinishedTargets::default() };
        report.event(&finished(false, targets, 1));
    });
    assert!(err.starts_with("failed: plot.rw[outcome=incidence]\n  the disk is full\n"), "{err}");
}

#[test]
fn many_notes_and_failures_do_not_flood_the_screen() {
    let (_, err) = said(&[], |report| {
        report.event(&started(1000));
        for number in 0..500 {
            report.event(&Event::Note { message: format!("plot {number} differs") });
            let message = format!("reason {number}");
            report.event(&target(&number.to_string(), Ending::Failed, &message));
        }
        let targets = FinishedTargets { failed: 500, ..FinishedTargets::default() };
        report.event(&finished(false, targets, 1));
    });
    assert!(err.lines().count() < 150, "{} lines", err.lines().count());
    assert!(err.contains("… and 475 notes more; `--format json` has them all"), "{err}");
    assert!(err.ends_with("failed: 500 plots of 500 targets (13 s)\n"), "{err}");
}

#[test]
fn json_is_one_object_a_line_and_the_last_is_the_sum() {
    let (out, err) = said(&["--format", "json"], |report| {
        report.event(&started(1));
        report.event(&target("incidence", Ending::Failed, "the disk is full"));
        let targets = FinishedTargets { fresh: 9, failed: 1, ..FinishedTargets::default() };
        report.event(&finished(false, targets, 1));
    });
    assert_eq!(err, "");
    let objects: Vec<serde_json::Value> =
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects.len(), 3);
    assert_eq!(
        out.lines().last().unwrap(),
        "{\"event\":\"finished\",\"ok\":false,\"targets\":{\"fresh\":9,\"restored\":0,\"built\":0,\"absent\":0,\"failed\":1,\"skipped\":0},\"published\":{\"objects\":2,\"rows\":2,\"bytes\":2500000},\"runs\":1,\"nondeterministic\":0,\"seconds\":12.7,\"stopped_seconds\":null}"
    );
}

fn planned() -> Event {
    Event::Planned {
        targets: PlannedTargets {
            fresh: 60_001,
            stale: 477,
            pending: 12,
            absent: 2_006,
            ..PlannedTargets::default()
        },
        publish: PlannedPublish {
            create: 3,
            update: 474,
            unchanged: 60_001,
            undecided: 12,
            orphaned: 1,
            refused: 0,
        },
        runs: 5,
    }
}

#[test]
fn a_plan_ends_with_its_sums() {
    let (out, _) = said(&["plan"], |report| report.event(&planned()));
    insta::assert_snapshot!(out, @r#"
    targets  477 stale, 12 pending, 60,001 fresh, 2,006 absent
    publish  3 to create, 474 to update, 12 undecided, 60,001 unchanged, 1 orphaned
    runs     at least 5
    "#);
    let (out, err) = said(&["--format", "json", "plan"], |report| report.event(&planned()));
    assert_eq!(err, "");
    assert_eq!(
        out,
        "{\"event\":\"planned\",\"targets\":{\"fresh\":60001,\"restorable\":0,\"stale\":477,\"pending\":12,\"blocked\":0,\"absent\":2006},\"publish\":{\"create\":3,\"update\":474,\"unchanged\":60001,\"undecided\":12,\"orphaned\":1,\"refused\":0},\"runs\":5}\n"
    );
}

fn explanation() -> Explanation {
    // Two digests that look alike for a while.
    let alike = |end: &str| format!("blake3:{}{end}", "0123456789abcdef".repeat(4).split_at(62).0);
    Explanation {
        verdict: "stale",
        reason: "something that it depends on changed".into(),
        differences: vec![
            Difference {
                what: "prerun (simulations/ryan-white/prerun/C.12580/cessation.Rdata)".into(),
                before: Some(Digest::of(b"before").to_string()),
                now: Some(Digest::of(b"now").to_string()),
            },
            Difference { what: "argument".into(), before: None, now: Some("--html".into()) },
        ],
        waits_for: Vec::new(),
        cause: None,
        notes: vec![format!("the runner was last known as {}", alike("00"))],
        fingerprint: Some(Digest::of(b"fingerprint")),
        last: Some(("20261123-212736-1".into(), 1_764_000_000)),
    }
}

#[test]
fn why_shows_the_comparison() {
    let (out, _) = said(&["why"], |report| {
        report.explained("plot.rw[city=C.12580]", Some("html"), &explanation());
    });
    insta::assert_snapshot!(out, @r#"
    plot.rw[city=C.12580] (with html)
      stale: something that it depends on changed
        prerun (simulations/ryan-white/prerun/C.12580/cessation.Rdata)
          was blake3:18c52a7e…
          now blake3:470e9bee…
        argument
          was nothing
          now --html
      note          the runner was last known as blake3:01234567…
      fingerprint   blake3:8939ea11…
      last attempt  run 20261123-212736-1, 2025-11-24 16:00:00 UTC
    "#);
}

#[test]
fn digests_are_cut_to_what_tells_them_apart() {
    let mut told = explanation();
    let digits = "0123456789abcdef".repeat(4);
    let other = format!("{}ff", &digits[..62]);
    told.differences[0].before = Some(format!("blake3:{digits}"));
    told.differences[0].now = Some(format!("blake3:{other}"));
    let (out, _) = said(&["why"], |report| report.explained("plot.rw", None, &told));
    let cut = |digits: &str| format!("blake3:{}…", &digits[..63]);
    assert!(out.contains(&cut(&digits)) && out.contains(&cut(&other)), "{out}");
    let (json, _) =
        said(&["--format=json", "why"], |report| report.explained("plot.rw", None, &told));
    assert!(json.contains(&format!("\"now\":\"blake3:{other}\"")), "{json}");
}

#[test]
fn tables_line_up() {
    let (out, _) = said(&["list"], |report| {
        report.counts(&[("plot.rw".into(), 62_496, 18_135), ("step.base".into(), 31, 0)]);
    });
    insta::assert_snapshot!(out, @r#"
    rule        cells  absent  to make
    plot.rw    62,496  18,135   44,361
    step.base      31       0       31
    total      62,527  18,135   44,392
    "#);
    let run = |id: &str, milliseconds, exit: &str| Run {
        id: id.into(),
        rule: "plot.rw".into(),
        command: "model batch".into(),
        targets: 1_488,
        started: 1_764_000_000,
        milliseconds,
        exit: exit.into(),
    };
    let (out, _) = said(&["log"], |report| {
        let runs = [run("r2", 7_384_000, "out of memory"), run("r1", 4_210, "code 0")];
        report.runs(&runs);
    });
    insta::assert_snapshot!(out, @r#"
    run  started                  rule     targets       took  exit
    r2   2025-11-24 16:00:00 UTC  plot.rw    1,488  2 h 3 min  out of memory
    r1   2025-11-24 16:00:00 UTC  plot.rw    1,488      4.2 s  code 0
    "#);
}

#[test]
fn the_cache_and_destinations_are_told_with_units() {
    let (out, err) = said(&["verify"], |report| {
        let destination = parse_destination("file:site").unwrap();
        let published = "blake3:aa, 120 bytes".to_owned();
        let found = "blake3:bb, 121 bytes".to_owned();
        let drift =
            |kind| Drift { destination: destination.clone(), key: "plots/x.json".to_owned(), kind };
        let found = [drift(DriftKind::Changed { published, found }), drift(DriftKind::Missing)];
        found.iter().for_each(|drift| report.drift(drift));
        report.verified(&found, None);
        report.usage(
            &Usage { objects: 1_234, bytes: 5_000_000, edited: 1, log_bytes: 70_000 },
            1_100,
        );
        report.freed(&Freed { objects: 1, logs: 2, bytes: 2_048, kept: 4_000_000 }, 8 << 30);
    });
    insta::assert_snapshot!(out, @r#"
    changed  file:site plots/x.json
             was published as blake3:aa, 120 bytes
             and is           blake3:bb, 121 bytes
    missing  file:site plots/x.json
    objects  1,234 (4.8 MiB)
    current  1,100: what targets are now
    edited   1: outputs edited by hand, put aside
    logs     68.4 KiB
    freed 2.0 KiB in 1 object and 2 logs; 3.8 MiB are left (the limit is 8.0 GiB)
    "#);
    assert_eq!(
        err,
        "2 differences\n\
         hint: `jheem verify --repair` puts back what is missing\n\
         hint: to undo a change, remove the object or row there: then `jheem verify --repair` puts back what was published\n"
    );
}

fn mistakes(count: usize) -> Vec<Error> {
    let text = "[plot.rw]\nrunnr = \"model\"\n".to_owned();
    let source = Arc::new(Source { name: "Jheemfile.toml".into(), text });
    let mistake = Error::user("unknown key `runnr` in `[plot.rw]`").at(&source, 10..15);
    vec![mistake.hint("did you mean `runner`?"); count]
}

#[test]
fn mistakes_are_told_apart_and_counted() {
    let (out, err) = said(&["plan"], |report| report.errors(&mistakes(2)));
    assert_eq!(out, "");
    insta::assert_snapshot!(err, @r#"
    error: unknown key `runnr` in `[plot.rw]`
     --> Jheemfile.toml:2:1
      |
    2 | runnr = "model"
      | ^^^^^
    hint: did you mean `runner`?

    error: unknown key `runnr` in `[plot.rw]`
     --> Jheemfile.toml:2:1
      |
    2 | runnr = "model"
      | ^^^^^
    hint: did you mean `runner`?

    2 mistakes in Jheemfile.toml
    "#);
    let (_, err) = said(&["plan"], |report| report.errors(&mistakes(1)));
    assert!(err.ends_with("hint: did you mean `runner`?\n"), "{err}");
    let (_, err) = said(&["plan"], |report| report.errors(&mistakes(120)));
    assert_eq!(err.matches("unknown key").count(), 100);
    assert!(err.ends_with("120 mistakes in Jheemfile.toml; the first 100 are shown\n"), "{err}");
}

#[test]
fn mistakes_are_objects_for_programs() {
    let (out, err) = said(&["--format", "json", "plan"], |report| report.errors(&mistakes(1)));
    assert_eq!(err, "");
    assert_eq!(
        out,
        "{\"event\":\"error\",\"kind\":\"user\",\"message\":\"unknown key `runnr` in `[plot.rw]`\",\"file\":\"Jheemfile.toml\",\"line\":2,\"column\":1,\"causes\":[],\"hints\":[\"did you mean `runner`?\"]}\n"
    );
}

#[test]
fn what_a_run_says_cannot_steer_the_terminal() {
    // A title, a cleared screen, a rewritten line, and a control of one character.
    let text = || "a\u{1b}]0;owned\u{7}b\u{1b}[2Jc\rd\u{9b}31me\u{8}".to_owned();
    let say = |report: &mut Report| {
        report.event(&Event::Started {
            targets: PlannedTargets { stale: 1, ..PlannedTargets::default() },
            steps: 0,
            plots: 1,
            reasons: vec![format!("1 plot stale: plot.rw: {}", text())],
        });
        report.event(&Event::Note { message: text() });
        report.event(&Event::Retry { rule: "plot.rw".into(), targets: 1, reason: text() });
        report.event(&Event::Problem { message: text(), lines: vec![text()] });
        report.event(&target("incidence", Ending::Failed, &text()));
        report.event(&target("testing", Ending::Failed, &text()));
        report.event(&run_ended(0, &text()));
        let targets = FinishedTargets { failed: 2, ..FinishedTargets::default() };
        report.event(&finished(false, targets, 1));
        let told = Explanation {
            verdict: "absent",
            reason: text(),
            differences: vec![Difference { what: text(), before: Some(text()), now: None }],
            waits_for: vec![Upstream {
                target: text(),
                verdict: "stale",
                reason: text(),
                differences: Vec::new(),
            }],
            cause: Some(text()),
            notes: vec![text()],
            fingerprint: None,
            last: None,
        };
        report.explained("plot.rw[outcome=incidence]", None, &told);
        report.runs(&[Run {
            id: "20261123-212736-1".into(),
            rule: "plot.rw".into(),
            command: text(),
            targets: 1,
            started: 0,
            milliseconds: 1,
            exit: text(),
        }]);
        let kind = DriftKind::Changed { published: text(), found: text() };
        let destination = parse_destination("file:site").unwrap();
        report.drift(&Drift { destination, key: text(), kind });
        report.data(&text());
        report.errors(&[Error::environment(text()).because(text()).hint(text())]);
    };
    let (out, err) = said(&["build"], say);
    for (stream, times) in [(&out, 11), (&err, 12)] {
        assert!(!stream.contains(|c: char| c.is_control() && c != '\n'), "{stream:?}");
        assert_eq!(stream.matches("abc").count(), times, "{stream}");
    }
    // Programs get what was said.
    let (out, _) = said(&["--format", "json", "log"], |report| report.data(&text()));
    let line: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(line["text"], text());
}

#[test]
fn fields_without_a_value_are_null() {
    let (out, _) = said(&["--format", "json", "build"], |report| {
        report.event(&Event::Target {
            target: "plot.rw".into(),
            path: "plots/rw.json".into(),
            ending: Ending::Built,
            message: None,
            lines: Vec::new(),
        });
        let destination = parse_destination("file:site").unwrap();
        report.drift(&Drift { destination, key: "rw.json".into(), kind: DriftKind::Missing });
    });
    insta::assert_snapshot!(out, @r#"
    {"event":"target","target":"plot.rw","path":"plots/rw.json","ending":"built","message":null,"lines":[]}
    {"event":"drift","destination":"file:site","key":"rw.json","kind":"missing","published":null,"found":null}
    "#);
}

#[test]
fn a_reader_that_went_away_is_no_mistake() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
    }
    let mut shown = shown(&["list"]);
    shown.report.out.stream = Box::new(Closed);
    for _ in 0..3 {
        shown.report.listed("plot.rw[city=C.12580]");
    }
    shown.report.close().unwrap();
    assert!(shown.report.out.gone);
    assert_eq!(shown.err.text(), "");
}
