//! What mending asks of a bucket: objects read whole, and removed under a condition.
//!
//! Knows nothing of what is mended.

use aws_sdk_s3::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_s3::primitives::ByteStream;

use super::{Bucket, Headers, IN_FLIGHT, Standing, kept_as};
use crate::aws::failure::Request;
use crate::error::{Error, Result};

/// An object with all that is known of it.
pub struct Whole {
    pub bytes: Vec<u8>,
    pub standing: Standing,
}

/// An object of which a version that was replaced or removed is looked for.
pub struct Replaced {
    pub key: String,
    /// The ETag that it had, where it is known.
    pub version: Option<String>,
    pub size: u64,
}

/// How many versions of a key are looked through, the latest first.
const VERSIONS: i32 = 1000;
/// How many old versions are in memory at once, if none of them is large.
const OLD_IN_FLIGHT: usize = 8;

/// What came of the removal of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// Nothing stands there now.
    Gone,
    /// Another version stands there, and stays.
    Unexpected,
}

impl Bucket {
    /// Reads objects whole, many at once, and tells of each one by its index as it comes; none for one that is not there.
    ///
    /// `tick` is called some times a second meanwhile.
    pub fn read_all(
        &self,
        keys: &[String],
        done: &mut dyn FnMut(usize, Option<Whole>) -> Result<()>,
        tick: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        let read = |(index, key): (usize, &String)| {
            let key = key.clone();
            async move { Ok((index, self.read_one(&key).await?)) }
        };
        let done = &mut |(index, whole)| done(index, whole);
        self.aws.each_answer(IN_FLIGHT, keys.iter().enumerate(), read, done, tick)
    }

    /// Reads versions that were replaced or removed, as far as the bucket keeps them, and tells of each one by its index.
    ///
    /// `is` tells whether bytes are those of the object at this index; none where no version has them.
    /// All are of so many bytes at most: that decides how many are in memory at once.
    pub fn read_replaced(
        &self,
        objects: &[Replaced],
        largest: u64,
        is: &dyn Fn(usize, &[u8]) -> bool,
        done: &mut dyn FnMut(usize, Option<Vec<u8>>) -> Result<()>,
        tick: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        let read = |index: usize| async move {
            for version in self.versions(&objects[index]).await? {
                let bytes = self.read_version(&objects[index].key, &version).await?;
                if bytes.as_ref().is_some_and(|bytes| is(index, bytes)) {
                    return Ok((index, bytes));
                }
            }
            Ok((index, None))
        };
        let done = &mut |(index, bytes)| done(index, bytes);
        let in_flight = if largest > super::multipart::ABOVE { 1 } else { OLD_IN_FLIGHT };
        self.aws.each_answer(in_flight, 0..objects.len(), read, done, tick)
    }

    /// The names of the versions that may be this one: of its size, those with its ETag first.
    async fn versions(&self, object: &Replaced) -> Result<Vec<String>> {
        let key = &object.key;
        let request = Request::new("s3:ListBucketVersions", self.about(key));
        let list = self.client.list_object_versions().bucket(&self.name).prefix(key);
        let found = list.max_keys(VERSIONS).send().await;
        let found = found.map_err(|error| request.failed(&error))?;
        // Longer keys begin so, too.
        let of_key = found.versions().iter().filter(|version| version.key() == Some(key));
        let sized =
            of_key.filter(|v| v.size().and_then(|s| u64::try_from(s).ok()) == Some(object.size));
        let (same, others): (Vec<_>, Vec<_>) = sized
            .partition(|v| object.version.as_deref().is_some_and(|tag| v.e_tag() == Some(tag)));
        let all = same.into_iter().chain(others);
        Ok(all.filter_map(|version| version.version_id().map(str::to_owned)).collect())
    }

    /// The bytes of one version; none if it is there no more.
    async fn read_version(&self, key: &str, version: &str) -> Result<Option<Vec<u8>>> {
        let request = Request::new("s3:GetObjectVersion", self.about(key));
        let get = self.client.get_object().bucket(&self.name).key(key).version_id(version);
        match get.send().await {
            Err(SdkError::ServiceError(e)) if e.raw().status().as_u16() == 404 => Ok(None),
            sent => {
                let got = sent.map_err(|error| request.failed(&error))?;
                Ok(Some(whole(got.body, &request).await?))
            }
        }
    }

    pub(super) async fn read_one(&self, key: &str) -> Result<Option<Whole>> {
        let request = Request::new("s3:GetObject", self.about(key));
        let sent = self.client.get_object().bucket(&self.name).key(key).send().await;
        let got = match sent {
            Err(SdkError::ServiceError(e)) if e.err().is_no_such_key() => return Ok(None),
            sent => sent.map_err(|error| request.failed(&error))?,
        };
        let headers = Headers::of(
            got.content_type(),
            got.content_encoding(),
            got.cache_control(),
            got.metadata(),
        );
        let (version, kept_as) =
            (got.e_tag().unwrap_or_default().to_owned(), kept_as(got.version_id()));
        let sha256 = got.checksum_sha256().map(str::to_owned);
        let bytes = whole(got.body, &request).await?;
        let size = bytes.len() as u64;
        Ok(Some(Whole { bytes, standing: Standing { version, size, headers, sha256, kept_as } }))
    }

    /// Removes objects, many at once, each only if this version of it stands there; tells of each by its index.
    pub fn remove_all(
        &self,
        objects: &[(String, String)],
        done: &mut dyn FnMut(usize, Removed) -> Result<()>,
        tick: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        let remove = |(index, (key, version)): (usize, &(String, String))| {
            let (key, version) = (key.clone(), version.clone());
            async move { Ok((index, self.remove_version(&key, &version).await?)) }
        };
        let done = &mut |(index, removed)| done(index, removed);
        self.aws.each_answer(IN_FLIGHT, objects.iter().enumerate(), remove, done, tick)
    }

    async fn remove_version(&self, key: &str, version: &str) -> Result<Removed> {
        let request = Request::new("s3:DeleteObject", self.about(key));
        let remove = self.client.delete_object().bucket(&self.name).key(key).if_match(version);
        match remove.send().await {
            Ok(_) => Ok(Removed::Gone),
            Err(SdkError::ServiceError(refused))
                if refused.err().code() != Some("NoSuchBucket") =>
            {
                match refused.raw().status().as_u16() {
                    404 => Ok(Removed::Gone),
                    409 | 412 => Ok(Removed::Unexpected),
                    _ => Err(request.failed(&SdkError::ServiceError(refused))),
                }
            }
            Err(error) => Err(request.failed(&error)),
        }
    }
}

async fn whole(body: ByteStream, request: &Request) -> Result<Vec<u8>> {
    let body = body.collect().await.map_err(|error| {
        Error::environment(format!("{} was cut off while it was read", request.about))
            .because(error)
            .hint("run it again")
    })?;
    Ok(body.to_vec())
}
