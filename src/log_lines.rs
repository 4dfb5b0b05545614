//! Which plot a line of a batch's log speaks of.
//!
//! A batch names a plot when it begins it; the lines that follow are about that plot, though they do not say so.
//! Pure: lines in, events out. Knows nothing of where lines come from or of what a plot is.

use std::collections::VecDeque;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use crate::job::Sign;

/// What a runner declares about its log. A pattern may match anywhere in a line.
///
/// A leading timestamp is left out when a pattern is tried first, so that `^GENERATING` matches; then the whole line is tried.
#[derive(Clone, Debug, Default)]
pub struct LogRules {
    /// A plot begins; its named groups say which.
    pub target: Option<Regex>,
    /// The plot that was begun cannot exist.
    pub absent: Vec<Regex>,
    /// The plot that was begun is done.
    pub success: Option<Regex>,
    /// The plot that was begun failed; it ends with the next target, since what failed may be told in the lines that follow.
    pub failure: Option<Regex>,
    /// Further lines that show that the run gets on.
    pub progress: Vec<Regex>,
}

/// What a line, or the end of the log, says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<K> {
    Began(K),
    /// The plot's lines are complete.
    Ended {
        key: K,
        how: How,
        lines: Vec<String>,
    },
    /// The plot cannot exist: the line that says so, and which pattern of `LogRules::absent` it matches.
    Absent {
        key: K,
        line: String,
        pattern: usize,
    },
    /// A target line names something that was not asked for; what follows is about that.
    Unasked(String),
}

/// What the log says of a plot's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Succeeded,
    Failed,
    /// Neither pattern matched, or none is declared.
    Untold,
}

/// Whom a target line names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named<K> {
    One(K),
    /// It names too little to tell plots that were asked for apart, so it tells of none of them.
    Several,
    /// What it names was not asked for.
    Nobody,
}

/// Turns the groups of a target line into the plot that was asked for, if it was.
pub type Resolve<'a, K> = Box<dyn Fn(&Captures<'_>) -> Named<K> + Send + 'a>;

/// Reads the log of one run, line by line, both streams as they come.
pub struct LogReader<'a, K> {
    rules: LogRules,
    resolve: Resolve<'a, K>,
    open: Open<K>,
    run: Excerpt,
}

/// Whom the next line belongs to.
enum Open<K> {
    Run,
    /// Of a plot that was not asked for, or cannot be told from others: its lines are nobody's.
    Unasked,
    Plot {
        key: K,
        how: How,
        lines: Excerpt,
    },
}

impl<'a, K: Clone> LogReader<'a, K> {
    /// No line has been read yet.
    pub fn new(rules: LogRules, resolve: Resolve<'a, K>) -> LogReader<'a, K> {
        LogReader { rules, resolve, open: Open::Run, run: Excerpt::default() }
    }

    /// Takes the next line; whether it shows progress, and what it says.
    pub fn read(&mut self, line: &str) -> (Sign, Vec<Event<K>>) {
        let mut events = Vec::new();
        let text = spoken(line);
        if let Some(target) = &self.rules.target
            && let Some(captures) = target.captures(text).or_else(|| target.captures(line))
        {
            let resolved = (self.resolve)(&captures);
            self.close(&mut events);
            match resolved {
                Named::One(key) => {
                    let mut lines = Excerpt::default();
                    lines.push(line);
                    events.push(Event::Began(key.clone()));
                    self.open = Open::Plot { key, how: How::Untold, lines };
                }
                Named::Several => self.open = Open::Unasked,
                Named::Nobody => {
                    events.push(Event::Unasked(line.to_owned()));
                    self.open = Open::Unasked;
                }
            }
            return (Sign::Progress, events);
        }
        let matches = |rule: &Regex| rule.is_match(text) || rule.is_match(line);
        let succeeded = self.rules.success.as_ref().is_some_and(matches);
        let failed = self.rules.failure.as_ref().is_some_and(matches);
        match &mut self.open {
            Open::Run => self.run.push(line),
            Open::Unasked => {}
            Open::Plot { key, how, lines } => {
                lines.push(line);
                if let Some(pattern) = self.rules.absent.iter().position(matches) {
                    let (key, line) = (key.clone(), line.to_owned());
                    events.push(Event::Absent { key, line, pattern });
                }
                if failed {
                    *how = How::Failed;
                } else if succeeded && *how == How::Untold {
                    *how = How::Succeeded;
                }
            }
        }
        let progress = succeeded || failed || self.rules.progress.iter().any(matches);
        if succeeded && !failed {
            self.close(&mut events);
        }
        let told = progress || self.rules.says_nothing_of_progress();
        (if told { Sign::Progress } else { Sign::Talk }, events)
    }

    /// The log is at its end: the last plot's lines are complete. Returns the run's own lines too.
    pub fn finish(mut self) -> (Vec<Event<K>>, Vec<String>) {
        let mut events = Vec::new();
        self.close(&mut events);
        (events, self.run.into_lines())
    }

    fn close(&mut self, events: &mut Vec<Event<K>>) {
        if let Open::Plot { key, how, lines } = std::mem::replace(&mut self.open, Open::Run) {
            events.push(Event::Ended { key, how, lines: lines.into_lines() });
        }
    }
}

impl LogRules {
    /// With nothing declared, any line is the best sign there is.
    fn says_nothing_of_progress(&self) -> bool {
        self.target.is_none()
            && self.success.is_none()
            && self.failure.is_none()
            && self.progress.is_empty()
    }
}

/// The line without a leading timestamp, bracketed or bare.
fn spoken(line: &str) -> &str {
    static STAMP: LazyLock<Regex> = LazyLock::new(|| {
        let clock = r"\d{2}:\d{2}:\d{2}(?:[.,]\d+)?(?:Z| ?[+-]\d{2}:?\d{2})?";
        Regex::new(&format!(r"^\s*\[?\d{{4}}-\d{{2}}-\d{{2}}[ T]{clock}\]?\s*"))
            .expect("the pattern is constant")
    });
    STAMP.find(line).map_or(line, |stamp| &line[stamp.end()..])
}

/// The first and the last lines of a text, in bounded memory: the first tell what began, the last how it ended.
#[derive(Debug, Default)]
struct Excerpt {
    first: Vec<String>,
    first_bytes: usize,
    last: VecDeque<String>,
    last_bytes: usize,
    left_out: usize,
}

impl Excerpt {
    const FIRST_LINES: usize = 50;
    const FIRST_BYTES: usize = 16 << 10;
    const LAST_LINES: usize = 150;
    const LAST_BYTES: usize = 48 << 10;
    /// One line must not push out all the others.
    const LINE_BYTES: usize = 4 << 10;

