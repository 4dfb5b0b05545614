//! The tables of what is published: objects, and the rows that register them.

use super::runner::exactly_one;
use super::{Bond, Form, Laid, List, Names, Shape, Table, key, named, some_of};

pub(super) static PUBLISH: Table = Table {
    title: "publish.NAME",
    doc: "What of a rule is published, and where. \
          Objects go first; a row never stands without its object.",
    keys: &[
        key(
            "of",
            Shape::Text(Form::Rule),
            "The rule whose outputs are published.",
            r#"of = "plot.rw""#,
        )
        .required(),
        key(
            "manifest",
            Shape::Text(Form::BucketUrl),
            "Where the manifest of remote destinations is kept, `s3://BUCKET/PREFIX`: without it, below the objects' own prefix, in `.jheem`. \
             Rows of a DynamoDB table without objects in a bucket need it.",
            r#"manifest = "s3://jheem-private/manifests""#,
        ),
        key(
            "after",
            Shape::List(&some_of(Shape::Text(Form::Goal))),
            "Publishes that must stand before this one is begun: an index comes after what it names. \
             To ask for this one asks for them; while one of them is incomplete, this one is held back.",
            r#"after = ["publish.plots"]"#,
        )
        .default("[]"),
        key(
            "hold",
            Shape::List(&List { of: Shape::Text(Form::AxisName), fewest: 0, unique: true }),
            "Axes whose values are published whole or not at all: while something of a city is not built, nothing of that city is written. \
             An empty list holds back everything. Without it, what is built is published.",
            r#"hold = ["city"]"#,
        ),
        key(
            "editions",
            Shape::Text(Form::Text),
            "Publishes whole editions, which are never written over: each below a prefix named by the digest of its manifest. \
             The object with this key is written last, once all of an edition was read back, and names the latest.",
            r#"editions = "index.json""#,
        ),
        key(
            "at_least",
            Shape::Text(Form::Share),
            "`jheem publish` is refused if it would confirm a smaller share of what is published of the selected targets: 90 % if it is not given. \
             `--fewer` overrules it.",
            r#"at_least = "99%""#,
        ),
        key(
            "invalidate",
            Shape::Table(&INVALIDATE),
            "The CloudFront distribution before the bucket, which is told of every path that changed, once all is written.",
            r#"invalidate = { distribution = "E3VDQ7V9FBIIGD", drop_prefix = "portal" }"#,
        ),
        key(
            "object",
            Shape::Names(&Names { laid: Laid::OntoExisting, ..named(Shape::Table(&OBJECT)) }),
            "An object for every cell, by the name of the output that it holds.",
            r#"object.plot = { to = "file:site", key = "{city}/{file}" }"#,
        ),
        key(
            "row",
            Shape::Names(&Names { laid: Laid::OntoExisting, ..named(Shape::Table(&ROW)) }),
            "A row for every cell, by the name of the output whose object it registers.",
            r#"row.plot = { to = "sqlite:site/plots.db", hash = { city = "{city}" } }"#,
        ),
    ],
    bonds: &[Bond::AtLeastOne(&["object", "row"])],
};

static INVALIDATE: Table = Table {
    title: "publish.NAME.invalidate",
    doc: "Of more than 1000 paths only their folders are told, as `/folder/*`. \
          What could not be told is remembered beside the manifest, and told by the next publish.",
    keys: &[
        key(
            "distribution",
            Shape::Text(Form::Name),
            "The distribution's ID.",
            r#"distribution = "E3VDQ7V9FBIIGD""#,
        )
        .required(),
        key(
            "drop_prefix",
            Shape::Text(Form::Text),
            "What keys begin with and paths do not: the path of the distribution's origin.",
            r#"drop_prefix = "portal""#,
        ),
    ],
    bonds: &[],
};

