//! Looks at what is there: inputs, outputs, programs and images. The only reader of project files.
//!
//! Looks only for the goals and what they need: an input that nothing selected reads may be
//! missing. Hashing is spared by what is remembered of each file; see `memo`. Whoever wishes to stop
//! does not wait for it: looking ends between files, and within a file between two reads.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use globset::GlobMatcher;
use rayon::prelude::*;

use crate::digest::Digest;
use crate::error::{Error, Result, nearest};
use crate::graph::{From, Graph, Runner, Start, Target};
use crate::job::Stop;
use crate::lockfile::{self, Lockfile, PinnedInput};
use crate::memo::{self, Disk, Entry, Looked, Nanos, RealDisk, Stat};
use crate::places::Places;
use crate::plan::{self, Facts, FileFact, InputFact, RunnerFact, Unresolved};
use crate::records::{Key, Record, Records};
use crate::registry::Pinned;
use crate::registry::platform::Platform;
use crate::selection::Selection;
use crate::source;

/// What was hashed once more after the first look, by path.
type Again = Mutex<HashMap<PathBuf, Entry>>;

/// What was seen of files, to be remembered and to be compared with later.
#[derive(Debug, Default)]
pub struct Snapshot {
    again: Again,
    inputs: HashMap<(usize, usize), Entry>,
    /// For inputs that are folders: the files below them, sorted.
    folders: HashMap<(usize, usize), Vec<(String, Entry)>>,
    /// Outputs that were hashed now; what is not here is as the records remember it.
    ///
    /// By rule, then cell times outputs plus output.
    hashed: Vec<Vec<Option<Box<Entry>>>>,
    /// Inputs that are not in the project, and are read from the cache.
    afar: BTreeSet<(usize, usize)>,
    /// The executables of programs, by runner.
    programs: HashMap<usize, (PathBuf, Entry)>,
    /// Memos of inputs and programs that are new, by path.
    pub fresh: Vec<(String, Entry)>,
    /// Pairs of digests of the same bytes that are new: a SHA-256, and jheem's own.
    pub twins: Vec<(Digest, Digest)>,
}

impl Snapshot {
    /// What is to be remembered of a group's files, in the order of records; `known` is what was.
    pub fn memo(
        &self,
        graph: &Graph,
        target: Target,
        group: usize,
        known: &[Option<Entry>],
    ) -> Vec<Option<Entry>> {
        let hashed = self.hashed_of(graph, target);
        graph
            .order(target, group)
            .iter()
            .enumerate()
            .map(|(at, &output)| match &hashed[output] {
                Some(entry) => Some(Entry::clone(entry)),
                None => known.get(at).cloned().flatten(),
            })
            .collect()
    }

    /// Whether more was learned of a group's files than is remembered.
    pub fn learned(&self, graph: &Graph, target: Target, group: usize) -> bool {
        let hashed = self.hashed_of(graph, target);
        graph.order(target, group).iter().any(|&output| hashed[output].is_some())
    }

    fn hashed_of(&self, graph: &Graph, target: Target) -> &[Option<Box<Entry>>] {
        let outputs = graph.rule(target.rule).outputs.len();
        &self.hashed[target.rule.0][target.cell * outputs..][..outputs]
    }

    /// What was seen at an output's place, if it had to be hashed.
    pub fn looked(&self, graph: &Graph, target: Target, output: usize) -> Option<&Entry> {
        self.hashed_of(graph, target)[output].as_deref()
    }

    /// The files of an input that is a folder.
    pub fn folder_files(&self, input: usize, cell: usize) -> Vec<String> {
        let files = self.folders.get(&(input, cell));
        files.map(|files| files.iter().map(|(f, _)| f.clone()).collect()).unwrap_or_default()
    }
}

/// What a name stands for.
#[derive(Debug)]
pub enum Image {
    Is(String),
    /// The daemon has none of that name, and the registry of this one has.
    Elsewhere(String, Pinned),
    /// The daemon has none of that name; and why no registry gives it, if one was asked.
    Unknown(Option<Error>),
    /// The daemon answers, and has none that would do.
    Refused(Error),
    NoDaemon(Error),
}

/// Answers which image a name stands for.
pub trait Images: Sync {
    /// What the first of an image's names, its own and its mirrors', stands for now.
    fn id(&self, names: &[&str], platform: Option<&str>) -> Image;
}

