//! Finds a container daemon, Docker or Podman, and asks it what a run needs to know beforehand.
//!
//! Knows sockets, contexts and API versions; nothing of runs.

use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::models::ImageInspect;
use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};
use crate::registry::Config;
use crate::registry::manifests::variables;
use crate::registry::platform::Platform;
use crate::registry::reference::Reference;

/// The label that says whose runs a container belongs to.
pub const OWNER_LABEL: &str = "jheem.owner";
/// The label that says which run a container is.
pub const RUN_LABEL: &str = "jheem.run";

/// How long a daemon may take for a request; creating a container of a 6 GB image can take minutes.
const REQUEST_SECONDS: u64 = 300;
/// How long a daemon may take to say that it is there.
const PING: Duration = Duration::from_secs(10);

/// Where to look for a daemon.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The one to take, `unix:///…`; as `DOCKER_HOST` says.
    pub host: Option<String>,
    /// The Docker context to take; as `DOCKER_CONTEXT` says.
    pub context: Option<String>,
    /// Docker's configuration; `~/.docker` if not given.
    pub config: Option<PathBuf>,
    pub home: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`: where a user's own daemon has its socket.
    pub runtime_folder: Option<PathBuf>,
}

impl Options {
    /// What Docker's own client would look at.
    pub fn from_environment() -> Options {
        let text = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let path = |name| text(name).map(PathBuf::from);
        Options {
            host: text("DOCKER_HOST"),
            context: text("DOCKER_CONTEXT"),
            config: path("DOCKER_CONFIG"),
            home: path("HOME"),
            runtime_folder: path("XDG_RUNTIME_DIR"),
        }
    }
}

/// A daemon that has answered.
#[derive(Clone)]
pub struct Daemon {
    pub docker: Docker,
    pub socket: PathBuf,
    pub podman: bool,
}

impl fmt::Debug for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.podman { "Podman" } else { "Docker" };
        write!(f, "the {name} daemon at `{}`", self.socket.display())
    }
}

/// The first daemon that answers; none is an error that says what was tried.
pub fn find(options: &Options) -> Result<Daemon> {
    let places = places(options)?;
    let mut tried = Vec::new();
    for socket in &places {
        match greet(socket) {
            Ok(greeting) => return connect(socket, &greeting),
            Err(error) => tried.push((socket, error)),
        }
    }
    let mut error = Error::environment("no container daemon answers");
    let named = tried.len() == 1;
    // Of the usual places, those that do not exist are all the same.
    let (absent, failed): (Vec<_>, Vec<_>) =
        tried.iter().partition(|(_, error)| !named && error.kind() == io::ErrorKind::NotFound);
    for (socket, why) in &failed {
        error = error.because(format!("`{}`: {}", socket.display(), reason(why)));
    }
    if !absent.is_empty() {
        let names: Vec<_> = absent.iter().map(|(path, _)| path.display().to_string()).collect();
        error = error.because(format!("nothing at `{}`", names.join("`, `")));
    }
    let denied =
        |(_, error): &&(&PathBuf, io::Error)| error.kind() == io::ErrorKind::PermissionDenied;
    Err(match failed.iter().copied().find(denied) {
        Some(_) => error.hint("run `sudo usermod -aG docker $USER` and log in again: only members of the `docker` group may use Docker's socket"),
        None if options.host.is_some() => error.hint("start that daemon, or unset `DOCKER_HOST` to have the usual places tried"),
        None if failed.is_empty() => error.hint("install Docker or Podman, or set `DOCKER_HOST` to its socket"),
        None => error.hint("start it: `sudo systemctl start docker`, `systemctl --user start podman.socket`, or Docker Desktop"),
    })
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such socket".to_owned(),
        io::ErrorKind::ConnectionRefused => "nobody listens on it".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer in time".to_owned(),
        _ => error.to_string(),
    }
}

/// The sockets to try: the one that was named, or else the usual ones.
fn places(options: &Options) -> Result<Vec<PathBuf>> {
    if let Some(host) = &options.host {
        return Ok(vec![socket(host)?]);
    }
    let docker = options.config.clone().or_else(|| Some(options.home.as_ref()?.join(".docker")));
    if let Some(host) = docker.as_ref().map_or(Ok(None), |docker| context(options, docker))? {
        return Ok(vec![socket(&host)?]);
    }
    let mut places = vec![PathBuf::from("/var/run/docker.sock")];
    let runtime = options.runtime_folder.as_ref();
    places.extend(runtime.map(|folder| folder.join("docker.sock")));
    // Docker Desktop, on macOS and on Linux.
    places.extend(docker.iter().map(|docker| docker.join("run/docker.sock")));
    places.extend(docker.iter().map(|docker| docker.join("desktop/docker.sock")));
    places.push(PathBuf::from("/run/podman/podman.sock"));
    places.extend(runtime.map(|folder| folder.join("podman/podman.sock")));
    Ok(places)
}

fn socket(host: &str) -> Result<PathBuf> {
    match host.split_once("://") {
        Some(("unix", path)) => Ok(PathBuf::from(path)),
        None if host.starts_with('/') => Ok(PathBuf::from(host)),
        _ => Err(Error::unsupported(format!("cannot use the daemon at `{host}`: only `unix://` sockets are known, since inputs are mounted from this machine"))
            .hint("set `DOCKER_HOST` to a local socket, such as `unix:///var/run/docker.sock`")),
    }
}

