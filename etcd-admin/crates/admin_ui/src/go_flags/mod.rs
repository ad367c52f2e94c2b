//! Command lines as etcdctl and etcdutl read them, rewritten into the one spelling that clap is
//! given.
//!
//! clap holds the commands and flags; the rules of reading are those of the Go libraries pflag and
//! cobra. They differ from clap's where scripts notice: a flag given twice counts once, flags stand
//! anywhere, `-1` is a flag, a switch takes its value behind `=` only, and the error texts are
//! Go's.

mod find;
mod number;
mod value;

pub use number::{signed, unsigned};
pub use value::{Kind, boolean, duration, read_value};

use crate::output::say;
use clap::{Arg, ArgAction, Command};
use find::find;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::process::ExitCode;

const HELP: &str = "help";

/// A command line that was understood.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// Words for clap, the program's name first.
    Run(Vec<OsString>),
    /// The commands whose help is wanted; none of them for that of the program.
    Help(Vec<String>),
    /// Help for an unknown command, which Go's tools do not count as an error.
    NoTopic(String),
}

/// A command line that means nothing.
#[derive(Debug, PartialEq, Eq)]
pub struct FlagError {
    pub text: String,
    /// The command whose usage helps: `etcdctl get`.
    pub command: String,
}

/// Gives every switch of a command the form that Go's flags have: `--prefix` and `--prefix=false`;
/// and lets commands be shortened.
pub fn as_in_go(command: Command) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let command = command.infer_subcommands(true).mut_args(|argument| {
        if !matches!(argument.get_action(), ArgAction::SetTrue) {
            return argument;
        }
        let argument = argument.action(ArgAction::Set).num_args(0..=1).require_equals(true);
        argument
            .default_missing_value("true")
            .default_value("false")
            .value_parser(boolean)
            .value_name("BOOL")
            .hide_default_value(true)
    });
    names.iter().fold(command, |command, name| command.mut_subcommand(name, as_in_go))
}

/// Reads the words behind the program's name.
pub fn read(program: &Command, args: &[OsString]) -> Result<Line, FlagError> {
    let name = program.get_name();
    let found = find(program, args)?;
    let command = found.path.last().copied().unwrap_or(program);
    let path: Vec<String> = found.path.iter().map(|command| command.get_name().to_owned()).collect();
    let refused = |text| FlagError { text, command: [&[name.to_owned()], path.as_slice()].concat().join(" ") };
    match found.help {
        Some(Ok(topic)) => return Ok(Line::Help(topic)),
        Some(Err(text)) => return Ok(Line::NoTopic(text)),
        None => {}
    }
    let flags: Vec<Flag<'_>> = command.get_arguments().filter_map(Flag::of).chain(found.inherited).collect();
    let given = parse(&flags, &found.rest).map_err(refused)?;
    if given.help || command.get_subcommands().next().is_some() {
        return Ok(Line::Help(path));
    }
    choose_one(command, &given.arguments)
        .map_err(|text| refused(text.replace("{command}", &refused(String::new()).command)))?;
    let mut line = vec![OsString::from(name)];
    line.extend(path.iter().map(OsString::from));
    line.extend(given.rewritten(command));
    Ok(Line::Run(line))
}

/// Reads a line that is one command's flags and arguments, without a program or a command before
/// them.
pub fn read_flags(command: &Command, args: &[OsString]) -> Result<Vec<OsString>, String> {
    let flags: Vec<Flag<'_>> = command.get_arguments().filter_map(Flag::of).collect();
    let given = parse(&flags, args)?;
    if given.help { Err("pflag: help requested".to_owned()) } else { Ok(given.rewritten(command)) }
}

/// Refuses a value that is not one of an argument's possible values, as `completion` does.
fn choose_one(command: &Command, arguments: &[OsString]) -> Result<(), String> {
    let values = |argument: &Arg| {
        argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect::<Vec<_>>()
    };
    let Some(possible) = command.get_positionals().map(values).find(|values| !values.is_empty()) else { return Ok(()) };
    match arguments {
        [one] if possible.iter().any(|value| OsStr::new(value) == one) => Ok(()),
        [one] => Err(format!("invalid argument {} for \"{{command}}\"", go_text::quoted(one.as_bytes()))),
        other => Err(format!("accepts 1 arg(s), received {}", other.len())),
    }
}

