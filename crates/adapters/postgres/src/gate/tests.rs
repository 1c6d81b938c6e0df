//! The order of turns, on a clock that moves only while all tasks sleep.

use futures::FutureExt;
use futures::future::BoxFuture;

use super::*;

/// A waiter in the queue. It is polled once, so that its place is fixed.
fn waits(gate: &Arc<Gate>, urgency: Urgency) -> BoxFuture<'static, Turn> {
    let gate = Arc::clone(gate);
    let mut turn: BoxFuture<'static, Turn> = Box::pin(async move { gate.turn(urgency).await });
    assert!((&mut turn).now_or_never().is_none(), "the turn is taken");
    turn
}

fn has_turn(waiting: &mut BoxFuture<'static, Turn>) -> Option<Turn> {
    waiting.now_or_never()
}

/// Whether the connection is free, without waiters.
fn is_free(gate: &Arc<Gate>) -> bool {
    gate.turn(Urgency::Engine).now_or_never().is_some()
}

#[tokio::test(start_paused = true)]
async fn a_request_goes_before_what_waits_already_and_each_kind_in_its_order() {
    let gate = Arc::new(Gate::default());
    let mut held = gate.turn(Urgency::Engine).await;
    let order = [
        Urgency::Background,
        Urgency::Engine,
        Urgency::Request,
        Urgency::Background,
        Urgency::Request,
        Urgency::Engine,
    ];
    let mut line: Vec<_> = order.into_iter().map(|urgency| waits(&gate, urgency)).collect();
    for next in [2, 4, 1, 5] {
        drop(held);
        held = has_turn(&mut line[next]).unwrap_or_else(|| panic!("{next} is next"));
    }
    // Background work waits for a moment after a request, in case another follows.
    tokio::time::advance(BETWEEN_TURNS).await;
    for next in [0, 3] {
        drop(held);
        held = has_turn(&mut line[next]).unwrap_or_else(|| panic!("{next} is next"));
    }
    drop(held);
    assert!(is_free(&gate));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_passed_over_for_ever() {
    let gate = Arc::new(Gate::default());
    let mut held = gate.turn(Urgency::Request).await;
    let (mut engine, mut background) = (waits(&gate, Urgency::Engine), waits(&gate, Urgency::Background));
    let (mut engine_at, mut background_at) = (Vec::new(), Vec::new());
    // There is always another waiter of each kind.
    for turn in 1..=102 {
        let mut request = waits(&gate, Urgency::Request);
        drop(held);
        held = if let Some(turn_of_engine) = has_turn(&mut engine) {
            engine_at.push(turn);
            engine = waits(&gate, Urgency::Engine);
            turn_of_engine
        } else if let Some(turn_of_background) = has_turn(&mut background) {
            background_at.push(turn);
            background = waits(&gate, Urgency::Background);
            turn_of_background
        } else {
            has_turn(&mut request).expect("somebody has the turn")
        };
    }
    let gaps = |at: &[i32]| at.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert!(engine_at.len() >= 17 && gaps(&engine_at) <= Some(6), "{engine_at:?}");
    assert!(background_at.len() >= 10 && gaps(&background_at) <= Some(10), "{background_at:?}");
}

#[tokio::test(start_paused = true)]
async fn background_work_leaves_the_connection_to_a_request_that_comes_again_at_once() {
    let gate = Arc::new(Gate::default());
    let first = gate.turn(Urgency::Request).await;
    let mut background = waits(&gate, Urgency::Background);
    drop(first);
    assert!(has_turn(&mut background).is_none(), "the request may come again");
    let second = gate.turn(Urgency::Request).now_or_never().expect("nobody holds it meanwhile");
    drop(second);
    tokio::time::timeout(BETWEEN_TURNS * 2, &mut background).await.expect("then it has its turn");
}

#[tokio::test(start_paused = true)]
async fn requests_with_short_gaps_between_them_leave_background_work_its_share() {
    let gate = Arc::new(Gate::default());
    let asking = Arc::clone(&gate);
    let requests = tokio::spawn(async move {
        loop {
            let turn = asking.turn(Urgency::Request).await;
            sleep(Duration::from_millis(1)).await;
            drop(turn);
            sleep(Duration::from_millis(1)).await;
        }
    });
    for _ in 0..10 {
        let turn = tokio::time::timeout(Duration::from_secs(1), gate.turn(Urgency::Background)).await;
        drop(turn.expect("it has a turn although a request was there a moment ago"));
    }
    requests.abort();
}

/// A waiter that is polled several times and then gives up, in each state that it can be in.
#[tokio::test(start_paused = true)]
async fn whoever_gives_up_hands_the_turn_on() {
    for urgency in ORDER {
        let gate = Arc::new(Gate::default());
        // In the queue.
        let held = gate.turn(Urgency::Request).await;
        let given_up = waits(&gate, urgency);
        let mut next = waits(&gate, Urgency::Engine);
        drop(given_up);
        drop(held);
        let held = has_turn(&mut next).expect("it is not given to whoever has left");
        // The turn was sent, but not received.
        let given_up = waits(&gate, urgency);
        drop(held);
        assert!(!is_free(&gate), "the turn is theirs");
        drop(given_up);
        let held = gate.turn(Urgency::Engine).now_or_never().expect("it comes back");
        // The turn was sent, but not received, and another waiter is behind.
        let given_up = waits(&gate, urgency);
        let mut next = waits(&gate, Urgency::Background);
        drop(held);
        if has_turn(&mut next).is_none() {
            drop(given_up);
            tokio::time::advance(BETWEEN_TURNS).await;
            drop(has_turn(&mut next).expect("it goes on to the next"));
        }
        assert!(is_free(&gate));
    }
}

/// Background work that lets a request go first, and gives up meanwhile.
#[tokio::test(start_paused = true)]
async fn whoever_gives_up_in_the_pause_holds_nothing() {
    let gate = Arc::new(Gate::default());
    drop(gate.turn(Urgency::Request).await);
    let pausing = waits(&gate, Urgency::Background);
    assert!(is_free(&gate));
    drop(pausing);
    assert!(is_free(&gate));
}
