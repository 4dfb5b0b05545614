//! Registries of images, asked as Docker asks them: what a tag names, for which platforms, and what is baked in.
//!
//! Nothing is pulled: manifests and configurations are a few kilobytes, and each is verified against its digest.
//! Logins are Docker's own, and Amazon's for its registries; no secret is ever in a message.
//! Knows nothing of daemons, runners or locks.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::aws::Aws;
use crate::digest::Digest;
use crate::error::{Error, Result, nearest};
use crate::http::{Answer, Ask, Http};
use crate::percent;

use challenge::Challenge;
use logins::{Login, Logins};
use manifests::{Manifest, accepted, sha256};
use platform::Platform;
use reference::{At, DOCKER_HUB, Reference};

pub mod challenge;
pub mod ecr;
pub mod logins;
pub mod manifests;
pub mod platform;
pub mod reference;

pub use manifests::Config;

/// So many tags are named where there is no such tag.
const MOST_TAGS: usize = 8;
/// So many platforms may an image be for; each costs a request.
const MOST_PLATFORMS: usize = 32;

/// The image of one platform, as a lock holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pinned {
    /// What it is pulled by.
    pub manifest: Digest,
    /// Who it is: the same at every registry, and on the daemon.
    pub config: Digest,
}

/// What a name stands for at the first registry that answers for it.
#[derive(Debug)]
pub struct Resolved {
    /// The image's own name, or a mirror's.
    pub name: String,
    /// What the tag names: an index, or the manifest of the only image.
    pub tag: Digest,
    /// By platform, `os/architecture[/variant]`.
    pub platforms: BTreeMap<String, Pinned>,
    /// Why the names before it did not do.
    pub passed_over: Vec<Error>,
}

/// A way to registries.
#[derive(Clone)]
pub struct Registries {
    http: Http,
    aws: Aws,
    logins: Logins,
    /// What was shown to a registry for a repository when it last answered; of this process alone.
    shown: Arc<Mutex<HashMap<(String, String), String>>>,
}

impl fmt::Debug for Registries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a way to registries")
    }
}

/// A body with what its registry says of it.
struct Found {
    bytes: Vec<u8>,
    kind: String,
    digest: Digest,
}

/// How patiently a registry is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    Again,
    /// Another name may answer at once.
    Once,
}

impl Registries {
    pub fn new(aws: Aws, logins: Logins) -> Registries {
        Registries { http: Http::new(), aws, logins, shown: Arc::default() }
    }

    /// Asks for each of `names` in turn, an image's own and its mirrors, until one answers.
    ///
    /// Without a platform, all that the image is made for are looked up.
    ///
    /// # Errors
    /// That of the only name, or those of all.
    pub fn resolve(&self, names: &[&str], platform: Option<&str>) -> Result<Resolved> {
        let wanted = platform.map(Platform::parse);
        let asked = |name: &str, patience| self.resolve_one(name, wanted.as_ref(), patience);
        let (name, (tag, platforms), passed_over) = first(names, asked)?;
        Ok(Resolved { name: name.to_owned(), tag, platforms, passed_over })
    }

    fn resolve_one(
        &self,
        name: &str,
        wanted: Option<&Platform>,
        patience: Patience,
    ) -> Result<(Digest, BTreeMap<String, Pinned>)> {
        let reference = Reference::parse(name)?;
        let found = self.manifest(&reference, patience)?;
        let tag = found.digest;
        match read(&reference, &found)? {
            Manifest::Image { config } => {
                let platform = self.config_at(&reference, config, patience)?.platform;
                if let Some(wanted) = wanted
                    && !platform.does_for(wanted)
                {
                    return Err(no_platform(&reference, wanted, &[platform]));
                }
                let pinned = Pinned { manifest: tag, config };
                Ok((tag, BTreeMap::from([(platform.to_string(), pinned)])))
            }
            Manifest::Index(listed) => {
                let does = |platform: &Platform| wanted.is_none_or(|w| platform.does_for(w));
                let mut chosen: Vec<&(Platform, Digest)> =
                    listed.iter().filter(|(platform, _)| does(platform)).collect();
                // Of several that do for one, the first is the image's own choice.
                chosen.truncate(if wanted.is_some() { 1 } else { MOST_PLATFORMS });
                if chosen.is_empty() {
                    let had: Vec<Platform> = listed.iter().map(|(p, _)| p.clone()).collect();
                    let any = Platform::here();
                    return Err(no_platform(&reference, wanted.unwrap_or(&any), &had));
                }
                let mut platforms = BTreeMap::new();
                for (platform, manifest) in chosen {
                    let one = reference.pinned(*manifest);
                    let found = self.manifest(&one, patience)?;
                    let Manifest::Image { config } = read(&one, &found)? else {
                        return Err(unusable(&one, "an index lists another index"));
                    };
                    let pinned = Pinned { manifest: *manifest, config };
                    // The platform that was asked for is what it is asked for by again.
                    let named = wanted.unwrap_or(platform).to_string();
                    platforms.entry(named).or_insert(pinned);
                }
                Ok((tag, platforms))
            }
        }
    }

