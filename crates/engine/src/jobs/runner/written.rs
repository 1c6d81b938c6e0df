//! Stores the results of attempts, enqueues recurring jobs and counts jobs.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tidegate_kernel::StoreError;
use tokio::time::Instant;

use super::super::model::{EndedJob, JobCount, JobKey, JobOutcome, MAX_ERROR_BYTES, Recurrence};
use super::{Message, PAUSE, RECUR, Runner};
use crate::model::{ShardId, Tenure};

impl Runner {
    pub(super) fn attempt_ended(&mut self, key: JobKey, tenure: Tenure, outcome: JobOutcome) {
        let Some(job) = self.in_hand.get_mut(&key).filter(|job| job.tenure == tenure) else { return };
        job.attempt = None;
        if let Some(queue) = self.queues.get_mut(job.kind) {
            queue.measures.ended(&outcome, job.begun.elapsed());
            queue.ended(key.workspace);
        }
        let ended = EndedJob { key, tenure, outcome: bounded(outcome) };
        match self.ended.back_mut() {
            Some(batch) if batch.len() < self.config.batch => batch.push(ended),
            _ => self.ended.push_back(vec![ended]),
        }
    }

    pub(super) fn start_write(&mut self, now: Instant) {
        let Some(worker) = self.worker else { return };
        if self.writing || now < self.next_write {
            return;
        }
        let Some(mut batch) = self.ended.pop_front() else { return };
        batch.retain(|ended| self.tenures.get(&ended.tenure.shard) == Some(&ended.tenure));
        if batch.is_empty() {
            return;
        }
        self.writing = true;
        let (store, scope, at) = (self.store.clone(), self.scope.clone(), self.env.now());
        let ended = Arc::new(batch);
        let asked = Arc::clone(&ended);
        let question = async move { store.finish(&scope, worker, &asked, at).await };
        self.ask(question, move |result| Message::Written { ended, result });
    }

    pub(super) fn written(&mut self, ended: &Arc<Vec<EndedJob>>, result: Result<Vec<JobKey>, StoreError>) {
        self.writing = false;
        match result {
            Ok(_) => {
                for ended in ended.iter() {
                    self.drop_from_hand(ended);
                }
            }
            Err(error @ StoreError::Unavailable(_)) => {
                tracing::warn!(%error, jobs = ended.len(), "ends of jobs could not be written; it is tried again");
                self.ended.push_front(ended.to_vec());
                self.next_write = Instant::now() + self.jittered(PAUSE);
            }
            // One of the results can never be written. Halving the batch finds it, so that it does not hold up the
            // others.
            Err(_) if ended.len() > 1 => {
                let (first, second) = ended.split_at(ended.len() / 2);
                self.ended.push_front(second.to_vec());
                self.ended.push_front(first.to_vec());
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                for ended in ended.iter() {
                    tracing::error!(%error, cause, job = %ended.key.job, "the end of a job cannot be written; it is done again");
                    self.unwritten.increment(1);
                    self.drop_from_hand(ended);
                }
            }
        }
    }

    fn drop_from_hand(&mut self, ended: &EndedJob) {
        if self.in_hand.get(&ended.key).is_some_and(|job| job.tenure == ended.tenure && job.attempt.is_none()) {
            self.in_hand.remove(&ended.key);
        }
    }

    pub(super) fn start_recur(&mut self, now: Instant) {
        if self.recurring || now < self.next_recur || self.tenures.is_empty() {
            return;
        }
        let at = self.env.now();
        let recurring = self.queues.iter().filter_map(|(name, queue)| Some((*name, queue.kind.recurring.as_ref()?)));
        let recurrences: Vec<Recurrence> = recurring
            .filter_map(|(kind, recurring)| {
                let next = recurring.schedule.next_after(at)?;
                Some(Recurrence { kind, cron: recurring.cron.clone(), next, payload: recurring.payload.clone() })
            })
            .collect();
        self.next_recur = now + self.jittered(RECUR);
        if recurrences.is_empty() {
            return;
        }
        self.recurring = true;
        let (store, scope) = (self.store.clone(), self.scope.clone());
        self.ask(async move { store.recur(&scope, &recurrences, at).await }, Message::Recurred);
    }

    pub(super) fn recurred(&mut self, result: Result<Option<DateTime<Utc>>, StoreError>) {
        self.recurring = false;
        match result {
            Ok(Some(next)) => {
                let wait = (next - self.env.now()).to_std().unwrap_or(Duration::ZERO);
                self.next_recur = self.next_recur.min(Instant::now() + wait);
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "recurring jobs could not be looked at; it is tried again"),
        }
    }

    pub(super) fn start_count(&mut self, now: Instant) {
        if self.counting || now < self.next_count || self.tenures.is_empty() {
            return;
        }
        self.counting = true;
        let every = if self.is_quiet() { self.config.count * 4 } else { self.config.count };
        self.next_count = now + self.jittered(every);
        let shards: Vec<ShardId> = self.tenures.keys().copied().collect();
        let (store, scope) = (self.store.clone(), self.scope.clone());
        self.ask(async move { store.count(&scope, &shards).await }, Message::Counted);
    }

    pub(super) fn count_heard(&mut self, result: Result<Vec<JobCount>, StoreError>) {
        self.counting = false;
        let counts = match result {
            Ok(counts) => counts,
            Err(error) => {
                tracing::warn!(%error, "waiting jobs could not be counted; it is tried again");
                return;
            }
        };
        let now = self.env.now();
        for (kind, queue) in &self.queues {
            let own: Vec<&JobCount> = counts.iter().filter(|count| count.kind == **kind).collect();
            queue.measures.count(&own, now);
        }
        let unknown = counts.iter().filter(|count| !self.queues.contains_key(count.kind.as_str()));
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a double; there are not that many jobs")]
        self.unknown_waiting.set(unknown.map(|count| count.jobs).sum::<u64>() as f64);
    }
}

/// The same result with an error that a store accepts: without NUL, and at most [`MAX_ERROR_BYTES`] bytes long.
fn bounded(outcome: JobOutcome) -> JobOutcome {
    let cut = |error: String| {
        let mut error = error.replace('\0', "");
        let end = error.floor_char_boundary(MAX_ERROR_BYTES);
        error.truncate(end);
        error
    };
    match outcome {
        JobOutcome::Done => JobOutcome::Done,
        JobOutcome::Retry { at, error } => JobOutcome::Retry { at, error: cut(error) },
        JobOutcome::Dead { error } => JobOutcome::Dead { error: cut(error) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_cut_between_characters_and_keeps_no_nul() {
        let long = JobOutcome::Dead { error: format!("a\0{}", "ä".repeat(MAX_ERROR_BYTES)) };
        let JobOutcome::Dead { error } = bounded(long) else { panic!("it is dead") };
        assert!(error.starts_with("aä") && error.len() <= MAX_ERROR_BYTES && error.len() > MAX_ERROR_BYTES - 4);
    }
}
