//! What stands in a table or a list whose order means nothing may stand there in any order.

use super::super::project::Project;

const MODEL: &str = r#"#!/bin/sh
set -e
mode=$1; shift
case $mode in
plot)
    mkdir -p "$1/$2"
    for outcome in $(echo "$3" | tr , ' '); do
        echo "GENERATING: $2/$outcome"
        printf '{"city": "%s", "outcome": "%s", "value": "%s %s"}\n' "$2" "$outcome" "$(cat "$4" "$5")" "$ONE$TWO$THREE" | tr '\n' ' ' > "$1/$2/$outcome.json"
        echo "{\"of\": \"$2\"}" > "$1/$2/$outcome.note.json"
        echo "SUCCESS: $outcome"
    done ;;
sum) cat "$2" "$3" > "$1" ;;
esac
"#;

const JHEEMFILE: &str = r#"
[project]
name = "order"
[axis.city]
values = ["A", "B"]
[axis.outcome]
values = ["x", "y", "never", "nowhere"]
[input.data]
path = "data/{city}.txt"
[input.extra]
path = "extra/{city}.txt"
[runner.model]
program = "./model.sh"
pass_env = ["PATH", "COUNTER"]
env = { ONE = "1", TWO = "2", THREE = "3" }
dirs = { "in/data" = "data", "in/extra" = "extra", "out/plots" = "plots" }
exit = { partial = [1, 3] }
[runner.model.log]
target = 'GENERATING: (?<city>[^/]+)/(?<outcome>\S+)'
success = "SUCCESS: "
absent = ["cannot exist", "does not exist"]
[plot.p]
over = ["city", "outcome"]
runner = "model"
inputs = { data = "input.data", extra = "input.extra" }
command = ["plot", "{dir:plots}", "{city}", "{list:outcome}", "{input.data}", "{input.extra}"]
batch = { by = ["city"] }
ignore = ["**/*.tmp", "**/*.bak"]
absent = [{ outcome = ["never"], city = ["*"] }, { outcome = ["nowhere"] }]
output.plot = { path = "plots/{city}/{outcome}.json", as = "json", volatile = ["/made", "/by"] }
output.note = { path = "plots/{city}/{outcome}.note.json", as = "json" }
[[plot.p.audit]]
output = "plot"
equals = { "/city" = "{city}", "/outcome" = "{outcome}" }
[[plot.p.audit]]
output = "plot"
required = ["/value", "/city"]
[[plot.p.audit]]
output = "note"
equals = { "/of" = "{city}" }
[runner.sum]
program = "./model.sh"
pass_env = ["PATH"]
[step.sum]
runner = "sum"
joins = { plots = "plot.p.plot", notes = "plot.p.note" }
command = ["sum", "{output.sum}", "{join.plots.file}", "{join.notes.file}"]
output.sum.path = "sum.txt"
[publish.site]
of = "plot.p"
[publish.site.object.plot]
to = "file:site"
key = "{city}/{file}"
metadata = { city = "{city}", outcome = "{outcome}" }
uncompared = { at = "{now}", day = "{now}" }
[publish.site.row.plot]
to = "sqlite:site/plots.db#plots"
hash = { city = "{city}" }
range = { outcome = "{outcome}" }
item = { key = "{object.key}", size = { N = "{object.size}" } }
"#;

