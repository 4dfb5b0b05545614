//! One bucket: objects read, written, listed and looked at, many requests at once.
//!
//! Blocks until all is answered. Knows what S3 calls things, and nothing of what they are for.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumMode, MetadataDirective};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures_util::stream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

pub mod mending;

use super::Connected;
use super::failure::Request;
use crate::costs::Requests;
use crate::error::{Error, Result};
use crate::percent;

/// How many requests are in flight at once.
const IN_FLIGHT: usize = 64;

/// A file above this size is read while it is sent, not before.
const STREAMED_ABOVE: u64 = 1 << 20;

mod multipart;

/// A bucket, through one client.
pub struct Bucket {
    pub(super) aws: Arc<Connected>,
    pub(super) client: Client,
    pub(super) name: String,
    /// How many parts of large objects may be in memory, over all objects.
    parts: Semaphore,
    /// Set when no more is to be begun: large objects end at their next part.
    given_up: AtomicBool,
}

/// What readers are told of an object beside its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    pub content_type: Option<String>,
    pub content_encoding: Option<String>,
    pub cache_control: Option<String>,
    pub metadata: BTreeMap<String, String>,
}

/// Under which condition an object is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    Anything,
    /// That nothing stands there.
    Nothing,
    /// That this version stands there.
    Version(String),
}

/// An object to be written.
pub struct Upload {
    pub key: String,
    pub body: Body,
    pub headers: Headers,
    pub expect: Expect,
}

pub enum Body {
    Bytes(Vec<u8>),
    File(PathBuf),
    /// The bytes that stand there stay; its headers are replaced. Expects a version, if any.
    Standing,
    /// The bytes that stand under another key, in this version if it is known. Expects nothing.
    Copy {
        key: String,
        version: Option<String>,
    },
}

/// What came of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// It stands, with this version (an ETag).
    Done(String),
    /// What was expected there is not there.
    Unexpected,
}

/// An object that was read.
pub struct Got {
    pub bytes: Vec<u8>,
    pub version: String,
}

impl Headers {
    /// As the service tells them.
    fn of(
        content_type: Option<&str>,
        content_encoding: Option<&str>,
        cache_control: Option<&str>,
        metadata: Option<&HashMap<String, String>>,
    ) -> Headers {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let metadata = metadata.into_iter().flatten();
        Headers {
            content_type: text(content_type),
            content_encoding: text(content_encoding),
            cache_control: text(cache_control),
            metadata: metadata.map(|(name, value)| (name.clone(), value.clone())).collect(),
        }
    }
}

/// The name of a version; a bucket that keeps none says that it is `null`.
fn kept_as(version: Option<&str>) -> Option<String> {
    version.filter(|version| *version != "null").map(str::to_owned)
}

/// What is known of an object without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub version: String,
    pub size: u64,
    pub headers: Headers,
    /// The digest of its bytes, where it was written with one.
    pub sha256: Option<String>,
    /// By which this version is read after others took its place, where the bucket keeps them.
    pub kept_as: Option<String>,
}

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub key: String,
    pub version: String,
    pub size: u64,
    /// Seconds since 1970, by the clock of the service.
    pub modified: i64,
}

/// The requests that it takes to write a file of this size, if all goes well.
pub fn requests_to_put(size: u64) -> Requests {
    multipart::requests(size)
}

impl Bucket {
    pub fn new(aws: Arc<Connected>, name: &str) -> Bucket {
        let mut config =
            aws_sdk_s3::config::Builder::from(&aws.config).interceptor(aws.tally.clone());
        // Emulators and stores of one's own are reached by an address that no bucket's name can lead.
        let own = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
        if aws.config.endpoint_url().is_some() || own.iter().any(|n| std::env::var_os(n).is_some())
        {
            config = config.force_path_style(true);
        }
        let client = Client::from_conf(config.build());
        let (parts, given_up) = (Semaphore::new(multipart::IN_MEMORY), AtomicBool::new(false));
        Bucket { aws, client, name: name.to_owned(), parts, given_up }
    }

    pub(super) fn about(&self, key: &str) -> String {
        format!("`s3://{}/{key}`", self.name)
    }

    /// Reads a small object whole; none if it is not there.
    pub fn get(&self, key: &str) -> Result<Option<Got>> {
        self.aws.wait(self.get_one(key))?
    }

