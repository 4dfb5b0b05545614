//! Images of registries in a project: pinned, compared, asserted, pulled, and replaced for one run.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use jheem::registry::platform::Platform;
use serde_json::{Value, json};

use super::super::containers::{daemon, docker};
use super::super::project::{Project, Ran};
use super::server::{INDEX, LOGIN, PASSWORD, Server};

/// Two plots of one image, `NAME`, each made by a run of its own.
const JHEEMFILE: &str = r#"
[project]
name = "pinned"
[axis.city]
values = ["A", "B"]
[runner.model]
image = "NAME"
platform = "PLATFORM"
entrypoint = ["/busybox", "sh", "/model.sh"]
dirs = { "/plots" = "plots" }
[plot.p]
over = ["city"]
runner = "model"
batch = { by = ["city"] }
command = ["{city}"]
output.plot = { path = "plots/{city}.json", as = "json" }
"#;

fn here() -> String {
    Platform::here().to_string()
}

/// A project of the image of this name, logged in to the registry.
fn project(server: &Server, name: &str) -> Project {
    let text = JHEEMFILE.replace("NAME", name).replace("PLATFORM", &here());
    let config = server.log_in(&server.host);
    Project::new()
        .jheemfile(&text)
        .env("DOCKER_CONFIG", config.parent().unwrap().to_str().unwrap())
        .env("JHEEM_TEST_SECRET", PASSWORD)
}

/// A jheem that finds no daemon.
fn alone(project: &Project, arguments: &str) -> Ran {
    let nowhere = format!("unix://{}", project.path("no.sock").display());
    let mut command = project.command(arguments);
    let ran = Ran::new(arguments, command.env("DOCKER_HOST", nowhere).output().unwrap());
    for secret in [PASSWORD, LOGIN] {
        assert!(!format!("{ran}").contains(secret), "a secret is said aloud: {ran}");
    }
    ran
}

fn push(server: &Server, tag: &str, baked: Value) -> [String; 2] {
    server.image("me/model", tag, &here(), baked)
}

#[test]
fn update_pins_images_and_then_neither_a_daemon_nor_the_network_is_asked() {
    let Some(server) = Server::start() else { return };
    let [manifest, config] = push(&server, "1", json!({}));
    let name = format!("{}/me/model:1", server.host);
    let project = project(&server, &name);
    let here = here();
    alone(&project, "update --dry-run").success().says(&format!("new {name} {here} {config}"));
    assert!(!project.exists("Jheem.lock"));
    alone(&project, "update").success().says(&format!("new {name} {here} {config}"));
    let line =
        format!("\"{name} {here}\" = {{ manifest = \"{manifest}\", config = \"{config}\" }}\n");
    assert!(project.read("Jheem.lock").contains(&line), "{}", project.read("Jheem.lock"));
    let lock = project.read("Jheem.lock");
    alone(&project, "update").success().says(&format!("same {name} {here} {config}"));
    assert_eq!(project.read("Jheem.lock"), lock);
    drop(server);
    alone(&project, "plan --format json").success().targets("stale=2");
}

#[test]
fn without_a_platform_the_images_of_all_are_pinned() {
    let Some(server) = Server::start() else { return };
    let amd = server.image("me/model", "", "linux/amd64", json!({}));
    let arm = server.image("me/model", "", "linux/arm64/v8", json!({}));
    let of = [("linux/amd64", amd[0].as_str()), ("linux/arm64/v8", arm[0].as_str())];
    let index = server.index("me/model", "both", INDEX, &of);
    let name = format!("{}/me/model:both", server.host);
    let project = project(&server, &name);
    project.change(&format!("platform = \"{}\"\n", here()), "");
    alone(&project, "update").success();
    let lock = project.read("Jheem.lock");
    for (platform, [manifest, config]) in [("linux/amd64", &amd), ("linux/arm64", &arm)] {
        let line = format!(
            "\"{name} {platform}\" = {{ manifest = \"{manifest}\", config = \"{config}\", tag = \"{index}\" }}\n"
        );
        assert!(lock.contains(&line), "{lock}");
    }
    alone(&project, "plan --format json").success().targets("stale=2");
    alone(&project, "plan --remote").success().says("what the lock pins is there");
}

