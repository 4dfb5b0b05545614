//! A chain of three rules over a shell script: a step, plots, and sums that join the plots.

use super::super::project::Project;

/// A chain of three rules over `CHAIN_MODEL`: `step.trim` (a city's first line), `plot.p` (a plot for
/// city and outcome, a page with `--with html`), `plot.sum` (all plots of an outcome in one file).
pub fn chain() -> Project {
    let project = Project::new()
        .program("model.sh", CHAIN_MODEL)
        .file("data/A.txt", "1\nsecond line\n")
        .file("data/B.txt", "2\nsecond line\n")
        .jheemfile(CHAIN);
    let counter = project.root().parent().unwrap().join("made").to_string_lossy().into_owned();
    project.env("COUNTER", &counter)
}

/// `FAIL=CITY/OUTCOME` fails that plot, `ABSENT=…` says that it cannot exist, and `REPLACE=FILE`
/// replaces a file while a trim runs.
const CHAIN_MODEL: &str = r#"#!/bin/sh
set -e
mode=$1; shift
code=0
case $mode in
trim)
    head -n 1 "$1" > "$2"
    if [ -n "$REPLACE" ]; then echo replaced > "$REPLACE.new"; mv "$REPLACE.new" "$REPLACE"; fi
    echo "trim/$(basename "$1" .txt)" >> "$COUNTER" ;;
plot)
    out=$1; city=$2; outcomes=$3; text=$4; html=$5
    mkdir -p "$out/$city"
    for outcome in $(echo "$outcomes" | tr , ' '); do
        echo "GENERATING: $city/$outcome"
        case " $FAIL " in *" $city/$outcome "*) echo "ERROR: too few simulations"; code=1; continue ;; esac
        case " $ABSENT " in *" $city/$outcome "*) echo "ERROR: cannot exist"; code=1; continue ;; esac
        printf '{"city": "%s", "outcome": "%s", "value": "%s%s", "note": "%s",\n"generation_time": "%s"}\n' \
            "$city" "$outcome" "$(cat trimmed/$city.txt)" "$text" "$NOTE" "$(date +%s.%N)" > "$out/$city/$outcome.json"
        if [ "$html" = html ]; then echo "<p>$city $outcome" > "$out/$city/$outcome.html"; fi
        echo "$city/$outcome" >> "$COUNTER"
        echo "SUCCESS: $outcome.json"
    done ;;
sum)
    outcome=$1; out=$2; shift 2
    cat "$@" | grep -v generation_time > "$out"
    echo "sum/$outcome" >> "$COUNTER" ;;
esac
exit $code
"#;

pub const CHAIN: &str = r#"
[project]
name = "chain"
[axis.city]
values = ["A", "B"]
[axis.outcome]
values = ["x", "y"]
[preset.small]
axes = { city = ["A"] }
[input.data]
path = "data/{city}.txt"
[runner.model]
program = "./model.sh"
pass_env = ["PATH", "COUNTER", "FAIL", "ABSENT", "REPLACE", "NOTE"]
exit = { partial = [1] }
[runner.model.log]
target = 'GENERATING: (?<city>[^/]+)/(?<outcome>\S+)'
success = "SUCCESS: "
failure = "too few"
absent = ["cannot exist"]

[step.trim]
over = ["city"]
runner = "model"
inputs = { data = "input.data" }
command = ["trim", "{input.data}", "{output.text}"]
[step.trim.output.text]
path = "trimmed/{city}.txt"

[plot.p]
over = ["city", "outcome"]
runner = "model"
inputs = { text = "step.trim.text" }
command = ["plot", "{dir:plots}", "{city}", "{list:outcome}", "-"]
batch = { by = ["city"] }
[plot.p.output.plot]
path = "plots/{city}/{outcome}.json"
as = "json"
volatile = ["/generation_time"]
[plot.p.output.page]
path = "plots/{city}/{outcome}.html"
when = { option = "html", arguments = ["html"] }
[[plot.p.audit]]
output = "plot"
equals = { "/city" = "{city}", "/outcome" = "{outcome}" }

[plot.sum]
over = ["outcome"]
runner = "model"
joins = { plots = "plot.p.plot" }
command = ["sum", "{outcome}", "{output.sum}", "{join.plots}"]
[plot.sum.output.sum]
path = "sums/{outcome}.txt"
"#;

impl Project {
    /// The reasons of `plan`, as people read them: `3 plots stale: city=A: data changed`; sorted.
    #[track_caller]
    pub fn reasons(&self, arguments: &str) -> Vec<String> {
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let plan = self.plan(arguments).success();
        let mut reasons: Vec<String> = plan
            .events()
            .iter()
            .filter(|e| e["event"] == "reason")
            .map(|e| {
                let rule = text(&e["rule"]);
                let noun = rule.split('.').next().unwrap().to_owned();
                let targets = e["targets"].as_u64().unwrap();
                let noun = if targets == 1 { noun } else { format!("{noun}s") };
                let narrowed: Vec<String> =
                    e["narrowed"].as_array().unwrap().iter().map(text).collect();
                let narrowed = if narrowed.is_empty() { rule } else { narrowed.join(", ") };
                format!(
                    "{targets} {noun} {}: {narrowed}: {}",
                    text(&e["verdict"]),
                    text(&e["reason"])
                )
            })
            .collect();
        reasons.sort();
        reasons
    }

    /// The verdict that `why` gives on a target, and all that it says of it, in one text.
    #[track_caller]
    pub fn why(&self, target: &str) -> (String, String) {
        let told = self.jheem(&format!("why --format json {target}")).success();
        let first = &told.events()[0];
        (first["verdict"].as_str().unwrap_or_default().to_owned(), first.to_string())
    }
}
