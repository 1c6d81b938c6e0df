//! Compares what a file is said to be with what it is.

use infer::MatcherType;

use super::MediaType;
use super::lists::{self, Group, Known, REFUSED};
use crate::name::FileName;

/// How many of the first bytes are looked at.
pub const FIRST_BYTES: usize = 8 * 1024;

/// Why the type of a file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TypeError {
    /// Files of this kind are refused.
    #[error("{what} is refused: {reason}")]
    Refused {
        /// What gave it away: its extension, its declared type or its content.
        what: String,
        /// Why such files are refused.
        reason: &'static str,
    },
    /// The content is not what the declared type says.
    #[error("the content is {found}, and {declared} was declared")]
    Declared {
        /// The declared type.
        declared: String,
        /// What the content is.
        found: String,
    },
    /// The content is not what the extension says.
    #[error("the content is {found}, and the name ends with .{extension}, which stands for {expected}")]
    Extension {
        /// The extension, in lower case.
        extension: String,
        /// The type that it stands for.
        expected: &'static str,
        /// What the content is.
        found: String,
    },
}

/// The type of a file with this name and these first bytes, up to [`FIRST_BYTES`] of them.
///
/// Containers are not opened: an archive in an archive is an archive.
///
/// # Errors
/// [`TypeError`] if such files are refused, or if the content is not what the declared type or the extension says. An
/// empty file is whatever it is said to be.
pub fn judge(name: &FileName, declared: Option<&MediaType>, first: &[u8]) -> Result<MediaType, TypeError> {
    let extension = name.extension();
    if let Some(extension) = &extension {
        let refused = REFUSED.iter().find(|refused| refused.extensions.contains(&extension.as_str()));
        refuse(refused.map(|refused| refused.reason), || format!("a file whose name ends with .{extension}"))?;
    }
    let declared = declared.filter(|declared| !declared.is_unknown());
    if let Some(declared) = declared {
        refuse(refused_type(declared.as_str()), || format!("the type {declared}"))?;
    }
    let found = infer::get(first);
    if let Some(found) = &found {
        refuse(refused_type(found.mime_type()), || format!("content of the type {}", found.mime_type()))?;
    }
    // The matchers for text look for a tag or a first line that other texts may have too.
    let is_text = |found: &infer::Type| found.matcher_type() == MatcherType::Text;
    let found = found.map(|found| (found.mime_type(), is_text(&found)));
    let by_extension = extension.as_deref().and_then(lists::by_extension);
    if !first.is_empty() {
        if let Some(declared) = declared
            && !agrees(declared.as_str(), found)
        {
            return Err(TypeError::Declared { declared: declared.to_string(), found: described(found) });
        }
        if let Some((extension, expected)) = extension.zip(by_extension)
            && !agrees(expected.name, found)
        {
            let (expected, found) = (expected.name, described(found));
            return Err(TypeError::Extension { extension, expected, found });
        }
    }
    let name = declared.map(MediaType::as_str).or_else(|| by_extension.map(|known| known.name));
    let name = name.or_else(|| found.map(|(found, _)| found)).unwrap_or("application/octet-stream");
    Ok(name.parse().unwrap_or_else(|_| MediaType::unknown()))
}

fn refuse(reason: Option<&'static str>, what: impl FnOnce() -> String) -> Result<(), TypeError> {
    match reason {
        Some(reason) => Err(TypeError::Refused { what: what(), reason }),
        None => Ok(()),
    }
}

fn refused_type(name: &str) -> Option<&'static str> {
    let name = lists::canonical(name);
    REFUSED.iter().find(|refused| refused.types.contains(&name)).map(|refused| refused.reason)
}

