//! Mistakes in a Jheemfile, as `jheem list` tells them: all at once, each where it is and with what
//! to do, and nothing that only follows from another.
//!
//! Single mistakes are in `tests/broken`.

use crate::project::{Project, Ran};

/// Runs jheem in a project with mistakes and compares all that it says.
#[track_caller]
fn told(project: &Project, arguments: &str, expected: &str) -> Ran {
    let ran = project.jheem(arguments).code(2);
    let (said, expected) = (ran.stderr.trim(), expected.trim());
    assert!(
        said == expected,
        "`jheem {arguments}` says otherwise:\n{said}\n\nexpected:\n{expected}"
    );
    assert_eq!(ran.stdout, "", "a Jheemfile with mistakes has nothing to list");
    ran
}

/// How many mistakes jheem tells.
fn count(project: &Project) -> usize {
    project.jheem("list").stderr.matches("error: ").count()
}

const EVERYTHING: &str = r#"[project]
name = "study"
default = ["plot.rww"]
colour = "red"

[axis.city]
values = ["Boston", "New/York"]
[axis.outcome]
values = ["incidence", "testing"]
[axis.outcome.label.short]
incidence = "inc"

[preset.small]
axes = { outcome = ["testin"] }

[input.base]
path = "/data/{city}.Rdata"

[runner.model]
image = "model:1"
dirs = { "/app/plots" = "plots", "/app/data" = "data" }
memory = 8GiB
cpus = "2"

[step.first]
runner = "model"
inputs = { second = "step.second.made" }
command = ["first", "{input.second}"]
output.made.path = "plots/first.Rdata"
[step.second]
runner = "model"
inputs = { first = "step.first.made" }
command = ["second", "{zzz}"]
output.made.path = "plots/second.Rdata"
[step.third]
over = ["outcome", "nope"]
runner = "rr"
inputs = { second = "step.second.made" }
command = ["third", "{input.second}", "{nope}"]
output.made.path = "plots/{outcome}/{nope}.Rdata"

[plot.rw]
over = ["city", "outcome"]
runner = "model"
inputs = { base = "input.base", third = "step.third.made" }
command = ["plot", "{city}", "{input.base}"]
[plot.rw.output.plot]
path = "plots/{city}/{outcome}.json"
as = "plotly"
volatile = ["/time"]
[[plot.rw.audit]]
output = "plott"
required = ["/data"]
[plot.same]
over = ["outcome"]
runner = "model"
command = ["same"]
output.plot.path = "plots/same.json"
[plot.late]
runner = "model"
output.plot.path = "plots/late.json"

[publish.plots]
of = "plot.rw"
[publish.plots.object.plot]
to = "file:site"
key = "{city}/{file}"
metadata = { time = "{plot:/time}" }
"#;

