//! What can be asked of a bucket or a table without changing it, and the making of those that are missing.
//!
//! A write is tried under a condition that cannot be met: the service refuses it for that, or for want of permission.
//! Knows nothing of what they are for.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::client::Waiters as _;
use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, DeleteRequest, KeySchemaElement, KeyType,
    ScalarAttributeType, WriteRequest,
};
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::date_time::Format;

use super::dynamodb::{AttributeValue, Row, Table};
use super::failure::Request;
use super::s3::Bucket;
use crate::error::{Error, Result};

/// A version that no object has.
const NO_VERSION: &str = "\"00000000000000000000000000000000\"";
/// The value of a key under which nothing is ever written.
const NO_ROW: &str = "jheem-doctor";
/// How long a table may take to be made.
const MAKING: Duration = Duration::from_secs(300);

/// What is known of a bucket from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub exists: bool,
    /// How far the service's clock is ahead of this machine's, in seconds, where it says what it shows.
    pub ahead: Option<i64>,
}

impl Bucket {
    /// Asks whether the bucket is there: a listing of at most one key.
    pub fn exists(&self) -> Result<Seen> {
        let request = Request::new("s3:ListBucket", format!("the bucket `{}`", self.name));
        let date = Date::default();
        let list = self.client.list_objects_v2().bucket(&self.name).max_keys(1);
        let asked = list.customize().interceptor(date.clone()).send();
        let exists = match self.aws.wait(asked)? {
            Ok(_) => true,
            Err(SdkError::ServiceError(refused))
                if refused.err().code() == Some("NoSuchBucket") =>
            {
                false
            }
            Err(error) => return Err(request.failed(&error)),
        };
        Ok(Seen { exists, ahead: date.ahead() })
    }

    /// Tries to write and to remove under this key, where nothing may stand: neither can succeed.
    pub fn try_to_write(&self, key: &str) -> Result<()> {
        let request = Request::new("s3:PutObject", self.about(key));
        let put = self.client.put_object().bucket(&self.name).key(key).if_match(NO_VERSION);
        let put = put.body(ByteStream::from_static(b"nothing"));
        match self.aws.wait(put.send())? {
            Err(SdkError::ServiceError(refused))
                if matches!(refused.raw().status().as_u16(), 404 | 409 | 412)
                    && refused.err().code() != Some("NoSuchBucket") =>
            {
                Ok(())
            }
            Err(error) => Err(request.failed(&error)),
            Ok(_) => Err(Error::environment(format!(
                "the server of {} heeds no conditions, so that what others put there would be written over",
                request.about
            ))
            .hint("use a store that heeds `If-Match` and `If-None-Match`, as Amazon's does; and remove that object")),
        }
    }

    pub fn try_to_remove(&self, key: &str) -> Result<()> {
        let request = Request::new("s3:DeleteObject", self.about(key));
        let remove = self.client.delete_object().bucket(&self.name).key(key).if_match(NO_VERSION);
        match self.aws.wait(remove.send())? {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(refused))
                if matches!(refused.raw().status().as_u16(), 404 | 409 | 412)
                    && refused.err().code() != Some("NoSuchBucket") =>
            {
                Ok(())
            }
            Err(error) => Err(request.failed(&error)),
        }
    }

    /// Makes the bucket, in the region of the configuration.
    pub fn make(&self) -> Result<()> {
        let request = Request::new("s3:CreateBucket", format!("the bucket `{}`", self.name));
        let region = self.aws.region();
        let elsewhere = (region != "us-east-1").then(|| {
            let place = BucketLocationConstraint::from(region);
            CreateBucketConfiguration::builder().location_constraint(place).build()
        });
        let make = self.client.create_bucket().bucket(&self.name);
        let made = make.set_create_bucket_configuration(elsewhere).send();
        self.aws.wait(made)?.map(drop).map_err(|error| request.failed(&error))
    }
}

impl Table {
    /// Names and types of the table's key, the hash first; none if there is no such table.
    pub fn key(&self) -> Result<Option<Vec<(String, char)>>> {
        let request = Request::new("dynamodb:DescribeTable", self.about());
        let asked = self.client.describe_table().table_name(&self.name).send();
        let said = match self.aws.wait(asked)? {
            Err(SdkError::ServiceError(e)) if e.err().is_resource_not_found_exception() => {
                return Ok(None);
            }
            said => said.map_err(|error| request.failed(&error))?,
        };
        let table = said
            .table()
            .cloned()
            .unwrap_or_else(|| aws_sdk_dynamodb::types::TableDescription::builder().build());
        let kind = |name: &str| {
            let defined = table.attribute_definitions().iter();
            let defined = defined.filter(|d| d.attribute_name() == name);
            let kind = defined.map(|d| d.attribute_type().as_str()).next().unwrap_or("S");
            kind.chars().next().unwrap_or('S')
        };
        let mut parts: Vec<&KeySchemaElement> = table.key_schema().iter().collect();
        parts.sort_by_key(|part| *part.key_type() != KeyType::Hash);
        let named = parts.iter().map(|p| (p.attribute_name().to_owned(), kind(p.attribute_name())));
        Ok(Some(named.collect()))
    }

