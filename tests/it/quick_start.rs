//! The quick start as a newcomer meets it: an ordinary user, an empty folder, and no daemon.
//!
//! `examples` runs the README's own lines with the real cargo; here the model is built already,
//! because a toolchain may be closed to other users.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::project::{Ran, rw_model};

/// A copy of all that git keeps, owned by the user who runs jheem there.
struct Checkout {
    folder: tempfile::TempDir,
}

impl Checkout {
    /// None, said aloud, if this process may become nobody else or knows no git.
    fn new() -> Option<Checkout> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: only root can become another user");
            return None;
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root).output();
        let Some(listed) = listed.ok().filter(|listed| listed.status.success()) else {
            println!("skipped: no git checkout");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("jheem-it-").tempdir().unwrap();
        let checkout = Checkout { folder };
        let listed = String::from_utf8(listed.stdout).unwrap();
        for path in listed.split_terminator('\0').filter(|path| root.join(path).is_file()) {
            let to = checkout.root().join(path);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(root.join(path), to).unwrap();
        }
        checkout.equip();
        Some(checkout)
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    /// A PATH of jheem and a `cargo` that only hands out the program that was built before.
    fn equip(&self) {
        let bin = self.folder.path().join("bin");
        fs::create_dir(&bin).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_jheem"), bin.join("jheem")).unwrap();
        fs::copy(rw_model(), bin.join("rw-model")).unwrap();
        let cargo = format!(
            "#!/bin/sh\nset -e\nmkdir -p build/release\ncp {}/rw-model build/release/rw-model\n",
            bin.display()
        );
        fs::write(bin.join("cargo"), cargo).unwrap();
        let open = fs::Permissions::from_mode(0o755);
        for path in [self.folder.path(), &bin.join("cargo"), &bin.join("jheem")] {
            fs::set_permissions(path, open.clone()).unwrap();
        }
        let owner = Command::new("chown").args(["-R", "nobody"]).arg(self.root()).status();
        assert!(owner.unwrap().success());
    }

    /// `jheem ARGUMENTS` by an ordinary user whose environment has nothing more than it must.
    fn jheem(&self, arguments: &str) -> Ran {
        let bin = self.folder.path().join("bin");
        let mut command = Command::new("runuser");
        command.args(["-u", "nobody", "--", "env", "-i", "NO_COLOR=1"]);
        command.arg(format!("PATH={}:/usr/bin:/bin", bin.display()));
        command.arg(format!("HOME={}", self.root().display()));
        command.arg(format!("DOCKER_HOST=unix://{}/no.sock", self.folder.path().display()));
        command.arg(bin.join("jheem")).args(arguments.split_whitespace()).current_dir(self.root());
        Ran::new(arguments, command.output().unwrap())
    }

    /// Everything there is: a file that was written again differs, whatever was written.
    fn everything(&self) -> BTreeMap<String, Seen> {
        let (mut found, mut folders) = (BTreeMap::new(), vec![self.root()]);
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
                let metadata = fs::symlink_metadata(&path).unwrap();
                let mut says = None;
                if metadata.is_dir() {
                    folders.push(path.clone());
                } else if metadata.is_file() {
                    says = Some(blake3::hash(&fs::read(&path).unwrap()).to_string());
                }
                let name = path.strip_prefix(self.root()).unwrap().to_string_lossy().into_owned();
                let seen = Seen {
                    inode: metadata.ino(),
                    size: metadata.size(),
                    mode: metadata.mode(),
                    modified: (metadata.mtime(), metadata.mtime_nsec()),
                    changed: (metadata.ctime(), metadata.ctime_nsec()),
                    says,
                };
                found.insert(name, seen);
            }
        }
        found
    }

    /// What is registered: the row of each plot, by its key.
    fn rows(&self) -> BTreeMap<(String, String), String> {
        let database = rusqlite::Connection::open(self.root().join("site/plots.db")).unwrap();
        let mut rows =
            database.prepare("SELECT city_scenario, outcome_stat_facet, item FROM plots").unwrap();
        let rows = rows.query_map([], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }
}

#[derive(Debug, PartialEq)]
struct Seen {
    inode: u64,
    size: u64,
    mode: u32,
    modified: (i64, i64),
    changed: (i64, i64),
    /// Of a file.
    says: Option<String>,
}

/// What one of two looks has otherwise than the other.
fn differing<K: Ord + Clone, V: PartialEq>(
    before: &BTreeMap<K, V>,
    after: &BTreeMap<K, V>,
) -> BTreeSet<K> {
    let names = before.keys().chain(after.keys());
    names.filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}

