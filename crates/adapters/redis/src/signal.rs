//! Signals across processes: one Redis channel that every process publishes to and subscribes to. In a cluster each node
//! passes messages on to all others (PUBLISH of Redis Cluster), so a process subscribes at one node, and at the next one
//! when the connection breaks.
//!
//! A process delivers its own signals directly, without Redis. It recognizes them by their origin when they come back,
//! and skips them. When the connection breaks, it connects again and tells local listeners that they may have missed
//! signals.

use std::time::Duration;

use deadpool_redis::redis::{Client, Msg, cmd};
use futures::StreamExt;
use tidegate_in_process::InProcessSignalBus;
use tidegate_kernel::{Environment, Payload, Signal, SignalBus, SignalStream, Topic};
use tokio::sync::{Mutex, mpsc};

use crate::{Redis, RedisError};

/// The channel. Redis pub/sub ignores database numbers, so installations that share one Redis share the channel. They
/// are not disturbed by each other's signals, because those name ids that they do not have.
const CHANNEL: &str = "tidegate:signals";
/// The most signals that wait to be sent.
const QUEUE: usize = 1024;
/// The backoff before reconnecting: at first, and at most.
const RETRY: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];

/// A signal bus across the processes that share a Redis.
pub struct RedisSignalBus {
    local: InProcessSignalBus,
    queue: mpsc::Sender<Signal>,
    /// The signals to send. [`RedisSignalBus::relay`] takes from it.
    waiting: Mutex<mpsc::Receiver<Signal>>,
    redis: Redis,
    /// A client of each node that the address names.
    clients: Vec<Client>,
    origin: String,
}

impl RedisSignalBus {
    /// A bus that delivers within this process only, until [`RedisSignalBus::relay`] runs and Redis answers.
    ///
    /// # Errors
    /// [`RedisError::Address`] if the address cannot be parsed.
    pub fn new(redis: &Redis, env: &Environment) -> Result<Self, RedisError> {
        let client = |url: &String| Client::open(url.as_str()).map_err(|error| RedisError::Address(error.to_string()));
        let clients = redis.nodes().iter().map(client).collect::<Result<_, _>>()?;
        let origin = format!("{:032x}", u128::from_be_bytes(env.random()));
        let (queue, waiting) = mpsc::channel(QUEUE);
        let local = InProcessSignalBus::new();
        Ok(Self { local, queue, waiting: Mutex::new(waiting), redis: redis.clone(), clients, origin })
    }

    /// Relays signals to and from other processes. It never ends by itself; a second call waits while the first runs.
    pub async fn relay(&self) {
        let mut waiting = self.waiting.lock().await;
        tokio::join!(send(&self.redis, &self.origin, &mut waiting), listen(&self.clients, &self.origin, &self.local));
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

async fn listen(clients: &[Client], origin: &str, local: &InProcessSignalBus) {
    let mut delay = RETRY[0];
    for client in clients.iter().cycle() {
        match hear(client, origin, local).await {
            // The connection had worked, so the backoff begins again.
            Ok(()) => delay = RETRY[0],
            Err(error) => tracing::debug!(%error, "cannot listen to the other processes"),
        }
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(RETRY[1]);
    }
}

/// Receives signals until the connection ends.
async fn hear(client: &Client, origin: &str, local: &InProcessSignalBus) -> Result<(), RedisError> {
    let unavailable = |error: &dyn std::fmt::Display| RedisError::Unavailable(error.to_string());
    let mut connection = client.get_async_pubsub().await.map_err(|error| unavailable(&error))?;
    connection.subscribe(CHANNEL).await.map_err(|error| unavailable(&error))?;
    // Signals from before the subscription were not received.
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

/// The signal in a message; `None` if it is this process's own, or if its topic is only known to a newer version.
fn decode(origin: &str, message: &Msg) -> Option<Signal> {
    let text: String = message.get_payload().ok()?;
    let (from, rest) = text.split_once(' ')?;
    let (topic, payload) = rest.split_once(' ')?;
    let topic = Topic::ALL.iter().copied().find(|known| known.as_str() == topic)?;
    (from != origin).then_some(Signal { topic, payload: Payload::new(payload)? })
}
