//! jheem is killed, stopped, and runs out of room: nothing claims what is not so, and nothing is lost.

mod interrupts;
mod room;
mod witness;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use jheem::moments::Moment;

use super::project::{Project, Ran};
use witness::{Made, PLACES};

/// Simulates, plots and sums up; counts what it makes where `COUNTER` says: a file, or a port where somebody counts.
///
/// At the plots that `HOLD` names it writes half a file and stays, until it is asked to end; with `DEAF` also then.
pub const MODEL: &str = r#"#!/bin/sh
set -e
step=$1; shift
write() { # FILE CITY OUTCOME VALUE
    mkdir -p "$(dirname "$1")"
    case "$2/$3" in $HOLD) hold "$1" ;; esac
    printf '{"city": "%s", "outcome": "%s", "value": "%s", "generation_time": "%010d"}\n' "$2" "$3" "$4" $$ > "$1"
    case "$COUNTER" in
    "") ;;
    */*) echo "$2/$3/$4" >> "$COUNTER" ;;
    *) echo "$2/$3/$4" | nc 127.0.0.1 "$COUNTER" ;;
    esac
}
hold() { # FILE
    printf '{"city": ' > "$1"
    if [ -n "$DEAF" ]; then trap '' TERM; else trap 'echo ASKED; exit 1' TERM; fi
    echo HOLDING
    while :; do sleep 1; done
}
value() { sed 's/.*"value": "\([^"]*\)".*/\1/' "$1"; }
case $step in
sim)
    echo "GENERATING: $1/sim"
    write "$3" "$1" sim "$(cat "$2")"
    echo "SUCCESS: $1" ;;
plot)
    for outcome in $(echo "$3" | tr , ' '); do
        echo "GENERATING: $2/$outcome"
        write "$1/$2/$outcome.json" "$2" "$outcome" "$(value "$4")"
        echo "SUCCESS: $outcome"
    done ;;
sum)
    city=$1; out=$2; shift 2
    echo "GENERATING: $city/summary"
    write "$out" "$city" summary "$(value "$1")"
    echo "SUCCESS: $city" ;;
esac
"#;

/// Inputs, simulations, plots, a summary of each city's plots, and a site.
pub const PIPELINE: &str = r#"
[project]
name = "kills"
[axis.city]
values = ["A", "B"]
[axis.outcome]
values = ["x", "y", "z"]
[input.data]
path = "data/{city}.txt"
[runner.model]
program = "./model.sh"
pass_env = ["PATH", "COUNTER", "HOLD", "DEAF"]
[runner.model.log]
target = 'GENERATING: (?<city>[^/]+)/(?<outcome>\S+)'
success = "SUCCESS: "
[step.sim]
over = ["city"]
runner = "model"
inputs = { data = "input.data" }
command = ["sim", "{city}", "{input.data}", "{output.simset}"]
output.simset = { path = "sims/{city}.json", as = "json", volatile = ["/generation_time"] }
[plot.p]
over = ["city", "outcome"]
runner = "model"
inputs = { simset = "step.sim.simset" }
command = ["plot", "{dir:plots}", "{city}", "{list:outcome}", "{input.simset}"]
batch = { by = ["city"] }
output.plot = { path = "plots/{city}/{outcome}.json", as = "json", volatile = ["/generation_time"] }
audit = [{ output = "plot", equals = { "/city" = "{city}", "/outcome" = "{outcome}" } }]
[step.sum]
over = ["city"]
runner = "model"
joins = { plots = "plot.p.plot" }
command = ["sum", "{city}", "{output.summary}", "{join.plots}"]
output.summary = { path = "summary/{city}.json", as = "json", volatile = ["/generation_time"] }
[publish.site]
of = "plot.p"
object.plot = { to = "file:site", key = "plots/{city}/{file}", content_type = "application/json" }
[publish.site.row.plot]
to = "sqlite:site/plots.db#plots"
hash = { city = "{city}" }
range = { outcome = "{outcome}" }
item = { key = "{object.key}", size = { N = "{object.size}" } }
"#;

/// The pipeline as plain processes, in a folder of its own.
pub fn pipeline() -> Project {
    pipeline_in(Project::new(), MODEL)
}

/// The pipeline over a model, in an empty project.
pub fn pipeline_in(project: Project, model: &str) -> Project {
    let project = project
        .program("model.sh", model)
        .file("data/A.txt", "0")
        .file("data/B.txt", "0")
        .jheemfile(PIPELINE);
    let counter = project.root().parent().unwrap().join("made").to_string_lossy().into_owned();
    project.env("COUNTER", &counter)
}