/// What facts are gathered for, and from.
pub struct Observe<'a> {
    pub graph: &'a Graph,
    pub places: &'a Places,
    pub lock: &'a Lockfile,
    pub selection: &'a Selection,
    pub last: &'a HashMap<Key, Record>,
    pub records: Option<&'a Records>,
    pub images: &'a dyn Images,
    pub stop: &'a Stop,
}

/// What looking came to.
pub enum Observed {
    All(Box<(Facts, Snapshot)>),
    /// Somebody asked to stop; what was hashed by then need not be hashed again.
    Stopped(Vec<(String, Entry)>),
}

/// The real file system, which answers nothing more once somebody wishes to stop.
struct Stoppable<'a> {
    stop: &'a Stop,
}

impl Stoppable<'_> {
    fn go_on(&self) -> io::Result<()> {
        if self.stop.is_raised() { Err(io::Error::other("somebody asked to stop")) } else { Ok(()) }
    }
}

impl Disk for Stoppable<'_> {
    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        self.go_on()?;
        RealDisk.stat(path)
    }

    fn digest(&self, path: &Path) -> io::Result<Digest> {
        let reader = StoppableFile { disk: self, file: File::open(path)? };
        Ok(Digest::blake3(blake3::Hasher::new().update_reader(reader)?.finalize()))
    }

    fn now(&self) -> Nanos {
        RealDisk.now()
    }
}

/// A file that is read for as long as nobody wishes to stop.
struct StoppableFile<'a> {
    disk: &'a Stoppable<'a>,
    file: File,
}

impl Read for StoppableFile<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.disk.go_on()?;
        self.file.read(buffer)
    }
}

/// Looking at inputs and programs, from several threads.
struct Looking<'a> {
    disk: &'a dyn Disk,
    /// What records remember of files, by path.
    remembered: &'a HashMap<String, Entry>,
    /// What was hashed now.
    hashed: Mutex<Vec<(String, Entry)>>,
}

impl Looking<'_> {
    /// Looks at a file that is remembered under this path.
    fn look(&self, path: &str, host: &Path) -> Result<Looked> {
        let looked = memo::look(self.disk, self.remembered.get(path), host)?;
        if let Looked::File { entry, hashed: true } = &looked
            && let Ok(mut hashed) = self.hashed.lock()
        {
            hashed.push((path.to_owned(), entry.clone()));
        }
        Ok(looked)
    }
}

/// Looks at everything that the selection needs.
pub fn observe(observe: &Observe<'_>) -> Result<Observed> {
    let mut facts = Facts::default();
    let mut snapshot = Snapshot::default();
    let remembered = match observe.records {
        Some(records) => records.input_memo()?,
        None => HashMap::new(),
    };
    if let Some(records) = observe.records
        && !observe.lock.inputs.is_empty()
    {
        facts.twins = records.twins()?.into_iter().collect();
    }
    let disk = Stoppable { stop: observe.stop };
    let looking = Looking { disk: &disk, remembered: &remembered, hashed: Mutex::default() };
    let looked = inputs(observe, &looking, &mut facts, &mut snapshot)
        .and_then(|()| outputs(observe, &disk, &mut facts, &mut snapshot))
        .and_then(|()| runners(observe, &looking, &mut facts, &mut snapshot));
    let mut hashed = looking.hashed.into_inner().unwrap_or_default();
    hashed.sort_by(|(a, _), (b, _)| a.cmp(b));
    if observe.stop.is_raised() {
        return Ok(Observed::Stopped(hashed));
    }
    looked?;
    snapshot.fresh = hashed;
    Ok(Observed::All(Box::new((facts, snapshot))))
}

