//! Questions that many ask at once.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OnceCell;

type Turns<K, T> = HashMap<K, Weak<Turn<T>>>;

/// Asks each question once for all who wait for its answer, and one at a time for each key.
///
/// While an answer is awaited, those who come share the next question. So nobody gets the answer to a question from
/// before they came, and however many ask, at most one question of a key is under way.
pub(crate) struct Shared<K, T>(Mutex<Turns<K, T>>);

/// The questions of a key.
struct Turn<T> {
    /// Held while a question is under way.
    asking: tokio::sync::Mutex<()>,
    /// The question that is not sent yet.
    next: Mutex<Arc<OnceCell<T>>>,
}

impl<T> Turn<T> {
    fn next(&self) -> Arc<OnceCell<T>> {
        Arc::clone(&self.next.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Closes the next question: who comes from now on shares another one.
    fn close(&self) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Arc::default();
    }
}

/// One of those who ask with a key. The last one to leave takes the key away.
struct Seat<'s, K: Hash + Eq, T> {
    turns: &'s Mutex<Turns<K, T>>,
    key: K,
    turn: Arc<Turn<T>>,
}

impl<K: Hash + Eq, T> Drop for Seat<'_, K, T> {
    fn drop(&mut self) {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody joins while the lock is held.
        if Arc::strong_count(&self.turn) == 1 {
            turns.remove(&self.key);
        }
    }
}

impl<K: Hash + Eq + Clone, T: Clone> Shared<K, T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::default())
    }

    /// The answer to a question that is sent after this call. If it fails, the next of those who wait asks again.
    ///
    /// # Errors
    /// Those of `ask`.
    pub(crate) async fn ask<E>(&self, key: K, ask: impl AsyncFnOnce() -> Result<T, E>) -> Result<T, E> {
        let Seat { turn, .. } = &self.join(key);
        let question = turn.next();
        let answer = question
            .get_or_try_init(|| async {
                let _asking = turn.asking.lock().await;
                turn.close();
                ask().await
            })
            .await;
        answer.cloned()
    }

    fn join(&self, key: K) -> Seat<'_, K, T> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = turns.get(&key).and_then(Weak::upgrade).unwrap_or_else(|| {
            let turn = Arc::new(Turn { asking: tokio::sync::Mutex::default(), next: Mutex::default() });
            turns.insert(key.clone(), Arc::downgrade(&turn));
            turn
        });
        Seat { turns: &self.0, key, turn }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures::future::join_all;
    use tokio::sync::{Notify, Semaphore};

    use super::*;

    #[tokio::test]
    async fn who_comes_while_an_answer_is_awaited_shares_the_next_question() {
        let (shared, asked, answers) = (Shared::new(), AtomicU32::new(0), Semaphore::new(0));
        let under_way = Notify::new();
        let ask = || {
            shared.ask("key", async || {
                let number = asked.fetch_add(1, Ordering::SeqCst);
                under_way.notify_one();
                answers.acquire().await.unwrap().forget();
                Ok::<_, Infallible>(number)
            })
        };
        let later = async {
            under_way.notified().await;
            let others = join_all((0..10).map(|_| ask()));
            let answer = async {
                tokio::task::yield_now().await;
                answers.add_permits(2);
            };
            tokio::join!(others, answer).0
        };
        let (first, others) = tokio::join!(ask(), later);
        assert_eq!((first, others), (Ok(0), vec![Ok(1); 10]));
        answers.add_permits(1);
        assert_eq!(ask().await, Ok(2), "an answer is not kept");
        assert_eq!(shared.0.lock().unwrap().len(), 0, "nor is the key");
    }

    #[tokio::test]
    async fn a_failure_or_somebody_who_gives_up_leaves_the_others_to_ask() {
        let (shared, asked) = (Shared::new(), AtomicU32::new(0));
        let results = join_all((0..3).map(|_| {
            shared.ask((), async || {
                tokio::task::yield_now().await;
                match asked.fetch_add(1, Ordering::SeqCst) {
                    0 => Err("away"),
                    number => Ok(number),
                }
            })
        }))
        .await;
        assert_eq!(results, [Err("away"), Ok(1), Ok(1)]);
        let mut given_up = Box::pin(shared.ask((), async || std::future::pending::<Result<u32, &str>>().await));
        assert!(futures::poll!(given_up.as_mut()).is_pending());
        let waits = shared.ask((), async || Ok::<_, &str>(7));
        let gives_up = async move { drop(given_up) };
        assert_eq!(tokio::join!(waits, gives_up).0, Ok(7));
    }
}
