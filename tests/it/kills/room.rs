//! Disks that are full or may not be written: the build says so, claims nothing falsely, and goes on when there is room.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{MODEL, pipeline_in, witness};
use crate::project::{Project, Ran};
use witness::Made;

/// The model, whose files hold so many bytes more: a shell word that may name the plot as `$3`.
fn padded(bytes: &str) -> String {
    let plain = "\"generation_time\": \"%010d\"}\\n' \"$2\" \"$3\" \"$4\" $$";
    assert!(MODEL.contains(plain), "the model writes otherwise");
    let pad = format!("\"$(head -c {bytes} /dev/zero | tr '\\0' x)\"");
    let padded = plain.replace("\"}", "\", \"pad\": \"%s\"}") + " " + &pad;
    MODEL.replace(plain, &padded)
}

/// The pipeline with files of which ten fill a small disk.
fn pipeline_with_large_files(project: Project) -> Project {
    pipeline_in(project, &padded("60000"))
}

/// What a whole build makes.
fn everything() -> BTreeSet<Made> {
    let made = |city: &str, what: &str| (city.to_owned(), what.to_owned(), "0".to_owned());
    let of = |city| ["sim", "x", "y", "z", "summary"].map(|what| made(city, what));
    ["A", "B"].into_iter().flat_map(of).collect()
}

/// The plots, simulations and summaries that the model made since this was last asked.
fn made(project: &Project) -> BTreeSet<Made> {
    let of = |line: &String| {
        let mut parts = line.split('/').map(str::to_owned);
        (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap())
    };
    project.made().iter().map(of).collect()
}

/// Something mounted, for as long as this is held.
struct Mount(PathBuf);

impl Mount {
    /// A small disk of its own; none where it is not permitted, which is said.
    fn small_disk(at: &Path) -> Option<Mount> {
        Mount::at(&["-t", "tmpfs", "-o", "size=4m,mode=755", "tmpfs"], at)
    }

    fn at(arguments: &[&str], place: &Path) -> Option<Mount> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: not root");
            return None;
        }
        let done = Command::new("mount").args(arguments).arg(place).output();
        if !done.as_ref().is_ok_and(|done| done.status.success()) {
            println!("skipped: nothing may be mounted here: {done:?}");
            return None;
        }
        Some(Mount(place.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a failed test may have left something open there.
        let done = Command::new("umount").arg("--lazy").arg(&self.0).status();
        assert!(done.is_ok_and(|done| done.success()), "`{}` stays mounted", self.0.display());
    }
}

/// A project of which one folder is a small disk of its own.
struct Small {
    /// Goes before the project does.
    disk: Mount,
    project: Project,
}

impl Small {
    fn new(folder: &str) -> Option<Small> {
        let project = Project::new();
        fs::create_dir_all(project.path(folder)).unwrap();
        let disk = Mount::small_disk(&project.path(folder))?;
        let project = pipeline_with_large_files(project);
        Some(Small { disk, project })
    }

    fn filler(&self) -> PathBuf {
        self.disk.0.join("filler")
    }

    /// Leaves this much room.
    fn fill(&self, kibibytes: u64) {
        let found = rustix::fs::statvfs(&self.disk.0).unwrap();
        let filled = (found.f_bavail * found.f_frsize).saturating_sub(kibibytes * 1024);
        let zeros = vec![0; filled.try_into().unwrap()];
        File::create(self.filler()).unwrap().write_all(&zeros).unwrap();
    }

