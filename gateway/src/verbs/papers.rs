//! `papers`: what a package lays beside the program, made from the command line itself, so that it cannot differ.

use super::print;
use crate::cli::{Cli, Paper, Papers};
use crate::failure::{Code, Failure};
use clap::CommandFactory;
use clap_complete::Shell;

const NAME: &str = "microgrid-gateway";

/// Writes them.
pub fn run(options: &Papers) -> Result<(), Failure> {
    let folder = &options.folder;
    let failed = |e: std::io::Error| Failure::new(Code::Unavailable, format!("{}: {e}", folder.display()));
    std::fs::create_dir_all(folder).map_err(failed)?;
    match options.what {
        Paper::Man => clap_mangen::generate_to(Cli::command(), folder).map_err(failed)?,
        Paper::Completions => {
            for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
                clap_complete::generate_to(shell, &mut Cli::command(), NAME, folder).map_err(failed)?;
            }
        }
    }
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .map_err(failed)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.contains(NAME))
        .collect();
    names.sort();
    print(&(names.join("\n") + "\n"))
}