fn inputs(
    observe: &Observe<'_>,
    looking: &Looking<'_>,
    facts: &mut Facts,
    snapshot: &mut Snapshot,
) -> Result<()> {
    let (graph, root) = (observe.graph, &observe.places.root);
    let mut wanted: BTreeSet<(usize, usize)> = BTreeSet::new();
    for target in observe.selection.targets() {
        let rule = graph.rule(target.rule);
        if rule.declared_absent(target.cell) {
            continue;
        }
        for read in &rule.reads {
            if let From::Input(input) = read.from {
                wanted.extend(read.cells(&rule.space, target.cell).into_iter().map(|c| (input, c)));
            }
        }
        for (_, input) in &graph.runners[rule.runner].overlays {
            wanted.insert((*input, 0));
        }
    }
    let wanted: Vec<(usize, usize)> = wanted.into_iter().collect();
    let pin = |input, cell| observe.lock.inputs.get(&graph.input_source(input, cell)?);
    let twins = facts.twins.reversed();
    let looked: Vec<Result<PinnedOrNot<'_>>> = wanted
        .par_iter()
        .map(|&(input, cell)| {
            let path = graph.input_path(input, cell);
            let host = root.join(&path);
            if let Some(exclude) = &graph.inputs[input].folder {
                return Ok((look_folder(looking, exclude, &path, &host)?, None, None));
            }
            let looked = looking.look(&path, &host)?;
            let pin = pin(input, cell);
            let sha256 = match (&looked, pin) {
                (Looked::File { entry, .. }, Some(pin)) => {
                    sha256(observe.stop, &host, entry, pin, &twins)?
                }
                _ => None,
            };
            Ok((SeenInput::File(looked), pin, sha256))
        })
        .collect();
    for (&(input, cell), looked) in wanted.iter().zip(looked) {
        let (seen, pin, sha256) = looked?;
        let fact = match seen {
            SeenInput::File(Looked::Missing) => match pin {
                Some(&PinnedInput { digest, size, .. }) => {
                    snapshot.afar.insert((input, cell));
                    InputFact::Pinned { digest, size, present: false }
                }
                None => InputFact::Missing,
            },
            SeenInput::File(Looked::NotAFile(kind)) => InputFact::Wrong(kind.to_owned()),
            SeenInput::File(Looked::File { entry, .. }) => {
                let (digest, size) = (entry.digest, entry.stat.size);
                if let Some(sha256) = sha256
                    && facts.twins.insert(sha256, digest)
                {
                    snapshot.twins.push((sha256, digest));
                }
                snapshot.inputs.insert((input, cell), entry);
                match pin {
                    None => InputFact::There { digest, size },
                    Some(pin) if sha256 == Some(pin.digest) => {
                        InputFact::Pinned { digest: pin.digest, size, present: true }
                    }
                    Some(pin) => InputFact::Differs { digest, size, pinned: pin.digest },
                }
            }
            SeenInput::Missing => InputFact::Missing,
            SeenInput::Folder { digest, size, files } => {
                snapshot.folders.insert((input, cell), files);
                InputFact::There { digest, size }
            }
        };
        facts.inputs.insert((input, cell), fact);
    }
    Ok(())
}

/// The SHA-256 of a file that should be what the lock says; none where its size says that it is not.
fn sha256(
    stop: &Stop,
    host: &Path,
    entry: &Entry,
    pin: &PinnedInput,
    twins: &HashMap<Digest, Digest>,
) -> Result<Option<Digest>> {
    if entry.stat.size != pin.size {
        return Ok(None);
    }
    match twins.get(&entry.digest) {
        Some(known) => Ok(Some(*known)),
        None => {
            let sha256 = source::sha256_of(host, &|| !stop.is_raised())?;
            // Two digests of two contents would be believed for ever.
            let now = RealDisk.stat(host).map_err(|e| Error::io("look at", host, &e))?;
            if now.as_ref() != Some(&entry.stat) {
                return Err(Error::environment(format!(
                    "`{}` changed while it was read",
                    host.display()
                ))
                .hint("wait until whatever writes it is done"));
            }
            Ok(sha256)
        }
    }
}

/// What was seen of an input, what the lock says of it, and the SHA-256 of its file if that had to be known.
type PinnedOrNot<'a> = (SeenInput, Option<&'a PinnedInput>, Option<Digest>);

enum SeenInput {
    File(Looked),
    Missing,
    Folder { digest: Digest, size: u64, files: Vec<(String, Entry)> },
}

