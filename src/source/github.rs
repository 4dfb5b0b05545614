//! Releases of data on GitHub: which assets there are, and their digests.
//!
//! `GITHUB_TOKEN` or `GH_TOKEN` opens private repositories and raises the limit of requests;
//! `GITHUB_API_URL` is another server's, as on GitHub's own runners.

use std::collections::HashMap;
use std::env;

use globset::GlobBuilder;
use serde::Deserialize;

use super::{Location, Seen};
use crate::digest::{Algorithm, Digest};
use crate::error::{Error, Result, nearest};
use crate::http::{Ask, Http};

const PER_PAGE: usize = 100;
/// A release has at most a thousand assets.
const MOST_PAGES: usize = 20;
/// How many candidates an error lists.
const LISTED: usize = 12;

/// Releases that were asked for, by owner, repository and tag; each is asked for once.
#[derive(Default)]
pub struct Releases {
    known: HashMap<(String, String, String), Vec<Asset>>,
}

/// A file of a release.
#[derive(Clone, Debug, Deserialize)]
pub struct Asset {
    id: u64,
    name: String,
    size: u64,
    /// Of GitHub's own making; older releases have none.
    digest: Option<String>,
    /// By which it is read with credentials.
    url: String,
    browser_download_url: String,
}

/// How an asset is read.
#[derive(Clone, Debug)]
pub struct Found {
    asset: Asset,
    pub url: String,
}

impl Found {
    pub fn seen(&self) -> Seen {
        let digest = self.asset.digest.as_ref().and_then(|digest| digest.parse::<Digest>().ok());
        let digest = digest.filter(|digest| digest.algorithm == Algorithm::Sha256);
        Seen {
            digest,
            size: Some(self.asset.size),
            // A replaced asset has another number.
            etag: Some(self.asset.id.to_string()),
            version: None,
            asset: Some(self.asset.name.clone()),
        }
    }
}

/// Reads `owner/repository@tag/asset`; a tag may have slashes, an asset has none.
pub fn parse(rest: &str) -> Result<Location, String> {
    let wrong = || "is no release: write `github://OWNER/REPOSITORY@TAG/ASSET`".to_owned();
    let (repository, rest) = rest.split_once('@').ok_or_else(wrong)?;
    let (owner, repository) = repository.split_once('/').ok_or_else(wrong)?;
    let (tag, asset) = rest.rsplit_once('/').ok_or_else(wrong)?;
    let words = [owner, repository, tag, asset];
    if words.iter().any(|word| word.is_empty()) || repository.contains('/') {
        return Err(wrong());
    }
    let [owner, repository, tag, asset] = words.map(str::to_owned);
    Ok(Location::Release { owner, repository, tag, asset })
}

impl Releases {
    /// The assets of a release.
    pub fn of(
        &mut self,
        http: &Http,
        owner: &str,
        repository: &str,
        tag: &str,
        go_on: &dyn Fn() -> bool,
    ) -> Result<&[Asset]> {
        let key = (owner.to_owned(), repository.to_owned(), tag.to_owned());
        if !self.known.contains_key(&key) {
            let assets = ask_for(http, owner, repository, tag, go_on)?;
            self.known.insert(key.clone(), assets);
        }
        Ok(&self.known[&key])
    }
}

fn ask_for(
    http: &Http,
    owner: &str,
    repository: &str,
    tag: &str,
    go_on: &dyn Fn() -> bool,
) -> Result<Vec<Asset>> {
    #[derive(Deserialize)]
    struct Release {
        id: u64,
    }
    let api = format!("{}/repos/{owner}/{repository}/releases", api());
    let about = format!("the release `{tag}` of `{owner}/{repository}`");
    let ask = |url: &str| -> Result<Vec<u8>> {
        let ask = with_token(Ask::get(url)).header("accept", "application/vnd.github+json");
        let answer = http.ask(&ask.about(about.clone()), go_on)?;
        if answer.is_success() { answer.bytes() } else { Err(answer.refused()) }
    };
    let spoiled = |error: serde_json::Error| {
        Error::environment(format!("the answer about {about} is not GitHub's")).because(error)
    };
    let release: Release =
        serde_json::from_slice(&ask(&format!("{api}/tags/{tag}"))?).map_err(spoiled)?;
    let mut assets: Vec<Asset> = Vec::new();
    for page in 1..=MOST_PAGES {
        let url = format!("{api}/{}/assets?per_page={PER_PAGE}&page={page}", release.id);
        let more: Vec<Asset> = serde_json::from_slice(&ask(&url)?).map_err(spoiled)?;
        let last = more.len() < PER_PAGE || !go_on();
        assets.extend(more);
        if last {
            break;
        }
    }
    Ok(assets)
}

