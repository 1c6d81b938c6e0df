//! Parses the text format of Prometheus, to serve the metrics as JSON.

use std::collections::BTreeMap;

use super::catalogue::{CATALOGUE, Metric};

/// One value of a metric, for one set of labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Sample {
    /// The labels.
    pub(crate) labels: BTreeMap<String, String>,
    /// The value; the sum of the observations if the metric is a histogram.
    pub(crate) value: f64,
    /// The number of observations if the metric is a histogram.
    pub(crate) count: Option<u64>,
}

/// The samples of every metric in the catalogue that has samples.
pub(crate) fn read(text: &str) -> Vec<(&'static Metric, Vec<Sample>)> {
    let mut found: BTreeMap<&str, BTreeMap<String, Sample>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, labels, value)) = sample(line) else { continue };
        let (metric, part) = match CATALOGUE.iter().find(|metric| metric.name == name) {
            Some(metric) => (metric.name, ""),
            None => match name.rsplit_once('_') {
                Some((metric, part @ ("sum" | "count"))) => (metric, part),
                _ => continue,
            },
        };
        let key = format!("{labels:?}");
        let sample = found.entry(metric).or_default().entry(key).or_default();
        sample.labels = labels;
        match part {
            "count" => sample.count = value.parse().ok(),
            _ => sample.value = value.parse().unwrap_or_default(),
        }
    }
    let samples = |metric: &'static Metric| Some((metric, found.remove(metric.name)?.into_values().collect()));
    CATALOGUE.iter().filter_map(samples).collect()
}

/// Parses `name{label="value",…} value`. Label values contain no quotes, since they are words, paths and numbers.
fn sample(line: &str) -> Option<(&str, BTreeMap<String, String>, &str)> {
    let (named, value) = line.rsplit_once(' ')?;
    let Some((name, labels)) = named.split_once('{') else { return Some((named, BTreeMap::new(), value)) };
    let labels = labels.strip_suffix('}')?.split("\",").filter_map(|label| {
        let (name, value) = label.split_once("=\"")?;
        Some((name.to_owned(), value.trim_end_matches('"').to_owned()))
    });
    Some((name, labels.collect(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_with_their_labels() {
        let text = "# HELP engine_shards Shards.\n# TYPE engine_shards gauge\nengine_shards 16\n\n\
            cache_lookups_total{cache=\"slugs\",result=\"hit\"} 3\n\
            cache_lookups_total{cache=\"slugs\",result=\"miss\"} 1\n\
            http_request_duration_seconds_bucket{method=\"GET\",route=\"/api/v1/{ws}\",status=\"200\",le=\"+Inf\"} 2\n\
            http_request_duration_seconds_sum{method=\"GET\",route=\"/api/v1/{ws}\",status=\"200\"} 0.5\n\
            http_request_duration_seconds_count{method=\"GET\",route=\"/api/v1/{ws}\",status=\"200\"} 2\n\
            somebody_elses_total 9\n";
        let read: Vec<_> = read(text).into_iter().map(|(metric, samples)| (metric.name, samples)).collect();
        let labels = |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let sample = |pairs: &[(&str, &str)], value, count| Sample { labels: labels(pairs), value, count };
        let expected = [
            (
                "cache_lookups_total",
                vec![
                    sample(&[("cache", "slugs"), ("result", "hit")], 3.0, None),
                    sample(&[("cache", "slugs"), ("result", "miss")], 1.0, None),
                ],
            ),
            ("engine_shards", vec![sample(&[], 16.0, None)]),
            (
                "http_request_duration_seconds",
                vec![sample(&[("method", "GET"), ("route", "/api/v1/{ws}"), ("status", "200")], 0.5, Some(2))],
            ),
        ];
        assert_eq!(read, expected);
    }
}
