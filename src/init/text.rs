//! The words of a proposed Jheemfile.

use std::fmt::Write as _;

use super::grid::{Axis, Companion, Grid};
use super::inputs::Input;
use super::kinds::free_name;
use crate::figures::{numbered, thousands};

/// Values on one line, up to this width.
const WIDTH: usize = 96;
/// So many gaps and strangers are named.
const MOST_NAMED: usize = 6;

/// How the folders of a container give way to an interpreter, which sees the project's own paths.
const INTERPRETER: &str = "\
# For a script put `program = \"Rscript\"` and `pass_env = [\"PATH\"]` in the place of `image` and `dirs`, and
# declare it: `[input.script]` with `path = \"draw.R\"`, `script = \"input.script\"` among the inputs of
# the plot, and `\"{input.script}\"` in the place of `\"plot\"` in its command.
";
/// The same where an interpreter is proposed.
const SCRIPT: &str = "\
# Declare your script: `[input.script]` with `path = \"draw.R\"`, `script = \"input.script\"` among the
# inputs of the plot, and `\"{input.script}\"` in the place of `\"plot\"` in its command.
";

/// A text as TOML writes it; JSON's escapes are TOML's too.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("texts have no keys")
}

fn list(values: &[String]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| quoted(value)).collect();
    let line = format!("[{}]", quoted.join(", "));
    if line.len() <= WIDTH {
        return line;
    }
    let mut text = String::from("[\n ");
    let mut width = 1;
    for value in quoted {
        if width + value.len() + 2 > WIDTH {
            text.push_str("\n ");
            width = 1;
        }
        width += value.len() + 2;
        text.push(' ');
        text.push_str(&value);
        text.push(',');
    }
    text + "\n]"
}

/// A name as a comment can hold it.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// A Jheemfile for plots that lie on a grid.
pub fn of_grid(project: &str, grid: &Grid, inputs: &[Input], more: bool) -> String {
    let mut text = String::new();
    write_grid(&mut text, project, grid, inputs, more).expect("strings take all");
    text
}

fn write_grid(
    out: &mut String,
    project: &str,
    grid: &Grid,
    inputs: &[Input],
    more: bool,
) -> std::fmt::Result {
    writeln!(
        out,
        "# Proposed by `jheem init` from the names of {}.",
        numbered(grid.files, "plot")
    )?;
    if more {
        writeln!(out, "# There are more files than were looked at, so values may be missing.")?;
    }
    let missing = grid.cells - grid.files;
    writeln!(
        out,
        "# They lie on a grid of {} cells; {}.",
        thousands(grid.cells),
        match missing {
            0 => "every cell has its plot".to_owned(),
            missing => format!("{} of them have none", thousands(missing)),
        }
    )?;
    for stranger in grid.strangers.iter().take(MOST_NAMED) {
        writeln!(out, "# It leaves out `{}`.", plain(stranger))?;
    }
    if grid.strangers.len() > MOST_NAMED {
        let rest = grid.strangers.len() - MOST_NAMED;
        writeln!(out, "# It leaves out {} more.", numbered(rest, "file"))?;
    }
    writeln!(
        out,
        "# What is guessed says so; complete `[runner.model]` and `command`, then try `jheem plan`.\n"
    )?;
    writeln!(out, "[project]\nname = {}\n", quoted(project))?;
    writeln!(out, "# What plots differ in. Every combination of values is a cell: one plot.\n")?;
    for axis in &grid.axes {
        write_axis(out, axis)?;
    }
    write_preset(out, &grid.axes)?;
    write_inputs(out, inputs)?;
    write_runner(out, grid, inputs)?;
    write_plot(out, grid, inputs)?;
    write_gaps(out, grid)
}

/// The end of such a Jheemfile: where its plots are published.
pub fn of_publish(grid: &Grid) -> String {
    let mut text = String::new();
    write_publish(&mut text, &grid.axes).expect("strings take all");
    text
}

