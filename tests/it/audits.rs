//! The audit catches what once went wrong for real, while the good plots of the same batch are kept.
//!
//! The example model goes wrong on request. Each test has its twin: with the rule off, the bad plot
//! goes through, so it is this rule and no other that catches it. What is no plain file, or is
//! reached through a link, has no rule that could be turned off, so there the twin is refused as well.

use super::project::{Project, Ran, ryan_white};

/// The six plots of one city and scenario; the runner has shown itself by one of them already.
///
/// The others are made in this order: incidence by sex, testing, testing by sex, adap.proportion, adap.proportion by sex.
const CITY: &str = "--where city=C.12580 --where scenario=cessation";

fn with_a_known_runner() -> Project {
    let project = ryan_white();
    known(&project);
    project
}

fn known(project: &Project) {
    project
        .build(&format!("{CITY} --where outcome=incidence --where facet=none"))
        .success()
        .targets("built=1");
    project.made();
}

fn plot(name: &str) -> String {
    format!("plots/C.12580/cessation/{name}.json")
}

/// Fails the test unless exactly the plot of this name was refused, for a reason with these words.
#[track_caller]
fn refused_alone(project: &Project, ran: Ran, outcome: &str, facet: &str, words: &str) {
    let ran = ran.code(1).targets("fresh=1 built=4 failed=1");
    let label = format!(
        "plot.rw[city=C.12580, scenario=cessation, outcome={outcome}, statistic=mean.and.interval, facet={facet}]"
    );
    assert_eq!(ran.ended("failed"), [label], "{ran}");
    let failed = ran.events().into_iter().find(|e| e["ending"] == "failed").unwrap();
    let message = failed["message"].as_str().unwrap();
    assert!(message.starts_with("refused by the audit: "), "{message}");
    assert!(message.contains(words), "`{message}` does not speak of `{words}`");
    let part = if facet == "none" { "unfaceted" } else { "facet_sex" };
    let bad = plot(&format!("{outcome}_mean.and.interval_{part}"));
    assert!(!project.exists(&bad), "a refused plot was put in place");
    for good in
        ["testing_mean.and.interval_unfaceted", "adap.proportion_mean.and.interval_facet_sex"]
    {
        assert!(project.exists(&plot(good)), "a good plot of the same batch was lost: {good}");
    }
    // The good ones stay, the bad one is tried again, and comes out well.
    project.made();
    project.build(CITY).success().targets("fresh=5 built=1");
    assert_eq!(project.made(), [format!("C.12580/cessation/{outcome}/mean.and.interval/{facet}")]);
}

/// The third plot of the batch is wrong: testing by sex.
#[track_caller]
fn caught(fault: &str, words: &str) {
    let project = with_a_known_runner();
    let ran = project.build_with_fault(fault, CITY);
    refused_alone(&project, ran, "testing", "sex", words);
}

/// The same with a rule of the Jheemfile replaced: the bad plot goes through.
#[track_caller]
fn goes_through(fault: &str, rule: &str, without: &str) -> Project {
    let project = ryan_white();
    project.change(rule, without);
    known(&project);
    project.build_with_fault(fault, CITY).success().targets("fresh=1 built=5");
    project.build(CITY).success().targets("fresh=6");
    project
}

fn mislabelled(field: &str, rule: &str, says: &str) {
    caught(&format!("mislabel:{field}"), says);
    let project = goes_through(&format!("mislabel:{field}"), rule, "");
    let metadata = project.read(&plot("testing_mean.and.interval_facet_sex_metadata"));
    let said = says.split('`').nth(1).unwrap_or(says);
    assert!(metadata.contains(said), "the twin is not wrong in `{said}`:\n{metadata}");
}

