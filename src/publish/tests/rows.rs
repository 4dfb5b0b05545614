//! Tables of rows: both keys that the pipeline has used, the view for people, and whose tables they are.

use super::*;

fn s(text: &str) -> Attribute {
    Attribute::S(text.into())
}

fn query(project: &Project, sql: &str) -> Vec<Vec<String>> {
    let database = open_to_look(&project.path("site/plots.db"));
    let mut statement = database.prepare(sql).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let value = |index| {
            row.get_ref(index).map(|value| match value {
                rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                other => format!("{other:?}"),
            })
        };
        (0..columns).map(value).collect()
    });
    rows.unwrap().map(Result::unwrap).collect()
}

#[test]
fn the_first_schema_of_the_pipeline_can_be_published() {
    let project = Project::new();
    let plots = [plot("C.12580", "incidence")];
    let mut wanted = project.wanted(&plots);
    wanted.rows[0].key = RowKey(vec![
        ("city".into(), s("C.12580")),
        ("plot_id".into(), s("container_C.12580_incidence_mean.and.interval_unfaceted")),
    ]);
    project.build(&plots);
    project.try_publish_wanted(&wanted, &mut |_| {}).unwrap();
    assert_eq!(
        query(&project, "SELECT city, plot_id, json_extract(item, '$.file_size.N') FROM plots"),
        [["C.12580", "container_C.12580_incidence_mean.and.interval_unfaceted", "25"]]
    );
    assert!(project.plan_of(&wanted).unwrap().1.is_empty());
}

