//! Runs an image as a container of a Docker or Podman daemon.
//!
//! create -> attach -> start -> read lines until it has ended -> inspect -> remove -> take back what it wrote.
//! A container is created by its image's digest, labelled with owner and run, and removed on every path; what a killed jheem leaves is found by its label.
//! When the first process of a container ends, the kernel ends all the others; so nothing of it outlives a run, and no init process is put before it.
//! Knows nothing of plots or records; tokio does not leave this file: callers stay synchronous.

use std::fs;
use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bollard::container::{AttachContainerResults, LogOutput};
use bollard::errors::Error as DaemonError;
use bollard::models::{
    ContainerCreateBody, ContainerState, HostConfig, Mount as ApiMount, MountType,
};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, InspectContainerOptions,
    KillContainerOptionsBuilder, ListContainersOptionsBuilder, ListImagesOptions,
    RemoveContainerOptionsBuilder, StartContainerOptions, WaitContainerOptions,
};
use futures_util::StreamExt;
use tokio::runtime::Runtime;

use crate::error::{Error, Result};
use crate::execute::by_hand;
use crate::execute::daemon::{self, Daemon, OWNER_LABEL, Options, RUN_LABEL, status};
use crate::execute::lines::Lines;
use crate::execute::ownership::{self, Caller};
use crate::execute::pull;
use crate::execute::scratch;
use crate::execute::timing::{Order, Timing};
use crate::job::{Engine, Executor, Exit, Mount, Pulling, RunSpec, Sign, Stop, Stream};
use crate::moments::{self, Moment};
use crate::registry::reference::Reference;
use crate::registry::{Config, Registries, none_of};

/// How often the wish to stop and the limits are looked at.
const TICK: Duration = Duration::from_millis(50);
/// How long the output may be silent after the end: Podman's comes up to half a second late.
const LINGER: Duration = Duration::from_secs(5);
/// How long in all what is left of the output may take.
const DRAIN: Duration = Duration::from_secs(60);
/// How long the daemon may take for an answer once the build is to stop.
const ANSWER: Duration = Duration::from_secs(10);
/// How long it may take to clear a run away then: removing gigabytes takes its time.
const CLEARING: Duration = Duration::from_secs(60);
/// How long it may take for either once somebody is in a hurry.
const HURRY: Duration = Duration::from_secs(2);
/// How long the daemon may take to remove a container that it is removing already.
const REMOVAL: Duration = Duration::from_secs(20);

/// Runs images as containers of one daemon.
#[derive(Debug)]
pub struct Containers {
    daemon: Daemon,
    runtime: Runtime,
    /// Who may pull what; none where nothing is pulled.
    registries: Option<Registries>,
    /// Held by whoever pulls.
    pulling: Mutex<()>,
}

impl Containers {
    /// Finds a daemon; none is an error that says what was tried, and what to install or start.
    pub fn connect(options: &Options) -> Result<Containers> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("containers")
            .enable_all()
            .build()
            .map_err(|error| Error::environment("cannot start threads").because(error))?;
        // The client looks for its runtime when it is made.
        let daemon = {
            let _inside = runtime.enter();
            daemon::find(options)?
        };
        Ok(Containers { daemon, runtime, registries: None, pulling: Mutex::default() })
    }

    /// The same, with logins for what must be pulled.
    pub fn pulling_with(self, registries: Registries) -> Containers {
        Containers { registries: Some(registries), ..self }
    }

    /// The daemon in words, for messages: `the Docker daemon at …`.
    pub fn daemon(&self) -> String {
        self.daemon.to_string()
    }

    /// What is baked into a local image, by its name or digest; none if the daemon does not have it.
    pub fn image_config(&self, name: &str) -> Result<Option<Config>> {
        self.runtime.block_on(self.daemon.image_config(name))
    }

    /// The repositories that a local image was pulled from or pushed to, with their registries.
    pub fn image_repositories(&self, name: &str) -> Result<Vec<String>> {
        self.runtime.block_on(self.daemon.image_repositories(name))
    }

    /// The config digest of a local image, by its name, tag or digest; none if the daemon does not have it.
    ///
    /// `platform` is `os/architecture[/variant]`; an image of another one is an error.
    pub fn image_id(&self, name: &str, platform: Option<&str>) -> Result<Option<String>> {
        self.runtime.block_on(self.daemon.image_id(name, platform))
    }
}

