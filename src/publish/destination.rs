//! Destinations: the URLs that a publish goes to, and which keys each kind can hold.
//!
//! Pure but for `inside`, which looks for symbolic links. Knows nothing of what is published.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::aws::s3;
use crate::error::{Error, Result};

use super::wanted::Headers;

/// The folder, inside a `file:` destination, that is jheem's own.
pub const OWN_FOLDER: &str = ".jheem";

/// What jheem's own metadata takes in a bucket: the digests of an object's bytes and headers.
const OWN_METADATA: usize = 111;

/// Where a publish goes; local paths are as they were written, without needless parts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// `file:site`: a folder of objects.
    File { folder: String },
    /// `sqlite:site/plots.db#table`: rows in a table of a database.
    Sqlite { path: String, table: Option<String> },
    /// `s3://bucket/prefix`: objects in a bucket.
    S3 { bucket: String, prefix: String, keeping: Keeping },
    /// `dynamodb://table`: rows in a table.
    Dynamodb { table: String, keeping: Option<Keeping> },
}

/// Where the manifest of a remote destination is kept: below a prefix of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Keeping {
    pub bucket: String,
    pub prefix: String,
}

impl Keeping {
    /// Where an owner's texts are, without a slash at the end.
    pub fn prefix(&self, owner: &str) -> String {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        format!("{}{slash}{OWN_FOLDER}/{owner}", self.prefix)
    }
}

impl fmt::Display for Keeping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        write!(f, "s3://{}{slash}{}", self.bucket, self.prefix)
    }
}

/// Reads a destination's URL. The error is a fragment that names the URL.
pub fn parse_destination(url: &str) -> Result<Destination, String> {
    let wrong = |what: &str| format!("`{url}` is not a destination: {what}");
    if url.chars().any(char::is_control) {
        return Err(format!("{url:?} is not a destination: it holds a control character"));
    }
    if let Some(path) = url.strip_prefix("file:") {
        let folder = local_path(path).map_err(|what| wrong(&what))?;
        return Ok(Destination::File { folder });
    }
    if let Some(rest) = url.strip_prefix("sqlite:") {
        let (path, table) = match rest.rsplit_once('#') {
            Some((path, table)) => (path, Some(table)),
            None => (rest, None),
        };
        if let Some(table) = table {
            check_table(table).map_err(|what| wrong(&what))?;
        }
        let path = local_path(path).map_err(|what| wrong(&what))?;
        return Ok(Destination::Sqlite { path, table: table.map(str::to_owned) });
    }
    if let Some(rest) = url.strip_prefix("s3://") {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let named = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        if bucket.len() < 3 || bucket.len() > 63 || !bucket.chars().all(named) {
            return Err(wrong("a bucket's name has 3 to 63 of a-z, 0-9, `.` and `-`"));
        }
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        if !prefix.is_empty() && prefix.split('/').any(str::is_empty) {
            return Err(wrong("the prefix has an empty part"));
        }
        let keeping = Keeping { bucket: bucket.into(), prefix: prefix.into() };
        return Ok(Destination::S3 { bucket: bucket.into(), prefix: prefix.into(), keeping });
    }
    if let Some(table) = url.strip_prefix("dynamodb://") {
        let named = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if table.len() < 3 || table.len() > 255 || !table.chars().all(named) {
            return Err(wrong("a table's name has 3 to 255 of a-z, A-Z, 0-9, `_`, `.` and `-`"));
        }
        return Ok(Destination::Dynamodb { table: table.into(), keeping: None });
    }
    Err(wrong("it begins with none of `file:`, `sqlite:`, `s3://` and `dynamodb://`"))
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Destination::File { folder } => write!(f, "file:{folder}"),
            Destination::Sqlite { path, table: None } => write!(f, "sqlite:{path}"),
            Destination::Sqlite { path, table: Some(table) } => write!(f, "sqlite:{path}#{table}"),
            Destination::S3 { bucket, prefix, .. } if prefix.is_empty() => {
                write!(f, "s3://{bucket}")
            }
            Destination::S3 { bucket, prefix, .. } => write!(f, "s3://{bucket}/{prefix}"),
            Destination::Dynamodb { table, .. } => write!(f, "dynamodb://{table}"),
        }
    }
}

impl Destination {
    /// The same destination with this table, if rows go there and its URL names none.
    pub fn with_table(self, name: &str) -> Destination {
        match self {
            Destination::Sqlite { path, table: None } => {
                Destination::Sqlite { path, table: Some(name.to_owned()) }
            }
            other => other,
        }
    }

