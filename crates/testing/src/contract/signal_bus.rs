//! Obligations of signal buses. `here` and `there` are two ends of a bus: the same value, or those of two processes.

use tidegate_kernel::{Received, Signal, SignalBus, SignalStream, Topic};

/// The next signal, without reports of missed ones.
async fn next(stream: &mut Box<dyn SignalStream>) -> Signal {
    loop {
        match stream.next().await.expect("the bus has not ended") {
            Received::Signal(signal) => return signal,
            Received::Missed => {}
        }
    }
}

/// Publishes until the other end receives a signal: the connection may not be open yet.
pub async fn connect(here: &dyn SignalBus, there: &dyn SignalBus) {
    let mut stream = there.subscribe(&[Topic::WorkReady]);
    loop {
        here.publish(Signal::new(Topic::WorkReady, &"connect"));
        let heard = tokio::time::timeout(std::time::Duration::from_millis(50), next(&mut stream)).await;
        if heard.is_ok() {
            return;
        }
    }
}

/// MUST deliver the signals of one publisher in order, to every listener, on both ends.
pub async fn everybody_hears_a_publisher_in_its_order(here: &dyn SignalBus, there: &dyn SignalBus) {
    connect(here, there).await;
    let topics = [Topic::SessionRevoked];
    let mut streams = [here.subscribe(&topics), here.subscribe(&topics), there.subscribe(&topics)];
    for n in 0..100 {
        here.publish(Signal::new(Topic::SessionRevoked, &n));
    }
    for stream in &mut streams {
        for n in 0..100 {
            assert_eq!(next(stream).await, Signal::new(Topic::SessionRevoked, &n));
        }
    }
}

/// MUST NOT deliver signals of topics without a subscription.
pub async fn other_topics_are_not_heard(here: &dyn SignalBus, there: &dyn SignalBus) {
    connect(here, there).await;
    let mut stream = there.subscribe(&[Topic::ApiKeyRevoked, Topic::WorkspaceChanged]);
    for topic in Topic::ALL {
        here.publish(Signal::new(*topic, &"x"));
    }
    assert_eq!(next(&mut stream).await.topic, Topic::ApiKeyRevoked);
    assert_eq!(next(&mut stream).await.topic, Topic::WorkspaceChanged);
}

/// MUST send `Missed` to a listener that was too slow, and continue with the latest signals; MUST NOT wait for it.
pub async fn a_slow_listener_is_told_that_it_missed_some(bus: &dyn SignalBus) {
    let mut stream = bus.subscribe(&[Topic::EventsIngested]);
    for n in 0..10_000 {
        bus.publish(Signal::new(Topic::EventsIngested, &n));
    }
    let mut missed = false;
    loop {
        match stream.next().await.expect("the bus has not ended") {
            Received::Missed => missed = true,
            Received::Signal(signal) if signal == Signal::new(Topic::EventsIngested, &9_999) => break,
            Received::Signal(_) => {}
        }
    }
    assert!(missed, "ten thousand are more than any queue holds");
}
