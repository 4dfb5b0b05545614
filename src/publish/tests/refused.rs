//! What is never touched, and what the user is told instead.

use std::time::Duration;

use super::*;
use crate::error::Kind;
use crate::publish::database::Database;
use crate::publish::place::RowPlace;

fn one() -> Vec<Plot> {
    vec![plot("C.12580", "incidence")]
}

/// The message of a publish that must fail and leave the site as it was.
#[track_caller]
fn refused(project: &Project, plots: &[Plot]) -> String {
    let before = project.files();
    let error = project.try_publish(plots).unwrap_err();
    assert!(before == project.files(), "a refused publish wrote something");
    error.render(false)
}

#[test]
fn a_file_that_jheem_did_not_publish_is_never_touched() {
    let project = Project::new();
    project.write("site/C.12580/cessation/incidence.json", "mine");
    insta::assert_snapshot!(refused(&project, &one()), @r##"
error: `plot.rw C.12580/incidence` cannot be published as `C.12580/cessation/incidence.json` to `file:site`: something that jheem did not publish stands there
hint: move it away if it may go, give another key, or take it for published with `jheem adopt`
"##);
    assert_eq!(project.plan(&one()).counts(&project.wanted(&one())).refused, 2);
    fs::remove_file(project.path("site/C.12580/cessation/incidence.json")).unwrap();
    assert_eq!(project.publish(&one()).objects, 1);
}

#[test]
fn a_file_in_the_way_of_a_folder_is_foreign_too() {
    let project = Project::new();
    project.write("site/C.12580", "mine");
    assert!(refused(&project, &one()).contains("did not publish stands there"));
}

#[test]
fn a_row_that_jheem_did_not_publish_is_never_touched() {
    let project = Project::new();
    project.publish(&[plot("C.12580", "testing")]);
    let database = Connection::open(project.path("site/plots.db")).unwrap();
    let row =
        "INSERT INTO plots VALUES ('C.12580#cessation', 'incidence#mean.and.interval#none', '{}')";
    database.execute(row, []).unwrap();
    drop(database);
    let shown = refused(&project, &one());
    assert!(shown.contains("outcome_stat_facet=incidence#mean.and.interval#none"), "{shown}");
}

#[test]
fn another_projects_keys_are_refused_and_its_own_stay_apart() {
    let mut project = Project::new();
    project.publish(&one());
    project.owner = "cdc-testing".into();
    let error = project.try_publish(&one()).unwrap_err();
    insta::assert_snapshot!(error.render(false), @r##"
error: `plot.rw C.12580/incidence` cannot be published as `C.12580/cessation/incidence.json` to `file:site`: the project `ryan-white` publishes it
hint: give another key or another destination
"##);
    let before = project.files()[&one()[0].key()].clone();
    let mine = [plot("CA", "testing")];
    assert_eq!(project.publish(&mine).rows, 1);
    assert_eq!(project.files()[&one()[0].key()], before);
    assert_eq!(project.verify(&EVERYTHING), [""; 0]);
    project.owner = "ryan-white".into();
    assert_eq!(project.plan_text(&one()), "");
    assert_eq!(project.verify(&EVERYTHING), [""; 0]);
    assert!(
        project.plan(&mine).refused[0].message.contains("the project `cdc-testing` publishes it")
    );
}

#[test]
fn two_targets_with_one_key_are_refused_with_both_names() {
    let project = Project::new();
    let mut wanted = project.wanted(&[plot("C.12580", "incidence"), plot("C.12580", "testing")]);
    wanted.objects[1].key = wanted.objects[0].key.clone();
    let error = project.try_publish_wanted(&wanted, &mut |_| {}).unwrap_err();
    assert_eq!(
        error.message,
        "`plot.rw C.12580/incidence` and `plot.rw C.12580/testing` both publish `C.12580/cessation/incidence.json` to `file:site`"
    );
}

#[test]
fn a_key_that_would_leave_the_folder_is_refused() {
    let project = Project::new();
    for key in ["../x", "/etc/x", "a//b", ".jheem/ryan-white/head.json", "a\nb"] {
        let mut wanted = project.wanted(&one());
        wanted.objects[0].key = key.into();
        let error = project.try_publish_wanted(&wanted, &mut |_| {}).unwrap_err();
        assert!(error.message.contains(&format!("as `{}` to", key.escape_debug())), "{error}");
    }
    assert!(!project.path("site").exists());
}

#[test]
fn a_symbolic_link_in_the_site_is_not_published_through() {
    let project = Project::new();
    let outside = tempfile::tempdir().unwrap();
    fs::create_dir(project.path("site")).unwrap();
    std::os::unix::fs::symlink(outside.path(), project.path("site/C.12580")).unwrap();
    let error = project.try_publish(&one()).unwrap_err();
    assert!(error.message.ends_with("site/C.12580` is a symbolic link"), "{error}");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn a_file_that_appears_while_it_is_published_is_not_overwritten() {
    let project = Project::new();
    project.build(&one());
    let wanted = project.wanted(&one());
    let mut foreign = |event: Event<'_>| {
        if let Event::Intended { .. } = event {
            project.write("site/C.12580/cessation/incidence.json", "mine");
        }
    };
    let error = project.try_publish_wanted(&wanted, &mut foreign).unwrap_err();
    assert!(error.message.contains("cannot be put into `file:site`"), "{error}");
    assert_eq!(project.text("site/C.12580/cessation/incidence.json"), "mine");
    assert!(project.rows().is_empty());
    // What stands there is not what was meant to: it is still foreign.
    assert!(refused(&project, &one()).contains("did not publish stands there"));
}

#[test]
fn bytes_other_than_those_that_were_judged_are_not_published() {
    let project = Project::new();
    project.build(&one());
    let wanted = project.wanted(&one());
    fs::write(project.built(&wanted.objects[0].bytes), "something else").unwrap();
    let error = project.try_publish_wanted(&wanted, &mut |_| {}).unwrap_err();
    assert!(error.message.contains("changed before it was published"), "{error}");
    assert!(project.objects().is_empty() && project.rows().is_empty());
    assert_eq!(project.publish(&one()).objects, 1);
}

#[test]
fn a_damaged_manifest_is_named_and_nothing_is_guessed() {
    let project = Project::new();
    project.publish(&one());
    let files: Vec<String> = project.files().into_keys().collect();
    let of = |end: &str| files.iter().find(|path| path.ends_with(end)).unwrap();
    for path in [of("head.json"), of(".jsonl")] {
        let path = project.path(&format!("site/{path}"));
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        let shown = refused(&project, &one());
        assert!(shown.contains("the manifest of `file:site` is damaged"), "{shown}");
        assert!(shown.contains(&format!("hint: put `{}` back", path.display())), "{shown}");
        fs::write(&path, &whole).unwrap();
    }
    fs::remove_file(project.path(&format!("site/{}", of(".jsonl")))).unwrap();
    assert!(refused(&project, &one()).contains(".jsonl` is missing"));
}

#[test]
fn a_damaged_database_is_named_and_nothing_is_guessed() {
    let project = Project::new();
    project.publish(&one());
    let whole = fs::read(project.path("site/plots.db")).unwrap();
    fs::write(project.path("site/plots.db"), "not a database, but text that is long enough")
        .unwrap();
    let shown = refused(&project, &one());
    assert!(shown.contains("is damaged, or no SQLite database"), "{shown}");
    fs::write(project.path("site/plots.db"), whole).unwrap();
    let database = Connection::open(project.path("site/plots.db")).unwrap();
    database.execute("UPDATE jheem_manifest SET entry = '{'", []).unwrap();
    drop(database);
    let shown = refused(&project, &one());
    assert!(shown.contains("plots.db` is damaged: the entry of `city_scenario="), "{shown}");
}

#[test]
fn a_destination_of_a_later_jheem_is_left_alone() {
    let project = Project::new();
    project.publish(&one());
    let head = project.text("site/.jheem/ryan-white/head.json");
    let later = head.replace("\"format\": 1", "\"format\": 9");
    project.write("site/.jheem/ryan-white/head.json", &later);
    assert!(refused(&project, &one()).contains("has the format 9, of a later jheem"));
    project.write("site/.jheem/ryan-white/head.json", &head);
    let database = Connection::open(project.path("site/plots.db")).unwrap();
    database.execute("UPDATE jheem_meta SET format = 9", []).unwrap();
    drop(database);
    assert!(refused(&project, &one()).contains("it has the format 9, of a later jheem"));
}

#[test]
fn a_second_publish_at_the_same_time_is_told_to_wait() {
    let project = Project::new();
    project.build(&one());
    let wanted = project.wanted(&one());
    let mut second = None;
    let mut during = |event: Event<'_>| {
        if let Event::Intended { .. } = event {
            second = project.try_publish_wanted(&wanted, &mut |_| {}).err();
        }
    };
    project.try_publish_wanted(&wanted, &mut during).unwrap();
    let second = second.expect("the second publish is refused");
    assert_eq!(second.kind, Kind::Locked);
    assert_eq!(second.message, "another jheem is publishing to `file:site`");
    assert_eq!(project.plan_text(&one()), "");
}

#[test]
fn a_plan_is_not_carried_out_if_the_destination_moved_on_meanwhile() {
    let project = Project::new();
    project.build(&one());
    let wanted = project.wanted(&one());
    let places = project.open(&wanted.destinations).unwrap();
    let (there, plan) = project.plan_of(&wanted).unwrap();
    project.publish(&[plot("C.12940", "testing")]);
    let before = project.files();
    let source = |object: &WantedObject| Ok(project.built(&object.bytes));
    let error = apply(&wanted, &places, &there, &plan, &source, &mut |_| {}).unwrap_err();
    assert_eq!(error.message, "`file:site` was published to while this publish was planned");
    let objects = |files: &BTreeMap<String, OnDisk>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(objects(&before), objects(&project.files()));
}

#[test]
fn a_row_that_another_project_publishes_meanwhile_stays_that_projects() {
    let mut project = Project::new();
    project.publish(&[plot("C.12940", "testing")]);
    project.build(&one());
    let mut wanted = project.wanted(&one());
    wanted.owner = "cdc-testing".into();
    wanted.objects[0].key = "elsewhere.json".into();
    let mut during = |event: Event<'_>| {
        if let Event::Intended { .. } = event {
            // As another project would leave it: the version that was planned with, but a new row.
            let database = Connection::open(project.path("site/plots.db")).unwrap();
            let row = "INSERT INTO jheem_manifest
                SELECT tbl, replace(replace(key, '12940', '12580'), 'testing', 'incidence'), owner, entry
                FROM jheem_manifest";
            assert_eq!(database.execute(row, []).unwrap(), 1);
        }
    };
    let error = project.try_publish_wanted(&wanted, &mut during).unwrap_err();
    assert!(error.message.contains("appeared in `sqlite:site/plots.db#plots`"), "{error}");
    project.owner = "cdc-testing".into();
    assert_eq!(project.rows().len(), 1);
}