/// The pipeline in containers of an image that holds the model.
///
/// A container sees nothing that is not declared, so the model counts over the machine's own network, which is declared.
pub fn in_containers() -> Project {
    let project = Project::new().file("data/A.txt", "0").file("data/B.txt", "0");
    let runner = format!(
        "image = \"{}\"\nentrypoint = [\"/bin/sh\", \"/model.sh\"]\n\
         dirs = {{ \"/app/data\" = \"data\", \"/app/sims\" = \"sims\", \"/app/plots\" = \"plots\", \"/app/summary\" = \"summary\" }}\n\
         network = \"host\"\npass_env = [\"COUNTER\", \"HOLD\", \"DEAF\"]\n",
        image()
    );
    let program =
        "program = \"./model.sh\"\npass_env = [\"PATH\", \"COUNTER\", \"HOLD\", \"DEAF\"]\n";
    let text = PIPELINE.replace(program, &runner).replace("{dir:plots}", "/app/plots");
    let port = count_for(project.root().parent().unwrap().join("made"));
    project.jheemfile(&text).env("COUNTER", &port.to_string())
}

/// Appends every line that comes over a port to a file, for as long as this process lives.
fn count_for(made: PathBuf) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut line = String::new();
            let mut stream = BufReader::new(stream);
            // A container that is killed meanwhile may have said half a line, or nothing.
            if stream.read_line(&mut line).is_ok() && line.ends_with('\n') {
                let file = OpenOptions::new().create(true).append(true).open(&made);
                let _project_is_gone = file.and_then(|mut file| file.write_all(line.as_bytes()));
            }
            // Hung up on only now: the model goes on when it is counted.
            drop(stream);
        }
    });
    port
}

/// An image of a static busybox and the model, made once; nothing is pulled.
fn image() -> &'static str {
    const NAME: &str = "jheem-test-kills:model";
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("model.sh"), MODEL).unwrap();
        let script = format!(
            "mkdir -p bin app && cp \"$(which busybox)\" bin/busybox && \
             for tool in $(bin/busybox --list); do [ $tool = busybox ] || ln -s /bin/busybox bin/$tool; done; \
             tar -c . | docker import - {NAME}"
        );
        let made = Command::new("sh").args(["-ec", &script]).current_dir(folder.path()).output();
        let made = made.unwrap();
        assert!(made.status.success(), "needs busybox-static and docker: {made:?}");
    });
    NAME
}

/// Whether a daemon answers; without one a test is skipped, unless it must not be.
pub fn has_daemon() -> bool {
    let answers =
        Command::new("docker").arg("version").output().is_ok_and(|out| out.status.success());
    if !answers {
        assert!(
            std::env::var("JHEEM_TEST_DOCKER").as_deref() != Ok("1"),
            "JHEEM_TEST_DOCKER=1, and there is no daemon"
        );
        println!("skipped: no Docker daemon");
    }
    answers
}

fn is_long() -> bool {
    std::env::var("JHEEM_TEST_LONG").as_deref() == Ok("1")
}

/// Numbers that look like chance and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// A project that is killed again and again, and what is known of it.
struct Ordeal {
    project: Project,
    dice: Dice,
    /// Everything that a record ever spoke of.
    recorded: BTreeSet<Made>,
    /// How many lines of the model's own list were looked at.
    counted: usize,
    data: BTreeMap<&'static str, u64>,
    round: u64,
}

impl Ordeal {
    fn new(project: Project, seed: u64) -> Ordeal {
        Ordeal {
            project,
            dice: Dice(seed),
            recorded: BTreeSet::new(),
            counted: 0,
            data: BTreeMap::from([("A", 0), ("B", 0)]),
            round: 0,
        }
    }

    /// Something that gives the next build work to do: new data, old data again, or a lost output.
    fn disturb(&mut self) {
        self.round += 1;
        let city = if self.dice.below(2) == 0 { "A" } else { "B" };
        let value = match self.dice.below(4) {
            0 => self.dice.below(self.round),
            _ => self.round,
        };
        self.data.insert(city, value);
        self.project.write(&format!("data/{city}.txt"), value.to_string());
        let placed: Vec<String> = PLACES.iter().flat_map(|f| self.project.files(f)).collect();
        if !placed.is_empty() {
            let lost = &placed[self.dice.below(placed.len() as u64) as usize];
            fs::remove_file(self.project.path(lost)).unwrap();
        }
    }

    /// Makes everything current, so that a moment is come to for one reason alone.
    fn finish(&mut self) {
        self.project.build("").success();
        self.look("after a whole build");
    }