static OBJECT: Table = Table {
    title: "publish.NAME.object.OUTPUT",
    doc: "An object for every cell: a file in a folder, or an object in a bucket.",
    keys: &[
        key(
            "to",
            Shape::Text(Form::ObjectUrl),
            "The destination: `file:FOLDER` or `s3://BUCKET/PREFIX`.",
            r#"to = "s3://jheem-test-tiny-bucket/github_actions_integration""#,
        )
        .required(),
        key(
            "key",
            Shape::Text(Form::ObjectKey),
            "The object's key below the destination, made of the cell alone; every axis of the rule must be in it.",
            r#"key = "{city}/{scenario}/{file}""#,
        )
        .required(),
        key(
            "write",
            Shape::Word(&["replace", "create"]),
            "What is done about an object whose content or headers changed: it is replaced; or it is never written twice, \
             and a change under the same key is refused.",
            r#"write = "create""#,
        )
        .default(r#""replace""#),
        key(
            "content_type",
            Shape::Text(Form::Header),
            "The header `Content-Type`; without it, by the end of the path.",
            r#"content_type = "application/json""#,
        ),
        key(
            "content_encoding",
            Shape::Text(Form::Header),
            "The header `Content-Encoding`. The output must be packed so already; not together with `gzip`.",
            r#"content_encoding = "gzip""#,
        ),
        key(
            "gzip",
            Shape::Bool,
            "Packs the bytes with gzip before they are put, and says so in `Content-Encoding`. \
             What stands there is packed anew only when its content changed; sizes are those of what stands there.",
            "gzip = true",
        )
        .default("false"),
        key(
            "cache_control",
            Shape::Text(Form::Header),
            "The header `Cache-Control`.",
            r#"cache_control = "public, max-age=300""#,
        ),
        key(
            "metadata",
            Shape::Names(&Names { key: Form::MetadataName, ..named(Shape::Text(Form::Template)) }),
            "User metadata of the object; in a bucket, what is not plain ASCII stands in the encoded words of RFC 2047.",
            r#"metadata = { city = "{city}", source = "jheem" }"#,
        ),
        key(
            "uncompared",
            Shape::Names(&Names { key: Form::MetadataName, ..named(Shape::Text(Form::Template)) }),
            "User metadata that is written with the object and never a reason to write it. \
             `{now}` and `{preset}` may stand here only.",
            r#"uncompared = { timestamp = "{now}" }"#,
        ),
    ],
    bonds: &[Bond::Distinct(&["metadata", "uncompared"])],
};

static KEY_ATTRIBUTE: Names = exactly_one(Form::AttributeName, Shape::KeyAttribute);
static ATTRIBUTES: Names = Names { key: Form::AttributeName, ..named(Shape::Attribute) };

static ROW: Table = Table {
    title: "publish.NAME.row.OUTPUT",
    doc: "A row for every cell: in an SQLite database, or in a DynamoDB table. \
          A text is an attribute of type `S`; others are written `{ N = \"…\" }`, `{ BOOL = true }`, \
          `{ NULL = true }`, `{ L = […] }`, `{ M = {…} }`.",
    keys: &[
        key(
            "to",
            Shape::Text(Form::RowUrl),
            "The destination: `sqlite:FILE#TABLE` or `dynamodb://TABLE`. Without `#TABLE` the table is called like the output.",
            r#"to = "dynamodb://jheem-test-tiny""#,
        )
        .required(),
        key(
            "write",
            Shape::Word(&["batch", "put"]),
            "How rows of a DynamoDB table are written: 25 in a request, or one by one with `PutItem` alone, where the account allows no more.",
            r#"write = "put""#,
        ),
        key(
            "hash",
            Shape::Names(&KEY_ATTRIBUTE),
            "The hash key: one attribute, made of the cell alone.",
            r##"hash = { city_scenario = "{city}#{scenario}" }"##,
        )
        .required(),
        key(
            "range",
            Shape::Names(&KEY_ATTRIBUTE),
            "The range key, if the table has one: one attribute, made of the cell alone.",
            r##"range = { outcome_stat_facet = "{outcome}#{statistic}#{facet}" }"##,
        ),
        key(
            "item",
            Shape::Names(&ATTRIBUTES),
            "The other attributes.",
            r#"item = { s3_key = "{object.key}", file_size = { N = "{object.size}" } }"#,
        ),
        key(
            "uncompared",
            Shape::Names(&ATTRIBUTES),
            "Attributes that are written with the row and never a reason to write it. \
             `{now}` and `{preset}` may stand here only.",
            r#"uncompared = { created_at = "{now}" }"#,
        ),
    ],
    bonds: &[Bond::Distinct(&["hash", "range", "item", "uncompared"])],
};
