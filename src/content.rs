//! What an output's content is: its bytes less what is volatile, as a digest.
//!
//! Knows nothing of files and targets; `audit` judges the same documents.
//! What a file is taken for is declared (`as`), never sniffed.
//!
//! | `as` | the content |
//! |---|---|
//! | `bytes` | every byte |
//! | `json` | a JSON value: white space, the order of keys and the escapes of texts do not count; numbers count as they were written |
//! | `plotly` | `json`, and the random ids that plotly.R writes into `visdat`, `attrs` and `cur_data` do not count |
//! | `html` | every byte of the page, but that random ids `htmlwidget-…` do not count and each widget's payload is `plotly` |
//! | `gzip` | every byte of what was packed |
//! | `gzip+json`, `gzip+plotly`, `gzip+html` | what was packed, taken for that |
//!
//! Not taken for volatile, because it may mean something: `SharedData…` groups of crosstalk, ids
//! inside `evals`, and ids in files that are declared `json`; a pointer pattern can name them.

mod canonical;
mod form;
mod html;
pub(crate) mod json;
mod parse;
mod pointer;

use std::borrow::Cow;
use std::fmt;
use std::io::Read as _;
use std::ops::Range;

use flate2::bufread::MultiGzDecoder;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

pub use self::form::{As, Form};
use self::json::{Json, Tree, View};
use self::parse::{Fault, LONGEST};
pub use self::pointer::Pointer;
pub(crate) use self::pointer::index;

/// Why a file cannot be taken for what it is declared to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreadable {
    /// A fragment without a place.
    pub message: String,
    pub spot: Option<Spot>,
    /// What to do.
    pub hint: String,
}

/// A place in a text; for packed files, in what was packed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spot {
    /// In bytes, from 0.
    pub offset: u64,
    /// From 1.
    pub line: u64,
    /// In characters, from 1.
    pub column: u64,
    /// The value in which it stands; empty for the whole.
    pub pointer: String,
}

impl Unreadable {
    fn packed(message: String) -> Unreadable {
        let hint = "make the file again, or declare what it is if it is not packed".to_owned();
        Unreadable { message, spot: None, hint }
    }