#[test]
fn a_person_reads_the_rows_through_the_plain_view() {
    let project = Project::new();
    let mut plots = vec![plot("C.12580", "it's \"new\"")];
    project.publish(&plots);
    let view = "SELECT city_scenario, outcome, file_size, created_at FROM plots_plain ORDER BY 2";
    assert_eq!(
        query(&project, view),
        [["C.12580#cessation", "it's \"new\"", "26", "2026-01-01T00:00:00Z"]]
    );
    // An attribute that comes later has its column too; rows without it show nothing.
    plots.push(plot("C.12580", "testing"));
    let mut wanted = project.wanted(&plots);
    wanted.rows[1].item.insert("facets".into(), Attribute::L(vec![Attribute::Bool(true)]));
    wanted.rows[1].item.insert("has baseline".into(), Attribute::Bool(true));
    project.build(&plots);
    project.try_publish_wanted(&wanted, &mut |_| {}).unwrap();
    assert_eq!(
        query(&project, "SELECT outcome, facets, \"has baseline\" FROM plots_plain ORDER BY 1"),
        [["it's \"new\"", "Null", "Null"], ["testing", r#"[{"BOOL":true}]"#, "1"]]
    );
}

#[test]
fn numbers_keep_every_digit_also_in_keys() {
    let project = Project::new();
    let numbers = ["-3", "2.5", "7", "9007199254740993", "12345678901234567890.125"];
    let mut wanted = project.wanted(&numbers.map(|number| plot("C.12580", number)));
    wanted.objects.clear();
    for (row, number) in wanted.rows.iter_mut().zip(numbers) {
        row.key = RowKey(vec![("year".into(), Attribute::N(number.into()))]);
        row.item = BTreeMap::from([(
            "value".into(),
            Attribute::N(vec![Piece::Text(format!("00{number}0e0").replace("00-", "-00"))]),
        )]);
        row.object = None;
    }
    // A whole number has no digits after a point to append a zero to.
    for (row, number) in wanted.rows.iter_mut().zip(numbers).filter(|(_, n)| !n.contains('.')) {
        row.item.insert("value".into(), Attribute::N(vec![Piece::Text(format!("{number}.0"))]));
    }
    project.try_publish_wanted(&wanted, &mut |_| {}).unwrap();
    let rows = query(&project, "SELECT year, json_extract(item, '$.value.N') FROM plots");
    for number in numbers {
        assert!(rows.contains(&vec![number.into(), number.into()]), "{number} in {rows:?}");
    }
    assert_eq!(rows[0][0], "-3");
    assert!(project.plan_of(&wanted).unwrap().1.is_empty());
    assert_eq!(project.verify(&EVERYTHING), [""; 0]);
}

#[test]
fn a_row_without_an_object_keeps_its_uncompared_fields_while_its_item_stays() {
    let mut project = Project::new();
    let row = |project: &Project, note: &str| {
        let mut wanted = project.wanted(&[plot("C.12580", "incidence").note(note)]);
        wanted.objects.clear();
        wanted.rows[0].object = None;
        wanted.rows[0].item.retain(|name, _| name == "note");
        wanted
    };
    project.try_publish_wanted(&row(&project, "a"), &mut |_| {}).unwrap();
    let first = project.now.clone();
    project.now = "2026-02-02T00:00:00Z".into();
    assert_eq!(project.try_publish_wanted(&row(&project, "a"), &mut |_| {}).unwrap().rows, 0);
    assert_eq!(project.rows()[0].2["created_at"], Attribute::S(first));
    assert_eq!(project.try_publish_wanted(&row(&project, "b"), &mut |_| {}).unwrap().rows, 1);
    assert_eq!(project.rows()[0].2["created_at"], Attribute::S(project.now.clone()));
}

#[test]
fn a_table_that_jheem_did_not_make_is_refused_and_one_beside_it_is_left_alone() {
    let mut project = Project::new();
    fs::create_dir(project.path("site")).unwrap();
    let database = Connection::open(project.path("site/plots.db")).unwrap();
    database.execute_batch("CREATE TABLE Plots (a); INSERT INTO Plots VALUES (1)").unwrap();
    drop(database);
    let plots = [plot("C.12580", "incidence")];
    let error = project.try_publish(&plots).unwrap_err();
    assert!(error.message.starts_with("jheem did not make the table `plots` in `"), "{error}");
    project.destinations[1] = parse_destination("sqlite:site/plots.db#rows").unwrap();
    project.publish(&plots);
    assert_eq!(query(&project, "SELECT a, (SELECT count(*) FROM rows) FROM Plots"), [["1", "1"]]);
}

#[test]
fn a_table_with_another_key_is_refused_until_it_is_dropped() {
    let project = Project::new();
    let plots = [plot("C.12580", "incidence")];
    project.publish(&plots);
    let mut wanted = project.wanted(&plots);
    wanted.rows[0].key = RowKey(vec![("city".into(), s("C.12580")), ("plot_id".into(), s("x"))]);
    let error = project.try_publish_wanted(&wanted, &mut |_| {}).unwrap_err();
    insta::assert_snapshot!(error.render(false), @r##"
error: the row of `plot.rw C.12580/incidence` cannot be published to `sqlite:site/plots.db#plots`: its table has the key `city_scenario (S), outcome_stat_facet (S)`, the row `city (S), plot_id (S)`
hint: give another table, or drop the table to have it made again
"##);
    let database = Connection::open(project.path("site/plots.db")).unwrap();
    database.execute_batch("DROP TABLE plots").unwrap();
    drop(database);
    assert_eq!(project.try_publish_wanted(&wanted, &mut |_| {}).unwrap().rows, 1);
    assert_eq!(
        query(&project, "SELECT city, outcome FROM plots_plain"),
        [["C.12580", "incidence"]]
    );
    assert!(project.plan_of(&wanted).unwrap().1.is_empty());
}

#[test]
fn two_tables_of_one_database_are_two_destinations() {
    let project = Project::new();
    let plots = [plot("C.12580", "incidence")];
    let mut wanted = project.wanted(&plots);
    wanted.destinations.push(parse_destination("sqlite:site/plots.db#again").unwrap());
    let mut second = wanted.rows[0].clone();
    second.destination = 2;
    wanted.rows.push(second);
    project.build(&plots);
    // Each table is written on its own, after the other has moved the database on.
    let done = project.try_publish_wanted(&wanted, &mut |_| {}).unwrap();
    assert_eq!(done.rows, 2);
    assert_eq!(
        query(&project, "SELECT (SELECT count(*) FROM plots), count(*) FROM again"),
        [["1", "1"]]
    );
    assert!(project.plan_of(&wanted).unwrap().1.is_empty());
}

#[test]
fn a_row_that_no_table_can_hold_is_refused_with_the_reason() {
    let project = Project::new();
    let text = |text: &str| vec![Piece::Text(text.into())];
    type Spoil<'a> = &'a dyn Fn(&mut WantedRow);
    let cases: [(&str, Spoil<'_>); 9] = [
        ("`city` of its key is empty", &|row| row.key = RowKey(vec![("city".into(), s(""))])),
        ("`x` of its key is neither `S` nor `N`", &|row| {
            row.key = RowKey(vec![("x".into(), Attribute::Null)]);
        }),
        ("a key has one or two attributes", &|row| row.key = RowKey(Vec::new())),
        ("of different names", &|row| {
            row.key = RowKey(vec![("a".into(), s("1")), ("A".into(), s("2"))]);
        }),
        ("`item` is the column", &|row| row.key = RowKey(vec![("Item".into(), s("1"))])),
        ("in its key and in its item", &|row| {
            row.key = RowKey(vec![("outcome".into(), s("1"))]);
        }),
        ("not a number in its shortest form", &|row| {
            row.key = RowKey(vec![("year".into(), Attribute::N("01".into()))]);
        }),
        ("`{now}` is in its item", &|row| {
            row.item.insert("at".into(), Attribute::S(vec![Piece::Now]));
        }),
        ("it speaks of an object, and registers none", &|row| row.object = None),
    ];
    for (reason, spoil) in cases {
        let mut wanted = project.wanted(&[plot("C.12580", "incidence")]);
        spoil(&mut wanted.rows[0]);
        let error = project.try_publish_wanted(&wanted, &mut |_| {}).unwrap_err();
        assert!(error.message.contains(reason), "{error}");
    }
    let mut wanted = project.wanted(&[plot("C.12580", "incidence")]);
    wanted.rows[0].item.insert("size".into(), Attribute::N(text("big")));
    let error = project.try_publish_wanted(&wanted, &mut |_| {}).unwrap_err();
    assert!(error.message.ends_with("is no number: `big` is not a decimal number"), "{error}");
    assert!(!project.path("site").exists());
}