#[test]
fn all_mistakes_of_a_jheemfile_are_told_at_once_in_the_order_of_their_places() {
    told(
        &Project::new().jheemfile(EVERYTHING),
        "list",
        r#"
error: no rule or publish is called `plot.rww`
 --> Jheemfile.toml:3:12
  |
3 | default = ["plot.rww"]
  |            ^^^^^^^^^^
hint: did you mean `plot.rw`?

error: unknown key `colour` in `[project]`
 --> Jheemfile.toml:4:1
  |
4 | colour = "red"
  | ^^^^^^
hint: use one of `name`, `default` and `cache_size`

error: `New/York` cannot stand in a file name: it holds a slash
 --> Jheemfile.toml:7:21
  |
7 | values = ["Boston", "New/York"]
  |                     ^^^^^^^^^^
hint: use another value, and a label if the container calls it so

error: label `short` says nothing of the value `testing`
 --> Jheemfile.toml:8:7
  |
8 | [axis.outcome]
  |       ^^^^^^^
hint: add the value, or a line for `"*"`

error: `testin` is not a value of the axis `outcome`
  --> Jheemfile.toml:14:21
   |
14 | axes = { outcome = ["testin"] }
   |                     ^^^^^^^^
hint: did you mean `testing`?

error: `/data/{city}.Rdata` leads out of the project
  --> Jheemfile.toml:17:8
   |
17 | path = "/data/{city}.Rdata"
   |        ^^^^^^^^^^^^^^^^^^^^
hint: write a path from the folder of the Jheemfile, without `..` and with no `/` in front

error: the text `8GiB` has no quotes
  --> Jheemfile.toml:22:10
   |
22 | memory = 8GiB
   |          ^^^^
hint: write `"8GiB"`

error: `cpus` is the text `2`, not a number above 0
  --> Jheemfile.toml:23:8
   |
23 | cpus = "2"
   |        ^^^
hint: write it without quotes: `2`

error: rules read each other in a circle: step.first -> step.second -> step.first
  --> Jheemfile.toml:25:7
   |
25 | [step.first]
   |       ^^^^^
hint: let one of them read something else

error: unknown hole `{zzz}`
  --> Jheemfile.toml:33:23
   |
33 | command = ["second", "{zzz}"]
   |                       ^^^^^
hint: use one of `{project}`, `{batch.file}`, `{dir:FOLDER}`, `{list:AXIS}`, `{input.NAME}`, `{output.NAME}`, `{join.NAME}`, or write `{{` for the brace itself

error: no axis is called `nope`
  --> Jheemfile.toml:36:20
   |
36 | over = ["outcome", "nope"]
   |                    ^^^^^^
hint: declare it: `[axis.nope]`

error: no runner is called `rr`
  --> Jheemfile.toml:37:10
   |
37 | runner = "rr"
   |          ^^^^
hint: declare it: `[runner.rr]`

error: no output is called `plott`
  --> Jheemfile.toml:52:10
   |
52 | output = "plott"
   |          ^^^^^^^
hint: did you mean `plot`?

error: two cells of output `plot` of `plot.same` make one file, `plots/same.json`: incidence and testing
  --> Jheemfile.toml:54:7
   |
54 | [plot.same]
   |       ^^^^
hint: let the name hold every axis that tells them apart

error: `[plot.late]` has no `command`
  --> Jheemfile.toml:59:7
   |
59 | [plot.late]
   |       ^^^^
hint: add `command = ["batch", "--config", "{batch.file}", "--output-dir", "/app/plots"]`

error: `{plot:/time}` is volatile, and this field is compared
  --> Jheemfile.toml:68:22
   |
68 | metadata = { time = "{plot:/time}" }
   |                      ^^^^^^^^^^^^
hint: move the field to `uncompared`

16 mistakes in Jheemfile.toml
"#,
    );
}

