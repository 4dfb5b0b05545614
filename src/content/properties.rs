//! Properties of content digests over made-up values: what must not move them, and what must.

use proptest::prelude::*;

use super::*;

/// A JSON value without a way of writing it.
#[derive(Clone, Debug, PartialEq)]
enum Made {
    Word(&'static str),
    Number(String),
    Text(String),
    List(Vec<Made>),
    Object(Vec<(String, Made)>),
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,12}", "\\PC{0,3}", Just("generation_tim".to_owned())]
}

fn made() -> impl Strategy<Value = Made> {
    let leaf = prop_oneof![
        prop_oneof![Just("null"), Just("true"), Just("false")].prop_map(Made::Word),
        "-?(0|[1-9][0-9]{0,5})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,2})?".prop_map(Made::Number),
        "\\PC{0,8}|[\\x00-\\x20\"\\\\/]{0,4}".prop_map(Made::Text),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let members = prop::collection::btree_map(key(), inner.clone(), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(Made::List),
            members.prop_map(|members| Made::Object(members.into_iter().collect())),
        ]
    })
}

/// Chooses how a value is written; the same seed writes it the same.
struct Pen(u64);

impl Pen {
    fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn space(&mut self, out: &mut String) {
        out.push_str(["", "", "", " ", "\n  ", "\t\r\n"][self.below(6)]);
    }

    fn text(&mut self, text: &str, out: &mut String) {
        out.push('"');
        for letter in text.chars() {
            let must = letter < ' ' || letter == '"' || letter == '\\';
            if must || self.below(6) == 0 {
                let mut units = [0; 2];
                for unit in letter.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            } else {
                out.push(letter);
            }
        }
        out.push('"');
    }

    /// Writes `made` with its keys in any order, and a volatile member here and there.
    fn write(&mut self, made: &Made, volatile: bool, out: &mut String) {
        self.space(out);
        match made {
            Made::Word(word) => out.push_str(word),
            Made::Number(number) => out.push_str(number),
            Made::Text(text) => self.text(text, out),
            Made::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { "," });
                    self.write(item, volatile, out);
                }
                self.space(out);
                out.push(']');
            }
            Made::Object(members) => {
                let mut members: Vec<(&str, &Made)> =
                    members.iter().map(|(key, value)| (key.as_str(), value)).collect();
                let time = Made::List(vec![Made::Number(self.below(1000).to_string())]);
                if volatile && self.below(2) == 0 {
                    members.push(("generation_time", &time));
                }
                for last in (1..members.len()).rev() {
                    members.swap(last, self.below(last + 1));
                }
                out.push('{');
                for (index, (key, value)) in members.into_iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { "," });
                    self.space(out);
                    self.text(key, out);
                    self.space(out);
                    out.push(':');
                    self.write(value, volatile, out);
                }
                self.space(out);
                out.push('}');
            }
        }
        self.space(out);
    }
}

fn written(made: &Made, seed: u64, volatile: bool) -> String {
    let mut out = String::new();
    Pen(seed).write(made, volatile, &mut out);
    out
}

fn leaves<'m>(made: &'m mut Made, found: &mut Vec<&'m mut Made>) {
    match made {
        Made::List(items) => items.iter_mut().for_each(|item| leaves(item, found)),
        Made::Object(members) => members.iter_mut().for_each(|(_, value)| leaves(value, found)),
        leaf => found.push(leaf),
    }
}

fn digest(text: &str, volatile: &[Pointer]) -> Digest {
    content_digest(text.as_bytes(), As::JSON, volatile).unwrap()
}

