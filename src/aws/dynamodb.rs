//! One table: rows written and queried, many requests at once.
//!
//! Blocks until all is answered. Knows what DynamoDB calls things, and nothing of what rows are for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
pub use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::types::{
    ConsumedCapacity, PutRequest, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure,
    WriteRequest,
};
use futures_util::stream;
use futures_util::{StreamExt as _, TryStreamExt as _};

pub mod mending;

use super::Connected;
use super::failure::Request;
use crate::error::{Error, Result};

/// How many requests are in flight at once.
const IN_FLIGHT: usize = 32;
/// How many rows one request can write.
const TOGETHER: usize = 25;
/// How often rows that a table did not take are offered again.
const OFFERS: u32 = 10;
/// How long is waited after the first refusal; twice as long after each further one.
const PAUSE: Duration = Duration::from_millis(50);

pub type Row = HashMap<String, AttributeValue>;

/// A table, through one client.
pub struct Table {
    pub(super) aws: Arc<Connected>,
    pub(super) client: Client,
    pub(super) name: String,
}

/// A row to be written alone, and whether one may stand there.
pub struct RowPut {
    pub row: Row,
    /// The hash attribute's name, if no row may stand under this key.
    pub only_new: Option<String>,
}

impl Table {
    pub fn new(aws: Arc<Connected>, name: &str) -> Table {
        let client = Client::new(&aws.config);
        Table { aws, client, name: name.to_owned() }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn about(&self) -> String {
        format!("the table `{}`", self.name)
    }

    /// Writes rows, 25 in a request, over whatever stands there; tells how many more stand.
    ///
    /// `tick` is called some times a second meanwhile.
    pub fn write_all(
        &self,
        rows: Vec<Row>,
        done: &mut dyn FnMut(usize) -> Result<()>,
        tick: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        let mut batches: Vec<Vec<Row>> = Vec::new();
        for row in rows {
            match batches.last_mut().filter(|batch| batch.len() < TOGETHER) {
                Some(batch) => batch.push(row),
                None => batches.push(vec![row]),
            }
        }
        let write = |batch| self.write_batch(batch);
        self.aws.each_answer(IN_FLIGHT, batches.into_iter(), write, done, tick)
    }

    async fn write_batch(&self, rows: Vec<Row>) -> Result<usize> {
        let request = Request::new("dynamodb:BatchWriteItem", self.about());
        let count = rows.len();
        let mut left: Vec<WriteRequest> = Vec::new();
        for row in rows {
            let put = PutRequest::builder().set_item(Some(row)).build();
            let put = put.map_err(|error| Error::bug("a row without attributes").because(error))?;
            left.push(WriteRequest::builder().put_request(put).build());
        }
        let mut pause = PAUSE;
        for _ in 0..OFFERS {
            let offered = left.len();
            let write = self
                .client
                .batch_write_item()
                .request_items(&self.name, left)
                .return_consumed_capacity(ReturnConsumedCapacity::Total);
            let answer =
                write.send().await.map_err(|error| self.explained(request.failed(&error)))?;
            let capacity = units(answer.consumed_capacity());
            left =
                answer.unprocessed_items.unwrap_or_default().remove(&self.name).unwrap_or_default();
            self.wrote(capacity, offered - left.len());
            if left.is_empty() {
                return Ok(count);
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Err(Error::environment(format!("{} keeps on leaving rows undone", self.about()))
            .because(format!(
                "{} of {count} rows of a request were left after {OFFERS} offers",
                left.len()
            ))
            .hint(
                "raise its capacity, or wait a while and run it again: it goes on where it stopped",
            ))
    }

    /// Writes rows, a request for each; tells how many more stand. The first that may not stand is an error.
    pub fn put_all(
        &self,
        rows: Vec<RowPut>,
        done: &mut dyn FnMut(usize) -> Result<()>,
        tick: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        let put = |row| self.put_one(row);
        self.aws.each_answer(IN_FLIGHT, rows.into_iter(), put, done, tick)
    }

    async fn put_one(&self, put: RowPut) -> Result<usize> {
        let request = Request::new("dynamodb:PutItem", self.about());
        let row = put.row.clone();
        let mut write = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(put.row))
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        if let Some(hash) = put.only_new {
            write = write
                .condition_expression("attribute_not_exists(#hash)")
                .expression_attribute_names("#hash", hash)
                .return_values_on_condition_check_failure(
                    ReturnValuesOnConditionCheckFailure::AllOld,
                );
        }
        match write.send().await {
            Ok(answer) => {
                self.wrote(units(answer.consumed_capacity.as_slice()), 1);
                Ok(1)
            }
            Err(SdkError::ServiceError(e))
                if matches!(e.err(), PutItemError::ConditionalCheckFailedException(_)) =>
            {
                // Tried again after its answer was lost, a write meets itself.
                if let PutItemError::ConditionalCheckFailedException(failed) = e.err()
                    && failed.item() == Some(&row)
                {
                    return Ok(1);
                }
                Err(Error::user(format!(
                    "a row that jheem did not publish stands in {} under a key that it would publish",
                    self.about()
                ))
                .hint("remove that row, or publish to another table"))
            }
            Err(error) => Err(self.explained(request.failed(&error))),
        }
    }

    /// Every row of these partitions, page after page, in their order.
    ///
    /// With the name of a range and its least value, a table without that range is refused.
    pub fn query_all(
        &self,
        name: &str,
        range: Option<(&str, AttributeValue)>,
        hashes: &[AttributeValue],
    ) -> Result<Vec<Vec<Row>>> {
        let asked = stream::iter(hashes).map(|hash| self.query_one(name, range.as_ref(), hash));
        self.aws.wait(asked.buffered(IN_FLIGHT).try_collect())?
    }

    async fn query_one(
        &self,
        name: &str,
        range: Option<&(&str, AttributeValue)>,
        hash: &AttributeValue,
    ) -> Result<Vec<Row>> {
        let request = Request::new("dynamodb:Query", self.about());
        let query = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            // The name may be a word that DynamoDB keeps for itself.
            .key_condition_expression(match range {
                Some(_) => "#hash = :hash AND #range >= :least",
                None => "#hash = :hash",
            })
            .expression_attribute_names("#hash", name)
            .expression_attribute_values(":hash", hash.clone());
        let query = match range {
            Some((name, least)) => query
                .expression_attribute_names("#range", *name)
                .expression_attribute_values(":least", least.clone()),
            None => query,
        };
        let mut pages = query.into_paginator().send();
        let mut rows = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.explained(request.failed(&error)))?;
            let read = units(page.consumed_capacity.as_slice());
            self.aws.tally.add_units(0.0, read.unwrap_or(1.0));
            rows.extend(page.items.unwrap_or_default());
        }
        Ok(rows)
    }

    /// Counts what the table says that a write took, or a unit for each row where it does not say.
    fn wrote(&self, said: Option<f64>, rows: usize) {
        self.aws.tally.add_units(said.unwrap_or(rows as f64), 0.0);
    }

    /// A table that has another key says so in its own words only.
    pub(super) fn explained(&self, error: Error) -> Error {
        let about_key = |cause: &String| {
            let lower = cause.to_lowercase();
            lower.contains("validationexception")
                && (lower.contains("key") || lower.contains("schema"))
                // Sizes of keys are another matter.
                && !lower.contains("size")
        };
        match error.causes.iter().any(about_key) {
            true => error.hint(format!(
                "{} has another key than the Jheemfile says: compare `hash` and `range` with `aws dynamodb describe-table --table-name {}`",
                self.about(),
                self.name
            )),
            false => error,
        }
    }
}

/// The units that a request took, if its answer says so.
fn units(consumed: &[ConsumedCapacity]) -> Option<f64> {
    let said = consumed.iter().filter_map(ConsumedCapacity::capacity_units);
    said.fold(None, |sum, units| Some(sum.unwrap_or(0.0) + units))
}
