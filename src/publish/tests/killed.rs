//! A publish that is killed at any step, or runs out of space: the next one goes on.
//!
//! The publish runs in a process of its own, which ends without a word at the step that the test names.

use std::process::{Command, ExitStatus};

use super::*;

fn before() -> Vec<Plot> {
    let names = ["incidence", "testing", "awareness", "new"];
    names.into_iter().map(|name| plot("C.12580", name)).collect()
}

/// A new object and row, two changed contents, one changed header, one changed item, one left alone.
fn after() -> Vec<Plot> {
    let [incidence, testing, awareness, new] = before().try_into().expect("there are four");
    vec![
        incidence.content("other incidence"),
        testing.content("other testing"),
        awareness.cached_for("no-cache"),
        new.note("second"),
        plot("C.12940", "incidence"),
    ]
}

/// Publishes `after()` in another process, which ends by itself at this event.
fn publish_and_end_at(project: &Project, event: usize) -> ExitStatus {
    child(project, &[("JHEEM_TEST_END_AT", event.to_string())])
}

fn child(project: &Project, variables: &[(&str, String)]) -> ExitStatus {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["publish::tests::killed::a_publish_in_another_process_does_the_same", "--exact"]);
    command.env("JHEEM_TEST_ROOT", &project.root).envs(variables.iter().cloned());
    let output = command.output().unwrap();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        println!("other process: {line}");
    }
    output.status
}

/// Also what the other tests of this file start in a process of its own.
#[test]
fn a_publish_in_another_process_does_the_same() {
    let Some(root) = std::env::var_os("JHEEM_TEST_ROOT") else {
        let (here, there) = (published_before(), published_before());
        here.publish(&after());
        assert!(child(&there, &[]).success());
        assert_eq!(end_state(&there), end_state(&here));
        return;
    };
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let project = Project::at(root.into());
    let end_at = number("JHEEM_TEST_END_AT");
    if let Some(bytes) = number("JHEEM_TEST_LARGEST_FILE") {
        // Without a handler the signal would end the process before the write could fail.
        const SIGXFSZ: i32 = 25;
        let seen = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        signal_hook::flag::register(SIGXFSZ, seen).unwrap();
        let limit = rustix::process::Rlimit { current: Some(bytes), maximum: Some(bytes) };
        rustix::process::setrlimit(rustix::process::Resource::Fsize, limit).unwrap();
    }
    let mut events = 0;
    let published = project.try_publish_wanted(&project.wanted(&after()), &mut |_| {
        events += 1;
        if Some(events) == end_at {
            std::process::abort();
        }
    });
    if let Err(error) = published {
        let shown = error.render(false);
        assert!(shown.contains("run it again; what is published stays as it is"), "{shown}");
        std::process::exit(3);
    }
}

/// Objects by key, rows, the files of jheem's own with the head's text.
type EndState = (BTreeMap<String, String>, Vec<(String, String, Item)>, Vec<String>);

/// What must be the same however often a publish was killed: objects, rows, manifest; no leftovers.
fn end_state(project: &Project) -> EndState {
    let head = project.text("site/.jheem/ryan-white/head.json");
    let mut own: Vec<String> =
        project.files().into_keys().filter(|path| path.contains(".jheem")).collect();
    own.push(head);
    (project.objects(), project.rows(), own)
}

fn published_before() -> Project {
    let project = Project::new();
    project.publish(&before());
    project.build(&after());
    project
}