    /// Reads small objects whole, in the order of the keys.
    pub fn get_all(&self, keys: &[String]) -> Result<Vec<Option<Got>>> {
        self.each(keys, |key| self.get_one(key))
    }

    async fn get_one(&self, key: &str) -> Result<Option<Got>> {
        let read = self.read_one(key).await?;
        Ok(read.map(|whole| Got { bytes: whole.bytes, version: whole.standing.version }))
    }

    /// Looks at objects without reading them, in the order of the keys.
    pub fn look(&self, keys: &[String]) -> Result<Vec<Option<Standing>>> {
        self.each(keys, |key| self.look_at(key))
    }

    async fn look_at(&self, key: &str) -> Result<Option<Standing>> {
        let request = Request::new("s3:GetObject", self.about(key));
        let head = self.client.head_object().bucket(&self.name).key(key);
        let found = match head.checksum_mode(ChecksumMode::Enabled).send().await {
            Err(SdkError::ServiceError(e)) if e.err().is_not_found() => return Ok(None),
            sent => sent.map_err(|error| request.failed(&error))?,
        };
        Ok(Some(Standing {
            version: found.e_tag().unwrap_or_default().to_owned(),
            size: u64::try_from(found.content_length().unwrap_or_default()).unwrap_or_default(),
            headers: Headers::of(
                found.content_type(),
                found.content_encoding(),
                found.cache_control(),
                found.metadata(),
            ),
            sha256: found.checksum_sha256().map(str::to_owned),
            kept_as: kept_as(found.version_id()),
        }))
    }

    /// Reads an object from a byte on, as it comes; an old version by its name.
    ///
    /// With an ETag it is refused if another object stands there by now.
    pub fn read_from(
        &self,
        key: &str,
        from: u64,
        version: Option<&str>,
        same: Option<&str>,
    ) -> Result<Reading> {
        let request = Request::new("s3:GetObject", self.about(key));
        let get = self.client.get_object().bucket(&self.name).key(key);
        let get = get.set_version_id(version.map(str::to_owned));
        let get = get.set_if_match(same.map(str::to_owned));
        let range = (from > 0).then(|| format!("bytes={from}-"));
        let sent = self.aws.wait(get.set_range(range).send())?;
        let got = sent.map_err(|error| request.failed(&error))?;
        let length = got.content_length().and_then(|length| u64::try_from(length).ok());
        let (aws, body) = (Arc::clone(&self.aws), got.body);
        Ok(Reading { aws, body, piece: Bytes::new(), length })
    }