fn write_axis(out: &mut String, axis: &Axis) -> std::fmt::Result {
    if axis.nameless {
        let values = axis.values.len();
        writeln!(
            out,
            "# Guessed: its {values} values do not tell what it is; give it a better name."
        )?;
    }
    writeln!(out, "[axis.{}]\nvalues = {}", axis.name, list(&axis.values))?;
    if let Some(separator) = axis.joined_by {
        let line = format!("joined_by = {}", quoted(separator));
        writeln!(out, "{line:<40} # the order of its parts means nothing")?;
    }
    for (name, texts) in &axis.labels {
        let header = format!("[axis.{}.label.{name}]", axis.name);
        writeln!(out, "{header:<40} # {{{}.{name}}} in paths", axis.name)?;
        for (pattern, text) in texts {
            writeln!(out, "{} = {}", quoted(pattern), quoted(text))?;
        }
    }
    writeln!(out)
}

fn write_preset(out: &mut String, axes: &[Axis]) -> std::fmt::Result {
    writeln!(out, "# A part of the grid by name: `jheem build --preset minimal`.")?;
    writeln!(out, "[preset.minimal.axes]")?;
    for axis in axes {
        writeln!(out, "{} = {}", axis.name, list(&axis.values[..1]))?;
    }
    writeln!(out)
}

fn write_inputs(out: &mut String, inputs: &[Input]) -> std::fmt::Result {
    writeln!(
        out,
        "# What is read: when such a file changes, the plots that read it are made anew."
    )?;
    if inputs.is_empty() {
        writeln!(
            out,
            "# Guessed: no data files with the values of the axes in their names were found."
        )?;
        writeln!(out, "[input.data]\npath = \"data/data.csv\"\n")?;
    }
    for input in inputs {
        writeln!(out, "# Guessed from {}.", numbered(input.files, "file"))?;
        writeln!(out, "[input.{}]\npath = {}\n", input.name, quoted(&input.path))?;
    }
    Ok(())
}

fn write_runner(out: &mut String, grid: &Grid, inputs: &[Input]) -> std::fmt::Result {
    writeln!(out, "# Who draws: an image, or a program of this machine.")?;
    writeln!(out, "[runner.model]")?;
    match folders(grid, inputs) {
        Some(folders) => {
            let dirs: Vec<String> = folders
                .iter()
                .map(|f| format!("{} = {}", quoted(&format!("/app/{f}")), quoted(f)))
                .collect();
            writeln!(out, "image = \"model:latest\"{:19}# yours", "")?;
            writeln!(
                out,
                "# Folder in the container = folder of the project; nothing else is seen."
            )?;
            writeln!(out, "dirs = {{ {} }}", dirs.join(", "))?;
            write!(out, "{INTERPRETER}")?;
        }
        // A container would have to be shown the whole project.
        None => {
            writeln!(out, "program = \"Rscript\"{:22}# yours; or `image = \"model:latest\"`", "")?;
            writeln!(out, "pass_env = [\"PATH\"]")?;
            write!(out, "{SCRIPT}")?;
        }
    }
    writeln!(out, "timeout = {{ total = \"6h\", quiet = \"10m\" }}\n")
}

/// The folders at the top of the project that a run reads and writes, if all paths have one.
fn folders(grid: &Grid, inputs: &[Input]) -> Option<Vec<String>> {
    let outputs = grid.companions.iter().map(|c| &c.path).chain([&grid.path]);
    let mut folders: Vec<String> = if inputs.is_empty() { vec!["data".into()] } else { Vec::new() };
    for path in inputs.iter().map(|i| &i.path).chain(outputs) {
        let (top, _) = path.split_once('/')?;
        if !top.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
            return None;
        }
        folders.push(top.to_owned());
    }
    folders.sort_unstable();
    folders.dedup();
    Some(folders)
}