/// A folder's digest is over the sorted paths below it, who may run them, and their contents.
fn look_folder(
    looking: &Looking<'_>,
    exclude: &[GlobMatcher],
    path: &str,
    host: &Path,
) -> Result<SeenInput> {
    if !host.is_dir() {
        return Ok(SeenInput::Missing);
    }
    let mut names = Vec::new();
    walk(host, "", &|name| exclude.iter().any(|glob| glob.is_match(name)), &mut names)?;
    names.sort();
    let mut hasher = blake3::Hasher::new();
    let mut files = Vec::new();
    let mut size = 0;
    for name in names {
        let project_path = format!("{path}/{name}");
        match looking.look(&project_path, &host.join(&name))? {
            Looked::File { entry, .. } => {
                hasher.update(&(name.len() as u64).to_le_bytes());
                hasher.update(name.as_bytes());
                hasher.update(&[u8::from(entry.stat.mode & 0o111 != 0)]);
                hasher.update(&entry.digest.bytes);
                size += entry.stat.size;
                files.push((name, entry));
            }
            Looked::Missing => {}
            Looked::NotAFile(kind) => {
                return Err(Error::user(format!("`{project_path}` is {kind}, not a file"))
                    .hint("leave it out: add it to the input's `exclude`"));
            }
        }
    }
    Ok(SeenInput::Folder { digest: Digest::blake3(hasher.finalize()), size, files })
}

fn walk(
    folder: &Path,
    below: &str,
    left_out: &dyn Fn(&str) -> bool,
    names: &mut Vec<String>,
) -> Result<()> {
    let at = folder.join(below);
    let entries = std::fs::read_dir(&at).map_err(|e| Error::io("list", &at, &e))?;
    for entry in entries {
        let entry = entry.map_err(|e| Error::io("list", &at, &e))?;
        let Ok(name) = entry.file_name().into_string() else {
            return Err(Error::user(format!(
                "`{}` has a name that is not UTF-8",
                entry.path().display()
            ))
            .hint("rename it: patterns of `exclude` are UTF-8 too"));
        };
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        if left_out(&path) {
            continue;
        }
        let kind = entry.file_type().map_err(|e| Error::io("look at", &entry.path(), &e))?;
        if kind.is_dir() {
            walk(folder, &path, left_out, names)?;
        } else {
            names.push(path);
        }
    }
    Ok(())
}

fn outputs(
    observe: &Observe<'_>,
    disk: &Stoppable<'_>,
    facts: &mut Facts,
    snapshot: &mut Snapshot,
) -> Result<()> {
    // The records themselves stay behind: a database is one thread's.
    let &Observe { graph, places, selection, last, .. } = observe;
    let looker = Looker { graph, root: &places.root, selection, last, disk };
    for id in graph.rule_ids() {
        let rule = graph.rule(id);
        // Chunks of nothing cannot be cut.
        let outputs = rule.outputs.len().max(1);
        let mut files = vec![FileFact::NotLookedAt; rule.space.cells() * outputs];
        let mut hashed = vec![None; rule.space.cells() * outputs];
        files
            .par_chunks_mut(outputs)
            .zip(hashed.par_chunks_mut(outputs))
            .with_min_len(64)
            .enumerate()
            .try_for_each(|(cell, (files, hashed))| {
                looker.look(Target { rule: id, cell }, files, hashed)
            })?;
        facts.files.push(files);
        snapshot.hashed.push(hashed);
    }
    Ok(())
}

/// What looking at outputs needs, shared by all threads.
struct Looker<'a> {
    graph: &'a Graph,
    root: &'a Path,
    selection: &'a Selection,
    last: &'a HashMap<Key, Record>,
    disk: &'a dyn Disk,
}

impl Looker<'_> {
    /// Looks at the outputs of one target that are wanted.
    fn look(
        &self,
        target: Target,
        files: &mut [FileFact],
        hashed: &mut [Option<Box<Entry>>],
    ) -> Result<()> {
        let rule = self.graph.rule(target.rule);
        let wanted = self.selection.wants(target);
        if wanted == 0 || rule.declared_absent(target.cell) {
            return Ok(());
        }
        for group in (0..rule.groups.len()).filter(|group| wanted & (1 << group) != 0) {
            let record = self.last.get(&plan::record_key(self.graph, target, group));
            for (at, &output) in self.graph.order(target, group).iter().enumerate() {
                let known = record.and_then(|r| r.memo.get(at)).and_then(Option::as_ref);
                let path = self.root.join(self.graph.output_path(target, output));
                files[output] = match memo::look(self.disk, known, &path)? {
                    Looked::Missing => FileFact::Missing,
                    Looked::NotAFile(kind) => FileFact::Wrong(kind.to_owned()),
                    // It is put in place again, as what it should be.
                    Looked::File { entry, .. }
                        if rule.outputs[output].executable && entry.stat.mode & 0o111 == 0 =>
                    {
                        FileFact::Wrong("a file that nobody may run".to_owned())
                    }
                    Looked::File { entry, hashed: now } => {
                        let fact = FileFact::There(entry.digest);
                        hashed[output] = now.then(|| Box::new(entry));
                        fact
                    }
                };
            }
        }
        Ok(())
    }
}