/// Prints the help of a command. Asking for it is no mistake, nor is naming a group without a
/// command.
pub fn show_help(mut command: Command, path: &[String]) -> ExitCode {
    command.build();
    let mut found = &mut command;
    for name in path {
        match found.find_subcommand_mut(name) {
            Some(below) => found = below,
            None => return ExitCode::FAILURE,
        }
    }
    match say(&found.render_long_help().to_string()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// A flag of a command.
#[derive(Clone, Copy, Debug)]
struct Flag<'a> {
    long: &'a str,
    short: Option<char>,
    kind: Kind,
}

const HELP_FLAG: Flag<'static> = Flag { long: HELP, short: Some('h'), kind: Kind::Switch };

impl<'a> Flag<'a> {
    fn of(argument: &'a Arg) -> Option<Self> {
        let (long, short) = (argument.get_long()?, argument.get_short());
        let kind = Kind::of(argument);
        Some(Self { long, short, kind })
    }

    /// The flag as error texts name it.
    fn shown(&self) -> String {
        self.short.map_or_else(|| format!("--{}", self.long), |short| format!("-{short}, --{}", self.long))
    }
}

/// Flags and arguments of one command.
#[derive(Debug, Default)]
struct Given {
    /// Values by flag, each in the spelling that clap takes.
    values: BTreeMap<String, Vec<OsString>>,
    arguments: Vec<OsString>,
    /// Arguments that stand before `--`.
    before_dashes: Option<usize>,
    help: bool,
}

impl Given {
    /// Takes a value: the last one of a flag counts, lists grow.
    fn take(&mut self, flag: &Flag<'_>, value: &OsStr) -> Result<(), String> {
        let read = read_value(flag.kind, value);
        let cause = |cause: String| {
            format!(
                "invalid argument {} for {} flag: {cause}",
                go_text::quoted(value.as_bytes()),
                go_text::quoted(flag.shown().as_bytes())
            )
        };
        let values = read.map_err(cause)?;
        if flag.long == HELP {
            self.help = values.last().is_some_and(|value| value == "true");
            return Ok(());
        }
        let taken = self.values.entry(flag.long.to_owned()).or_default();
        if flag.kind == Kind::List {
            taken.extend(values)
        } else {
            *taken = values
        }
        Ok(())
    }

    /// The same in clap's spelling.
    fn rewritten(self, command: &Command) -> Vec<OsString> {
        let mut line = Vec::new();
        for (flag, values) in &self.values {
            for value in values {
                let mut arg = format!("--{flag}=").into_bytes();
                arg.extend_from_slice(value.as_bytes());
                line.push(OsString::from_vec(arg));
            }
        }
        let mut positionals = command.get_positionals().peekable();
        if positionals.peek().is_none() {
            // etcdctl ignores the arguments of such a command.
            return line;
        }
        let dashes = if positionals.any(Arg::is_last_set) { self.before_dashes } else { Some(0) };
        let (before, behind) = self.arguments.split_at(dashes.unwrap_or(self.arguments.len()));
        line.extend(before.iter().cloned());
        if dashes.is_some() {
            line.push("--".into());
        }
        line.extend(behind.iter().cloned());
        line
    }
}

fn parse(flags: &[Flag<'_>], args: &[OsString]) -> Result<Given, String> {
    let mut given = Given::default();
    let mut rest = args;
    while let Some((arg, more)) = rest.split_first() {
        rest = more;
        match arg.as_bytes() {
            b"--" => {
                given.before_dashes = Some(given.arguments.len());
                given.arguments.extend_from_slice(rest);
                break;
            }
            [b'-', b'-', long @ ..] => rest = parse_long(flags, &mut given, long, rest)?,
            [b'-', short @ ..] if !short.is_empty() => rest = parse_shorts(flags, &mut given, short, rest)?,
            _ => given.arguments.push(arg.clone()),
        }
    }
    Ok(given)
}

/// Reads `--name`, `--name=value` or `--name value`. Returns the words behind it.
fn parse_long<'w>(
    flags: &[Flag<'_>],
    given: &mut Given,
    arg: &[u8],
    rest: &'w [OsString],
) -> Result<&'w [OsString], String> {
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if matches!(arg, [] | [b'-' | b'=', ..]) {
        return Err(format!("bad flag syntax: --{}", shown(arg)));
    }
    let split = arg.iter().position(|byte| *byte == b'=');
    let name = &arg[..split.unwrap_or(arg.len())];
    let known = flags.iter().chain([&HELP_FLAG]).find(|flag| flag.long.as_bytes() == name);
    let flag = known.ok_or_else(|| format!("unknown flag: --{}", shown(name)))?;
    match (split, flag.kind, rest.split_first()) {
        (Some(split), ..) => given.take(flag, OsStr::from_bytes(&arg[split + 1..])).map(|()| rest),
        (None, Kind::Switch, _) => given.take(flag, OsStr::new("true")).map(|()| rest),
        (None, _, Some((value, more))) => given.take(flag, value).map(|()| more),
        (None, _, None) => Err(format!("flag needs an argument: --{}", shown(name))),
    }
}

/// Reads `-abc`, `-w=value`, `-wvalue` or `-w value`. Returns the words behind it.
fn parse_shorts<'w>(
    flags: &[Flag<'_>],
    given: &mut Given,
    arg: &[u8],
    rest: &'w [OsString],
) -> Result<&'w [OsString], String> {
    let mut letters = arg;
    while let Some((letter, more)) = letters.split_first() {
        let letter = char::from(*letter);
        let place = || format!("'{}' in -{}", letter.escape_debug(), String::from_utf8_lossy(letters));
        let known = flags.iter().chain([&HELP_FLAG]).find(|flag| flag.short == Some(letter));
        let flag = known.ok_or_else(|| format!("unknown shorthand flag: {}", place()))?;
        match (more, flag.kind, rest.split_first()) {
            ([b'=', value @ ..], ..) if !value.is_empty() => {
                return given.take(flag, OsStr::from_bytes(value)).map(|()| rest);
            }
            (_, Kind::Switch, _) => given.take(flag, OsStr::new("true"))?,
            ([_, ..], ..) => return given.take(flag, OsStr::from_bytes(more)).map(|()| rest),
            ([], _, Some((value, behind))) => return given.take(flag, value).map(|()| behind),
            ([], _, None) => return Err(format!("flag needs an argument: {}", place())),
        }
        letters = more;
    }
    Ok(rest)
}
