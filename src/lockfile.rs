//! `Jheem.lock`: what remote inputs and images are, as they were last looked at.
//!
//! One line for each thing, sorted, so that a review shows what moved. Written by `jheem update`
//! alone. Knows nothing of networks: it is text, and what the text says.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::digest::{Algorithm, Digest};
use crate::error::{Error, Result};

/// The version of the file; a reader refuses a later one.
const VERSION: u32 = 1;
/// What the file of a Jheemfile is called beside it.
const NAME: &str = "Jheem.lock";

/// Everything that is pinned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lockfile {
    /// By source: the URL with its holes filled in.
    pub inputs: BTreeMap<String, PinnedInput>,
    /// By image and platform; see `image_key`.
    pub images: BTreeMap<String, PinnedImage>,
}

/// The bytes that a source had.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedInput {
    /// A SHA-256: what releases and buckets tell without a download.
    pub digest: Digest,
    pub size: u64,
    /// The name of the asset that a pattern stood for.
    pub asset: Option<String>,
    /// What its keeper changes when something is put there anew; only a hint.
    pub etag: Option<String>,
    /// What names these very bytes there, where old ones are kept.
    pub version: Option<String>,
}

/// The image that a name stood for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedImage {
    /// What it is pulled by.
    pub manifest: Digest,
    /// What it is: the digest of its configuration for the platform.
    pub config: Digest,
    /// What the tag named, where that is an index of images for several platforms.
    pub tag: Option<Digest>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    #[serde(default)]
    input: BTreeMap<String, PinnedInput>,
    #[serde(default)]
    image: BTreeMap<String, PinnedImage>,
}

/// How the lock names an image: `ghcr.io/x/y:1.1.0 linux/amd64`.
pub fn image_key(name: &str, platform: Option<&str>) -> String {
    match platform {
        Some(platform) => format!("{name} {platform}"),
        None => name.to_owned(),
    }
}

/// Where the lock of a Jheemfile is: beside it, called like it if it has a name of its own.
pub fn path_for(jheemfile: &Path) -> PathBuf {
    match jheemfile.file_stem().and_then(|stem| stem.to_str()) {
        Some("Jheemfile") | None => jheemfile.with_file_name(NAME),
        Some(stem) => jheemfile.with_file_name(format!("{stem}.lock")),
    }
}

impl Lockfile {
    /// Reads the file; nothing is pinned where there is none.
    pub fn read(path: &Path) -> Result<Lockfile> {
        match std::fs::read_to_string(path) {
            Ok(text) => Lockfile::parse(&text).map_err(|why| {
                let error = Error::user(format!("`{}` cannot be read", path.display()));
                error
                    .because(why)
                    .hint("take it from version control again, or remove it and run `jheem update`")
            }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Lockfile::default()),
            Err(e) => Err(Error::io("read", path, &e)),
        }
    }

