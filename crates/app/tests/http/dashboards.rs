//! Dashboards and alerts use only metrics that exist.

use std::collections::BTreeSet;

use serde_json::Value;
use tidegate::measures::catalogue::{CATALOGUE, MetricKind};

const RULES: &str = include_str!("../../../../deploy/prometheus/rules.yaml");
const DASHBOARD: &str = include_str!("../../../../deploy/grafana/tidegate.json");

/// Keywords of PromQL in the expressions, and labels that every scrape adds.
const WORDS: [&str; 16] = [
    "by",
    "histogram_quantile",
    "increase",
    "instance",
    "job",
    "label_values",
    "le",
    "max",
    "min",
    "rate",
    "sum",
    "topk",
    "up",
    "inf",
    "on",
    "and",
];

/// The expressions of the dashboard.
fn of_dashboard() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten().map(|target| &target["expr"]);
    let variables =
        dashboard["templating"]["list"].as_array().expect("variables").iter().map(|of| &of["query"]["query"]);
    targets
        .chain(variables.filter(|query| query.is_string()))
        .map(|text| text.as_str().expect("a text").to_owned())
        .collect()
}

/// The values of a member of the rules.
fn of_rules(member: &str) -> Vec<String> {
    let lines = RULES.lines().map(|line| line.trim().trim_start_matches("- "));
    lines.filter_map(|line| line.strip_prefix(member)).map(|value| value.trim().to_owned()).collect()
}

/// The names in an expression, without strings, durations and numbers.
fn names(expression: &str) -> BTreeSet<String> {
    let unquoted: String = expression.split('"').step_by(2).collect::<Vec<_>>().join(" ");
    let part = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | ':');
    let words =
        unquoted.split(|letter| !part(letter)).filter(|word| word.starts_with(|letter: char| letter.is_alphabetic()));
    words.map(str::to_owned).collect()
}

/// The metric that a name belongs to.
fn metric(name: &str) -> Option<&'static str> {
    let named = |metric: &str| CATALOGUE.iter().find(|known| known.name == metric);
    let part = ["_bucket", "_count", "_sum"].iter().find_map(|part| name.strip_suffix(part));
    let histogram = part.and_then(named).filter(|metric| metric.kind == MetricKind::Histogram);
    // A histogram has no samples under its own name.
    let plain = named(name).filter(|metric| metric.kind != MetricKind::Histogram);
    histogram.or(plain).map(|metric| metric.name)
}

#[test]
fn every_name_in_them_is_a_metric_that_is_exported_or_a_label_of_one() {
    let recorded: BTreeSet<String> = of_rules("record:").into_iter().collect();
    let labels: BTreeSet<&str> = CATALOGUE.iter().flat_map(|metric| metric.labels).copied().collect();
    let (rules, dashboard) = (of_rules("expr:"), of_dashboard());
    assert!(rules.len() > 20 && dashboard.len() > 30, "{} and {}", rules.len(), dashboard.len());
    let mut used = BTreeSet::new();
    for expression in rules.iter().chain(&dashboard) {
        let mut metrics = 0;
        for name in names(expression) {
            if let Some(metric) = metric(&name) {
                used.insert(metric);
                metrics += 1;
            } else if name == "up" || recorded.contains(&name) {
                metrics += 1;
            } else {
                let known = WORDS.contains(&name.as_str()) || labels.contains(name.as_str());
                assert!(known, "`{name}` of `{expression}` is neither a metric nor a label");
            }
        }
        assert!(metrics > 0, "`{expression}` is about nothing");
    }
    let unused: Vec<_> = CATALOGUE.iter().map(|metric| metric.name).filter(|name| !used.contains(name)).collect();
    let elsewhere = [
        "cache_entries",
        "consumer_backlog_workspaces",
        "consumer_events_total",
        "consumer_step_duration_seconds",
        "engine_runs_quarantined_total",
        "engine_shards_lost_total",
        "file_tasks_total",
        "queue_ready_workspaces",
    ];
    assert_eq!(unused, elsewhere, "a metric is watched, or is on this list because it is for whoever looks closer");
}
