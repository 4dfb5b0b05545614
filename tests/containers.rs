//! Images as containers of a real daemon, Docker or Podman: whichever `DOCKER_HOST` or the usual sockets lead to.
//!
//! The image is a static busybox, imported here; nothing is pulled.
//! Without a daemon each test says that it is skipped; with JHEEM_TEST_DOCKER=1 it fails instead.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use jheem::execute::container::Containers;
use jheem::execute::daemon::Options;
use jheem::job::{
    Deadline, Engine, Executor, Exit, Isolation, Limits, Mount, RunSpec, Sign, Stop, Stream,
};

const IMAGE: &str = "jheem-test-containers:busybox";

/// A daemon with the test's image; none means that the test is skipped.
fn daemon() -> Option<Containers> {
    match Containers::connect(&Options::from_environment()) {
        Ok(containers) => {
            image();
            Some(containers)
        }
        Err(error) if std::env::var("JHEEM_TEST_DOCKER").is_ok_and(|value| value == "1") => {
            panic!("JHEEM_TEST_DOCKER=1, and there is no daemon: {error}")
        }
        Err(_) => {
            println!("skipped: no Docker daemon");
            None
        }
    }
}

/// The digest of the test's image, which is imported if the daemon does not have it.
fn image() -> &'static str {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(|| {
        let containers = Containers::connect(&Options::from_environment()).unwrap();
        if let Some(id) = containers.image_id(IMAGE, None).unwrap() {
            return id;
        }
        let script = format!(
            "mkdir -p $0/bin $0/data && cp \"$(which busybox)\" $0/bin/busybox && \
             $0/bin/busybox --install -s $0/bin && ln -sf /bin/busybox $0/bin/sh && \
             for tool in $0/bin/*; do [ -L $tool ] && ln -sf /bin/busybox $tool; done; \
             tar -C $0 -c . | docker import -c 'CMD [\"sh\", \"-c\", \"echo default\"]' - {IMAGE}"
        );
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        let done = Command::new("sh").args(["-ec", &script]).arg(&root).output().unwrap();
        assert!(done.status.success(), "needs busybox-static and docker: {done:?}");
        containers.image_id(IMAGE, None).unwrap().expect("the image was just imported")
    })
}

/// A folder that stands for a project's cache, and its name as the owner.
struct Project {
    folder: tempfile::TempDir,
    owner: String,
}