#[test]
fn a_tag_that_moved_and_an_image_that_is_gone_are_told_by_a_plan_that_asks() {
    let Some(server) = Server::start() else { return };
    let first = push(&server, "1", json!({}));
    let name = format!("{}/me/model:1", server.host);
    let project = project(&server, &name);
    alone(&project, "update").success();
    alone(&project, "plan --remote")
        .success()
        .says("1 image asked for: what the lock pins is there");
    let second = push(&server, "1", json!({ "User": "2" }));
    let told = alone(&project, "plan --remote").success();
    drop(told.says(&format!("`{name}` names another image by now")).says("`jheem update` pins it"));
    server.delete("me/model", &first[0]);
    let told = alone(&project, "plan --remote").code(1).says("is gone").says(&first[0]);
    drop(told.says("run `jheem update`"));
    let moved = format!("changed {name} {} {} -> {}", here(), first[1], second[1]);
    alone(&project, "update").success().says(&moved);
    alone(&project, "plan --remote").success();
}

#[test]
fn an_image_that_was_built_for_another_release_is_refused_before_anything_runs() {
    let Some(server) = Server::start() else { return };
    let baked = json!({
        "Env": ["PATH=/bin", "MODEL_ID=pinned", "SIMSET_RELEASE=v1.0.0"], "Labels": { "version": "1" },
    });
    push(&server, "1", baked);
    let name = format!("{}/me/model:1", server.host);
    let project = project(&server, &name);
    let asked = "image_has = { env = { MODEL_ID = \"{project}\", SIMSET_RELEASE = \"v1.1.0\" }, labels = { version = \"1\" } }\n[plot.p]";
    project.change("[plot.p]", asked);
    let refused = |ran: Ran| {
        let image = format!(
            "the image `{name}` has the variable `SIMSET_RELEASE` = `v1.0.0`, and `v1.1.0` is asked for"
        );
        ran.code(2).says(&image).says("Jheemfile.toml:")
    };
    refused(alone(&project, "update"));
    assert!(!project.exists("Jheem.lock"), "what is refused is not pinned");
    project.change("v1.1.0", "v1.0.0");
    alone(&project, "update").success();
    project.change("v1.0.0", "v1.1.0");
    let ran = refused(alone(&project, "build"));
    assert!(!ran.stderr.contains("no container daemon"), "nothing was begun: {ran}");
    project.change("v1.1.0", "v1.0.0");
    project.change("version = \"1\" }", "version = \"1\", maker = \"me\" }");
    alone(&project, "build").code(2).says("has no label `maker`, and `me` is asked for");
}

#[test]
fn an_image_is_held_to_the_release_that_its_inputs_come_from() {
    let Some(server) = Server::start() else { return };
    push(&server, "1", json!({ "Env": ["SIMSET_RELEASE=v1.0.0"] }));
    let name = format!("{}/me/model:1", server.host);
    let project = project(&server, &name);
    let text = project.read("Jheemfile.toml");
    let release = "[input.base]\npath = \"data/{city}.csv\"\nsource = \"github://me/data@v1.0.0/{city}.csv\"\n\
                   [runner.model]\nimage_has.env = { SIMSET_RELEASE = \"{release:base}\" }\n";
    project.write("Jheemfile.toml", text.replace("[runner.model]\n", release));
    alone(&project, "update runner.model").success().says("new");
    project.change("@v1.0.0", "@v1.1.0");
    let said = "`SIMSET_RELEASE` = `v1.0.0`, and `v1.1.0` is asked for";
    alone(&project, "build").code(2).says(said);
    for (wrong, said) in [
        ("{release:bse}", "did you mean `base`?"),
        ("{city}", "use one of `{project}`, `{release:INPUT}`"),
    ] {
        project.change("{release:base}", wrong);
        alone(&project, "plan").code(2).says(said);
        project.change(wrong, "{release:base}");
    }
    project.change("github://me/data@v1.1.0/", "https://example.org/");
    alone(&project, "plan").code(2).says("`input.base` comes from no release");
}

#[test]
fn an_image_that_nobody_has_cannot_be_pinned() {
    let Some(server) = Server::start() else { return };
    let project = project(&server, &format!("{}/me/model:1", server.host));
    let told = alone(&project, "update").code(3).says("cannot be pinned");
    drop(told.says("has no repository `me/model`").says("no container daemon answers"));
    assert!(!project.exists("Jheem.lock"));
}

#[test]
fn what_replaces_an_image_must_be_one_of_a_runner() {
    let Some(server) = Server::start() else { return };
    let project = project(&server, &format!("{}/me/model:1", server.host));
    for (asked, said) in [
        ("modle=x", "did you mean `model`?"),
        ("model", "write `--image RUNNER=IMAGE`"),
        ("model=Not/An Image", "is not the name of an image"),
        ("model=", "is not the name of an image"),
    ] {
        let mut command = project.command("build --image");
        let ran = Ran::new("build --image", command.arg(asked).output().unwrap());
        ran.code(2).says(said);
    }
    project.change(&format!("image = \"{}/me/model:1\"", server.host), "program = \"./hand\"");
    for line in ["platform = ", "entrypoint = ", "dirs = "] {
        let text = project.read("Jheemfile.toml");
        let kept: Vec<&str> = text.lines().filter(|kept| !kept.starts_with(line)).collect();
        project.write("Jheemfile.toml", kept.join("\n"));
    }
    project.jheem("plan --image model=x").code(2).says("runner `model` starts no image");
}

