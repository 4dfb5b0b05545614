//! The tables that say what there is: project, axes, presets and inputs.

use super::{Bond, Form, List, Names, Shape, Table, key, named, set_of, some_of};

pub(super) static PROJECT: Table = Table {
    title: "project",
    doc: "What the project is called, and what is made when nothing is asked for.",
    keys: &[
        key(
            "name",
            Shape::Text(Form::Name),
            "The owner of what is published; two projects that share a destination need two names.",
            r#"name = "ryan-white-msa""#,
        )
        .required(),
        key(
            "default",
            Shape::List(&some_of(Shape::Text(Form::Goal))),
            "What `jheem` alone makes: rules and publishes. Without it, everything.",
            r#"default = ["plot.rw"]"#,
        ),
        key(
            "cache_size",
            Shape::Text(Form::Size),
            "How large `cache/` may be after `jheem cache gc`.",
            r#"cache_size = "50GiB""#,
        ),
    ],
    bonds: &[],
};

const VALUES: List = some_of(Shape::Text(Form::Value));
pub(super) const PATTERNS: List = some_of(Shape::Text(Form::Pattern));

/// Patterns over values by axis.
static BY_AXIS: Names = Names { key: Form::AxisName, ..named(Shape::List(&PATTERNS)) };

pub(super) static AXIS: Table = Table {
    title: "axis.NAME",
    doc: "Something that plots differ in, and its values in their order. \
          The name is a hole in templates: `[axis.city]` makes `{city}`.",
    keys: &[
        key(
            "values",
            Shape::List(&VALUES),
            "The values, written out.",
            r#"values = ["cessation", "brief_interruption"]"#,
        ),
        key(
            "from",
            Shape::Table(&FROM),
            "The values, from a file.",
            r#"from = { file = "models.json", at = "/ryan-white-msa/scenarios/*/id" }"#,
        ),
        key(
            "set",
            Shape::Names(&named(Shape::Table(&SET))),
            "Named parts of the values; `@NAME` stands for them wherever patterns do.",
            r#"set.test.values = ["C.12580", "C.12940"]"#,
        ),
        key(
            "label",
            Shape::Names(&named(Shape::Names(&Names {
                key: Form::Pattern,
                fewest: 1,
                ..named(Shape::Text(Form::Template))
            }))),
            "Other texts for the values, by pattern: `{facet.part}` is the label `part` of the facet. \
             An exact value wins, then the longest pattern. The text may hold the axis itself.",
            r#"label.part = { none = "unfaceted", "*" = "facet_{facet}" }"#,
        ),
        key(
            "joined_by",
            Shape::Text(Form::Text),
            "Values are parts joined by this text, in an order that means nothing: \
             with `+`, `sex+age` is taken for `age+sex`.",
            r#"joined_by = "+""#,
        ),
    ],
    bonds: &[Bond::OneOf(&["values", "from"])],
};

static SET: Table = Table {
    title: "axis.NAME.set.SET",
    doc: "A named part of an axis's values.",
    keys: &[
        key("values", Shape::List(&VALUES), "The values, written out.", r#"values = ["C.12580"]"#),
        key(
            "from",
            Shape::Table(&FROM),
            "The values, from a file.",
            r#"from = { file = "models.json", at = "/ryan-white-msa/locations/test" }"#,
        ),
    ],
    bonds: &[Bond::OneOf(&["values", "from"])],
};

static FROM: Table = Table {
    title: "axis.NAME.from",
    doc: "The place of values in a JSON, TOML, YAML or CSV file. \
          Only the values that are used count; the rest of the file may change freely.",
    keys: &[
        key(
            "file",
            Shape::Text(Form::DataFile),
            "The file, from the folder of the Jheemfile.",
            r#"file = "models.json""#,
        )
        .required(),
        key(
            "at",
            Shape::Text(Form::ValuesPointer),
            "In JSON, TOML and YAML: a pointer to a list of texts or numbers; a step `*` takes every item.",
            r#"at = "/ryan-white-msa/locations/full""#,
        ),
        key(
            "column",
            Shape::Text(Form::Text),
            "In CSV: the name of the column.",
            r#"column = "city""#,
        ),
    ],
    bonds: &[Bond::OneOf(&["at", "column"])],
};

pub(super) static PRESET: Table = Table {
    title: "preset.NAME",
    doc: "A named part of the grid, chosen with `--preset NAME`.",
    keys: &[
        key(
            "goals",
            Shape::List(&some_of(Shape::Text(Form::Goal))),
            "What is made: rules and publishes. Without it, the default goals.",
            r#"goals = ["plot.rw"]"#,
        ),
        key(
            "axes",
            Shape::Names(&BY_AXIS),
            "Patterns over values, by axis; an axis that is not named keeps all its values.",
            r#"axes = { city = ["@test"], facet = ["none", "age"] }"#,
        ),
        key(
            "with",
            Shape::List(&set_of(Shape::Text(Form::Name))),
            "Options that are asked for: outputs that have `when` with such an option are made too.",
            r#"with = ["html"]"#,
        ),
    ],
    bonds: &[],
};

pub(super) static INPUT: Table = Table {
    title: "input.NAME",
    doc: "Files that rules read and no rule makes; one for every combination of the holes in its path.",
    keys: &[
        key(
            "path",
            Shape::Text(Form::Path),
            "The file.",
            r#"path = "simulations/ryan-white/base/{city}_base.Rdata""#,
        ),
        key(
            "folder",
            Shape::Text(Form::Path),
            "A folder; all files below it count.",
            r#"folder = "code/plotting""#,
        ),
        key(
            "exclude",
            Shape::List(&set_of(Shape::Text(Form::Glob))),
            "Globs of files below the folder that do not count.",
            r#"exclude = ["**/*.md"]"#,
        ),
        key(
            "source",
            Shape::Text(Form::SourceUrl),
            "Where the file comes from if it is not there: a URL with the same holes. \
             `jheem update` pins its digest in `Jheem.lock`.",
            r#"source = "s3://jheem-data-production/simulations/ryan-white/base/{city}_base.Rdata""#,
        ),
    ],
    bonds: &[
        Bond::OneOf(&["path", "folder"]),
        Bond::Needs { keys: &["exclude"], with: "folder" },
        Bond::Needs { keys: &["source"], with: "path" },
    ],
};
