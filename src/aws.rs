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

mod cloudfront;
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
/// How long requests in flight may take once somebody asked to stop.
const GRACE: Duration = Duration::from_secs(5);
/// How long a request may take all the same, such as the one that frees a lease.
const LEAST: Duration = Duration::from_secs(1);
/// How often a caller is told that time goes by, so that it can give up or show that it lives.
const TICK: Duration = Duration::from_millis(250);

/// A way to Amazon's services, not taken until it is needed.
#[derive(Clone, Default)]
pub struct Aws {
    connected: Arc<OnceLock<Result<Arc<Connected>>>>,
    stop: Asked,
}

/// Tells when somebody asked to stop; nobody does where nobody listens.
#[derive(Clone, Default)]
struct Asked(Arc<OnceLock<Box<Since>>>);

type Since = dyn Fn() -> Option<Instant> + Send + Sync;

impl Asked {
    fn is_raised(&self) -> bool {
        self.at().is_some()
    }

    fn at(&self) -> Option<Instant> {
        self.0.get().and_then(|asked| asked())
    }

    /// Whether a request that began then is waited for no more.
    fn is_over(&self, begun: Instant) -> bool {
        self.at().is_some_and(|asked| asked.elapsed() >= GRACE && begun.elapsed() >= LEAST)
    }
}

/// Configuration that was read, and the runtime on which requests are made.
pub struct Connected {
    runtime: Runtime,
    stop: Asked,
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
        let connect = || Connected::new(self.stop.clone()).map(Arc::new);
        self.connected.get_or_init(connect).clone()
    }

    /// Lets requests be given up some seconds after this says that somebody asked to stop.
    pub fn heed(&self, asked: impl Fn() -> Option<Instant> + Send + Sync + 'static) {
        // Whoever is heard first is heard on.
        self.stop.0.get_or_init(|| Box::new(asked));
    }
}

impl Connected {
    fn new(stop: Asked) -> Result<Connected> {
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
        // Credentials may be a request away, too.
        let config = until_stopped(&runtime, &stop, loader.load())?;
        if config.region().is_none() {
            return Err(Error::environment("no AWS region is configured")
                .hint("set `AWS_REGION`, or `region` of the profile in `~/.aws/config`"));
        }
        let (identity, tally) = (OnceLock::new(), Tally::default());
        Ok(Connected { runtime, stop, config, identity, tally })
    }

    /// Waits for an answer; once somebody asked to stop, not for long any more.
    fn wait<T>(&self, answer: impl Future<Output = T>) -> Result<T> {
        until_stopped(&self.runtime, &self.stop, answer)
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
            let said = self
                .wait(client.get_caller_identity().send())?
                .map_err(|error| request.failed(&error))?;
            let text = |text: Option<&str>| text.unwrap_or("unknown").to_owned();
            Ok(Identity { account: text(said.account()), arn: text(said.arn()) })
        };
        self.identity.get_or_init(ask).clone()
    }

    /// Makes requests, so many at once, and tells of each answer as it comes.
    ///
    /// `tick` is called some times a second meanwhile. If it, `done` or a request fails, no more are
    /// begun, and those in flight are waited for; not for long once somebody asked to stop.
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
        let (failed, cut) = (Cell::new(false), Cell::new(false));
        let goes_on = |_: &W| {
            // What is not begun yet is left once somebody asked to stop.
            cut.set(cut.get() || self.stop.is_raised());
            !failed.get() && !cut.get()
        };
        let begun = stream::iter(work.take_while(goes_on)).map(ask);
        let mut answers = pin!(begun.buffer_unordered(in_flight));
        let mut first = Ok(());
        let mut ticked = Instant::now();
        let began = Instant::now();
        loop {
            // Callers may make requests of their own, so they are called between two waits.
            let next =
                self.runtime.block_on(async { tokio::time::timeout(TICK, answers.next()).await });
            let mut came = match next {
                Ok(None) if cut.get() => return first.and(Err(stopped())),
                Ok(None) => return first,
                Err(_) if self.stop.is_over(began) => return first.and(Err(unanswered())),
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

/// Waits for an answer; once somebody asked to stop, for the grace that what is in flight has.
fn until_stopped<T>(runtime: &Runtime, stop: &Asked, answer: impl Future<Output = T>) -> Result<T> {
    let begun = Instant::now();
    let asked = async {
        while !stop.is_over(begun) {
            tokio::time::sleep(TICK).await;
        }
    };
    runtime.block_on(async {
        tokio::select! {
            biased;
            answer = answer => Ok(answer),
            () = asked => Err(unanswered()),
        }
    })
}

fn stopped() -> Error {
    Error::environment("somebody asked to stop").hint("run it again: it goes on where it stopped")
}

fn unanswered() -> Error {
    Error::environment("a service of AWS does not answer, and somebody asked to stop")
        .hint("run it again: it goes on where it stopped")
}
