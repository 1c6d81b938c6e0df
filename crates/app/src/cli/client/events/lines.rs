//! The numbered lines of a file, which may be compressed with gzip.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use tidegate_events::cloud_event::MAX_EVENT_BYTES;

/// How gzip begins (RFC 1952, section 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The longest line that is sent. It is longer than the largest event, so that the server can say what is wrong with a
/// line; a longer line is an error.
const LONGEST: u64 = 2 * MAX_EVENT_BYTES as u64;

/// Lines that are not blank, counted from 1.
pub(super) struct Lines {
    reader: Box<dyn BufRead + Send>,
    number: usize,
}

impl Lines {
    /// The lines of a file, or of standard input for `-`.
    pub(super) fn open(file: &Path) -> io::Result<Self> {
        if file == Path::new("-") { Self::of(io::stdin()) } else { Self::of(File::open(file)?) }
    }

    /// The lines of anything that can be read.
    pub(super) fn of(source: impl Read + Send + 'static) -> io::Result<Self> {
        let mut source = BufReader::with_capacity(64 * 1024, source);
        let reader: Box<dyn BufRead + Send> = if source.fill_buf()?.starts_with(&GZIP) {
            Box::new(BufReader::with_capacity(64 * 1024, MultiGzDecoder::new(source)))
        } else {
            Box::new(source)
        };
        Ok(Self { reader, number: 0 })
    }

    /// The next line with its number.
    pub(super) fn next(&mut self) -> io::Result<Option<(usize, Vec<u8>)>> {
        loop {
            let mut line = Vec::new();
            self.number += 1;
            if self.reader.by_ref().take(LONGEST).read_until(b'\n', &mut line)? == 0 {
                return Ok(None);
            }
            if line.len() as u64 == LONGEST && !line.ends_with(b"\n") {
                let text = format!("line {} has over {LONGEST} bytes", self.number);
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            let line = line.trim_ascii();
            if !line.is_empty() {
                return Ok(Some((self.number, line.to_vec())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn lines(source: Vec<u8>) -> Vec<(usize, String)> {
        let mut lines = Lines::of(io::Cursor::new(source)).unwrap();
        std::iter::from_fn(|| lines.next().unwrap())
            .map(|(number, line)| (number, String::from_utf8(line).unwrap()))
            .collect()
    }

    #[test]
    fn plain_and_gzip_read_the_same_and_blank_lines_count_only_for_numbers() {
        let text = b"{1}\r\n\n  \n {2}\n{3}".to_vec();
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&text).unwrap();
        let expected = [(1, "{1}".to_owned()), (4, "{2}".to_owned()), (5, "{3}".to_owned())];
        assert_eq!(lines(text), expected);
        assert_eq!(lines(packed.finish().unwrap()), expected);
        assert_eq!(lines(Vec::new()), []);
    }

    #[test]
    fn a_file_without_lines_is_not_read_into_memory() {
        let mut lines = Lines::of(io::repeat(b'x')).unwrap();
        assert_eq!(lines.next().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn the_sample_log_has_events() {
        let sample = include_bytes!("../../../../assets/file-events.jsonl.gz");
        assert!(lines(sample.to_vec()).len() >= 3_000);
    }
}