impl Executor for Containers {
    /// Pulls the image by its digest, unless the daemon has it under any of its names.
    fn pull(
        &self,
        spec: &RunSpec,
        stop: &Stop,
        on_progress: &mut dyn FnMut(Pulling),
    ) -> Result<bool> {
        let Engine::Image { id, platform, pulls } = &spec.engine else { return Ok(true) };
        let (Some(registries), false) = (&self.registries, pulls.is_empty()) else {
            return Ok(true);
        };
        if self.found(id, pulls)?.is_some() {
            return Ok(true);
        }
        // What a panic leaves behind here is nothing.
        let _one = self.pulling.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // Another run may have pulled it meanwhile, or it is to stop.
        if stop.is_raised() {
            return Ok(false);
        }
        if self.found(id, pulls)?.is_some() {
            return Ok(true);
        }
        let mut failed = Vec::new();
        for name in pulls {
            let at = Reference::parse(name)?;
            let login = match registries.login(&at.registry) {
                Ok(login) => login,
                Err(error) => {
                    failed.push(error);
                    continue;
                }
            };
            let begun = Instant::now();
            let said = |done, total, seconds| Pulling { image: name.clone(), done, total, seconds };
            on_progress(said(0, 0, None));
            let (mut done, mut total) = (0, 0);
            let mut tell = |d, t| {
                (done, total) = (d, t);
                on_progress(said(d, t, None));
            };
            let platform = platform.as_deref();
            match pull::pull(&self.daemon, &at, platform, login.as_ref(), stop, &mut tell) {
                Ok(false) => return Ok(false),
                Ok(true) => {
                    on_progress(said(done, total, Some(begun.elapsed().as_secs_f64())));
                    return Ok(true);
                }
                Err(error) => failed.push(registries.hint_on_pull(&at, error)),
            }
        }
        let names: Vec<&str> = pulls.iter().map(String::as_str).collect();
        Err(none_of(&names, failed))
    }

    /// What the container wrote into writable folder mounts is the caller's afterwards; a file that is mounted writable keeps its owner.
    ///
    /// Exit code 137 that jheem did not cause is `OutOfMemory`: Podman does not set the flag, and neither daemon does for a child of the first process.
    fn run(
        &self,
        spec: &RunSpec,
        stop: &Stop,
        on_line: &mut dyn FnMut(Stream, &str) -> Sign,
    ) -> Result<Exit> {
        let Engine::Image { id, platform, pulls } = &spec.engine else {
            return Err(Error::bug(format!("run `{}` is not an image's", spec.id)));
        };
        // By the name under which this daemon has it: it may know an image by its manifest alone.
        let image = match pulls.is_empty() {
            true => id.clone(),
            false => self.found(id, pulls)?.unwrap_or_else(|| id.clone()),
        };
        let (platform, pulls) = (platform.clone(), Vec::new());
        let engine = Engine::Image { id: image.clone(), platform, pulls };
        let (spec, image) = (&RunSpec { engine, ..spec.clone() }, image.as_str());
        prepare_mounts(spec)?;
        self.check_names(&spec.mounts)?;
        let Some(_admitted) = stop.admit() else { return Ok(Exit::Stopped) };
        // Outside of `block_on`, so that it can remove the container even after a panic in `on_line`.
        // Before it is created: a daemon that does not answer may have created it all the same.
        let container = Container { containers: self, name: container_name(spec), removed: false };
        let created = self.runtime.block_on(heed(stop, ANSWER, self.create(&container.name, spec)));
        let ended = match created {
            None => Ok(Exit::Stopped),
            Some(Err(error)) => {
                container.forget();
                return Err(error);
            }
            Some(Ok(())) => self.runtime.block_on(self.watch(&container.name, spec, stop, on_line)),
        };
        let removed = container.remove(stop);
        let tag = name_of(&spec.id);
        let caller = Caller { daemon: &self.daemon, image, owner: &spec.owner, tag: &tag };
        let written = spec.mounts.iter().filter(|mount| mount.write && mount.host.is_dir());
        let folders: Vec<&Path> = written.map(|mount| mount.host.as_path()).collect();
        let taking = ownership::take_back(&caller, &folders);
        let taken = self.runtime.block_on(heed(stop, CLEARING, taking));
        let exit = ended?;
        removed?;
        // What is left as it is then, the next build takes back before it begins.
        taken.unwrap_or(Ok(()))?;
        Ok(exit)
    }