    /// Asks for a partition of this key that holds nothing; whether it does.
    pub fn try_to_query(&self, key: &[(String, char)]) -> Result<bool> {
        let Some((name, kind)) = key.first() else { return Ok(true) };
        Ok(self.query_all(name, None, &[nothing(*kind)])?.concat().is_empty())
    }

    /// Tries to write a row under a condition that cannot be met.
    pub fn try_to_put(&self, key: &[(String, char)]) -> Result<()> {
        let request = Request::new("dynamodb:PutItem", self.about());
        let Some((hash, _)) = key.first() else { return Ok(()) };
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(no_row(key)))
            .condition_expression("attribute_exists(#hash) AND attribute_not_exists(#hash)")
            .expression_attribute_names("#hash", hash);
        match self.aws.wait(put.send())? {
            Err(SdkError::ServiceError(e)) if e.err().is_conditional_check_failed_exception() => {
                Ok(())
            }
            Ok(_) => Err(Error::environment(format!("{} heeds no conditions", self.about()))),
            Err(error) => Err(self.explained(request.failed(&error))),
        }
    }

    /// Removes, in a request of many, a row that is not there.
    pub fn try_to_write_together(&self, key: &[(String, char)]) -> Result<()> {
        let request = Request::new("dynamodb:BatchWriteItem", self.about());
        let remove = DeleteRequest::builder().set_key(Some(no_row(key))).build();
        let remove = remove.map_err(|error| Error::bug("a row without a key").because(error))?;
        let remove = WriteRequest::builder().delete_request(remove).build();
        let asked = self.client.batch_write_item().request_items(&self.name, vec![remove]).send();
        let asked = self.aws.wait(asked)?;
        asked.map(drop).map_err(|error| self.explained(request.failed(&error)))
    }

    /// Makes the table with this key, paid by request, and waits until it can be used.
    pub fn make(&self, key: &[(String, char)]) -> Result<()> {
        let request = Request::new("dynamodb:CreateTable", self.about());
        let wrong = |error| Error::bug("a table without a key").because(error);
        let mut make = self
            .client
            .create_table()
            .table_name(&self.name)
            .billing_mode(BillingMode::PayPerRequest);
        for (index, (name, kind)) in key.iter().enumerate() {
            let part = if index == 0 { KeyType::Hash } else { KeyType::Range };
            let part = KeySchemaElement::builder().attribute_name(name).key_type(part);
            let kind = match kind {
                'N' => ScalarAttributeType::N,
                _ => ScalarAttributeType::S,
            };
            let named = AttributeDefinition::builder().attribute_name(name).attribute_type(kind);
            make = make
                .key_schema(part.build().map_err(wrong)?)
                .attribute_definitions(named.build().map_err(wrong)?);
        }
        self.aws.wait(async {
            make.send().await.map_err(|error| request.failed(&error))?;
            let there = self.client.wait_until_table_exists().table_name(&self.name).wait(MAKING);
            there.await.map(drop).map_err(|error| {
                Error::environment(format!("{} was made and cannot be used yet", self.about()))
                    .because(error)
                    .hint("wait a while; `jheem doctor` says when it can be")
            })
        })?
    }
}

fn nothing(kind: char) -> AttributeValue {
    match kind {
        'N' => AttributeValue::N("-8046115308".to_owned()),
        _ => AttributeValue::S(NO_ROW.to_owned()),
    }
}

fn no_row(key: &[(String, char)]) -> Row {
    key.iter().map(|(name, kind)| (name.clone(), nothing(*kind))).collect()
}

/// The service's time, as an answer shows it, and this machine's when it came.
#[derive(Clone, Debug, Default)]
struct Date(Arc<Mutex<Option<(String, SystemTime)>>>);

impl Date {
    fn ahead(&self) -> Option<i64> {
        let (text, here) = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let there = aws_smithy_types::DateTime::from_str(&text, Format::HttpDate).ok()?;
        let here = here.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Some(there.secs() - i64::try_from(here.as_secs()).ok()?)
    }
}

impl Intercept for Date {
    fn name(&self) -> &'static str {
        "Date"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(date) = context.response().headers().get("date") {
            let seen = (date.to_owned(), SystemTime::now());
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        }
        Ok(())
    }
}
