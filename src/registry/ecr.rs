//! Amazon's registries: which hosts are theirs, and the login that an account has there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::logins::Login;
use crate::aws::Aws;
use crate::aws::failure::Request;
use crate::aws::signed::{Call, Service};
use crate::error::{Error, Result};

/// The action that gives a login.
const TARGET: &str = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken";

/// An account's registry in a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub account: String,
    pub region: String,
}

/// The account and region of a registry's host, `ACCOUNT.dkr.ecr.REGION.amazonaws.com`; none if it is not Amazon's.
///
/// Emulators stand below `localhost`.
pub fn place(registry: &str) -> Option<Place> {
    let host = registry.split_once(':').map_or(registry, |(host, _)| host);
    let (account, rest) = host.split_once(".dkr.")?;
    let rest = rest.strip_prefix("ecr.").or_else(|| rest.strip_prefix("ecr-fips."))?;
    let (region, domain) = rest.split_once('.')?;
    let theirs = matches!(domain, "amazonaws.com" | "amazonaws.com.cn" | "localhost");
    let number = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let named = !region.is_empty();
    (theirs && number && named)
        .then(|| Place { account: account.to_owned(), region: region.to_owned() })
}

/// Asks for the login of whoever asks; it holds for half a day.
pub fn login(aws: &Aws, place: &Place) -> Result<Login> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Told {
        authorization_data: Vec<Data>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Data {
        authorization_token: String,
    }
    let Place { account, region } = place;
    let about = format!("the registry of account {account} in `{region}`");
    let request = Request::new("ecr:GetAuthorizationToken", &about);
    let body = serde_json::json!({ "registryIds": [account] }).to_string();
    let call = Call {
        method: "POST",
        path: "/",
        headers: &[("content-type", "application/x-amz-json-1.1"), ("x-amz-target", TARGET)],
        body: body.as_bytes(),
    };
    let said = aws.connect()?.signed(&Service::ecr(region), &call, &request)?;
    let told: Option<Told> = serde_json::from_slice(&said).ok();
    let token =
        told.and_then(|told| Some(told.authorization_data.first()?.authorization_token.clone()));
    let text = token.and_then(|token| String::from_utf8(STANDARD.decode(token).ok()?).ok());
    let pair = text.as_deref().and_then(|text| text.split_once(':'));
    let Some((user, password)) = pair else {
        return Err(Error::environment(format!("{about} gives no login"))
            .because("the answer to `ecr:GetAuthorizationToken` holds no token")
            .hint("run it again later"));
    };
    Ok(Login::Password { user: user.to_owned(), password: password.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amazons_registries_are_known_by_their_hosts() {
        let place = |host: &str| place(host).map(|place| (place.account, place.region));
        let one = Some(("849611540600".to_owned(), "us-east-1".to_owned()));
        assert_eq!(place("849611540600.dkr.ecr.us-east-1.amazonaws.com"), one);
        assert_eq!(place("849611540600.dkr.ecr-fips.us-east-1.amazonaws.com"), one);
        assert_eq!(place("849611540600.dkr.ecr.us-east-1.localhost:5000"), one);
        for other in [
            "ghcr.io",
            "public.ecr.aws",
            "849611540600.dkr.ecr.us-east-1.amazonaws.com.example.org",
            "849611540600.dkr.ecr.us-east-1.amazonaws.community",
            "me.dkr.ecr.us-east-1.amazonaws.com",
            "849611540600.dkr.ecr.amazonaws.com",
        ] {
            assert_eq!(place(other), None, "{other}");
        }
    }
}
