//! What mending asks of a table: rows removed one by one, each only if it is still the one that is meant.
//!
//! Knows nothing of what is mended.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;

use super::{IN_FLIGHT, Row, Table};
use crate::aws::failure::Request;
use crate::error::Result;

/// So many attributes are compared by the condition of a request, which has bounds; rows were looked at whole before.
const COMPARED: usize = 100;

/// A row to be removed.
pub struct RowRemoval {
    pub key: Row,
    /// Its attributes beside the key.
    pub item: Row,
    /// The hash attribute's name.
    pub hash: String,
}

/// What came of the removal of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// Nothing stands there now.
    Gone,
    /// Another row stands there, and stays.
    Unexpected,
}

impl Table {
    /// Removes rows, a request for each; tells of each by its index as it is answered.
    ///
    /// `tick` is called some times a second meanwhile.
    pub fn remove_all(
        &self,
        rows: Vec<RowRemoval>,
        done: &mut dyn FnMut(usize, Removed) -> Result<()>,
        tick: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        let remove = |(index, row)| async move { Ok((index, self.remove_one(row).await?)) };
        let done = &mut |(index, removed)| done(index, removed);
        self.aws.each_answer(IN_FLIGHT, rows.into_iter().enumerate(), remove, done, tick)
    }

    async fn remove_one(&self, row: RowRemoval) -> Result<Removed> {
        let request = Request::new("dynamodb:DeleteItem", self.about());
        let mut remove = self.client.delete_item().table_name(&self.name).set_key(Some(row.key));
        let mut same = Vec::new();
        for (index, (name, value)) in row.item.into_iter().take(COMPARED).enumerate() {
            same.push(format!("#a{index} = :a{index}"));
            remove = remove
                .expression_attribute_names(format!("#a{index}"), name)
                .expression_attribute_values(format!(":a{index}"), value);
        }
        if !same.is_empty() {
            // One that is gone already is removed.
            let condition = format!("attribute_not_exists(#hash) OR ({})", same.join(" AND "));
            remove = remove
                .condition_expression(condition)
                .expression_attribute_names("#hash", row.hash);
        }
        match remove.send().await {
            Ok(_) => Ok(Removed::Gone),
            Err(SdkError::ServiceError(e))
                if matches!(e.err(), DeleteItemError::ConditionalCheckFailedException(_)) =>
            {
                Ok(Removed::Unexpected)
            }
            Err(error) => Err(self.explained(request.failed(&error))),
        }
    }
}
