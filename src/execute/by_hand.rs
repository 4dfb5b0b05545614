//! The same run as a line for a shell, for people who want to do it by hand.
//!
//! What a container is given stands here once, for `docker run` and for the daemon's API alike.
//! The line is recorded and shown, so variables that are handed through stand in it by their names.

use std::path::Path;

use crate::job::{Engine, Isolation, Limits, Mount, RunSpec};

/// The whole command, quoted for a POSIX shell: `docker run …`, or the program itself.
pub fn line(spec: &RunSpec) -> String {
    match &spec.engine {
        Engine::Image { id, platform, pulls } => {
            // By this name any machine gets the same image.
            let image = pulls.first().unwrap_or(id);
            docker_run_line(spec, image, platform.as_deref())
        }
        Engine::Program { executable } => program_line(spec, executable),
    }
}

fn program_line(spec: &RunSpec, executable: &Path) -> String {
    let folder = match &spec.workdir {
        Some(workdir) => spec.scratch.join(workdir),
        None => spec.scratch.clone(),
    };
    let mut words = vec!["env".to_owned(), "-i".to_owned()];
    words.extend(variables(spec));
    words.push(quote(&executable.display().to_string()));
    words.extend(spec.arguments.iter().map(|argument| quote(argument)));
    format!("cd {} && {}", quote(&folder.display().to_string()), words.join(" "))
}

/// What the environment is set to, each quoted for a shell; what is handed through, the shell fills in.
fn variables(spec: &RunSpec) -> impl Iterator<Item = String> {
    spec.environment.iter().map(|(name, value)| {
        match spec.handed_through.contains(name) {
            false => quote(&format!("{name}={value}")),
            true if is_a_shells(name) => format!("{name}=\"${name}\""),
            // A shell has no variable of such a name.
            true => format!("{}\"$(printenv {})\"", quote(&format!("{name}=")), quote(name)),
        }
    })
}