/// What mends each mistake of `EVERYTHING`, in some order.
const MENDED: [(&str, &str); 16] = [
    (r#"default = ["plot.rww"]"#, r#"default = ["plot.rw"]"#),
    ("colour = \"red\"\n", ""),
    ("New/York", "New York"),
    (r#"incidence = "inc""#, "incidence = \"inc\"\ntesting = \"test\""),
    (r#""testin""#, r#""testing""#),
    (r#""/data/{city}"#, r#""data/{city}"#),
    ("8GiB", r#""8GiB""#),
    (r#"cpus = "2""#, "cpus = 2"),
    ("inputs = { first = \"step.first.made\" }\n", ""),
    (r#""second", "{zzz}""#, r#""second""#),
    ("nope", "city"),
    (r#"runner = "rr""#, r#"runner = "model""#),
    (r#""plott""#, r#""plot""#),
    ("plots/same.json", "plots/same/{outcome}.json"),
    ("[plot.late]\n", "[plot.late]\ncommand = []\n"),
    ("metadata = { time = \"{plot:/time}\" }\n", ""),
];

#[test]
fn a_mistake_that_is_mended_is_gone_and_no_other_comes_in_its_place() {
    let project = Project::new().jheemfile(EVERYTHING);
    for (mended, (from, to)) in MENDED.iter().enumerate() {
        assert_eq!(count(&project), MENDED.len() - mended, "before `{from}` is mended");
        project.change(from, to);
    }
    project.jheem("list").success().says("plot.rw[city=New York, outcome=testing]");
}

#[test]
fn mistakes_of_all_kinds_are_told_up_to_a_hundred() {
    let keys: String = (0..60).map(|index| format!("unknown_{index} = 1\n")).collect();
    let axes: String = (0..60).map(|index| format!("\"city_{index}\", ")).collect();
    let project = Project::new().jheemfile(&format!(
        "[project]\nname = \"demo\"\n{keys}[plot.all]\nover = [{axes}]\nrunner = \"modle\"\n\
         command = []\noutput.plot.path = \"plot\"\n[runner.model]\nprogram = \"draw\"\n"
    ));
    let ran = project.jheem("list").code(2);
    assert_eq!(ran.stderr.matches("error: ").count(), 100, "{ran}");
    let rest =
        "error: there are 22 more mistakes in `Jheemfile.toml`\nhint: mend the ones above first";
    ran.says("`city_38`").says(rest);
}

#[test]
fn a_cycle_is_shown_as_its_path_and_what_is_in_it_and_below_it_is_checked() {
    let project = Project::new().jheemfile(
        r#"[project]
name = "demo"
[runner.model]
program = "draw"
[runner.made]
built_by = "step.compile.binary"

[step.first]
runner = "model"
inputs = { third = "step.third.made" }
command = ["{input.third}", "{input.fourth}"]
output.made.path = "first"
[step.second]
runner = "modl"
inputs = { first = "step.first.made" }
command = ["{input.first}"]
output.made.path = "second"
[step.third]
over = ["city"]
runner = "model"
inputs = { second = "step.second.made" }
command = ["{input.second}"]
output.made.path = "third"
[step.below]
runner = "model"
inputs = { third = "step.third.made", second = "step.second.mad" }
command = ["{input.third}", "{input.second}", "{citty}"]
output.made.path = "first"

[step.compile]
runner = "made"
command = []
output.binary.path = "bin/model"

[step.itself]
runner = "model"
inputs = { itself = "step.itself.made" }
command = ["{input.itself}"]
output.made.path = "itself"
"#,
    );
    told(
        &project,
        "list",
        r#"
error: rules read each other in a circle: step.first -> step.second -> step.third -> step.first
 --> Jheemfile.toml:8:7
  |
8 | [step.first]
  |       ^^^^^
hint: let one of them read something else

error: this rule has no input `fourth`
  --> Jheemfile.toml:11:30
   |
11 | command = ["{input.third}", "{input.fourth}"]
   |                              ^^^^^^^^^^^^^^
hint: there is only `third`

error: no runner is called `modl`
  --> Jheemfile.toml:14:10
   |
14 | runner = "modl"
   |          ^^^^^^
hint: did you mean `model`?

error: no axis is called `city`
  --> Jheemfile.toml:19:9
   |
19 | over = ["city"]
   |         ^^^^^^
hint: declare it: `[axis.city]`

error: output `made` of `step.first` and output `made` of `step.below` make one file, `first`
  --> Jheemfile.toml:24:7
   |
 8 | [step.first]
   |       ----- the other is here
...
24 | [step.below]
   |       ^^^^^
hint: let the name hold every axis that tells them apart

error: `step.second` has no output `mad`
  --> Jheemfile.toml:26:48
   |
26 | inputs = { third = "step.third.made", second = "step.second.mad" }
   |                                                ^^^^^^^^^^^^^^^^^
hint: did you mean `made`?

error: unknown hole `{citty}`
  --> Jheemfile.toml:27:48
   |
27 | command = ["{input.third}", "{input.second}", "{citty}"]
   |                                                ^^^^^^^
hint: use one of `{project}`, `{batch.file}`, `{dir:FOLDER}`, `{list:AXIS}`, `{input.NAME}`, `{output.NAME}`, `{join.NAME}`, or write `{{` for the brace itself

error: rules read each other in a circle: step.compile -> step.compile
  --> Jheemfile.toml:30:7
   |
30 | [step.compile]
   |       ^^^^^^^
hint: let one of them read something else

error: rules read each other in a circle: step.itself -> step.itself
  --> Jheemfile.toml:35:7
   |
35 | [step.itself]
   |       ^^^^^^
hint: let one of them read something else

9 mistakes in Jheemfile.toml
"#,
    );
}

#[test]
fn a_grid_of_more_than_ten_million_cells_is_taken_for_a_mistake() {
    let years: String = (0..250).map(|year| format!("{year}\n")).collect();
    let project = Project::new().file("years.csv", format!("year\n{years}")).jheemfile(
        r#"[project]
name = "demo"
[runner.model]
program = "draw"
[axis.a]
from = { file = "years.csv", column = "year" }
[axis.b]
from = { file = "years.csv", column = "year" }
[axis.c]
from = { file = "years.csv", column = "year" }
[input.all]
path = "data/{a}/{b}/{c}.txt"
[plot.all]
over = ["a", "b", "c"]
runner = "model"
command = ["{a}"]
output.plot.path = "plots/{a}/{b}/{c}.json"
[plot.some]
over = ["a", "b"]
runner = "model"
command = ["{a}"]
output.plot.path = "plots/{a}.json"
"#,
    );
    told(
        &project,
        "list",
        r#"
error: `input.all` has 250 x 250 x 250 cells, more than 10000000
  --> Jheemfile.toml:11:8
   |
11 | [input.all]
   |        ^^^
hint: take an axis away, or split it in two

error: `plot.all` has 250 x 250 x 250 cells, more than 10000000
  --> Jheemfile.toml:13:7
   |
13 | [plot.all]
   |       ^^^
hint: take an axis away, or split it in two

error: two cells of output `plot` of `plot.some` make one file, `plots/164.json`: 164/0 and 164/1
  --> Jheemfile.toml:18:7
   |
18 | [plot.some]
   |       ^^^^
hint: let the name hold every axis that tells them apart

3 mistakes in Jheemfile.toml
"#,
    );
}

#[test]
fn two_targets_do_not_make_one_file_nor_publish_to_one_key() {
    let project = Project::new().jheemfile(
        r#"[project]
name = "demo"
[runner.model]
program = "draw"
[axis.city]
values = ["Boston", "Denver"]
[axis.outcome]
values = ["incidence", "testing"]
[input.data]
path = "data/{city}"
[plot.cells]
over = ["city", "outcome"]
runner = "model"
command = ["{city}"]
output.plot.path = "plots/{city}.json"
[plot.other]
over = ["city"]
runner = "model"
command = ["{city}"]
output.plot.path = "other/{city}.json"
[plot.same]
over = ["city"]
runner = "model"
command = ["{city}"]
output.plot.path = "other/{city}.json"
[plot.within]
over = ["city"]
runner = "model"
command = ["{city}"]
output.plot.path = "data/{city}/plot.json"
[publish.folder]
of = "plot.other"
object.plot = { to = "file:site", key = "plot.json" }
row.plot = { to = "sqlite:site.db", hash = { all = "all" } }
"#,
    );
    told(
        &project,
        "list",
        r#"
error: input `data` is the file `data/Denver`, which is a folder of output `plot` of `plot.within`
  --> Jheemfile.toml:9:8
   |
 9 | [input.data]
   |        ^^^^
...
26 | [plot.within]
   |       ------ the other is here
hint: give one of them another path

error: two cells of output `plot` of `plot.cells` make one file, `plots/Boston.json`: Boston/incidence and Boston/testing
  --> Jheemfile.toml:11:7
   |
11 | [plot.cells]
   |       ^^^^^
hint: let the name hold every axis that tells them apart

error: output `plot` of `plot.other` and output `plot` of `plot.same` make one file, `other/Denver.json`
  --> Jheemfile.toml:21:7
   |
16 | [plot.other]
   |       ----- the other is here
...
21 | [plot.same]
   |       ^^^^
hint: let the name hold every axis that tells them apart

error: two cells of `publish.folder.object.plot` publish to one key, `plot.json`: Boston and Denver
  --> Jheemfile.toml:33:8
   |
33 | object.plot = { to = "file:site", key = "plot.json" }
   |        ^^^^
hint: let the name hold every axis that tells them apart

error: two cells of `publish.folder.row.plot` write one row, `all`: Boston and Denver
  --> Jheemfile.toml:34:5
   |
34 | row.plot = { to = "sqlite:site.db", hash = { all = "all" } }
   |     ^^^^
hint: let the name hold every axis that tells them apart

5 mistakes in Jheemfile.toml
"#,
    );
}

#[test]
fn a_value_of_a_file_that_cannot_stand_in_a_file_name_is_told_with_the_file() {
    let project = Project::new()
        .file(
            "values.json",
            r#"{ "cities": ["Boston", "New/York"] }
"#,
        )
        .file(
            "values.yaml",
            r#"cities:
- id: Boston
- id: New/York
"#,
        )
        .file(
            "values.toml",
            r#"cities = ["Boston", "New/York"]
"#,
        )
        .file(
            "values.csv",
            r#"city,state
Boston,MA
New/York,NY
"#,
        )
        .jheemfile(
            r#"[project]
name = "demo"
[runner.model]
program = "draw"
[axis.json]
from = { file = "values.json", at = "/cities" }
[axis.yaml]
from = { file = "values.yaml", at = "/cities/*/id" }
[axis.toml]
from = { file = "values.toml", at = "/cities" }
[axis.csv]
from = { file = "values.csv", column = "city" }
[plot.all]
over = ["json", "yaml", "toml", "csv"]
runner = "model"
command = ["{json}"]
output.plot.path = "plots/{json}.json"
"#,
        );
    told(
        &project,
        "list",
        r#"
error: `values.json` has `New/York`, which cannot stand in a file name: it holds a slash
 --> Jheemfile.toml:6:8
  |
6 | from = { file = "values.json", at = "/cities" }
  |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
hint: use another value, and a label if the container calls it so

error: `values.yaml` has `New/York`, which cannot stand in a file name: it holds a slash
 --> Jheemfile.toml:8:8
  |
8 | from = { file = "values.yaml", at = "/cities/*/id" }
  |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
hint: use another value, and a label if the container calls it so

error: `values.toml` has `New/York`, which cannot stand in a file name: it holds a slash
  --> Jheemfile.toml:10:8
   |
10 | from = { file = "values.toml", at = "/cities" }
   |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
hint: use another value, and a label if the container calls it so

error: `values.csv` has `New/York`, which cannot stand in a file name: it holds a slash
  --> Jheemfile.toml:12:8
   |
12 | from = { file = "values.csv", column = "city" }
   |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
hint: use another value, and a label if the container calls it so

4 mistakes in Jheemfile.toml
"#,
    );
}

#[test]
fn what_only_follows_from_a_mistake_is_not_told() {
    let project = Project::new()
        .jheemfile(
            r#"[project]
name = "demo"
default = ["plot.good", "plot.drawn", "publish.plots"]
[axis.city]
from = { file = "missing.json", at = "/cities" }
set.some.from = { file = "missing.json", at = "/some" }
label.short = { Boston = "bos" }
[axis.outcome]
valuse = 7
[axis.facet]
values = ["none", "none"]
[preset.some]
axes = { city = ["@some", "Denver"], outcome = ["@most", "testing"], facet = ["none"] }
with = ["html"]
[input.base]
pth = "data/{city}/{outcome.short}.txt"
[input.data]
path = ["data/{city}.txt"]
[runner.model]
image = "model:1"
dirs = "plots"
[runner.other]
image = "model:1"
program = "draw"
[step.broken]
runner = "model"
command = "simulate {city}"
output.made.paths = "plots/{city}/{outcome}"
[plot.good]
over = ["city", "outcome", "facet"]
runner = "model"
inputs = { base = "input.base", data = "input.data", made = "step.broken.made", two = "step.broken.two" }
joins = { all = "step.broken.all" }
command = ["{dir:plots}", "{input.base}", "{input.data}", "{input.made}", "{join.all}", "{city.short}", "{outcome.short}"]
output.plot = { path = "plots/{facet}", as = "jsn" }
output.html = { path = "pages/{city}", when = { options = "html", arguments = ["--html"] } }
[[plot.good.absent]]
city = ["Denver"]
outcome = ["@most"]
[plot.drawn]
over = ["citty", "facet"]
runner = "other"
command = ["{city}", "{citty}", "{facet}", "{batch.file}"]
batch = { by = ["citty", "facet"], file = "jheem-jobs" }
output.plot.path = "plots/{city}/{citty}"
[publish.plots]
of = "plot.good"
object.plot = { to = "file:site", key = "{city}/{facet}", metadata = { a = "{plot:/a}", b = "{other:/b}" } }
object.page = { to = "file:site", key = 7 }
row.page = { to = "sqlite:rows.db", hash = { page = "page" }, item = { key = "{object.key}" } }
[publish.drawn]
of = "plot.drawn"
object.plot = { to = "file:drawn", key = "{city}" }
"#,
        );
    told(
        &project,
        "list",
        r#"
error: cannot read `./missing.json`
 --> Jheemfile.toml:5:17
  |
5 | from = { file = "missing.json", at = "/cities" }
  |                 ^^^^^^^^^^^^^^
  because: No such file or directory (os error 2)
hint: write its path from the folder of the Jheemfile

error: unknown key `valuse` in `[axis.outcome]`
 --> Jheemfile.toml:9:1
  |
9 | valuse = 7
  | ^^^^^^
hint: did you mean `values`?

error: `values` is the number 7, not a list of values
 --> Jheemfile.toml:9:10
  |
9 | valuse = 7
  |          ^
hint: write, for instance, `values = ["cessation", "brief_interruption"]`

error: `none` stands twice in `values`
  --> Jheemfile.toml:11:19
   |
11 | values = ["none", "none"]
   |           ------  ^^^^^^
   |           |
   |           first here
hint: remove one of the two

error: unknown key `pth` in `[input.base]`
  --> Jheemfile.toml:16:1
   |
16 | pth = "data/{city}/{outcome.short}.txt"
   | ^^^
hint: did you mean `path`?

error: `path` is a list, not a text
  --> Jheemfile.toml:18:8
   |
18 | path = ["data/{city}.txt"]
   |        ^^^^^^^^^^^^^^^^^^^
hint: write, for instance, `path = "simulations/ryan-white/base/{city}_base.Rdata"`

error: `dirs` is the text `plots`, not a table from folders as the run sees them to folders of the project or `{batch}`
  --> Jheemfile.toml:21:8
   |
21 | dirs = "plots"
   |        ^^^^^^^
hint: write, for instance, `dirs = { "/app/simulations" = "simulations", "/app/plots" = "plots", "/app/configs" = "{batch}" }`

error: `[runner.other]` has both `image` and `program`
  --> Jheemfile.toml:24:1
   |
23 | image = "model:1"
   | -----
24 | program = "draw"
   | ^^^^^^^
hint: keep one of `image`, `program` and `built_by`

error: `command` is the text `simulate {city}`, not a list of templates
  --> Jheemfile.toml:27:11
   |
27 | command = "simulate {city}"
   |           ^^^^^^^^^^^^^^^^^
hint: put it in brackets: `["simulate", "{city}"]`

error: unknown key `paths` in `[step.broken.output.made]`
  --> Jheemfile.toml:28:13
   |
28 | output.made.paths = "plots/{city}/{outcome}"
   |             ^^^^^
hint: did you mean `path`?

error: `as` cannot be `jsn`
  --> Jheemfile.toml:35:46
   |
35 | output.plot = { path = "plots/{facet}", as = "jsn" }
   |                                              ^^^^^
hint: did you mean `json`?

error: unknown key `options` in `[plot.good.output.html.when]`
  --> Jheemfile.toml:36:49
   |
36 | output.html = { path = "pages/{city}", when = { options = "html", arguments = ["--html"] } }
   |                                                 ^^^^^^^
hint: did you mean `option`?

error: no axis is called `citty`
  --> Jheemfile.toml:41:9
   |
41 | over = ["citty", "facet"]
   |         ^^^^^^^
hint: did you mean `city`?

error: no output is called `other`
  --> Jheemfile.toml:48:94
   |
48 | object.plot = { to = "file:site", key = "{city}/{facet}", metadata = { a = "{plot:/a}", b = "{other:/b}" } }
   |                                                                                              ^^^^^^^^^^
hint: use one of `html`, `plot`

error: `key` is the number 7, not a text
  --> Jheemfile.toml:49:41
   |
49 | object.page = { to = "file:site", key = 7 }
   |                                         ^
hint: put it in quotes: `"7"`

error: `plot.good` has no output `page`
  --> Jheemfile.toml:50:5
   |
50 | row.page = { to = "sqlite:rows.db", hash = { page = "page" }, item = { key = "{object.key}" } }
   |     ^^^^
hint: use one of `html`, `plot`

16 mistakes in Jheemfile.toml
"#,
    );
}

#[test]
fn a_mistake_of_syntax_in_a_value_hides_only_its_line() {
    let project = Project::new().jheemfile(
        r#"[project]
name = "demo"
[runner.model]
program = "draw"
[axis.city]
values = [Boston, "Denver"]
[plot.city]
over = ["city", "outcome"]
runner = model
command = ["draw", "{citty}"]
output.plot.path = "plots/{city.short}.json"
[plot.other]
over = ["city"]
runner = "modle"
command = ["draw", "{city}", "{citty}"]
output.plot.path = 'plots/{city}.json
"#,
    );
    told(
        &project,
        "list",
        r#"
error: the text `Boston` has no quotes
 --> Jheemfile.toml:6:11
  |
6 | values = [Boston, "Denver"]
  |           ^^^^^^
hint: write `"Boston"`

error: no axis is called `outcome`
 --> Jheemfile.toml:8:17
  |
8 | over = ["city", "outcome"]
  |                 ^^^^^^^^^
hint: declare it: `[axis.outcome]`

error: the text `model` has no quotes
 --> Jheemfile.toml:9:10
  |
9 | runner = model
  |          ^^^^^
hint: write `"model"`

error: unknown hole `{citty}`
  --> Jheemfile.toml:10:21
   |
10 | command = ["draw", "{citty}"]
   |                     ^^^^^^^
hint: did you mean `city`?

error: no runner is called `modle`
  --> Jheemfile.toml:14:10
   |
14 | runner = "modle"
   |          ^^^^^^^
hint: did you mean `model`?

error: unknown hole `{citty}`
  --> Jheemfile.toml:15:31
   |
15 | command = ["draw", "{city}", "{citty}"]
   |                               ^^^^^^^
hint: did you mean `city`?

error: a text is not closed on its line
  --> Jheemfile.toml:16:38
   |
16 | output.plot.path = 'plots/{city}.json
   |                                      ^
hint: put a quote at its end, or three at both ends of a text of several lines

7 mistakes in Jheemfile.toml
"#,
    );
}

#[test]
fn a_text_that_is_not_closed_in_a_list_is_told_on_its_line() {
    let project = Project::new().jheemfile(
        r#"[project]
name = "demo"
[runner.model]
program = "draw"
[plot.city]
over = ["city", "outcome"]
runner = "model"
command = ["draw, "{citty}"]
output.plot.path = "plots/{city}.json"
"#,
    );
    told(
        &project,
        "list",
        r#"
error: a text is not closed on its line
 --> Jheemfile.toml:8:29
  |
8 | command = ["draw, "{citty}"]
  |                             ^
hint: put a quote at its end, or three at both ends of a text of several lines
"#,
    );
}

#[test]
fn after_a_mistake_of_syntax_that_swallows_keys_only_the_text_is_judged() {
    let project = Project::new().jheemfile(
        r#"[project]
name = "demo"
[runner.model]
program = "draw"
[axis.city
values = ["Boston", "Denver"]
[plot.city]
over = ["city", "outcome"]
runner = "modle"
comand = ["draw", "{citty}"]
output.plot.path = "plots/{city}.json"
"#,
    );
    told(
        &project,
        "list",
        r#"
error: a header is not closed
 --> Jheemfile.toml:5:11
  |
5 | [axis.city
  |           ^
hint: put `]` at its end

error: unknown key `comand` in `[plot.city]`
  --> Jheemfile.toml:10:1
   |
10 | comand = ["draw", "{citty}"]
   | ^^^^^^
hint: did you mean `command`?

2 mistakes in Jheemfile.toml
"#,
    );
}

#[test]
fn a_profile_that_is_not_there_is_told_with_what_was_meant() {
    let project = Project::new().jheemfile(
        r#"[project]
name = "demo"
[runner.model]
program = "draw"
[plot.all]
runner = "modle"
command = []
output.plot.path = "plots/all"
[profile.local.runner.model]
program = "bin/draw"
"#,
    );
    told(
        &project,
        "list --profile locl",
        r#"
error: there is no profile `locl`
hint: did you mean `local`?

error: no runner is called `modle`
 --> Jheemfile.toml:6:10
  |
6 | runner = "modle"
  |          ^^^^^^^
hint: did you mean `model`?

2 mistakes in Jheemfile.toml
"#,
    );
}