/// A registry and a daemon; what the daemon pulled from there is taken away at the end.
struct Both {
    server: Server,
}

impl Both {
    fn start() -> Option<Both> {
        daemon()?;
        Some(Both { server: Server::start()? })
    }

    /// An image that draws plots which say `by`.
    fn push(&self, tag: &str, by: &str) -> [String; 2] {
        let folder = tempfile::tempdir().unwrap();
        let model = format!(
            "echo \"{{\\\"city\\\": \\\"$1\\\", \\\"by\\\": \\\"{by}\\\"}}\" > /plots/$1.json\n"
        );
        fs::write(folder.path().join("model.sh"), model).unwrap();
        fs::copy("/bin/busybox", folder.path().join("busybox")).unwrap();
        let layer = Command::new("tar")
            .args(["--numeric-owner", "--owner=0", "--group=0", "-c", "busybox", "model.sh"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(layer.status.success(), "{layer:?}");
        self.server.image_of("me/model", tag, &here(), json!({}), &[&layer.stdout])
    }
}

impl Drop for Both {
    fn drop(&mut self) {
        let all = docker(&["images", "--format", "{{.Repository}} {{.ID}}"]);
        for line in all.lines() {
            if let Some(id) = line.strip_prefix(&format!("{}/me/model ", self.server.host)) {
                let _gone = Command::new("docker").args(["rmi", "-f", id]).output();
            }
        }
    }
}

#[test]
fn a_build_pulls_a_pinned_image_by_its_digest_and_shows_how_far_it_is() {
    let Some(both) = Both::start() else { return };
    let [manifest, config] = both.push("1", "first");
    let name = format!("{}/me/model:1", both.server.host);
    let project = project(&both.server, &name);
    project.jheem("update").success().says(&config);
    // The tag moves, and the lock holds.
    both.push("1", "second");
    let built = project.build("--jobs 2").success().targets("built=2");
    assert!(project.read("plots/A.json").contains("first"));
    let image = format!("{}/me/model@{manifest}", both.server.host);
    let events = built.events();
    let of = |kind: &str| events.iter().filter(|event| event["event"] == kind).collect::<Vec<_>>();
    let pulled = of("pulled");
    assert_eq!(pulled.len(), 1, "one pulls, the other waits: {built}");
    assert_eq!(pulled[0]["image"], image);
    // Podman does not say how many bytes come.
    let silent = daemon().unwrap().daemon().contains("Podman");
    assert!(silent || pulled[0]["bytes"].as_u64().unwrap() > 100_000, "{built}");
    assert!(of("pulling").iter().all(|event| event["image"] == image));
    assert!(!format!("{built}").contains(PASSWORD));
    project.write("plots/A.json", "{}");
    let again = project.build("").success();
    assert!(!again.stdout.contains("\"pulled\""), "{again}");
    let text = project.jheem("build").success();
    assert!(!text.stderr.contains("pulling"), "{text}");
}

#[test]
fn a_doctor_asks_the_registry_for_what_a_build_would_pull() {
    let Some(both) = Both::start() else { return };
    both.push("1", "doctor");
    let name = format!("{}/me/model:1", both.server.host);
    let project = project(&both.server, &name);
    let pulled = format!("will be pulled from `{name}`");
    project.jheem("doctor").success().says(&pulled);
    project.jheem("update").success();
    project.jheem("doctor").success().says(&pulled);
    project.change(&name, &format!("{}/me/model:2", both.server.host));
    let ran = project
        .jheem("doctor")
        .code(1)
        .says("the daemon does not have it, and it cannot be pulled");
    drop(ran.says("did you mean `1`?"));
}

#[test]
fn an_image_that_is_not_pinned_is_pulled_too_and_known_from_then_on() {
    let Some(both) = Both::start() else { return };
    both.push("1", "only");
    let name = format!("{}/me/model:1", both.server.host);
    let project = project(&both.server, &name);
    project.plan("").success().targets("pending=2").says("is not on this machine");
    project.build("--locked").code(2).says(&format!("it does not pin `{name}`"));
    let built = project.jheem("build").success().says("is not pinned").says("pulling:");
    drop(built.says("pulled:"));
    project.plan("").success().targets("fresh=2");
}

#[test]
fn where_the_registry_fails_a_mirror_gives_the_same_image() {
    let Some(both) = Both::start() else { return };
    both.push("1", "only");
    let mirror = format!("{}/me/model:1", both.server.host);
    let project = project(&both.server, "nosuchhost.invalid/me/model:1");
    let text = project.read("Jheemfile.toml");
    let with = format!("mirrors = [\"{mirror}\"]\nplatform = ");
    project.write("Jheemfile.toml", text.replace("platform = ", &with));
    project.jheem("update").success().says("passed over: ");
    project.build("").success().targets("built=2");
    // Neither the name nor the mirror counts.
    project.change("nosuchhost.invalid/me/model:1", &mirror);
    project.change(&format!("mirrors = [\"{mirror}\"]\n"), "");
    project.jheem("update").success();
    project.plan("").success().targets("fresh=2");
}

#[test]
fn a_pull_that_is_refused_says_how_to_log_in() {
    let Some(both) = Both::start() else { return };
    both.push("1", "only");
    let name = format!("{}/me/model:1", both.server.host);
    let project = project(&both.server, &name);
    project.jheem("update").success();
    fs::remove_file(both.server.folder.path().join("config.json")).unwrap();
    let told = project.jheem("build").code(1).says("cannot pull `");
    drop(told.says(&format!("run `docker login {}`", both.server.host)));
}

#[test]
fn what_a_replaced_image_made_is_not_published_until_the_lock_has_it() {
    let (Ok(endpoint), Ok(python)) =
        (std::env::var("JHEEM_TEST_AWS"), std::env::var("JHEEM_TEST_PYTHON"))
    else {
        println!("skipped: no AWS servers");
        return;
    };
    let Some(both) = Both::start() else { return };
    both.push("1", "first");
    both.push("2", "second");
    let repository = format!("{}/me/model", both.server.host);
    let bucket = format!("jheem-image-{}", std::process::id());
    let amazon = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "secret-of-the-tests"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ];
    let names = json!({ "bucket": bucket, "table": bucket, "hash": "h", "range": "r" }).to_string();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/aws.py");
    let made = Command::new(python).args([script, "make", &names]).envs(amazon).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let project = project(&both.server, &format!("{repository}:1"));
    let project = amazon.iter().fold(project, |project, (name, value)| project.env(name, value));
    let text = project.read("Jheemfile.toml");
    project.write(
        "Jheemfile.toml",
        format!("{text}\n[publish.site]\nof = \"plot.p\"\nobject.plot = {{ to = \"s3://{bucket}/p\", key = \"{{city}}.json\" }}\n"),
    );
    project.jheem("update").success();
    let publish = |arguments: &str| project.jheem(&format!("publish --format json {arguments}"));
    let ran = publish("").success();
    assert_eq!((ran.count("runs"), ran.count("published.objects")), (2, 2));

    let other = format!("--image model={repository}:2");
    project.plan(&other).success().targets("pending=2").says("is not on this machine");
    project.build(&other).success().targets("built=2");
    assert!(project.read("plots/A.json").contains("second"));
    // The same tag, in short.
    let ran = publish("--image model=:2").code(1).says("publish `site` is refused");
    drop(ran.says(&format!("the image `{repository}:2` of runner `model`")));
    let ran = publish("--image model=:2").code(1);
    assert_eq!((ran.count("runs"), ran.count("published.objects")), (0, 0));

    // The Jheemfile names it, and the lock pins it: nothing is run.
    project.change(&format!("{repository}:1"), &format!("{repository}:2"));
    project.jheem("update").success().says("gone").says("new");
    let ran = publish("").success();
    assert_eq!((ran.count("runs"), ran.count("published.objects")), (0, 2));
    // What is the lock's is published by its other name too.
    let ran = publish(&other).success();
    assert_eq!((ran.count("runs"), ran.count("published.objects")), (0, 0));
}

#[test]
fn a_pull_that_does_not_come_is_given_up_when_somebody_stops() {
    if daemon().is_none() {
        return;
    }
    // It takes requests and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let name = format!("{}/me/model:1", silent.local_addr().unwrap());
    let text = JHEEMFILE.replace("NAME", &name).replace("PLATFORM", &here());
    let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
    let lock = format!(
        "version = 1\n[image]\n\"{name} {}\" = {{ manifest = \"{}\", config = \"{}\" }}\n",
        here(),
        digest("a"),
        digest("b")
    );
    let project = Project::new().jheemfile(&text).file("Jheem.lock", lock);
    let mut build = project
        .command("build --format json")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(build.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("\"pulling\"") {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "it ended without pulling");
    }
    let asked = Command::new("kill").args(["-INT", &build.id().to_string()]).status().unwrap();
    assert!(asked.success());
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert_eq!(build.wait().unwrap().code(), Some(130), "{rest}");
    assert!(!rest.contains("\"failed\":1"), "what was stopped has not failed: {rest}");
}
