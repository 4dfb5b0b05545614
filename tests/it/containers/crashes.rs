//! A container that crashes half way: what it finished stays, what it lost is tried again.

use super::super::project::{Project, Ran};
use super::{busybox, daemon, nothing_is_left};

/// Six letters in one batch. The third drawing of a run ends in a segmentation fault, as a shell
/// tells of it: 139. Letters of `BAD` always do.
fn crashing() -> Project {
    let script = r#"n=0; IFS=,; for c in $0; do
        echo "DRAWING $c"
        echo half > /out/$c.txt.part
        case "$BAD" in *$c*) exit 139 ;; esac
        if [ $n = 2 ]; then exit 139; fi
        echo "whole $c" > /out/$c.txt
        echo "DONE $c"
        n=$((n + 1))
    done"#;
    Project::new().jheemfile(&format!(
        r#"
[project]
name = "crashing"
[axis.letter]
values = ["a", "b", "c", "d", "e", "f"]
[runner.shell]
image = "{}"
dirs = {{ "/out" = "plots" }}
pass_env = ["BAD"]
[runner.shell.log]
target = 'DRAWING (?<letter>\S+)'
success = "DONE"
[plot.p]
over = ["letter"]
runner = "shell"
command = ["sh", "-c", '''{script}''', "{{list:letter}}"]
batch = {{ by = [] }}
ignore = ["**/*.part"]
[plot.p.output.plot]
path = "plots/{{letter}}.txt"
"#,
        busybox()
    ))
}

/// How many plots each run was asked for, in order.
fn asked(ran: &Ran) -> Vec<u64> {
    let events = ran.events();
    let started = events.iter().filter(|event| event["event"] == "run-started");
    started.map(|event| event["targets"].as_u64().unwrap()).collect()
}

#[test]
fn what_was_finished_before_a_segmentation_fault_is_kept_and_the_rest_is_tried_again() {
    if daemon().is_none() {
        return;
    }
    let project = crashing();
    // The image is known then, so that the next run is a batch of all that is left.
    project.build("--where letter=a").success().targets("built=1");
    let ran = project.build("--jobs 1").success().targets("fresh=1 built=5");
    // Five, of which two are made; of the three that are left two; and the last one.
    assert_eq!(asked(&ran), [5, 3, 1], "{ran}");
    assert!(ran.events().iter().any(|event| event["exit"] == "code 139"), "{ran}");
    for letter in ["a", "b", "c", "d", "e", "f"] {
        assert_eq!(project.read(&format!("plots/{letter}.txt")), format!("whole {letter}\n"));
    }
    nothing_is_left(&project);
    project.build("").success().targets("fresh=6");
}

#[test]
fn a_plot_that_ends_every_container_fails_alone_and_says_how() {
    if daemon().is_none() {
        return;
    }
    let project = crashing().env("BAD", "d");
    project.build("--where letter=a").success().targets("built=1");
    let ran = project.build("--jobs 1 --keep-going").code(1);
    let ran = ran.targets("fresh=1 built=4 failed=1").says("the run ended with code 139");
    assert_eq!(ran.ended("failed"), ["plot.p[letter=d]"], "{ran}");
    assert!(!project.exists("plots/d.txt"), "half a plot stands in the project");
    nothing_is_left(&project);
    // Mended, it is the only one that is made.
    let project = project.env("BAD", "");
    project.build("").success().targets("fresh=5 built=1");
}
