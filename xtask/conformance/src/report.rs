//! The outcomes of cases, counted per file, and their comparison with the list of known differences.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use crate::known::Known;

/// The outcome of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    /// The result differs; the value says how.
    Failed(String),
    /// The case needs a feature that does not exist; the value says why.
    Skipped(&'static str),
}

/// The number of cases by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:5} passed {:5} failed {:5} skipped", self.passed, self.failed, self.skipped)
    }
}

/// The cases of one suite. It displays as a table with a line per file and a line per reason for skipping.
#[derive(Debug, Default)]
pub(crate) struct Report {
    files: BTreeMap<String, Count>,
    reasons: BTreeMap<&'static str, usize>,
    cases: Vec<(String, Outcome)>,
    names: HashMap<String, usize>,
}

impl Report {
    /// Adds a case. The second case of one name in one file gets the name `name#2`, and so on.
    pub(crate) fn add(&mut self, file: &str, name: &str, outcome: Outcome) {
        let count = self.files.entry(file.to_owned()).or_default();
        match &outcome {
            Outcome::Passed => count.passed += 1,
            Outcome::Failed(_) => count.failed += 1,
            Outcome::Skipped(reason) => {
                count.skipped += 1;
                *self.reasons.entry(*reason).or_default() += 1;
            }
        }
        let mut full = format!("{file}/{name}");
        let seen = self.names.entry(full.clone()).or_default();
        *seen += 1;
        if *seen > 1 {
            full = format!("{full}#{seen}");
        }
        self.cases.push((full, outcome));
    }

    /// The number of cases by outcome in all files.
    pub(crate) fn total(&self) -> Count {
        self.files.values().fold(Count::default(), |sum, count| Count {
            passed: sum.passed + count.passed,
            failed: sum.failed + count.failed,
            skipped: sum.skipped + count.skipped,
        })
    }

    /// A sentence for every case whose outcome is not as the list says.
    pub(crate) fn compare(&self, known: &Known) -> Vec<String> {
        let mut unexpected = Vec::new();
        let mut failed = BTreeMap::new();
        for (name, outcome) in &self.cases {
            if let Outcome::Failed(detail) = outcome {
                failed.insert(name.as_str(), ());
                if !known.contains_key(name) {
                    unexpected.push(format!("{name}: {detail}"));
                }
            }
        }
        let gone = known.keys().filter(|name| !failed.contains_key(name.as_str()));
        unexpected.extend(gone.map(|name| format!("{name}: is listed and does not fail; remove its line")));
        unexpected
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (file, count) in &self.files {
            writeln!(f, "{count}  {file}")?;
        }
        for (reason, count) in &self.reasons {
            writeln!(f, "{count:5} skipped: {reason}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_cases_may_fail_and_they_have_to() {
        let mut report = Report::default();
        report.add("a", "x", Outcome::Passed);
        report.add("a", "x", Outcome::Failed("is 1".to_owned()));
        report.add("b", "y", Outcome::Skipped("no messages"));
        let known = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), "why".to_owned())).collect::<Known>();
        assert_eq!(report.compare(&known(&["a/x#2"])), Vec::<String>::new());
        assert_eq!(report.compare(&known(&[])), ["a/x#2: is 1"]);
        assert_eq!(report.compare(&known(&["a/x#2", "a/x", "b/y", "c/z"])).len(), 3);
        assert_eq!(report.total(), Count { passed: 1, failed: 1, skipped: 1 });
    }
}
