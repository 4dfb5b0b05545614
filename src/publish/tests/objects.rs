//! What is written when something changed, and what is left alone.

use super::*;
use crate::publish::folder::Folder;

fn two() -> Vec<Plot> {
    vec![plot("C.12580", "incidence"), plot("C.12580", "testing")]
}

#[test]
fn a_first_publish_creates_every_object_and_row() {
    let project = Project::new();
    let plots = two();
    assert_eq!(project.plan_text(&plots).lines().count(), 4);
    let done = project.publish(&plots);
    let bytes = plots.iter().map(|plot| plot.bytes().len() as u64).sum();
    assert_eq!(done, Done { objects: 2, headers: 0, rows: 2, bytes });
    assert_eq!(
        project.objects(),
        plots.iter().map(|plot| (plot.key(), plot.bytes())).collect::<BTreeMap<_, _>>()
    );
    let (city, outcome, item) = &project.rows()[0];
    assert_eq!(city, "C.12580#cessation");
    assert_eq!(outcome, "incidence#mean.and.interval#none");
    assert_eq!(
        serde_json::to_string(item).unwrap(),
        r#"{"created_at":{"S":"2026-01-01T00:00:00Z"},"file_size":{"N":"25"},"note":{"S":"first"},"outcome":{"S":"incidence"},"s3_key":{"S":"C.12580/cessation/incidence.json"}}"#
    );
    let own: Vec<String> =
        project.files().into_keys().filter(|path| path.contains(".jheem")).collect();
    let chunk = own.iter().find(|path| path.ends_with(".jsonl")).unwrap().clone();
    let shown: Vec<&str> = own.iter().filter(|path| **path != chunk).map(String::as_str).collect();
    assert_eq!(
        shown,
        [
            ".jheem",
            ".jheem/.lock",
            ".jheem/.tmp",
            ".jheem/ryan-white",
            ".jheem/ryan-white/chunks",
            ".jheem/ryan-white/head.json"
        ]
    );
    let line = project.text(&format!("site/{chunk}"));
    assert!(
        line.contains(r#""metadata":{"city":"C.12580"}},"uncompared":{"timestamp":"2026"#),
        "{line}"
    );
}

#[test]
fn a_published_object_can_be_read_by_a_server_and_is_no_link_into_the_cache() {
    let project = Project::new();
    project.publish(&two());
    let found = project.path("site/C.12580/cessation/incidence.json").metadata().unwrap();
    assert_eq!(found.nlink(), 1);
    let usual = project.path("usual");
    fs::write(&usual, "").unwrap();
    assert_eq!(found.mode(), usual.metadata().unwrap().mode());
}

#[test]
fn nothing_changed_means_that_nothing_is_written_or_touched() {
    let mut project = Project::new();
    project.publish(&two());
    let before = project.files();
    project.now = "2026-02-02T00:00:00Z".into();
    assert_eq!(project.plan_text(&two()), "");
    let mut events = 0;
    let done = project.try_publish_wanted(&project.wanted(&two()), &mut |_| events += 1).unwrap();
    assert_eq!((done, events), (Done::default(), 0));
    assert!(before == project.files(), "a file or folder was touched");
}

#[test]
fn only_the_plot_whose_content_changed_is_written_and_registered_again() {
    let mut project = Project::new();
    project.publish(&two());
    let before = project.files();
    project.now = "2026-02-02T00:00:00Z".into();
    let plots = [two()[0].clone().content("other"), two()[1].clone()];
    assert_eq!(
        project.plan_text(&plots),
        "object incidence: its content changed\nrow incidence: its content changed, its item changed"
    );
    assert_eq!(project.publish(&plots), Done { objects: 1, headers: 0, rows: 1, bytes: 5 });
    assert_eq!(project.objects()[&plots[0].key()], "other");
    assert_eq!(before[&plots[1].key()], project.files()[&plots[1].key()]);
    let rows = project.rows();
    assert_eq!(rows[0].2["file_size"], Attribute::N("5".into()));
    assert_eq!(rows[0].2["created_at"], Attribute::S(project.now.clone()));
    assert_eq!(rows[1].2["created_at"], Attribute::S("2026-01-01T00:00:00Z".into()));
    assert_eq!(project.plan_text(&plots), "");
}

#[test]
fn other_bytes_with_the_same_content_are_not_written_and_the_row_keeps_describing_what_stands_there()
 {
    let project = Project::new();
    project.publish(&two());
    let before = project.files();
    let plots: Vec<Plot> = two().into_iter().map(|plot| plot.volatile(" made at noon")).collect();
    assert_eq!(project.publish(&plots), Done::default());
    assert!(before == project.files());
    // A new attribute does change the row: its size is still that of the object that stands there.
    let plots = [plots[0].clone().note("second"), plots[1].clone()];
    assert_eq!(project.plan_text(&plots), "row incidence: its item changed");
    assert_eq!(project.publish(&plots), Done { rows: 1, ..Done::default() });
    assert_eq!(project.rows()[0].2["file_size"], Attribute::N("25".into()));
    assert_eq!(project.rows()[0].2["created_at"], Attribute::S(project.now.clone()));
}

#[test]
fn a_plot_judged_in_another_way_is_written_only_if_its_bytes_differ() {
    let project = Project::new();
    project.publish(&two());
    let objects = |files: BTreeMap<String, OnDisk>| -> BTreeMap<String, OnDisk> {
        files.into_iter().filter(|(path, _)| path.starts_with("C.")).collect()
    };
    let before = objects(project.files());
    let rejudged = |judged: &str, volatile: &str| -> Vec<Plot> {
        let again = |plot: Plot| Plot { judged: judged.into(), ..plot }.volatile(volatile);
        two().into_iter().map(again).collect()
    };
    // The same bytes: only the manifest learns how they are judged now.
    assert_eq!(
        project.plan_text(&rejudged("json 1", "")),
        "object incidence: Note\nobject testing: Note"
    );
    assert_eq!(project.publish(&rejudged("json 1", "")), Done::default());
    assert!(before == objects(project.files()));
    assert_eq!(project.plan_text(&rejudged("json 1", "")), "");
    assert_eq!(project.plan_text(&rejudged("json 1", "!")), "");
    // Other bytes, and contents that cannot be compared.
    assert_eq!(project.publish(&rejudged("json 2", "!")).objects, 2);
}

#[test]
fn changed_headers_are_an_update_without_an_upload() {
    let mut project = Project::new();
    project.publish(&two());
    let before = project.files();
    project.now = "2026-02-02T00:00:00Z".into();
    let plots = [two()[0].clone().cached_for("no-cache"), two()[1].clone()];
    assert_eq!(project.plan_text(&plots), "object incidence: its headers changed");
    assert_eq!(project.publish(&plots), Done { headers: 1, ..Done::default() });
    assert_eq!(before[&plots[0].key()], project.files()[&plots[0].key()]);
    let (there, plan) = project.plan_of(&project.wanted(&plots)).unwrap();
    assert!(plan.is_empty());
    let There::Objects(there) = &there[0] else { panic!() };
    let entry = &there.entries[&plots[0].key()];
    assert_eq!(entry.headers.cache_control.as_deref(), Some("no-cache"));
    assert_eq!(entry.all_headers().metadata["timestamp"], "2026-01-01T00:00:00Z");
}

#[test]
fn uncompared_fields_never_cause_a_write_even_if_one_is_declared_anew() {
    let project = Project::new();
    project.publish(&two());
    let mut wanted = project.wanted(&two());
    let run = vec![Piece::Text("run 7".into())];
    wanted.objects[0].uncompared.insert("run".into(), run.clone());
    wanted.rows[0].uncompared.insert("run".into(), Attribute::S(run));
    wanted.rows[1].uncompared.clear();
    assert!(project.plan_of(&wanted).unwrap().1.is_empty());
    // With the next write it comes along.
    wanted.rows[0].item.remove("note");
    let done = project.try_publish_wanted(&wanted, &mut |_| {}).unwrap();
    assert_eq!(done, Done { rows: 1, ..Done::default() });
    assert_eq!(project.rows()[0].2["run"], Attribute::S("run 7".into()));
    assert_eq!(project.rows()[0].2["created_at"], Attribute::S(project.now.clone()));
}

#[test]
fn a_narrowed_publish_touches_nothing_outside_its_selection() {
    let project = Project::new();
    let all = [two(), vec![plot("C.12940", "incidence")]].concat();
    project.publish(&all);
    let before = project.files();
    let other = project.rows()[1..].to_vec();
    let changed = all[0].clone().content("other");
    assert_eq!(project.publish(std::slice::from_ref(&changed)).objects, 1);
    let after = project.files();
    for plot in &all[1..] {
        assert_eq!(before[&plot.key()], after[&plot.key()]);
    }
    assert_eq!(project.rows()[1..], other);
    assert_eq!(project.plan_text(&[vec![changed], all[1..].to_vec()].concat()), "");
}

#[test]
fn what_no_target_publishes_any_more_is_reported_and_left_where_it_is() {
    let project = Project::new();
    project.publish(&two());
    let only = &two()[..1];
    let (key, row_key) = (only[0].key(), only[0].row_key());
    let declared = Declared {
        object: &|_, wanted| wanted == key,
        row: &|_, wanted| *wanted == row_key,
        any: &|_| true,
    };
    let wanted = project.wanted(only);
    let there = look(&wanted, &project.open(&wanted.destinations).unwrap()).unwrap();
    let plan = plan(&wanted, &there, &declared);
    let orphans: Vec<&str> = plan.orphans.iter().map(|orphan| orphan.key.as_str()).collect();
    assert_eq!(
        orphans,
        [
            "C.12580/cessation/testing.json",
            "city_scenario=C.12580#cessation, outcome_stat_facet=testing#mean.and.interval#none"
        ]
    );
    assert!(plan.is_empty());
    assert_eq!(
        plan.counts(&wanted),
        plan::Counts { unchanged: 2, orphaned: 2, ..Default::default() }
    );
    assert_eq!(project.verify(&declared).len(), 2);
    assert_eq!(project.objects().len(), 2);
    // A selection alone makes no orphan.
    assert!(project.plan(only).orphans.is_empty());
}

#[test]
fn what_was_removed_at_the_destination_is_put_back() {
    let project = Project::new();
    project.publish(&two());
    fs::remove_file(project.path("site/C.12580/cessation/testing.json")).unwrap();
    assert_eq!(project.plan_text(&two()), "object testing: it is missing at the destination");
    assert_eq!(project.publish(&two()), Done { objects: 1, headers: 0, rows: 0, bytes: 23 });
    fs::remove_dir_all(project.path("site")).unwrap();
    let done = project.publish(&two());
    assert_eq!((done.objects, done.rows), (2, 2));
    assert_eq!(project.verify(&EVERYTHING), [""; 0]);
}

#[test]
fn a_renamed_publish_keeps_what_it_published() {
    let project = Project::new();
    project.publish(&two());
    let objects = project.files()[&two()[0].key()].clone();
    let mut wanted = project.wanted(&two());
    wanted.publish = "figures".into();
    assert_eq!(project.try_publish_wanted(&wanted, &mut |_| {}).unwrap(), Done::default());
    assert_eq!(project.files()[&two()[0].key()], objects);
    assert!(project.plan_of(&wanted).unwrap().1.is_empty());
}

#[test]
fn verify_finds_what_is_missing_changed_and_foreign() {
    let project = Project::new();
    let plots = [two(), vec![plot("C.12580", "awareness")]].concat();
    project.publish(&plots);
    assert_eq!(project.verify(&EVERYTHING), [""; 0]);
    fs::remove_file(project.path("site/C.12580/cessation/testing.json")).unwrap();
    project.write("site/C.12580/cessation/incidence.json", "edited by hand");
    project.write("site/C.12580/index.html", "mine");
    let database = Connection::open(project.path("site/plots.db")).unwrap();
    database
        .execute_batch(
            r#"DELETE FROM plots WHERE outcome_stat_facet LIKE 'testing%';
            UPDATE plots SET item = json_set(item, '$.outcome.S', 'x') WHERE outcome_stat_facet LIKE 'inc%';
            UPDATE plots SET item = replace(item, ',', ', ') WHERE outcome_stat_facet LIKE 'aware%';
            INSERT INTO plots VALUES ('C.1#cessation', 'mine', '{}');"#,
        )
        .unwrap();
    drop(database);
    assert_eq!(
        project.verify(&EVERYTHING),
        [
            "changed C.12580/cessation/incidence.json",
            "missing C.12580/cessation/testing.json",
            "foreign C.12580/index.html",
            "foreign city_scenario=C.1#cessation, outcome_stat_facet=mine",
            "changed city_scenario=C.12580#cessation, outcome_stat_facet=incidence#mean.and.interval#none",
            "missing city_scenario=C.12580#cessation, outcome_stat_facet=testing#mean.and.interval#none",
        ]
    );
}

#[test]
fn keys_with_what_plots_are_named_with_are_published_as_they_are() {
    let project = Project::new();
    let names = ["age+sex", "50%2B", "a b", "x=y#z", "é", "..."];
    let plots: Vec<Plot> = names.iter().map(|name| plot("C.12580", name)).collect();
    project.publish(&plots);
    for plot in &plots {
        assert_eq!(
            project.text(&format!("site/C.12580/cessation/{}.json", plot.name)),
            plot.bytes()
        );
    }
    assert_eq!(project.rows().len(), names.len());
    assert_eq!(project.plan_text(&plots), "");
    assert_eq!(project.verify(&EVERYTHING), [""; 0]);
}

#[test]
fn one_citys_change_rewrites_one_chunk_of_the_manifest() {
    let project = Project::new();
    let plots: Vec<Plot> = ["C.12060", "C.12420", "C.12580"]
        .into_iter()
        .flat_map(|city| ["incidence", "testing"].map(|name| plot(city, name)))
        .collect();
    project.publish(&plots);
    let chunks = || -> BTreeMap<String, OnDisk> {
        project.files().into_iter().filter(|(path, _)| path.ends_with(".jsonl")).collect()
    };
    let before = chunks();
    project.publish(&[plots[0].clone().content("other")]);
    let after = chunks();
    assert_eq!((before.len(), after.len()), (3, 3));
    assert_eq!(after.iter().filter(|(path, file)| before.get(*path) == Some(file)).count(), 2);
}

#[test]
fn a_reader_that_a_publish_overtakes_sees_the_new_manifest_whole() {
    let project = Project::new();
    project.publish(&two());
    let there = |project: &Project| {
        let (mut there, _) = project.plan_of(&project.wanted(&two())).unwrap();
        let There::Objects(there) = there.swap_remove(0) else { panic!("objects come first") };
        there
    };
    let before = there(&project);
    project.publish(&[two()[0].clone().content("other")]);
    let after = there(&project);
    assert_ne!(before.head, after.head);
    // The head was read, then its chunk was replaced.
    let folder = Folder::new(project.destinations[0].clone(), project.path("site"), &[]);
    assert_eq!(folder.manifest_from(before.head).unwrap(), (after.head, after.entries));
}
