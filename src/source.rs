//! Where remote inputs come from: buckets, web servers, releases of data, other folders.
//!
//! A source is looked at without moving its bytes, and read from any byte on. What stands behind a
//! URL is known by a digest only where its keeper tells one (a release does, a bucket may).
//! Knows nothing of inputs, of the lock, or of where what is read goes.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use crate::aws::Aws;
use crate::aws::s3::Bucket;
use crate::digest::{Algorithm, Digest};
use crate::error::{Error, Result};
use crate::http::{Ask, Http, is_loopback};

mod github;

use github::Releases;

/// Where one remote input comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    S3 {
        bucket: String,
        key: String,
    },
    Web(String),
    /// `asset` may have wildcards, and then stands for the one asset whose name it matches.
    Release {
        owner: String,
        repository: String,
        tag: String,
        asset: String,
    },
    /// A file of this machine, from the project's folder on.
    File(PathBuf),
}

/// Bytes that are read at once.
const PIECE: usize = 256 * 1024;

/// What stands at a source now, as far as its keeper says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The SHA-256 of its bytes.
    pub digest: Option<Digest>,
    pub size: Option<u64>,
    /// What changes when it is put there anew: a hint that something moved, no more.
    pub etag: Option<String>,
    /// What names these very bytes there, even after others took their place.
    pub version: Option<String>,
    /// The name of the asset that a pattern stands for.
    pub asset: Option<String>,
}

/// All that sources are asked through, made when first needed.
pub struct Sources {
    root: PathBuf,
    aws: Aws,
    http: Http,
    releases: Mutex<Releases>,
    /// By name; each has a client of its own.
    buckets: Mutex<HashMap<String, Arc<Bucket>>>,
}

/// The bytes of a source, from some byte on.
pub struct Opened {
    pub reader: Box<dyn Read + Send>,
    /// The byte that it begins with; 0 where the whole was sent instead.
    pub from: u64,
    /// The size of the whole, where its keeper says it.
    pub total: Option<u64>,
}

impl Location {
    /// Reads a URL. The error is a fragment that says what is wrong with it.
    pub fn parse(url: &str) -> Result<Location, String> {
        if let Some(path) = url.strip_prefix("file:") {
            return Ok(Location::File(PathBuf::from(path)));
        }
        if has_a_login(url) {
            return Err("holds a login, which would be kept and shown: write it without what stands before the `@`; credentials come from the environment".into());
        }
        if let Some(rest) = url.strip_prefix("s3://") {
            return match rest.split_once('/') {
                Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => {
                    Ok(Location::S3 { bucket: bucket.to_owned(), key: key.to_owned() })
                }
                _ => Err("names no object: write `s3://BUCKET/KEY`".into()),
            };
        }
        if let Some(rest) = url.strip_prefix("github://") {
            return github::parse(rest);
        }
        if let Some(rest) = url.strip_prefix("http://") {
            let host = rest.split(['/', '?']).next().unwrap_or_default();
            let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
            return match is_loopback(host) {
                true => Ok(Location::Web(url.to_owned())),
                false => Err("goes over the network unprotected: write `https://`".into()),
            };
        }
        if url.starts_with("https://") {
            return Ok(Location::Web(url.to_owned()));
        }
        Err("is no source: write `s3://`, `https://`, `github://` or `file:`".into())
    }

    /// Reads a URL that was written as a source.
    pub fn of(source: &str) -> Result<Location> {
        Location::parse(source).map_err(|why| Error::user(format!("the source `{source}` {why}")))
    }

    /// Whether asking for it needs the network.
    pub fn is_remote(&self) -> bool {
        !matches!(self, Location::File(_))
    }
}

