//! Signals across processes: one Redis channel that every process publishes to and listens on.
//!
//! The own process hears its signals at once and without Redis; what comes back of them is recognised by its origin and
//! passed over. After a break the listener connects again and tells everybody here that they may have missed something.

use std::time::Duration;

use deadpool_redis::redis::{Client, Msg, cmd};
use futures::StreamExt;
use tidegate_in_process::InProcessSignalBus;
use tidegate_kernel::{Environment, Payload, Signal, SignalBus, SignalStream, Topic};
use tokio::sync::{Mutex, mpsc};

use crate::{Redis, RedisError};

/// The channel. Pub/sub of Redis knows no databases, so installations that share one Redis share it, and pass over
/// each other's signals: those name ids that they do not have.
const CHANNEL: &str = "tidegate:signals";
/// How many signals may wait to be sent.
const QUEUE: usize = 1024;
/// How soon a broken connection is made again, at first and at last.
const RETRY: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];

/// Signals across the processes that share a Redis.
pub struct RedisSignalBus {
    local: InProcessSignalBus,
    queue: mpsc::Sender<Signal>,
    /// What is to be sent; whoever relays takes from it.
    waiting: Mutex<mpsc::Receiver<Signal>>,
    redis: Redis,
    client: Client,
    origin: String,
}

impl RedisSignalBus {
    /// A bus that works within this process until it is relayed, see [`RedisSignalBus::relay`], and Redis is there.
    ///
    /// # Errors
    /// [`RedisError::Address`] where the address cannot be read.
    pub fn new(redis: &Redis, env: &Environment) -> Result<Self, RedisError> {
        let client = Client::open(redis.url.as_str()).map_err(|error| RedisError::Address(error.to_string()))?;
        let origin = format!("{:032x}", u128::from_be_bytes(env.random()));
        let (queue, waiting) = mpsc::channel(QUEUE);
        let local = InProcessSignalBus::new();
        Ok(Self { local, queue, waiting: Mutex::new(waiting), redis: redis.clone(), client, origin })
    }

    /// Sends to the other processes and listens to them. It never ends by itself; of two calls the second one waits.
    pub async fn relay(&self) {
        let mut waiting = self.waiting.lock().await;
        tokio::join!(send(&self.redis, &self.origin, &mut waiting), listen(&self.client, &self.origin, &self.local));
    }
}

impl SignalBus for RedisSignalBus {
    fn publish(&self, signal: Signal) {
        self.local.publish(signal.clone());
        if self.queue.try_send(signal).is_err() {
            tracing::debug!("a signal to the other processes was dropped: too many wait");
        }
    }

    fn subscribe(&self, topics: &[Topic]) -> Box<dyn SignalStream> {
        self.local.subscribe(topics)
    }
}

async fn send(redis: &Redis, origin: &str, waiting: &mut mpsc::Receiver<Signal>) {
    while let Some(signal) = waiting.recv().await {
        let mut publish = cmd("PUBLISH");
        publish.arg(CHANNEL).arg(encode(origin, &signal));
        if let Err(error) = redis.query::<i64>(&publish).await {
            tracing::debug!(%error, "a signal to the other processes was lost");
        }
    }
}

async fn listen(client: &Client, origin: &str, local: &InProcessSignalBus) {
    let mut delay = RETRY[0];
    loop {
        match hear(client, origin, local).await {
            // It had been connected, so the next attempt may come soon.
            Ok(()) => delay = RETRY[0],
            Err(error) => tracing::debug!(%error, "cannot listen to the other processes"),
        }
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(RETRY[1]);
    }
}

/// Listens until the connection ends.
async fn hear(client: &Client, origin: &str, local: &InProcessSignalBus) -> Result<(), RedisError> {
    let unavailable = |error: &dyn std::fmt::Display| RedisError::Unavailable(error.to_string());
    let mut connection = client.get_async_pubsub().await.map_err(|error| unavailable(&error))?;
    connection.subscribe(CHANNEL).await.map_err(|error| unavailable(&error))?;
    // What was sent before this moment was not heard.
    local.publish_missed();
    let mut messages = connection.on_message();
    while let Some(message) = messages.next().await {
        if let Some(signal) = decode(origin, &message) {
            local.publish(signal);
        }
    }
    Ok(())
}

fn encode(origin: &str, signal: &Signal) -> String {
    format!("{origin} {} {}", signal.topic, signal.payload.as_str())
}

/// The signal of a message; nothing for our own, and for those of a newer version with topics that we do not know.
fn decode(origin: &str, message: &Msg) -> Option<Signal> {
    let text: String = message.get_payload().ok()?;
    let (from, rest) = text.split_once(' ')?;
    let (topic, payload) = rest.split_once(' ')?;
    let topic = Topic::ALL.iter().copied().find(|known| known.as_str() == topic)?;
    (from != origin).then_some(Signal { topic, payload: Payload::new(payload)? })
}
