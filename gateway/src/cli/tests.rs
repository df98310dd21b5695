//! Every command that the documents print is one that the program takes.

use super::Cli;
use clap::Parser;
use std::path::Path;

/// What a document tells people to type: lines of its shell blocks, and spans in its sentences.
fn commands(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut shell = None;
    for line in text.lines() {
        let line = line.trim();
        if let Some(kind) = line.strip_prefix("```") {
            shell = if shell.is_some() { None } else { Some(kind == "sh") };
            continue;
        }
        match shell {
            Some(true) => commands.push(line.to_owned()),
            Some(false) => {}
            // A span that is typed is one without a gap to fill in.
            None => commands
                .extend(line.split('`').skip(1).step_by(2).filter(|s| !s.contains(['…', '|', '['])).map(str::to_owned)),
        }
    }
    let typed = |command: String| {
        let command = command.strip_prefix("sudo ").unwrap_or(&command);
        let command = command.strip_prefix("-u microgrid-gateway ").unwrap_or(command);
        command.starts_with("microgrid-gateway ").then(|| command.to_owned())
    };
    commands.into_iter().filter_map(typed).collect()
}

#[test]
fn every_command_in_the_documents_is_one_that_the_program_takes() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let (mut seen, mut wrong) = (0, Vec::new());
    for document in ["README.md", "systemd/README.md", "systemd/INSTALL.md", "systemd/THREATS.md", "drivers/README.md"]
    {
        let text = std::fs::read_to_string(top.join(document)).unwrap();
        for command in commands(&text) {
            let typed = command.split(['#', '>']).next().unwrap();
            if let Err(error) = Cli::try_parse_from(typed.split_whitespace())
                && error.use_stderr()
            {
                wrong.push(format!("{document}: {command}\n{error}"));
            }
            seen += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 20, "only {seen} commands were found");
}
