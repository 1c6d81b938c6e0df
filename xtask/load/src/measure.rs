//! Rounds, medians and percentiles.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::failure::Failure;
use crate::http::Client;

/// The results of a benchmark.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Its name.
    pub(crate) bench: &'static str,
    /// A description of the setting, with its figures.
    pub(crate) setting: String,
    /// The measured figures.
    pub(crate) metrics: Vec<Metric>,
}

/// A measured figure.
#[derive(Debug, Serialize)]
pub(crate) struct Metric {
    name: &'static str,
    unit: &'static str,
    median: f64,
    rounds: Vec<f64>,
    /// The same for PostgreSQL alone with the same rows, if it can be compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    bare: Option<f64>,
    /// The limit of the figure, and whether it is met.
    #[serde(skip_serializing_if = "Option::is_none")]
    bar: Option<Bar>,
}

/// A limit of a figure.
#[derive(Debug, Serialize)]
struct Bar {
    limit: String,
    met: bool,
}

impl Metric {
    /// A metric with the median of `rounds`.
    pub(crate) fn new(name: &'static str, unit: &'static str, rounds: Vec<f64>) -> Self {
        Self { name, unit, median: median(&rounds), rounds, bare: None, bar: None }
    }

    /// Adds the figure of PostgreSQL alone: the median of `rounds`.
    pub(crate) fn beside(mut self, rounds: &[f64]) -> Self {
        self.bare = Some(median(rounds));
        self
    }

    /// Requires `limit` or more.
    pub(crate) fn at_least(mut self, limit: f64) -> Self {
        self.bar = Some(Bar { limit: format!("≥ {limit}"), met: self.median >= limit });
        self
    }

    /// Requires less than `limit`.
    pub(crate) fn below(mut self, limit: f64) -> Self {
        self.bar = Some(Bar { limit: format!("< {limit}"), met: self.median < limit });
        self
    }

    /// The ratio of each round to that of PostgreSQL alone in the same round.
    pub(crate) fn share(name: &'static str, rounds: &[f64], bare: &[f64]) -> Self {
        Self::new(name, "of bare", rounds.iter().zip(bare).map(|(ours, bare)| ours / bare).collect())
    }
}

/// The median: the middle value, or the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let (left, right) = sorted.split_at(middle);
    match (left.last(), right.first()) {
        (Some(left), Some(right)) if sorted.len().is_multiple_of(2) => f64::midpoint(*left, *right),
        (_, Some(right)) => *right,
        _ => f64::NAN,
    }
}

/// The latencies of requests.
#[derive(Debug, Default)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    /// Adds a latency.
    pub(crate) fn add(&mut self, latency: Duration) {
        self.0.push(latency);
    }

    /// Adds all latencies of `others`.
    pub(crate) fn merge(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// The number of latencies.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The latency in milliseconds that `percent` of requests did not exceed (nearest rank).
    pub(crate) fn percentile(&mut self, percent: usize) -> f64 {
        self.0.sort_unstable();
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1000.0)
    }
}

/// Repeats a GET over several connections for some time, and returns the requests per second and the latencies.
pub(crate) async fn hammer(
    server: &str,
    token: &str,
    connections: usize,
    time: Duration,
    path: &str,
) -> Result<(f64, Latencies), Failure> {
    hammer_with(server, token, connections, time, path, "", 200).await
}

/// [`hammer`] with further header lines, each with its line end, and the status that each response must have.
pub(crate) async fn hammer_with(
    server: &str,
    token: &str,
    connections: usize,
    time: Duration,
    path: &str,
    extra: &str,
    status: u16,
) -> Result<(f64, Latencies), Failure> {
    let mut clients = Vec::new();
    for _ in 0..connections {
        let mut client = Client::connect(server, Some(token)).await?;
        extra.clone_into(&mut client.extra);
        clients.push(client);
    }
    let began = Instant::now();
    let each = clients.into_iter().map(|mut client| async move {
        let mut latencies = Latencies::default();
        while began.elapsed() < time {
            let sent = Instant::now();
            client.get(path).await?.expect(status)?;
            latencies.add(sent.elapsed());
        }
        Ok::<_, Failure>(latencies)
    });
    let mut all = Latencies::default();
    for latencies in futures::future::try_join_all(each).await? {
        all.merge(latencies);
    }
    Ok((per_second(all.count(), began.elapsed()), all))
}

/// A count as a rate.
#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
pub(crate) fn per_second(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_percentiles_are_values_that_were_measured() {
        assert_eq!(median(&[3.0, 1.0, 2.0]).to_bits(), 2f64.to_bits());
        assert_eq!(median(&[1.0, 2.0]).to_bits(), 1.5f64.to_bits());
        let mut latencies = Latencies((1..=100).map(Duration::from_millis).collect());
        assert_eq!(latencies.percentile(50).round().to_bits(), 50f64.to_bits());
        assert_eq!(latencies.percentile(99).round().to_bits(), 99f64.to_bits());
    }
}