#[test]
fn a_database_held_by_another_program_fails_the_publish_and_the_next_one_goes_on() {
    let project = Project::new();
    project.publish(&[plot("C.12580", "testing")]);
    let holder = Connection::open(project.path("site/plots.db")).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let wanted = project.wanted(&one());
    let destination = &wanted.destinations[1];
    let database = Database::new(destination.clone(), project.path("site/plots.db"), "plots");
    let place = Place::Rows(Box::new(database.patient(Duration::ZERO)));
    project.build(&one());
    let mut places = project.open(&wanted.destinations).unwrap();
    places[1] = place;
    let there = look(&wanted, &places).unwrap();
    let plan = plan(&wanted, &there, &EVERYTHING);
    let source = |object: &WantedObject| Ok(project.built(&object.bytes));
    let error = apply(&wanted, &places, &there, &plan, &source, &mut |_| {}).unwrap_err();
    assert_eq!(error.kind, Kind::Locked);
    assert_eq!(error.message, "`sqlite:site/plots.db#plots` is held by another program");
    holder.execute_batch("ROLLBACK").unwrap();
    drop(holder);
    // The object that was already put is not put again.
    assert_eq!(project.publish(&one()), Done { rows: 1, ..Done::default() });
}

#[test]
fn a_destination_that_cannot_be_written_says_so() {
    let mut project = Project::new();
    project.destinations[0] = parse_destination("file:/sys/jheem-site").unwrap();
    let shown = refused(&project, &one());
    assert!(shown.starts_with("error: cannot make `/sys/jheem-site"), "{shown}");
    assert!(shown.contains("hint: make the destination writable"), "{shown}");
}