    /// Removes this owner's containers, then all under `scratch`; what is another user's is taken back first.
    fn sweep(&self, owner: &str, scratch: &Path) -> Result<Vec<String>> {
        self.runtime.block_on(self.sweep_all(owner, scratch))
    }
}

/// A created container; whatever happens to its owner, it is removed.
struct Container<'a> {
    containers: &'a Containers,
    name: String,
    removed: bool,
}

impl Container<'_> {
    fn remove(mut self, stop: &Stop) -> Result<()> {
        self.removed = true;
        let removing = heed(stop, CLEARING, self.containers.remove(&self.name));
        self.containers.runtime.block_on(removing).unwrap_or_else(|| {
            let (name, daemon) = (&self.name, &self.containers.daemon);
            Err(Error::environment(format!("left container `{name}` behind"))
                .because(format!("{daemon} did not answer in time"))
                .hint("the next build removes it before it begins"))
        })
    }

    /// It was never created, or is another's.
    fn forget(mut self) {
        self.removed = true;
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        if !self.removed {
            // Reached by a panic, which is what there is to tell.
            let _ = self.containers.runtime.block_on(self.containers.remove(&self.name));
        }
    }
}

impl Containers {
    /// The name under which the daemon has an image: its config digest, or one by which it is pulled.
    fn found(&self, id: &str, pulls: &[String]) -> Result<Option<String>> {
        for name in std::iter::once(id).chain(pulls.iter().map(String::as_str)) {
            if self.image_id(name, None)?.is_some() {
                return Ok(Some(name.to_owned()));
            }
        }
        Ok(None)
    }

    async fn create(&self, name: &str, spec: &RunSpec) -> Result<()> {
        let first = self.try_create(name, spec).await;
        let created = match first {
            // The name is taken by the same run of a jheem that was killed.
            Err(error) if status(&error) == Some(409) && self.is_ours(name, spec).await => {
                self.remove(name).await?;
                self.try_create(name, spec).await
            }
            other => other,
        };
        created.map_err(|error| self.cannot_create(spec, &error))?;
        moments::pass(Moment::Created);
        Ok(())
    }

    async fn try_create(&self, name: &str, spec: &RunSpec) -> Result<(), DaemonError> {
        let mut options = CreateContainerOptionsBuilder::default().name(name);
        if let Engine::Image { platform: Some(platform), .. } = &spec.engine {
            options = options.platform(platform);
        }
        self.daemon.docker.create_container(Some(options.build()), body(spec)).await?;
        Ok(())
    }

    async fn is_ours(&self, name: &str, spec: &RunSpec) -> bool {
        let inspect = self.daemon.docker.inspect_container(name, None::<InspectContainerOptions>);
        let labels = inspect.await.ok().and_then(|found| found.config?.labels);
        labels.is_some_and(|labels| {
            labels.get(OWNER_LABEL) == Some(&spec.owner) && labels.get(RUN_LABEL) == Some(&spec.id)
        })
    }

