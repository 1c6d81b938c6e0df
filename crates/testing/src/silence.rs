//! A signal bus on which nothing is ever heard, so that only what the database says counts.

use std::future::pending;

use async_trait::async_trait;
use tidegate_kernel::{Received, Signal, SignalBus, SignalStream, Topic};

/// Both ends of it.
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