/// Whether a shell can have a variable of this name.
fn is_a_shells(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(word) && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn docker_run_line(spec: &RunSpec, image: &str, platform: Option<&str>) -> String {
    let mut words: Vec<String> = ["docker", "run", "--rm"].map(str::to_owned).into();
    let mut option = |name: &str, value: &str| words.extend([name.to_owned(), quote(value)]);
    if let Some(platform) = platform {
        option("--platform", platform);
    }
    option("--network", network(&spec.isolation));
    for security in security() {
        option("--security-opt", &security);
    }
    for capability in &spec.isolation.drop_capabilities {
        option("--cap-drop", capability);
    }
    for capability in &spec.isolation.add_capabilities {
        option("--cap-add", capability);
    }
    if let Some(bytes) = spec.limits.memory {
        option("--memory", &format!("{bytes}b"));
        option("--memory-swap", &format!("{bytes}b"));
    }
    if let Some(cpus) = cpus(&spec.limits) {
        option("--cpus", &cpus.to_string());
    }
    if let Some(user) = &spec.isolation.user {
        option("--user", user);
    }
    if let Some(workdir) = &spec.workdir {
        option("--workdir", workdir);
    }
    for variable in variables(spec) {
        words.extend(["--env".to_owned(), variable]);
    }
    let mut option = |name: &str, value: &str| words.extend([name.to_owned(), quote(value)]);
    for mount in &spec.mounts {
        option("--mount", &mount_option(mount));
    }
    if spec.isolation.read_only_root {
        option("--tmpfs", &format!("/tmp:{TMPFS}"));
    }
    let mut before = Vec::new();
    if let Some(entrypoint) = &spec.entrypoint {
        // `--entrypoint` takes one word; the others come before the arguments.
        option("--entrypoint", entrypoint.first().map_or("", String::as_str));
        before.extend(entrypoint.iter().skip(1).map(|word| quote(word)));
    }
    if spec.isolation.read_only_root {
        words.push("--read-only".to_owned());
    }
    words.push(quote(image));
    words.extend(before);
    words.extend(spec.arguments.iter().map(|argument| quote(argument)));
    words.join(" ")
}

/// Options of the tmpfs on /tmp; R compiles and loads code there, so it is executable.
pub const TMPFS: &str = "rw,exec,nosuid,nodev,mode=1777";

/// The network mode: none unless declared.
pub fn network(isolation: &Isolation) -> &str {
    isolation.network.as_deref().unwrap_or("none")
}

/// The bound on processors; daemons refuse one that is above what the machine has, which is no bound.
pub fn cpus(limits: &Limits) -> Option<f64> {
    let had = std::thread::available_parallelism().map_or(f64::INFINITY, |n| n.get() as f64);
    limits.cpus.filter(|cpus| *cpus < had)
}

/// Security options: no new privileges; and, on machines with SELinux, no labels, which would forbid reading mounted folders.
pub fn security() -> Vec<String> {
    let mut options = vec!["no-new-privileges".to_owned()];
    if Path::new("/sys/fs/selinux/enforce").exists() {
        options.push("label=disable".to_owned());
    }
    options
}

/// `--mount` reads a line of CSV: fields that hold commas or quotes are quoted.
fn mount_option(mount: &Mount) -> String {
    let mut fields = vec![
        "type=bind".to_owned(),
        format!("source={}", mount.host.display()),
        format!("target={}", mount.inside),
    ];
    if !mount.write {
        fields.push("readonly".to_owned());
    }
    let quoted = fields.iter().map(|field| {
        if field.contains([',', '"', '\n']) {
            format!("\"{}\"", field.replace('"', "\"\""))
        } else {
            field.clone()
        }
    });
    quoted.collect::<Vec<_>>().join(",")
}

/// One word for a POSIX shell.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn spec(engine: Engine) -> RunSpec {
        RunSpec {
            id: "7".to_owned(),
            owner: "0123456789abcdef".to_owned(),
            engine,
            entrypoint: None,
            arguments: vec!["batch".to_owned(), "it's $HOME".to_owned()],
            environment: vec![("MODEL".to_owned(), "ryan white".to_owned())],
            handed_through: vec![],
            workdir: None,
            scratch: PathBuf::from("/scratch/7"),
            mounts: vec![],
            isolation: Isolation::default(),
            limits: Limits::default(),
        }
    }

    #[test]
    fn a_container_by_hand() {
        let engine = Engine::Image {
            id: "sha256:abc".to_owned(),
            platform: Some("linux/amd64".to_owned()),
            pulls: Vec::new(),
        };
        let mut spec = spec(engine);
        spec.entrypoint = Some(vec!["Rscript".to_owned(), "--vanilla".to_owned()]);
        spec.mounts = vec![
            Mount { host: "/in, \"put\"".into(), inside: "/app/in".to_owned(), write: false },
            Mount { host: "/out:x".into(), inside: "/app/out".to_owned(), write: true },
        ];
        spec.limits.memory = Some(1 << 30);
        spec.limits.cpus = Some(0.5);
        insta::assert_snapshot!(line(&spec), @r#"docker run --rm --platform linux/amd64 --network none --security-opt no-new-privileges --memory 1073741824b --memory-swap 1073741824b --cpus 0.5 --env 'MODEL=ryan white' --mount 'type=bind,"source=/in, ""put""",target=/app/in,readonly' --mount type=bind,source=/out:x,target=/app/out --entrypoint Rscript sha256:abc --vanilla batch 'it'\''s $HOME'"#);
    }

    #[test]
    fn a_program_by_hand() {
        let mut spec = spec(Engine::Program { executable: "/bin/model".into() });
        spec.workdir = Some("plots".to_owned());
        insta::assert_snapshot!(line(&spec), @r"cd /scratch/7/plots && env -i 'MODEL=ryan white' /bin/model batch 'it'\''s $HOME'");
    }

    #[test]
    fn what_is_handed_through_is_named_and_its_value_is_not_written() {
        let mut spec = spec(Engine::Program { executable: "/bin/model".into() });
        for name in ["TOKEN", "MY.TOKEN"] {
            spec.environment.push((name.to_owned(), "s3cret".to_owned()));
            spec.handed_through.push(name.to_owned());
        }
        insta::assert_snapshot!(line(&spec), @r#"cd /scratch/7 && env -i 'MODEL=ryan white' TOKEN="$TOKEN" MY.TOKEN="$(printenv MY.TOKEN)" /bin/model batch 'it'\''s $HOME'"#);
        spec.engine =
            Engine::Image { id: "sha256:abc".to_owned(), platform: None, pulls: Vec::new() };
        insta::assert_snapshot!(line(&spec), @r#"docker run --rm --network none --security-opt no-new-privileges --env 'MODEL=ryan white' --env TOKEN="$TOKEN" --env MY.TOKEN="$(printenv MY.TOKEN)" sha256:abc batch 'it'\''s $HOME'"#);
    }
}
