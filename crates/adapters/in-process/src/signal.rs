//! A signal bus on one broadcast channel.

use async_trait::async_trait;
use tidegate_kernel::{Received, Signal, SignalBus, SignalStream, Topic};
use tokio::sync::broadcast::{self, error::RecvError};

/// How many signals a slow listener may be behind before it misses some.
const CAPACITY: usize = 1024;

/// Signals within this process.
#[derive(Debug, Clone)]
pub struct InProcessSignalBus {
    sender: broadcast::Sender<Received>,
}

impl InProcessSignalBus {
    /// A bus without listeners.
    #[must_use]
    pub fn new() -> Self {
        Self { sender: broadcast::Sender::new(CAPACITY) }
    }

    /// Tells every listener that signals may have been lost; for a bus that relays signals from other processes.
    pub fn publish_missed(&self) {
        let _ = self.sender.send(Received::Missed);
    }
}

impl Default for InProcessSignalBus {
    fn default() -> Self {
        Self::new()
    }
}

impl SignalBus for InProcessSignalBus {
    fn publish(&self, signal: Signal) {
        // An error means that there is no listener, which does not matter to the sender.
        let _ = self.sender.send(Received::Signal(signal));
    }

    fn subscribe(&self, topics: &[Topic]) -> Box<dyn SignalStream> {
        Box::new(Subscription { receiver: self.sender.subscribe(), topics: topics.to_vec() })
    }
}

struct Subscription {
    receiver: broadcast::Receiver<Received>,
    topics: Vec<Topic>,
}

#[async_trait]
impl SignalStream for Subscription {
    async fn next(&mut self) -> Option<Received> {
        loop {
            match self.receiver.recv().await {
                Ok(Received::Signal(signal)) if !self.topics.contains(&signal.topic) => {}
                Ok(received) => return Some(received),
                Err(RecvError::Lagged(_)) => return Some(Received::Missed),
                Err(RecvError::Closed) => return None,
            }
        }
    }
}
