//! What an object is, said by the end of its path: the `Content-Type` where none is declared.

/// Ends of paths that are known, and what is sent for each; `docs/jheemfile.md` shows them.
const KNOWN: [(&[&str], &str); 13] = [
    (&["json"], "application/json"),
    (&["html", "htm"], "text/html; charset=utf-8"),
    (&["csv"], "text/csv; charset=utf-8"),
    (&["txt", "log"], "text/plain; charset=utf-8"),
    (&["css"], "text/css; charset=utf-8"),
    (&["js"], "text/javascript; charset=utf-8"),
    (&["png"], "image/png"),
    (&["jpg", "jpeg"], "image/jpeg"),
    (&["svg"], "image/svg+xml"),
    (&["webp"], "image/webp"),
    (&["pdf"], "application/pdf"),
    (&["gz"], "application/gzip"),
    (&["zip"], "application/zip"),
];

/// The `Content-Type` of a path with this last part; none if its end says nothing.
///
/// What is sent with `Content-Encoding: gzip` is what is packed: `a.json.gz` is JSON then.
pub(super) fn content_type(file: &str, encoding: Option<&str>) -> Option<&'static str> {
    let (rest, end) = file.rsplit_once('.')?;
    let end = end.to_ascii_lowercase();
    if end == "gz" && encoding == Some("gzip") {
        return content_type(rest, None);
    }
    let known = KNOWN.iter().find(|(ends, _)| ends.contains(&end.as_str()));
    known.map(|(_, content_type)| *content_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_path_says_what_an_object_is() {
        for (file, encoding, expected) in [
            ("a.json", None, Some("application/json")),
            ("a.b.HTML", None, Some("text/html; charset=utf-8")),
            ("a.json", Some("gzip"), Some("application/json")),
            ("a.json.gz", Some("gzip"), Some("application/json")),
            ("a.json.gz", None, Some("application/gzip")),
            ("a.gz", Some("gzip"), None),
            ("a.Rdata", None, None),
            ("json", None, None),
        ] {
            assert_eq!(content_type(file, encoding), expected, "{file}");
        }
    }

    #[test]
    fn the_reference_shows_the_ends_that_are_known() {
        let reference = include_str!("../../docs/jheemfile.md");
        for (ends, content_type) in KNOWN {
            let ends: Vec<String> = ends.iter().map(|end| format!("`.{end}`")).collect();
            let row = format!("| {} | `{content_type}` |\n", ends.join(", "));
            assert!(reference.contains(&row), "no row {row}");
        }
    }
}