    fn push(&mut self, line: &str) {
        let mut end = line.len().min(Excerpt::LINE_BYTES);
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        let mut kept = line[..end].to_owned();
        if end < line.len() {
            kept.push_str(&format!(" [{} more bytes cut]", line.len() - end));
        }
        let fits = self.first.len() < Excerpt::FIRST_LINES
            && self.first_bytes + kept.len() <= Excerpt::FIRST_BYTES;
        if fits && self.last.is_empty() {
            self.first_bytes += kept.len();
            self.first.push(kept);
            return;
        }
        self.last_bytes += kept.len();
        self.last.push_back(kept);
        while self.last.len() > Excerpt::LAST_LINES || self.last_bytes > Excerpt::LAST_BYTES {
            let Some(gone) = self.last.pop_front() else { break };
            self.last_bytes -= gone.len();
            self.left_out += 1;
        }
    }

    fn into_lines(self) -> Vec<String> {
        let mut lines = self.first;
        match self.left_out {
            0 => {}
            1 => lines.push("[1 line left out]".to_owned()),
            many => lines.push(format!("[{many} lines left out]")),
        }
        lines.extend(self.last);
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regex(pattern: &str) -> Regex {
        Regex::new(pattern).expect("a test's pattern")
    }

    fn model() -> LogRules {
        LogRules {
            target: Some(regex(
                r"GENERATING: (?<city>[^/]+)/(?<scenario>[^/]+)/(?<outcome>\S+) \((?<statistic>[^,]+), (?<facet>[^)]+)\)",
            )),
            absent: vec![
                regex("does not reference a valid dimension"),
                regex("do not reference valid dimensions"),
            ],
            success: Some(regex("^SUCCESS: Generated")),
            failure: Some(regex("^ERROR: ERROR: ")),
            progress: Vec::new(),
        }
    }

    fn reader(rules: LogRules) -> LogReader<'static, String> {
        let resolve = |captures: &Captures<'_>| {
            let key = format!("{}/{}", &captures["outcome"], &captures["facet"]);
            if &captures["city"] == "C.12580" { Named::One(key) } else { Named::Nobody }
        };
        LogReader::new(rules, Box::new(resolve))
    }

    fn read(rules: LogRules, log: &str) -> (Vec<Event<String>>, Vec<String>) {
        let mut reader = reader(rules);
        let mut events: Vec<_> = log.lines().flat_map(|line| reader.read(line).1).collect();
        let (last, run) = reader.finish();
        events.extend(last);
        (events, run)
    }

