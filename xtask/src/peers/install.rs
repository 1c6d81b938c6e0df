//! Installs the packages in the lists of `xtask/peers/`, once for each version of the lists.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::source;
use crate::failure::{Context, Failure};
use crate::shell;

/// The folders of the installed packages.
pub(super) struct Installed {
    /// `target/peers`.
    pub(super) folder: PathBuf,
    /// The folder with `node_modules`.
    pub(super) node: PathBuf,
    /// The folder of the generated Python client.
    pub(super) python_client: PathBuf,
    /// The virtual environment.
    python: PathBuf,
}

impl Installed {
    /// A program of the virtual environment, with the others on its search path.
    pub(super) fn python_program(&self, name: &str) -> Command {
        let programs = self.python.join("bin");
        let mut command = Command::new(programs.join(name));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(std::iter::once(programs).chain(std::env::split_paths(&path)));
        command.env("PATH", path.unwrap_or_default()).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// A program of `node_modules`, run in that folder.
    pub(super) fn node_program(&self, name: &str) -> Command {
        let mut command = Command::new(self.node.join("node_modules/.bin").join(name));
        command.current_dir(&self.node);
        command
    }
}

/// Installs what is missing or was installed from other lists.
///
/// # Errors
/// A refusal if Python, Node or a package is not available.
pub(super) fn all() -> Result<Installed, Failure> {
    for (program, advice) in [
        ("python3", "Python 3.11 or later with venv (Debian: python3 python3-venv)"),
        ("node", "Node 20 or later (Debian: nodejs)"),
        ("npm", "npm (Debian: npm)"),
    ] {
        if shell::find(program).is_none() {
            return Err(Failure::refused(format!("{program} is missing, so no client can be made; install {advice}")));
        }
    }
    let folder = shell::repository().join("target/peers");
    let installed = Installed {
        node: folder.join("node"),
        python_client: folder.join("python-client"),
        python: folder.join("python"),
        folder,
    };
    let requirements = source("python/requirements.txt");
    once(&installed.python, &[&requirements], || {
        let mut environment = Command::new("python3");
        shell::run(environment.args(["-m", "venv", "--clear"]).arg(&installed.python))?;
        let mut pip = installed.python_program("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement"]);
        shell::run(pip.arg(&requirements))
    })?;
    let lists = ["node/package.json", "node/package-lock.json", "node/.npmrc"].map(source);
    once(&installed.node, &lists.each_ref(), || {
        for list in &lists {
            let name = list.file_name().unwrap_or_default();
            fs::copy(list, installed.node.join(name)).context(format_args!("copying {}", list.display()))?;
        }
        shell::run(Command::new("npm").args(["ci", "--silent"]).current_dir(&installed.node))
    })?;
    Ok(installed)
}

/// Runs `install` for `folder`, unless it already ran for these lists.
fn once(folder: &Path, lists: &[&PathBuf], install: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    let mut wanted = String::new();
    for list in lists {
        wanted += &fs::read_to_string(list).context(format_args!("reading {}", list.display()))?;
    }
    let mark = folder.join("installed");
    if fs::read_to_string(&mark).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    println!("peers: installing into {}", folder.display());
    fs::create_dir_all(folder).context(format_args!("making {}", folder.display()))?;
    install().map_err(|failure| {
        Failure::refused(format!("{failure}; the packages of xtask/peers could not be installed, is there a network?"))
    })?;
    fs::write(&mark, wanted).context(format_args!("writing {}", mark.display()))
}
