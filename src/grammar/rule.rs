//! The tables of rules: steps and plots, their outputs, batches, audits and absences.

use crate::content::As;

use super::{Bond, Form, Key, List, Names, Shape, Table, key, named, project, set_of, some_of};

pub(super) static STEP: Table = Table {
    title: "step.NAME",
    doc: "A rule that makes files for other rules: a simulation, a trim, an aggregation.",
    keys: RULE_KEYS,
    bonds: &[],
};

pub(super) static PLOT: Table = Table {
    title: "plot.NAME",
    doc: "A rule that draws: one plot, with all its outputs, for every cell of its axes. \
          It has the keys of a step.",
    keys: RULE_KEYS,
    bonds: &[],
};

const TEMPLATES: List = List { of: Shape::Text(Form::Template), fewest: 0, unique: false };

static REFERENCES: Names = named(Shape::Text(Form::Reference));

static RULE_KEYS: &[Key] = &[
    key(
        "over",
        Shape::List(&set_of(Shape::Text(Form::Name))),
        "The axes of the rule; it makes its outputs for every cell of them.",
        r#"over = ["city", "scenario", "outcome", "statistic", "facet"]"#,
    )
    .default("[]"),
    key(
        "runner",
        Shape::Text(Form::Name),
        "The runner that makes the outputs.",
        r#"runner = "model""#,
    )
    .required(),
    key(
        "inputs",
        Shape::Names(&REFERENCES),
        "What is read, one file each: inputs, or outputs of other rules, whose axes are all axes of this rule.",
        r#"inputs = { base = "input.base", prerun = "input.prerun" }"#,
    ),
    key(
        "joins",
        Shape::Names(&REFERENCES),
        "What is read, many files each: all cells of the axes that this rule does not have.",
        r#"joins = { plots = "plot.rw.plot" }"#,
    ),
    key(
        "command",
        Shape::List(&TEMPLATES),
        "The arguments of the run, each a template. No shell reads them.",
        r#"command = ["batch", "--config", "{batch.file}", "--output-dir", "/app/plots"]"#,
    )
    .required(),
    key(
        "batch",
        Shape::Table(&BATCH),
        "How cells share a run. Without it, every cell has a run of its own.",
        r#"batch = { by = ["city"], file = "jheem-jobs" }"#,
    ),
    key(
        "output",
        Shape::Names(&Names { fewest: 1, ..named(Shape::Table(&OUTPUT)) }),
        "What is made for every cell.",
        r#"output.plot = { path = "plots/{city}/{scenario}/{outcome}.json", as = "plotly" }"#,
    )
    .required(),
    key(
        "ignore",
        Shape::List(&set_of(Shape::Text(Form::Glob))),
        "Globs of files in the output folders, by the paths that the run knows them by, that are neither wanted nor complained of.",
        r#"ignore = ["**/lib/**"]"#,
    ),
    key(
        "audit",
        Shape::List(&List { of: Shape::Table(&AUDIT), fewest: 0, unique: false }),
        "What must hold in an output, each a `[[…audit]]` table.",
        r#"audit = [{ output = "plot", required = ["/data"] }]"#,
    ),
    key(
        "absent",
        Shape::List(&List {
            of: Shape::Names(&Names {
                fewest: 1,
                key: Form::AxisName,
                ..named(Shape::List(&project::PATTERNS))
            }),
            fewest: 0,
            unique: false,
        }),
        "Cells that cannot exist, each an `[[…absent]]` table of patterns over values, by axis. \
         A cell is absent if one table fits it in all the axes that it names.",
        r#"absent = [{ outcome = ["awareness"], facet = ["!none"] }]"#,
    ),
];

static BATCH: Table = Table {
    title: "plot.NAME.batch",
    doc: "How cells share a run. jheem cuts batches to what is stale, within memory and time.",
    keys: &[
        key(
            "by",
            Shape::List(&set_of(Shape::Text(Form::Name))),
            "Axes whose values are never mixed in one run.",
            r#"by = ["city"]"#,
        )
        .default("[]"),
        key(
            "file",
            Shape::Word(&["jheem-jobs"]),
            "The file that tells the run its cells: YAML, a list `jobs` of maps, each a product of lists. \
             Without it, the command tells them, with `{list:outcome}`.",
            r#"file = "jheem-jobs""#,
        ),
        key(
            "fields",
            Shape::Names(&Names { key: Form::AxisName, ..named(Shape::Text(Form::Text)) }),
            "The names of axes in the batch file, where they differ; \
             an axis of `by` is called as it is, and any other with an `s`.",
            r#"fields = { location = "city" }"#,
        ),
        key(
            "size",
            Shape::Whole { min: 1, max: i64::MAX },
            "At most this many cells in one run.",
            "size = 500",
        ),
    ],
    bonds: &[Bond::Needs { keys: &["fields"], with: "file" }],
};