impl Project {
    fn new() -> Project {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().file_name().unwrap().to_str().unwrap();
        let owner = name.trim_start_matches('.').to_owned();
        Project { folder, owner }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A shell script as a run, with `out` mounted at /out.
    fn script(&self, text: &str) -> RunSpec {
        let scratch = self.path("scratch/run");
        let out = scratch.join("out");
        fs::create_dir_all(&out).unwrap();
        RunSpec {
            id: "run/1".to_owned(),
            owner: self.owner.clone(),
            engine: Engine::Image { id: image().to_owned(), platform: None, pulls: Vec::new() },
            entrypoint: None,
            arguments: vec!["sh".to_owned(), "-c".to_owned(), text.to_owned()],
            environment: vec![("PATH".to_owned(), "/bin".to_owned())],
            handed_through: vec![],
            workdir: None,
            scratch,
            mounts: vec![Mount { host: out, inside: "/out".to_owned(), write: true }],
            isolation: Isolation::default(),
            limits: Limits { grace: Duration::from_secs(30), ..Limits::default() },
        }
    }

    /// This owner's containers, whatever their state.
    fn left(&self) -> String {
        let filter = format!("label=jheem.owner={}", self.owner);
        let docker = Command::new("docker").args(["ps", "-aq", "--filter", &filter]).output();
        String::from_utf8(docker.unwrap().stdout).unwrap()
    }
}

fn run(containers: &Containers, spec: &RunSpec) -> (Exit, Vec<(Stream, String)>) {
    let mut lines = Vec::new();
    let exit = containers
        .run(spec, &Stop::default(), &mut |stream, line| {
            lines.push((stream, line.to_owned()));
            Sign::Progress
        })
        .unwrap();
    (exit, lines)
}

fn texts(lines: &[(Stream, String)]) -> Vec<&str> {
    lines.iter().map(|(_, line)| line.as_str()).collect()
}

#[test]
fn exit_codes_and_lines_are_told() {
    let Some(containers) = daemon() else { return };
    let project = Project::new();
    let (exit, mut lines) = run(
        &containers,
        &project.script("echo one; printf 'two\\nthree'; printf 'no end' >&2; exit 3"),
    );
    assert_eq!(exit, Exit::Code(3));
    lines.sort_by_key(|(stream, _)| *stream == Stream::Err);
    assert_eq!(texts(&lines), ["one", "two", "three", "no end"]);
    assert_eq!(lines[3].0, Stream::Err);
    assert_eq!(run(&containers, &project.script("exit 0")), (Exit::Code(0), Vec::new()));
    let mut default = project.script("");
    default.arguments.clear();
    assert_eq!(texts(&run(&containers, &default).1), ["default"]);
    assert_eq!(project.left(), "");
}

#[test]
fn no_line_of_ten_megabytes_is_lost() {
    let Some(containers) = daemon() else { return };
    let project = Project::new();
    let line = "x".repeat(99);
    let text = format!("yes {line} | head -n 100000; printf end");
    let mut spec = project.script(&text);
    // More than any machine has is no bound.
    spec.limits.cpus = Some(1e6);
    let (exit, lines) = run(&containers, &spec);
    assert_eq!(exit, Exit::Code(0));
    assert_eq!(lines.len(), 100_001);
    assert!(lines[..100_000].iter().all(|(_, found)| *found == line));
    assert_eq!(lines[100_000].1, "end");
}

#[test]
fn a_container_sees_what_is_declared_and_no_more() {
    let Some(containers) = daemon() else { return };
    let project = Project::new();
    let text = "pwd; echo \"$MODEL_ID\"; cat in/data.txt code/extra.R; \
        echo x 2>/dev/null > in/data.txt || echo read-only; \
        ip -o link | grep -cv ' lo:'; id -u; grep NoNewPrivs /proc/self/status | tr -d '\\t'; \
        echo made > /out/made; cat /proc/self/cgroup >/dev/null; touch /anywhere && echo writable";
    let mut spec = project.script(text);
    spec.arguments.drain(..1);
    spec.entrypoint = Some(vec!["/bin/busybox".to_owned(), "sh".to_owned()]);
    spec.workdir = Some("/data".to_owned());
    spec.environment.push(("MODEL_ID".to_owned(), "ryan white".to_owned()));
    // Podman's daemon takes neither commas nor quotes.
    let podman = containers.daemon().contains("Podman");
    let inputs = project.path(if podman { "inputs: a b" } else { "inputs: a, \"b\"" });
    fs::create_dir_all(&inputs).unwrap();
    fs::write(inputs.join("data.txt"), "data\n").unwrap();
    fs::write(project.path("extra.R"), "extra\n").unwrap();
    // A file inside a folder that has no place for it yet.
    let code = spec.scratch.join("code");
    fs::create_dir(&code).unwrap();
    let mount =
        |host: PathBuf, inside: &str, write| Mount { host, inside: inside.to_owned(), write };
    spec.mounts.extend([
        mount(project.path("extra.R"), "/data/code/extra.R", false),
        mount(code, "/data/code", false),
        mount(inputs, "/data/in", false),
    ]);
    let (exit, lines) = run(&containers, &spec);
    let expected =
        ["/data", "ryan white", "data", "extra", "read-only", "0", "0", "NoNewPrivs:1", "writable"];
    assert_eq!(texts(&lines), expected);
    assert_eq!(exit, Exit::Code(0));
    assert_eq!(fs::read_to_string(project.path("scratch/run/out/made")).unwrap(), "made\n");
    assert_eq!(fs::read_to_string(project.path("extra.R")).unwrap(), "extra\n");

    let by_hand = Command::new("sh").args(["-c", &jheem::execute::by_hand::line(&spec)]).output();
    let by_hand = by_hand.unwrap();
    assert_eq!(String::from_utf8_lossy(&by_hand.stdout).lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_container_can_be_shut_off_further() {
    let Some(containers) = daemon() else { return };
    let project = Project::new();
    let text = "touch /anywhere 2>/dev/null || echo read-only; \
        printf '#!/bin/sh\\necho temporary' > /tmp/t; chmod +x /tmp/t; /tmp/t; \
        id -u; grep CapBnd /proc/self/status | tr -d '\\t'; echo > /out/made";
    let mut spec = project.script(text);
    spec.isolation.read_only_root = true;
    spec.isolation.user = Some("12345:12345".to_owned());
    spec.isolation.drop_capabilities = vec!["ALL".to_owned()];
    spec.isolation.add_capabilities = vec!["CHOWN".to_owned()];
    spec.limits.cpus = Some(0.5);
    let out = project.path("scratch/run/out");
    fs::set_permissions(&out, fs::Permissions::from_mode(0o777)).unwrap();
    let expected = ["read-only", "temporary", "12345", "CapBnd:0000000000000001"];
    let (exit, lines) = run(&containers, &spec);
    assert_eq!((exit, texts(&lines)), (Exit::Code(0), expected.to_vec()));
    assert_eq!(fs::metadata(out.join("made")).unwrap().uid(), uid());

    let by_hand = Command::new("sh").args(["-c", &jheem::execute::by_hand::line(&spec)]).output();
    let by_hand = by_hand.unwrap();
    assert_eq!(String::from_utf8_lossy(&by_hand.stdout).lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_deaf_and_silent_container_is_ended_by_the_quiet_limit() {
    let Some(containers) = daemon() else { return };
    let project = Project::new();
    let mut spec = project.script("trap '' TERM; echo ready; while :; do sleep 1; done");
    spec.limits.quiet = Some(Duration::from_millis(500));
    spec.limits.grace = Duration::from_millis(200);
    let (exit, lines) = run(&containers, &spec);
    assert_eq!((exit, texts(&lines)), (Exit::TimedOut(Deadline::Quiet), vec!["ready"]));
    assert_eq!(project.left(), "");
}

#[test]
fn a_talking_container_is_ended_by_the_total_limit_and_may_say_goodbye() {
    let Some(containers) = daemon() else { return };
    let project = Project::new();
    let text = "trap 'echo goodbye; exit 0' TERM; while :; do echo on; sleep 0.02; done";
    let mut spec = project.script(text);
    spec.limits.total = Some(Duration::from_millis(800));
    let (exit, lines) = run(&containers, &spec);
    assert_eq!(exit, Exit::TimedOut(Deadline::Total));
    assert_eq!(texts(&lines).last(), Some(&"goodbye"));
}

#[test]
fn a_build_that_is_stopped_stops_its_containers() {
    let Some(containers) = daemon() else { return };
    let project = Project::new();
    let spec = project
        .script("trap 'exit 0' TERM; (sleep 1000 &); echo ready; while :; do sleep 0.1; done");
    let stop = Stop::default();
    let exit = containers.run(&spec, &stop, &mut |_, _| {
        stop.raise();
        Sign::Talk
    });
    assert_eq!(exit.unwrap(), Exit::Stopped);
    assert_eq!(project.left(), "");
    let again = containers.run(&spec, &stop, &mut |_, _| Sign::Talk);
    assert_eq!(again.unwrap(), Exit::Stopped);
}

#[test]
fn a_container_that_takes_too_much_memory_is_told_apart() {
    let Some(containers) = daemon() else { return };
    let project = Project::new();
    let mut spec = project.script("echo begin; tail /dev/zero");
    spec.arguments = ["sh", "-c", "echo begin; exec tail /dev/zero"].map(str::to_owned).into();
    spec.limits.memory = Some(32 << 20);
    let (exit, lines) = run(&containers, &spec);
    assert_eq!((exit, texts(&lines)), (Exit::OutOfMemory, vec!["begin"]));
    // A child of the first process that is killed for it.
    let mut spec = project.script("tail /dev/zero; exit $?");
    spec.limits.memory = Some(32 << 20);
    assert_eq!(run(&containers, &spec).0, Exit::OutOfMemory);
    assert_eq!(project.left(), "");
}

#[test]
fn what_cannot_be_started_says_why_and_leaves_nothing() {
    let Some(containers) = daemon() else { return };
    let project = Project::new();
    let fails = |spec: &RunSpec| {
        containers.run(spec, &Stop::default(), &mut |_, _| Sign::Talk).unwrap_err()
    };
    let mut spec = project.script("");
    spec.arguments = vec!["Rscript".to_owned()];
    let error = fails(&spec);
    assert_eq!(error.message, "cannot start run `run/1`");
    assert!(error.hints[0].ends_with("the image holds no such program"), "{error:?}");

    let missing = format!("sha256:{}", "0".repeat(64));
    spec.engine = Engine::Image { id: missing.clone(), platform: None, pulls: Vec::new() };
    let error = fails(&spec);
    assert_eq!(error.message, format!("cannot create a container of image `{missing}`"));
    assert!(error.hints[0].starts_with("pull or build the image again"), "{error:?}");

    let mut spec = project.script("");
    spec.mounts[0].host = project.path("nothing");
    assert!(fails(&spec).message.ends_with("nothing`"));

    let mut spec = project.script("");
    let code = project.path("code");
    fs::create_dir(&code).unwrap();
    let mount =
        |host: PathBuf, inside: &str| Mount { host, inside: inside.to_owned(), write: false };
    spec.mounts = vec![mount(code.clone(), "/code"), mount(code.clone(), "/code/within")];
    let error = fails(&spec);
    assert!(error.message.ends_with("which is mounted around it, has no such entry"), "{error}");
    assert_eq!(fs::read_dir(&code).unwrap().count(), 0);
    assert_eq!(project.left(), "");
}

#[test]
fn images_are_known_by_their_digest() {
    let Some(containers) = daemon() else { return };
    let id = image();
    assert!(id.starts_with("sha256:") && id.len() == 71, "{id}");
    assert_eq!(containers.image_id(id, Some("linux/amd64")).unwrap().as_deref(), Some(id));
    assert_eq!(containers.image_id("jheem-test-containers:none", None).unwrap(), None);
    let error = containers.image_id(IMAGE, Some("linux/arm64")).unwrap_err();
    assert!(error.message.ends_with("is for `linux/amd64`, not for `linux/arm64`"), "{error}");
}

#[test]
fn a_container_that_someone_else_removes_is_an_error_that_says_so() {
    let Some(containers) = daemon() else { return };
    let project = Project::new();
    let spec = project.script("echo ready; sleep 1000");
    let error = containers
        .run(&spec, &Stop::default(), &mut |_, _| {
            let removed = Command::new("docker").args(["rm", "-f", project.left().trim()]).output();
            assert!(removed.unwrap().status.success());
            Sign::Progress
        })
        .unwrap_err();
    assert_eq!(error.message, "the container of run `run/1` is gone");
}

#[test]
fn a_panic_while_a_line_is_heard_leaves_no_container() {
    let Some(containers) = daemon() else { return };
    let project = Project::new();
    let spec = project.script("echo ready; sleep 1000");
    let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        containers.run(&spec, &Stop::default(), &mut |_, _| panic!("on purpose"))
    }));
    assert!(ran.is_err());
    assert_eq!(project.left(), "");
}

#[test]
fn a_daemon_that_dies_meanwhile_is_an_error_and_its_container_is_swept_later() {
    let Some(containers) = daemon() else { return };
    let project = Project::new();
    let proxy = Proxy::start(&project.path("proxy.sock"));
    let host = Some(format!("unix://{}", project.path("proxy.sock").display()));
    let through = Containers::connect(&Options { host, ..Options::default() }).unwrap();
    let spec = project.script("echo ready; sleep 1000");
    let error = through
        .run(&spec, &Stop::default(), &mut |_, _| {
            proxy.cut();
            Sign::Progress
        })
        .unwrap_err();
    assert_eq!(error.message, "lost sight of run `run/1`");
    assert_ne!(project.left(), "");
    let done = containers.sweep(&project.owner, &project.path("scratch")).unwrap();
    assert_eq!(done.len(), 2, "{done:?}");
    assert!(done[0].starts_with("removed container `jheem-"), "{done:?}");
    assert_eq!(project.left(), "");
}

#[test]
fn a_daemon_that_does_not_answer_holds_up_no_build_that_is_to_stop() {
    let Some(_) = daemon() else { return };
    for request in ["/containers/create", "/attach?", "/start"] {
        let project = Project::new();
        let stop = Arc::new(Stop::default());
        let asked = Arc::clone(&stop);
        let silence = Silence { request, then: Box::new(move || asked.hurry()) };
        let _proxy = Proxy::with(&project.path("proxy.sock"), Some(silence));
        let host = Some(format!("unix://{}", project.path("proxy.sock").display()));
        let through = Containers::connect(&Options { host, ..Options::default() }).unwrap();
        let spec = project.script("echo ready; sleep 1000");
        let exit = through.run(&spec, &stop, &mut |_, _| Sign::Progress);
        assert_eq!(exit.unwrap(), Exit::Stopped, "{request}");
        assert_eq!(project.left(), "", "a container is left after {request}");
    }
}

/// Stands between jheem and the daemon, and can be cut.
struct Proxy {
    path: PathBuf,
    /// None once it is cut: what is accepted after that is dropped.
    open: Arc<Mutex<Option<Vec<UnixStream>>>>,
}

/// Keeps the answers to one kind of request to itself.
struct Silence {
    /// What the request's first line holds.
    request: &'static str,
    /// Done when the daemon has answered.
    then: Box<dyn Fn() + Send + Sync>,
}

/// Copies answers, but for those that are kept silent.
fn answer(mut from: UnixStream, to: UnixStream, asked: &Mutex<Vec<u8>>, silence: &Silence) {
    let mut first = [0; 1 << 12];
    while let Ok(read) = from.read(&mut first) {
        let heard = asked.lock().unwrap().clone();
        let line = heard.split(|byte| *byte == b'\r').next().unwrap_or_default();
        if read > 0 && String::from_utf8_lossy(line).contains(silence.request) {
            (silence.then)();
            // Until the daemon hangs up, so that jheem waits for an answer.
            let _ = from.read_to_end(&mut Vec::new());
            return;
        }
        asked.lock().unwrap().clear();
        if read == 0 || (&to).write_all(&first[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

impl Proxy {
    fn start(path: &Path) -> Proxy {
        Proxy::with(path, None)
    }

    fn with(path: &Path, silence: Option<Silence>) -> Proxy {
        let silence = silence.map(Arc::new);
        let daemon = match std::env::var("DOCKER_HOST") {
            Ok(host) => PathBuf::from(host.trim_start_matches("unix://")),
            Err(_) => PathBuf::from("/var/run/docker.sock"),
        };
        let listener = UnixListener::bind(path).unwrap();
        let open = Arc::new(Mutex::new(Some(Vec::new())));
        let kept = Arc::clone(&open);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), UnixStream::connect(&daemon).unwrap());
                let Some(kept) = &mut *kept.lock().unwrap() else { return };
                kept.extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let asked = Arc::new(Mutex::new(Vec::new()));
                let said = Arc::clone(&asked);
                thread::spawn(move || copy(client, server, &said));
                match silence.clone() {
                    Some(silence) => {
                        thread::spawn(move || answer(back.0, back.1, &asked, &silence))
                    }
                    None => thread::spawn(move || copy(back.0, back.1, &Mutex::default())),
                };
            }
        });
        Proxy { path: path.to_owned(), open }
    }

    fn cut(&self) {
        fs::remove_file(&self.path).unwrap();
        for stream in self.open.lock().unwrap().take().unwrap() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// Copies bytes, and keeps what was said since it was last taken.
fn copy(mut from: UnixStream, mut to: UnixStream, said: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 1 << 16];
    while let Ok(read) = from.read(&mut buffer) {
        said.lock().unwrap().extend(&buffer[..read]);
        if read == 0 || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Everything below a folder: its owner, and its text if it is a file.
fn tree(folder: &Path) -> BTreeMap<String, (u32, Option<String>)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let text = meta.is_file().then(|| fs::read_to_string(&path).unwrap());
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            if !meta.is_symlink() {
                found.insert(name, (meta.uid(), text));
            }
            if meta.is_dir() {
                folders.push(path);
            }
        }
    }
    found
}

/// Writes as an image's root may: closed folders, closed files, links, and rights on the mounted folder itself.
const CLOSED: &str = "umask 077; cd /out; mkdir -p a/b/c 'with space'; echo deep > a/b/c/plot.json; \
    echo flat > flat.json; echo é > 'with space/é.json'; ln a/b/c/plot.json a/second; \
    ln -s /etc/passwd link; echo mine > other; chown 4321:4321 other; chmod 000 flat.json; \
    long=$(printf 'x%.0s' $(seq 200)); mkdir $long; echo long > $long/$long; \
    chmod 500 a/b; chmod 700 /out; chown 0:0 /out";

#[test]
fn what_a_root_container_wrote_is_the_callers() {
    let Some(containers) = daemon() else { return };
    let project = Project::new();
    let (exit, lines) = run(&containers, &project.script(CLOSED));
    assert_eq!((exit, texts(&lines)), (Exit::Code(0), vec![]));
    let out = project.path("scratch/run/out");
    let long = "x".repeat(200);
    let file = |text: &str| (uid(), Some(text.to_owned()));
    let folder = (uid(), None);
    let expected = BTreeMap::from([
        ("a".to_owned(), folder.clone()),
        ("a/b".to_owned(), folder.clone()),
        ("a/b/c".to_owned(), folder.clone()),
        ("a/b/c/plot.json".to_owned(), file("deep\n")),
        ("a/second".to_owned(), file("deep\n")),
        ("flat.json".to_owned(), file("flat\n")),
        ("other".to_owned(), file("mine\n")),
        ("with space".to_owned(), folder.clone()),
        ("with space/é.json".to_owned(), file("é\n")),
        (long.clone(), folder),
        (format!("{long}/{long}"), file("long\n")),
    ]);
    assert_eq!(tree(&out), expected);
    assert_eq!(fs::metadata(&out).unwrap().uid(), uid());
    assert_eq!(project.left(), "");
    let names: Vec<_> = fs::read_dir(project.path("scratch/run")).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
    fs::remove_dir_all(project.path("scratch")).unwrap();
}

/// Plays two parts: the jheem that is killed, in a process of its own, and the one that comes after it.
#[test]
fn what_a_killed_jheem_left_is_swept() {
    let Some(containers) = daemon() else { return };
    let project = Project::new();
    let spec = |scratch: &Path, owner: &str| {
        let mut spec = project.script(&format!("{CLOSED}; echo ready; exec sleep 1000"));
        spec.owner = owner.to_owned();
        spec.mounts[0].host = scratch.join("run/out");
        spec.scratch = scratch.join("run");
        spec
    };
    if let Ok(scratch) = std::env::var("CONTAINERS_SWEEP_SCRATCH") {
        let owner = std::env::var("CONTAINERS_SWEEP_OWNER").unwrap();
        let told =
            containers.run(&spec(Path::new(&scratch), &owner), &Stop::default(), &mut |_, line| {
                std::io::stdout().write_all(format!("line={line}\n").as_bytes()).unwrap();
                Sign::Progress
            });
        panic!("the run should have been cut off, not ended with {told:?}");
    }
    let scratch = project.path("left");
    fs::create_dir_all(scratch.join("run/out")).unwrap();
    let mut killed = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "what_a_killed_jheem_left_is_swept", "--nocapture"])
        .env("CONTAINERS_SWEEP_SCRATCH", &scratch)
        .env("CONTAINERS_SWEEP_OWNER", &project.owner)
        .env("TMPDIR", project.folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(killed.stdout.take().unwrap()).lines();
    lines.find(|line| line.as_ref().unwrap().contains("line=ready")).expect("it began").unwrap();
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_ne!(project.left(), "", "the container goes on without its jheem");

    assert_eq!(containers.sweep("someone-else", &project.path("none")).unwrap(), [""; 0]);
    let done = containers.sweep(&project.owner, &scratch).unwrap();
    assert!(done[0].starts_with("removed container `jheem-"), "{done:?}");
    assert_eq!(done[1..], [format!("removed `{}`", scratch.join("run").display())]);
    assert_eq!(project.left(), "");
    assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0);

    // The container may be gone and its writings not.
    fs::create_dir_all(scratch.join("run/out")).unwrap();
    let line = jheem::execute::by_hand::line(&spec(&scratch, &project.owner))
        .replace("; echo ready; exec sleep 1000", "");
    assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
    let done = containers.sweep(&project.owner, &scratch).unwrap();
    assert_eq!(done, [format!("removed `{}`", scratch.join("run").display())]);
}

