//! Any sequence of publishes, some of them interrupted, leaves what the last ones wanted.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use proptest::prelude::*;

use super::*;

/// One publish: which plots it is narrowed to and what they are now, and after how many events it stops.
#[derive(Clone, Debug)]
struct Step {
    plots: Vec<Plot>,
    stop_after: Option<usize>,
}

fn some_plot() -> impl Strategy<Value = Plot> {
    (0..2u8, 0..3u8, 0..3u8, 0..3u8, 0..2u8, 0..2u8).prop_map(
        |(city, name, content, volatile, header, note)| {
            let plot = plot(["C.12580", "C.12940"][usize::from(city)], &format!("plot{name}"));
            let plot = plot.content(&"x".repeat(usize::from(content) + 1));
            let plot = plot.volatile(&"!".repeat(usize::from(volatile)));
            let plot = if header == 0 { plot } else { plot.cached_for("no-cache") };
            plot.note(&format!("note {note}"))
        },
    )
}

fn some_step() -> impl Strategy<Value = Step> {
    let plots = prop::collection::vec(some_plot(), 1..5).prop_map(|mut plots| {
        plots.sort_by_key(Plot::key);
        plots.dedup_by_key(|plot| plot.key());
        plots
    });
    (plots, prop::option::weighted(0.3, 1..9usize))
        .prop_map(|(plots, stop_after)| Step { plots, stop_after })
}

/// What a site should hold: the plots as they stand there, and the rows that describe them.
#[derive(Default)]
struct Model {
    objects: BTreeMap<String, Plot>,
    rows: BTreeMap<String, (String, u64)>,
}

impl Model {
    fn object(&mut self, plot: &Plot) {
        let stands = self.objects.entry(plot.key()).or_insert_with(|| plot.clone());
        let keeps = stands.content == plot.content;
        let volatile = if keeps { stands.volatile.clone() } else { plot.volatile.clone() };
        *stands = Plot { volatile, ..plot.clone() };
    }

    fn row(&mut self, plot: &Plot) {
        let size = self.objects[&plot.key()].bytes().len() as u64;
        self.rows.insert(plot.key(), (plot.note.clone(), size));
    }
}

/// Publishes, and stops after so many events; tells which objects and whether the rows came to stand.
fn publish_until(project: &Project, step: &Step) -> (Vec<String>, bool) {
    let (mut placed, mut rows, mut events) = (Vec::new(), false, 0);
    let stopped = catch_unwind(AssertUnwindSafe(|| {
        project.try_publish_wanted(&project.wanted(&step.plots), &mut |event| {
            match event {
                Event::Object { key, .. } => placed.push(key.to_owned()),
                Event::Rows { .. } => rows = true,
                _ => {}
            }
            events += 1;
            if step.stop_after == Some(events) {
                resume_unwind(Box::new("stopped"));
            }
        })
    }));
    if let Ok(done) = stopped {
        done.unwrap();
        return (step.plots.iter().map(Plot::key).collect(), true);
    }
    (placed, rows)
}

fn check(project: &Project, model: &Model) {
    let stands = project.objects();
    let expected: BTreeMap<_, _> =
        model.objects.iter().map(|(key, plot)| (key.clone(), plot.bytes())).collect();
    assert_eq!(stands, expected);
    let rows: BTreeMap<String, (String, u64)> = project
        .rows()
        .into_iter()
        .map(|(.., item)| match (&item["s3_key"], &item["note"], &item["file_size"]) {
            (Attribute::S(key), Attribute::S(note), Attribute::N(size)) => {
                (key.clone(), (note.clone(), size.parse().unwrap()))
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(rows, model.rows);
    project.assert_rows_have_objects();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_site_is_what_was_wanted_last_and_what_was_there_before_outside_the_selection(
        steps in prop::collection::vec(some_step(), 1..8)
    ) {
        let project = Project::new();
        let mut model = Model::default();
        for step in &steps {
            project.build(&step.plots);
            let (placed, rows) = publish_until(&project, step);
            for plot in step.plots.iter().filter(|plot| placed.contains(&plot.key())) {
                model.object(plot);
            }
            if rows {
                step.plots.iter().for_each(|plot| model.row(plot));
            }
            check(&project, &model);
        }
        let last = &steps.last().unwrap().plots;
        project.publish(last);
        for plot in last {
            model.object(plot);
            model.row(plot);
        }
        check(&project, &model);
        prop_assert!(project.verify(&EVERYTHING).is_empty());
        prop_assert!(project.plan(last).is_empty());
    }
}