    fn make_room(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

/// Everything that a build complains of, one complaint a text.
fn complaints(ran: &Ran) -> Vec<String> {
    let text = |event: &Value, name: &str| match &event[name] {
        Value::String(text) => text.clone(),
        Value::Array(texts) => {
            texts.iter().map(|t| t.as_str().unwrap()).collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    };
    let parts = ["message", "causes", "hints", "lines"];
    let whole = |event: &Value| parts.map(|part| text(event, part)).join("\n");
    let complains = |event: &&Value| {
        event["event"] == "error" || event["event"] == "problem" || event["ending"] == "failed"
    };
    ran.events().iter().filter(complains).map(whole).collect()
}

/// Every complaint says where there was no room; one that jheem cannot go on with comes once.
///
/// The message of a program that finds no room for itself is its own.
fn check_complaints(ran: &Ran, folder: &str, causes: &[&str], when: &str) {
    assert!(matches!(ran.code, Some(1 | 3)), "{when}: it ended otherwise\n{ran}");
    let complaints = complaints(ran);
    assert!(!complaints.is_empty(), "{when}: nothing is said\n{ran}");
    for complaint in &complaints {
        let place = match folder {
            "." => complaint.contains("`./") || complaint.contains(":site/"),
            _ => {
                complaint.contains(&format!("`./{folder}/"))
                    || complaint.contains(&format!(":{folder}/"))
                    || complaint.contains(&format!("`./{folder}`"))
            }
        };
        let own = complaint.starts_with("the run ended with code");
        let why = causes.iter().any(|cause| complaint.contains(cause));
        assert!((place || own) && why, "{when}: where and why is not said: {complaint}\n{ran}");
    }
    let errors = ran.events().iter().filter(|event| event["event"] == "error").count();
    assert!(errors <= 1, "{when}: several errors are told\n{ran}");
}

/// What is missing is made, and nothing that was recorded; in the end all is as if nothing had happened.
fn goes_on(project: &Project, recorded: &BTreeSet<Made>, undisturbed: &Project, when: &str) {
    made(project);
    let ran = project.build("");
    assert_eq!(ran.code, Some(0), "{when}: the next build does not go on\n{ran}");
    let missing: BTreeSet<Made> = everything().difference(recorded).cloned().collect();
    assert_eq!(made(project), missing, "{when}: {recorded:?} were recorded\n{ran}");
    merge_log(project);
    witness::check_alike(project, undisturbed);
}

/// Rows that could be committed but not merged lie in SQLite's log until others are written, and every reader sees them.
fn merge_log(project: &Project) {
    let database = rusqlite::Connection::open(project.path("site/plots.db")).unwrap();
    database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
}

/// Builds where there is so much room and no more; whether there was too little, none if this cannot be tried.
fn built_with_little_room(folder: &str, kibibytes: u64, undisturbed: &Project) -> Option<bool> {
    let small = Small::new(folder)?;
    let project = &small.project;
    let when = format!("`{folder}` has room for {kibibytes} KiB");
    small.fill(kibibytes);
    let ran = project.build("");
    let full = ran.code != Some(0);
    if full {
        let causes =
            ["No space left on device", "database or disk is full", "disk I/O error", "I/O error"];
        check_complaints(&ran, folder, &causes, &when);
        // Of the cache not every message says what to do.
        if matches!(folder, "plots" | "site") {
            let helps = |c: &String| c.contains("free some") || c.contains("is full or broken");
            let helpful = complaints(&ran).iter().all(helps);
            assert!(helpful, "{when}: what to do is not said\n{ran}");
        }
    }
    small.make_room();
    let recorded = witness::check_after_failures(project, &when);
    goes_on(project, &recorded, undisturbed, &when);
    Some(full)
}

/// Builds with more and more room, from none to enough.
fn with_more_and_more_room(folder: &str, kibibytes: impl Iterator<Item = u64>) {
    let undisturbed = pipeline_with_large_files(Project::new());
    undisturbed.build("").success();
    let mut short = 0;
    for kibibytes in kibibytes {
        match built_with_little_room(folder, kibibytes, &undisturbed) {
            None => return,
            Some(true) => short += 1,
            Some(false) => break,
        }
        assert!(kibibytes < 4096, "there is never enough room");
    }
    assert!(short > 3, "the disk was never full in the middle of a build");
}

#[test]
fn a_full_disk_under_the_cache_loses_nothing_that_was_recorded() {
    with_more_and_more_room("cache", (0..).step_by(96));
}

#[test]
fn a_cache_that_takes_no_more_ends_the_build_instead_of_plot_after_plot() {
    let Some(small) = Small::new("cache/objects") else { return };
    let project = &small.project;
    // Room for the simulations and not for all plots; what runs write lies on another disk.
    small.fill(200);
    let ran = project.build("--keep-going --jobs 1").code(3);
    let ran = ran.says("No space left on device").says("free some room");
    check_complaints(&ran, "cache/objects", &["No space left on device"], "the cache is full");
    assert_eq!(ran.ended("failed"), Vec::<String>::new(), "plots failed for want of room\n{ran}");
    assert_eq!(project.files("cache/scratch"), Vec::<String>::new(), "{ran}");
    small.make_room();
    let recorded = witness::check_after_failures(project, "the cache was full");
    assert!(!recorded.is_empty(), "what was finished before was not recorded\n{ran}");
    let undisturbed = pipeline_with_large_files(Project::new());
    undisturbed.build("").success();
    goes_on(project, &recorded, &undisturbed, "the cache was full");
}

#[test]
fn a_full_disk_under_the_outputs_leaves_no_half_plot() {
    with_more_and_more_room("plots", (0..).step_by(80));
}

#[test]
fn a_full_disk_under_the_site_leaves_no_row_without_its_object() {
    // From where all objects have room, the rows and then the manifest are what has none.
    with_more_and_more_room("site", (0..360).step_by(90).chain((360..).step_by(16)));
}

#[test]
fn a_full_disk_under_the_whole_project_is_survived() {
    with_more_and_more_room(".", (0..).step_by(192));
}

/// A folder that may not be written into, for as long as this is held.
enum Unwritable {
    /// Modes do not hold root back; a disk that is mounted for reading only does.
    Mounted(#[expect(dead_code, reason = "held")] Mount),
    Closed(PathBuf),
}

impl Unwritable {
    fn new(at: &Path) -> Option<Unwritable> {
        fs::create_dir_all(at).unwrap();
        if !rustix::process::geteuid().is_root() {
            fs::set_permissions(at, fs::Permissions::from_mode(0o555)).unwrap();
            return Some(Unwritable::Closed(at.to_owned()));
        }
        let mount = Mount::at(&["--bind", at.to_str().unwrap()], at)?;
        let done = Command::new("mount").args(["-o", "remount,bind,ro"]).arg(at).status();
        assert!(done.is_ok_and(|done| done.success()), "it can be mounted and not remounted");
        Some(Unwritable::Mounted(mount))
    }
}

impl Drop for Unwritable {
    fn drop(&mut self) {
        if let Unwritable::Closed(at) = self {
            fs::set_permissions(at, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
}

#[test]
fn a_folder_that_may_not_be_written_is_named_and_nothing_recorded_is_made_again() {
    let undisturbed = pipeline_with_large_files(Project::new());
    undisturbed.build("").success();
    for folder in ["cache", "plots", "site"] {
        let project = pipeline_with_large_files(Project::new());
        let Some(unwritable) = Unwritable::new(&project.path(folder)) else { return };
        let when = format!("`{folder}` may not be written");
        let causes = ["Read-only file system", "Permission denied"];
        check_complaints(&project.build(""), folder, &causes, &when);
        drop(unwritable);
        let recorded = witness::check_after_failures(&project, &when);
        assert_eq!(recorded.len() == everything().len(), folder == "site", "{when}: {recorded:?}");
        goes_on(&project, &recorded, &undisturbed, &when);
    }
}

#[test]
fn a_plot_that_is_larger_than_files_may_be_fails_alone_and_is_made_when_it_may() {
    // The model may write as much as it likes, and jheem may not.
    let large = padded("$([ $3 = y ] && echo 3000000 || echo 60000)")
        .replace("set -e\n", "set -e\nulimit -S -f unlimited\n");
    let undisturbed = pipeline_in(Project::new(), &large);
    undisturbed.build("").success();
    let project = pipeline_in(Project::new(), &large);
    let plain = project.command("build --format json --keep-going");
    let limited = "trap '' XFSZ; ulimit -S -f 4096; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", limited]).arg(plain.get_program()).args(plain.get_args());
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(project.root());
    let ran = Ran::new("build --keep-going", command.output().unwrap()).code(1);
    let when = "no file may be larger than 2 MiB";
    check_complaints(&ran, "cache", &["File too large"], when);
    let ran = ran.targets("built=6 failed=2 skipped=2");
    assert_eq!(ran.ended("failed"), ["plot.p[city=A, outcome=y]", "plot.p[city=B, outcome=y]"]);
    let recorded = witness::check_after_failures(&project, when);
    assert_eq!(recorded.len(), 6, "{recorded:?}");
    goes_on(&project, &recorded, &undisturbed, when);
}