#[test]
fn a_plot_of_the_wrong_city_is_refused() {
    mislabelled("city", r#""/city/0" = "{city}", "#, "`C.12940`");
}

#[test]
fn a_plot_of_the_wrong_scenario_is_refused() {
    mislabelled("scenario", r#""/scenario/0" = "{scenario}", "#, "`brief_interruption`");
}

#[test]
fn a_plot_of_the_wrong_outcome_is_refused() {
    mislabelled("outcome", r#""/outcome/0" = "{outcome}", "#, "`incidence`");
}

#[test]
fn a_plot_of_the_wrong_statistic_is_refused() {
    mislabelled("statistic", r#""/statistic_type/0" = "{statistic}", "#, "`median.and.interval`");
}

#[test]
fn a_plot_of_the_wrong_facet_is_refused() {
    mislabelled("facet", r#""/facet_choice/0" = "{facet}", "#, "`age`");
}

#[test]
fn a_plot_that_is_no_json_is_refused() {
    caught("garbage:3", "testing_mean.and.interval_facet_sex.json");
    no_audit_of_the_plot("garbage:3");
}

#[test]
fn a_truncated_plot_is_refused() {
    caught("truncate:3", "testing_mean.and.interval_facet_sex.json");
    no_audit_of_the_plot("truncate:3");
}

/// A plot that is declared as mere bytes, and not audited, may be anything.
#[track_caller]
fn no_audit_of_the_plot(fault: &str) {
    let project = ryan_white();
    let text = project.read("Jheemfile.toml").replace(r#"as = "plotly""#, r#"as = "bytes""#);
    let audit = text.find("[[plot.rw.audit]]\noutput = \"plot\"").unwrap();
    project.write("Jheemfile.toml", &text[..audit]);
    known(&project);
    project.build_with_fault(fault, CITY).success().targets("fresh=1 built=5");
    let bad = project.read(&plot("testing_mean.and.interval_facet_sex"));
    assert!(serde_json::from_str::<serde_json::Value>(&bad).is_err(), "the twin is good JSON");
}

#[test]
fn a_plot_without_traces_is_refused() {
    // An empty plot has no trace that any rule could look at, so each rule finds it.
    let project = with_a_known_runner();
    let ran = project.build_with_fault("no-traces:3", CITY);
    refused_alone(&project, ran, "testing", "sex", "/data");
    let project = ryan_white();
    let text = project.read("Jheemfile.toml");
    let audit = text.find("[[plot.rw.audit]]\noutput = \"plot\"").unwrap();
    project.write("Jheemfile.toml", &text[..audit]);
    known(&project);
    project.build_with_fault("no-traces:3", CITY).success().targets("fresh=1 built=5");
}

#[test]
fn a_plot_with_a_value_that_is_no_number_is_refused() {
    caught("nan:3", "NaN");
    // A range is about numbers, so it finds the text as well.
    let project = ryan_white();
    project.change("finite = [\"/data/*/y\"]", "required = [\"/data/*/y\"]");
    project.change("range = [{ at = \"/data/*/y\", min = 0 }]", "required = [\"/data/*/y\"]");
    known(&project);
    project.build_with_fault("nan:3", CITY).success().targets("fresh=1 built=5");
}

#[test]
fn a_plot_that_lacks_years_is_refused() {
    caught("missing-years:3", "2021");
    goes_through(
        "missing-years:3",
        "contains = [{ at = \"/data/[meta=mean]/x\", from = 2010, to = 2035, step = 1 }]",
        "required = [\"/data/[meta=mean]/x\"]",
    );
}

#[test]
fn a_plot_that_lacks_a_stratum_is_refused() {
    let strata = |project: &Project| {
        project.change(
            "items = [{ at = \"/data\", min = 6 }]",
            "items = [{ at = \"/data\", min = 6 }]\nrequired = [\"/data/[text=female]\", \"/data/[text=msm]\"]",
        );
        only_by_sex(project);
    };
    let first = |project: &Project| {
        project.build(&format!("{CITY} --where outcome=incidence")).success().targets("built=1");
    };
    let project = ryan_white();
    strata(&project);
    first(&project);
    let ran = project.build_with_fault("missing-stratum:1", CITY);
    let ran = ran.code(1).targets("fresh=1 built=1 failed=1");
    assert!(ran.ended("failed")[0].contains("outcome=testing"), "{ran}");
    ran.says("text=female");
    let project = ryan_white();
    only_by_sex(&project);
    first(&project);
    project.build_with_fault("missing-stratum:1", CITY).success().targets("fresh=1 built=2");
}

fn only_by_sex(project: &Project) {
    project.change("\"none\", \"sex\"]", "\"sex\"]");
    project.change("none = \"unfaceted\"\n", "");
}

#[test]
fn an_interval_that_is_upside_down_is_refused() {
    caught("inverted-interval:3", "/data/");
    goes_through(
        "inverted-interval:3",
        "ordered = [{ lower = \"/data/[meta=lower]/y\", upper = \"/data/[meta=upper]/y\" }]",
        "required = [\"/data/[meta=lower]/y\"]",
    );
}

#[test]
fn a_value_outside_its_declared_range_is_refused() {
    // The first plot of the batch is of numbers of people; that of testing is a proportion.
    let project = with_a_known_runner();
    let ran = project.build_with_fault("out-of-range:1", CITY);
    refused_alone(&project, ran, "incidence", "sex", "-12345");
    goes_through(
        "out-of-range:1",
        "range = [{ at = \"/data/*/y\", min = 0 }]",
        "required = [\"/data/*/y\"]",
    );
}

#[test]
fn a_proportion_above_one_is_refused() {
    let project = ryan_white();
    project.change(
        "range = [{ at = \"/data/*/y\", min = 0 }]",
        "range = [{ at = \"/data/*/y\", max = 1 }]",
    );
    project.change("\"incidence\", \"testing\", ", "\"suppression\", ");
    project.build(&format!("{CITY} --where outcome=suppression --where facet=none")).success();
    let ran = project.build_with_fault("out-of-range:2", CITY);
    let ran = ran.code(1).targets("fresh=1 built=2 failed=1");
    assert!(ran.ended("failed")[0].contains("outcome=adap.proportion"), "{ran}");
    ran.says("1.75");
    let project = ryan_white();
    project.change(
        "range = [{ at = \"/data/*/y\", min = 0 }]",
        "range = [{ at = \"/data/*/y\", max = 2 }]",
    );
    project.change("\"incidence\", \"testing\", ", "\"suppression\", ");
    project.build(&format!("{CITY} --where outcome=suppression --where facet=none")).success();
    project.build_with_fault("out-of-range:2", CITY).success().targets("fresh=1 built=3");
    let drawn = project.read(&plot("adap.proportion_mean.and.interval_unfaceted"));
    assert!(drawn.contains("1.75"), "the twin has no proportion above one");
}

/// The example with a runner that goes wrong as `FIRST` says with the first two plots of a batch only.
///
/// They are incidence by sex and testing; the other three come out well.
fn only_the_first_two() -> Project {
    let project = ryan_white().program(
        "first-two.sh",
        r#"#!/bin/sh
if [ -n "$FIRST" ]; then
    RW_FAULT="$FIRST,die-after:2" "$RW_MODEL" "$@"
    set -- "$@" --skip-existing
fi
exec "$RW_MODEL" "$@"
"#,
    );
    project.change("\"./rw-model\"", "\"./first-two.sh\"");
    project.change("pass_env = [", "pass_env = [\"FIRST\", \"RW_MODEL\", ");
    let model = project.path("rw-model").to_string_lossy().into_owned();
    project.env("RW_MODEL", &model)
}

/// Fails the test unless the first two were refused, for a reason with these words, and the others kept.
#[track_caller]
fn the_first_two_are_refused(project: &Project, ran: Ran, words: &str) {
    let ran = ran.code(1).targets("fresh=1 built=3 failed=2");
    let mut refused = 0;
    for event in
        ran.events().iter().filter(|e| e["ending"] == "failed" || e["ending"] == "withdrawn")
    {
        refused += 1;
        let message = event["message"].as_str().unwrap();
        assert!(message.starts_with("refused by the audit: "), "{message}");
        assert!(message.contains(words), "`{message}` does not speak of `{words}`");
    }
    assert_eq!(refused, 2, "{ran}");
    for bad in ["incidence_mean.and.interval_facet_sex", "testing_mean.and.interval_unfaceted"] {
        assert!(!project.exists(&plot(bad)), "a refused plot was put in place: {bad}");
    }
    for good in [
        "testing_mean.and.interval_facet_sex",
        "adap.proportion_mean.and.interval_unfaceted",
        "adap.proportion_mean.and.interval_facet_sex",
    ] {
        assert!(project.exists(&plot(good)), "a good plot of the same batch was lost: {good}");
    }
    project.made();
    project.build(CITY).success().targets("fresh=4 built=2");
    assert_eq!(
        project.made(),
        [
            "C.12580/cessation/incidence/mean.and.interval/sex",
            "C.12580/cessation/testing/mean.and.interval/none"
        ]
    );
}

fn build_with_first_two(project: &Project, fault: &str) -> Ran {
    let arguments = format!("build --format json --jobs 1 {CITY}");
    Ran::new(&arguments, project.command(&arguments).env("FIRST", fault).output().unwrap())
}

#[test]
fn a_missing_baseline_is_found_though_the_run_ends_well() {
    let project = with_a_known_runner();
    let ran = project.build_with_fault("no-baseline", CITY);
    // The first plot stays as it is; none of the others has a baseline.
    let ran = ran.code(1).targets("fresh=1 failed=5");
    ran.says("/has_baseline/0").says("/data");
    // Where only some are without one, the others are kept.
    let project = only_the_first_two();
    known(&project);
    let ran = build_with_first_two(&project, "no-baseline");
    the_first_two_are_refused(&project, ran, "/has_baseline/0");
    let project = only_the_first_two();
    project.change(", \"/has_baseline/0\" = true", "");
    project.change("{ at = \"/data\", min = 6 }", "{ at = \"/data\", min = 3 }");
    known(&project);
    build_with_first_two(&project, "no-baseline").success().targets("fresh=1 built=5");
    let told = project.read(&plot("testing_mean.and.interval_unfaceted_metadata"));
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["has_baseline"][0], false, "the twin has a baseline");
}

#[test]
fn an_input_that_is_gone_blocks_its_plots_alone() {
    let project = with_a_known_runner();
    std::fs::remove_file(project.path("simulations/ryan-white/base/C.12940_base.Rdata")).unwrap();
    let where_ = "--where city=C.12580,C.12940 --where scenario=cessation";
    let ran = project.build(&format!("{where_} --keep-going")).code(1);
    ran.targets("fresh=1 built=5 skipped=6").says("C.12940_base.Rdata` is missing");
}

#[test]
fn a_container_that_ignores_its_arguments_fails_although_everything_is_green() {
    let project = with_a_known_runner();
    let ran = project.build_with_fault("ignore-arguments", CITY);
    // It makes testing by sex, which was asked for too, so that is kept.
    let ran = ran.code(1).targets("fresh=1 built=1 failed=4");
    assert_eq!(
        ran.ended("built"),
        [
            "plot.rw[city=C.12580, scenario=cessation, outcome=testing, statistic=mean.and.interval, facet=sex]"
        ]
    );
    ran.says("was not made").says("that nobody asked for");
    // What it makes although nobody asked for it is told by its log, and not kept.
    let project = with_a_known_runner();
    let ran = project.build_with_fault("ignore-arguments", &format!("{CITY} --where facet=none"));
    ran.code(1).targets("fresh=1 failed=2").says("does it heed its arguments?");
    assert!(!project.exists(&plot("testing_mean.and.interval_facet_sex")));
    // Another city has no inputs of the one that it makes, and gets nothing at all.
    let ran = project.build_with_fault("ignore-arguments", "--where city=C.12940 --keep-going");
    ran.code(1).targets("failed=12").says("was not made");
    assert!(project.files("plots/C.12940").is_empty());
}

#[test]
fn what_ignores_its_arguments_passes_where_nothing_is_expected_of_it() {
    let project = ryan_white();
    let text = project.read("Jheemfile.toml");
    let text = text.replace("as = \"plotly\"", "as = \"plotly\"\noptional = true");
    let text = text.replace("as = \"json\"", "as = \"json\"\noptional = true");
    let log = text.find("[runner.model.log]").unwrap()..text.find("[plot.rw]").unwrap();
    let audit = text.find("[[plot.rw.audit]]").unwrap();
    let text = [&text[..log.start], &text[log.end..audit]].concat();
    let text = text.replace("batch = {", "ignore = [\"**\"]\nbatch = {");
    project.write("Jheemfile.toml", text);
    project.build_with_fault("ignore-arguments", CITY).success();
    // What it was asked for is none of what it drew.
    assert!(!project.exists(&plot("incidence_mean.and.interval_unfaceted")));
    let mut made = project.made();
    made.dedup();
    assert_eq!(made, ["C.12580/cessation/testing/mean.and.interval/sex"]);
}

/// One plot, incidence, by a container that calls what it draws as it is told to.
fn named_as_told() -> Project {
    let project = ryan_white().program(
        "draw.sh",
        r#"#!/bin/sh
plot=$1; metadata=$2; shift 2
"$RW_MODEL" batch --output-dir drawn "$@" || exit
mv drawn/*/*/*_metadata.json "$metadata"
mv drawn/*/*/*.json "$plot"
rm -r drawn
"#,
    );
    for (from, to) in [
        ("\"./rw-model\"", "\"./draw.sh\""),
        ("pass_env = [", "pass_env = [\"PATH\", \"RW_MODEL\", "),
        (
            "[\"batch\", \"--config\", \"{batch.file}\", \"--output-dir\", \"{dir:plots}\"]",
            "[\"{output.plot}\", \"{output.metadata}\", \"--city\", \"{city}\", \"--scenarios\", \"{scenario}\", \"--outcomes\", \"{outcome}\", \"--statistics\", \"{statistic}\", \"--facets\", \"{facet}\"]",
        ),
        ("batch = { by = [\"city\"], file = \"jheem-jobs\" }\n", ""),
    ] {
        project.change(from, to);
    }
    let model = project.path("rw-model").to_string_lossy().into_owned();
    project.env("RW_MODEL", &model)
}

#[test]
fn the_wrong_plot_under_the_right_name_is_refused() {
    let one = format!("{CITY} --where outcome=incidence --where facet=none");
    let name = plot("incidence_mean.and.interval_unfaceted");
    let project = named_as_told();
    let ran = project.build_with_fault("ignore-arguments", &one).code(1).targets("failed=1");
    ran.says("refused by the audit: ").says("does it heed its arguments?");
    assert!(!project.exists(&name), "a refused plot was put in place");
    project.build(&one).success().targets("built=1");
    // Where nothing compares it with what was asked for, and the log is not read, it goes through.
    let project = named_as_told();
    let text = project.read("Jheemfile.toml");
    let log = text.find("[runner.model.log]").unwrap()..text.find("[plot.rw]").unwrap();
    let equals = text.lines().find(|line| line.starts_with("equals = ")).unwrap();
    let text = [&text[..log.start], &text[log.end..]].concat();
    project.write("Jheemfile.toml", text.replace(equals, "required = [\"/city/0\"]"));
    project.build_with_fault("ignore-arguments", &one).success().targets("built=1");
    let drawn: serde_json::Value = serde_json::from_str(&project.read(&name)).unwrap();
    let meta = &drawn["layout"]["meta"];
    assert_eq!((&meta["outcome"], &meta["facet"]), (&"testing".into(), &"sex".into()), "{meta}");
}

#[test]
fn two_plots_with_the_same_content_are_refused_where_that_cannot_be() {
    let unique =
        |project: &Project| project.change("as = \"plotly\"", "as = \"plotly\"\nunique = true");
    let project = ryan_white();
    unique(&project);
    known(&project);
    let ran = project.build_with_fault("same-content", CITY);
    let ran = ran.code(1).targets("fresh=1 failed=5").says("has the same content as");
    // They were built one by one, and refused when all of them were looked at.
    assert_eq!(ran.ended("built").len(), 5, "{ran}");
    assert_eq!(ran.ended("withdrawn"), ran.ended("built"), "{ran}");
    // What was put in place while the batch went on is taken back.
    assert_eq!(
        project.files("plots"),
        [
            plot("incidence_mean.and.interval_unfaceted"),
            plot("incidence_mean.and.interval_unfaceted_metadata")
        ]
    );
    project.build(CITY).success().targets("fresh=1 built=5");
    // A pair beside plots that are good takes none of them with it.
    let project = only_the_first_two();
    unique(&project);
    known(&project);
    let ran = build_with_first_two(&project, "same-content");
    the_first_two_are_refused(&project, ran, "has the same content as");
    let project =
        goes_through("same-content", "as = \"plotly\"\n", "as = \"plotly\"\nunique = false\n");
    assert_eq!(
        project.read(&plot("testing_mean.and.interval_unfaceted")),
        project.read(&plot("incidence_mean.and.interval_facet_sex"))
    );
}

#[test]
fn a_plot_with_the_content_of_one_from_an_earlier_build_is_refused() {
    let twins = |unique: bool| {
        let text = r#"
[project]
name = "twins"
[axis.city]
values = ["A", "B"]
[input.data]
path = "data/{city}.txt"
[runner.copy]
program = "./copy.sh"
pass_env = ["PATH"]
[plot.p]
over = ["city"]
runner = "copy"
inputs = { data = "input.data" }
command = ["{input.data}", "{output.plot}"]
[plot.p.output.plot]
path = "plots/{city}.txt"
"#;
        Project::new()
            .jheemfile(&format!("{text}unique = {unique}\n"))
            .program("copy.sh", "#!/bin/sh\ncp \"$1\" \"$2\"\n")
            .file("data/A.txt", "the same\n")
            .file("data/B.txt", "the same\n")
    };
    let project = twins(true);
    project.build("--where city=A").success().targets("built=1");
    let ran = project.build("").code(1).targets("fresh=1 failed=1");
    let ran = ran.says("its `plot` has the same content as plot.p[city=A]");
    assert_eq!(ran.ended("withdrawn"), ["plot.p[city=B]"]);
    assert!(!project.exists("plots/B.txt"));
    project.jheem("build").code(1).says("withdrawn: plot.p[city=B]\n  refused by the audit: ");
    project.write("data/B.txt", "another\n");
    project.build("").success().targets("fresh=1 built=1");
    // What was refused does not displace what was good.
    project.write("data/B.txt", "the same\n");
    project.build("").code(1).targets("fresh=1 failed=1");
    assert_eq!(project.read("plots/B.txt"), "another\n");
    twins(false).build("").success().targets("built=2");
}

#[test]
fn files_that_nobody_asked_for_fail_the_build_but_no_plot() {
    let project = with_a_known_runner();
    let ran = project.build_with_fault("stray-file", CITY);
    let ran = ran.code(1).targets("fresh=1 built=5");
    ran.says("plots/C.12580/cessation/stray.json").says("that nobody asked for");
    assert!(!project.exists(&plot("stray")));
    let project = ryan_white();
    project.change("batch = {", "ignore = [\"**/stray.json\"]\nbatch = {");
    known(&project);
    project.build_with_fault("stray-file", CITY).success().targets("fresh=1 built=5");
    assert!(!project.exists(&plot("stray")));
}

/// The example with every rule off that a Jheemfile can do without: no audit, no form, nothing that is a stray.
fn without_any_rule() -> Project {
    let project = ryan_white();
    let text = project.read("Jheemfile.toml");
    let text = &text[..text.find("[[plot.rw.audit]]").unwrap()];
    let text = text
        .replace("as = \"plotly\"", "as = \"bytes\"")
        .replace("as = \"json\"", "as = \"bytes\"");
    let volatile = text.lines().find(|line| line.starts_with("volatile = ")).unwrap().to_owned();
    let text = text.replace(&volatile, "").replace("batch = {", "ignore = [\"**\"]\nbatch = {");
    project.write("Jheemfile.toml", text);
    known(&project);
    project
}

/// Fails the test unless this is refused whatever the Jheemfile says: no rule turns it off.
#[track_caller]
fn no_rule_lets_it_pass(fault: &str, arguments: &str, counts: &str, words: &str) {
    let ran = without_any_rule().build_with_fault(fault, arguments);
    assert_eq!(ran.code, Some(1), "a Jheemfile could turn off that `{fault}` is refused\n{ran}");
    ran.targets(counts).says(words);
}

#[test]
fn a_link_in_place_of_a_plot_is_not_followed() {
    let project = with_a_known_runner();
    let ran = project.build_with_fault("symlink:3", CITY);
    let ran = ran.code(1).targets("fresh=1 built=4 failed=1").says("is a link, not a file");
    assert!(ran.ended("failed")[0].contains("outcome=testing"), "{ran}");
    assert!(!project.exists(&plot("testing_mean.and.interval_facet_sex")));
    project.build(CITY).success().targets("fresh=5 built=1");
    no_rule_lets_it_pass("symlink:3", CITY, "fresh=1 built=4 failed=1", "is a link, not a file");
}

#[test]
fn a_pipe_in_place_of_a_plot_is_not_opened() {
    let project = with_a_known_runner();
    let ran = project.build_with_fault("device:3", CITY);
    let ran = ran.code(1).targets("fresh=1 built=4 failed=1").says("is a device or pipe");
    assert!(ran.ended("failed")[0].contains("facet=sex"), "{ran}");
    project.build(CITY).success().targets("fresh=5 built=1");
    no_rule_lets_it_pass("device:3", CITY, "fresh=1 built=4 failed=1", "is a device or pipe");
}

#[test]
fn a_folder_that_leads_out_of_the_output_folder_is_not_followed() {
    let project = with_a_known_runner();
    let ran = project.build_with_fault("escape", "--where city=C.12580");
    let ran = ran.code(1).targets("fresh=1 built=6 failed=5").says("reached through a link");
    assert!(ran.ended("failed").iter().all(|label| label.contains("scenario=cessation")), "{ran}");
    assert!(ran.ended("built").iter().all(|label| label.contains("brief_interruption")), "{ran}");
    let city = "--where city=C.12580";
    no_rule_lets_it_pass("escape", city, "fresh=1 built=6 failed=5", "reached through a link");
}