    /// Builds with a kill at a moment; whether it came to that.
    fn kill_at(&mut self, moment: &str, count: u64) -> bool {
        let at = format!("{moment}:{count}");
        let mut command = self.project.command("build --format json");
        let output = command.env("JHEEM_KILL_AT", &at).output().unwrap();
        let killed = output.status.signal() == Some(9);
        let ran = Ran::new("build", output);
        assert!(killed || ran.code == Some(0), "killed at {at}: it ended otherwise\n{ran}");
        self.look(&format!("killed at {at}"));
        killed
    }

    /// Builds, and kills it from outside after so many events; whether it came to that.
    fn kill_after(&mut self, events: u64) -> bool {
        let mut command = self.project.command("build --format json");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let heard = lines.take(events as usize).filter(Result::is_ok).count();
        // It may have ended on its own just now.
        let _sent = child.kill();
        let status = child.wait().unwrap();
        assert!(status.signal() == Some(9) || status.code() == Some(0), "it ended with {status}");
        self.look(&format!("killed after {heard} events"));
        status.signal() == Some(9)
    }

    /// Checks what is claimed now, and that nothing was made again that was recorded before.
    fn look(&mut self, when: &str) {
        for made in self.newly_made() {
            assert!(
                !self.recorded.contains(&made),
                "{when}: {made:?} was recorded, and was made again"
            );
        }
        self.recorded.extend(witness::check(&self.project, when));
    }

    /// What the model says that it made since this was last asked.
    fn newly_made(&mut self) -> Vec<Made> {
        let counter = self.project.root().parent().unwrap().join("made");
        let text = fs::read_to_string(counter).unwrap_or_default();
        let lines: Vec<&str> = text.lines().skip(self.counted).collect();
        self.counted += lines.len();
        let parts = lines.iter().map(|line| {
            let mut parts = line.split('/').map(str::to_owned);
            (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap())
        });
        parts.collect()
    }

    /// The last build goes through; the results are those of a project that was never disturbed.
    fn end(mut self, undisturbed: Project) {
        self.finish();
        for (city, value) in &self.data {
            undisturbed.write(&format!("data/{city}.txt"), value.to_string());
        }
        // The second spares itself what the first has checked, and remembers that.
        undisturbed.build("").success();
        witness::check_alike(&self.project, &undisturbed);
    }
}

/// Kills at every moment in turn, and between them from outside, until there were so many kills.
fn kill_often(ordeal: &mut Ordeal, moments: &[&'static str], kills: usize) {
    let mut killed: BTreeMap<&str, usize> = BTreeMap::new();
    let mut done = 0;
    let mut tries = 0;
    while done < kills || killed.len() < moments.len() {
        tries += 1;
        assert!(tries < 3 * (kills + moments.len()), "some moments are never come to: {killed:?}");
        let moment = moments[tries % moments.len()];
        // Now and then several kills in a row fall on one unfinished state.
        if ordeal.dice.below(3) > 0 {
            ordeal.finish();
        }
        ordeal.disturb();
        if tries % 5 == 0 {
            let events = 1 + ordeal.dice.below(20);
            done += usize::from(ordeal.kill_after(events));
        }
        let count = match killed.get(moment) {
            // The first kill at a moment must come to pass.
            None => 1,
            Some(_) => 1 + ordeal.dice.below(4),
        };
        if ordeal.kill_at(moment, count) {
            *killed.entry(moment).or_default() += 1;
            done += 1;
        }
    }
    println!("killed {done} times: {killed:?}");
}

/// Whether a build of what is on this machine comes to it; `remote` kills at the others.
fn is_here(moment: Moment) -> bool {
    !matches!(
        moment,
        Moment::Part | Moment::Pruned | Moment::ReadBack | Moment::Telling | Moment::Told
    )
}

#[test]
fn killed_at_any_moment_nothing_is_claimed_falsely_and_nothing_recorded_is_made_again() {
    let names = Moment::ALL.into_iter().filter(|(moment, _)| {
        // Those are moments of containers.
        !matches!(moment, Moment::Created | Moment::Removing) && is_here(*moment)
    });
    let moments: Vec<&str> = names.map(|(_, name)| name).collect();
    let mut ordeal = Ordeal::new(pipeline(), 0x6a68_6565_6d21);
    kill_often(&mut ordeal, &moments, if is_long() { 160 } else { 20 });
    ordeal.end(pipeline());
}

#[test]
fn killed_while_containers_run_nothing_is_claimed_falsely_and_no_container_is_left() {
    if !has_daemon() {
        return;
    }
    let all = Moment::ALL.into_iter().filter(|(moment, _)| is_here(*moment));
    let moments: Vec<&str> = all.map(|(_, name)| name).collect();
    let mut ordeal = Ordeal::new(in_containers(), 0x646f_636b_6572);
    kill_often(&mut ordeal, &moments, if is_long() { 80 } else { moments.len() });
    ordeal.end(in_containers());
}