    const LOG: &str = "\
[1] \"[BASELINE] loaded\"
[2026-08-01 10:00:00] INFO: Total plots to generate: 3
[2026-08-01 10:00:01] [1/3] GENERATING: C.12580/cessation/incidence (mean.and.interval, none)
[2026-08-01 10:00:05] SUCCESS: Generated incidence_mean.and.interval_unfaceted.json
[2026-08-01 10:00:05] [2/3] GENERATING: C.12580/cessation/prep.uptake (mean.and.interval, sex+risk)
[2026-08-01 10:00:06] ERROR: ERROR: Error subsetting ontology:
'sex', 'risk' do not reference valid dimensions
[2026-08-01 10:00:06] [3/3] GENERATING: C.99999/cessation/testing (mean.and.interval, age)
[2026-08-01 10:00:07] ERROR: ERROR: 'age' does not reference a valid dimension
[2026-08-01 10:00:07] [4/3] GENERATING: C.12580/cessation/testing (mean.and.interval, age+sex)
killed here";

    #[test]
    fn lines_belong_to_the_plot_that_was_named_before_them() {
        let (events, run) = read(model(), LOG);
        let ended = |key: &str, how, from: usize, to: usize| Event::Ended {
            key: key.to_owned(),
            how,
            lines: LOG.lines().skip(from).take(to - from).map(str::to_owned).collect(),
        };
        assert_eq!(
            events,
            [
                Event::Began("incidence/none".to_owned()),
                ended("incidence/none", How::Succeeded, 2, 4),
                Event::Began("prep.uptake/sex+risk".to_owned()),
                Event::Absent {
                    key: "prep.uptake/sex+risk".to_owned(),
                    line: "'sex', 'risk' do not reference valid dimensions".to_owned(),
                    pattern: 1,
                },
                ended("prep.uptake/sex+risk", How::Failed, 4, 7),
                Event::Unasked(LOG.lines().nth(7).unwrap().to_owned()),
                Event::Began("testing/age+sex".to_owned()),
                ended("testing/age+sex", How::Untold, 9, 11),
            ]
        );
        assert_eq!(run, LOG.lines().take(2).collect::<Vec<_>>());
    }

    #[test]
    fn without_success_and_failure_a_plot_ends_where_the_next_begins() {
        let (events, _) = read(LogRules { success: None, failure: None, ..model() }, LOG);
        let ends: Vec<How> = events
            .iter()
            .filter_map(|event| match event {
                Event::Ended { how, .. } => Some(*how),
                _ => None,
            })
            .collect();
        assert_eq!(ends, [How::Untold; 3]);
        assert!(events.iter().any(|event| matches!(event, Event::Absent { .. })));
    }

    #[test]
    fn lines_after_a_success_are_the_runs_own() {
        let log = format!(
            "{}\n[2026-08-01 10:09:00] INFO: Batch generation complete!",
            LOG.lines().take(4).collect::<Vec<_>>().join("\n")
        );
        let (_, run) = read(model(), &log);
        assert!(run[2].ends_with("Batch generation complete!"), "{run:?}");
    }

    #[test]
    fn targets_and_results_are_progress_and_chatter_is_not() {
        let mut told = reader(LogRules { progress: vec![regex("Loading")], ..model() });
        let sign = |reader: &mut LogReader<'_, String>, line: &str| reader.read(line).0;
        assert_eq!(sign(&mut told, "Loading scenario simulation"), Sign::Progress);
        assert_eq!(sign(&mut told, "still alive"), Sign::Talk);
        for line in LOG.lines().skip(2).take(4) {
            assert_eq!(sign(&mut told, line), Sign::Progress, "{line}");
        }
        let mut untold = reader(LogRules::default());
        assert_eq!(sign(&mut untold, "still alive"), Sign::Progress);
    }

    #[test]
    fn a_chatty_plot_keeps_its_first_and_last_lines() {
        let mut log = LOG.lines().nth(2).unwrap().to_owned();
        for number in 0..100_000 {
            log.push_str(&format!("\nline {number}"));
        }
        log.push_str(&format!("\n{}\nlast", "y".repeat(1 << 20)));
        let (events, _) = read(model(), &log);
        let Some(Event::Ended { lines, .. }) = events.last() else { panic!("{events:?}") };
        assert!(lines[0].contains("GENERATING"));
        assert_eq!(lines[1], "line 0");
        assert_eq!(lines[50], "[99803 lines left out]");
        assert_eq!(lines.len(), 201);
        assert_eq!(lines[200], "last");
        assert!(lines.iter().map(String::len).sum::<usize>() < 64 << 10);
    }

    #[test]
    fn timestamps_are_not_in_the_way() {
        for line in [
            "[2026-08-01 10:00:00] said",
            "2026-08-01T10:00:00.123Z said",
            "2026-08-01 10:00:00,5 +0200 said",
            "said",
        ] {
            assert_eq!(spoken(line), "said");
        }
        assert_eq!(spoken("[1/3] said"), "[1/3] said");
    }
}
