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

const fn case(key: &'static str, change: &'static str, of: Of, edits: Edits) -> Case {
    Case { key, change, edits, of, profile: None, other_image: false }
}

const fn with(profile: &'static str, case: Case) -> Case {
    Case { profile: Some(profile), ..case }
}

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
    case(
        "step.NAME.over",
        "another order",
        Of::Plot,
        &[(
            "over = [\"city\", \"outcome\"]\nrunner = \"box\"",
            "over = [\"outcome\", \"city\"]\nrunner = \"box\"",
        )],
    ),
    case(
        "step.NAME.runner",
        "one that starts another program",
        Of::Compile,
        &[
            (
                "[runner.hand]",
                "[runner.bare]\nprogram = \"bin/page\"\ndirs = { code = \"code\", bin = \"bin\" }\n[runner.hand]",
            ),
            ("[step.compile]\nrunner = \"hand\"", "[step.compile]\nrunner = \"bare\""),
        ],
    ),
    case(
        "step.NAME.runner",
        "another name of the same program",
        Of::Compile,
        &[
            (
                "[runner.hand]",
                "[runner.bare]\nprogram = \"./hand\"\ndirs = { code = \"code\", bin = \"bin\" }\n[runner.hand]",
            ),
            ("[step.compile]\nrunner = \"hand\"", "[step.compile]\nrunner = \"bare\""),
        ],
    ),
    case(
        "step.NAME.inputs",
        "renamed",
        Of::Sim,
        &[
            ("{ data = \"input.data\" }", "{ lines = \"input.data\" }"),
            ("{input.data}", "{input.lines}"),
        ],
    ),
    case(
        "step.NAME.inputs",
        "one more",
        Of::Plot,
        &[("inputs = { sims =", "inputs = { data = \"input.data\", sims =")],
    ),
    case(
        "step.NAME.joins",
        "renamed",
        Of::Sum,
        &[("joins = { plots", "joins = { drawn"), ("{join.plots}", "{join.drawn}")],
    ),
    case(
        "step.NAME.joins",
        "one more",
        Of::Sum,
        &[("joins = { ", "joins = { sims = \"step.sim.sims\", ")],
    ),
    case(
        "step.NAME.command",
        "an argument more",
        Of::Plot,
        &[("\"{dir:plots}\"]", "\"{dir:plots}\", \"-v\"]")],
    ),
    case(
        "step.NAME.batch",
        "none",
        Of::Sum,
        &[("command = [\"sum\"", "batch = { by = [\"outcome\", \"year\"] }\ncommand = [\"sum\"")],
    ),
    case(
        "step.NAME.output",
        "renamed",
        Of::Plot,
        &[
            ("output.plot]", "output.drawing]"),
            ("rw.plot\"", "rw.drawing\""),
            ("output = \"plot\"", "output = \"drawing\""),
            ("object.plot]", "object.drawing]"),
            ("row.plot]", "row.drawing]"),
        ],
    ),
    case(
        "step.NAME.output",
        "one more",
        Of::Plot,
        &[(
            "[plot.rw.output.html]",
            "[plot.rw.output.log]\npath = \"plots/{city}/{outcome}.log\"\n[plot.rw.output.html]",
        )],
    ),
    case("step.NAME.ignore", "none", Of::Plot, &[("ignore = [\"**/lib/**\"]\n", "")]),
    case(
        "step.NAME.audit",
        "one more",
        Of::Plot,
        &[(
            "[plot.page]",
            "[[plot.rw.audit]]\noutput = \"plot\"\nrequired = [\"/layout\"]\n[plot.page]",
        )],
    ),
    case(
        "step.NAME.absent",
        "a cell less",
        Of::Plot,
        &[("outcome = [\"never\"]", "outcome = [\"never\"]\ncity = [\"A\"]")],
    ),
    case(
        "step.NAME.absent",
        "a cell more",
        Of::Plot,
        &[(
            "outcome = [\"never\"]",
            "outcome = [\"never\"]\n[[plot.rw.absent]]\noutcome = [\"x\"]\ncity = [\"A\"]",
        )],
    ),
    case(
        "plot.NAME.batch.by",
        "another axis",
        Of::Sum,
        &[(
            "command = [\"sum\"",
            "batch = { by = [\"outcome\", \"year\"], size = 7 }\ncommand = [\"sum\"",
        )],
    ),
    case(
        "plot.NAME.batch.file",
        "none, and arguments instead",
        Of::Plot,
        &[
            ("file = \"jheem-jobs\", fields = { outcome = \"outcomes\" }, ", ""),
            ("\"{batch.file}\"", "\"{city}\", \"{list:outcome}\""),
            (", \"/jobs\" = \"{batch}\"", ""),
        ],
    ),
    case(
        "plot.NAME.batch.fields",
        "another name",
        Of::Plot,
        &[("outcome = \"outcomes\"", "outcome = \"what\"")],
    ),
    case("plot.NAME.batch.size", "another", Of::Plot, &[("size = 100", "size = 10")]),
    case(
        "plot.NAME.output.OUTPUT.path",
        "another folder, which the run sees in the old place",
        Of::Plot,
        &[
            ("plots\" = \"plots\"", "plots\" = \"figures\""),
            (" plots = \"plots\"", " plots = \"figures\""),
            ("path = \"plots/", "path = \"figures/"),
            ("{dir:plots}", "{dir:figures}"),
        ],
    ),
    case(
        "plot.NAME.output.OUTPUT.path",
        "another name for the run too",
        Of::Plot,
        &[("{city}/{outcome}.json", "{city}/plot_{outcome}.json")],
    ),
    case(
        "plot.NAME.output.OUTPUT.as",
        "another kind",
        Of::Plot,
        &[("as = \"json\"", "as = \"plotly\"")],
    ),
    case(
        "plot.NAME.output.OUTPUT.volatile",
        "one more",
        Of::Plot,
        &[("[\"/time\"]", "[\"/time\", \"/host\"]")],
    ),
    case(
        "plot.NAME.output.OUTPUT.when",
        "none",
        Of::Plot,
        &[
            ("when = { option = \"html\", arguments = [\"--html\"] }\n", ""),
            ("with = [\"html\"]\n", ""),
        ],
    ),
    case(
        "plot.NAME.output.OUTPUT.optional",
        "yes",
        Of::Plot,
        &[("optional = false", "optional = true")],
    ),
    case(
        "plot.NAME.output.OUTPUT.executable",
        "yes",
        Of::Sim,
        &[(
            "output.sims.path = \"sims/{city.low}.bin\"",
            "output.sims = { path = \"sims/{city.low}.bin\", executable = true }",
        )],
    ),
    case("plot.NAME.output.OUTPUT.unique", "yes", Of::Plot, &[("unique = false", "unique = true")]),
    case(
        "plot.NAME.output.OUTPUT.when.option",
        "renamed",
        Of::Plot,
        &[("option = \"html\"", "option = \"pages\""), ("with = [\"html\"]", "with = [\"pages\"]")],
    ),
    case(
        "plot.NAME.output.OUTPUT.when.arguments",
        "another",
        Of::Plot,
        &[("[\"--html\"]", "[\"--pages\"]")],
    ),
    case(
        "plot.NAME.audit.output",
        "another",
        Of::Plot,
        &[("[plot.page]", "[[plot.rw.audit]]\noutput = \"html\"\nsize = { min = 1 }\n[plot.page]")],
    ),
    case(
        "plot.NAME.audit.equals",
        "another",
        Of::Plot,
        &[("{ \"/city\" = \"{city}\" }", "{ \"/place\" = \"{city}\" }")],
    ),
    case("plot.NAME.audit.required", "another", Of::Plot, &[("[\"/data\"]", "[\"/layout\"]")]),
    case(
        "plot.NAME.audit.items",
        "another",
        Of::Plot,
        &[("{ at = \"/data\", min = 1, max = 9 }", "{ at = \"/layout\", min = 1 }")],
    ),
    case(
        "plot.NAME.audit.finite",
        "another",
        Of::Plot,
        &[("finite = [\"/data/*/y\"]", "finite = [\"/data/*/x\"]")],
    ),
    case(
        "plot.NAME.audit.range",
        "none",
        Of::Plot,
        &[("range = [{ at = \"/data/*/y\", min = 0, max = 9 }]\n", "")],
    ),
    case(
        "plot.NAME.audit.ordered",
        "none",
        Of::Plot,
        &[("ordered = [{ lower = \"/data/0/y\", upper = \"/data/1/y\" }]\n", "")],
    ),
    case(
        "plot.NAME.audit.contains",
        "one less",
        Of::Plot,
        &[(", { at = \"/data/*/x\", values = [2025] }", "")],
    ),
    case(
        "plot.NAME.audit.same_length",
        "none",
        Of::Plot,
        &[("same_length = [[\"/data/*/x\", \"/data/*/y\"]]\n", "")],
    ),
    case("plot.NAME.audit.size", "none", Of::Plot, &[("size = { min = 2, max = 1000 }\n", "")]),
    case(
        "plot.NAME.audit.items.at",
        "another",
        Of::Plot,
        &[("at = \"/data\", min", "at = \"/layout\", min")],
    ),
    case(
        "plot.NAME.audit.items.min",
        "another",
        Of::Plot,
        &[("min = 1, max = 9", "min = 2, max = 9")],
    ),
    case(
        "plot.NAME.audit.items.max",
        "another",
        Of::Plot,
        &[("min = 1, max = 9", "min = 1, max = 8")],
    ),
    case(
        "plot.NAME.audit.range.at",
        "another",
        Of::Plot,
        &[("{ at = \"/data/*/y\", min = 0", "{ at = \"/data/*/z\", min = 0")],
    ),
    case(
        "plot.NAME.audit.range.min",
        "another",
        Of::Plot,
        &[("min = 0, max = 9", "min = 1, max = 9")],
    ),
    case(
        "plot.NAME.audit.range.max",
        "another",
        Of::Plot,
        &[("min = 0, max = 9", "min = 0, max = 8")],
    ),
    case(
        "plot.NAME.audit.ordered.lower",
        "another",
        Of::Plot,
        &[("lower = \"/data/0/y\"", "lower = \"/data/2/y\"")],
    ),
    case(
        "plot.NAME.audit.ordered.upper",
        "another",
        Of::Plot,
        &[("upper = \"/data/1/y\"", "upper = \"/data/2/y\"")],
    ),
    case(
        "plot.NAME.audit.contains.at",
        "another",
        Of::Plot,
        &[("{ at = \"/data/*/x\", from", "{ at = \"/data/*/t\", from")],
    ),
    case(
        "plot.NAME.audit.contains.values",
        "another",
        Of::Plot,
        &[("values = [2025]", "values = [2026]")],
    ),
    case("plot.NAME.audit.contains.from", "another", Of::Plot, &[("from = 2010", "from = 2011")]),
    case("plot.NAME.audit.contains.to", "another", Of::Plot, &[("to = 2035", "to = 2030")]),
    case("plot.NAME.audit.contains.step", "another", Of::Plot, &[("step = 1", "step = 5")]),
    case(
        "plot.NAME.audit.size.min",
        "another",
        Of::Plot,
        &[("min = 2, max = 1000", "min = 3, max = 1000")],
    ),
    case(
        "plot.NAME.audit.size.max",
        "another",
        Of::Plot,
        &[("min = 2, max = 1000", "min = 2, max = 999")],
    ),
    case(
        "publish.NAME.of",
        "another rule",
        Of::Other,
        &[
            ("of = \"plot.rw\"", "of = \"plot.page\""),
            ("object.plot]", "object.page]"),
            ("row.plot]", "row.page]"),
        ],
    ),
    case(
        "publish.NAME.object",
        "none",
        Of::Other,
        &[
            ("item = { key = \"{object.key}\" }\n", ""),
            ("[profile.dev.publish.site.object.plot]\nto = \"file:elsewhere\"\n", ""),
            (
                "[publish.site.object.plot]\nto = \"file:site\"\nkey = \"{city}/{file}\"\ncontent_type = \"application/json\"\ncontent_encoding = \"identity\"\ncache_control = \"no-cache\"\nmetadata = { city = \"{city}\" }\nuncompared = { at = \"{now}\" }\n",
                "",
            ),
        ],
    ),
    case(
        "publish.NAME.row",
        "none",
        Of::Other,
        &[(
            "[publish.site.row.plot]\nto = \"sqlite:site/plots.db#plots\"\nhash = { city = \"{city}\" }\nrange = { outcome = \"{outcome}\" }\nitem = { key = \"{object.key}\" }\nuncompared = { at = \"{now}\" }\n",
            "",
        )],
    ),
    case(
        "publish.NAME.object.OUTPUT.to",
        "another destination",
        Of::Other,
        &[("\"file:site\"", "\"file:web\"")],
    ),
    case(
        "publish.NAME.object.OUTPUT.key",
        "another",
        Of::Other,
        &[("key = \"{city}/{file}\"", "key = \"plots/{city}/{file}\"")],
    ),
    case(
        "publish.NAME.object.OUTPUT.content_type",
        "another",
        Of::Other,
        &[("application/json", "text/plain")],
    ),
    case(
        "publish.NAME.object.OUTPUT.content_encoding",
        "another",
        Of::Other,
        &[("\"identity\"", "\"gzip\"")],
    ),
    case(
        "publish.NAME.object.OUTPUT.cache_control",
        "another",
        Of::Other,
        &[("no-cache", "no-store")],
    ),
    case(
        "publish.NAME.object.OUTPUT.metadata",
        "another",
        Of::Other,
        &[("metadata = { city =", "metadata = { place =")],
    ),
    case(
        "publish.NAME.object.OUTPUT.uncompared",
        "another",
        Of::Other,
        &[(
            "metadata = { city = \"{city}\" }\nuncompared = { at",
            "metadata = { city = \"{city}\" }\nuncompared = { when",
        )],
    ),
    case(
        "publish.NAME.row.OUTPUT.to",
        "another",
        Of::Other,
        &[("plots.db#plots", "plots.db#rows")],
    ),
    case(
        "publish.NAME.row.OUTPUT.hash",
        "another",
        Of::Other,
        &[("hash = { city =", "hash = { place =")],
    ),
    case(
        "publish.NAME.row.OUTPUT.range",
        "another",
        Of::Other,
        &[("range = { outcome = \"{outcome}\"", "range = { what = \"{outcome}\"")],
    ),
    case(
        "publish.NAME.row.OUTPUT.item",
        "another",
        Of::Other,
        &[("item = { key =", "item = { s3_key =")],
    ),
    case(
        "publish.NAME.row.OUTPUT.uncompared",
        "another",
        Of::Other,
        &[("\"{object.key}\" }\nuncompared = { at", "\"{object.key}\" }\nuncompared = { when")],
    ),
    with("dev", case("profile.NAME.publish", "another destination", Of::Other, &[])),
    with("fast", case("profile.NAME.runner", "more memory", Of::Box, &[])),
    with("deep", case("profile.NAME.runner", "another variable", Of::Box, &[])),
    with("mirror", case("profile.NAME.input", "another source of the same file", Of::Data, &[])),
];