    /// What a name stands for now, in one small request.
    pub fn tag(&self, name: &str) -> Result<Digest> {
        let reference = Reference::parse(name)?;
        if let At::Digest(digest) = reference.at {
            return Ok(digest);
        }
        let answer = self.ask_manifest(&reference, true, Patience::Again)?;
        let told = answer.header("docker-content-digest").and_then(|told| told.parse().ok());
        match told {
            Some(digest) if answer.is_success() => Ok(digest),
            // Some say it only with the manifest itself, and why not only with a body.
            _ => Ok(self.manifest(&reference, Patience::Again)?.digest),
        }
    }

    /// Whether the registry of this name still has an image's manifest.
    pub fn has(&self, name: &str, manifest: Digest) -> Result<bool> {
        let reference = Reference::parse(name)?.pinned(manifest);
        let answer = self.ask_manifest(&reference, true, Patience::Again)?;
        match answer.status {
            404 => Ok(false),
            _ if answer.is_success() => Ok(true),
            _ => Err(self.refused(&reference, answer)),
        }
    }

    /// What is baked into an image, from the first of `names` whose registry has it.
    pub fn config(&self, names: &[&str], config: Digest) -> Result<Config> {
        let asked =
            |name: &str, patience| self.config_at(&Reference::parse(name)?, config, patience);
        Ok(first(names, asked)?.1)
    }

    fn config_at(&self, at: &Reference, digest: Digest, patience: Patience) -> Result<Config> {
        let url = format!("{}/v2/{}/blobs/{digest}", at.base(), at.repository);
        let about = format!("the configuration of `{at}`");
        let answer = self.ask(at, &Ask::get(&url).about(&about), patience)?;
        if !answer.is_success() {
            return Err(self.refused(at, answer));
        }
        let bytes = answer.bytes()?;
        if sha256(&bytes) != digest {
            return Err(other_bytes(&about, digest, sha256(&bytes)));
        }
        Config::parse(&bytes).map_err(|why| unusable(at, &why))
    }

    fn manifest(&self, at: &Reference, patience: Patience) -> Result<Found> {
        let answer = self.ask_manifest(at, false, patience)?;
        if !answer.is_success() {
            return Err(self.refused(at, answer));
        }
        let kind = answer.header("content-type").unwrap_or_default().to_owned();
        let told: Option<Digest> =
            answer.header("docker-content-digest").and_then(|told| told.parse().ok());
        let bytes = answer.bytes()?;
        let digest = sha256(&bytes);
        let promised = match at.at {
            At::Digest(digest) => Some(digest),
            At::Tag(_) => told,
        };
        match promised {
            Some(promised) if promised != digest => {
                Err(other_bytes(&format!("the manifest of `{at}`"), promised, digest))
            }
            _ => Ok(Found { bytes, kind, digest }),
        }
    }

    fn ask_manifest(&self, at: &Reference, head: bool, patience: Patience) -> Result<Answer> {
        let url = format!("{}/v2/{}/manifests/{}", at.base(), at.repository, at.at.text());
        let ask = if head { Ask::head(&url) } else { Ask::get(&url) };
        self.ask(at, &ask.header("accept", accepted()).about(format!("`{at}`")), patience)
    }

