//! Completion scripts of the programs, from their command lines.

/// Returns the completion script of a program, corrected where the generator leaves something out.
pub fn completion_script(shell: clap_complete::Shell, mut command: clap::Command, name: &str) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    // The generator names the nested commands of a program with a dash in two ways, so that bash
    // would not find them.
    let (found, wanted) = (name.replace('-', "__subcmd__"), name.replace('-', "__"));
    script = script.replace(&found, &wanted);
    if shell == clap_complete::Shell::Fish {
        fish_values(&command, name, &mut Vec::new(), &mut script);
    }
    script
}

/// Adds the values of arguments without a flag, which the generator for fish leaves out.
fn fish_values<'a>(command: &'a clap::Command, name: &str, path: &mut Vec<&'a str>, script: &mut String) {
    for values in command
        .get_positionals()
        .map(clap::Arg::get_possible_values)
        .filter(|values| !values.is_empty() && !path.is_empty())
    {
        let function = format!("__fish_{}_using_subcommand", name.replace('-', "_"));
        let rest: String = path[1..].iter().map(|arg| format!("; and __fish_seen_subcommand_from {arg}")).collect();
        let values: Vec<&str> = values.iter().map(clap::builder::PossibleValue::get_name).collect();
        *script += &format!("complete -c {name} -n \"{function} {}{rest}\" -f -a \"{}\"\n", path[0], values.join(" "));
    }
    for below in command.get_subcommands() {
        path.push(below.get_name());
        fish_values(below, name, path, script);
        path.pop();
    }
}