    /// Podman joins a mount's parts with commas and splits them again without minding quotes.
    fn check_names(&self, mounts: &[Mount]) -> Result<()> {
        let split = |text: &str| text.contains([',', '"']);
        let bad = mounts
            .iter()
            .find(|mount| split(&mount.host.display().to_string()) || split(&mount.inside));
        match bad {
            Some(mount) if self.daemon.podman => {
                let (host, inside) = (mount.host.display(), &mount.inside);
                Err(Error::environment(format!("cannot mount `{host}` at `{inside}`"))
                    .because("Podman's daemon splits paths at commas and quotes")
                    .hint("rename it, or use Docker"))
            }
            _ => Ok(()),
        }
    }

    fn cannot_create(&self, spec: &RunSpec, error: &DaemonError) -> Error {
        let Engine::Image { id, .. } = &spec.engine else {
            return Error::bug(format!("run `{}` is not an image's", spec.id));
        };
        let made = self.daemon.refused(&format!("create a container of image `{id}`"), error);
        if status(error) == Some(404) {
            made.hint(
                "pull or build the image again: it may have been removed since it was looked up",
            )
        } else {
            made
        }
    }

    /// Starts the container and reads its lines until it has ended.
    async fn watch(
        &self,
        name: &str,
        spec: &RunSpec,
        stop: &Stop,
        on_line: &mut dyn FnMut(Stream, &str) -> Sign,
    ) -> Result<Exit> {
        let docker = &self.daemon.docker;
        let refused = |error: DaemonError| self.cannot_start(spec, &error);
        // Attached before it is started, so that no line is missed, whatever becomes of the daemon's own log.
        let options =
            AttachContainerOptionsBuilder::default().stream(true).stdout(true).stderr(true).build();
        // Podman prepares the container here, so what Docker says on starting it may come now.
        let attaching = docker.attach_container(name, Some(options));
        let Some(attached) = heed(stop, ANSWER, attaching).await else { return Ok(Exit::Stopped) };
        // The input is kept open as long as the output: closing it may close both.
        let AttachContainerResults { mut output, input: _input } = attached.map_err(refused)?;
        let starting = docker.start_container(name, None::<StartContainerOptions>);
        let Some(started) = heed(stop, ANSWER, starting).await else { return Ok(Exit::Stopped) };
        started.map_err(refused)?;
        moments::pass(Moment::Started);

        let mut timing = Timing::new(&spec.limits, Instant::now());
        let mut reader = Reader { out: Lines::default(), err: Lines::default(), on_line };
        let mut waiting = docker.wait_container(name, None::<WaitContainerOptions>);
        let mut tick = tokio::time::interval(TICK);
        let mut open = true;
        loop {
            tokio::select! {
                piece = output.next(), if open => match piece {
                    Some(Ok(piece)) => reader.hear(&piece, &mut timing),
                    Some(Err(error)) => return Err(self.lost(spec, &error)),
                    // A program may close its output and go on.
                    None => open = false,
                },
                ended = waiting.next() => match ended {
                    // A code other than 0 comes as an error.
                    Some(Ok(_) | Err(DaemonError::DockerContainerWaitError { .. })) => break,
                    // Waiting may outlast the client's patience; nothing is wrong with that.
                    Some(Err(DaemonError::RequestTimeoutError)) => {
                        waiting = docker.wait_container(name, None::<WaitContainerOptions>);
                    }
                    Some(Err(error)) => return Err(self.lost(spec, &error)),
                    None => break,
                },
                _ = tick.tick() => {}
            }
            if stop.is_hurried() {
                timing.hurry();
            }
            let signal = match timing.order(stop.is_raised(), Instant::now()) {
                Order::Nothing => continue,
                Order::Ask => "SIGTERM",
                Order::Kill => "SIGKILL",
            };
            let options = KillContainerOptionsBuilder::default().signal(signal).build();
            match heed(stop, ANSWER, docker.kill_container(name, Some(options))).await {
                // It has just ended, or is gone: waiting tells.
                Some(Err(error)) if !matches!(status(&error), Some(404 | 409 | 500)) => {
                    return Err(self.lost(spec, &error));
                }
                Some(_) => {}
                // Removing it ends it.
                None => return Ok(Exit::Stopped),
            }
        }
        let drained = Instant::now() + DRAIN;
        while open && Instant::now() < drained && !stop.is_hurried() {
            match tokio::time::timeout(LINGER, output.next()).await {
                Ok(Some(Ok(piece))) => reader.hear(&piece, &mut timing),
                Ok(Some(Err(_)) | None) | Err(_) => open = false,
            }
        }
        reader.finish();
        let Some(state) = heed(stop, ANSWER, self.state(name, spec)).await else {
            return Ok(Exit::Stopped);
        };
        let state = state?;
        Ok(timing.ended_by_us().unwrap_or_else(|| exit(&state)))
    }

