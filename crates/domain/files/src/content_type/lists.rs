//! The lists of types: which extensions belong to which type, and which types are refused.

/// A kind of files that is refused.
pub(super) struct Refused {
    /// Extensions in lower case.
    pub(super) extensions: &'static [&'static str],
    /// Media types.
    pub(super) types: &'static [&'static str],
    /// Why, for the person who sent it.
    pub(super) reason: &'static str,
}

/// What is refused. No extension and no type is also in [`KNOWN`].
pub(super) const REFUSED: &[Refused] = &[
    Refused {
        extensions: &["exe", "dll", "com", "scr", "pif", "cpl", "sys", "ocx", "efi"],
        types: &[
            "application/vnd.microsoft.portable-executable",
            "application/x-msdownload",
            "application/x-dosexec",
            "application/x-msdos-program",
        ],
        reason: "it is a program for Windows",
    },
    Refused {
        extensions: &["msi", "msp", "msix", "appx", "msu"],
        types: &["application/x-msi", "application/x-ms-installer"],
        reason: "it installs a program on Windows",
    },
    Refused {
        extensions: &["bat", "cmd", "ps1", "psm1", "vb", "vbs", "vbe", "jse", "wsf", "wsh", "wsc", "hta", "sct"],
        types: &["application/x-bat", "application/hta", "text/vbscript"],
        reason: "Windows runs it as a script when it is opened",
    },
    Refused {
        extensions: &["lnk", "url", "scf", "reg", "chm", "inf"],
        types: &["application/x-ms-shortcut"],
        reason: "Windows starts something else, or changes its settings, when it is opened",
    },
    Refused {
        extensions: &["elf", "so", "ko", "run", "appimage"],
        types: &[
            "application/x-executable",
            "application/x-elf",
            "application/x-sharedlib",
            "application/x-pie-executable",
        ],
        reason: "it is a program for Linux or Unix",
    },
    Refused {
        extensions: &["dylib", "command", "scpt", "scptd", "workflow", "terminal", "pkg"],
        types: &["application/x-mach-binary", "application/x-mach-o-executable"],
        reason: "it is a program or a script for macOS",
    },
    Refused {
        extensions: &["jar", "class", "jnlp"],
        types: &["application/java-archive", "application/java", "application/x-java-jnlp-file"],
        reason: "it is a program for Java",
    },
    Refused {
        extensions: &["apk", "ipa", "dex"],
        types: &[
            "application/vnd.android.package-archive",
            "application/vnd.android.dex",
            "application/vnd.android.dey",
        ],
        reason: "it is a program for a phone",
    },
];

/// A type that is known by its extensions.
pub(super) struct Known {
    /// The media type.
    pub(super) name: &'static str,
    /// Extensions in lower case.
    pub(super) extensions: &'static [&'static str],
    /// What other types with the same first bytes are in one group with it.
    pub(super) group: Group,
}

/// Types that cannot be told apart by their first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    /// The first bytes tell this type from all others.
    Own,
    /// A ZIP archive.
    Zip,
    /// A compound file of older office programs.
    Ole,
    /// A container of audio or video (ISO 14496-12).
    Mp4,
    /// A container of audio or video (RFC 3533).
    Ogg,
    /// A container of audio or video (Matroska).
    Matroska,
    /// A file in gzip.
    Gzip,
    /// A font for the web.
    Woff,
    /// A still image or a sequence in HEIF.
    Heif,
    /// Text, which has no first bytes of its own.
    Text,
    /// Bytes without first bytes of their own.
    Opaque,
}

macro_rules! known {
    ($($group:ident: $($name:literal $($extension:literal)*;)*)*) => {
        &[$($(Known { name: $name, extensions: &[$($extension),*], group: Group::$group },)*)*]
    };
}

/// The types that are known by name. Others are stored too, with the type that their sender declares.
pub(super) const KNOWN: &[Known] = known! {
    Own:
        "image/png" "png";
        "image/jpeg" "jpg" "jpeg" "jpe" "jfif";
        "image/gif" "gif";
        "image/webp" "webp";
        "image/bmp" "bmp";
        "image/tiff" "tif" "tiff";
        "image/vnd.microsoft.icon" "ico";
        "image/vnd.adobe.photoshop" "psd";
        "application/pdf" "pdf";
        "application/x-7z-compressed" "7z";
        "application/vnd.rar" "rar";
        "application/x-bzip2" "bz2";
        "application/x-xz" "xz";
        "application/zstd" "zst";
        "application/x-tar" "tar";
        "audio/mpeg" "mp3";
        "audio/x-wav" "wav";
        "audio/x-flac" "flac";
        "audio/midi" "mid" "midi";
        "video/x-msvideo" "avi";
        "application/wasm" "wasm";
        "application/vnd.sqlite3" "sqlite" "sqlite3";
    Zip:
        "application/zip" "zip";
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" "docx";
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" "xlsx";
        "application/vnd.openxmlformats-officedocument.presentationml.presentation" "pptx";
        "application/vnd.oasis.opendocument.text" "odt";
        "application/vnd.oasis.opendocument.spreadsheet" "ods";
        "application/vnd.oasis.opendocument.presentation" "odp";
        "application/epub+zip" "epub";
        "application/vnd.google-earth.kmz" "kmz";
    Ole:
        "application/x-ole-storage";
        "application/msword" "doc";
        "application/vnd.ms-excel" "xls";
        "application/vnd.ms-powerpoint" "ppt";
        "application/vnd.ms-outlook" "msg";
    Mp4:
        "video/mp4" "mp4" "m4v";
        "audio/mp4" "m4a";
        "audio/m4a";
        "video/x-m4v";
        "video/quicktime" "mov";
        "video/3gpp" "3gp";
    Ogg:
        "application/ogg" "ogx";
        "audio/ogg" "ogg" "oga";
        "audio/opus" "opus";
        "video/ogg" "ogv";
    Matroska:
        "video/webm" "webm";
        "audio/webm" "weba";
        "video/x-matroska" "mkv";
    Gzip:
        "application/gzip" "gz" "tgz";
    Woff:
        "font/woff" "woff";
        "font/woff2" "woff2";
    Heif:
        "image/heif" "heif" "heic";
        "image/heic";
        "image/avif" "avif";
    Text:
        "text/plain" "txt" "log" "text";
        "text/markdown" "md" "markdown";
        "text/csv" "csv";
        "text/tab-separated-values" "tsv";
        "text/html" "html" "htm";
        "application/xhtml+xml" "xhtml";
        "text/css" "css";
        "text/javascript" "js" "mjs";
        "application/json" "json";
        "application/x-ndjson" "ndjson";
        "application/xml" "xml" "xsd" "xsl";
        "text/xml";
        "image/svg+xml" "svg";
        "application/yaml" "yaml" "yml";
        "application/toml" "toml";
        "text/x-shellscript" "sh" "bash";
        "text/x-python" "py";
        "text/x-rust" "rs";
        "application/sql" "sql";
        "application/rtf" "rtf";
        "text/rtf";
        "text/calendar" "ics";
        "text/vcard" "vcf";
        "message/rfc822" "eml";
    Opaque:
        "application/octet-stream" "bin";
        "application/vnd.apache.parquet" "parquet";
        "font/ttf" "ttf";
        "font/otf" "otf";
};

