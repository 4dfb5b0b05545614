//! Large objects, sent in parts that are read from the disk one by one.
//!
//! Each part carries its digest, and the whole comes to stand at once, under the same conditions as a small one.
//! What fails is aborted; what a killed jheem left of the same key is aborted before it is begun anew.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::Ordering;

use aws_sdk_s3::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use base64::Engine as _;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use sha2::{Digest as _, Sha256};

use super::{BASE64, Bucket, Expect, Headers, Put, metadata};
use crate::aws::failure::Request;
use crate::costs::Requests;
use crate::error::{Error, Result};
use crate::moments::{self, Moment};

/// A file above this size is sent in parts.
pub(super) const ABOVE: u64 = 64 << 20;
/// How large a part is, unless there would be too many.
const PART: u64 = 16 << 20;
/// How many parts an object has at most.
const MOST: u64 = 10_000;
/// How many parts of one object are in flight at once.
const IN_FLIGHT: usize = 4;
/// How many parts are in memory at once, over all objects.
pub(super) const IN_MEMORY: usize = 8;

/// What every request about one upload names.
struct Uploading<'a> {
    key: &'a str,
    id: String,
}

/// The size of each part but the last.
fn part_of(size: u64) -> u64 {
    PART.max(size.div_ceil(MOST))
}

/// The requests that it takes to write a file of this size, if all goes well.
pub(super) fn requests(size: u64) -> Requests {
    match size > ABOVE {
        false => Requests { puts: 1, ..Requests::default() },
        // A look, a listing of what was left, the beginning, the parts and the end.
        true => Requests {
            puts: 2 + size.div_ceil(part_of(size)),
            gets: 1,
            lists: 1,
            ..Requests::default()
        },
    }
}

impl Bucket {
    pub(super) async fn put_parts(
        &self,
        key: &str,
        path: &Path,
        size: u64,
        headers: Headers,
        expect: Expect,
    ) -> Result<Put> {
        // The condition is checked in the end; looking first spares the way there.
        let found = self.look_at(key).await?;
        let hopeless = match (&expect, &found) {
            (Expect::Nothing, found) => found.is_some(),
            (Expect::Version(version), found) => {
                found.as_ref().is_none_or(|found| found.version != *version)
            }
            (Expect::Anything, _) => false,
        };
        if hopeless {
            return Ok(Put::Unexpected);
        }
        self.abort_left(key).await;
        let request = Request::new("s3:PutObject", self.about(key));
        let create = self.client.create_multipart_upload().bucket(&self.name).key(key);
        let created = create
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .set_content_type(headers.content_type)
            .set_content_encoding(headers.content_encoding)
            .set_cache_control(headers.cache_control)
            .set_metadata(Some(metadata(headers.metadata)))
            .send()
            .await
            .map_err(|error| request.failed(&error))?;
        let id = created.upload_id().unwrap_or_default().to_owned();
        let upload = Uploading { key, id };
        let put = self.send(&upload, path, size, &expect, &request).await;
        if !matches!(put, Ok(Put::Done(_))) {
            self.abort(key, &upload.id).await;
        }
        put
    }

    async fn send(
        &self,
        upload: &Uploading<'_>,
        path: &Path,
        size: u64,
        expect: &Expect,
        request: &Request,
    ) -> Result<Put> {
        let file = File::open(path).map_err(|error| Error::io("read", path, &error))?;
        let part = part_of(size);
        let send = |index: u64| {
            let (start, length) = (index * part, part.min(size - index * part));
            let (file, number) = (&file, i32::try_from(index + 1).unwrap_or(i32::MAX));
            async move {
                // Never closed, so that a permit always comes.
                let _permit = self.parts.acquire().await.ok();
                if self.given_up.load(Ordering::Relaxed) {
                    return Err(Error::environment(format!("{} was given up", request.about)));
                }
                let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
                file.read_exact_at(&mut bytes, start)
                    .map_err(|error| Error::io("read", path, &error))?;
                self.send_part(upload, number, bytes, request).await
            }
        };
        let sent = stream::iter((0..size.div_ceil(part)).map(send)).buffered(IN_FLIGHT);
        let parts: Vec<CompletedPart> = sent.try_collect().await?;
        let all = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let complete = self.client.complete_multipart_upload().bucket(&self.name).key(upload.key);
        let complete = complete.upload_id(&upload.id).multipart_upload(all);
        let complete = match expect {
            Expect::Anything => complete,
            Expect::Nothing => complete.if_none_match("*"),
            Expect::Version(version) => complete.if_match(version),
        };
        match complete.send().await {
            Ok(done) => Ok(Put::Done(done.e_tag().unwrap_or_default().to_owned())),
            // 404: asked again after its answer was lost, it is no upload any more; or its version is gone.
            Err(SdkError::ServiceError(refused))
                if matches!(refused.raw().status().as_u16(), 404 | 409 | 412)
                    && refused.err().code() != Some("NoSuchBucket") =>
            {
                Ok(Put::Unexpected)
            }
            Err(error) => Err(request.failed(&error)),
        }
    }

    async fn send_part(
        &self,
        upload: &Uploading<'_>,
        number: i32,
        bytes: Vec<u8>,
        request: &Request,
    ) -> Result<CompletedPart> {
        let sha256 = BASE64.encode(Sha256::digest(&bytes));
        let send = self.client.upload_part().bucket(&self.name).key(upload.key);
        let send = send.upload_id(&upload.id).part_number(number).checksum_sha256(&sha256);
        let sent = send.body(ByteStream::from(bytes)).send().await;
        let sent = sent.map_err(|error| request.failed(&error))?;
        moments::pass(Moment::Part);
        let tag = sent.e_tag().unwrap_or_default();
        Ok(CompletedPart::builder().part_number(number).e_tag(tag).checksum_sha256(sha256).build())
    }

    /// Aborts an upload. What stays is aborted by the next publish of its key, or by the bucket's own rules.
    async fn abort(&self, key: &str, id: &str) {
        let abort = self.client.abort_multipart_upload().bucket(&self.name).key(key);
        abort.upload_id(id).send().await.ok();
    }

    /// Aborts what was left of earlier uploads of this very key; who may not list them leaves them.
    async fn abort_left(&self, key: &str) {
        let list = self.client.list_multipart_uploads().bucket(&self.name).prefix(key);
        let Ok(found) = list.send().await else { return };
        for upload in found.uploads() {
            if let (Some(found), Some(id)) = (upload.key(), upload.upload_id())
                && found == key
            {
                self.abort(key, id).await;
            }
        }
    }
}
