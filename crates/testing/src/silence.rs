//! A signal bus that delivers nothing, so that only the state of the database counts.

use std::future::pending;

use async_trait::async_trait;
use tidegate_kernel::{Received, Signal, SignalBus, SignalStream, Topic};

/// Both ends of the silent bus.
#[derive(Debug, Clone, Copy)]
pub struct Silence;

impl SignalBus for Silence {
    fn publish(&self, _: Signal) {}

    fn subscribe(&self, _: &[Topic]) -> Box<dyn SignalStream> {
        Box::new(Self)
    }
}

#[async_trait]
impl SignalStream for Silence {
    async fn next(&mut self) -> Option<Received> {
        pending().await
    }
}