    /// Makes one request for each key, many at once; the answers come in the order of the keys.
    fn each<'a, T, F>(&'a self, keys: &'a [String], ask: impl Fn(&'a str) -> F) -> Result<Vec<T>>
    where
        F: Future<Output = Result<T>>,
    {
        let asked = stream::iter(keys).map(|key| ask(key)).buffered(IN_FLIGHT);
        self.aws.wait(asked.try_collect())?
    }

    /// Writes one object.
    pub fn put(&self, upload: Upload) -> Result<Put> {
        self.aws.wait(self.put_one(upload))?
    }

    /// Writes objects, many at once, and tells of each one by its index as it is answered.
    ///
    /// `tick` is called some times a second meanwhile; if it or a write fails, no more are begun, and
    /// those in flight are waited for.
    pub fn put_all(
        &self,
        uploads: impl Iterator<Item = Upload>,
        done: &mut dyn FnMut(usize, Put) -> Result<()>,
        tick: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        self.given_up.store(false, Ordering::Relaxed);
        let tick = &mut || tick().inspect_err(|_| self.given_up.store(true, Ordering::Relaxed));
        let put = |(index, upload)| async move { Ok((index, self.put_one(upload).await?)) };
        let done = &mut |(index, put)| done(index, put);
        self.aws.each_answer(IN_FLIGHT, uploads.enumerate(), put, done, tick)
    }

    async fn put_one(&self, upload: Upload) -> Result<Put> {
        let Upload { key, body, headers, expect } = upload;
        let (sha256, body) = match body {
            Body::Bytes(bytes) => (Sha256::digest(&bytes), ByteStream::from(bytes)),
            Body::File(path) => {
                let cannot = |error: io::Error| Error::io("read", &path, &error);
                let size = path.metadata().map_err(cannot)?.len();
                if size > multipart::ABOVE {
                    return self.put_parts(&key, &path, size, headers, expect).await;
                }
                if size > STREAMED_ABOVE {
                    let sha256 = sha256_of(&path).map_err(cannot)?;
                    let body = ByteStream::from_path(&path).await;
                    (sha256, body.map_err(|error| cannot(io::Error::other(error)))?)
                } else {
                    let bytes = read(&path)?;
                    (Sha256::digest(&bytes), ByteStream::from(bytes))
                }
            }
            Body::Standing => {
                // Onto itself, which is how headers are replaced; what is expected is what is copied.
                let version = match expect {
                    Expect::Version(version) => Some(version),
                    Expect::Anything | Expect::Nothing => None,
                };
                return self.copy(&key, headers, &key, version, Expect::Anything).await;
            }
            Body::Copy { key: from, version } => {
                return self.copy(&key, headers, &from, version, expect).await;
            }
        };
        let request = Request::new("s3:PutObject", self.about(&key));
        let put = self.client.put_object().bucket(&self.name).key(&key);
        let put = put
            .checksum_sha256(BASE64.encode(sha256))
            .set_content_type(headers.content_type)
            .set_content_encoding(headers.content_encoding)
            .set_cache_control(headers.cache_control)
            .set_metadata(Some(metadata(headers.metadata)));
        let put = match &expect {
            Expect::Anything => put,
            Expect::Nothing => put.if_none_match("*"),
            Expect::Version(version) => put.if_match(version),
        };
        match put.body(body).send().await {
            Ok(done) => Ok(Put::Done(done.e_tag().unwrap_or_default().to_owned())),
            Err(SdkError::ServiceError(refused))
                // 404: a version was expected where nothing is.
                if matches!((refused.raw().status().as_u16(), &expect),
                    (409 | 412, _) | (404, Expect::Version(_)))
                    && refused.err().code() != Some("NoSuchBucket") =>
            {
                Ok(Put::Unexpected)
            }
            Err(error) => Err(request.failed(&error)),
        }
    }

    /// An object is copied, with other headers, if it is still this version of it.
    async fn copy(
        &self,
        key: &str,
        headers: Headers,
        from: &str,
        version: Option<String>,
        expect: Expect,
    ) -> Result<Put> {
        let request = Request::new("s3:PutObject", self.about(key));
        let source = format!("{}/{}", self.name, percent::path(from));
        let copy = self.client.copy_object().bucket(&self.name).key(key).copy_source(source);
        let copy = copy.set_copy_source_if_match(version);
        let copy = match expect {
            Expect::Anything => copy,
            Expect::Nothing => copy.if_none_match("*"),
            Expect::Version(version) => copy.if_match(version),
        };
        let copied = copy
            .metadata_directive(MetadataDirective::Replace)
            .set_content_type(headers.content_type)
            .set_content_encoding(headers.content_encoding)
            .set_cache_control(headers.cache_control)
            .set_metadata(Some(metadata(headers.metadata)))
            .send()
            .await;
        match copied {
            Ok(copied) => {
                let result = copied.copy_object_result().and_then(|result| result.e_tag());
                Ok(Put::Done(quoted(result.unwrap_or_default())))
            }
            Err(SdkError::ServiceError(refused))
                if matches!(refused.raw().status().as_u16(), 404 | 409 | 412)
                    && refused.err().code() != Some("NoSuchBucket") =>
            {
                Ok(Put::Unexpected)
            }
            Err(error) => Err(request.failed(&error)),
        }
    }

    /// Everything whose key begins so, in order: a request for each thousand, and `tick` after it.
    pub fn list(&self, prefix: &str, tick: &mut dyn FnMut() -> Result<()>) -> Result<Vec<Listed>> {
        let request = Request::new("s3:ListBucket", self.about(prefix));
        let list = self.client.list_objects_v2().bucket(&self.name).prefix(prefix);
        let mut pages = list.into_paginator().send();
        let mut all = Vec::new();
        while let Some(page) = self.aws.wait(pages.next())? {
            let page = page.map_err(|error| request.failed(&error))?;
            all.extend(page.contents().iter().map(|object| Listed {
                key: object.key().unwrap_or_default().to_owned(),
                version: object.e_tag().unwrap_or_default().to_owned(),
                size: u64::try_from(object.size().unwrap_or_default()).unwrap_or_default(),
                modified: object.last_modified().map_or(i64::MAX, |time| time.secs()),
            }));
            tick()?;
        }
        Ok(all)
    }

    /// Removes an object; one that is not there is no error.
    pub fn remove(&self, key: &str) -> Result<()> {
        let request = Request::new("s3:DeleteObject", self.about(key));
        let removed = self.client.delete_object().bucket(&self.name).key(key).send();
        self.aws.wait(removed)?.map_err(|error| request.failed(&error))?;
        Ok(())
    }
}

