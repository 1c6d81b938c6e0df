//! A stored event as filters and inputs read it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use tidegate_events::cloud_event::DEPTH_ATTRIBUTE;
use tidegate_events::{Payload, StoredEvent};
use tidegate_workflows::trigger::Occurrence;

pub(super) fn occurrence(stored: StoredEvent) -> Occurrence {
    let depth = stored.extensions.get(DEPTH_ATTRIBUTE).and_then(Value::as_u64).unwrap_or(0);
    Occurrence {
        id: stored.event.id,
        position: stored.event.position,
        depth: u8::try_from(depth).unwrap_or(u8::MAX),
        document: document(stored),
    }
}

/// The event as a CloudEvent in JSON format. `subject` and `data` are null if the sender gave none, so that a filter
/// can test for them.
fn document(stored: StoredEvent) -> Value {
    let event = stored.event;
    let mut document = Map::new();
    document.insert("specversion".to_owned(), json!("1.0"));
    document.insert("id".to_owned(), json!(stored.sender_id));
    document.insert("source".to_owned(), json!(event.source));
    document.insert("type".to_owned(), json!(event.event_type));
    document.insert("subject".to_owned(), json!(event.subject));
    document.insert("time".to_owned(), json!(event.time.text));
    for (name, value) in [("datacontenttype", stored.data_content_type), ("dataschema", stored.data_schema)] {
        if let Some(value) = value {
            document.insert(name.to_owned(), Value::from(value));
        }
    }
    document.extend(stored.extensions);
    let data = match stored.payload {
        Payload::Absent => Value::Null,
        Payload::Json(text) => serde_json::from_str(&text).unwrap_or_default(),
        Payload::Text(text) => Value::from(text.into_string()),
        Payload::Binary(bytes) => {
            document.insert("data_base64".to_owned(), Value::from(STANDARD.encode(bytes)));
            Value::Null
        }
    };
    document.insert("data".to_owned(), data);
    Value::Object(document)
}