    /// Asks, and once more with what the registry asks for in turn.
    fn ask(&self, at: &Reference, ask: &Ask<'_>, patience: Patience) -> Result<Answer> {
        let key = (at.registry.clone(), at.repository.clone());
        let shown = self.shown.lock().ok().and_then(|shown| shown.get(&key).cloned());
        let with = |shown: Option<String>| match shown {
            Some(shown) => ask.clone().header("authorization", shown),
            None => ask.clone(),
        };
        let go_on = || patience == Patience::Again;
        let answer = self.http.ask(&with(shown), &go_on)?;
        if answer.status != 401 {
            return Ok(answer);
        }
        let challenge = answer.header("www-authenticate").and_then(Challenge::parse);
        let Some(challenge) = challenge else { return Ok(answer) };
        let Some(answer_to_it) = self.meet(at, &challenge, patience)? else { return Ok(answer) };
        let answer = self.http.ask(&with(Some(answer_to_it.clone())), &go_on)?;
        if answer.status != 401
            && let Ok(mut shown) = self.shown.lock()
        {
            shown.insert(key, answer_to_it);
        }
        Ok(answer)
    }

    /// What to show to a registry that asks for it; none if there is nothing to show.
    fn meet(
        &self,
        at: &Reference,
        challenge: &Challenge,
        patience: Patience,
    ) -> Result<Option<String>> {
        let login = self.login(&at.registry)?;
        match challenge {
            Challenge::Basic => Ok(login.as_ref().and_then(basic)),
            Challenge::Bearer { realm, service, scope } => {
                let pull = format!("repository:{}:pull", at.repository);
                let scope = scope.as_deref().unwrap_or(&pull);
                let service = service.as_deref().unwrap_or_default();
                self.token(at, login.as_ref(), realm, service, scope, patience).map(Some)
            }
        }
    }

    /// A token for one repository, from the server that its registry names.
    fn token(
        &self,
        at: &Reference,
        login: Option<&Login>,
        realm: &str,
        service: &str,
        scope: &str,
        patience: Patience,
    ) -> Result<String> {
        #[derive(Deserialize)]
        struct Told {
            #[serde(alias = "access_token")]
            token: Option<String>,
        }
        if login.is_some() && !realm.starts_with("https://") && at.base().starts_with("https://") {
            return Err(Error::environment(format!(
                "`{}` wants its login sent unencrypted",
                at.registry
            ))
            .because(format!("it sends those who ask for `{at}` to `{realm}`"))
            .hint("ask whoever runs it to serve its tokens by HTTPS"));
        }
        let query = [("service", service), ("scope", scope)];
        let query = query.iter().filter(|(_, value)| !value.is_empty());
        let query: Vec<String> =
            query.map(|(name, value)| format!("{name}={}", in_query(value))).collect();
        let query = query.join("&");
        let about = format!("a token for `{at}`");
        let go_on = || patience == Patience::Again;
        let answer = match login {
            // A token in exchange for tokens is never in a URL, which servers keep in their logs.
            Some(Login::Identity(token)) => {
                let form = format!(
                    "grant_type=refresh_token&client_id=jheem&refresh_token={}&{query}",
                    in_query(token)
                );
                let ask = Ask::post(realm, form.into_bytes()).about(about);
                let ask = ask.header("content-type", "application/x-www-form-urlencoded");
                self.http.ask(&ask, &go_on)?
            }
            other => {
                let between = if realm.contains('?') { '&' } else { '?' };
                let url = format!("{realm}{between}{query}");
                let ask = Ask::get(&url).about(about);
                let ask = match other.and_then(basic) {
                    Some(shown) => ask.header("authorization", shown),
                    None => ask,
                };
                self.http.ask(&ask, &go_on)?
            }
        };
        if !answer.is_success() {
            // Which tags there are is asked with a token, so not because there is none.
            return Err(match answer.status {
                404 | 410 => answer.refused(),
                _ => self.refused(at, answer),
            });
        }
        let told: Option<Told> = serde_json::from_slice(&answer.bytes()?).ok();
        match told.and_then(|told| told.token) {
            Some(token) => Ok(format!("Bearer {token}")),
            None => Err(Error::environment(format!("`{}` gives no token for `{at}`", at.registry))
                .because(format!("what `{realm}` answers holds none"))
                .hint("run it again later")),
        }
    }