#[test]
fn a_publish_killed_at_any_step_is_finished_by_the_next_and_nothing_is_written_twice() {
    let undisturbed = published_before();
    let whole = undisturbed.publish(&after());
    assert_eq!((whole.objects, whole.headers, whole.rows), (3, 1, 4));
    let expected = end_state(&undisturbed);
    let mut ended = 0;
    for event in 1.. {
        let project = published_before();
        if publish_and_end_at(&project, event).success() {
            assert_eq!(end_state(&project), expected);
            break;
        }
        ended += 1;
        project.assert_rows_have_objects();
        let stood = project.objects();
        let missing =
            expected.0.iter().filter(|(key, bytes)| stood.get(*key) != Some(bytes)).count();
        let rows_stood = project.rows() == expected.1;
        let rest = project.publish(&after());
        assert_eq!(rest.objects, missing, "objects put again after event {event}");
        assert_eq!(rest.rows, if rows_stood { 0 } else { whole.rows }, "rows after event {event}");
        assert_eq!(end_state(&project), expected, "after event {event}");
        assert_eq!(project.verify(&EVERYTHING), [""; 0]);
        let idle = project.files();
        assert_eq!(project.publish(&after()), Done::default());
        assert!(idle == project.files());
    }
    // Started, intended, four objects, rows, committed, finished.
    assert_eq!(ended, 9);
}

#[test]
fn a_publish_killed_twice_with_other_content_in_between_still_knows_its_own() {
    let project = published_before();
    // The third event is the first object: `incidence` has its new content, nothing else happened.
    assert!(!publish_and_end_at(&project, 3).success());
    assert_eq!(project.objects()["C.12580/cessation/incidence.json"], "other incidence");
    // The new object of another city is put, after `testing`, and nothing knows it but the intent.
    assert!(!publish_and_end_at(&project, 4).success());
    assert!(project.objects().contains_key("C.12940/cessation/incidence.json"));
    assert_eq!(project.rows().len(), before().len());
    // A third content of it: the killed one is replaced, not taken for foreign.
    let mut plots = after();
    plots[4] = plots[4].clone().content("third");
    project.build(&plots);
    let (there, plan) = project.plan_of(&project.wanted(&plots)).unwrap();
    assert_eq!(plan.objects[4].action, Action::Update(vec![Why::Content]));
    // Killed again right after its intent was written: what stands is that of the intent before.
    let wanted = project.wanted(&plots);
    let places = project.open(&wanted.destinations).unwrap();
    let source = |object: &WantedObject| Ok(project.built(&object.bytes));
    let stopped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        apply(&wanted, &places, &there, &plan, &source, &mut |event| {
            if let Event::Intended { .. } = event {
                std::panic::resume_unwind(Box::new("stopped"));
            }
        })
    }));
    assert!(stopped.is_err());
    assert_eq!(project.publish(&plots).objects, 1);
    assert_eq!(project.objects()["C.12940/cessation/incidence.json"], "third");
    assert_eq!(project.verify(&EVERYTHING), [""; 0]);
}

#[test]
fn what_a_killed_publish_put_is_kept_by_a_narrowed_one() {
    let project = published_before();
    assert!(!publish_and_end_at(&project, 6).success());
    let narrowed = [before()[1].clone().content("third testing")];
    assert_eq!(project.publish(&narrowed).objects, 1);
    // `incidence` was put by the killed publish and is known, its row still is to be written.
    let mut rest = after();
    rest[1] = narrowed[0].clone();
    let done = project.publish(&rest);
    assert_eq!((done.objects, done.headers, done.rows), (0, 0, 3));
    assert_eq!(project.verify(&EVERYTHING), [""; 0]);
}

#[test]
fn a_publish_that_runs_out_of_space_loses_nothing_and_goes_on_later() {
    let undisturbed = published_before();
    undisturbed.publish(&after());
    let project = published_before();
    let whole = project.files();
    // No file may get larger than this: first not even the intent fits, then the database does not.
    for largest in ["64", "5000"] {
        let status = child(&project, &[("JHEEM_TEST_LARGEST_FILE", largest.to_owned())]);
        assert_eq!(status.code(), Some(3));
        project.assert_rows_have_objects();
        assert_eq!(project.rows().len(), before().len());
        let head = ".jheem/ryan-white/head.json";
        assert_eq!(whole[head], project.files()[head]);
    }
    project.publish(&after());
    assert_eq!(end_state(&project), end_state(&undisturbed));
}
