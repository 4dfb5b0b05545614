//! The same project in another folder, for another user, or written in another order.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::project::{Project, Ran};
use super::chain::CHAIN;
use super::{built, nothing_follows};

/// Copies a whole project beside itself, with `cp` and these options.
fn copied(project: &Project, options: &str) -> PathBuf {
    let to = project.root().parent().unwrap().join(format!("copy{options}"));
    let done = Command::new("cp").arg(options).arg(project.root()).arg(&to).status().unwrap();
    assert!(done.success());
    to
}

fn jheem_in(project: &Project, folder: &Path, arguments: &str) -> Ran {
    let output = project.command(arguments).current_dir(folder).output().unwrap();
    Ran::new(arguments, output)
}

#[test]
fn a_copy_with_its_cache_is_as_fresh_as_the_original() {
    let project = built();
    for options in ["-a", "-r"] {
        let copy = copied(&project, options);
        jheem_in(&project, &copy, "plan --format json").success().targets("fresh=8");
        jheem_in(&project, &copy, "build --format json").success().targets("fresh=8");
        fs::remove_file(copy.join("plots/A/x.json")).unwrap();
        jheem_in(&project, &copy, "build --format json").success().targets("fresh=7 restored=1");
        assert!(project.made().is_empty());
        fs::write(copy.join("data/A.txt"), "7\n").unwrap();
        jheem_in(&project, &copy, "build --format json").success().targets("fresh=3 built=5");
        assert_eq!(project.made().len(), 5);
    }
    nothing_follows(&project);
}

#[test]
fn a_jheemfile_in_another_folder_is_the_same_from_anywhere() {
    let project = built();
    let file = project.path("Jheemfile.toml").to_string_lossy().into_owned();
    let outside = project.root().parent().unwrap().to_owned();
    jheem_in(&project, &outside, &format!("build --format json --file {file}"))
        .success()
        .targets("fresh=8");
    let below = project.path("plots/A");
    jheem_in(&project, &below, "build --format json").success().targets("fresh=8");
}

/// Runs a jheem as an ordinary user; none if this process may not become one.
fn as_nobody(project: &Project, folder: &Path, arguments: &str) -> Option<Ran> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can become another user");
        return None;
    }
    let binary = folder.parent().unwrap().join("jheem");
    fs::copy(env!("CARGO_BIN_EXE_jheem"), &binary).unwrap();
    let mut command = Command::new("runuser");
    command.args(["-u", "nobody", "--"]).arg(&binary).args(arguments.split_whitespace());
    let own = project.command("");
    command.envs(own.get_envs().filter_map(|(n, v)| Some((n, v?)))).current_dir(folder);
    Some(Ran::new(arguments, command.output().unwrap()))
}

fn open_up(folder: &Path) {
    let done = Command::new("chmod").args(["a+rx"]).arg(folder.parent().unwrap()).status().unwrap();
    assert!(done.success());
}

#[test]
fn another_user_finds_a_copy_as_fresh_as_its_maker_did() {
    let project = built();
    let copy = copied(&project, "-a");
    open_up(&copy);
    if rustix::process::geteuid().is_root() {
        let done = Command::new("chown").args(["-R", "nobody"]).arg(&copy).status().unwrap();
        assert!(done.success());
    }
    let Some(planned) = as_nobody(&project, &copy, "plan --format json") else { return };
    planned.success().targets("fresh=8");
    fs::remove_file(copy.join("sums/x.txt")).unwrap();
    as_nobody(&project, &copy, "build --format json")
        .unwrap()
        .success()
        .targets("fresh=7 restored=1");
    assert!(project.made().is_empty());
}

#[test]
fn another_user_may_ask_where_only_the_owner_may_write() {
    let project = built();
    open_up(project.root());
    let Some(planned) = as_nobody(&project, project.root(), "plan --format json") else { return };
    planned.success().targets("fresh=8");
    let why = as_nobody(&project, project.root(), "why plots/A/x.json").unwrap();
    why.success().says("nothing that it depends on has changed");
    let built = as_nobody(&project, project.root(), "build").unwrap();
    assert_eq!(built.code, Some(3), "{built}");
    nothing_follows(&project);
}

#[test]
fn another_order_of_tables_axes_and_values_changes_nothing() {
    let project = built();
    let mut tables: Vec<String> = Vec::new();
    for line in CHAIN.lines() {
        if line.starts_with('[') {
            tables.push(String::new());
        }
        if let Some(table) = tables.last_mut() {
            table.push_str(line);
            table.push('\n');
        }
    }
    // Tables may stand anywhere, but for the items of a list of tables.
    tables.reverse();
    project.write("Jheemfile.toml", tables.concat());
    nothing_follows(&project);
    project.change("over = [\"city\", \"outcome\"]", "over = [\"outcome\", \"city\"]");
    nothing_follows(&project);
    project.change("values = [\"A\", \"B\"]", "values = [\"B\", \"A\"]");
    nothing_follows(&project);
}
