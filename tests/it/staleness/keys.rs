//! The Jheemfile whose keys are changed one after the other, and the changes.

/// A change of one key.
pub struct Case {
    /// As `grammar::sections` names it.
    pub key: &'static str,
    /// In words, for the docs.
    pub change: &'static str,
    pub edits: &'static [(&'static str, &'static str)],
    pub of: Of,
    pub profile: Option<&'static str>,
    /// The image is another one under the same name.
    pub other_image: bool,
}

/// What a key is about: which rules are its own, and what they are called in the docs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    City,
    Outcome,
    Box,
    Made,
    Compile,
    Sim,
    Plot,
    Sum,
    /// The rules that read the input.
    Data,
    Other,
}

impl Of {
    pub fn rules(self) -> &'static [&'static str] {
        match self {
            Of::City => &["step.sim", "plot.rw", "plot.page"],
            Of::Outcome => &["plot.rw", "plot.page", "plot.sum"],
            Of::Box => &["step.sim", "plot.rw"],
            Of::Made => &["plot.page"],
            Of::Compile => &["step.compile"],
            Of::Sim | Of::Data => &["step.sim"],
            Of::Plot => &["plot.rw", "plot.drawn"],
            Of::Sum => &["plot.sum"],
            Of::Other => &[],
        }
    }

    pub fn noun(self) -> &'static str {
        match self {
            Of::City | Of::Outcome => "the rules over this axis",
            Of::Box | Of::Made => "the rules of this runner",
            Of::Compile | Of::Sim | Of::Plot | Of::Sum => "this rule",
            Of::Data => "the rules that read this input",
            Of::Other => "other rules",
        }
    }
}

pub const BASE: &str = r##"
[project]
name = "grammar"
default = ["plot.rw"]
cache_size = "1GiB"

[axis.city]
values = ["A", "B"]
set.some.values = ["A"]
label.low = { A = "a", "*" = "{city}" }
[axis.outcome]
from = { file = "models.json", at = "/outcomes" }
set.some.from = { file = "models.json", at = "/one" }
joined_by = "+"
[axis.year]
from = { file = "years.csv", column = "year" }

[preset.small]
goals = ["plot.rw"]
axes = { city = ["@some"] }
with = ["html"]

[input.data]
path = "data/{city}.txt"
source = "s3://bucket/{city}.txt"
[input.code]
folder = "code"
exclude = ["**/*.md"]
[input.overlay]
folder = "overlay"

[runner.box]
image = "box:1"
platform = "linux/amd64"
mirrors = ["ghcr.io/me/box:1"]
image_has = { labels = { version = "1" }, env = { MODEL_ID = "box" } }
entrypoint = ["run"]
dirs = { "/data" = "data", "/sims" = "sims", "/plots" = "plots", "/jobs" = "{batch}" }
env = { LEVEL = "1" }
pass_env = ["HOME"]
workdir = "/app"
user = "1000"
network = "none"
read_only = true
capabilities = { drop = ["ALL"], add = ["CHOWN"] }
overlays = { "/app/code" = "input.overlay" }
memory = "1GiB"
cpus = 1
max_runs = 2
timeout = { total = "6h", quiet = "10m", grace = "10s" }
exit = { ok = [0], partial = [1] }
retries = 1
[runner.box.log]
target = 'PLOT (?<city>\S+) (?<outcome>\S+)'
success = "DONE"
failure = "ERROR"
absent = ["cannot"]
absent_depends_on = ["outcome"]
[runner.hand]
program = "./hand"
dirs = { code = "code", bin = "bin", sims = "sims", plots = "plots", sums = "sums" }
[runner.made]
built_by = "step.compile.binary"
known_by = "content"
dirs = { plots = "plots", pages = "pages" }

[step.compile]
runner = "hand"
inputs = { code = "input.code" }
command = ["compile", "{input.code}", "{output.binary}"]
output.binary = { path = "bin/page", executable = true }
[step.sim]
over = ["city"]
runner = "box"
inputs = { data = "input.data" }
command = ["simulate", "{input.data}", "{output.sims}"]
output.sims.path = "sims/{city.low}.bin"

