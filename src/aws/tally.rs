//! Counts requests as they leave, those that are tried again among them.
//!
//! Knows by which method each kind goes; what a kind costs is `costs`'.

use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

use crate::costs::Requests;

/// The requests that were made so far, shared by all who make some.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    made: Arc<Mutex<Requests>>,
}

impl Tally {
    /// The requests so far.
    pub fn so_far(&self) -> Requests {
        *self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn add(&self, requests: Requests) {
        *self.made.lock().unwrap_or_else(PoisonError::into_inner) += requests;
    }

    /// Counts one request to S3 by its method and the rest of its line.
    pub fn add_object_request(&self, method: &str, target: &str) {
        let one = Requests::default();
        let query = target.split_once('?').map_or("", |(_, query)| query);
        self.add(match method {
            "PUT" | "POST" => Requests { puts: 1, ..one },
            "DELETE" => Requests { deletes: 1, ..one },
            _ if query.contains("list-type=")
                || query
                    .split('&')
                    .any(|part| part.starts_with("uploads") || part.starts_with("versions")) =>
            {
                Requests { lists: 1, ..one }
            }
            _ => Requests { gets: 1, ..one },
        });
    }

    /// The units that a table says a request took, begun ones as whole.
    pub fn add_units(&self, written: f64, read: f64) {
        // A sum of halves, far below where a float is no longer exact.
        let [row_writes, row_reads] = [written, read].map(|units| units.ceil().max(0.0) as u64);
        self.add(Requests { row_writes, row_reads, ..Requests::default() });
    }
}

/// Counts what a client of S3 sends.
impl Intercept for Tally {
    fn name(&self) -> &'static str {
        "Tally"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        self.add_object_request(request.method(), request.uri());
        Ok(())
    }
}