/// Where the API answers, without a slash at its end.
fn api() -> String {
    let api = env::var("GITHUB_API_URL").ok().filter(|api| !api.is_empty());
    let api = api.unwrap_or_else(|| "https://api.github.com".into());
    api.trim_end_matches('/').to_owned()
}

fn token() -> Option<String> {
    ["GITHUB_TOKEN", "GH_TOKEN"]
        .iter()
        .find_map(|name| env::var(name).ok())
        .filter(|token| !token.is_empty())
}

fn with_token(ask: Ask<'_>) -> Ask<'_> {
    match token() {
        Some(token) => ask.header("authorization", format!("Bearer {token}")),
        None => ask,
    }
}

/// The request for an asset's bytes.
pub fn download(url: &str) -> Ask<'_> {
    let ask = Ask::get(url).header("accept", "application/octet-stream");
    if url.starts_with(&format!("{}/", api())) { with_token(ask) } else { ask }
}

/// The one asset that a name or a pattern stands for.
pub fn find(
    assets: &[Asset],
    owner: &str,
    repository: &str,
    tag: &str,
    pattern: &str,
) -> Result<Found> {
    let found = |asset: &Asset| {
        // Without a token the other one is no request to the API, of which few are allowed.
        // And a token goes to the API's own host only.
        let url = match token() {
            Some(_) if asset.url.starts_with(&format!("{}/", api())) => &asset.url,
            _ => &asset.browser_download_url,
        };
        Found { asset: asset.clone(), url: url.clone() }
    };
    if let Some(asset) = assets.iter().find(|asset| asset.name == pattern) {
        return Ok(found(asset));
    }
    let glob = GlobBuilder::new(pattern).literal_separator(true).build().map_err(|error| {
        Error::user(format!("`{pattern}` is no pattern of assets")).because(error)
    })?;
    let glob = glob.compile_matcher();
    let matching: Vec<&Asset> = assets.iter().filter(|asset| glob.is_match(&asset.name)).collect();
    let release = format!("the release `{tag}` of `{owner}/{repository}`");
    match matching[..] {
        [asset] => Ok(found(asset)),
        [] => {
            let error = Error::user(format!("no asset of {release} is called `{pattern}`"));
            let names = assets.iter().map(|asset| asset.name.as_str());
            let error = match nearest(pattern, names.clone()) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error,
            };
            Err(error.because(candidates("it has", names)))
        }
        _ => {
            let names = matching.iter().map(|asset| asset.name.as_str());
            Err(Error::user(format!(
                "`{pattern}` stands for {} assets of {release}, and must stand for one",
                matching.len()
            ))
            .because(candidates("these match", names))
            .hint("write more of the name"))
        }
    }
}

fn candidates<'a>(lead: &str, names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    let more = names.len().saturating_sub(LISTED);
    names.truncate(LISTED);
    let list: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let rest = if more > 0 { format!(", and {more} more") } else { String::new() };
    match list.is_empty() {
        true => format!("{lead} none"),
        false => format!("{lead}: {}{rest}", list.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assets(names: &[&str]) -> Vec<Asset> {
        let asset = |(id, name): (usize, &&str)| Asset {
            id: u64::try_from(id).unwrap(),
            name: (*name).to_owned(),
            size: 1,
            digest: None,
            url: format!("https://api.example.org/{id}"),
            browser_download_url: format!("https://example.org/{name}"),
        };
        names.iter().enumerate().map(asset).collect()
    }

    #[test]
    fn a_pattern_must_stand_for_one_asset_and_says_which_there_are() {
        let all = assets(&["AL_noint.Rdata", "AL_rw.end.Rdata", "AL_rw.end.26.Rdata", "notes.md"]);
        let find = |pattern: &str| super::find(&all, "o", "r", "v1", pattern);
        assert_eq!(find("AL_rw.end.Rdata").unwrap().asset.name, "AL_rw.end.Rdata");
        assert_eq!(find("*.md").unwrap().asset.name, "notes.md");
        let several = find("AL_rw.end*").unwrap_err();
        assert!(several.message.contains("stands for 2 assets"), "{several}");
        assert!(
            several.causes[0].contains("`AL_rw.end.26.Rdata`, `AL_rw.end.Rdata`"),
            "{several:?}"
        );
        // The original pipeline took the first name that a text was part of, and none without a word.
        let none = find("rw.end").unwrap_err();
        assert!(none.causes[0].contains("`AL_noint.Rdata`"), "{none:?}");
    }
}
