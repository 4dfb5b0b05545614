//! The table of runners: what is started, what it sees, and when it is stopped.

use super::{Bond, Form, Laid, List, Names, Shape, Table, key, named, set_of, some_of};

pub(super) static RUNNER: Table = Table {
    title: "runner.NAME",
    doc: "An image or a program that makes files. \
          A program runs in a scratch folder that looks as the image would see it.",
    keys: &[
        key(
            "image",
            Shape::Text(Form::Image),
            "The name of an image; its digest counts, not its name.",
            r#"image = "ghcr.io/ncsizemore/jheem-ryan-white-msa:1.1.0""#,
        ),
        key(
            "program",
            Shape::Text(Form::Text),
            "A program on the `PATH`, or a path from the folder of the Jheemfile if it has a `/`.",
            r#"program = "bin/draw""#,
        ),
        key(
            "built_by",
            Shape::Text(Form::StepOutput),
            "A program that a step of this Jheemfile makes; it is brought up to date first.",
            r#"built_by = "step.compile.binary""#,
        ),
        key(
            "known_by",
            Shape::Word(&["content", "sources"]),
            "What stands for a built program: its own content, or what it is built from, so that machines agree.",
            r#"known_by = "sources""#,
        )
        .default(r#""content""#),
        key(
            "platform",
            Shape::Text(Form::Platform),
            "The platform of the image; without it, the daemon's own.",
            r#"platform = "linux/amd64""#,
        ),
        key(
            "mirrors",
            Shape::List(&set_of(Shape::Text(Form::Image))),
            "The same image elsewhere: where `image` cannot be had, these are tried in their order; they do not count.",
            r#"mirrors = ["docker.io/me/model:1.1.0"]"#,
        ),
        key(
            "image_has",
            Shape::Table(&IMAGE_HAS),
            "What must be baked into the image, or nothing is run; it does not count.",
            r#"image_has.env = { SIMSET_RELEASE = "ryan-white-msa-v1.0.0" }"#,
        ),
        key(
            "entrypoint",
            Shape::List(&List { of: Shape::Text(Form::Argument), fewest: 0, unique: false }),
            "In place of the image's own entry point.",
            r#"entrypoint = ["Rscript"]"#,
        ),
        key(
            "dirs",
            Shape::Names(&Names {
                key: Form::RunFolder,
                fewest: 1,
                ..named(Shape::Text(Form::DirTarget))
            }),
            "What the run sees: its folder, and the folder of the project that stands there. \
             `{batch}` is the folder of the batch file. Only declared inputs and outputs are visible in them.",
            r#"dirs = { "/app/simulations" = "simulations", "/app/plots" = "plots", "/app/configs" = "{batch}" }"#,
        ),
        key(
            "env",
            Shape::Names(&Names { key: Form::Variable, ..named(Shape::Text(Form::Template)) }),
            "Environment variables, as templates that may hold `{project}`; a change makes everything stale.",
            r#"env = { MODEL_ID = "ryan-white-msa" }"#,
        ),
        key(
            "pass_env",
            Shape::List(&set_of(Shape::Text(Form::Variable))),
            "Variables that are handed on from jheem's own environment; they do not count.",
            r#"pass_env = ["TZ"]"#,
        ),
        key(
            "workdir",
            Shape::Text(Form::RunFolder),
            "The working folder of the run; without it, the image's own, or the scratch folder.",
            r#"workdir = "/app""#,
        ),
        key(
            "user",
            Shape::Text(Form::User),
            "In place of the image's own user; outputs belong to the caller all the same.",
            r#"user = "1000:1000""#,
        ),
        key(
            "network",
            Shape::Text(Form::Network),
            "The network of the container.",
            r#"network = "bridge""#,
        )
        .default(r#""none""#),
        key(
            "read_only",
            Shape::Bool,
            "Whether the image's own folders cannot be written; if they can, what is written is thrown away.",
            "read_only = true",
        )
        .default("false"),
        key(
            "capabilities",
            Shape::Table(&CAPABILITIES),
            "Capabilities that the container loses or gets.",
            r#"capabilities = { drop = ["ALL"] }"#,
        ),
        key(
            "overlays",
            Shape::Names(&Names { key: Form::RunFolder, ..named(Shape::Text(Form::Input)) }),
            "Folders of code laid over the image's own, read-only: the folder in the container, and an input that is a folder.",
            r#"overlays = { "/app/plotting" = "input.code" }"#,
        ),
        key(
            "memory",
            Shape::Text(Form::Size),
            "The most memory of one run; runs are started side by side as long as it suffices.",
            r#"memory = "8GiB""#,
        ),
        key("cpus", Shape::Positive, "The most processors of one run.", "cpus = 2"),
        key(
            "max_runs",
            Shape::Whole { min: 1, max: i64::MAX },
            "At most this many runs at once.",
            "max_runs = 2",
        ),
        key(
            "timeout",
            Shape::Table(&TIMEOUT),
            "When a run is stopped.",
            r#"timeout = { total = "6h", quiet = "10m" }"#,
        ),
        key(
            "exit",
            Shape::Table(&EXIT),
            "What exit codes mean; any other is a failure.",
            "exit = { partial = [1] }",
        ),
        key(
            "retries",
            Shape::Whole { min: 0, max: 100 },
            "How often the plots of a lost run (crash, time, memory) are tried again, in smaller batches.",
            "retries = 1",
        )
        .default("2"),
        key(
            "log",
            Shape::Table(&LOG),
            "How the lines of a run are understood.",
            r#"log.absent = ["does not reference a valid dimension"]"#,
        ),
    ],
    bonds: &[
        Bond::OneOf(&["image", "program", "built_by"]),
        Bond::Needs { keys: &["known_by"], with: "built_by" },
        Bond::Needs {
            keys: &[
                "platform",
                "mirrors",
                "image_has",
                "entrypoint",
                "user",
                "network",
                "read_only",
                "capabilities",
                "overlays",
            ],
            with: "image",
        },
    ],
};

static IMAGE_HAS: Table = Table {
    title: "runner.NAME.image_has",
    doc: "What the image says of itself, compared before anything is run.",
    keys: &[
        key(
            "labels",
            Shape::Names(&Names { key: Form::Text, ..named(Shape::Text(Form::Template)) }),
            "Labels and their values, as templates that may hold `{project}` and `{release:INPUT}`, the tag of the release that an input comes from.",
            r#"labels = { "org.opencontainers.image.version" = "1.1.0" }"#,
        ),
        key(
            "env",
            Shape::Names(&Names { key: Form::Variable, ..named(Shape::Text(Form::Template)) }),
            "Environment variables and their values, as such templates.",
            r#"env = { MODEL_ID = "{project}", SIMSET_RELEASE = "{release:base}" }"#,
        ),
    ],
    bonds: &[],
};

static CAPABILITIES: Table = Table {
    title: "runner.NAME.capabilities",
    doc: "Linux capabilities of the container, as Docker names them.",
    keys: &[
        key(
            "drop",
            Shape::List(&set_of(Shape::Text(Form::Capability))),
            "Capabilities that it loses.",
            r#"drop = ["ALL"]"#,
        ),
        key(
            "add",
            Shape::List(&set_of(Shape::Text(Form::Capability))),
            "Capabilities that it gets.",
            r#"add = ["CHOWN"]"#,
        ),
    ],
    bonds: &[],
};

static TIMEOUT: Table = Table {
    title: "runner.NAME.timeout",
    doc: "When a run is stopped. Time spans are written as `6h`, `10m`, `45s` or `1h 30m`.",
    keys: &[
        key(
            "total",
            Shape::Text(Form::Time),
            "The longest that a run may take.",
            r#"total = "6h""#,
        ),
        key(
            "quiet",
            Shape::Text(Form::Time),
            "The longest without a sign of progress: a line that `log` says something about, or any line if it says nothing of progress.",
            r#"quiet = "10m""#,
        ),
        key(
            "grace",
            Shape::Text(Form::Wait),
            "The time between asking a run to stop and killing it.",
            r#"grace = "30s""#,
        )
        .default(r#""10s""#),
    ],
    bonds: &[],
};

const CODES: Shape = Shape::Whole { min: 0, max: 255 };

static EXIT: Table = Table {
    title: "runner.NAME.exit",
    doc: "What the exit codes of a run mean. Of a run with any other code only what its log says was finished is kept.",
    keys: &[
        key("ok", Shape::List(&some_of(CODES)), "All outputs were made.", "ok = [0]")
            .default("[0]"),
        key(
            "partial",
            Shape::List(&set_of(CODES)),
            "Some outputs were made; each is judged by itself.",
            "partial = [1]",
        )
        .default("[]"),
    ],
    bonds: &[],
};

static LOG: Table = Table {
    title: "runner.NAME.log",
    doc: "Regular expressions over the lines of a run, in the syntax of the Rust crate `regex`. \
          They give progress for every plot, and tell what cannot exist from what failed.",
    keys: &[
        key(
            "target",
            Shape::Text(Form::Regex),
            "A line that begins a plot. Named groups are axes, or the fields of the batch file.",
            r"target = 'GENERATING: (?<city>[^/]+)/(?<scenario>[^/]+)/(?<outcome>\S+)'",
        ),
        key(
            "success",
            Shape::Text(Form::Regex),
            "A line that ends it well.",
            r#"success = "SUCCESS: Generated""#,
        ),
        key(
            "failure",
            Shape::Text(Form::Regex),
            "A line that ends it badly.",
            r#"failure = "ERROR: ""#,
        ),
        key(
            "absent",
            Shape::List(&set_of(Shape::Text(Form::Regex))),
            "Lines that say that the plot cannot exist: it is remembered as absent, and not tried again.",
            r#"absent = ["does not reference a valid dimension"]"#,
        ),
        key(
            "absent_depends_on",
            Shape::List(&set_of(Shape::Text(Form::Name))),
            "The axes that such an absence depends on, beside the image: with outcome and facet, one city teaches all. \
             Without it, each plot is learned for itself.",
            r#"absent_depends_on = ["outcome", "facet"]"#,
        ),
    ],
    bonds: &[Bond::Needs { keys: &["absent_depends_on"], with: "absent" }],
};

/// A table that a profile replaces as a whole, with exactly one name in it.
pub(super) const fn exactly_one(key: Form, of: Shape) -> Names {
    Names { key, of, fewest: 1, most: 1, laid: Laid::Whole }
}