    async fn state(&self, name: &str, spec: &RunSpec) -> Result<ContainerState> {
        let inspect = self.daemon.docker.inspect_container(name, None::<InspectContainerOptions>);
        let found = inspect.await.map_err(|error| self.lost(spec, &error))?;
        let state = found.state.unwrap_or_default();
        if state.running == Some(true) {
            // The daemon hung up on us, and the container goes on.
            let run = &spec.id;
            return Err(Error::environment(format!("lost sight of run `{run}`"))
                .because(format!("{} was restarted", self.daemon)));
        }
        Ok(state)
    }

    /// A request about a running container failed: it is gone, or the daemon is.
    fn lost(&self, spec: &RunSpec, error: &DaemonError) -> Error {
        let run = &spec.id;
        match status(error) {
            Some(404) => Error::environment(format!("the container of run `{run}` is gone"))
                .because("someone else removed it while it ran")
                .hint("build again, and leave containers labelled `jheem.owner` alone meanwhile"),
            Some(_) => self.daemon.refused(&format!("watch run `{run}`"), error),
            None => Error::environment(format!("lost sight of run `{run}`"))
                .because(format!("{} stopped answering: {error}", self.daemon))
                .hint(
                    "start the daemon again and build again: what was left is cleared away first",
                ),
        }
    }

    fn cannot_start(&self, spec: &RunSpec, error: &DaemonError) -> Error {
        let made = self.daemon.refused(&format!("start run `{}`", spec.id), error);
        let text = error.to_string();
        if text.contains("executable file not found") || text.contains("no such file") {
            made.hint("check the command and the entry point: the image holds no such program")
        } else if text.contains("exec format error") {
            made.hint("the image is for another processor: install QEMU's binfmt handlers, or choose a `platform`")
        } else {
            made.hint("try it by hand with `docker run`")
        }
    }

    /// Ends and removes a container with its anonymous volumes; being gone already is no error.
    async fn remove(&self, name: &str) -> Result<()> {
        moments::pass(Moment::Removing);
        let begun = Instant::now();
        loop {
            let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
            match self.daemon.docker.remove_container(name, Some(options)).await {
                Ok(()) => return Ok(()),
                Err(error) if status(&error) == Some(404) => return Ok(()),
                // Someone else is removing it: it is gone when it is no longer found.
                Err(error) if status(&error) == Some(409) && begun.elapsed() < REMOVAL => {
                    tokio::time::sleep(TICK).await;
                }
                Err(error) => {
                    return Err(self
                        .daemon
                        .refused(&format!("remove container `{name}`"), &error)
                        .hint(format!("run `docker rm -f {name}`")));
                }
            }
        }
    }

