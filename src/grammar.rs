//! What may stand in a Jheemfile: every table and key, described once, as data.
//!
//! Three readers share it: `read` refuses what is not in it, `schema` turns it into a JSON Schema
//! for editors, and the tables of `docs/jheemfile.md` are printed from it.
//! Knows nothing of files, cells or meaning; names are not looked up here.

mod form;
mod project;
mod publish;
mod rule;
mod runner;
mod tables;

pub use form::{Fault, Form, RESERVED_NAMES};
pub(crate) use form::{VALUE_HINT, duration, short, size};
pub use tables::{reference_table, sections};

/// A table with known keys.
#[derive(Debug)]
pub struct Table {
    /// As it is written in a header, without brackets: `axis.NAME`.
    pub title: &'static str,
    /// What it is for, in a sentence.
    pub doc: &'static str,
    pub keys: &'static [Key],
    pub bonds: &'static [Bond],
}

/// One key of a table.
#[derive(Debug)]
pub struct Key {
    pub name: &'static str,
    pub shape: Shape,
    pub need: Need,
    /// What it means, in a sentence or two.
    pub doc: &'static str,
    /// A line of TOML, as it could stand in the table.
    pub example: &'static str,
}

/// Whether a key must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    Required,
    Optional,
    /// Optional, and as if this TOML stood there.
    Default(&'static str),
}

/// What a value looks like.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    Text(Form),
    /// One of a few words.
    Word(&'static [&'static str]),
    Bool,
    /// A whole number within bounds.
    Whole {
        min: i64,
        max: i64,
    },
    /// A finite number, whole or not.
    Number,
    /// A finite number above zero.
    Positive,
    /// A text with holes, a finite number, or a bool.
    Scalar,
    /// A text without holes, a finite number, or a bool.
    FixedScalar,
    /// A typed DynamoDB attribute.
    Attribute,
    /// An attribute that can be part of a key: a text or a number.
    KeyAttribute,
    List(&'static List),
    Table(&'static Table),
    Names(&'static Names),
    /// A part of a table, to be laid over the whole one: nothing in it is required.
    Overlay(&'static Table),
}

/// A list of values of one shape.
#[derive(Debug)]
pub struct List {
    pub of: Shape,
    pub fewest: usize,
    /// No value stands twice.
    pub unique: bool,
}

/// A table whose keys are chosen by the user.
#[derive(Debug)]
pub struct Names {
    pub key: Form,
    pub of: Shape,
    pub fewest: usize,
    pub most: usize,
    /// How a profile's table is laid over the main one.
    pub laid: Laid,
}

/// How a profile's table of names is laid over the main one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Laid {
    /// Key by key; new keys may come.
    ByKey,
    /// Key by key, and each key must be there already.
    OntoExisting,
    /// The profile's table takes the place of the main one.
    Whole,
}

/// What ties the keys of one table together.
#[derive(Debug)]
pub enum Bond {
    /// Exactly one of them is there; in a profile, it displaces the others.
    OneOf(&'static [&'static str]),
    AtLeastOne(&'static [&'static str]),
    /// All or none.
    Together(&'static [&'static str]),
    /// They mean nothing unless `with` is there; a profile that displaces it drops them.
    Needs {
        keys: &'static [&'static str],
        with: &'static str,
    },
    /// The first number is not above the second.
    Ascending(&'static str, &'static str),
    /// No name stands in two of these tables.
    Distinct(&'static [&'static str]),
}

/// The whole file.
pub static ROOT: Table = Table {
    title: "",
    doc: "The whole file.",
    keys: &[
        key(
            "project",
            Shape::Table(&project::PROJECT),
            "What the project is called, and what is made when nothing is asked for.",
            r#"project = { name = "ryan-white-msa" }"#,
        )
        .required(),
        key(
            "axis",
            Shape::Names(&Names { key: Form::AxisName, ..named(Shape::Table(&project::AXIS)) }),
            "What plots differ in, such as a city or an outcome.",
            r#"axis.outcome = { values = ["incidence", "testing"] }"#,
        ),
        key(
            "preset",
            Shape::Names(&named(Shape::Table(&project::PRESET))),
            "Named parts of the grid, for `--preset`.",
            r#"preset.minimal = { axes = { city = ["C.12580"] } }"#,
        ),
        key(
            "input",
            Shape::Names(&Names {
                laid: Laid::OntoExisting,
                ..named(Shape::Table(&project::INPUT))
            }),
            "Files that are read and not made.",
            r#"input.base = { path = "simulations/{city}_base.Rdata" }"#,
        ),
        key(
            "runner",
            Shape::Names(&Names {
                laid: Laid::OntoExisting,
                ..named(Shape::Table(&runner::RUNNER))
            }),
            "Images and programs that make files.",
            r#"runner.model = { image = "jheem-ryan-white-model:latest" }"#,
        ),
        key(
            "step",
            Shape::Names(&named(Shape::Table(&rule::STEP))),
            "Rules that make files for other rules, such as a simulation.",
            r#"step.trim = { runner = "model", command = ["trim"], output.trimmed.path = "trimmed.Rdata" }"#,
        ),
        key(
            "plot",
            Shape::Names(&named(Shape::Table(&rule::PLOT))),
            "Rules that draw, one plot for every cell.",
            r#"plot.rw = { runner = "model", command = ["batch"], output.plot.path = "plots/rw.json" }"#,
        ),
        key(
            "publish",
            Shape::Names(&Names {
                laid: Laid::OntoExisting,
                ..named(Shape::Table(&publish::PUBLISH))
            }),
            "Where outputs go, and what registers them.",
            r#"publish.plots = { of = "plot.rw", object.plot = { to = "file:site", key = "{file}" } }"#,
        ),
        key(
            "profile",
            Shape::Names(&named(Shape::Table(&PROFILE))),
            "Changes to the tables above, for `--profile`.",
            r#"profile.local = { publish.plots.object.plot.to = "file:site" }"#,
        ),
    ],
    bonds: &[],
};

