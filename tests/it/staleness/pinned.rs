//! Fingerprints are what they were: a walk that changed without a new version would pass every other test.

use super::super::project::Project;

/// A rule of every kind, with every part of a request that a program knows.
const JHEEMFILE: &str = r#"
[project]
name = "pinned"
[axis.city]
values = ["A", "B"]
[axis.outcome]
values = ["x", "y"]
[axis.outcome.label.part]
"*" = "part_{outcome}"
[input.data]
path = "data/{city}.txt"
[input.code]
folder = "code"
[runner.model]
program = "./model.sh"
env = { MODEL_ID = "msa", LEVEL = "1" }
pass_env = ["PATH"]
[step.sim]
over = ["city"]
runner = "model"
inputs = { data = "input.data", code = "input.code" }
command = ["sim", "{input.data}", "{output.simset}"]
output.simset = { path = "sims/{city}.json", as = "json", volatile = ["/generation_time"] }
[plot.p]
over = ["city", "outcome"]
runner = "model"
inputs = { simset = "step.sim.simset" }
command = ["plot", "--config", "{batch.file}", "{dir:plots}"]
batch = { by = ["city"], file = "jheem-jobs" }
output.plot = { path = "plots/{city}/{outcome.part}.json", as = "json" }
output.page = { path = "plots/{city}/{outcome.part}.html", as = "html", when = { option = "html", arguments = ["--include-html"] } }
[step.sum]
runner = "model"
joins = { plots = "plot.p.plot" }
command = ["sum", "{output.summary}", "{join.plots}"]
output.summary = { path = "summary.json", as = "json" }
"#;

const MODEL: &str = r#"#!/bin/sh
step=$1; shift
case $step in
sim) mkdir -p sims; echo "{\"generation_time\": \"$(date +%s%N)\", \"of\": \"$(cat "$1")\"}" > "$2" ;;
plot)
    for city in A B; do for outcome in x y; do
        if grep -q "\"$city\"" "$2" && grep -q "\"$outcome\"" "$2"; then
            mkdir -p "$3/$city"
            echo "{\"of\": \"$city $outcome\"}" > "$3/$city/part_$outcome.json"
            echo "<p>$city $outcome</p>" > "$3/$city/part_$outcome.html"
        fi
    done; done ;;
sum) cat "$2" > "$1" ;;
esac
"#;

#[test]
fn the_fingerprint_of_a_request_is_what_it_was_in_every_release() {
    let project = Project::new()
        .program("model.sh", MODEL)
        .file("data/A.txt", "1\n")
        .file("data/B.txt", "2\n")
        .file("code/plots.R", "plot(1)\n")
        .jheemfile(JHEEMFILE);
    project.build("--with html").success();
    let mut found = String::new();
    for (target, with) in [
        ("step.sim --where city=A", ""),
        ("plot.p --where city=A --where outcome=y", ""),
        ("plot.p --where city=B --where outcome=x", "--with html"),
        ("step.sum", ""),
    ] {
        let ran = project.jheem(&format!("why {target} {with} --format json")).success();
        for event in ran.events() {
            let option = event["option"].as_str().map_or(String::new(), |o| format!(" {o}"));
            let fingerprint = event["fingerprint"].as_str().unwrap();
            found.push_str(&format!(
                "{}{option} {fingerprint}\n",
                event["target"].as_str().unwrap()
            ));
        }
    }
    // If this fails, `fingerprint::VERSION` needs a new number: all that was made is stale once.
    assert_eq!(found, PINNED);
}

const PINNED: &str = "\
step.sim[city=A] blake3:9f8ea60fa87e5d5dc80504c743fa9a85fee0b7a6798715f26ced451ff6269fa0
plot.p[city=A, outcome=y] blake3:45c740ddfe01d96c671b143acd4c0bd8d48de32aa772c640f50df1b7750d9242
plot.p[city=B, outcome=x] blake3:072e7cc3a8d55a17179b4e445651c77cc60b3a3a4f96ffb318e254721f1ab7d5
plot.p[city=B, outcome=x] html blake3:3b16a7305ae252a12533bd3dc232e14c0a4e934ff0d05fd3ec1908c8dae8cf82
step.sum blake3:830a2adc7abed5b0e8402cff7efdc776e9a98a7f02fe244ae9f3021496c5a16b
";