fn write_plot(out: &mut String, grid: &Grid, inputs: &[Input]) -> std::fmt::Result {
    let names: Vec<String> = grid.axes.iter().map(|axis| axis.name.clone()).collect();
    let reads: Vec<&str> = match inputs.is_empty() {
        true => vec!["data"],
        false => inputs.iter().map(|input| input.name.as_str()).collect(),
    };
    let pairs: Vec<String> =
        reads.iter().map(|name| format!("{name} = \"input.{name}\"")).collect();
    writeln!(out, "# What is drawn, and how the runner is asked for it.")?;
    writeln!(out, "[plot.main]")?;
    writeln!(out, "over = {}", list(&names))?;
    writeln!(out, "runner = \"model\"")?;
    writeln!(out, "inputs = {{ {} }}", pairs.join(", "))?;
    writeln!(out, "command = [")?;
    writeln!(out, "  \"plot\",")?;
    for name in &reads {
        writeln!(
            out,
            "  {}, {},",
            quoted(&format!("--{name}")),
            quoted(&format!("{{input.{name}}}"))
        )?;
    }
    for name in &names {
        writeln!(out, "  {}, {},", quoted(&format!("--{name}")), quoted(&format!("{{{name}}}")))?;
    }
    writeln!(out, "  \"--output\", \"{{output.plot}}\",\n]")?;
    writeln!(
        out,
        "\
# One run can make many plots: with `batch = {{ by = [{}], file = \"jheem-jobs\" }}` the runner is
# handed a list of them as `{{batch.file}}`, and start-up is paid once.",
        quoted(&names[0])
    )?;
    writeln!(out, "[plot.main.output.plot]\npath = {}", quoted(&grid.path))?;
    writeln!(out, "as = \"{}\"", kind(&grid.ending))?;
    for Companion { name, path, files } in &grid.companions {
        let ending = path.rsplit('.').next().unwrap_or("");
        writeln!(out, "# Guessed: beside {} of the plots.", thousands(*files))?;
        writeln!(out, "[plot.main.output.{name}]\npath = {}", quoted(path))?;
        writeln!(out, "as = \"{}\"", kind(ending))?;
        if ending == "json" {
            writeln!(
                out,
                "# volatile = [\"/generation_time\"]      # what differs in every run and means nothing"
            )?;
        }
    }
    writeln!(out)
}

/// How an output is compared with what it was.
fn kind(ending: &str) -> &'static str {
    match ending {
        "json" => "json",
        "html" => "html",
        _ => "bytes",
    }
}

fn write_gaps(out: &mut String, grid: &Grid) -> std::fmt::Result {
    if grid.gaps.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "# These cells have no plots. If they cannot exist, take the `#` away; an undeclared gap fails."
    )?;
    for gap in grid.gaps.iter().take(MOST_NAMED) {
        let (first, second) = &gap.axes;
        let seconds: Vec<String> = gap.seconds.iter().map(|value| quoted(value)).collect();
        writeln!(out, "# [[plot.main.absent]]")?;
        writeln!(out, "# {first} = [{}]", quoted(&gap.first))?;
        writeln!(out, "# {second} = [{}]", seconds.join(", "))?;
    }
    if grid.gaps.len() > MOST_NAMED {
        writeln!(out, "# … and {} more", thousands(grid.gaps.len() - MOST_NAMED))?;
    }
    writeln!(out)
}