#[test]
fn an_ordinary_user_without_a_daemon_makes_all_of_it_once_and_then_nothing_is_written() {
    let Some(checkout) = Checkout::new() else { return };
    let ran = checkout.jheem("--format json").success().targets("built=125");
    assert_eq!((ran.count("published.objects"), ran.count("published.rows")), (108, 108));
    assert_eq!(checkout.rows().len(), 108);

    let before = checkout.everything();
    let again = checkout.jheem("--format json").success().targets("fresh=125");
    assert_eq!((again.count("runs"), again.count("published.objects")), (0, 0), "{again}");
    assert_eq!(again.count("published.rows"), 0, "{again}");
    let written = differing(&before, &checkout.everything());
    // The lock names who held it last. The records note the stats of files that were too young to
    // be believed when they were made; SQLite's files come and go beside them, in their folder.
    let may = |path: &String| {
        path == "cache" || path == "cache/lock" || path.starts_with("cache/records.db")
    };
    let written: Vec<&String> = written.iter().filter(|path| !may(path)).collect();
    assert!(written.is_empty(), "a build of nothing wrote {written:?}");
}

#[test]
fn whoever_only_asks_writes_nothing() {
    let Some(checkout) = Checkout::new() else { return };
    checkout.jheem("--format json").success().targets("built=125");
    // The build before this one may have left stats to note.
    checkout.jheem("--format json").success().targets("fresh=125");
    let plot = "plots/C.12580/cessation/incidence_mean.and.interval_unfaceted.json";
    let why = format!("why {plot}");
    let asked = [
        "plan",
        "plan --format json",
        "list --paths",
        &why,
        "graph",
        "log",
        "log last",
        "cache stat",
        "verify",
        "build --dry-run",
        "publish --dry-run",
    ];
    for question in asked {
        let before = checkout.everything();
        checkout.jheem(question).success();
        let mut written = differing(&before, &checkout.everything());
        // What SQLite lays beside the records while they are read, in their folder.
        let beside = ["cache", "cache/records.db-shm", "cache/records.db-wal"];
        written.retain(|path| !beside.contains(&path.as_str()));
        assert!(written.is_empty(), "`jheem {question}` wrote {written:?}");
    }
}

#[test]
fn an_ordinary_user_changes_one_city_and_nothing_of_another_is_written() {
    let Some(checkout) = Checkout::new() else { return };
    checkout.jheem("--format json").success().targets("built=125");
    let (before, rows) = (checkout.everything(), checkout.rows());

    // The change that the README makes.
    let parameters = "examples/ryan-white/parameters/C.12580.yaml";
    let text = fs::read_to_string(checkout.root().join(parameters)).unwrap();
    assert!(text.contains("rate: 0.167"));
    fs::write(checkout.root().join(parameters), text.replace("rate: 0.167", "rate: 0.18")).unwrap();
    let plot = "plots/C.12580/cessation/incidence_mean.and.interval_unfaceted.json";
    let why = checkout.jheem(&format!("why {plot}")).success();
    drop(why.says("waits for step.base[city=C.12580]"));
    let why = checkout.jheem("why simulations/ryan-white/base/C.12580_base.Rdata").success();
    drop(
        why.says("stale: something that it depends on changed")
            .says(&format!("parameters ({parameters})")),
    );

    // A baseline, three scenarios, and the 27 plots that read them.
    let ran = checkout.jheem("--format json").success();
    let of_others = |name: &String| !name.contains("C.12580");
    let built = ran.ended("built");
    assert_eq!((built.len(), built.iter().filter(|name| of_others(name)).count()), (31, 0));
    assert_eq!((ran.count("published.objects"), ran.count("published.rows")), (27, 27), "{ran}");
    drop(ran.targets("built=31 fresh=94"));

    let after = checkout.everything();
    let mut written = differing(&before, &after);
    // Of what is not jheem's own notes, files alone.
    let own = |path: &str| {
        path.starts_with("cache") || path.starts_with("site/.jheem") || path == "site/plots.db"
    };
    let is_file = |path: &str| after.get(path).is_none_or(|seen| seen.says.is_some());
    written.retain(|path| !own(path) && is_file(path));
    let others: Vec<&String> = written.iter().filter(|path| of_others(path)).collect();
    assert!(others.is_empty(), "another city's files were written: {others:?}");
    assert_eq!(written.iter().filter(|path| path.starts_with("site/plots/")).count(), 27);
    let registered = differing(&rows, &checkout.rows());
    assert_eq!(registered.len(), 27);
    assert!(registered.iter().all(|(city, _)| city.starts_with("C.12580#")), "{registered:?}");
}