/// An htmlwidgets payload with as many random ids as are given; their order is that of the text.
fn payload(ids: &[&String], values: &[u8], reference: usize) -> String {
    let attrs = ids.iter().zip(values).map(|(id, value)| format!("\"{id}\":{{\"alpha\":{value}}}"));
    let attrs: Vec<String> = attrs.collect();
    let visdat: Vec<String> = ids.iter().rev().map(|id| format!("\"{id}\":[\"f\"]")).collect();
    format!(
        "{{\"x\":{{\"visdat\":{{{}}},\"cur_data\":\"{}\",\"attrs\":{{{}}},\"data\":[]}}}}",
        visdat.join(","),
        ids[reference % ids.len()],
        attrs.join(",")
    )
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn how_a_value_is_written_never_counts(made in made(), a: u64, b: u64) {
        prop_assert_eq!(digest(&written(&made, a, false), &[]), digest(&written(&made, b, false), &[]));
    }

    #[test]
    fn volatile_members_never_count(made in made(), a: u64, b: u64) {
        let volatile = [Pointer::parse("/**/generation_time").unwrap()];
        prop_assert_eq!(
            digest(&written(&made, a, true), &volatile),
            digest(&written(&made, b, false), &volatile)
        );
    }

    #[test]
    fn another_leaf_is_always_another_content(made in made(), leaf in made(), at: usize, seed: u64) {
        let mut changed = made.clone();
        let mut places = Vec::new();
        leaves(&mut changed, &mut places);
        if !places.is_empty() {
            let at = at % places.len();
            *places[at] = leaf;
        }
        let volatile = [Pointer::parse("/**/generation_time").unwrap()];
        let same = digest(&written(&made, seed, true), &volatile)
            == digest(&written(&changed, !seed, true), &volatile);
        prop_assert_eq!(same, made == changed);
    }

    #[test]
    fn random_ids_never_count_and_attributes_do(
        ids in prop::collection::btree_set("[0-9a-f]{8,14}", 8),
        values in prop::collection::vec(0..4_u8, 4),
        reference in 0..4_usize,
        rotation in 0..4_usize,
        other in 0..4_u8,
    ) {
        let ids: Vec<&String> = ids.iter().collect();
        let digest = |text: String| content_digest(text.as_bytes(), As::PLOTLY, &[]).unwrap();
        let plain = digest(payload(&ids[..4], &values, reference));
        // Other ids, and keys in another order.
        let (mut turned_ids, mut turned) = (ids[4..].to_vec(), values.clone());
        turned_ids.rotate_left(rotation);
        turned.rotate_left(rotation);
        let turned_reference = (reference + 4 - rotation) % 4;
        prop_assert_eq!(plain, digest(payload(&turned_ids, &turned, turned_reference)));
        let mut changed = values.clone();
        changed[reference] = other;
        let same = plain == digest(payload(&ids[..4], &changed, reference));
        prop_assert_eq!(same, changed == values);
    }

    #[test]
    fn json_is_read_by_us_if_serde_json_reads_it(made in made(), seed: u64, cut: usize, byte: u8) {
        let mut text = written(&made, seed, false).into_bytes();
        let at = cut % text.len();
        text[at] = byte;
        let theirs = serde_json::from_slice::<serde_json::Value>(&text).is_ok();
        let ours = content_digest(&text, As::JSON, &[]);
        // serde_json takes a key that stands twice.
        let twice = ours.as_ref().is_err_and(|error| error.message.contains("stands twice"));
        prop_assert!(ours.is_ok() == theirs || (theirs && twice), "{:?}", ours);
    }

    #[test]
    fn no_bytes_are_a_panic(
        changes in prop::collection::vec((any::<usize>(), any::<u8>()), 0..6),
        cut: usize,
    ) {
        let values = [1, 2];
        let ids = ["4bb86a3a9ab".to_owned(), "10d6c5f0".to_owned()];
        let payload = payload(&[&ids[0], &ids[1]], &values, 0);
        let page = format!(
            "<!-- x --><div id='htmlwidget-0123456789'></div><script data-for='htmlwidget-0123456789' type='application/json'>{payload}</script><p>"
        );
        let volatile = ["/**/alpha", "/x/*/*", "/x/data/[a=b]/0"].map(|text| Pointer::parse(text).unwrap());
        for text in [payload, page] {
            let mut bytes = text.into_bytes();
            for (at, byte) in &changes {
                let at = at % bytes.len();
                bytes[at] = *byte;
            }
            bytes.truncate(1 + cut % (2 * bytes.len()));
            for name in As::NAMES {
                let kind = As::parse(name).unwrap();
                if let Err(error) = content_digest(&bytes, kind, &volatile) {
                    prop_assert!(!error.to_string().is_empty());
                }
            }
        }
    }
}