/// Whether a name or a password stands before the host of a URL, or before the bucket.
fn has_a_login(url: &str) -> bool {
    let is = |scheme: &&str| matches!(*scheme, "s3" | "http" | "https");
    let parts = url.split_once("://").filter(|(scheme, _)| is(scheme));
    parts.is_some_and(|(_, rest)| {
        rest.split(['/', '?', '#']).next().is_some_and(|host| host.contains('@'))
    })
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::S3 { bucket, key } => write!(f, "s3://{bucket}/{key}"),
            Location::Web(url) => f.write_str(url),
            Location::Release { owner, repository, tag, asset } => {
                write!(f, "github://{owner}/{repository}@{tag}/{asset}")
            }
            Location::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl Sources {
    pub fn new(root: &Path, aws: Aws) -> Sources {
        let (releases, buckets) = Default::default();
        Sources { root: root.to_owned(), aws, http: Http::new(), releases, buckets }
    }

    fn bucket(&self, name: &str) -> Result<Arc<Bucket>> {
        let aws = self.aws.connect()?;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let known = buckets.entry(name.to_owned());
        Ok(Arc::clone(known.or_insert_with(|| Arc::new(Bucket::new(aws, name)))))
    }

    /// What stands there now; none where nothing does. No bytes are moved.
    pub fn look(&self, location: &Location, go_on: &dyn Fn() -> bool) -> Result<Option<Seen>> {
        match location {
            Location::S3 { bucket, key } => {
                let bucket = self.bucket(bucket)?;
                let found = bucket.look(std::slice::from_ref(key))?.pop().flatten();
                Ok(found.map(|found| Seen {
                    digest: found.sha256.as_deref().and_then(digest_of_base64),
                    size: Some(found.size),
                    etag: Some(found.version),
                    version: found.kept_as,
                    asset: None,
                }))
            }
            Location::Web(url) => self.look_at_web(url, go_on),
            Location::Release { owner, repository, tag, asset } => {
                let mut releases = self.releases.lock().unwrap_or_else(PoisonError::into_inner);
                let release = releases.of(&self.http, owner, repository, tag, go_on)?;
                let found = github::find(release, owner, repository, tag, asset)?;
                Ok(Some(found.seen()))
            }
            Location::File(path) => {
                let path = self.root.join(path);
                match std::fs::metadata(&path) {
                    Ok(metadata) if metadata.is_file() => Ok(Some(Seen {
                        digest: sha256_of(&path, go_on)?,
                        size: Some(metadata.len()),
                        ..Seen::default()
                    })),
                    Ok(_) => Err(Error::user(format!("`{}` is not a plain file", path.display()))),
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
                    Err(e) => Err(Error::io("look at", &path, &e)),
                }
            }
        }
    }

    fn look_at_web(&self, url: &str, go_on: &dyn Fn() -> bool) -> Result<Option<Seen>> {
        let mut answer = self.http.ask(&Ask::head(url), go_on)?;
        if matches!(answer.status, 403 | 405 | 501) {
            // Some servers answer no HEAD; the body of this one is never read.
            answer = self.http.ask(&Ask::get(url), go_on)?;
        }
        match answer.status {
            404 | 410 => Ok(None),
            _ if !answer.is_success() => Err(answer.refused()),
            _ => Ok(Some(Seen {
                size: answer.length(),
                etag: answer.header("etag").or(answer.header("last-modified")).map(str::to_owned),
                ..Seen::default()
            })),
        }
    }

    /// Opens what stands there from a byte on; if `pinned` names a version, that very one where it is kept.
    pub fn open(
        &self,
        location: &Location,
        from: u64,
        pinned: Option<&Seen>,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Opened> {
        match location {
            Location::S3 { bucket, key } => {
                let bucket = self.bucket(bucket)?;
                let version = pinned.and_then(|pinned| pinned.version.as_deref());
                // Old bytes go on with new ones only where a digest would tell.
                let same = (from > 0).then(|| pinned.and_then(|pinned| pinned.etag.as_deref()));
                let same = same.flatten().filter(|_| version.is_none());
                let reader = bucket.read_from(key, from, version, same)?;
                let total = reader.length.map(|length| from + length);
                Ok(Opened { reader: Box::new(reader), from, total })
            }
            Location::Web(url) => {
                let etag = pinned.and_then(|pinned| pinned.etag.clone());
                let mut ask = Ask::get(url);
                if let Some(etag) = etag.filter(|etag| from > 0 && etag.starts_with('"')) {
                    ask = ask.header("if-range", etag);
                }
                self.open_web(&ask, from, go_on)
            }
            Location::Release { owner, repository, tag, asset } => {
                let url = {
                    let mut releases = self.releases.lock().unwrap_or_else(PoisonError::into_inner);
                    let release = releases.of(&self.http, owner, repository, tag, go_on)?;
                    github::find(release, owner, repository, tag, asset)?.url.clone()
                };
                let ask = github::download(&url).about(format!("`{location}`"));
                self.open_web(&ask, from, go_on)
            }
            Location::File(path) => {
                let path = self.root.join(path);
                let failed = |e: &std::io::Error| Error::io("read", &path, e);
                let mut file = File::open(&path).map_err(|e| failed(&e))?;
                file.seek(SeekFrom::Start(from)).map_err(|e| failed(&e))?;
                let total = Some(file.metadata().map_err(|e| failed(&e))?.len());
                Ok(Opened { reader: Box::new(file), from, total })
            }
        }
    }

    fn open_web(&self, ask: &Ask<'_>, from: u64, go_on: &dyn Fn() -> bool) -> Result<Opened> {
        let mut ask = ask.clone();
        if from > 0 {
            ask = ask.header("range", format!("bytes={from}-"));
        }
        let answer = self.http.ask(&ask, go_on)?;
        match answer.status {
            206 if answer.begins_at() == Some(from) => {
                let total = answer.length().map(|length| from + length);
                Ok(Opened { reader: Box::new(answer.reader()), from, total })
            }
            // Past its end, of another file, or another part than was asked for: it is read from its beginning.
            206 | 416 if from > 0 => {
                let ask = Ask { headers: ask.headers[..ask.headers.len() - 1].to_vec(), ..ask };
                self.open_web(&ask, 0, go_on)
            }
            _ if answer.is_success() => {
                let total = answer.length();
                Ok(Opened { reader: Box::new(answer.reader()), from: 0, total })
            }
            _ => Err(answer.refused()),
        }
    }
}

/// The SHA-256 of a file of this machine; none if somebody asked to stop.
pub fn sha256_of(path: &Path, go_on: &dyn Fn() -> bool) -> Result<Option<Digest>> {
    let failed = |e: &std::io::Error| Error::io("read", path, e);
    let mut file = File::open(path).map_err(|e| failed(&e))?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; PIECE];
    loop {
        if !go_on() {
            return Ok(None);
        }
        let read = file.read(&mut piece).map_err(|e| failed(&e))?;
        if read == 0 {
            let bytes = hasher.finalize().into();
            return Ok(Some(Digest { algorithm: Algorithm::Sha256, bytes }));
        }
        hasher.update(&piece[..read]);
    }
}

/// A SHA-256 as S3 writes it; that of a multipart upload is of its parts, and tells nothing.
fn digest_of_base64(text: &str) -> Option<Digest> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok()?;
    Some(Digest { algorithm: Algorithm::Sha256, bytes: bytes.try_into().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_reads_back_as_it_was_written() {
        for url in [
            "s3://bucket/base/C.12580_base.Rdata",
            "https://example.org/a.Rdata?x=1",
            "https://example.org/me@home/a.Rdata?to=me@home",
            "github://CIPHER-Epi/jheem-simulations@ryan-white-msa-v1.0.0/C.12580_base.Rdata",
            "file:mirror/a.Rdata",
            "http://127.0.0.1:8000/a",
        ] {
            assert_eq!(Location::parse(url).unwrap().to_string(), url);
        }
    }

    #[test]
    fn a_url_that_is_no_source_says_what_to_write() {
        for (url, hint) in [
            ("s3://bucket", "s3://BUCKET/KEY"),
            ("github://owner/repository/asset", "@TAG/"),
            ("http://example.org/a", "https://"),
            ("http://127.example.org/a", "https://"),
            ("ftp://example.org/a", "s3://"),
            ("https://me:s3cret@example.org/a", "from the environment"),
            ("https://token@example.org?a", "from the environment"),
            ("http://me:s3cret@localhost/a", "from the environment"),
            ("s3://me:s3cret@bucket/a", "from the environment"),
        ] {
            assert!(Location::parse(url).unwrap_err().contains(hint), "{url}");
        }
    }
}
