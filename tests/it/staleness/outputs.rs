//! Outputs that are deleted, edited or renamed, and a cache that is gone or damaged.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::super::project::Project;
use super::chain::chain;
use super::{ALL, Follows, built, follows, nothing_follows};

#[test]
fn a_deleted_output_is_put_back_from_the_cache() {
    let project = built();
    let before = project.read("plots/A/x.json");
    fs::remove_file(project.path("plots/A/x.json")).unwrap();
    follows(
        &project,
        Follows {
            plan: "fresh=7 restorable=1",
            reasons: &["1 plot restorable: city=A, outcome=x: output missing"],
            why: Some(("plots/A/x.json", "restorable", "`plots/A/x.json` is missing")),
            build: "fresh=7 restored=1",
            made: &[],
        },
    );
    assert_eq!(project.read("plots/A/x.json"), before);
}

#[test]
fn all_outputs_are_put_back_from_the_cache() {
    let project = built();
    for folder in ["trimmed", "plots", "sums"] {
        fs::remove_dir_all(project.path(folder)).unwrap();
    }
    project.plan("").targets("restorable=8");
    project.build("").success().targets("restored=8");
    assert!(project.made().is_empty());
}

#[test]
fn a_deleted_intermediate_keeps_nothing_below_it_waiting() {
    let project = built();
    fs::remove_file(project.path("trimmed/A.txt")).unwrap();
    follows(
        &project,
        Follows {
            plan: "fresh=7 restorable=1",
            reasons: &["1 step restorable: city=A: output missing"],
            why: Some(("plots/A/x.json", "fresh", "nothing that it depends on has changed")),
            build: "fresh=7 restored=1",
            made: &[],
        },
    );
}

#[test]
fn an_edited_output_is_put_back_and_the_edited_file_is_kept() {
    let project = built();
    let before = project.read("plots/A/x.json");
    project.write("plots/A/x.json", "{\"mine\": 1}");
    project.plan("").targets("fresh=7 restorable=1");
    assert_eq!(
        project.reasons(""),
        ["1 plot restorable: city=A, outcome=x: output edited by hand"]
    );
    let (_, said) = project.why("plots/A/x.json");
    assert!(said.contains("`plots/A/x.json` was edited by hand"), "{said}");
    project
        .build("")
        .success()
        .says("`plots/A/x.json` was edited by hand; it was put back, and the edited file kept as")
        .targets("fresh=7 restored=1");
    assert_eq!(project.read("plots/A/x.json"), before);
    assert_eq!(project.read("cache/edited/plots/A/x.json.1"), "{\"mine\": 1}");
    nothing_follows(&project);
}

/// Writes into the file itself, whatever other names it has.
fn write_in_place(path: &Path, bytes: &[u8]) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn an_output_edited_through_its_link_is_made_again_and_the_edit_kept() {
    let project = built();
    let plot = project.path("plots/A/x.json");
    let linked = fs::metadata(&plot).unwrap().nlink() > 1;
    let text = project.read("plots/A/x.json");
    let edited = text.replace("\"1-\"", "\"9-\"");
    write_in_place(&plot, edited.as_bytes());
    if linked {
        project.plan("").targets("fresh=6 stale=1 pending=1");
        let (verdict, said) = project.why("plots/A/x.json");
        assert_eq!(verdict, "stale", "{said}");
        assert!(
            said.contains("`plots/A/x.json` must be put back, and the cache lost it"),
            "{said}"
        );
        project.build("").success().targets("fresh=7 built=1");
        assert_eq!(project.made(), ["A/x"]);
    } else {
        project.build("").success().targets("fresh=7 restored=1");
    }
    assert!(project.read("plots/A/x.json").contains("\"1-\""));
    assert_eq!(project.read("cache/edited/plots/A/x.json.1"), edited);
    nothing_follows(&project);
}

#[test]
fn a_file_that_was_there_before_is_kept_when_its_plot_comes() {
    let project = chain().file("plots/A/x.json", "{\"made\": \"by hand, years ago\"}");
    project
        .build("")
        .success()
        .says("`plots/A/x.json` was there already and not known to jheem")
        .targets("built=8");
    assert!(project.read("cache/edited/plots/A/x.json.1").contains("years ago"));
}

// Names.