/// The same for a user who is not root and may use the daemon's socket: the usual one.
#[test]
fn an_ordinary_user_owns_and_clears_what_root_wrote() {
    if daemon().is_none() {
        return;
    }
    let socket = match std::env::var("DOCKER_HOST") {
        Ok(host) => host.trim_start_matches("unix://").to_owned(),
        Err(_) => "/var/run/docker.sock".to_owned(),
    };
    let meta = fs::metadata(&socket).unwrap();
    if uid() != 0 || meta.mode() & 0o060 != 0o060 {
        println!("skipped: not root, or no group may use {socket}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (temporary, copy) = (folder.path().join("tmp"), folder.path().join("tests"));
    fs::create_dir(&temporary).unwrap();
    fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    for (path, mode) in [(folder.path(), 0o755), (&temporary, 0o777), (&copy, 0o755)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let told = Command::new("setpriv")
        .args(["--reuid=12321", "--regid=12321"])
        .arg(format!("--groups={}", meta.gid()))
        .arg(&copy)
        .args(["--exact", "what_a_root_container_wrote_is_the_callers"])
        .args(["what_a_killed_jheem_left_is_swept", "a_container_can_be_shut_off_further"])
        .args(["--nocapture", "--test-threads=1"])
        .env("HOME", &temporary)
        .env("TMPDIR", &temporary)
        .env("JHEEM_TEST_DOCKER", "1")
        .current_dir(&temporary)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&told.stdout);
    assert!(told.status.success(), "{text}{}", String::from_utf8_lossy(&told.stderr));
    assert!(text.contains("3 passed"), "{text}");
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
}
