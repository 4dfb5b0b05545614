//! Amazon's services, as its own tools see them: credentials, region and endpoints from its configuration alone.
//!
//! Connects when first asked and never before, so that who has no account needs none. Async stays in here: callers block.
//! Knows nothing of plots, manifests or keys.

use std::cell::Cell;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use futures_util::{StreamExt as _, stream};
use tokio::runtime::Runtime;

use crate::costs::Requests;
use crate::error::{Error, Result};

pub mod dynamodb;
pub mod failure;
pub mod probe;
pub mod s3;
pub mod signed;
pub mod tally;

use failure::Request;
use tally::Tally;

/// How often a request is tried in all; what throttles is waited for longer each time.
const ATTEMPTS: u32 = 8;
const CONNECT: Duration = Duration::from_secs(10);
/// From the start of a request, with its body, to the first byte of the answer.
const READ: Duration = Duration::from_secs(600);
/// How long nothing may come to its end before a caller is told that time goes by.
const TICK: Duration = Duration::from_secs(5);

/// A way to Amazon's services, not taken until it is needed.
#[derive(Clone, Default)]
pub struct Aws {
    connected: Arc<OnceLock<Result<Arc<Connected>>>>,
}

/// Configuration that was read, and the runtime on which requests are made.
pub struct Connected {
    runtime: Runtime,
    config: SdkConfig,
    identity: OnceLock<Result<Identity>>,
    tally: Tally,
}

/// Who asks, as the service itself says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub account: String,
    pub arn: String,
}

impl Aws {
    pub fn new() -> Aws {
        Aws::default()
    }

    /// The requests that were made so far; none if nobody connected.
    pub fn requests(&self) -> Requests {
        match self.connected.get() {
            Some(Ok(connected)) => connected.tally.so_far(),
            _ => Requests::default(),
        }
    }

    /// The configuration as it was found; nothing is asked of any service yet.
    pub fn connect(&self) -> Result<Arc<Connected>> {
        self.connected.get_or_init(|| Connected::new().map(Arc::new)).clone()
    }
}

impl Connected {
    fn new() -> Result<Connected> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("aws")
            .enable_all()
            .build()
            .map_err(|e| Error::environment("cannot start a runtime for requests").because(e))?;
        let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).read_timeout(READ).build();
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            .retry_config(RetryConfig::adaptive().with_max_attempts(ATTEMPTS))
            .timeout_config(timeouts);
        let config = runtime.block_on(loader.load());
        if config.region().is_none() {
            return Err(Error::environment("no AWS region is configured")
                .hint("set `AWS_REGION`, or `region` of the profile in `~/.aws/config`"));
        }
        Ok(Connected { runtime, config, identity: OnceLock::new(), tally: Tally::default() })
    }

    /// The region that requests go to.
    pub fn region(&self) -> &str {
        self.config.region().map_or("", |region| region.as_ref())
    }

    /// Asks the service who asks: one request, made once.
    pub fn identity(&self) -> Result<Identity> {
        let ask = || {
            let request = Request::new("sts:GetCallerIdentity", "the account");
            let client = aws_sdk_sts::Client::new(&self.config);
            let said = self.runtime.block_on(client.get_caller_identity().send());
            let said = said.map_err(|error| request.failed(&error))?;
            let text = |text: Option<&str>| text.unwrap_or("unknown").to_owned();
            Ok(Identity { account: text(said.account()), arn: text(said.arn()) })
        };
        self.identity.get_or_init(ask).clone()
    }

    /// Makes requests, so many at once, and tells of each answer as it comes.
    ///
    /// `tick` is called every few seconds meanwhile. If it, `done` or a request fails, no more are
    /// begun, and those in flight are waited for.
    fn each_answer<W, T, F>(
        &self,
        in_flight: usize,
        work: impl Iterator<Item = W>,
        ask: impl Fn(W) -> F,
        done: &mut dyn FnMut(T) -> Result<()>,
        tick: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()>
    where
        F: Future<Output = Result<T>>,
    {
        let failed = Cell::new(false);
        let begun = stream::iter(work.take_while(|_| !failed.get())).map(ask);
        let mut answers = pin!(begun.buffer_unordered(in_flight));
        let mut first = Ok(());
        let mut ticked = Instant::now();
        loop {
            // Callers may make requests of their own, so they are called between two waits.
            let next =
                self.runtime.block_on(async { tokio::time::timeout(TICK, answers.next()).await });
            let mut came = match next {
                Ok(None) => return first,
                Ok(Some(answer)) => answer.and_then(&mut *done),
                Err(_) => Ok(()),
            };
            if ticked.elapsed() >= TICK {
                ticked = Instant::now();
                came = came.and_then(|()| tick());
            }
            if came.is_err() && first.is_ok() {
                failed.set(true);
                first = came;
            }
        }
    }
}