fn described(found: Option<(&'static str, bool)>) -> String {
    found.map_or_else(|| "of no type that its first bytes show".to_owned(), |(name, _)| name.to_owned())
}

/// Whether content that is `found` may be said to be of the type `name`.
fn agrees(name: &str, found: Option<(&'static str, bool)>) -> bool {
    let said = lists::known(name);
    let is_text = match said {
        Some(said) => said.group == Group::Text,
        None => name.starts_with("text/") || name.ends_with("+xml") || name.ends_with("+json"),
    };
    match (said, found) {
        // Bytes of no known shape may be text, or a type that has no first bytes or that nobody here knows.
        (said, None) => said.is_none_or(|said| matches!(said.group, Group::Text | Group::Opaque)),
        // What begins like markup may be any text.
        (said, Some((_, true))) => is_text || said.is_none_or(|said| said.group == Group::Opaque),
        (Some(Known { group: Group::Text, .. }), Some((found, false))) => {
            lists::canonical(found) == lists::canonical(name)
        }
        (Some(said), Some((found, false))) => {
            let same = lists::canonical(found) == said.name;
            let group = lists::known(found).map(|found| found.group);
            same || match said.group {
                Group::Own | Group::Text => false,
                Group::Opaque => group.is_none(),
                shared => group == Some(shared),
            }
        }
        // A type that nobody here knows may begin with anything, but a text does not begin with an image.
        (None, Some((found, false))) => !is_text || lists::canonical(found) == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0";
    const ZIP: &[u8] = b"PK\x03\x04\x14\0\0\0\x08\0";
    const ELF: &[u8] = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0\0\0\0\0\0\0\0\0\x40\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x40\0\x38\0";
    const EXE: &[u8] = b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0";
    const OLE: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0\0\0\0\0\0\0";
    const PDF: &[u8] = b"%PDF-1.7\n";

    fn judged(name: &str, declared: &str, first: &[u8]) -> Result<String, TypeError> {
        let declared = (!declared.is_empty()).then(|| declared.parse().unwrap());
        judge(&FileName::new(name).unwrap(), declared.as_ref(), first).map(|kind| kind.to_string())
    }

    #[test]
    fn a_file_is_what_it_is_said_to_be_if_nothing_contradicts() {
        for (name, declared, first, kind) in [
            ("a.png", "image/png", PNG, "image/png"),
            ("a.png", "", PNG, "image/png"),
            ("a", "application/octet-stream", PNG, "image/png"),
            ("a", "", PDF, "application/pdf"),
            ("a.docx", "", ZIP, "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
            ("a.zip", "application/x-zip-compressed", ZIP, "application/x-zip-compressed"),
            ("a.doc", "application/msword", OLE, "application/msword"),
            ("a.csv", "text/csv", b"a,b\n1,2\n", "text/csv"),
            ("a.md", "", b"<!DOCTYPE html><p>Text", "text/markdown"),
            ("a.svg", "image/svg+xml", b"<?xml version=\"1.0\"?><svg/>", "image/svg+xml"),
            ("a.html", "text/html", b"<html><script>alert(1)</script>", "text/html"),
            ("a.xyz", "application/vnd.acme", b"\x01\x02\x03", "application/vnd.acme"),
            ("empty.png", "image/png", b"", "image/png"),
            ("a.json", "application/json", b"{}", "application/json"),
            ("notes", "", b"plain", "application/octet-stream"),
        ] {
            assert_eq!(judged(name, declared, first).as_deref(), Ok(kind), "{name} {declared}");
        }
    }

    #[test]
    fn a_type_that_lies_is_refused() {
        assert!(matches!(judged("a", "image/png", PDF), Err(TypeError::Declared { .. })));
        assert!(matches!(judged("a", "image/png", b"<html></html>"), Err(TypeError::Declared { .. })));
        assert!(matches!(judged("a", "image/png", b"plain text"), Err(TypeError::Declared { .. })));
        assert!(matches!(judged("a", "text/plain", PNG), Err(TypeError::Declared { .. })));
        assert!(matches!(judged("a.pdf", "", PNG), Err(TypeError::Extension { .. })));
        assert!(matches!(judged("a.docx", "", PDF), Err(TypeError::Extension { .. })));
        assert!(matches!(judged("a.png", "", b"plain text"), Err(TypeError::Extension { .. })));
        assert!(matches!(judged("a.txt", "", ZIP), Err(TypeError::Extension { .. })));
    }

    #[test]
    fn programs_are_refused_by_extension_type_and_content() {
        for (name, declared, first) in [
            ("setup.exe", "", &b""[..]),
            ("setup.EXE. ", "", b""),
            ("run.bat", "text/plain", b"echo"),
            ("a", "application/x-msdownload", b""),
            ("a.txt", "text/plain", EXE),
            ("a.png", "image/png", ELF),
            ("a.jar", "application/zip", ZIP),
        ] {
            let error = judged(name, declared, first).unwrap_err();
            assert!(matches!(error, TypeError::Refused { .. }), "{name}: {error}");
        }
    }
}