    /// The same destination with its manifest kept there, if it is remote.
    pub fn kept_at(self, keeping: &Keeping) -> Destination {
        match self {
            Destination::S3 { bucket, prefix, .. } => {
                Destination::S3 { bucket, prefix, keeping: keeping.clone() }
            }
            Destination::Dynamodb { table, .. } => {
                Destination::Dynamodb { table, keeping: Some(keeping.clone()) }
            }
            local => local,
        }
    }

    /// Whether it is on this machine, so that `build` may write it.
    pub fn is_local(&self) -> bool {
        matches!(self, Destination::File { .. } | Destination::Sqlite { .. })
    }

    /// Whether it takes objects; the others take rows.
    pub fn takes_objects(&self) -> bool {
        matches!(self, Destination::File { .. } | Destination::S3 { .. })
    }

    /// The key as a reader of the destination gives it: in a bucket, with the prefix.
    pub fn full_key(&self, key: &str) -> String {
        match self {
            Destination::S3 { prefix, .. } if !prefix.is_empty() => format!("{prefix}/{key}"),
            _ => key.to_owned(),
        }
    }

    /// The URL of the object under `key`.
    pub fn object_url(&self, key: &str) -> String {
        format!("{self}/{key}")
    }

    /// Whether an object may have this key here. The error is a fragment that says what is wrong with it.
    pub fn check_key(&self, key: &str) -> Result<(), String> {
        let whole = self.full_key(key);
        if key.is_empty() {
            return Err("it is empty".into());
        }
        if key.chars().any(char::is_control) {
            return Err("it holds a control character".into());
        }
        if whole.len() > 1024 {
            return Err("it is longer than 1024 bytes".into());
        }
        for (index, part) in key.split('/').enumerate() {
            if part.is_empty() {
                let what = if index == 0 { "it begins with `/`" } else { "it has an empty part" };
                return Err(what.into());
            }
            if part == "." || part == ".." {
                return Err(format!("it has the part `{part}`"));
            }
            if index == 0 && part.eq_ignore_ascii_case(OWN_FOLDER) {
                return Err(format!("`{OWN_FOLDER}` is jheem's own"));
            }
            if matches!(self, Destination::File { .. }) && part.len() > 255 {
                return Err("it has a part of more than 255 bytes".into());
            }
        }
        Ok(())
    }
}

impl Destination {
    /// Whether an object may have these headers here. The error is a fragment that says what is wrong with them.
    pub fn check_headers(&self, headers: &Headers) -> Result<(), String> {
        let Destination::S3 { .. } = self else { return Ok(()) };
        let size = s3::metadata_size(&headers.metadata) + OWN_METADATA;
        match size > s3::MOST_METADATA {
            true => Err(format!(
                "its metadata takes {size} bytes, and a bucket takes {}",
                s3::MOST_METADATA
            )),
            false => Ok(()),
        }
    }
}

/// Reads a destination's URL; for rows, with the table that they go to if it names none.
pub fn parse_place(url: &str, table: Option<&str>) -> Result<Destination, String> {
    let destination = parse_destination(url)?;
    Ok(match table {
        Some(table) => destination.with_table(table),
        None => destination,
    })
}

/// A table's name that SQLite takes and that is not one of jheem's own.
pub fn check_table(name: &str) -> Result<(), String> {
    let lower = name.to_ascii_lowercase();
    if name.is_empty() || name.len() > 128 || name.chars().any(char::is_control) {
        return Err("a table's name has 1 to 128 characters".into());
    }
    if lower.starts_with("sqlite_") || lower.starts_with("jheem_") {
        return Err(format!("tables named like `{name}` are not for rows"));
    }
    Ok(())
}

/// A local path without `.`, doubled or trailing slashes; `//` in front means an absolute path.
fn local_path(path: &str) -> Result<String, String> {
    let path = match path.strip_prefix("//") {
        Some(rest) if rest.starts_with('/') => rest,
        Some(_) => return Err("it names another machine".into()),
        None => path,
    };
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err("its path has `..`".into()),
            part => parts.push(part),
        }
    }
    if parts.is_empty() {
        return Err("its path is empty".into());
    }
    let root = if path.starts_with('/') { "/" } else { "" };
    Ok(format!("{root}{}", parts.join("/")))
}

