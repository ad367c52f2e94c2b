//! Which command a line means (cobra: command.go, Find).
//!
//! The words of commands are looked for among flags that are known so far: before `get` is found,
//! `--consistency` is a flag of unknown kind, and such a flag takes the next word with it.

use super::{Flag, FlagError, HELP, Kind};
use clap::Command;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

/// Commands that are further away from a typing mistake are not suggested.
const DISTANCE_MAX: usize = 2;

/// A command and the words that are left for its flags and arguments.
#[derive(Debug)]
pub(super) struct Found<'a> {
    /// From the first command below the program.
    pub(super) path: Vec<&'a Command>,
    pub(super) rest: Vec<OsString>,
    /// Flags that the program and the groups of the path pass on to their commands.
    pub(super) inherited: Vec<Flag<'a>>,
    /// The command that `help` is given; an error text if it is none.
    pub(super) help: Option<Result<Vec<String>, String>>,
}

pub(super) fn find<'a>(program: &'a Command, args: &[OsString]) -> Result<Found<'a>, FlagError> {
    let mut found =
        Found { path: Vec::new(), rest: args.to_vec(), inherited: inherited(program).collect(), help: None };
    loop {
        let command = found.path.last().copied().unwrap_or(program);
        let own: Vec<Flag<'_>> = command.get_arguments().filter_map(Flag::of).collect();
        let Some(position) = first_word(&own, &found.inherited, &found.rest) else { return Ok(found) };
        let arg = found.rest.remove(position);
        match next(command, &arg, found.path.is_empty()) {
            Some(Next::Command(command)) => {
                found.path.push(command);
                found.inherited.extend(inherited(command));
            }
            Some(Next::Help) => {
                found.help = Some(topic(program, &found.rest));
                return Ok(found);
            }
            None if found.path.is_empty() => return Err(unknown(program, &arg)),
            None => {
                found.rest.insert(position, arg);
                return Ok(found);
            }
        }
    }
}

fn inherited(command: &Command) -> impl Iterator<Item = Flag<'_>> {
    command.get_arguments().filter(|flag| flag.is_global_set()).filter_map(Flag::of)
}

/// Returns the command that `help` is given.
fn topic(program: &Command, args: &[OsString]) -> Result<Vec<String>, String> {
    let quoted = || args.iter().map(|arg| format!("`{}`", arg.to_string_lossy())).collect::<Vec<_>>().join(" ");
    let found = find(program, args).map_err(|_| format!("Unknown help topic [{}]", quoted()))?;
    Ok(found.path.into_iter().map(|command| command.get_name().to_owned()).collect())
}

/// The position of the first word that is neither a flag nor the value of one.
fn first_word(own: &[Flag<'_>], globals: &[Flag<'_>], args: &[OsString]) -> Option<usize> {
    let is_switch = |matches: &dyn Fn(&Flag<'_>) -> bool| {
        own.iter().chain(globals).chain([&super::HELP_FLAG]).any(|flag| flag.kind == Kind::Switch && matches(flag))
    };
    let mut position = 0;
    while let Some(arg) = args.get(position) {
        match arg.as_bytes() {
            b"--" => return None,
            arg if arg.contains(&b'=') && arg.starts_with(b"-") => {}
            [b'-', b'-', long @ ..] if !is_switch(&|flag| flag.long.as_bytes() == long) => position += 1,
            [b'-', short] if !is_switch(&|flag| flag.short == Some(char::from(*short))) => position += 1,
            [b'-', ..] | [] => {}
            _ => return Some(position),
        }
        position += 1;
    }
    None
}

enum Next<'a> {
    Command(&'a Command),
    Help,
}

/// The command with this name, or the only one that begins so.
fn next<'a>(command: &'a Command, arg: &OsStr, is_program: bool) -> Option<Next<'a>> {
    if let Some(exact) = command.get_subcommands().find(|one| OsStr::new(one.get_name()) == arg) {
        return Some(Next::Command(exact));
    }
    let begins = |name: &str| name.as_bytes().starts_with(arg.as_bytes());
    let is_help = is_program && begins(HELP);
    if is_program && arg == HELP {
        return Some(Next::Help);
    }
    let mut beginning = command.get_subcommands().filter(|one| begins(one.get_name()));
    match (beginning.next(), beginning.next()) {
        (Some(only), None) if !is_help => Some(Next::Command(only)),
        (None, _) if is_help => Some(Next::Help),
        _ => None,
    }
}

fn unknown(program: &Command, arg: &OsStr) -> FlagError {
    let typed = arg.to_string_lossy().to_lowercase();
    let names = program.get_subcommands().map(Command::get_name).chain([HELP]);
    let near = names.filter(|name| name.starts_with(&typed) || distance(&typed, name) <= DISTANCE_MAX);
    let suggestions: String = near.map(|name| format!("\t{name}\n")).collect();
    let mut text = format!("unknown command {} for {:?}", go_text::quoted(arg.as_bytes()), program.get_name());
    if !suggestions.is_empty() {
        text += &format!("\n\nDid you mean this?\n{suggestions}");
    }
    FlagError { text, command: program.get_name().to_owned() }
}

/// Letters to insert, remove or change until both are the same.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (position, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = position + 1;
        for (column, against) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *against);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}