/// Other names of known types.
const ALIASES: &[(&str, &str)] = &[
    ("image/jpg", "image/jpeg"),
    ("image/pjpeg", "image/jpeg"),
    ("image/x-png", "image/png"),
    ("image/x-icon", "image/vnd.microsoft.icon"),
    ("image/x-ms-bmp", "image/bmp"),
    ("application/x-pdf", "application/pdf"),
    ("application/x-zip-compressed", "application/zip"),
    ("application/x-zip", "application/zip"),
    ("application/x-gzip", "application/gzip"),
    ("application/x-bzip", "application/x-bzip2"),
    ("application/x-rar-compressed", "application/vnd.rar"),
    ("application/x-rar", "application/vnd.rar"),
    ("application/x-zstd", "application/zstd"),
    ("application/x-sqlite3", "application/vnd.sqlite3"),
    ("audio/mp3", "audio/mpeg"),
    ("audio/wav", "audio/x-wav"),
    ("audio/wave", "audio/x-wav"),
    ("audio/vnd.wave", "audio/x-wav"),
    ("audio/flac", "audio/x-flac"),
    ("audio/x-m4a", "audio/m4a"),
    ("video/avi", "video/x-msvideo"),
    ("application/javascript", "text/javascript"),
    ("application/x-javascript", "text/javascript"),
    ("text/ecmascript", "text/javascript"),
    ("application/x-yaml", "application/yaml"),
    ("text/yaml", "application/yaml"),
    ("text/x-yaml", "application/yaml"),
    ("text/x-markdown", "text/markdown"),
    ("application/csv", "text/csv"),
    ("application/font-woff", "font/woff"),
    ("application/font-sfnt", "font/ttf"),
];

/// The name under which a type is known.
pub(super) fn canonical(name: &str) -> &str {
    ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name)
}

/// The known type with this name or alias.
pub(super) fn known(name: &str) -> Option<&'static Known> {
    let name = canonical(name);
    KNOWN.iter().find(|known| known.name == name)
}

/// The known type with this extension.
pub(super) fn by_extension(extension: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.extensions.contains(&extension))
}

/// The value of `Content-Type` for bytes of this type.
pub(super) fn served_as(name: &str) -> &'static str {
    const TEXT: &str = "text/plain; charset=utf-8";
    const BYTES: &str = "application/octet-stream";
    match known(name) {
        Some(known) if known.name == "application/json" => "application/json",
        Some(known) if known.name == "text/csv" => "text/csv; charset=utf-8",
        Some(Known { group: Group::Text, .. }) => TEXT,
        Some(known) => known.name,
        None if name.starts_with("text/") => TEXT,
        None => BYTES,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_extension_and_no_type_is_on_both_lists_or_twice_on_one() {
        let mut extensions: Vec<_> = KNOWN.iter().flat_map(|known| known.extensions).collect();
        extensions.extend(REFUSED.iter().flat_map(|refused| refused.extensions));
        let mut types: Vec<_> = KNOWN.iter().map(|known| &known.name).collect();
        types.extend(REFUSED.iter().flat_map(|refused| refused.types));
        types.extend(ALIASES.iter().map(|(alias, _)| alias));
        for mut list in [extensions, types] {
            let all = list.len();
            list.sort_unstable();
            list.dedup();
            assert_eq!(list.len(), all);
            assert!(list.iter().all(|text| **text == text.to_lowercase()));
        }
        assert!(ALIASES.iter().all(|(_, name)| known(name).is_some()), "an alias is of a known type");
    }

    #[test]
    fn what_is_known_by_its_first_bytes_is_known_to_the_library() {
        for known in KNOWN.iter().filter(|known| known.group == Group::Own) {
            let library = |name: &str| infer::is_mime_supported(name);
            let alias = ALIASES.iter().any(|(alias, name)| *name == known.name && library(alias));
            assert!(library(known.name) || alias, "{}", known.name);
        }
    }
}
