//! `migrate`: runs `tidegate migrate`, except for `new`, which creates the pair of files.

use std::fs;
use std::path::Path;

use clap::Subcommand;

use crate::failure::{Context, Failure};
use crate::shell;

/// Subcommands. The login is `MIGRATE_DATABASE_URL`, or else `DATABASE_URL`.
#[derive(Subcommand)]
pub(crate) enum Action {
    /// Apply the missing migrations.
    Up,
    /// Revert the newest migrations.
    Down {
        /// Number of migrations.
        #[arg(long, default_value_t = 1)]
        steps: usize,
    },
    /// List the migrations.
    Status,
    /// Create the next pair of files.
    New {
        /// Description, in lower case with underscores.
        name: String,
    },
}

/// Executes the subcommand.
pub(crate) fn run(action: &Action) -> Result<(), Failure> {
    let program = |arguments: &[&str]| {
        shell::pass_on(shell::cargo().args(["run", "--quiet", "-p", "tidegate", "--", "migrate"]).args(arguments))
    };
    match action {
        Action::Up => program(&["up"]),
        Action::Down { steps } => program(&["down", "--steps", &steps.to_string()]),
        Action::Status => program(&["status"]),
        Action::New { name } => create(&shell::repository().join("migrations"), name),
    }
}

fn create(folder: &Path, name: &str) -> Result<(), Failure> {
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
        return Err(Failure::usage(format!("{name:?}: use lower-case letters, digits and underscores")));
    }
    let mut last = 0;
    for entry in fs::read_dir(folder).context("reading migrations/")? {
        let file = entry.context("reading migrations/")?.file_name();
        let number = file.to_string_lossy().split('_').next().and_then(|number| number.parse::<u32>().ok());
        last = last.max(number.unwrap_or(0));
    }
    let stem = format!("{:04}_{name}", last + 1);
    let title = name.replace('_', " ");
    for (suffix, text) in [("up", format!("-- Why {title}.\n")), ("down", format!("-- Takes {title} back.\n"))] {
        let path = folder.join(format!("{stem}.{suffix}.sql"));
        fs::write(&path, text).context(format_args!("writing {}", path.display()))?;
        println!("migrations/{stem}.{suffix}.sql");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_migration_follows_the_last() {
        let folder = std::env::temp_dir().join(format!("tidegate-migrations-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        create(&folder, "first").unwrap();
        create(&folder, "second").unwrap();
        assert!(create(&folder, "Bad Name").is_err());
        let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name()).collect();
        names.sort();
        let expected = ["0001_first.down.sql", "0001_first.up.sql", "0002_second.down.sql", "0002_second.up.sql"];
        assert_eq!(names, expected);
        fs::remove_dir_all(&folder).unwrap();
    }
}