    /// The login for a registry: Amazon's own are asked for, others are as `docker login` left them.
    pub fn login(&self, registry: &str) -> Result<Option<Login>> {
        let Some(place) = ecr::place(registry) else { return self.logins.of(registry) };
        if self.logins.has_helper(registry)? {
            return self.logins.of(registry);
        }
        // A login of `docker login` lasts half a day; whoever has an account needs none.
        match ecr::login(&self.aws, &place) {
            Ok(login) => Ok(Some(login)),
            Err(error) => match self.logins.of(registry)? {
                Some(login) => Ok(Some(login)),
                None => Err(error),
            },
        }
    }

    /// Adds what to do to the error of a daemon that could not pull.
    pub fn hint_on_pull(&self, at: &Reference, error: Error) -> Error {
        let said = error.causes.join(" ").to_lowercase();
        let denied = ["unauthorized", "denied", "authentication", "basic auth", "forbidden"];
        if denied.iter().any(|word| said.contains(word)) {
            return self.denied(at, error);
        }
        if said.contains("manifest unknown") || said.contains("not found") {
            return error.hint(
                "run `jheem update` to pin what the tag names now, or push that image again",
            );
        }
        if said.contains("no space left") {
            return error.hint(
                "make room with `docker image prune`, or `docker system df` to see what takes it",
            );
        }
        error.hint(format!("see whether `docker pull {at}` gets it; then run it again"))
    }

    /// The error for an answer that is none of those that were hoped for.
    fn refused(&self, at: &Reference, answer: Answer) -> Error {
        let (status, registry) = (answer.status, &at.registry);
        let (code, said) = answer.bytes().map(|body| complaint(&body)).unwrap_or_default();
        let because = match said.as_str() {
            "" => format!("`{registry}` answered with status {status}"),
            said => format!("`{registry}` says: {said}"),
        };
        let error = |message: String| Error::environment(message).because(&because);
        match status {
            401 | 403 => self.denied(at, error(format!("`{at}` may not be read"))),
            404 => match &at.at {
                At::Digest(_) if code != "NAME_UNKNOWN" => error(format!(
                    "there is no `{at}` any more"
                ))
                .hint("run `jheem update` to pin what the tag names now, or push that image again"),
                At::Tag(tag) if code != "NAME_UNKNOWN" => {
                    self.no_tag(at, tag, error(format!("there is no `{at}`")))
                }
                _ => no_repository(at).because(&because),
            },
            429 => error(format!("`{registry}` limits requests, and refuses those for `{at}`"))
                .hint(format!(
                    "run `docker login {registry}`, with which more are allowed, or wait a while"
                )),
            500.. => error(format!("`{registry}` failed on `{at}`")).hint("run it again later"),
            _ => error(format!("`{registry}` refused `{at}`")),
        }
    }

    fn denied(&self, at: &Reference, error: Error) -> Error {
        let registry = &at.registry;
        let known = self.logins.of(registry).ok().flatten().is_some();
        let shown = if registry == DOCKER_HUB { "" } else { registry.as_str() };
        let log_in = format!("docker login {shown}");
        let log_in = log_in.trim_end();
        match ecr::place(registry) {
            Some(_) => error.hint("see with `aws sts get-caller-identity` who asks; it needs `ecr:GetAuthorizationToken`, and `ecr:BatchGetImage` of this repository"),
            None if known => error.hint(format!(
                "run `{log_in}` again: that login has ended, or does not reach this repository"
            )),
            None if registry == DOCKER_HUB => error.hint(format!(
                "mend its name, or run `{log_in}`: Docker Hub answers so for what does not exist and for what is private"
            )),
            None => error.hint(format!("run `{log_in}`: nobody is logged in there")),
        }
    }

