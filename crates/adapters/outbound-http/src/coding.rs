//! Decompresses responses with a content coding (RFC 9110, section 8.4.1).
//!
//! A few compressed bytes can stand for gigabytes. So the size limit applies to the output of every layer, and reading
//! stops there.

use std::io::{self, Read};

use reqwest::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap};
use tidegate_engine::ports::OutboundError;

/// The `Accept-Encoding` of requests.
pub(crate) const ACCEPTED: &str = "gzip, br, zstd";

/// The most layers of codings. No real response needs more.
const MAX_LAYERS: usize = 3;

/// The largest window of a zstd frame: 8 MiB (RFC 9659), which bounds its memory.
const ZSTD_WINDOW_LOG: u32 = 23;

/// The size of the buffer for brotli's input.
const BUFFER: usize = 4096;

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    fn named(name: &str) -> Option<Self> {
        [
            ("gzip", Self::Gzip),
            ("x-gzip", Self::Gzip),
            ("deflate", Self::Deflate),
            ("br", Self::Brotli),
            ("zstd", Self::Zstd),
        ]
        .into_iter()
        .find_map(|(known, coding)| name.eq_ignore_ascii_case(known).then_some(coding))
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// Decompresses `packed` to at most `max` bytes.
    fn unpack(self, packed: &[u8], max: usize) -> Result<Vec<u8>, OutboundError> {
        let unpacked = match self {
            Self::Gzip => bounded(flate2::read::MultiGzDecoder::new(packed), max),
            Self::Deflate => bounded(flate2::read::ZlibDecoder::new(packed), max),
            Self::Brotli => bounded(brotli_decompressor::Decompressor::new(packed, BUFFER), max),
            Self::Zstd => zstd::stream::read::Decoder::with_buffer(packed).and_then(|mut decoder| {
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                bounded(decoder, max)
            }),
        };
        match unpacked {
            Ok(Some(unpacked)) => Ok(unpacked),
            Ok(None) => Err(OutboundError::TooLarge(max)),
            Err(_) => Err(OutboundError::Undecodable(format!(
                "the answer's body is said to be in the coding {}, and is not",
                self.name()
            ))),
        }
    }
}

/// Everything that a reader gives, or `None` if that is more than `max` bytes.
fn bounded(reader: impl Read, max: usize) -> io::Result<Option<Vec<u8>>> {
    let mut unpacked = Vec::new();
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(limit).read_to_end(&mut unpacked)?;
    Ok((unpacked.len() <= max).then_some(unpacked))
}

/// The codings in the headers, in the order in which they were applied.
///
/// # Errors
/// [`OutboundError::Undecodable`] if a coding is unknown or there are more than [`MAX_LAYERS`].
fn codings(headers: &HeaderMap) -> Result<Vec<Coding>, OutboundError> {
    let mut codings = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        let value = String::from_utf8_lossy(value.as_bytes());
        for name in value.split(',').map(str::trim) {
            if name.is_empty() || name.eq_ignore_ascii_case("identity") {
                continue;
            }
            codings.push(Coding::named(name).ok_or_else(|| {
                let name: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
                OutboundError::Undecodable(format!(
                    "the answer's body came in the coding `{name}`; {ACCEPTED} and deflate can be read"
                ))
            })?);
        }
    }
    if codings.len() > MAX_LAYERS {
        let message = format!("the answer's body came in more than {MAX_LAYERS} codings");
        return Err(OutboundError::Undecodable(message));
    }
    Ok(codings)
}

/// Decompresses `body` by its `headers` to at most `max` bytes, and removes the headers that describe only the
/// compressed body.
///
/// # Errors
/// [`OutboundError::Undecodable`] if a coding is unknown or the bytes are not valid in it; [`OutboundError::TooLarge`]
/// if the output exceeds `max`.
pub(crate) async fn unpack(headers: &mut HeaderMap, body: Vec<u8>, max: usize) -> Result<Vec<u8>, OutboundError> {
    // Responses to HEAD, and with status 204 or 304, have the headers of a body but no body.
    if body.is_empty() {
        return Ok(body);
    }
    let codings = codings(headers)?;
    headers.remove(CONTENT_ENCODING);
    if codings.is_empty() {
        return Ok(body);
    }
    headers.remove(CONTENT_LENGTH);
    let work = move || codings.iter().rev().try_fold(body, |packed, coding| coding.unpack(&packed, max));
    // CPU work of some milliseconds, which must not block a thread of the async runtime.
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(OutboundError::Undecodable("the answer's body could not be unpacked".to_owned())))
}