#[test]
fn rows_of_a_remote_table_need_a_place_for_their_manifest() {
    let destination = parse_destination("dynamodb://table").unwrap();
    let error = Project::new().open(&[destination]).err().expect("it is refused");
    assert_eq!(error.kind, Kind::User);
    assert!(error.message.contains("`dynamodb://table`"), "{error}");
    assert!(error.hints[0].contains("manifest = "), "{error:?}");
}

#[test]
fn one_place_is_opened_once() {
    let again = ["file:site", "file:./site/"].map(|url| parse_destination(url).unwrap());
    assert_eq!(Project::new().open(&again).err().unwrap().kind, Kind::Bug);
}

#[test]
fn objects_and_rows_go_where_they_can_stand() {
    let mut project = Project::new();
    project.destinations.swap(0, 1);
    let error = project.try_publish(&one()).unwrap_err();
    assert_eq!(
        error.message,
        "`sqlite:site/plots.db#plots` takes no objects, which `plot.rw C.12580/incidence` publishes"
    );
    assert!(!project.path("site").exists());
}

#[test]
fn reading_a_database_that_is_not_there_makes_none() {
    let project = Project::new();
    let destination = project.destinations[1].clone();
    let database = Database::new(destination, project.path("site/plots.db"), "plots");
    assert_eq!(database.read("ryan-white", &BTreeMap::new()).unwrap(), Default::default());
    assert!(!project.path("site").exists());
}
