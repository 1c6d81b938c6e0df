//! Adapts how many events a step reads to the time for which it may hold its connection.

use std::time::Duration;

/// The first step reads this many events, and later steps no fewer, if steps have a time limit. From this size on, the
/// fixed cost of a step is the smaller part; with smaller steps, a busy machine would spend its time on that cost.
const LEAST: u32 = 25;

/// The number of events for the next step. Without a time limit it is the consumer's maximum. With a time limit it
/// follows from the duration of the last step.
#[derive(Debug, Clone, Copy)]
pub(super) struct SliceSize {
    time: Option<Duration>,
    most: u32,
    next: u32,
}

impl SliceSize {
    /// Steps that take about `time`, with at most `most` events each.
    pub(super) fn new(time: Option<Duration>, most: u32) -> Self {
        let most = most.max(1);
        Self { time, most, next: if time.is_some() { most.min(LEAST) } else { most } }
    }

    /// The maximum number of events for the next step.
    pub(super) const fn get(self) -> u32 {
        self.next
    }

    /// A step read `events` and held the connection for `took`.
    ///
    /// After a step that took too long, the size shrinks at once to what would have fit, and by a quarter at least.
    /// After a step that was short, it grows by half at most, because the next events may take longer. A step that
    /// found fewer events than it could read says nothing about larger steps.
    pub(super) fn learn(&mut self, events: u32, took: Duration) {
        let Some(time) = self.time else { return };
        if took > time {
            let share = time.as_secs_f64() / took.as_secs_f64();
            self.next = scale(events.min(self.next), share.min(0.75)).max(LEAST).min(self.most);
        } else if events >= self.next {
            let room = time.as_secs_f64() / took.as_secs_f64().max(f64::MIN_POSITIVE);
            self.next = scale(self.next, room.min(1.5)).min(self.most);
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what is too large saturates")]
fn scale(events: u32, by: f64) -> u32 {
    (f64::from(events) * by) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_millis(10);

    /// The size and duration after 40 steps that take `overhead` plus `each` per event.
    fn settled(size: &mut SliceSize, overhead: Duration, each: Duration) -> (u32, Duration) {
        let mut took = Duration::ZERO;
        for _ in 0..40 {
            took = overhead + each * size.get();
            size.learn(size.get(), took);
        }
        (size.get(), took)
    }

    #[test]
    fn steps_take_about_their_time_however_hard_the_events_are() {
        let mut size = SliceSize::new(Some(TIME), 5_000);
        for (overhead, each) in [(1_000, 100), (2_000, 10), (3_000, 200), (0, 5)] {
            let (overhead, each) = (Duration::from_micros(overhead), Duration::from_micros(each));
            let (events, took) = settled(&mut size, overhead, each);
            assert!(took <= TIME * 5 / 4 && took >= TIME / 2, "{events} events take {took:?}");
        }
    }

    #[test]
    fn it_gives_way_at_once_and_never_to_nothing() {
        let mut size = SliceSize::new(Some(TIME), 5_000);
        settled(&mut size, Duration::ZERO, Duration::from_micros(20));
        let before = size.get();
        size.learn(before, TIME * 10);
        assert!(size.get() <= before / 10, "{before} became {}", size.get());
        for _ in 0..20 {
            size.learn(size.get(), TIME * 10);
        }
        assert_eq!(size.get(), LEAST);
        let (events, _) = settled(&mut size, Duration::ZERO, Duration::from_micros(1));
        assert_eq!(events, 5_000, "and it comes back, up to the most that is read");
    }

    #[test]
    fn a_step_that_found_little_says_nothing_about_larger_ones() {
        let mut size = SliceSize::new(Some(TIME), 5_000);
        settled(&mut size, Duration::ZERO, Duration::from_micros(20));
        let before = size.get();
        size.learn(before - 1, Duration::from_micros(1));
        assert_eq!(size.get(), before);
        // Unless the small step took too long as well.
        size.learn(before / 2, TIME * 2);
        assert_eq!(size.get(), before / 4);
    }

    #[test]
    fn what_is_read_at_most_bounds_it() {
        // Without a time limit from the start, and with one in any case.
        for (time, most) in [(None, 5_000), (Some(TIME), 10)] {
            let mut size = SliceSize::new(time, most);
            for took in [TIME * 100, Duration::ZERO, TIME * 100] {
                assert_eq!(size.get(), most);
                size.learn(most, took);
            }
        }
    }
}