/// The host of the Docker context in use, if it is not the default one.
fn context(options: &Options, docker: &Path) -> Result<Option<String>> {
    let json = |path: &Path| -> Option<serde_json::Value> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    };
    let configured =
        || Some(json(&docker.join("config.json"))?.get("currentContext")?.as_str()?.to_owned());
    let name = options.context.clone().or_else(configured);
    let Some(name) = name.filter(|name| !name.is_empty() && name != "default") else {
        return Ok(None);
    };
    let hash: String = Sha256::digest(&name).iter().map(|byte| format!("{byte:02x}")).collect();
    let file = docker.join("contexts/meta").join(hash).join("meta.json");
    let host = json(&file)
        .and_then(|meta| Some(meta.pointer("/Endpoints/docker/Host")?.as_str()?.to_owned()));
    host.map(Some).ok_or_else(|| {
        Error::environment(format!(
            "cannot read the Docker context `{name}` from `{}`",
            file.display()
        ))
        .hint("see `docker context ls`, and choose one with `docker context use NAME`")
    })
}

/// What a daemon says of itself on `/_ping`.
#[derive(Debug, PartialEq)]
struct Greeting {
    version: (usize, usize),
    podman: bool,
}

/// Asks for the API version over a connection of its own: Podman takes seconds for `/version`.
fn greet(socket: &Path) -> io::Result<Greeting> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PING))?;
    stream.set_write_timeout(Some(PING))?;
    stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(1 << 16).read_to_end(&mut answer)?;
    greeting(&String::from_utf8_lossy(&answer)).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, "what answers there is no container daemon")
    })
}

fn greeting(answer: &str) -> Option<Greeting> {
    let (status, rest) = answer.split_once('\n')?;
    if status.split_ascii_whitespace().nth(1) != Some("200") {
        return None;
    }
    let headers = rest.lines().take_while(|line| !line.trim().is_empty());
    let mut greeting = Greeting { version: (0, 0), podman: false };
    for (name, value) in headers.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("api-version") {
            let (major, minor) = value.split_once('.')?;
            greeting.version = (major.parse().ok()?, minor.parse().ok()?);
        }
        greeting.podman |= name.eq_ignore_ascii_case("libpod-api-version");
    }
    (greeting.version != (0, 0)).then_some(greeting)
}

fn connect(socket: &Path, greeting: &Greeting) -> Result<Daemon> {
    let newest = (API_DEFAULT_VERSION.major_version, API_DEFAULT_VERSION.minor_version);
    let (major_version, minor_version) = greeting.version.min(newest);
    let version = ClientVersion { major_version, minor_version };
    let path = socket.to_string_lossy();
    let docker = Docker::connect_with_unix(&path, REQUEST_SECONDS, &version)
        .map_err(|error| Error::io("connect to", socket, &io::Error::other(error)))?;
    Ok(Daemon { docker, socket: socket.to_owned(), podman: greeting.podman })
}

impl Daemon {
    /// A request that failed, in words: `cannot VERB: the daemon's own words`.
    pub fn refused(&self, what: &str, error: &bollard::errors::Error) -> Error {
        match error {
            bollard::errors::Error::DockerResponseServerError { message, .. } => {
                Error::environment(format!("cannot {what}"))
                    .because(format!("{self} says: {}", message.trim()))
            }
            other => Error::environment(format!("cannot {what}"))
                .because(format!("{self} does not answer: {other}"))
                .hint("see whether it is still there with `docker info`, then try again"),
        }
    }

    /// The name by which this daemon knows an image: its config digest.
    ///
    /// `platform` is `os/architecture[/variant]`; an image of another one is an error.
    /// With Docker's containerd image store the daemon's own name is a manifest digest, and that is what is returned.
    pub async fn image_id(&self, name: &str, platform: Option<&str>) -> Result<Option<String>> {
        let Some(image) = self.inspect(name).await? else { return Ok(None) };
        let had = [image.os.as_deref(), image.architecture.as_deref(), image.variant.as_deref()];
        let had: Vec<&str> = had.into_iter().flatten().filter(|part| !part.is_empty()).collect();
        if let Some(wanted) = platform
            && had.len() >= 2
            && wanted.split('/').zip(&had).any(|(wanted, had)| wanted != *had)
        {
            let had = had.join("/");
            return Err(Error::environment(format!(
                "image `{name}` is for `{had}`, not for `{wanted}`"
            ))
            .hint(format!("run `docker pull --platform {wanted} {name}`")));
        }
        // Podman leaves the tag out.
        Ok(image.id.map(|id| if id.contains(':') { id } else { format!("sha256:{id}") }))
    }