    /// Reads the text. The error is a sentence that says where it is wrong.
    pub fn parse(text: &str) -> Result<Lockfile, String> {
        for (at, line) in text.lines().enumerate() {
            if ["<<<<<<< ", "||||||| ", "=======", ">>>>>>> "]
                .iter()
                .any(|mark| line.starts_with(mark))
            {
                return Err(format!("line {}: a merge left both sides in it", at + 1));
            }
        }
        let written: Written = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let line = text.get(..at).unwrap_or_default().matches('\n').count() + 1;
            format!("line {line}: {}", error.message())
        })?;
        if written.version != VERSION {
            return Err(format!("it has version {}, of another jheem", written.version));
        }
        let other = written.input.iter().find(|(_, pin)| pin.digest.algorithm != Algorithm::Sha256);
        if let Some((source, pin)) = other {
            return Err(format!("`{source}` has the digest {}, which is no SHA-256", pin.digest));
        }
        Ok(Lockfile { inputs: written.input, images: written.image })
    }

    /// The text of the file.
    pub fn text(&self) -> String {
        let mut text = format!(
            "# What remote inputs and images are. Written by `jheem update`; keep it in version control.\nversion = {VERSION}\n"
        );
        // Strings of JSON are strings of TOML.
        let quoted =
            |value: &str| serde_json::Value::from(value).to_string().replace('\u{7f}', "\\u007f");
        let mut table = |name: &str, lines: Vec<(String, String)>| {
            if !lines.is_empty() {
                write!(text, "\n[{name}]\n").expect("strings take all");
            }
            for (key, value) in lines {
                writeln!(text, "{} = {{ {value} }}", quoted(&key)).expect("strings take all");
            }
        };
        let input = |(source, pin): (&String, &PinnedInput)| {
            let mut line = format!("digest = \"{}\", size = {}", pin.digest, pin.size);
            let more = [("asset", &pin.asset), ("etag", &pin.etag), ("version", &pin.version)];
            for (name, value) in more {
                if let Some(value) = value {
                    write!(line, ", {name} = {}", quoted(value)).expect("strings take all");
                }
            }
            (source.clone(), line)
        };
        table("input", self.inputs.iter().map(input).collect());
        let image = |(name, pin): (&String, &PinnedImage)| {
            let mut line = format!("manifest = \"{}\", config = \"{}\"", pin.manifest, pin.config);
            if let Some(tag) = pin.tag {
                write!(line, ", tag = \"{tag}\"").expect("strings take all");
            }
            (name.clone(), line)
        };
        table("image", self.images.iter().map(image).collect());
        text
    }

    /// Writes the file, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<()> {
        // What nobody could read back would lose every pin.
        if let Err(why) = Lockfile::parse(&self.text()) {
            return Err(Error::bug(format!("the lock would not be readable: {why}")));
        }
        let beside = path.with_extension(format!("lock.{}", std::process::id()));
        let written = std::fs::File::create(&beside)
            .and_then(|mut file| {
                file.write_all(self.text().as_bytes())?;
                file.sync_all()
            })
            .and_then(|()| std::fs::rename(&beside, path));
        written.map_err(|e| {
            let _left = std::fs::remove_file(&beside);
            Error::io("write", path, &e)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sha256(digit: char) -> Digest {
        format!("sha256:{}", String::from(digit).repeat(64)).parse().unwrap()
    }

    fn pinned() -> Lockfile {
        let mut lock = Lockfile::default();
        for (source, digit, etag) in
            [("s3://b/two", '2', Some("\"e-2\"")), ("github://o/r@v1/AL_*.Rdata", '1', None)]
        {
            let pin = PinnedInput {
                digest: sha256(digit),
                size: 7,
                asset: source.starts_with('g').then(|| "AL_noint.Rdata".into()),
                etag: etag.map(str::to_owned),
                version: None,
            };
            lock.inputs.insert(source.into(), pin);
        }
        let image =
            PinnedImage { manifest: sha256('3'), config: sha256('4'), tag: Some(sha256('5')) };
        lock.images.insert(image_key("ghcr.io/x/y:1", Some("linux/amd64")), image);
        lock
    }

    #[test]
    fn a_lock_reads_back_as_it_was_written_one_line_for_each_thing() {
        let lock = pinned();
        assert_eq!(Lockfile::parse(&lock.text()).unwrap(), lock);
        let changed = {
            let mut lock = lock.clone();
            lock.inputs.get_mut("s3://b/two").unwrap().size = 8;
            lock.text()
        };
        let text = lock.text();
        let differing = text.lines().zip(changed.lines()).filter(|(a, b)| a != b).count();
        assert_eq!(differing, 1);
        let keys: Vec<&str> = text.lines().filter(|line| line.starts_with('"')).collect();
        assert_eq!(keys.len(), 3);
        assert!(keys[0] < keys[1], "{text}");
    }

    #[test]
    fn a_lock_that_cannot_be_read_says_where() {
        for (text, expected) in [
            ("version = 2\n", "version 2"),
            ("version = 1\n<<<<<<< HEAD\n", "line 2: a merge"),
            ("version = 1\n\n[input]\n\"a\" = { size = 1 }\n", "line 4"),
            ("version = 1\n\n[input]\n\"a\" = { digest = \"blake3:00\", size = 1 }\n", "line 4"),
        ] {
            let said = Lockfile::parse(text).unwrap_err();
            assert!(said.contains(expected), "{said}");
        }
        let blake3 = pinned().text().replace("sha256:1", "blake3:1");
        assert!(Lockfile::parse(&blake3).unwrap_err().contains("no SHA-256"));
    }

    #[test]
    fn every_jheemfile_has_a_lock_of_its_own() {
        assert_eq!(path_for(Path::new("a/Jheemfile.toml")), Path::new("a/Jheem.lock"));
        assert_eq!(path_for(Path::new("cdc-testing.toml")), Path::new("cdc-testing.lock"));
    }
}
