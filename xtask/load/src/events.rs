//! Generates events like those of a history of files, all different.

use std::fmt::Write;

use uuid::Uuid;

/// A generator of events. Each connection has its own, so that no two events are the same.
pub(crate) struct Maker {
    source: String,
    next: u64,
}

/// The parts of an event that vary.
pub(crate) struct Event {
    pub(crate) sender_id: String,
    pub(crate) kind: &'static str,
    pub(crate) subject: String,
    pub(crate) actor: String,
    pub(crate) session: String,
}

/// The time of all events: recent, and the same for HTTP and for PostgreSQL alone.
pub(crate) const TIME: &str = "2026-01-02T03:04:05Z";

impl Maker {
    /// A generator of events with the source `/bench/{name}`.
    pub(crate) fn new(name: impl std::fmt::Display) -> Self {
        Self { source: format!("/bench/{name}"), next: 0 }
    }

    /// The source of its events.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// The next event: a change of a file. A session has five events.
    pub(crate) fn next(&mut self) -> Event {
        self.next += 1;
        let n = self.next;
        let mixed = mix(n);
        Event {
            sender_id: format!("{n:012x}"),
            kind: if mixed % 10 < 8 { "file.modified" } else { "file.created" },
            subject: format!("src/module{}/file{}.rs", mixed % 97, mixed / 97 % 13),
            actor: format!("person-{:03}", n / 50 % 40),
            session: format!("{:012x}", n / 5),
        }
    }

    /// The next events as a batch of CloudEvents.
    pub(crate) fn batch(&mut self, size: usize, body: &mut String) {
        body.clear();
        for n in 0..size {
            body.push(if n == 0 { '[' } else { ',' });
            let source = self.source.clone();
            let Event { sender_id, kind, subject, actor, session } = self.next();
            let _ = write!(
                body,
                r#"{{"specversion":"1.0","id":"{sender_id}","source":"{source}","type":"{kind}","subject":"{subject}","time":"{TIME}","datacontenttype":"application/json","data":{{"actor":"{actor}","tool":"git","operation":"M","extension":"rs","session":"{session}"}}}}"#
            );
        }
        body.push(']');
    }
}

/// A UUIDv7 with this time, different for each `n`.
pub(crate) fn uuid(millis: u64, n: u64) -> Uuid {
    let mut random = [0; 10];
    for (byte, value) in random.iter_mut().zip(mix(n).to_be_bytes().into_iter().chain(mix(!n).to_be_bytes())) {
        *byte = value;
    }
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

/// 128 unordered bits like those of a digest, different for each `n`.
pub(crate) fn digest(n: u64) -> Uuid {
    Uuid::from_u64_pair(mix(n), mix(n ^ 0x5555_5555_5555_5555))
}

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
fn mix(n: u64) -> u64 {
    let mut mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