fn write_publish(out: &mut String, axes: &[Axis]) -> std::fmt::Result {
    let holes: Vec<String> = axes.iter().map(|axis| format!("{{{}}}", axis.name)).collect();
    let (hash, range) = holes.split_at(1);
    // An axis may be called what an attribute is called here.
    let taken = [axes[0].name.clone()];
    let [rest, key, size] = ["rest", "key", "size"].map(|name| free_name(name, &taken));
    writeln!(
        out,
        "\
# What is published, and where: here a folder, and a database of what is in it.
# `s3://bucket/prefix` and `dynamodb://table` stand in the same places.
[publish.site]
of = \"plot.main\"
[publish.site.object.plot]
to = \"file:site\"
key = \"{{path}}\"
[publish.site.row.plot]
to = \"sqlite:site/plots.db#plots\"
hash = {{ {} = {} }}",
        axes[0].name,
        quoted(&hash[0])
    )?;
    if !range.is_empty() {
        writeln!(out, "range = {{ {rest} = {} }}", quoted(&range.join("#")))?;
    }
    writeln!(out, "item = {{ {key} = \"{{object.key}}\", {size} = {{ N = \"{{object.size}}\" }} }}")
}

/// A small Jheemfile to learn from, where names show no grid.
pub fn example(project: &str, files: usize) -> String {
    let seen = match files {
        0 => "There are no files here yet, so this is an example to begin with.".to_owned(),
        files => format!(
            "The names of the {} here show no grid of plots, so this is an example to begin with.",
            numbered(files, "file")
        ),
    };
    format!(
        "\
# {seen}
# Change it until `jheem plan` shows what you want, then `jheem` makes it.

[project]
name = {name}

# What plots differ in. Every combination of values is a cell: here 2 x 2 x 3 plots.

[axis.city]
values = [\"C.12580\", \"C.12940\"]

[axis.scenario]
values = [\"cessation\", \"brief_interruption\"]

[axis.outcome]
values = [\"incidence\", \"testing\", \"awareness\"]

# A part of the grid by name: `jheem build --preset minimal`.
[preset.minimal.axes]
city = [\"C.12580\"]
scenario = [\"cessation\"]
outcome = [\"incidence\"]

# What is read: when such a file changes, the plots that read it are made anew, and no others.
[input.simulation]
path = \"simulations/{{city}}/{{scenario}}.csv\"

# Who draws: an image, or a program of this machine.
[runner.model]
image = \"model:latest\"                   # yours
# Folder in the container = folder of the project; nothing else is seen.
dirs = {{ \"/app/plots\" = \"plots\", \"/app/simulations\" = \"simulations\" }}
{INTERPRETER}timeout = {{ total = \"6h\", quiet = \"10m\" }}

# What is drawn, and how the runner is asked for it.
[plot.main]
over = [\"city\", \"scenario\", \"outcome\"]
runner = \"model\"
inputs = {{ simulation = \"input.simulation\" }}
command = [
  \"plot\",
  \"--simulation\", \"{{input.simulation}}\",
  \"--outcome\", \"{{outcome}}\",
  \"--output\", \"{{output.plot}}\",
]
# One run can make many plots: with `batch = {{ by = [\"city\"], file = \"jheem-jobs\" }}` the runner is
# handed a list of them as `{{batch.file}}`, and start-up is paid once.
[plot.main.output.plot]
path = \"plots/{{city}}/{{scenario}}/{{outcome}}.json\"
as = \"json\"                               # what counts is what a reader would see
volatile = [\"/generated_at\"]              # what differs in every run and means nothing

# What cannot exist is said, so that every other gap fails:
# [[plot.main.absent]]
# scenario = [\"brief_interruption\"]
# outcome = [\"awareness\"]

# What is published, and where: here a folder, and a database of what is in it.
# `s3://bucket/prefix` and `dynamodb://table` stand in the same places.
[publish.site]
of = \"plot.main\"
[publish.site.object.plot]
to = \"file:site\"
key = \"{{path}}\"
[publish.site.row.plot]
to = \"sqlite:site/plots.db#plots\"
hash = {{ city = \"{{city}}\" }}
range = {{ scenario_outcome = \"{{scenario}}#{{outcome}}\" }}
item = {{ key = \"{{object.key}}\", size = {{ N = \"{{object.size}}\" }} }}
",
        name = quoted(project),
    )
}