#[test]
fn renaming_what_the_jheemfile_names_runs_nothing() {
    let project = built();
    let renamed: [&[(&str, &str)]; 9] = [
        &[("plot.p", "plot.city")],
        &[("step.trim", "step.first_line")],
        &[("plot.sum", "plot.all")],
        &[("runner.model", "runner.shell"), ("\"model\"", "\"shell\"")],
        &[("preset.small", "preset.little")],
        &[("input.data\"", "input.lines\""), ("[input.data]", "[input.lines]")],
        &[("inputs = { data", "inputs = { raw"), ("{input.data}", "{input.raw}")],
        &[
            ("first_line.text", "first_line.line"),
            ("output.text]", "output.line]"),
            ("{output.text}", "{output.line}"),
            ("output.plot]", "output.drawing]"),
            ("city.plot\"", "city.drawing\""),
            ("output = \"plot\"", "output = \"drawing\""),
        ],
        &[("name = \"chain\"", "name = \"links\"")],
    ];
    for changes in renamed {
        for (from, to) in changes {
            project.change(from, to);
        }
        project.plan("").success().targets("fresh=8");
    }
    nothing_follows(&project);
}

#[test]
fn renaming_an_axis_runs_nothing() {
    let project = built();
    for (from, to) in [
        ("[axis.city]", "[axis.place]"),
        ("axes = { city", "axes = { place"),
        ("\"city\"]", "\"place\"]"),
        ("[\"city\", ", "[\"place\", "),
        ("?<city>", "?<place>"),
        ("{city}", "{place}"),
    ] {
        let text = project.read("Jheemfile.toml");
        assert!(text.contains(from), "no {from}");
        project.write("Jheemfile.toml", text.replace(from, to));
    }
    nothing_follows(&project);
}

#[test]
fn a_renamed_folder_is_linked_anew_and_runs_nothing() {
    let project = chain();
    let dirs =
        "dirs = { data = \"data\", trimmed = \"trimmed\", plots = \"plots\", sums = \"sums\" }";
    project.change("exit = {", &format!("{dirs}\nexit = {{"));
    project.build("").success().targets("built=8");
    project.made();
    project.change("plots = \"plots\"", "plots = \"figures/drawn\"");
    project.change("path = \"plots/", "path = \"figures/drawn/");
    project.change("{dir:plots}", "{dir:figures/drawn}");
    follows(
        &project,
        Follows {
            plan: "fresh=4 restorable=4",
            reasons: &["4 plots restorable: plot.p: output missing"],
            why: None,
            build: "fresh=4 restored=4",
            made: &[],
        },
    );
    assert!(project.exists("figures/drawn/A/x.json"));
}

// The cache.

/// All objects of a project's cache that a file in the project is, by the project path of that file.
fn object_of(project: &Project, path: &str) -> PathBuf {
    let hash = blake3::hash(&fs::read(project.path(path)).unwrap()).to_hex().to_string();
    let object = project.path(&format!("cache/objects/{}/{}", &hash[..2], &hash[2..]));
    assert!(object.is_file(), "no object for {path}");
    object
}

/// Turns one bit of an object, under another inode, so that no file of the project changes with it.
fn damage(object: &Path) {
    let mut bytes = fs::read(object).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::remove_file(object).unwrap();
    fs::write(object, bytes).unwrap();
}

#[test]
fn a_deleted_cache_makes_everything_again_and_keeps_no_copies() {
    let project = built();
    fs::remove_dir_all(project.path("cache")).unwrap();
    follows(
        &project,
        Follows {
            plan: "stale=2 pending=6",
            reasons: &[
                "2 plots pending: plot.sum: waits for what it reads",
                "2 steps stale: step.trim: never made",
                "4 plots pending: plot.p: waits for what it reads",
            ],
            why: None,
            build: "built=8",
            made: &ALL,
        },
    );
    // What was in place said the same, so nothing was worth keeping.
    assert!(!project.exists("cache/edited"));
}