static OUTPUT: Table = Table {
    title: "plot.NAME.output.OUTPUT",
    doc: "A file that is made for every cell.",
    keys: &[
        key(
            "path",
            Shape::Text(Form::Path),
            "Where it lies in the project; every axis of the rule must be in it.",
            r#"path = "plots/{city}/{scenario}/{outcome}_{statistic}_{facet.part}.json""#,
        )
        .required(),
        key(
            "as",
            Shape::Word(&As::NAMES),
            "What its content is, which decides what counts as a change.",
            r#"as = "plotly""#,
        )
        .default(r#""bytes""#),
        key(
            "volatile",
            Shape::List(&set_of(Shape::Text(Form::Pointer))),
            "Pointer patterns of values that change from run to run and do not count.",
            r#"volatile = ["/generation_time"]"#,
        ),
        key(
            "when",
            Shape::Table(&WHEN),
            "Makes the output only when an option is asked for, by a preset's `with` or by `--with`.",
            r#"when = { option = "html", arguments = ["--include-html"] }"#,
        ),
        key(
            "optional",
            Shape::Bool,
            "Whether it may be missing after a run that was otherwise good.",
            "optional = true",
        )
        .default("false"),
        key("executable", Shape::Bool, "Whether it is a program.", "executable = true")
            .default("false"),
        key(
            "unique",
            Shape::Bool,
            "Whether no two cells may have the same content.",
            "unique = true",
        )
        .default("false"),
    ],
    bonds: &[],
};

static WHEN: Table = Table {
    title: "plot.NAME.output.OUTPUT.when",
    doc: "An output that is made only on request.",
    keys: &[
        key("option", Shape::Text(Form::Name), "The name of the option.", r#"option = "html""#)
            .required(),
        key(
            "arguments",
            Shape::List(&List { of: Shape::Text(Form::Template), fewest: 1, unique: false }),
            "Arguments that are added to the command.",
            r#"arguments = ["--include-html"]"#,
        )
        .required(),
    ],
    bonds: &[],
};

const POINTER: Shape = Shape::Text(Form::Pointer);
const COUNT: Shape = Shape::Whole { min: 0, max: i64::MAX };

const fn tables(table: &'static Table) -> List {
    List { of: Shape::Table(table), fewest: 1, unique: false }
}

static AUDIT: Table = Table {
    title: "plot.NAME.audit",
    doc: "Checks of one output; a plot that fails one is refused. \
          A check whose pointer matches nothing fails. \
          Changing an audit judges the plots again and draws none.",
    keys: &[
        key(
            "output",
            Shape::Text(Form::Name),
            "The output that is looked at.",
            r#"output = "metadata""#,
        )
        .required(),
        key(
            "equals",
            Shape::Names(&Names { key: Form::Pointer, fewest: 1, ..named(Shape::Scalar) }),
            "Pointers, and the text (with holes), number or bool that stands there.",
            r#"equals = { "/city/0" = "{city}", "/has_baseline/0" = true }"#,
        ),
        key(
            "required",
            Shape::List(&some_of(POINTER)),
            "Pointer patterns that match something.",
            r#"required = ["/layout/title"]"#,
        ),
        key(
            "items",
            Shape::List(&tables(&ITEMS)),
            "How many items lists and objects have.",
            r#"items = [{ at = "/data", min = 1 }]"#,
        ),
        key(
            "finite",
            Shape::List(&some_of(POINTER)),
            "Pointer patterns below which everything is a finite number.",
            r#"finite = ["/data/*/y"]"#,
        ),
        key(
            "range",
            Shape::List(&tables(&RANGE)),
            "Bounds of numbers.",
            r#"range = [{ at = "/data/*/y", min = 0, max = 1e7 }]"#,
        ),
        key(
            "ordered",
            Shape::List(&tables(&ORDERED)),
            "Pairs of lists, of which no number in the first is above its partner in the second.",
            r#"ordered = [{ lower = "/data/[name=lower]/y", upper = "/data/[name=upper]/y" }]"#,
        ),
        key(
            "contains",
            Shape::List(&tables(&CONTAINS)),
            "Lists that hold all of these values, such as every year.",
            r#"contains = [{ at = "/data/*/x", from = 2010, to = 2035 }]"#,
        ),
        key(
            "ribbon",
            Shape::List(&some_of(POINTER)),
            "Pointer patterns to traces that are one closed line each, as plotly in R draws intervals; their edges never cross.",
            r#"ribbon = ["/data/[fill=toself]"]"#,
        ),
        key(
            "same_length",
            Shape::List(&List {
                of: Shape::List(&List { of: POINTER, fewest: 2, unique: true }),
                fewest: 1,
                unique: false,
            }),
            "Groups of pointer patterns to lists that have one length.",
            r#"same_length = [["/data/*/x", "/data/*/y"]]"#,
        ),
        key("size", Shape::Table(&SIZE), "Bounds of the file's size.", "size = { min = 100 }"),
    ],
    bonds: &[Bond::AtLeastOne(&[
        "equals",
        "required",
        "items",
        "finite",
        "range",
        "ordered",
        "contains",
        "ribbon",
        "same_length",
        "size",
    ])],
};

static ITEMS: Table = Table {
    title: "plot.NAME.audit.items",
    doc: "How many items every list or object that matches has, bounds included.",
    keys: &[
        key("at", POINTER, "The lists or objects.", r#"at = "/data""#).required(),
        key("min", COUNT, "At least so many.", "min = 1"),
        key("max", COUNT, "At most so many.", "max = 40"),
    ],
    bonds: &[Bond::AtLeastOne(&["min", "max"]), Bond::Ascending("min", "max")],
};

static RANGE: Table = Table {
    title: "plot.NAME.audit.range",
    doc: "Bounds of every number that matches or lies below it, bounds included.",
    keys: &[
        key("at", POINTER, "The numbers.", r#"at = "/data/*/y""#).required(),
        key("min", Shape::Number, "The least.", "min = 0"),
        key("max", Shape::Number, "The most.", "max = 1.0"),
    ],
    bonds: &[Bond::AtLeastOne(&["min", "max"]), Bond::Ascending("min", "max")],
};

static ORDERED: Table = Table {
    title: "plot.NAME.audit.ordered",
    doc: "Two lists that are compared item by item; patterns in both stand for the same.",
    keys: &[
        key("lower", POINTER, "The lower ones.", r#"lower = "/sim/*/value.lower""#).required(),
        key("upper", POINTER, "The upper ones.", r#"upper = "/sim/*/value.upper""#).required(),
    ],
    bonds: &[],
};

static CONTAINS: Table = Table {
    title: "plot.NAME.audit.contains",
    doc: "Values that every list that matches holds: written out, or a sequence of numbers.",
    keys: &[
        key("at", POINTER, "The lists.", r#"at = "/data/*/x""#).required(),
        key(
            "values",
            Shape::List(&List { of: Shape::FixedScalar, fewest: 1, unique: true }),
            "The values, written out; they are the same for every cell.",
            "values = [2010, 2025, 2035]",
        ),
        key("from", Shape::Number, "The first number of a sequence.", "from = 2010"),
        key("to", Shape::Number, "The last number of a sequence.", "to = 2035"),
        key("step", Shape::Positive, "The distance of its numbers.", "step = 5").default("1"),
    ],
    bonds: &[
        Bond::OneOf(&["values", "from"]),
        Bond::Together(&["from", "to"]),
        Bond::Needs { keys: &["step"], with: "from" },
        Bond::Ascending("from", "to"),
    ],
};

static SIZE: Table = Table {
    title: "plot.NAME.audit.size",
    doc: "Bounds of the file's size in bytes, bounds included.",
    keys: &[
        key("min", COUNT, "At least so many bytes.", "min = 100"),
        key("max", COUNT, "At most so many bytes.", "max = 10_000_000"),
    ],
    bonds: &[Bond::AtLeastOne(&["min", "max"]), Bond::Ascending("min", "max")],
};