/// The place of a destination's path on this machine: under the project's root unless it is absolute.
///
/// Refuses a path in the project that a symbolic link leads out of it.
pub fn inside(root: &Path, path: &str) -> Result<PathBuf> {
    let whole = root.join(path);
    if Path::new(path).is_absolute() {
        return Ok(whole);
    }
    let io = |path: &Path, error: &std::io::Error| Error::io("look at", path, error);
    let home = root.canonicalize().map_err(|error| io(root, &error))?;
    // What does not exist yet cannot be a link: look at the deepest part that does.
    for part in whole.ancestors() {
        match part.symlink_metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(io(part, &error)),
            Ok(_) => {
                let real = part.canonicalize().map_err(|error| io(part, &error))?;
                if real.starts_with(&home) {
                    break;
                }
                return Err(Error::user(format!(
                    "`{path}` leads out of the project through a symbolic link, to `{}`",
                    real.display()
                ))
                .hint("give the destination as an absolute path, or replace the link"));
            }
        }
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_and_shown_again_without_needless_parts() {
        for (url, shown) in [
            ("file:site", "file:site"),
            ("file:./site//a/", "file:site/a"),
            ("file:///srv/site", "file:/srv/site"),
            ("file:/srv/site", "file:/srv/site"),
            ("sqlite:site/plots.db", "sqlite:site/plots.db"),
            ("sqlite:plots.db#all plots", "sqlite:plots.db#all plots"),
            ("s3://jheem-test-tiny-bucket", "s3://jheem-test-tiny-bucket"),
            ("s3://jheem-data-production/portal/rw/", "s3://jheem-data-production/portal/rw"),
            ("dynamodb://jheem-test-tiny", "dynamodb://jheem-test-tiny"),
        ] {
            let destination = parse_destination(url).unwrap();
            assert_eq!(destination.to_string(), shown);
            assert_eq!(parse_destination(shown).unwrap(), destination);
        }
    }

    #[test]
    fn a_url_that_is_no_destination_is_refused_and_named() {
        for url in [
            "",
            "site",
            "http://x",
            "file:",
            "file:.",
            "file:/",
            "file:../site",
            "file:a/../../b",
            "file://host/site",
            "sqlite:#t",
            "sqlite:a.db#",
            "sqlite:a.db#jheem_manifest",
            "s3://",
            "s3://Bucket",
            "s3://bucket//x",
            "dynamodb://a b",
            "dynamodb://",
        ] {
            let error = parse_destination(url).unwrap_err();
            assert!(error.contains(&format!("`{url}` is not a destination")), "{error}");
        }
        assert!(parse_destination("file:a\nb").unwrap_err().contains("control"));
    }

    #[test]
    fn a_key_may_hold_what_plots_are_named_with_and_nothing_that_leaves_the_folder() {
        let folder = parse_destination("file:site").unwrap();
        for key in
            ["a", "C.12580/cessation/x_facet_age+sex.json", "50 %/a=b#c", "...", ".x/é", "a/.jheem"]
        {
            assert_eq!(folder.check_key(key), Ok(()), "{key}");
        }
        let long = format!("a/{}", "x".repeat(256));
        for key in [
            "", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", ".jheem/x", ".JHEEM", "a\nb",
            "a\0", &long,
        ] {
            assert!(folder.check_key(key).is_err(), "{key:?}");
        }
        let bucket = parse_destination("s3://bucket/p").unwrap();
        assert_eq!(bucket.full_key("a/b"), "p/a/b");
        assert_eq!(bucket.object_url("a/b"), "s3://bucket/p/a/b");
    }

    #[test]
    fn a_destination_in_the_project_is_not_followed_out_of_it() {
        let outside = tempfile::tempdir().unwrap();
        let root = tempfile::tempdir().unwrap();
        let path = root.path();
        std::fs::create_dir(path.join("real")).unwrap();
        std::os::unix::fs::symlink(outside.path(), path.join("out")).unwrap();
        std::os::unix::fs::symlink("real", path.join("in")).unwrap();
        for fine in ["site", "real/deep/er", "in/x"] {
            assert_eq!(inside(path, fine).unwrap(), path.join(fine));
        }
        for bad in ["out", "out/x/y"] {
            let error = inside(path, bad).unwrap_err();
            assert!(error.message.contains(&format!("`{bad}` leads out")), "{error}");
        }
        assert_eq!(inside(path, "/srv/site").unwrap(), Path::new("/srv/site"));
    }
}
