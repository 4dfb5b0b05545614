//! One request of any service, signed as Amazon's are.
//!
//! For services of which one action is needed, and whose own client would take minutes to build.
//! Endpoints, credentials and retries are as in those clients; what an answer says is the caller's to read.

use std::time::{Duration, SystemTime};

use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{HttpConnector as _, HttpConnectorSettings};
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_types::service_config::ServiceConfigKey;

use super::failure::{Request, chain, is_throttled};
use super::{ATTEMPTS, CONNECT, Connected};
use crate::error::{Error, Result};

/// How long one answer is waited for.
const ANSWER: Duration = Duration::from_secs(60);
/// How long is waited after the first refusal that may pass; twice as long after each further one.
const PAUSE: Duration = Duration::from_millis(200);

/// A service, and where it is unless the configuration says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// As configuration names it: `CloudFront` for `AWS_ENDPOINT_URL_CLOUDFRONT` and `[services]`.
    pub id: &'static str,
    /// As signatures name it, such as `cloudfront`.
    pub name: &'static str,
    /// The region that signatures name.
    pub region: String,
    /// Such as `cloudfront.amazonaws.com`.
    pub host: String,
}

/// What is asked of a service.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub method: &'static str,
    /// Percent-encoded, from its first slash, with the query.
    pub path: &'a str,
    /// Those beside `Host` and the signature's own.
    pub headers: &'a [(&'static str, &'a str)],
    pub body: &'a [u8],
}

/// What became of one attempt.
enum Attempt {
    Answered(Vec<u8>),
    /// Trying again may help.
    Later(Error),
    Refused(Error),
}

impl Service {
    /// CloudFront, which has one endpoint in each partition.
    pub fn cloudfront(region: &str) -> Service {
        let (host, region) = match region.starts_with("cn-") {
            true => ("cloudfront.cn-northwest-1.amazonaws.com.cn", "cn-northwest-1"),
            false => ("cloudfront.amazonaws.com", "us-east-1"),
        };
        let (id, name) = ("CloudFront", "cloudfront");
        Service { id, name, region: region.to_owned(), host: host.to_owned() }
    }

    /// The registry of images of a region.
    pub fn ecr(region: &str) -> Service {
        let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let host = format!("api.ecr.{region}.{domain}");
        Service { id: "ECR", name: "ecr", region: region.to_owned(), host }
    }
}

impl Connected {
    /// Makes one signed request and returns the body of its answer; `request` tells of it when it fails.
    ///
    /// It is tried again where that may help, so the action must bear being asked twice.
    pub fn signed(&self, service: &Service, call: &Call<'_>, request: &Request) -> Result<Vec<u8>> {
        self.wait(self.signed_call(service, call, request))?
    }

    async fn signed_call(
        &self,
        service: &Service,
        call: &Call<'_>,
        request: &Request,
    ) -> Result<Vec<u8>> {
        let url = format!("{}{}", self.endpoint(service), call.path);
        let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT);
        let connector = Connector::builder()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .connector_settings(settings.read_timeout(ANSWER).build())
            .build();
        let mut pause = PAUSE;
        for attempt in 1.. {
            let signed = self.sign(service, call, &url, request).await?;
            let attempted = match connector.call(signed).await {
                Ok(answer) => read(answer, request).await,
                Err(error) => Attempt::Later(request.not_sent(&error)),
            };
            match attempted {
                Attempt::Answered(body) => return Ok(body),
                Attempt::Later(_) if attempt < ATTEMPTS => {}
                Attempt::Later(error) | Attempt::Refused(error) => return Err(error),
            }
            // Not all who were refused together come back together.
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            tokio::time::sleep(pause / 2 + pause / 2 * (now.subsec_micros() % 100) / 100).await;
            pause *= 2;
        }
        Err(Error::bug("a request was tried without end"))
    }

    /// Where a service is: what is set for it alone, then what is set for all, then its own place.
    fn endpoint(&self, service: &Service) -> String {
        let key = ServiceConfigKey::builder().service_id(service.id);
        let key = key.env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
        let own = self.config.service_config().zip(key.ok());
        let set = own
            .and_then(|(config, key)| config.load_config(key))
            .or_else(|| self.config.endpoint_url().map(str::to_owned));
        let endpoint = set.unwrap_or_else(|| format!("https://{}", service.host));
        endpoint.trim_end_matches('/').to_owned()
    }

    async fn sign(
        &self,
        service: &Service,
        call: &Call<'_>,
        url: &str,
        request: &Request,
    ) -> Result<HttpRequest> {
        let wrong = |error: &dyn std::error::Error| request.prepared(&chain(Some(error)));
        let none = || request.prepared("there is no provider of credentials");
        let provider = self.config.credentials_provider().ok_or_else(none)?;
        let credentials = provider.provide_credentials().await.map_err(|e| wrong(&e))?;
        let identity: Identity = credentials.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&service.region)
            .name(service.name)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|e| wrong(&e))?;
        let headers = call.headers.iter().copied();
        let body = SignableBody::Bytes(call.body);
        let signable = SignableRequest::new(call.method, url, headers.clone(), body);
        let signed = sign(signable.map_err(|e| wrong(&e))?, &params.into());
        let (instructions, _) = signed.map_err(|e| wrong(&e))?.into_parts();
        let mut http = http::Request::builder().method(call.method).uri(url);
        for (name, value) in headers {
            http = http.header(name, value);
        }
        let mut http = http.body(SdkBody::from(call.body)).map_err(|e| wrong(&e))?;
        instructions.apply_to_request_http1x(&mut http);
        HttpRequest::try_from(http).map_err(|e| wrong(&e))
    }
}