/// What is turned round, as it is written and as it is written then.
const TURNED: &[(&str, &str)] = &[
    (
        r#"inputs = { data = "input.data", extra = "input.extra" }"#,
        r#"inputs = { extra = "input.extra", data = "input.data" }"#,
    ),
    (
        r#"joins = { plots = "plot.p.plot", notes = "plot.p.note" }"#,
        r#"joins = { notes = "plot.p.note", plots = "plot.p.plot" }"#,
    ),
    (
        r#"env = { ONE = "1", TWO = "2", THREE = "3" }"#,
        r#"env = { THREE = "3", ONE = "1", TWO = "2" }"#,
    ),
    (r#"pass_env = ["PATH", "COUNTER"]"#, r#"pass_env = ["COUNTER", "PATH"]"#),
    (
        r#"dirs = { "in/data" = "data", "in/extra" = "extra", "out/plots" = "plots" }"#,
        r#"dirs = { "out/plots" = "plots", "in/extra" = "extra", "in/data" = "data" }"#,
    ),
    ("partial = [1, 3]", "partial = [3, 1]"),
    (
        r#"absent = ["cannot exist", "does not exist"]"#,
        r#"absent = ["does not exist", "cannot exist"]"#,
    ),
    (
        r#"absent = [{ outcome = ["never"], city = ["*"] }, { outcome = ["nowhere"] }]"#,
        r#"absent = [{ outcome = ["nowhere"] }, { city = ["*"], outcome = ["never"] }]"#,
    ),
    (r#"ignore = ["**/*.tmp", "**/*.bak"]"#, r#"ignore = ["**/*.bak", "**/*.tmp"]"#),
    (r#"volatile = ["/made", "/by"]"#, r#"volatile = ["/by", "/made"]"#),
    (
        r#"equals = { "/city" = "{city}", "/outcome" = "{outcome}" }"#,
        r#"equals = { "/outcome" = "{outcome}", "/city" = "{city}" }"#,
    ),
    (r#"required = ["/value", "/city"]"#, r#"required = ["/city", "/value"]"#),
    (
        r#"metadata = { city = "{city}", outcome = "{outcome}" }"#,
        r#"metadata = { outcome = "{outcome}", city = "{city}" }"#,
    ),
    (r#"{ at = "{now}", day = "{now}" }"#, r#"{ day = "{now}", at = "{now}" }"#),
    (
        r#"item = { key = "{object.key}", size = { N = "{object.size}" } }"#,
        r#"item = { size = { N = "{object.size}" }, key = "{object.key}" }"#,
    ),
];

#[track_caller]
fn nothing_moves(project: &Project, what: &str) {
    let planned = project.plan("").success();
    assert_eq!(planned.count("targets.fresh"), 5, "other order of {what}\n{planned}");
    assert_eq!(planned.count("targets.absent"), 4, "other order of {what}\n{planned}");
    let ran = project.build("").success();
    let moved = (ran.count("runs"), ran.count("published.objects"), ran.count("published.rows"));
    assert_eq!(moved, (0, 0, 0), "other order of {what}\n{ran}");
}

#[test]
fn another_order_within_tables_and_lists_changes_nothing() {
    let project = Project::new().program("model.sh", MODEL).jheemfile(JHEEMFILE);
    for city in ["A", "B"] {
        project.write(&format!("data/{city}.txt"), format!("data {city}\n"));
        project.write(&format!("extra/{city}.txt"), format!("extra {city}\n"));
    }
    let ran = project.build("").success().targets("built=5 absent=4");
    assert_eq!((ran.count("published.objects"), ran.count("published.rows")), (4, 4));
    project.build("").success().targets("fresh=5 absent=4");
    // One after the other, and each on top of those before it.
    for (from, to) in TURNED {
        project.change(from, to);
        nothing_moves(&project, from);
    }

    // Audits stand one after the other; the last comes first.
    let text = project.read("Jheemfile.toml");
    let (start, end) = (text.find("[[plot.p.audit]]").unwrap(), text.find("[runner.sum]").unwrap());
    let mut audits: Vec<String> = text[start..end]
        .split("[[plot.p.audit]]\n")
        .skip(1)
        .map(|audit| format!("[[plot.p.audit]]\n{audit}"))
        .collect();
    assert_eq!(audits.len(), 3);
    audits.reverse();
    project
        .write("Jheemfile.toml", format!("{}{}{}", &text[..start], audits.concat(), &text[end..]));
    nothing_moves(&project, "audits");

    // So do the outputs of a rule.
    let text = project.read("Jheemfile.toml");
    let line = |start: &str| {
        let at = text.find(start).unwrap();
        text[at..at + text[at..].find('\n').unwrap()].to_owned()
    };
    let (plot, note) = (line("output.plot = "), line("output.note = "));
    project.change(&format!("{plot}\n{note}"), &format!("{note}\n{plot}"));
    nothing_moves(&project, "outputs");
}