fn runners(
    observe: &Observe<'_>,
    looking: &Looking<'_>,
    facts: &mut Facts,
    snapshot: &mut Snapshot,
) -> Result<()> {
    let graph = observe.graph;
    let used: BTreeSet<usize> =
        observe.selection.targets().map(|t| graph.rule(t.rule).runner).collect();
    for (index, runner) in graph.runners.iter().enumerate() {
        if !used.contains(&index) {
            facts.runners.push(unresolved("not looked at", ""));
            continue;
        }
        let fact = match &runner.start {
            Start::Built { .. } => RunnerFact::Built,
            Start::Program(name) => match find_program(&observe.places.root, name) {
                None => of_error(&no_program(&observe.places.root, name)),
                Some(path) => {
                    let key = path.to_string_lossy().into_owned();
                    match looking.look(&key, &path)? {
                        Looked::File { entry, .. } => {
                            let identity = format!("program {}", entry.digest);
                            snapshot.programs.insert(index, (path, entry));
                            RunnerFact::Known { identity, note: None, manifest: None }
                        }
                        _ => of_error(&no_program(&observe.places.root, name)),
                    }
                }
            },
            Start::Image(name) => image(observe, name, runner)?,
        };
        facts.runners.push(fact);
    }
    Ok(())
}

/// How fingerprints name an image.
pub fn image_identity(config: &str) -> String {
    format!("image {config}")
}

/// What the lock calls a name of an image, for the platform of a runner or of this machine.
pub fn lock_key(runner: &Runner, name: &str) -> String {
    let platform = runner.platform.as_deref().map_or_else(Platform::here, Platform::parse);
    lockfile::image_key(name, Some(&platform.to_string()))
}

/// The daemon wins; without one, the last image that the name stood for, which is said aloud.
fn image(observe: &Observe<'_>, name: &str, runner: &Runner) -> Result<RunnerFact> {
    let platform = runner.platform.as_deref();
    let known =
        |id: &str, note| RunnerFact::Known { identity: image_identity(id), note, manifest: None };
    // What the lock pins is the same everywhere: nobody is asked.
    if let Some(pin) = observe.lock.images.get(&lock_key(runner, name)) {
        let identity = image_identity(&pin.config.to_string());
        return Ok(RunnerFact::Known { identity, note: None, manifest: Some(pin.manifest) });
    }
    Ok(match observe.images.id(&runner.image_names(), platform) {
        Image::Is(id) => known(&id, None),
        Image::Elsewhere(from, Pinned { manifest, config }) => {
            let short: String = config.to_string().chars().take(19).collect();
            let from = if from == name { String::new() } else { format!(", had from `{from}`") };
            let note = format!(
                "`{name}` is not pinned, and is {short} at its registry now{from}; `jheem update` pins it"
            );
            let (identity, manifest) = (image_identity(&config.to_string()), Some(manifest));
            RunnerFact::Known { identity, note: Some(note), manifest }
        }
        Image::Unknown(None) => {
            // It was pulled by its digest, and so is on this machine without its name.
            let last = match observe.records {
                Some(records) => records.image(name, platform.unwrap_or_default())?,
                None => None,
            };
            if let Some(last) = last
                && matches!(observe.images.id(&[&last], platform), Image::Is(id) if id == last)
            {
                return Ok(known(&last, None));
            }
            let reason = format!("the image `{name}` is not on this machine");
            unresolved(&reason, "build it, or run `jheem build`, which asks its registry for it")
        }
        Image::Unknown(Some(error)) => {
            let reason =
                format!("the image `{name}` is not on this machine, and cannot be had: {error}");
            unresolved(&reason, &error.hints.join("; "))
        }
        // The daemon wins over what is remembered.
        Image::Refused(error) => of_error(&error),
        Image::NoDaemon(error) => {
            let last = match observe.records {
                Some(records) => records.image(name, platform.unwrap_or_default())?,
                None => None,
            };
            match last {
                Some(id) => {
                    let short: String = id.chars().take(19).collect();
                    let note = format!(
                        "no daemon answers, so `{name}` is taken to be {short}, as it last was"
                    );
                    known(&id, Some(note))
                }
                None => {
                    let hint = match &error.hints[..] {
                        [] => "start the daemon".to_owned(),
                        hints => hints.join("; "),
                    };
                    unresolved(&format!("the image `{name}` is not known: {error}"), &hint)
                }
            }
        }
    })
}

