//! Failed logins with a known and with an unknown address: whether their times reveal which address has an account.

use std::time::Instant;

use serde_json::json;

use crate::Setting;
use crate::failure::Failure;
use crate::http::Client;
use crate::measure::{Metric, median};

/// Logins of each kind in a round.
const TRIES: usize = 200;
/// The two-sided z-score that two samples of the same distribution exceed once in a thousand times.
const ALIKE: f64 = 3.29;

/// The durations of logins, in milliseconds.
#[derive(Default)]
struct Sample(Vec<f64>);

impl Sample {
    /// The median of the fastest tenth, which an attacker with many attempts would compare.
    fn fastest(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.truncate(sorted.len().div_ceil(10));
        median(&sorted)
    }
}

/// Compares the two kinds. The address `known` has an account.
pub(crate) async fn run(setting: &Setting, known: &str) -> Result<Vec<Metric>, Failure> {
    let mut client = Client::connect(&setting.server, None).await?;
    let (mut scores, mut medians, mut fastest) = (Vec::new(), [Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for round in 0..setting.rounds {
        let mut samples = [Sample::default(), Sample::default()];
        for attempt in 0..TRIES {
            // Alternately, so that each kind is first equally often.
            for kind in if attempt % 2 == 0 { [0, 1] } else { [1, 0] } {
                let unknown = format!("nobody-{round}-{attempt}@example.org");
                let login =
                    json!({ "email": if kind == 0 { known } else { unknown.as_str() }, "password": "not what it is" });
                let sent = Instant::now();
                client.post("/auth/login", &login).await?.expect(401)?;
                samples[kind].0.push(sent.elapsed().as_secs_f64() * 1000.0);
            }
        }
        scores.push(rank_score(&samples[0].0, &samples[1].0).abs());
        for (kind, sample) in samples.iter().enumerate() {
            medians[kind].push(median(&sample.0));
            fastest[kind].push(sample.fastest());
        }
    }
    let [known_median, unknown_median] = medians;
    let [known_fastest, unknown_fastest] = fastest;
    Ok(vec![
        Metric::new("failed log-in, known address: median", "ms", known_median),
        Metric::new("failed log-in, unknown address: median", "ms", unknown_median),
        Metric::new("failed log-in, known address: fastest tenth", "ms", known_fastest),
        Metric::new("failed log-in, unknown address: fastest tenth", "ms", unknown_fastest),
        Metric::new("failed log-ins: rank test of the two", "σ", scores).below(ALIKE),
    ])
}

/// The z-score of the Mann–Whitney U test (Mann and Whitney, Annals of Mathematical Statistics 18, 1947), with the mean
/// rank for ties: negative if `ours` tend to be below `theirs`, positive if they tend to be above.
#[expect(clippy::cast_precision_loss, reason = "samples have a few hundred values")]
fn rank_score(ours: &[f64], theirs: &[f64]) -> f64 {
    let mut all: Vec<(f64, bool)> =
        ours.iter().map(|value| (*value, true)).chain(theirs.iter().map(|value| (*value, false))).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut ranks, mut start) = (0.0, 0);
    for equal in all.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
        let rank = start as f64 + (equal.len() as f64 + 1.0) / 2.0;
        ranks += rank * equal.iter().filter(|(_, ours)| *ours).count() as f64;
        start += equal.len();
    }
    let (n, m) = (ours.len() as f64, theirs.len() as f64);
    let u = ranks - n * (n + 1.0) / 2.0;
    (u - n * m / 2.0) / (n * m * (n + m + 1.0) / 12.0).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_tells_samples_apart_and_leaves_alike_ones_alone() {
        let even: Vec<f64> = (0..200).map(|n| f64::from(n * 2)).collect();
        let odd: Vec<f64> = (0..200).map(|n| f64::from(n * 2 + 1)).collect();
        let later: Vec<f64> = even.iter().map(|value| value + 100.0).collect();
        assert!(rank_score(&even, &even).abs() < 1e-9);
        assert!(rank_score(&even, &odd).abs() < 0.2);
        assert!(rank_score(&even, &later) < -5.0 && rank_score(&later, &even) > 5.0);
        // 1, 2, 3 against 4, 5, 6: U = 0, mean 4.5, variance 5.25.
        let score = rank_score(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]);
        assert!((score + 4.5 / 5.25_f64.sqrt()).abs() < 1e-9, "{score}");
    }

    #[test]
    fn the_fastest_tenth_has_its_median() {
        let sample = Sample((1..=100).rev().map(f64::from).collect());
        assert!((sample.fastest() - 5.5).abs() < 1e-9);
    }
}
