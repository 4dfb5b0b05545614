//! What mending asks of a bucket: objects read whole, and removed under a condition.
//!
//! Knows nothing of what is mended.

use aws_sdk_s3::error::{ProvideErrorMetadata as _, SdkError};

use super::{Bucket, Headers, IN_FLIGHT, Standing, kept_as};
use crate::aws::failure::Request;
use crate::error::{Error, Result};

/// An object with all that is known of it.
pub struct Whole {
    pub bytes: Vec<u8>,
    pub standing: Standing,
}

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
    /// `tick` is called every few seconds meanwhile.
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
        let body = got.body.collect().await.map_err(|error| {
            Error::environment(format!("{} was cut off while it was read", request.about))
                .because(error)
                .hint("run it again")
        })?;
        let bytes = body.to_vec();
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