    /// A fault of the JSON text that begins `base` bytes into `text`.
    fn in_text(text: &[u8], base: usize, fault: Fault) -> Unreadable {
        let at = base + fault.at;
        let before = &text[..at.min(text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        // Bytes that continue a character are not counted.
        let column = before[start..].iter().filter(|byte| **byte & 0xc0 != 0x80).count() + 1;
        let pointer = fault.steps.iter().rev().map(|step| format!("/{step}")).collect();
        let (offset, line, column) = (at as u64, line as u64, column as u64);
        let spot = Some(Spot { offset, line, column, pointer });
        Unreadable { message: fault.message, spot, hint: fault.hint.to_owned() }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let Some(Spot { offset, line, column, pointer }) = &self.spot else { return Ok(()) };
        write!(f, ", at line {line}, column {column} (byte {offset}")?;
        if !pointer.is_empty() {
            write!(f, ", `{pointer}`")?;
        }
        f.write_str(")")
    }
}

impl std::error::Error for Unreadable {}

/// A file's bytes, read once as what it is declared to be: for its digest and for audits.
#[derive(Debug)]
pub struct Document<'a> {
    kind: As,
    /// The file's own length, in bytes.
    size: u64,
    body: Body<'a>,
}

#[derive(Debug)]
enum Body<'a> {
    Bytes(&'a [u8]),
    /// Unpacked bytes are not kept.
    Unpacked(Digest),
    Json {
        text: Cow<'a, [u8]>,
        tree: Tree,
    },
    Page {
        page: Cow<'a, [u8]>,
        payloads: Vec<(Range<usize>, Tree)>,
    },
}

impl<'a> Document<'a> {
    /// Reads `bytes` as `kind`.
    ///
    /// # Errors
    /// What is not what it is declared to be: not JSON, JSON that readers disagree on (a key that
    /// stands twice, half a surrogate pair), cut off, nested deeper than 128, longer than 2 GiB.
    pub fn parse(bytes: &'a [u8], kind: As) -> Result<Document<'a>, Unreadable> {
        let body = match (kind.gzip, kind.form) {
            (false, Form::Bytes) => Body::Bytes(bytes),
            (true, Form::Bytes) => Body::Unpacked(unpacked_digest(bytes)?),
            (gzip, form) => {
                let text = if gzip { Cow::Owned(unpack(bytes)?) } else { Cow::Borrowed(bytes) };
                if form == Form::Html { page(text)? } else { json(text)? }
            }
        };
        Ok(Document { kind, size: bytes.len() as u64, body })
    }

    pub fn kind(&self) -> As {
        self.kind
    }

    /// The length of the file itself, in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The digest of the content, less all that `volatile` matches.
    ///
    /// What is volatile is left out together with its key, so it may also be missing: absent and
    /// present are the same content. In a page, pointers start at the payload of each widget.
    /// Bytes have no volatile values; the Jheemfile's grammar refuses patterns for them.
    pub fn content_digest(&self, volatile: &[Pointer]) -> Digest {
        let mut form = header(self.kind.form);
        match &self.body {
            Body::Bytes(bytes) => return Digest::of(bytes),
            Body::Unpacked(digest) => return *digest,
            Body::Json { text, tree } => {
                form.reserve(text.len());
                let json = Json { tree, source: text };
                canonical::write(json, volatile, self.kind.form == Form::Plotly, &mut form);
            }
            Body::Page { page, payloads } => {
                form.reserve(page.len());
                let mut ids = html::WidgetIds::default();
                let mut from = 0;
                for (range, tree) in payloads {
                    write_raw(&page[from..range.start], &mut ids, &mut form);
                    form.push(b'j');
                    let json = Json { tree, source: &page[range.clone()] };
                    canonical::write(json, volatile, true, &mut form);
                    from = range.end;
                }
                write_raw(&page[from..], &mut ids, &mut form);
            }
        }
        Digest::of(&form)
    }

    /// The value at a pointer as a text, if there is exactly one and it is a text, number or word.
    pub fn text_at(&self, at: &Pointer) -> Option<String> {
        let mut found = Vec::new();
        for json in self.values() {
            at.select(json.root(), |value| found.push(value));
        }
        let [value] = found.as_slice() else { return None };
        match value.view() {
            View::Text(text) | View::Number(text) => {
                Some(String::from_utf8_lossy(text).into_owned())
            }
            View::Bool(value) => Some(value.to_string()),
            View::Null | View::List(_) | View::Object(_) => None,
        }
    }

    /// The JSON values in it: none, one, or the payload of each widget of a page.
    pub(crate) fn values(&self) -> Vec<Json<'_>> {
        match &self.body {
            Body::Bytes(_) | Body::Unpacked(_) => Vec::new(),
            Body::Json { text, tree } => vec![Json { tree, source: text }],
            Body::Page { page, payloads } => payloads
                .iter()
                .map(|(range, tree)| Json { tree, source: &page[range.clone()] })
                .collect(),
        }
    }
}

fn header(form: Form) -> Vec<u8> {
    format!("jheem {} {}\n", form.name(), form.version()).into_bytes()
}

fn json(text: Cow<'_, [u8]>) -> Result<Body<'_>, Unreadable> {
    let tree = parse::parse(&text).map_err(|fault| Unreadable::in_text(&text, 0, *fault))?;
    Ok(Body::Json { text, tree })
}

fn page(page: Cow<'_, [u8]>) -> Result<Body<'_>, Unreadable> {
    let ranges = html::payloads(&page).map_err(|at| {
        let message = "the page ends inside a widget's payload".to_owned();
        let hint = "make the file again: it looks cut off";
        Unreadable::in_text(&page, 0, Fault { at, message, hint, steps: Vec::new() })
    })?;
    let mut payloads = Vec::with_capacity(ranges.len());
    for range in ranges {
        let tree = parse::parse(&page[range.clone()]);
        let tree = tree.map_err(|fault| Unreadable::in_text(&page, range.start, *fault))?;
        payloads.push((range, tree));
    }
    Ok(Body::Page { page, payloads })
}

fn write_raw<'p>(raw: &'p [u8], ids: &mut html::WidgetIds<'p>, form: &mut Vec<u8>) {
    ids.part(raw, |bytes, id| {
        form.push(b'b');
        form.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        form.extend_from_slice(bytes);
        if let Some(id) = id {
            form.push(b'w');
            form.extend_from_slice(&id.to_le_bytes());
        }
    });
}

fn unpack(bytes: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let mut text = Vec::new();
    // One byte more than is allowed tells a text that is too long from one that just fits.
    let mut reader = MultiGzDecoder::new(bytes).take(LONGEST as u64 + 1);
    match reader.read_to_end(&mut text) {
        Ok(_) => Ok(text),
        Err(error) => Err(not_gzip(&error)),
    }
}

fn unpacked_digest(bytes: &[u8]) -> Result<Digest, Unreadable> {
    let mut hasher = blake3::Hasher::new();
    match hasher.update_reader(MultiGzDecoder::new(bytes)) {
        Ok(hasher) => Ok(Digest::blake3(hasher.finalize())),
        Err(error) => Err(not_gzip(&error)),
    }
}

fn not_gzip(error: &std::io::Error) -> Unreadable {
    Unreadable::packed(match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "the gzip data ends too early".to_owned(),
        _ => format!("this is not whole gzip data: {error}"),
    })
}

#[cfg(test)]
mod properties;

#[cfg(test)]
fn content_digest(bytes: &[u8], kind: As, volatile: &[Pointer]) -> Result<Digest, Unreadable> {
    Ok(Document::parse(bytes, kind)?.content_digest(volatile))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn pointers(texts: &[&str]) -> Vec<Pointer> {
        texts.iter().map(|text| Pointer::parse(text).unwrap()).collect()
    }

    #[track_caller]
    fn digest(kind: &str, text: impl AsRef<[u8]>, volatile: &[&str]) -> Digest {
        let kind = As::parse(kind).unwrap();
        content_digest(text.as_ref(), kind, &pointers(volatile)).unwrap()
    }

    #[track_caller]
    fn same(kind: &str, volatile: &[&str], a: &str, b: &str) {
        assert_eq!(digest(kind, a, volatile), digest(kind, b, volatile), "{a}\n{b}");
    }

    #[track_caller]
    fn differ(kind: &str, volatile: &[&str], a: &str, b: &str) {
        assert_ne!(digest(kind, a, volatile), digest(kind, b, volatile), "{a}\n{b}");
    }

    fn pack(text: &[u8], name: &str, time: u32) -> Vec<u8> {
        let packed = flate2::GzBuilder::new().filename(name).mtime(time);
        let mut packed = packed.write(Vec::new(), flate2::Compression::default());
        packed.write_all(text).unwrap();
        packed.finish().unwrap()
    }

    #[test]
    fn the_canonical_forms_are_pinned() {
        // Whoever changes one of these raises the version of its form.
        let json = r#"{"b":[1.0,-2e3,true,false,null],"a":{"é\n":""}}"#;
        let plot = r#"{"x":{"visdat":{"4bb86a3a9ab":["f"]},"cur_data":"4bb86a3a9ab"}}"#;
        let page = format!(
            "<div id=\"htmlwidget-0123456789abcdef0123\"></div><script type=\"application/json\" data-for=\"htmlwidget-0123456789abcdef0123\">{plot}</script>"
        );
        let digests = [
            digest("bytes", json, &[]),
            digest("json", json, &[]),
            digest("plotly", plot, &[]),
            digest("html", page, &[]),
        ];
        insta::assert_snapshot!(digests.map(|digest| digest.to_string()).join("\n"), @r"
        blake3:6009c7e43cbb6824847b2a2019bc5c39e4c0d62efc2aff6e58e704423e45bffd
        blake3:e18ed70312ab49913c6275556797e25f90b7dba5d3c7864312c4f8c27724b7a6
        blake3:ecf3a0026d71d76eb35e711ec99033749923a8611893b384fd40d8f69a2b569c
        blake3:e4dec9cb6699faf06c772d86a7fd5195c7e4e6aa49e36df8178ce54b083d0400
        ");
    }

    #[test]
    fn bytes_are_compared_as_they_are() {
        assert_eq!(digest("bytes", "{}", &[]), Digest::of(b"{}"));
        differ("bytes", &[], "{}", "{} ");
    }

    #[test]
    fn white_space_key_order_and_escapes_do_not_count() {
        same("json", &[], r#"{"a":[1,2],"b":"é/"}"#, "{ \"b\": \"\\u00e9\\/\",\n\"a\": [1, 2] }\n");
        same("json", &[], r#""\ud83d\ude00""#, r#""😀""#);
        differ("json", &[], r#"{"a":[1,2],"b":"é"}"#, r#"{"a":[2,1],"b":"é"}"#);
        differ("json", &[], r#"{"a":"é"}"#, r#"{"a":"é "}"#);
    }

    #[test]
    fn numbers_are_compared_as_written() {
        differ("json", &[], "1.0", "1.00");
        differ("json", &[], "1e3", "1000");
        differ("json", &[], "1e3", "1E3");
        differ("json", &[], "0", "-0");
        differ("json", &[], "9007199254740993", "9007199254740992");
    }

    #[test]
    fn values_of_different_kinds_never_look_alike() {
        let all = [
            "null",
            "true",
            "false",
            "0",
            "\"\"",
            "\"0\"",
            "\"null\"",
            "[]",
            "{}",
            "[[]]",
            "[null]",
            "[0,1]",
            "[01.0]",
            "[0.1]",
            r#"["0","1"]"#,
            r#"{"0":1}"#,
            r#"["a","b"]"#,
            r#"["ab"]"#,
            r#"{"a":"b"}"#,
            r#"[["a","b"]]"#,
            r#"{"$serde_json::private::Number":"0"}"#,
        ];
        let read: Vec<_> = all
            .iter()
            .filter_map(|text| content_digest(text.as_bytes(), As::JSON, &[]).ok())
            .collect();
        let distinct: std::collections::BTreeSet<_> = read.iter().collect();
        assert_eq!(distinct.len(), read.len());
        assert_eq!(read.len(), all.len() - 1, "only `01.0` is no JSON");
    }

    #[test]
    fn what_is_volatile_does_not_count_and_its_neighbour_does() {
        let metadata = |time: &str, city: &str| {
            format!(r#"{{"city":["{city}"],"generation_time":["{time}"],"has_baseline":[true]}}"#)
        };
        let (monday, tuesday) = (metadata("Mon", "C.12580"), metadata("Tue", "C.12580"));
        same("json", &["/generation_time"], &monday, &tuesday);
        differ("json", &[], &monday, &tuesday);
        differ("json", &["/generation_time"], &monday, &metadata("Mon", "C.12581"));

        let nested = |time: &str, uid: &str, y: &str| {
            format!(
                r#"{{"metadata":{{"generation_time":"{time}"}},"data":[{{"uid":"{uid}","y":[{y}]}}]}}"#
            )
        };
        let volatile = ["/**/generation_time", "/data/*/uid"];
        same("json", &volatile, &nested("Mon", "a", "1"), &nested("Tue", "b", "1"));
        differ("json", &volatile, &nested("Mon", "a", "1"), &nested("Mon", "a", "2"));
        differ("json", &volatile[..1], &nested("Mon", "a", "1"), &nested("Mon", "b", "1"));
    }

    #[test]
    fn what_is_volatile_may_be_missing() {
        same("json", &["/time"], r#"{"a":1,"time":{"of":"day"}}"#, r#"{"a":1}"#);
        same("json", &["/1"], "[0,1]", "[0]");
        same("json", &[""], "{}", "[1]");
        differ("json", &["/time"], r#"{"a":1,"time":2}"#, r#"{"a":2}"#);
        differ("json", &["/times"], r#"{"a":1,"time":2}"#, r#"{"a":1}"#);
    }

    /// A plot as plotly.R writes it: two layers of one data set, and one of another.
    fn plot(first: &str, second: &str) -> String {
        format!(
            r#"{{"x":{{"visdat":{{"{first}":["function () ","plotlyVisDat"],"{second}":["function () ","other"]}},
            "cur_data":"{second}",
            "attrs":{{"{first}":{{"mode":"lines","alpha":1}},"{first}.1":{{"mode":"markers"}},"{second}":{{"mode":"lines"}}}},
            "data":[{{"type":"scatter","y":[1,2],"name":"adding"}}]}},"evals":[]}}"#
        )
    }

    #[test]
    fn random_ids_of_plotly_do_not_count() {
        same("plotly", &[], &plot("4bb86a3a9ab", "10d6c5f"), &plot("9ff1e2d3c4b5", "aaaaaaaa1"));
        // Whichever of the two is the lower.
        same("plotly", &[], &plot("4bb86a3a9ab", "10d6c5f"), &plot("10d6c5f", "4bb86a3a9ab"));
        differ("json", &[], &plot("4bb86a3a9ab", "10d6c5f"), &plot("9ff1e2d3c4b5", "aaaaaaaa1"));
        let top = |id: &str| format!(r#"{{"visdat":{{"{id}":1}},"cur_data":"{id}","data":[]}}"#);
        same("plotly", &[], &top("4bb86a3a9ab"), &top("9ff1e2d3c4b5"));
        same("plotly", &[], &plot("1a2b", "10d6c5f"), &plot("4bb86a3a9ab", "7fff"));
        let trace = |id: &str| format!(r#"{{"data":[{{"attrs":{{"{id}":1}},"of":"{id}"}}]}}"#);
        same("plotly", &[], &trace("4bb86a3a9ab"), &trace("9ff1e2d3c4b5"));
    }

    #[test]
    fn what_stands_beside_random_ids_counts() {
        let plain = plot("4bb86a3a9ab", "10d6c5f");
        for (old, new) in [
            ("\"alpha\":1", "\"alpha\":2"),
            ("markers", "market"),
            ("\"other\"", "\"others\""),
            ("4bb86a3a9ab.1", "4bb86a3a9ab.2"),
            ("\"cur_data\":\"10d6c5f\"", "\"cur_data\":\"4bb86a3a9ab\""),
            ("\"cur_data\":\"10d6c5f\"", "\"cur_data\":\"0000000\""),
            ("\"cur_data\":\"10d6c5f\",", ""),
            ("[1,2]", "[1,3]"),
            ("adding", "added"),
            ("\"10d6c5f\":{\"mode\":\"lines\"}", "\"4bb86a3a9ab.2\":{\"mode\":\"lines\"}"),
        ] {
            assert!(plain.contains(old), "{old}");
            differ("plotly", &[], &plain, &plain.replacen(old, new, 1));
        }
        // Not an id: too short where nothing vouches for it, or not hexadecimal.
        let attrs = |key: &str| format!(r#"{{"attrs":{{"{key}":1}}}}"#);
        differ("plotly", &[], &attrs("face"), &attrs("fade"));
        differ("plotly", &[], &attrs("outcome"), &attrs("scenario"));
        // An id by its looks, but nowhere that plotly.R puts one.
        let layout = |key: &str| format!(r#"{{"layout":{{"{key}":1}}}}"#);
        differ("plotly", &[], &layout("4bb86a3a9ab"), &layout("9ff1e2d3c4b5"));
    }

    #[test]
    fn volatile_values_do_not_number_the_ids() {
        let plot = |a: &str, b: &str| {
            format!(
                r#"{{"attrs":{{"aaaaaaaa":{{"uid":"{a}"}},"bbbbbbbb":{{"uid":"{b}"}}}},"cur_data":"bbbbbbbb"}}"#
            )
        };
        same("plotly", &["/attrs/*/uid"], &plot("1", "2"), &plot("2", "1"));
        differ("plotly", &[], &plot("1", "2"), &plot("2", "1"));
        same("plotly", &["/attrs"], &plot("1", "2"), r#"{"cur_data":"cccccccc"}"#);
    }

    fn page(id: &str, payload: &str) -> String {
        format!(
            "<!DOCTYPE html>\n<html><head><title>plotly</title>\n<script src=\"lib/plotly.js\"></script></head>\n\
             <body><div id=\"{id}\" class=\"plotly html-widget\"></div>\n\
             <script type=\"application/json\" data-for=\"{id}\">{payload}</script>\n\
             <script type=\"application/htmlwidget-sizing\" data-for=\"{id}\">{{\"fill\":true}}</script>\n\
             <script>if (1 < 2) show('#{id}')</script></body></html>\n"
        )
    }

    const WIDGET: &str = "htmlwidget-0123456789abcdef0123";
    const OTHER: &str = "htmlwidget-fedcba98765432100000";

    #[test]
    fn random_ids_of_a_page_do_not_count_and_the_rest_does() {
        let payload = plot("4bb86a3a9ab", "10d6c5f");
        let plain = page(WIDGET, &payload);
        same("html", &[], &plain, &page(OTHER, &plot("9ff1e2d3c4b5", "aaaaaaaa1")));
        differ("html", &[], &plain, &page(WIDGET, &payload.replace("[1,2]", "[1,3]")));
        for (old, new) in [
            ("<title>plotly", "<title>Plotly"),
            ("lib/plotly.js", "lib/plotly.min.js"),
            ("</script>\n<script type", "</script> \n<script type"),
            ("\"fill\":true", "\"fill\": true"),
            ("(1 < 2)", "(1 < 3)"),
        ] {
            assert!(plain.contains(old), "{old}");
            differ("html", &[], &plain, &plain.replacen(old, new, 1));
        }
        // An id that no longer fits the others is a page that no longer works.
        differ("html", &[], &plain, &plain.replacen(WIDGET, OTHER, 1));
        differ("html", &[], "<p id=htmlwidget-fade>", "<p id=htmlwidget-face>");
    }

    #[test]
    fn two_widgets_of_a_page_are_not_confused() {
        let two =
            |a: &str, b: &str| page(a, r#"{"x":{"data":[1]}}"#) + &page(b, r#"{"x":{"data":[2]}}"#);
        same("html", &[], &two(WIDGET, OTHER), &two(OTHER, WIDGET));
        differ("html", &[], &two(WIDGET, OTHER), &two(WIDGET, WIDGET));
    }

    #[test]
    fn volatile_values_of_a_page_are_those_of_its_payloads() {
        let dated = |time: &str| page(WIDGET, &format!(r#"{{"x":{{"time":"{time}","data":[]}}}}"#));
        same("html", &["/x/time"], &dated("Mon"), &dated("Tue"));
        differ("html", &[], &dated("Mon"), &dated("Tue"));
    }

    #[test]
    fn what_is_no_payload_is_compared_as_bytes() {
        let script = |tag: &str, text: &str| format!("<SCRIPT {tag}>{text}</SCRIPT>");
        for tag in ["type='application/json' data-for=w", "data-for = \"w>\" TYPE=Application/JSON"]
        {
            same("html", &[], &script(tag, "{\"a\": 1}"), &script(tag, "{\"a\":1}"));
        }
        for tag in
            ["type=\"application/json\"", "data-for=\"w\"", "id='type=application/json' data-for"]
        {
            differ("html", &[], &script(tag, "{\"a\": 1}"), &script(tag, "{\"a\":1}"));
        }
        let comment = "<!-- <script type='application/json' data-for='w'>{\"a\": ";
        differ("html", &[], &format!("{comment}1"), &format!("{comment} 1"));
    }

    #[test]
    fn the_header_of_gzip_does_not_count() {
        let monday = pack(b"{\"y\":1}", "a.json", 1);
        let tuesday = pack(b"{\"y\":1}", "b.json", 2);
        assert_ne!(monday, tuesday);
        assert_eq!(digest("gzip", &monday, &[]), digest("gzip", &tuesday, &[]));
        assert_eq!(digest("gzip", &monday, &[]), Digest::of(b"{\"y\":1}"));
        assert_ne!(digest("gzip", &monday, &[]), digest("gzip", pack(b"{\"y\":2}", "", 0), &[]));
        // All members count.
        let parts = [pack(b"{\"y\"", "", 3), pack(b":1}", "", 4)].concat();
        assert_eq!(digest("gzip", parts, &[]), digest("gzip", &monday, &[]));
        let more = [monday.clone(), pack(b" ", "", 0)].concat();
        assert_ne!(digest("gzip", &more, &[]), digest("gzip", &monday, &[]));
        assert_eq!(digest("gzip+json", &more, &[]), digest("json", "{\"y\":1}", &[]));
    }

    #[test]
    fn what_is_packed_may_be_a_plot_or_a_page() {
        let plain = plot("4bb86a3a9ab", "10d6c5f");
        let other = pack(plot("9ff1e2d3c4b5", "aaaaaaaa1").as_bytes(), "", 0);
        assert_eq!(digest("gzip+plotly", other, &[]), digest("plotly", &plain, &[]));
        let html = pack(page(WIDGET, &plain).as_bytes(), "", 0);
        assert_eq!(digest("gzip+html", html, &[]), digest("html", page(OTHER, &plain), &[]));
    }

    #[test]
    fn what_is_not_gzip_is_refused() {
        let whole = pack(b"{\"y\":1}", "", 0);
        let mut wrong_sum = whole.clone();
        let sum = wrong_sum.len() - 8;
        wrong_sum[sum] ^= 1;
        let trailing = [whole.as_slice(), b"and more"].concat();
        for kind in [As::GZIP, As::parse("gzip+json").unwrap()] {
            for bytes in [b"".as_slice(), b"{}", &whole[..whole.len() - 1], &wrong_sum, &trailing] {
                let error = content_digest(bytes, kind, &[]).unwrap_err();
                assert!(error.message.contains("gzip data"), "{error}");
            }
        }
    }

    #[test]
    fn an_unreadable_file_says_where_and_what_to_do() {
        let error = |kind, text: &str| content_digest(text.as_bytes(), kind, &[]).unwrap_err();
        let nan = error(As::PLOTLY, "{\"data\": [\n  {\"é\": [1, NaN]}]}");
        assert_eq!(
            nan.to_string(),
            "bare `NaN` is not JSON, at line 2, column 13 (byte 24, `/data/0/é/1`)"
        );
        assert_eq!(nan.hint, "write `null` for a number that is missing");
        let html = error(As::HTML, &page(WIDGET, "{\"a\":1,\"a\":2}"));
        assert_eq!(
            html.to_string(),
            "the key `a` stands twice, at line 5, column 83 (byte 259, `/a`)"
        );
        let cut = page(WIDGET, "{");
        let cut = &cut[..cut.find("</script>\n<script type=\"application/html").unwrap()];
        assert!(error(As::HTML, cut).to_string().starts_with("the page ends inside a widget"));
    }

    #[test]
    fn one_value_can_be_had_as_a_text() {
        let text = br#"{"facet":["age+sex"],"n":[1.50],"ok":true,"none":null}"#;
        let document = Document::parse(text, As::JSON).unwrap();
        let at = |pointer| document.text_at(&Pointer::parse(pointer).unwrap());
        assert_eq!(at("/facet/0").as_deref(), Some("age+sex"));
        assert_eq!(at("/n/0").as_deref(), Some("1.50"));
        assert_eq!(at("/ok").as_deref(), Some("true"));
        for none in ["/none", "/facet", "/absent", "/*/0"] {
            assert_eq!(at(none), None, "{none}");
        }
    }
}