/// The bytes of an object as they come.
pub struct Reading {
    aws: Arc<Connected>,
    body: ByteStream,
    piece: Bytes,
    /// How many bytes it is, where the service says it.
    pub length: Option<u64>,
}

impl Read for Reading {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while self.piece.is_empty() {
            match self.aws.wait(self.body.try_next()).map_err(std::io::Error::other)? {
                Ok(Some(piece)) => self.piece = piece,
                Ok(None) => return Ok(0),
                Err(error) => return Err(std::io::Error::other(error)),
            }
        }
        let size = self.piece.len().min(into.len());
        into[..size].copy_from_slice(&self.piece.split_to(size));
        Ok(size)
    }
}

/// An ETag as listings have it: some stores leave out its quotes where they answer a copy.
fn quoted(etag: &str) -> String {
    match etag.starts_with('"') || etag.is_empty() {
        true => etag.to_owned(),
        false => format!("\"{etag}\""),
    }
}

fn sha256_of(path: &Path) -> io::Result<sha2::digest::Output<Sha256>> {
    let mut hasher = Sha256::new();
    let mut file = BufReader::with_capacity(1 << 16, File::open(path)?);
    loop {
        let bytes = file.fill_buf()?;
        if bytes.is_empty() {
            return Ok(hasher.finalize());
        }
        hasher.update(bytes);
        let read = bytes.len();
        file.consume(read);
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| Error::io("read", path, &error))
}

/// What S3 takes of user metadata: names and values together.
pub const MOST_METADATA: usize = 2048;

/// User metadata as it goes over the wire.
fn metadata(plain: BTreeMap<String, String>) -> HashMap<String, String> {
    plain.into_iter().map(|(name, value)| (name, encoded_words(&value))).collect()
}

/// How much of what S3 takes these need.
pub fn metadata_size(plain: &BTreeMap<String, String>) -> usize {
    plain.iter().map(|(name, value)| name.len() + encoded_words(value).len()).sum()
}

/// A value as a header can hold it: one that is not plain ASCII in the encoded words of RFC 2047,
/// which is how S3 itself shows it to readers.
fn encoded_words(value: &str) -> String {
    let plain = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if plain && value.trim() == value && !value.contains("=?") {
        return value.to_owned();
    }
    // A word has at most 75 characters: 60 of them hold 45 bytes.
    let mut words = vec![String::new()];
    for letter in value.chars() {
        match words.last_mut() {
            Some(word) if word.len() + letter.len_utf8() <= 45 => word.push(letter),
            _ => words.push(letter.to_string()),
        }
    }
    let words = words.into_iter().map(|word| format!("=?UTF-8?B?{}?=", BASE64.encode(word)));
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_that_a_header_cannot_hold_is_written_in_encoded_words() {
        for plain in ["", "C.12580", "Atlanta, GA (a=b)"] {
            assert_eq!(encoded_words(plain), plain);
        }
        assert_eq!(encoded_words("São Paulo"), "=?UTF-8?B?U8OjbyBQYXVsbw==?=");
        assert_eq!(encoded_words(" a"), "=?UTF-8?B?IGE=?=");
        assert_eq!(encoded_words("=?a?="), "=?UTF-8?B?PT9hPz0=?=");
        let long = encoded_words(&"北京".repeat(20));
        assert!(long.split(' ').all(|word| word.len() <= 75), "{long}");
        assert_eq!(long.split(' ').count(), 3);
        let one = BTreeMap::from([("city".to_owned(), "São Paulo".to_owned())]);
        assert_eq!(metadata_size(&one), 4 + 28);
    }
}
