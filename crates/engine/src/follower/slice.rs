//! How many events a step reads where others wait for the connection that it takes.

use std::time::Duration;

/// A step reads at least so many, and the first step does, where steps have a time. What a step costs whatever it reads is by
/// then the lesser part; with fewer, a machine that is busy would be kept busy by steps that hardly come forward.
const LEAST: u32 = 25;

/// The number of events of the next step. Without a time for steps it is the most that the consumer reads; with one it follows
/// from what the last step took.
#[derive(Debug, Clone, Copy)]
pub(super) struct SliceSize {
    time: Option<Duration>,
    most: u32,
    next: u32,
}

impl SliceSize {
    /// Steps that take about `time`, of at most `most` events.
    pub(super) fn new(time: Option<Duration>, most: u32) -> Self {
        let most = most.max(1);
        Self { time, most, next: if time.is_some() { most.min(LEAST) } else { most } }
    }

    /// How many events the next step may read.
    pub(super) const fn get(self) -> u32 {
        self.next
    }

    /// A step read `events` and held the connection for `took`.
    ///
    /// What took too long shrinks to what would have fit, at once; what was short grows by a half at most, because what comes
    /// may be harder than what was. A step that found fewer than it may read says nothing about larger ones.
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

    /// After 40 steps that take `overhead` and `each` per event.
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
        // Unless even that took too long.
        size.learn(before / 2, TIME * 2);
        assert_eq!(size.get(), before / 4);
    }

    #[test]
    fn what_is_read_at_most_bounds_it() {
        // Without a time from the beginning, and with one in any case.
        for (time, most) in [(None, 5_000), (Some(TIME), 10)] {
            let mut size = SliceSize::new(time, most);
            for took in [TIME * 100, Duration::ZERO, TIME * 100] {
                assert_eq!(size.get(), most);
                size.learn(most, took);
            }
        }
    }
}