    /// Adds which tags there are to the error for one that is not there.
    fn no_tag(&self, at: &Reference, tag: &str, error: Error) -> Error {
        #[derive(Deserialize)]
        struct Tags {
            tags: Option<Vec<String>>,
        }
        let url = format!("{}/v2/{}/tags/list?n=1000", at.base(), at.repository);
        let listed = self.ask(at, &Ask::get(&url), Patience::Once).ok();
        // Some say only here that there is no such repository at all.
        if listed.as_ref().is_some_and(|answer| answer.status == 404) {
            return Error { causes: error.causes, ..no_repository(at) };
        }
        let listed = listed.filter(Answer::is_success).and_then(|answer| answer.bytes().ok());
        let listed: Option<Tags> = listed.and_then(|body| serde_json::from_slice(&body).ok());
        let mut tags = listed.and_then(|listed| listed.tags).unwrap_or_default();
        tags.sort();
        if let Some(near) = nearest(tag, tags.iter().map(String::as_str)) {
            return error.hint(format!("did you mean `{near}`?"));
        }
        match tags.len() {
            0 => error.hint("push it there, or mend the tag"),
            n => {
                let some: Vec<String> =
                    tags.iter().rev().take(MOST_TAGS).map(|tag| format!("`{tag}`")).collect();
                let more = if n > some.len() { ", and more" } else { "" };
                error.hint(format!("mend the tag; it has {}{more}", some.join(", ")))
            }
        }
    }
}

/// What the first of some names gives, and why those before it gave nothing.
fn first<'n, T>(
    names: &[&'n str],
    ask: impl Fn(&str, Patience) -> Result<T>,
) -> Result<(&'n str, T, Vec<Error>)> {
    let mut passed_over = Vec::new();
    for (index, &name) in names.iter().enumerate() {
        let patience = if index + 1 == names.len() { Patience::Again } else { Patience::Once };
        match ask(name, patience) {
            Ok(answer) => return Ok((name, answer, passed_over)),
            Err(error) => passed_over.push(error),
        }
    }
    Err(none_of(names, passed_over))
}

/// One error of the errors of all names.
pub fn none_of(names: &[&str], mut errors: Vec<Error>) -> Error {
    if errors.len() == 1 {
        return errors.remove(0);
    }
    let name = names.first().copied().unwrap_or_default();
    let mut error = Error::environment(format!("neither `{name}` nor a mirror of it can be had"));
    for one in errors {
        error = error.because(&one);
        for hint in one.hints {
            if !error.hints.contains(&hint) {
                error = error.hint(hint);
            }
        }
    }
    error
}

fn read(at: &Reference, found: &Found) -> Result<Manifest> {
    Manifest::parse(&found.kind, &found.bytes).map_err(|why| unusable(at, &why))
}

fn unusable(at: &Reference, why: &str) -> Error {
    Error::environment(format!("`{at}` cannot be used")).because(why).hint("name another image")
}

fn other_bytes(about: &str, promised: Digest, digest: Digest) -> Error {
    Error::environment(format!("{about} is damaged"))
        .because(format!("its digest is {digest}, not {promised}"))
        .hint("run it again; if it stays so, something between here and the registry changes it")
}

fn no_repository(at: &Reference) -> Error {
    Error::environment(format!("`{}` has no repository `{}`", at.registry, at.repository)).hint(
        "mend the name of the image; to those who may not read it, a private one looks the same",
    )
}

fn no_platform(at: &Reference, wanted: &Platform, had: &[Platform]) -> Error {
    let error = Error::environment(format!("`{at}` is not made for `{wanted}`"));
    let had: Vec<String> = had.iter().map(|platform| format!("`{platform}`")).collect();
    match had.as_slice() {
        [] => error.because("it names no platform at all").hint("name another image"),
        had => error
            .because(format!("it is made for {}", had.join(", ")))
            .hint("set `platform` of the runner to one of those, or build it for this one too"),
    }
}

/// The code and the words of an error, as registries write them.
fn complaint(body: &[u8]) -> (String, String) {
    let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |at: &str| json.pointer(at).and_then(|text| text.as_str()).unwrap_or_default();
    let said = [text("/errors/0/message"), text("/details"), text("/message"), text("/error")];
    let said = said.into_iter().find(|said| !said.is_empty()).unwrap_or_default();
    (text("/errors/0/code").to_owned(), said.chars().take(200).collect())
}

/// What is sent in every request to a registry that knows no tokens.
fn basic(login: &Login) -> Option<String> {
    match login {
        Login::Password { user, password } => {
            Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
        }
        Login::Identity(_) => None,
    }
}

/// A text as a value in a query or a form.
fn in_query(text: &str) -> String {
    percent::path(text).replace('/', "%2F")
}