static PROFILE: Table = Table {
    title: "profile.NAME",
    doc: "Changes to runners, inputs and publishes that hold with `--profile NAME`. \
          Keys that are given take the place of the main ones; the others stay.",
    keys: &[
        key(
            "publish",
            Shape::Names(&Names {
                laid: Laid::OntoExisting,
                ..named(Shape::Overlay(&publish::PUBLISH))
            }),
            "Publishes, most often with other destinations.",
            r#"publish.plots.object.plot.to = "file:site""#,
        ),
        key(
            "runner",
            Shape::Names(&Names {
                laid: Laid::OntoExisting,
                ..named(Shape::Overlay(&runner::RUNNER))
            }),
            "Runners, such as a program in place of an image; what belonged to the image alone goes with it.",
            r#"runner.model = { program = "bin/model" }"#,
        ),
        key(
            "input",
            Shape::Names(&Names {
                laid: Laid::OntoExisting,
                ..named(Shape::Overlay(&project::INPUT))
            }),
            "Inputs, such as another source.",
            r#"input.base.source = "file:mirror/{city}_base.Rdata""#,
        ),
    ],
    bonds: &[],
};

const fn key(name: &'static str, shape: Shape, doc: &'static str, example: &'static str) -> Key {
    Key { name, shape, need: Need::Optional, doc, example }
}

impl Key {
    const fn required(self) -> Key {
        Key { need: Need::Required, ..self }
    }

    const fn default(self, toml: &'static str) -> Key {
        Key { need: Need::Default(toml), ..self }
    }
}

/// Any number of named things.
const fn named(of: Shape) -> Names {
    Names { key: Form::Name, of, fewest: 0, most: usize::MAX, laid: Laid::ByKey }
}

/// A list in which no value stands twice.
const fn set_of(of: Shape) -> List {
    List { of, fewest: 0, unique: true }
}

/// A list with something in it, in which no value stands twice.
const fn some_of(of: Shape) -> List {
    List { of, fewest: 1, unique: true }
}

impl Table {
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

impl Shape {
    /// The shape in words, with its article: `a list of names`.
    pub fn what(self) -> String {
        match self {
            Shape::Text(form) => form.what().to_owned(),
            Shape::Word(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("`\"{word}\"`")).collect();
                words.join(" or ")
            }
            Shape::Bool => "`true` or `false`".to_owned(),
            Shape::Whole { min, max: i64::MAX } => format!("a whole number from {min}"),
            Shape::Whole { min, max } => format!("a whole number from {min} to {max}"),
            Shape::Number => "a number".to_owned(),
            Shape::Positive => "a number above 0".to_owned(),
            Shape::Scalar => "a template, a number, or `true` or `false`".to_owned(),
            Shape::FixedScalar => "a text, a number, or `true` or `false`".to_owned(),
            Shape::Attribute => "an attribute".to_owned(),
            Shape::KeyAttribute => "a key attribute".to_owned(),
            Shape::List(list) => format!("a list of {}", list.of.plural()),
            Shape::Table(_) | Shape::Overlay(_) => "a table".to_owned(),
            Shape::Names(names) => {
                format!("a table from {} to {}", names.key.plural(), names.of.plural())
            }
        }
    }

    /// The shape in words, for many: `names`.
    fn plural(self) -> String {
        match self {
            Shape::Text(form) => form.plural(),
            Shape::Word(_) => "words".to_owned(),
            Shape::Bool => "`true`s and `false`s".to_owned(),
            Shape::Whole { .. } | Shape::Number | Shape::Positive => "numbers".to_owned(),
            Shape::Scalar => "templates, numbers, or `true` and `false`".to_owned(),
            Shape::FixedScalar => "texts, numbers, or `true` and `false`".to_owned(),
            Shape::Attribute | Shape::KeyAttribute => "attributes".to_owned(),
            Shape::List(list) => format!("lists of {}", list.of.plural()),
            Shape::Table(_) | Shape::Overlay(_) | Shape::Names(_) => "tables".to_owned(),
        }
    }
}