[plot.rw]
over = ["city", "outcome"]
runner = "box"
inputs = { sims = "step.sim.sims" }
command = ["plot", "{batch.file}", "{dir:plots}"]
batch = { by = ["city"], file = "jheem-jobs", fields = { outcome = "outcomes" }, size = 100 }
ignore = ["**/lib/**"]
[[plot.rw.absent]]
outcome = ["never"]
[plot.rw.output.plot]
path = "plots/{city}/{outcome}.json"
as = "json"
volatile = ["/time"]
optional = false
unique = false
[plot.rw.output.html]
path = "plots/{city}/{outcome}.html"
as = "html"
when = { option = "html", arguments = ["--html"] }
[[plot.rw.audit]]
output = "plot"
equals = { "/city" = "{city}" }
required = ["/data"]
items = [{ at = "/data", min = 1, max = 9 }]
finite = ["/data/*/y"]
range = [{ at = "/data/*/y", min = 0, max = 9 }]
ordered = [{ lower = "/data/0/y", upper = "/data/1/y" }]
contains = [{ at = "/data/*/x", from = 2010, to = 2035, step = 1 }, { at = "/data/*/x", values = [2025] }]
same_length = [["/data/*/x", "/data/*/y"]]
size = { min = 2, max = 1000 }

[plot.page]
over = ["city", "outcome"]
runner = "made"
inputs = { plot = "plot.rw.plot" }
command = ["page", "{input.plot}", "{output.page}"]
output.page.path = "pages/{city}/{outcome}.html"

[plot.sum]
over = ["outcome", "year"]
runner = "hand"
joins = { plots = "plot.rw.plot" }
command = ["sum", "{output.sum}", "{join.plots}"]
output.sum.path = "sums/{outcome}_{year}.txt"

[publish.site]
of = "plot.rw"
[publish.site.object.plot]
to = "file:site"
key = "{city}/{file}"
content_type = "application/json"
content_encoding = "identity"
cache_control = "no-cache"
metadata = { city = "{city}" }
uncompared = { at = "{now}" }
[publish.site.row.plot]
to = "sqlite:site/plots.db#plots"
hash = { city = "{city}" }
range = { outcome = "{outcome}" }
item = { key = "{object.key}" }
uncompared = { at = "{now}" }

[profile.dev.publish.site.object.plot]
to = "file:elsewhere"
[profile.fast.runner.box]
memory = "4GiB"
[profile.deep.runner.box]
env = { LEVEL = "2" }
[profile.mirror.input.data]
source = "s3://mirror/{city}.txt"
"##;

type Edits = &'static [(&'static str, &'static str)];

pub const fn case(key: &'static str, change: &'static str, of: Of, edits: Edits) -> Case {
    Case { key, change, edits, of, profile: None, other_image: false }
}

pub const fn with(profile: &'static str, case: Case) -> Case {
    Case { profile: Some(profile), ..case }
}

