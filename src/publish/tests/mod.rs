//! Publishing as a user sees it: a small project with a site, and what a publish leaves in it.
//!
//! This file is the project; the tests are in the files below, by subject.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::aws::Aws;
use crate::digest::Digest;
use crate::error::Result;
use crate::places::Places;

use super::*;

mod killed;
mod ledger;
mod objects;
mod refused;
mod rows;
mod sequences;

/// One plot of the project: what a build of it would leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plot {
    pub city: String,
    pub name: String,
    /// What a reader sees of it.
    pub content: String,
    /// What is volatile in it, such as the time it was made.
    pub volatile: String,
    pub judged: String,
    pub cache_control: Option<String>,
    pub note: String,
}

/// A plot whose content is its name.
pub(crate) fn plot(city: &str, name: &str) -> Plot {
    Plot {
        city: city.into(),
        name: name.into(),
        content: format!("plot {name} of {city}"),
        volatile: String::new(),
        judged: "plotly 1".into(),
        cache_control: None,
        note: "first".into(),
    }
}

impl Plot {
    pub fn content(mut self, content: &str) -> Plot {
        self.content = content.into();
        self
    }

    pub fn volatile(mut self, volatile: &str) -> Plot {
        self.volatile = volatile.into();
        self
    }

    pub fn cached_for(mut self, time: &str) -> Plot {
        self.cache_control = Some(time.into());
        self
    }

    pub fn note(mut self, note: &str) -> Plot {
        self.note = note.into();
        self
    }

    pub fn bytes(&self) -> String {
        format!("{}{}", self.content, self.volatile)
    }

    pub fn key(&self) -> String {
        format!("{}/cessation/{}.json", self.city, self.name)
    }

    pub fn row_key(&self) -> RowKey {
        let text = |text: String| Attribute::S(text);
        RowKey(vec![
            ("city_scenario".into(), text(format!("{}#cessation", self.city))),
            ("outcome_stat_facet".into(), text(format!("{}#mean.and.interval#none", self.name))),
        ])
    }
}

/// A project folder, and what has been built in it.
pub(crate) struct Project {
    /// Removed with its folder when the test ends.
    #[expect(dead_code, reason = "held for its drop")]
    folder: Option<tempfile::TempDir>,
    pub root: PathBuf,
    pub owner: String,
    pub now: String,
    pub destinations: Vec<Destination>,
}

impl Project {
    pub fn new() -> Project {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        Project { folder: Some(folder), ..Project::at(root) }
    }

    /// The project in a folder that another process made.
    pub fn at(root: PathBuf) -> Project {
        fs::create_dir_all(root.join("built")).unwrap();
        let urls = ["file:site", "sqlite:site/plots.db#plots"];
        let destinations = urls.map(|url| parse_destination(url).unwrap()).to_vec();
        let (owner, now) = ("ryan-white".into(), "2026-01-01T00:00:00Z".into());
        Project { folder: None, root, owner, now, destinations }
    }

