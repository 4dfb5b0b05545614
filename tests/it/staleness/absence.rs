//! What is known to be absent stays known: whatever the order of axes, and once it was accepted.

use super::super::project::{Project, cities};

/// Outcome `x` cannot exist, as the model says.
fn impossible() -> Project {
    let project = cities();
    project.change(
        "success = \"SUCCESS: \"",
        "success = \"SUCCESS: \"\nabsent = [\"cannot exist\"]\nabsent_depends_on = [\"outcome\"]",
    );
    project.write(
        "model.sh",
        r#"#!/bin/sh
out=$2; city=$3
mkdir -p "$out/$city"
for outcome in $(echo "$4" | tr , ' '); do
    echo "GENERATING: $city/$outcome"
    if [ $outcome = x ] && grep -q impossible "data/$city.txt"; then
        echo "this cannot exist"
        continue
    fi
    printf '{"city": "%s", "outcome": "%s", "value": "%s"}\n' $city $outcome "$(cat data/$city.txt)" > "$out/$city/$outcome.json"
    echo "$city/$outcome" >> "$COUNTER"
    echo "SUCCESS: $outcome.json"
done
"#,
    );
    project
}

#[test]
fn the_order_of_axes_does_not_unteach_an_absence() {
    let project = impossible();
    project.write("data/A.txt", "impossible\n");
    project.write("data/B.txt", "impossible\n");
    project.build("--where city=A --jobs 1").success().targets("built=2 absent=1");
    let learned = |project: &Project| {
        project.plan("--where outcome=x").success().targets("absent=2");
    };
    learned(&project);
    project.change("over = [\"city\", \"outcome\"]", "over = [\"outcome\", \"city\"]");
    learned(&project);
    project.change("values = [\"x\", \"y\", \"z\"]", "values = [\"z\", \"y\", \"x\"]");
    learned(&project);
    // Another command is another request.
    project.change("\"plot\", ", "\"plots\", ");
    project.plan("--where outcome=x").success().targets("stale=2");
}

#[test]
fn what_was_accepted_as_absent_stays_so_though_it_is_published() {
    let project = impossible();
    let text = project.read("Jheemfile.toml");
    let publish = "\n[publish.site]\nof = \"plot.p\"\nobject.plot = { to = \"file:site\", key = \"{city}/{file}\" }\n";
    project.write("Jheemfile.toml", format!("{text}{publish}"));
    project.build("").success().targets("built=6");
    project.write("data/A.txt", "impossible\n");
    let ran = project.build("--keep-going").code(1).targets("built=2 fresh=3 failed=1");
    ran.says("`jheem accept` agrees to that");
    project.jheem("accept --where city=A --where outcome=x").success().says("city=A, outcome=x");
    project.build("").success().targets("fresh=5 absent=1");
    // New data for that city: it is asked for again, and is what it was.
    project.write("data/A.txt", "impossible still\n");
    project.build("").success().targets("built=2 fresh=3 absent=1");
    // What can exist again is made again; and then it may not vanish silently any more.
    project.write("data/A.txt", "3\n");
    project.build("").success().targets("built=3 fresh=3");
    project.write("data/A.txt", "impossible again\n");
    project.build("--keep-going").code(1).targets("built=2 fresh=3 failed=1");
}
