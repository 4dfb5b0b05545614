//! What differs in every run and says nothing stops where it was made; one byte that says something
//! goes through.

use super::super::project::Project;

/// A rule that hands out what it is told to, and one that reads it.
struct Made {
    project: Project,
    round: u32,
}

impl Made {
    fn new(kind: &str, volatile: &str, first: &[u8]) -> Made {
        let project = Project::new()
            .program(
                "hand.sh",
                "#!/bin/sh\ncase $1 in\ndraw) cp \"$HANDED\" \"$2\" ;;\nread) cat \"$2\" > \"$3\" ;;\nesac\n",
            )
            .file("round.txt", "0")
            .file("handed", first)
            .jheemfile(&format!(
                r#"
[project]
name = "cutoff"
[input.round]
path = "round.txt"
[runner.hand]
program = "./hand.sh"
pass_env = ["PATH", "HANDED"]
[step.draw]
runner = "hand"
inputs = {{ round = "input.round" }}
command = ["draw", "{{output.made}}"]
[step.draw.output.made]
path = "out/made"
as = "{kind}"
{volatile}
[plot.reader]
runner = "hand"
inputs = {{ made = "step.draw.made" }}
command = ["read", "{{input.made}}", "{{output.read}}"]
output.read.path = "out/read"
"#
            ));
        let handed = project.path("handed").to_string_lossy().into_owned();
        let project = project.env("HANDED", &handed);
        project.build("").success().targets("built=2");
        Made { project, round: 0 }
    }

    /// Lets the step be made again, with these bytes; whether what reads it was made again too.
    #[track_caller]
    fn goes_through(&mut self, bytes: &[u8]) -> bool {
        self.round += 1;
        self.project.write("round.txt", self.round.to_string());
        self.project.write("handed", bytes);
        let ran = self.project.build("").success();
        let readers = ran.ended("built").iter().any(|t| t == "plot.reader");
        // Either way the new bytes are in place.
        assert_eq!(std::fs::read(self.project.path("out/made")).unwrap(), bytes);
        let (built, fresh) = if readers { (2, 0) } else { (1, 1) };
        assert_eq!(
            (ran.count("targets.built"), ran.count("targets.fresh")),
            (built, fresh),
            "{ran}"
        );
        self.project.build("").success().targets("fresh=2");
        readers
    }
}

/// A plot as plotly's R package writes it, with its random id, a value, and a colour.
fn plotly(id: &str, value: &str, colour: &str) -> String {
    format!(
        r#"{{"x": {{"visdat": {{"{id}": ["function () ", "plotlyVisDat"]}}, "cur_data": "{id}",
"attrs": {{"{id}": {{"x": [1, 2], "y": {{}}, "color": ["{colour}"], "type": "scatter"}}}},
"data": [{{"x": [1, 2], "y": [{value}, 4.0], "type": "scatter"}}], "layout": {{"title": "T"}}}}}}"#
    )
}

#[test]
fn the_random_ids_of_plotly_go_no_further() {
    let mut made = Made::new("plotly", "", plotly("1a2b3c4d5e6f", "3.0", "red").as_bytes());
    assert!(!made.goes_through(plotly("6f5e4d3c2b1a", "3.0", "red").as_bytes()));
    // One digit of a value, or of an attribute beside the ids.
    assert!(made.goes_through(plotly("6f5e4d3c2b1a", "3.1", "red").as_bytes()));
    assert!(made.goes_through(plotly("6f5e4d3c2b1a", "3.1", "tan").as_bytes()));
}

#[test]
fn the_random_ids_of_html_widgets_go_no_further() {
    let page = |id: &str, value: &str, text: &str| {
        format!(
            r#"<!DOCTYPE html><html><body><div id="htmlwidget-{id}" class="plotly html-widget"></div>
<script type="application/json" data-for="htmlwidget-{id}">{}</script><p>{text}</p></body></html>"#,
            plotly("1a2b3c4d5e6f", value, "red")
        )
    };
    let first = page("0123456789abcdef0123", "3.0", "Incidence");
    let mut made = Made::new("html", "", first.as_bytes());
    assert!(!made.goes_through(page("fedcba98765432100123", "3.0", "Incidence").as_bytes()));
    assert!(made.goes_through(page("fedcba98765432100123", "3.1", "Incidence").as_bytes()));
    assert!(made.goes_through(page("fedcba98765432100123", "3.1", "Incidences").as_bytes()));
}

#[test]
fn the_header_of_gzip_goes_no_further() {
    let packed = |name: &str, time: u32, level: u32, text: &str| {
        use std::io::Write as _;
        let mut gzip = flate2::GzBuilder::new()
            .filename(name)
            .mtime(time)
            .write(Vec::new(), flate2::Compression::new(level));
        gzip.write_all(text.as_bytes()).unwrap();
        gzip.finish().unwrap()
    };
    let mut made = Made::new("gzip", "", &packed("a", 1, 6, "the same text"));
    assert!(!made.goes_through(&packed("b", 2, 6, "the same text")));
    assert!(!made.goes_through(&packed("b", 2, 0, "the same text")));
    assert!(made.goes_through(&packed("b", 2, 0, "the same texs")));
}

#[test]
fn a_generation_time_goes_no_further_at_any_depth() {
    let metadata = |time: &str, city: &str| {
        format!(
            r#"{{"generation_time": ["{time}"], "about": [{{"generation_time": "{time}", "city": "{city}"}}]}}"#
        )
    };
    let volatile = "volatile = [\"/**/generation_time\"]";
    let mut made = Made::new("json", volatile, metadata("2026-01-01", "A").as_bytes());
    assert!(!made.goes_through(metadata("2026-01-02", "A").as_bytes()));
    assert!(made.goes_through(metadata("2026-01-02", "B").as_bytes()));
    // The order of keys and blanks say nothing either; how a number is written does.
    let mut made = Made::new("json", "", br#"{"a": 1.0, "b": 2}"#);
    assert!(!made.goes_through(br#"{"b":2,"a":1.0}"#));
    assert!(made.goes_through(br#"{"b":2,"a":1.00}"#));
}

#[test]
fn of_plain_bytes_every_one_goes_through() {
    let mut made = Made::new("bytes", "", b"{\"a\": 1}");
    assert!(made.goes_through(b"{\"a\":  1}"));
    assert!(!made.goes_through(b"{\"a\":  1}"));
}