    async fn inspect(&self, name: &str) -> Result<Option<ImageInspect>> {
        match self.docker.inspect_image(name).await {
            Ok(image) => Ok(Some(image)),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(self.refused(&format!("look up image `{name}`"), &error)),
        }
    }

    /// What is baked into an image.
    pub async fn image_config(&self, name: &str) -> Result<Option<Config>> {
        let image = self.inspect(name).await?;
        let config = image.and_then(|image| image.config);
        Ok(config.map(|config| Config {
            platform: Platform::default(),
            env: variables(config.env.unwrap_or_default()),
            labels: config.labels.unwrap_or_default().into_iter().collect(),
        }))
    }

    /// The repositories that an image was pulled from or pushed to.
    pub async fn image_repositories(&self, name: &str) -> Result<Vec<String>> {
        let image = self.inspect(name).await?;
        let digests = image.and_then(|image| image.repo_digests).unwrap_or_default();
        let parsed = digests.iter().filter_map(|digest| Reference::parse(digest).ok());
        Ok(parsed.map(|reference| reference.full_repository()).collect())
    }

    /// Whether the daemon runs as an ordinary user, whom a container sees as root.
    pub async fn is_rootless(&self) -> Result<bool> {
        let told = self.docker.info().await;
        let info = told.map_err(|error| self.refused("ask the daemon how it runs", &error))?;
        let options = info.security_options.unwrap_or_default();
        Ok(options.iter().any(|option| option.starts_with("name=rootless")))
    }
}

/// The HTTP status of an answer that is an error.
pub fn status(error: &bollard::errors::Error) -> Option<u16> {
    match error {
        bollard::errors::Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_the_ping() {
        let docker =
            "HTTP/1.0 200 OK\r\nApi-Version: 1.41\r\nServer: Docker/20.10.24 (linux)\r\n\r\nOK";
        assert_eq!(greeting(docker), Some(Greeting { version: (1, 41), podman: false }));
        let podman = "HTTP/1.1 200 OK\r\nApi-Version: 1.40\r\nLibpod-Api-Version: 4.3.1\r\n\r\nOK";
        assert_eq!(greeting(podman), Some(Greeting { version: (1, 40), podman: true }));
        assert_eq!(greeting("HTTP/1.0 404 Not Found\r\nApi-Version: 1.41\r\n\r\n"), None);
        assert_eq!(greeting("SSH-2.0-OpenSSH"), None);
    }

    #[test]
    fn without_a_daemon_every_place_tried_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let dead = folder.path().join("docker.sock");
        drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
        let host = Some(format!("unix://{}", dead.display()));
        let error = find(&Options { host, ..Options::default() }).unwrap_err();
        assert_eq!(error.message, "no container daemon answers");
        assert_eq!(error.causes, [format!("`{}`: nobody listens on it", dead.display())]);
        assert!(error.hints[0].starts_with("start that daemon, or unset"), "{error:?}");
    }

    #[test]
    fn a_daemon_on_another_machine_is_refused_with_a_reason() {
        let host = Some("tcp://10.0.0.1:2375".to_owned());
        let error = find(&Options { host, ..Options::default() }).unwrap_err();
        assert!(error.message.contains("`tcp://10.0.0.1:2375`"), "{error}");
    }

    #[test]
    fn the_chosen_context_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let docker = folder.path().join(".docker");
        // The folder is named after the SHA-256 of `colima`.
        let hash = "f24fd3749c1368328e2b149bec149cb6795619f244c5b584e844961215dadd16";
        let meta = docker.join("contexts/meta").join(hash);
        fs::create_dir_all(&meta).unwrap();
        fs::write(docker.join("config.json"), r#"{"currentContext": "colima"}"#).unwrap();
        fs::write(
            meta.join("meta.json"),
            r#"{"Endpoints": {"docker": {"Host": "unix:///colima.sock"}}}"#,
        )
        .unwrap();
        let options = Options { home: Some(folder.path().to_owned()), ..Options::default() };
        assert_eq!(places(&options).unwrap(), [PathBuf::from("/colima.sock")]);
        let other = Options { context: Some("gone".to_owned()), ..options.clone() };
        assert!(places(&other).unwrap_err().message.contains("`gone`"));
        let default = Options { context: Some("default".to_owned()), ..options };
        assert!(places(&default).unwrap().contains(&docker.join("run/docker.sock")));
    }
}