#[test]
fn a_damaged_object_is_never_put_in_place() {
    for (path, narrowed, made) in [
        ("trimmed/A.txt", "city=A", "trim/A"),
        ("plots/A/x.json", "city=A, outcome=x", "A/x"),
        ("sums/x.txt", "outcome=x", "sum/x"),
    ] {
        let project = built();
        let before = project.read(path);
        damage(&object_of(&project, path));
        // In place all is well.
        nothing_follows(&project);
        fs::remove_file(project.path(path)).unwrap();
        // Nobody reads an object before it is needed, so the plan still counts on it.
        let kind = if path.starts_with("trimmed") { "step" } else { "plot" };
        project.plan("").success().targets("fresh=7 restorable=1");
        let reason = format!("1 {kind} restorable: {narrowed}: output missing");
        assert_eq!(project.reasons(""), [reason]);
        let (verdict, said) = project.why(path);
        assert_eq!(verdict, "restorable", "{said}");
        assert!(said.contains(&format!("from the cache: `{path}` is missing")), "{said}");
        project.build("").success().targets("fresh=7 built=1");
        let strip = |text: &str| text.split("\"generation_time\"").next().unwrap().to_owned();
        assert_eq!(strip(&project.read(path)), strip(&before), "{path}");
        assert_eq!(project.made(), [made]);
        nothing_follows(&project);
    }
}

/// What follows from another text in the command of the plots: they and the sums are made, and no trim.
fn another_text() -> Follows<'static> {
    Follows {
        plan: "fresh=2 stale=4 pending=2",
        reasons: &[
            "2 plots pending: plot.sum: waits for what it reads",
            "4 plots stale: plot.p: command changed",
        ],
        why: Some(("plots/A/x.json", "stale", r#"{"before":"-","now":"!","what":"argument"}"#)),
        build: "fresh=2 built=6",
        made: &["A/x", "A/y", "B/x", "B/y", "sum/x", "sum/y"],
    }
}

#[test]
fn a_damaged_object_of_an_intermediate_does_not_hold_its_readers_up() {
    let project = built();
    damage(&object_of(&project, "trimmed/A.txt"));
    project.change("\"{list:outcome}\", \"-\"]", "\"{list:outcome}\", \"!\"]");
    follows(&project, another_text());
}

#[test]
fn lost_objects_do_not_hold_readers_up() {
    let project = built();
    fs::remove_dir_all(project.path("cache/objects")).unwrap();
    nothing_follows(&project);
    project.change("\"{list:outcome}\", \"-\"]", "\"{list:outcome}\", \"!\"]");
    follows(&project, another_text());
}

#[test]
fn what_reads_a_lost_output_is_judged_by_what_is_made_in_its_place() {
    let project = built();
    // The plots hold a note that counts, and that no declared thing decides.
    let project = project.env("NOTE", "another");
    damage(&object_of(&project, "plots/A/x.json"));
    fs::remove_file(project.path("plots/A/x.json")).unwrap();
    // Only when the object is read does it turn out that the plot must be made.
    assert_eq!(project.reasons(""), ["1 plot restorable: city=A, outcome=x: output missing"]);
    let (verdict, said) = project.why("sums/x.txt");
    assert_eq!(verdict, "fresh", "{said}");
    project.build("").success().targets("fresh=6 built=2");
    assert_eq!(project.made(), ["A/x", "sum/x"]);
    assert!(project.read("sums/x.txt").contains("another"));
}

#[test]
fn damaged_records_are_set_aside_and_everything_is_made_again() {
    type Harm = fn(&mut Vec<u8>);
    let harms: [(&str, Harm); 4] = [
        ("emptied", |bytes| bytes.clear()),
        ("cut in half", |bytes| bytes.truncate(bytes.len() / 2)),
        ("garbage at its head", |bytes| bytes[..200].fill(0xa5)),
        ("garbage after its head", |bytes| bytes[4096..].fill(0xa5)),
    ];
    for (what, harm) in harms {
        let project = built();
        let path = project.path("cache/records.db");
        let mut bytes = fs::read(&path).unwrap();
        harm(&mut bytes);
        fs::write(&path, bytes).unwrap();
        let planned = project.plan("");
        match planned.code {
            Some(0) => {
                drop(planned.targets("stale=2 pending=6"));
                assert_eq!(
                    project.reasons(""),
                    [
                        "2 plots pending: plot.sum: waits for what it reads",
                        "2 steps stale: step.trim: never made",
                        "4 plots pending: plot.p: waits for what it reads",
                    ],
                    "{what}"
                );
                let (verdict, said) = project.why("trimmed/A.txt");
                assert_eq!(verdict, "stale", "{what}: {said}");
                assert!(said.contains("never made"), "{what}: {said}");
            }
            _ => drop(planned.code(3).says("run `jheem build`: it sets damaged records aside")),
        }
        let ran = project.build("").success();
        assert_eq!(ran.count("targets.built"), 8, "{what}\n{ran}");
        assert_eq!(project.made(), ALL);
        nothing_follows(&project);
    }
}
