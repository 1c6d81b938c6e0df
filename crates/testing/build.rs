//! Writes the macro `obligations!` from the sources of the contract suites, so that every obligation in them is run.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The prefix of a doc line in an obligation. The rest of the line is the reason why only a PostgreSQL server is held
/// to it.
const SERVED_ONLY: &str = "/// Served only: ";

/// An obligation, and the reason if only a PostgreSQL server is held to it.
struct Obligation {
    name: String,
    served_only: Option<String>,
}

struct Suite {
    name: String,
    obligations: Vec<Obligation>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new("src/contract");
    println!("cargo::rerun-if-changed={}", folder.display());
    println!("cargo::rerun-if-changed=build.rs");
    let mut suites = Vec::new();
    for file in sorted(folder)? {
        let text = if file.is_file() { fs::read_to_string(&file)? } else { continue };
        // A suite without a subject is run in the crates of the port's adapters.
        if text.lines().any(|line| line == "subject! {") {
            let name = file.file_stem().and_then(|name| name.to_str()).ok_or("a file without a name")?.to_owned();
            let mut obligations = obligations(&file, &text)?;
            let parts = folder.join(&name);
            for part in if parts.is_dir() { sorted(&parts)? } else { Vec::new() } {
                obligations.extend(self::obligations(&part, &fs::read_to_string(&part)?)?);
            }
            suites.push(Suite { name, obligations });
        }
    }
    let target = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo names a folder")?).join("obligations.rs");
    Ok(fs::write(target, written(&suites)?)?)
}

fn sorted(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>()?;
    files.sort_unstable();
    Ok(files)
}

/// The obligations of one file: its public functions.
fn obligations(file: &Path, text: &str) -> Result<Vec<Obligation>, Box<dyn Error>> {
    let (mut found, mut served_only) = (Vec::new(), None);
    for line in text.lines() {
        if let Some(reason) = line.strip_prefix(SERVED_ONLY) {
            served_only = Some(reason.trim_end_matches('.').to_owned());
        } else if let Some(function) = line.strip_prefix("pub async fn ") {
            let name = function.strip_suffix("(subject: &Subject) {");
            let name = name.ok_or_else(|| format!("{}: an obligation takes its subject: {line}", file.display()))?;
            found.push(Obligation { name: name.to_owned(), served_only: served_only.take() });
        } else if !line.starts_with("///") && served_only.is_some() {
            return Err(format!("{}: no obligation follows {SERVED_ONLY}", file.display()).into());
        }
    }
    Ok(found)
}

fn written(suites: &[Suite]) -> Result<String, std::fmt::Error> {
    let mut text = String::from(
        "/// Hands the names of all obligations, by suite, to the macro `$tests`, which makes tests of them for one kind of\n\
         /// store; with `suite => $tests` those of one suite. Those that only a PostgreSQL with several connections can be\n\
         /// held to come last, with the reason.\n\
         #[macro_export]\n\
         macro_rules! obligations {\n",
    );
    list(&mut text, "$tests:ident", suites)?;
    for suite in suites {
        list(&mut text, &format!("{} => $tests:ident", suite.name), std::slice::from_ref(suite))?;
    }
    text.push_str("}\n");
    Ok(text)
}

/// One arm of the macro.
fn list(text: &mut String, pattern: &str, suites: &[Suite]) -> std::fmt::Result {
    writeln!(text, "    ({pattern}) => {{ $tests! {{\n        everywhere {{")?;
    for suite in suites {
        writeln!(text, "            {} {{", suite.name)?;
        for obligation in suite.obligations.iter().filter(|obligation| obligation.served_only.is_none()) {
            writeln!(text, "                {}", obligation.name)?;
        }
        writeln!(text, "            }}")?;
    }
    writeln!(text, "        }}\n        served_only {{")?;
    for suite in suites {
        for obligation in &suite.obligations {
            if let Some(reason) = &obligation.served_only {
                writeln!(text, "            {}::{} {reason:?}", suite.name, obligation.name)?;
            }
        }
    }
    writeln!(text, "        }}\n    }} }};")
}