fn unresolved(reason: &str, hint: &str) -> RunnerFact {
    RunnerFact::Unresolved(Unresolved { reason: reason.to_owned(), hint: hint.to_owned() })
}

fn of_error(error: &Error) -> RunnerFact {
    unresolved(&error.to_string(), &error.hints.join("; "))
}

/// Whether an input is no longer what the snapshot says. A changed time alone is no change.
pub fn input_moved(
    graph: &Graph,
    places: &Places,
    snapshot: &Snapshot,
    input: usize,
    cell: usize,
) -> bool {
    let host = places.root.join(graph.input_path(input, cell));
    if let Some(entry) = snapshot.inputs.get(&(input, cell)) {
        return !same(&snapshot.again, &host, entry);
    }
    match snapshot.folders.get(&(input, cell)) {
        Some(files) => {
            !files.iter().all(|(name, entry)| same(&snapshot.again, &host.join(name), entry))
        }
        // What is read from the cache is verified there, and never changes.
        None => !snapshot.afar.contains(&(input, cell)),
    }
}

/// The executable of a runner, if it is no longer what the snapshot says.
pub fn program_moved(snapshot: &Snapshot, runner: usize) -> Option<String> {
    let (path, entry) = snapshot.programs.get(&runner)?;
    (!same(&snapshot.again, path, entry)).then(|| path.display().to_string())
}

/// Whether a file has held the same all along, since its entry was taken.
///
/// One that was written or replaced meanwhile may have been another for a while, even if it is
/// what it was again now. A change time alone also comes from new links and modes.
fn same(again: &Again, path: &Path, entry: &Entry) -> bool {
    let disk = RealDisk;
    let before = &entry.stat;
    match disk.stat(path) {
        Ok(Some(stat)) if entry.holds(&stat) => true,
        Ok(Some(stat)) => {
            if (stat.device, stat.inode, stat.size, stat.modified)
                != (before.device, before.inode, before.size, before.modified)
            {
                return false;
            }
            // Every plot that reads it asks, and hashing a simulation takes its time.
            let known = again.lock().ok().and_then(|again| again.get(path).cloned());
            match memo::look(&disk, known.as_ref(), path) {
                Ok(Looked::File { entry: now, .. }) => {
                    let same = now.digest == entry.digest;
                    if let Ok(mut again) = again.lock() {
                        again.insert(path.to_owned(), now);
                    }
                    same
                }
                _ => false,
            }
        }
        _ => false,
    }
}

/// The executable that a program's name stands for: on the PATH, or from the project's folder.
pub fn find_program(root: &Path, name: &str) -> Option<PathBuf> {
    let candidates: Vec<PathBuf> = if name.contains('/') {
        vec![root.join(name)]
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).map(|folder| folder.join(name)).collect()
    };
    candidates
        .into_iter()
        .find(|path| path.is_file())
        .and_then(|path| std::path::absolute(path).ok())
}

/// The error for a program that is not there.
pub fn no_program(root: &Path, name: &str) -> Error {
    let Some((folder, file)) = name.rsplit_once('/') else {
        let error = Error::environment(format!("the program `{name}` is not on the PATH"));
        return if root.join(name).is_file() {
            error.hint(format!("write `./{name}` for the one beside the Jheemfile"))
        } else {
            error.hint("install it")
        };
    };
    let error = Error::environment(format!("the program `{name}` is not in the project"));
    let beside: Vec<String> = std::fs::read_dir(root.join(format!("{folder}/")))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    match nearest(file, beside.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean `{folder}/{near}`?")),
        None => error.hint("build it, or name a program on the PATH"),
    }
}

/// A variable of jheem's own environment, for runners that hand it through.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
