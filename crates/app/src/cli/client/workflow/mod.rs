//! `tidegate workflow`: commands for workflow documents on this machine.

mod files;

use std::path::{Path, PathBuf};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use clap::Subcommand;
use tidegate_workflows::definition::{Problem, json_schema};
use tidegate_workflows::trigger::{Schedule, Trigger};

use crate::cli::{Failure, print};

/// The subcommands of `tidegate workflow`.
#[derive(Debug, Subcommand)]
pub(crate) enum Workflow {
    /// Check documents: prints `file:line:column: message` for each problem, and nothing if there is none
    Validate {
        /// Documents, YAML or (by the ending `.json`) JSON, and folders of `*.yaml`, `*.yml` and `*.json`; `-` reads YAML from
        /// standard input
        #[arg(required = true, value_name = "FILE|FOLDER")]
        paths: Vec<PathBuf>,
    },
    /// Print when the schedules of a document fire next: local time, UTC, and the trigger if there are several
    Schedule {
        /// The document, YAML or (by its ending `.json`) JSON; `-` reads YAML from standard input
        file: PathBuf,
        /// Begin at this time instead of now, such as 2026-03-29T00:00:00Z
        #[arg(long, value_name = "TIME", value_parser = time)]
        from: Option<DateTime<Utc>>,
        /// Number of times for each schedule
        #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        count: u32,
    },
    /// Print the JSON Schema of documents, for editors
    Schema,
    /// Print the step types as a Markdown table
    Steps,
}

pub(crate) fn run(command: &Workflow) -> Result<(), Failure> {
    match command {
        Workflow::Validate { paths } => validate(paths),
        Workflow::Schedule { file, from, count } => {
            schedule(file, from.unwrap_or_else(|| crate::system::environment().now()), *count)
        }
        Workflow::Schema => {
            print(&format!("{:#}", json_schema(&files::steps()?)));
            Ok(())
        }
        Workflow::Steps => {
            print(files::steps()?.to_markdown().trim_end());
            Ok(())
        }
    }
}

fn validate(paths: &[PathBuf]) -> Result<(), Failure> {
    let (files, steps) = (files::found(paths)?, files::steps()?);
    let mut invalid = 0;
    let mut count = 0;
    for file in &files {
        if let Err(problems) = files::compiled(file, &steps)? {
            problems.iter().for_each(|problem| print(&line(file, problem)));
            invalid += 1;
            count += problems.len();
        }
    }
    let problems = format!("{count} problem{}", if count == 1 { "" } else { "s" });
    match *files {
        [ref file] if invalid > 0 => Err(Failure::Failed(format!("{} has {problems}", file.display()))),
        [_] => Ok(()),
        _ if invalid > 0 => {
            Err(Failure::Failed(format!("{invalid} of {} documents are invalid, with {problems}", files.len())))
        }
        _ => {
            eprintln!("tidegate: {} documents are valid", files.len());
            Ok(())
        }
    }
}

fn schedule(file: &Path, from: DateTime<Utc>, count: u32) -> Result<(), Failure> {
    let definition = match files::compiled(file, &files::steps()?)? {
        Ok(definition) => definition,
        Err(problems) => {
            problems.iter().for_each(|problem| print(&line(file, problem)));
            return Err(Failure::Failed(format!("{} is not valid", file.display())));
        }
    };
    let schedules: Vec<(usize, &Schedule)> = (0..)
        .zip(&definition.triggers)
        .filter_map(|(ordinal, trigger)| match trigger {
            Trigger::Cron(cron) => Some((ordinal, &cron.schedule)),
            Trigger::Event(_) => None,
        })
        .collect();
    if schedules.is_empty() {
        eprintln!("tidegate: {} has no schedule", file.display());
    }
    // `from` itself is included.
    let before = from - TimeDelta::nanoseconds(1);
    for (ordinal, schedule) in &schedules {
        let next = |tick: &DateTime<Utc>| schedule.next_after(*tick);
        for tick in std::iter::successors(next(&before), next).take(count as usize) {
            let local = schedule.local(tick).to_rfc3339_opts(SecondsFormat::Secs, false);
            let utc = tick.to_rfc3339_opts(SecondsFormat::Secs, true);
            let trigger = if schedules.len() > 1 { format!(" /triggers/{ordinal}") } else { String::new() };
            print(&format!("{local} {utc}{trigger}"));
        }
    }
    Ok(())
}

fn time(text: &str) -> Result<DateTime<Utc>, String> {
    let time = DateTime::parse_from_rfc3339(text);
    time.map(|time| time.to_utc()).map_err(|error| format!("{error}; write a time such as 2026-03-29T00:00:00Z"))
}

fn line(file: &Path, problem: &Problem) -> String {
    let place = format!("{}:{}:{}: {}", file.display(), problem.line, problem.column, problem.detail);
    match &problem.suggestion {
        Some(meant) => format!("{place}; did you mean `{meant}`?"),
        None => place,
    }
}