    pub fn open(&self, destinations: &[Destination]) -> Result<Vec<Place>> {
        let (root, cache) = (self.root.clone(), self.path("cache"));
        let places = &Places { root, cache, owner: "test".into() };
        open(
            &World { places, aws: &Aws::new(), owner: &self.owner, step: &Step::begin() },
            destinations,
        )
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    pub fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    pub fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), text).unwrap();
    }

    /// An object and a row for each plot, as the original pipeline has them.
    pub fn wanted(&self, plots: &[Plot]) -> Wanted {
        let text = |text: &str| Attribute::S(vec![Piece::Text(text.to_owned())]);
        let objects = plots.iter().map(|plot| {
            let bytes = plot.bytes();
            let headers = Headers {
                content_type: Some("application/json".into()),
                cache_control: plot.cache_control.clone(),
                metadata: BTreeMap::from([("city".into(), plot.city.clone())]),
                ..Headers::default()
            };
            WantedObject {
                target: format!("plot.rw {}/{}", plot.city, plot.name),
                destination: 0,
                key: plot.key(),
                content: Digest::of(plot.content.as_bytes()),
                bytes: Digest::of(bytes.as_bytes()),
                judged: Digest::of(plot.judged.as_bytes()),
                size: bytes.len() as u64,
                headers,
                uncompared: BTreeMap::from([("timestamp".into(), vec![Piece::Now])]),
                gzip: false,
                packed: None,
                once: false,
                copied: None,
                role: Role::Output,
            }
        });
        let rows = plots.iter().enumerate().map(|(index, plot)| WantedRow {
            target: format!("plot.rw {}/{}", plot.city, plot.name),
            destination: 1,
            key: plot.row_key(),
            item: BTreeMap::from([
                ("outcome".into(), text(&plot.name)),
                ("note".into(), text(&plot.note)),
                ("s3_key".into(), Attribute::S(vec![Piece::ObjectKey])),
                ("file_size".into(), Attribute::N(vec![Piece::ObjectSize])),
            ]),
            uncompared: BTreeMap::from([("created_at".into(), Attribute::S(vec![Piece::Now]))]),
            alone: false,
            object: Some(index),
        });
        Wanted {
            owner: self.owner.clone(),
            publish: "plots".into(),
            now: self.now.clone(),
            destinations: self.destinations.clone(),
            invalidation: None,
            objects: objects.collect(),
            rows: rows.collect(),
            editions: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Leaves the plots' files where a build would.
    pub fn build(&self, plots: &[Plot]) {
        for plot in plots {
            let bytes = plot.bytes();
            fs::write(self.built(&Digest::of(bytes.as_bytes())), bytes).unwrap();
        }
    }

    fn built(&self, bytes: &Digest) -> PathBuf {
        self.root.join("built").join(bytes.hex())
    }

    pub fn plan(&self, plots: &[Plot]) -> PublishPlan {
        self.plan_of(&self.wanted(plots)).unwrap().1
    }

    /// What a plan shows: one line for each thing that is not unchanged.
    pub fn plan_text(&self, plots: &[Plot]) -> String {
        let plan = self.plan(plots);
        let mut lines = Vec::new();
        let mut line = |what: &str, plot: &Plot, action: &Action| match action {
            Action::Unchanged => {}
            Action::Update(why) => {
                let why: Vec<_> = why.iter().map(Why::to_string).collect();
                lines.push(format!("{what} {}: {}", plot.name, why.join(", ")));
            }
            other => lines.push(format!("{what} {}: {other:?}", plot.name)),
        };
        for (index, plot) in plots.iter().enumerate() {
            line("object", plot, &plan.objects[index].action);
            line("row", plot, &plan.rows[index].action);
        }
        lines.join("\n")
    }

    pub fn plan_of(&self, wanted: &Wanted) -> Result<(Vec<There>, PublishPlan)> {
        let there = look(wanted, &self.open(&wanted.destinations)?)?;
        let plan = plan(wanted, &there, &EVERYTHING);
        Ok((there, plan))
    }

    pub fn publish(&self, plots: &[Plot]) -> Done {
        self.try_publish(plots).unwrap_or_else(|error| panic!("{}", error.render(false)))
    }

    pub fn try_publish(&self, plots: &[Plot]) -> Result<Done> {
        self.build(plots);
        self.try_publish_wanted(&self.wanted(plots), &mut |_| {})
    }

    pub fn try_publish_wanted(
        &self,
        wanted: &Wanted,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<Done> {
        let places = self.open(&wanted.destinations)?;
        let (there, plan) = self.plan_of(wanted)?;
        let source = |object: &WantedObject| Ok(self.built(&object.bytes));
        apply(wanted, &places, &there, &plan, &source, on_event)
    }

    pub fn verify(&self, declared: &Declared<'_>) -> Vec<String> {
        let places = self.open(&self.destinations).unwrap();
        let mut lines = Vec::new();
        for (destination, place) in self.destinations.iter().zip(&places) {
            let examined = examine(&self.owner, place, Depth::Listed).unwrap();
            for drift in examined.drift(destination, declared) {
                let kind = match drift.kind {
                    DriftKind::Changed { .. } => "changed".into(),
                    other => format!("{other:?}").to_lowercase(),
                };
                lines.push(format!("{kind} {}", drift.key));
            }
        }
        lines
    }

    /// The objects of the site by key, without what is jheem's own.
    pub fn objects(&self) -> BTreeMap<String, String> {
        let files = self.files().into_iter();
        files
            .filter(|(path, _)| path.ends_with(".json") && !path.starts_with(".jheem/"))
            .map(|(path, file)| (path, String::from_utf8(file.bytes).unwrap()))
            .collect()
    }

    /// The rows of the site: the two parts of the key, and the item.
    pub fn rows(&self) -> Vec<(String, String, Item)> {
        let path = self.path("site/plots.db");
        if !path.exists() {
            return Vec::new();
        }
        let database = open_to_look(&path);
        let query = "SELECT city_scenario, outcome_stat_facet, item FROM plots ORDER BY 1, 2";
        let Ok(mut statement) = database.prepare(query) else { return Vec::new() };
        let rows = statement.query_map([], |row| {
            let item: String = row.get(2)?;
            Ok((row.get(0)?, row.get(1)?, serde_json::from_str(&item).unwrap()))
        });
        rows.unwrap().map(Result::unwrap).collect()
    }

    /// Every file and folder under the site, as it is on the disk.
    pub fn files(&self) -> BTreeMap<String, OnDisk> {
        let site = self.path("site");
        let mut files = BTreeMap::new();
        let mut folders = vec![site.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                let found = path.symlink_metadata().unwrap();
                if found.is_dir() {
                    folders.push(path.clone());
                }
                let name = path.strip_prefix(&site).unwrap().to_str().unwrap().to_owned();
                files.insert(name, OnDisk::of(&path, &found));
            }
        }
        files
    }

    /// No row speaks of an object that is not there.
    pub fn assert_rows_have_objects(&self) {
        let objects = self.objects();
        for (.., item) in self.rows() {
            let Attribute::S(key) = &item["s3_key"] else { panic!("{item:?}") };
            assert!(objects.contains_key(key), "the row of `{key}` has no object");
        }
    }
}

/// Opens a database without leaving a file beside it, unless a killed publish already has.
pub(crate) fn open_to_look(path: &Path) -> Connection {
    let log = PathBuf::from(format!("{}-wal", path.display())).exists();
    let uri = format!("file:{}{}", path.display(), if log { "" } else { "?immutable=1" });
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(uri, flags).unwrap()
}

/// One file or folder; equal only if nothing touched it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OnDisk {
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    pub bytes: Vec<u8>,
}

impl OnDisk {
    fn of(path: &Path, found: &fs::Metadata) -> OnDisk {
        OnDisk {
            inode: found.ino(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
            bytes: if found.is_file() { fs::read(path).unwrap() } else { Vec::new() },
        }
    }
}

/// A graph that declares whatever is asked for.
pub(crate) const EVERYTHING: Declared<'static> =
    Declared { object: &|_, _| true, row: &|_, _| true, any: &|_| false };
