//! Unpacks answers that came in a content coding (RFC 9110, section 8.4.1).
//!
//! A few packed bytes can stand for gigabytes, so the bound holds for what comes out, at every layer, and reading ends
//! there.

use std::io::{self, Read};

use reqwest::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap};
use tidegate_engine::ports::OutboundError;

/// What servers are told.
pub(crate) const ACCEPTED: &str = "gzip, br, zstd";

/// More layers than this are nobody's need.
const MAX_LAYERS: usize = 3;

/// The window of a zstd frame is at most 8 MiB (RFC 9659), so the memory for it is bounded too.
const ZSTD_WINDOW_LOG: u32 = 23;

/// The buffer between brotli and the packed bytes.
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

    /// The bytes behind `packed`, of which there may be `max`.
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

/// What a reader gives, or `None` where that is more than `max`.
fn bounded(reader: impl Read, max: usize) -> io::Result<Option<Vec<u8>>> {
    let mut unpacked = Vec::new();
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(limit).read_to_end(&mut unpacked)?;
    Ok((unpacked.len() <= max).then_some(unpacked))
}

/// The codings that the headers name, in the order in which they were applied.
///
/// # Errors
/// [`OutboundError::Undecodable`] where one is not known.
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

/// Unpacks `body` as `headers` say, into at most `max` bytes, and takes away the headers that were true of the packed bytes
/// alone.
///
/// # Errors
/// [`OutboundError::Undecodable`] for a coding that is not known and for bytes that are not in it;
/// [`OutboundError::TooLarge`] where more comes out than allowed.
pub(crate) async fn unpack(headers: &mut HeaderMap, body: Vec<u8>, max: usize) -> Result<Vec<u8>, OutboundError> {
    // What answers HEAD, and 204 and 304, have the headers of a body and none.
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
    // Some milliseconds of computing for each, which a thread that serves others has not to give.
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(OutboundError::Undecodable("the answer's body could not be unpacked".to_owned())))
}