    async fn sweep_all(&self, owner: &str, scratch: &Path) -> Result<Vec<String>> {
        let mut done = Vec::new();
        let filters = [("label", vec![format!("{OWNER_LABEL}={owner}")])].into();
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let left = self.daemon.docker.list_containers(Some(options)).await;
        let left = left.map_err(|error| self.daemon.refused("list containers", &error))?;
        let mut image = None;
        for container in left {
            let Some(id) = container.id else { continue };
            self.remove(&id).await?;
            let names = container.names.unwrap_or_default();
            let name = names.first().map_or(id.as_str(), |name| name.trim_start_matches('/'));
            done.push(format!("removed container `{name}`"));
            image = image.or(container.image_id);
        }
        let mut cleared = scratch::clear(scratch)?;
        let mut removed = std::mem::take(&mut cleared.removed);
        if !cleared.foreign.is_empty() {
            let image = match image {
                Some(image) => image,
                None => self.any_image(&cleared.foreign[0]).await?,
            };
            let caller = Caller { daemon: &self.daemon, image: &image, owner, tag: "sweep" };
            let folders: Vec<&Path> = cleared.foreign.iter().map(|path| path.as_path()).collect();
            ownership::take_back(&caller, &folders).await?;
            let again = scratch::clear(scratch)?;
            if let Some(path) = again.foreign.first() {
                let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
                return Err(Error::io("remove", path, &denied));
            }
            removed.extend(again.removed);
        }
        done.extend(removed.iter().map(|path| format!("removed `{}`", path.display())));
        Ok(done)
    }

    /// Some image to create a container of that is never started.
    async fn any_image(&self, path: &Path) -> Result<String> {
        let images = self.daemon.docker.list_images(None::<ListImagesOptions>).await;
        let images = images.map_err(|error| self.daemon.refused("list images", &error))?;
        images.into_iter().next().map(|image| image.id).ok_or_else(|| {
            Error::environment(format!(
                "cannot remove `{}`: it belongs to another user",
                path.display()
            ))
            .hint(format!("run `sudo rm -rf {}`", path.display()))
        })
    }
}

/// What a request comes to; none if the build is to stop and the daemon takes too long over it.
///
/// A request that is let go may still be carried out.
async fn heed<T>(stop: &Stop, patience: Duration, request: impl Future<Output = T>) -> Option<T> {
    let mut request = std::pin::pin!(request);
    let mut tick = tokio::time::interval(TICK);
    let (mut raised, mut hurried) = (None, None);
    loop {
        tokio::select! {
            answer = &mut request => return Some(answer),
            _ = tick.tick() => {}
        }
        let now = Instant::now();
        if stop.is_raised() && now >= *raised.get_or_insert(now + patience) {
            return None;
        }
        if stop.is_hurried() && now >= *hurried.get_or_insert(now + HURRY) {
            return None;
        }
    }
}

/// Both streams of a container, cut into lines.
struct Reader<'a> {
    out: Lines,
    err: Lines,
    on_line: &'a mut dyn FnMut(Stream, &str) -> Sign,
}

impl Reader<'_> {
    fn hear(&mut self, piece: &LogOutput, timing: &mut Timing) {
        let (stream, lines) = match piece {
            LogOutput::StdErr { .. } => (Stream::Err, &mut self.err),
            _ => (Stream::Out, &mut self.out),
        };
        lines.push(piece.as_ref(), |line| {
            timing.heard((self.on_line)(stream, line), Instant::now());
        });
    }

    fn finish(&mut self) {
        self.out.finish(|line| {
            (self.on_line)(Stream::Out, line);
        });
        self.err.finish(|line| {
            (self.on_line)(Stream::Err, line);
        });
    }
}

fn exit(state: &ContainerState) -> Exit {
    match (state.exit_code.unwrap_or(-1), state.oom_killed) {
        (0, _) => Exit::Code(0),
        (137, _) | (_, Some(true)) => Exit::OutOfMemory,
        (code, _) => Exit::Code(code),
    }
}

