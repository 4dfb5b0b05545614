//! `jheem update`: what the names of images stand for now.

use super::super::project::{Project, Ran};
use super::{Tag, build_image, daemon, docker, pipeline_of};

const NARROW: &str = "--preset test --where city=C.12580 --where outcome=incidence";

/// A jheem that finds no daemon.
fn alone(project: &Project, arguments: &str) -> Ran {
    let nowhere = format!("unix://{}", project.path("no.sock").display());
    let mut command = project.command(arguments);
    Ran::new(arguments, command.env("DOCKER_HOST", nowhere).output().unwrap())
}

/// Builds another image under a name; returns its id as jheem writes it.
fn built(tag: &Tag, label: &str) -> String {
    // Podman says an id without its kind.
    format!("sha256:{}", build_image(&tag.0, label).trim_start_matches("sha256:"))
}

#[test]
fn update_says_what_a_name_stands_for_and_what_it_was() {
    if daemon().is_none() {
        return;
    }
    let tag = Tag::new("update");
    let project = pipeline_of(&tag.0);
    let missing = format!("the daemon has no image `{}` either", tag.0);
    project.jheem("update").code(3).says("cannot be pinned").says(&missing);

    let first = built(&tag, "update-first");
    let told = project.jheem("update").success().says(&format!("{} {first} (new)", tag.0));
    drop(told.says("was built on this machine, so it is not pinned"));
    assert!(!project.exists("Jheem.lock"));
    project.jheem("update").success().says(&format!("{} {first} (unchanged)", tag.0));
    let second = built(&tag, "update-second");
    project.jheem("update").success().says(&format!("{} {second} (was {first})", tag.0));
    let told = project.jheem("update --format json").success();
    assert_eq!(told.events()[0]["text"], format!("{} {second} (unchanged)", tag.0));
    docker(&["rmi", "-f", &first]);
}

#[test]
fn after_an_update_the_moved_name_counts_without_a_daemon() {
    if daemon().is_none() {
        return;
    }
    let tag = Tag::new("moved");
    let first = built(&tag, "moved-first");
    let project = pipeline_of(&tag.0);
    project.build(NARROW).success().targets("built=9");
    let second = built(&tag, "moved-second");

    // Nobody told jheem: the last known image counts, and is named.
    let short = |id: &str| id.trim_start_matches("sha256:")[..8].to_owned();
    let planned = alone(&project, &format!("plan --format json {NARROW}")).success();
    let planned = planned.targets("fresh=9").says("no daemon answers, so");
    drop(planned.says(&short(&first)));
    alone(&project, "update").code(3).says("no container daemon answers").says("DOCKER_HOST");

    project.jheem("update").success().says(&format!("(was {first})"));
    let planned = alone(&project, &format!("plan --format json {NARROW}")).success();
    drop(planned.targets("stale=9").says(&short(&second)));
    alone(&project, &format!("plan {NARROW}")).success().says("image changed");
    let why = alone(&project, &format!("why {NARROW} --where facet=sex")).success();
    drop(why.says(&short(&first)).says(&short(&second)));

    // And back again: what the first one made is as good as ever.
    docker(&["tag", &first, &tag.0]);
    project.jheem("update").success().says(&format!("{} {first} (was {second})", tag.0));
    project.build(NARROW).success().targets("fresh=9");
    for image in [&first, &second] {
        docker(&["rmi", "-f", image]);
    }
}

#[test]
fn where_no_runner_names_an_image_update_says_so_and_needs_no_daemon() {
    let project = super::super::project::cities();
    alone(&project, "update").success().says("no runner names an image");
}