async fn read(mut answer: HttpResponse, request: &Request) -> Attempt {
    let status = answer.status().as_u16();
    let kind = answer.headers().get("x-amzn-errortype").map(str::to_owned);
    let body = match ByteStream::new(answer.take_body()).collect().await {
        Ok(body) => body.to_vec(),
        Err(error) => {
            let message = format!("the answer about {} was cut off", request.about);
            return Attempt::Later(Error::environment(message).because(error).hint("run it again"));
        }
    };
    if answer.status().is_success() {
        return Attempt::Answered(body);
    }
    let (code, said) = refusal(&body);
    let code = kind.map_or(code, |kind| plain_code(&kind));
    let error = request.refused(status, &code, &said, None);
    match status >= 500 || status == 429 || is_throttled(&code) {
        true => Attempt::Later(error),
        false => Attempt::Refused(error),
    }
}

/// The code and the words of a refusal, as services of XML and of JSON write them; empty where it has none.
fn refusal(body: &[u8]) -> (String, String) {
    let text = String::from_utf8_lossy(body);
    if let Ok(json) = serde_json::from_slice::<serde_json::Value>(body) {
        let field = |names: [&str; 2]| {
            let found = names.iter().find_map(|name| json.get(name)?.as_str());
            found.unwrap_or_default().to_owned()
        };
        return (plain_code(&field(["__type", "code"])), field(["message", "Message"]));
    }
    let element = |name: &str| {
        let from = text.split_once(&format!("<{name}>")).map(|(_, from)| from);
        let whole = from.and_then(|from| from.split_once(&format!("</{name}>")));
        whole.map_or(String::new(), |(within, _)| within.trim().to_owned())
    };
    (element("Code"), element("Message"))
}

/// A code without the namespace before it and the link after it.
fn plain_code(code: &str) -> String {
    let code = code.split(':').next().unwrap_or(code);
    code.rsplit('#').next().unwrap_or(code).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_read_in_each_of_the_ways_in_which_services_write_it() {
        let xml = b"<ErrorResponse><Error><Type>Sender</Type><Code>NoSuchDistribution</Code><Message>It is not there.</Message></Error></ErrorResponse>";
        assert_eq!(refusal(xml), ("NoSuchDistribution".into(), "It is not there.".into()));
        let json = br#"{"__type":"com.amazonaws.ecr#InvalidParameterException","message":"no"}"#;
        assert_eq!(refusal(json), ("InvalidParameterException".into(), "no".into()));
        let capital = br#"{"__type":"AccessDeniedException","Message":"not you"}"#;
        assert_eq!(refusal(capital), ("AccessDeniedException".into(), "not you".into()));
        assert_eq!(refusal(b"<html>Bad Gateway</html>"), (String::new(), String::new()));
        assert_eq!(refusal(b""), (String::new(), String::new()));
        assert_eq!(plain_code("ThrottlingException:http://internal/"), "ThrottlingException");
    }

    #[test]
    fn a_service_has_one_place_in_each_partition() {
        assert_eq!(Service::cloudfront("eu-west-1").host, "cloudfront.amazonaws.com");
        assert_eq!(Service::cloudfront("eu-west-1").region, "us-east-1");
        assert!(Service::cloudfront("cn-north-1").host.ends_with(".amazonaws.com.cn"));
    }
}