/// What the daemon is asked for; `by_hand` says the same in words.
fn body(spec: &RunSpec) -> ContainerCreateBody {
    let image = match &spec.engine {
        Engine::Image { id, .. } => Some(id.clone()),
        Engine::Program { .. } => None,
    };
    let isolation = &spec.isolation;
    let memory = spec.limits.memory.and_then(|bytes| i64::try_from(bytes).ok());
    let tmpfs = isolation.read_only_root.then(|| ("/tmp".to_owned(), by_hand::TMPFS.to_owned()));
    let host = HostConfig {
        mounts: Some(spec.mounts.iter().map(api_mount).collect()),
        memory,
        // No swap beyond it: a plot that swaps is slower than one that is told to use less.
        memory_swap: memory,
        nano_cpus: by_hand::cpus(&spec.limits).map(|cpus| (cpus * 1e9) as i64),
        network_mode: Some(by_hand::network(isolation).to_owned()),
        security_opt: Some(by_hand::security()),
        cap_drop: Some(isolation.drop_capabilities.clone()),
        cap_add: Some(isolation.add_capabilities.clone()),
        readonly_rootfs: Some(isolation.read_only_root),
        tmpfs: tmpfs.map(|mount| [mount].into()),
        ..HostConfig::default()
    };
    let environment = spec.environment.iter().map(|(name, value)| format!("{name}={value}"));
    let labels = [(OWNER_LABEL, &spec.owner), (RUN_LABEL, &spec.id)];
    ContainerCreateBody {
        image,
        entrypoint: spec.entrypoint.clone(),
        cmd: Some(spec.arguments.clone()).filter(|arguments| !arguments.is_empty()),
        env: Some(environment.collect()),
        working_dir: spec.workdir.clone(),
        user: isolation.user.clone(),
        labels: Some(labels.map(|(name, value)| (name.to_owned(), value.clone())).into()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    }
}

/// A mount as a table: a bind written as one string cannot hold a colon.
fn api_mount(mount: &Mount) -> ApiMount {
    ApiMount {
        target: Some(mount.inside.clone()),
        source: Some(mount.host.display().to_string()),
        typ: Some(MountType::BIND),
        read_only: Some(!mount.write),
        ..ApiMount::default()
    }
}

/// Looks at the mounts before the daemon does, and makes room for those that lie inside of others.
///
/// A daemon makes missing places itself, as root, in whatever folder is mounted there; in a read-only one it fails.
fn prepare_mounts(spec: &RunSpec) -> Result<()> {
    for mount in &spec.mounts {
        let meta =
            fs::metadata(&mount.host).map_err(|error| Error::io("mount", &mount.host, &error))?;
        if mount.host.to_str().is_none() {
            let shown = mount.host.display();
            return Err(Error::environment(format!(
                "cannot mount `{shown}`: its name is not UTF-8"
            ))
            .hint("rename it"));
        }
        let inside = Path::new(&mount.inside);
        let around = spec
            .mounts
            .iter()
            .filter(|outer| outer.inside != mount.inside && inside.starts_with(&outer.inside));
        let Some(outer) = around.max_by_key(|outer| outer.inside.len()) else { continue };
        let rest = inside.strip_prefix(&outer.inside).unwrap_or(inside);
        let place = outer.host.join(rest);
        if place.exists() {
            continue;
        }
        if !outer.host.starts_with(&spec.scratch) {
            return Err(Error::environment(format!(
                "cannot mount `{}` at `{}`: `{}`, which is mounted around it, has no such entry",
                mount.host.display(),
                mount.inside,
                outer.host.display()
            ))
            .hint(format!("make an empty `{}`, or mount it elsewhere", place.display())));
        }
        let made = if meta.is_dir() {
            make_folders(&place, outer.write)
        } else {
            let parent = place.parent().unwrap_or(&place);
            make_folders(parent, outer.write).and_then(|()| fs::write(&place, ""))
        };
        made.map_err(|error| Error::io("make", &place, &error))?;
    }
    Ok(())
}

/// Makes folders for mounts; whoever the image runs as may write beside them where it may write around them.
fn make_folders(path: &Path, write: bool) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_folders(parent, write)?;
    }
    fs::create_dir(path)?;
    let mode = if write { 0o777 } else { 0o755 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// By this name it is removed, whether or not the daemon said that it is there.
fn container_name(spec: &RunSpec) -> String {
    let owner: String = spec.owner.chars().take(8).collect();
    format!("jheem-{}-{}", name_of(&owner), name_of(&spec.id))
}

/// A text as a part of a container's name.
fn name_of(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' };
    text.chars().map(plain).collect()
}