/// Of projects, axes, presets, inputs and runners; those of rules stand in `rule_keys`.
pub const CASES: &[Case] = &[
    case("project", "its keys are below", Of::Other, &[]),
    case(
        "axis",
        "renamed",
        Of::City,
        &[
            ("[axis.city]", "[axis.place]"),
            ("{city", "{place"),
            ("\"city\"", "\"place\""),
            ("{ city =", "{ place ="),
            ("?<city>", "?<place>"),
            ("fields = {", "fields = { place = \"city\","),
        ],
    ),
    case(
        "axis",
        "renamed, and with it its field in the batch file",
        Of::City,
        &[
            ("[axis.city]", "[axis.place]"),
            ("{city", "{place"),
            ("\"city\"", "\"place\""),
            ("{ city =", "{ place ="),
            ("?<city>", "?<place>"),
        ],
    ),
    case("preset", "renamed", Of::Other, &[("preset.small", "preset.little")]),
    case(
        "input",
        "renamed",
        Of::Data,
        &[("input.data]", "input.lines]"), ("input.data\"", "input.lines\"")],
    ),
    case("runner", "renamed", Of::Box, &[("runner.box", "runner.image"), ("\"box\"", "\"image\"")]),
    case("step", "renamed", Of::Sim, &[("step.sim", "step.simulate")]),
    case("plot", "renamed", Of::Plot, &[("plot.rw", "plot.drawn")]),
    case("publish", "renamed", Of::Other, &[("publish.site", "publish.web")]),
    case("profile", "its keys are below", Of::Other, &[]),
    case("project.name", "renamed", Of::Other, &[("name = \"grammar\"", "name = \"other\"")]),
    case(
        "project.default",
        "other goals",
        Of::Other,
        &[("default = [\"plot.rw\"]", "default = [\"plot.sum\"]")],
    ),
    case(
        "project.cache_size",
        "another size",
        Of::Other,
        &[("\"1GiB\"\n\n[axis", "\"2GiB\"\n\n[axis")],
    ),
    case("axis.NAME.values", "another order", Of::City, &[("[\"A\", \"B\"]", "[\"B\", \"A\"]")]),
    case(
        "axis.NAME.values",
        "a value more",
        Of::City,
        &[("[\"A\", \"B\"]", "[\"A\", \"B\", \"C\"]")],
    ),
    case("axis.NAME.values", "a value less", Of::City, &[("[\"A\", \"B\"]", "[\"A\"]")]),
    case(
        "axis.NAME.from",
        "written out instead",
        Of::Outcome,
        &[(
            "from = { file = \"models.json\", at = \"/outcomes\" }",
            "values = [\"x\", \"y\", \"never\"]",
        )],
    ),
    case(
        "axis.NAME.set",
        "renamed",
        Of::Other,
        &[("set.some.values", "set.part.values"), ("@some", "@part")],
    ),
    case(
        "axis.NAME.label",
        "another text, in a path that the run sees",
        Of::City,
        &[("A = \"a\"", "A = \"aa\"")],
    ),
    case(
        "axis.NAME.joined_by",
        "another text",
        Of::Outcome,
        &[("joined_by = \"+\"", "joined_by = \"&\"")],
    ),
    case(
        "axis.NAME.set.SET.values",
        "other values",
        Of::Other,
        &[("set.some.values = [\"A\"]", "set.some.values = [\"B\"]")],
    ),
    case(
        "axis.NAME.set.SET.from",
        "other values",
        Of::Other,
        &[("at = \"/one\"", "at = \"/two\"")],
    ),
    case(
        "axis.NAME.from.file",
        "another file with the same values",
        Of::Outcome,
        &[("\"models.json\", at = \"/outcomes\"", "\"other.json\", at = \"/outcomes\"")],
    ),
    case(
        "axis.NAME.from.at",
        "a list with one value more",
        Of::Outcome,
        &[("at = \"/outcomes\"", "at = \"/more\"")],
    ),
    case(
        "axis.NAME.from.column",
        "a column with one value more",
        Of::Sum,
        &[("column = \"year\"", "column = \"later\"")],
    ),
    case(
        "preset.NAME.goals",
        "other goals",
        Of::Other,
        &[("goals = [\"plot.rw\"]", "goals = [\"plot.sum\"]")],
    ),
    case(
        "preset.NAME.axes",
        "other values",
        Of::Other,
        &[("axes = { city = [\"@some\"] }", "axes = { city = [\"B\"] }")],
    ),
    case("preset.NAME.with", "no options", Of::Other, &[("with = [\"html\"]\n", "")]),
    case(
        "input.NAME.path",
        "another folder, which the run sees in the old place",
        Of::Data,
        &[("path = \"data/", "path = \"raw/"), ("\"/data\" = \"data\"", "\"/data\" = \"raw\"")],
    ),
    case("input.NAME.path", "another file", Of::Data, &[("data/{city}.txt", "data/{city}.csv")]),
    case(
        "input.NAME.folder",
        "a folder with other files",
        Of::Compile,
        &[("folder = \"code\"", "folder = \"source\""), ("code = \"code\"", "code = \"source\"")],
    ),
    case(
        "input.NAME.exclude",
        "none of the files that are there match",
        Of::Compile,
        &[("[\"**/*.md\"]", "[\"**/*.tex\"]")],
    ),
    case(
        "input.NAME.source",
        "another place, the same file",
        Of::Data,
        &[("s3://bucket/", "s3://other/")],
    ),
    case(
        "runner.NAME.image",
        "another name of the same image",
        Of::Box,
        &[("box:1", "registry.example/box:2")],
    ),
    Case { other_image: true, ..case("runner.NAME.image", "another image", Of::Box, &[]) },
    case(
        "runner.NAME.program",
        "another place of the same program",
        Of::Sum,
        &[("./hand", "tools/hand")],
    ),
    case(
        "runner.NAME.built_by",
        "a program by its path instead",
        Of::Made,
        &[("built_by = \"step.compile.binary\"\nknown_by = \"content\"", "program = \"bin/page\"")],
    ),
    case(
        "runner.NAME.known_by",
        "known by its sources",
        Of::Made,
        &[("known_by = \"content\"", "known_by = \"sources\"")],
    ),
    case("runner.NAME.platform", "another", Of::Box, &[("linux/amd64", "linux/arm64")]),
    case(
        "runner.NAME.mirrors",
        "another",
        Of::Box,
        &[("mirrors = [\"ghcr.io/me/box:1\"]", "mirrors = [\"docker.io/me/box:1\"]")],
    ),
    case("runner.NAME.image_has", "its keys are below", Of::Other, &[]),
    case(
        "runner.NAME.image_has.labels",
        "another value",
        Of::Box,
        &[("{ version = \"1\" }", "{ version = \"2\" }")],
    ),
    case(
        "runner.NAME.image_has.env",
        "another value",
        Of::Box,
        &[("MODEL_ID = \"box\"", "MODEL_ID = \"other\"")],
    ),
    case(
        "runner.NAME.entrypoint",
        "another",
        Of::Box,
        &[("entrypoint = [\"run\"]", "entrypoint = [\"run\", \"-v\"]")],
    ),
    case(
        "runner.NAME.dirs",
        "another folder in the run's view",
        Of::Box,
        &[("\"/plots\" = \"plots\"", "\"/out\" = \"plots\"")],
    ),
    case(
        "runner.NAME.dirs",
        "another folder of the project in the same place",
        Of::Plot,
        &[
            ("plots\" = \"plots\"", "plots\" = \"figures\""),
            (" plots = \"plots\"", " plots = \"figures\""),
            ("path = \"plots/", "path = \"figures/"),
            ("{dir:plots}", "{dir:figures}"),
        ],
    ),
    case("runner.NAME.env", "another value", Of::Box, &[("LEVEL = \"1\"", "LEVEL = \"0\"")]),
    case("runner.NAME.pass_env", "another variable", Of::Box, &[("[\"HOME\"]", "[\"LANG\"]")]),
    case(
        "runner.NAME.workdir",
        "another",
        Of::Box,
        &[("workdir = \"/app\"", "workdir = \"/data\"")],
    ),
    case("runner.NAME.user", "another", Of::Box, &[("user = \"1000\"", "user = \"0\"")]),
    case(
        "runner.NAME.network",
        "another",
        Of::Box,
        &[("network = \"none\"", "network = \"bridge\"")],
    ),
    case("runner.NAME.read_only", "no more", Of::Box, &[("read_only = true", "read_only = false")]),
    case(
        "runner.NAME.capabilities",
        "none",
        Of::Box,
        &[("capabilities = { drop = [\"ALL\"], add = [\"CHOWN\"] }\n", "")],
    ),
    case(
        "runner.NAME.overlays",
        "none",
        Of::Box,
        &[("overlays = { \"/app/code\" = \"input.overlay\" }\n", "")],
    ),
    case("runner.NAME.memory", "more", Of::Box, &[("memory = \"1GiB\"", "memory = \"2GiB\"")]),
    case("runner.NAME.cpus", "more", Of::Box, &[("cpus = 1", "cpus = 2")]),
    case("runner.NAME.max_runs", "more", Of::Box, &[("max_runs = 2", "max_runs = 3")]),
    case(
        "runner.NAME.timeout",
        "none",
        Of::Box,
        &[("timeout = { total = \"6h\", quiet = \"10m\", grace = \"10s\" }\n", "")],
    ),
    case(
        "runner.NAME.exit",
        "the default",
        Of::Box,
        &[("exit = { ok = [0], partial = [1] }\n", "")],
    ),
    case("runner.NAME.retries", "more", Of::Box, &[("retries = 1", "retries = 5")]),
    case("runner.NAME.log", "its keys are below", Of::Other, &[]),
    case("runner.NAME.capabilities.drop", "none", Of::Box, &[("drop = [\"ALL\"], ", "")]),
    case("runner.NAME.capabilities.add", "another", Of::Box, &[("[\"CHOWN\"]", "[\"KILL\"]")]),
    case("runner.NAME.timeout.total", "another", Of::Box, &[("total = \"6h\"", "total = \"7h\"")]),
    case("runner.NAME.timeout.quiet", "another", Of::Box, &[("quiet = \"10m\"", "quiet = \"1m\"")]),
    case("runner.NAME.timeout.grace", "another", Of::Box, &[("grace = \"10s\"", "grace = \"1s\"")]),
    case("runner.NAME.exit.ok", "another code", Of::Box, &[("ok = [0]", "ok = [0, 3]")]),
    case(
        "runner.NAME.exit.partial",
        "another code",
        Of::Box,
        &[("partial = [1]", "partial = [2]")],
    ),
    case("runner.NAME.log.target", "another pattern", Of::Box, &[("'PLOT (", "'PLOTTING (")]),
    case("runner.NAME.log.success", "another pattern", Of::Box, &[("\"DONE\"", "\"OK\"")]),
    case("runner.NAME.log.failure", "another pattern", Of::Box, &[("\"ERROR\"", "\"FAILED\"")]),
    case(
        "runner.NAME.log.absent",
        "another pattern",
        Of::Box,
        &[("[\"cannot\"]", "[\"impossible\"]")],
    ),
    case(
        "runner.NAME.log.absent_depends_on",
        "another axis",
        Of::Box,
        &[("absent_depends_on = [\"outcome\"]", "absent_depends_on = [\"city\"]")],
    ),
];
