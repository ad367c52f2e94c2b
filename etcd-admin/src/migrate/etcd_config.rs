//! The configuration of the etcd that returns: its own file, with the two settings that a member
//! needs to join a running cluster.

use serde_norway::{Mapping, Value};

/// The settings of a member that joins, as variables and as keys of the file.
const STATE: (&str, &str) = ("ETCD_INITIAL_CLUSTER_STATE", "initial-cluster-state");
const MEMBERS: (&str, &str) = ("ETCD_INITIAL_CLUSTER", "initial-cluster");

/// Returns the text with `initial-cluster-state` and `initial-cluster` of a member that joins;
/// comments and all other settings stay as they are.
///
/// # Errors
/// A YAML file in which the result would not be what was meant.
pub(super) fn joining(text: &str, initial_cluster: &str) -> Result<String, String> {
    let settings = [(STATE, "existing"), (MEMBERS, initial_cluster)];
    if is_environment(text) {
        return Ok(settings.iter().fold(text.to_owned(), |text, ((variable, _), value)| {
            replaced(&text, &format!("{variable}={value}"), |line| {
                line.strip_prefix("export ").unwrap_or(line).split_once('=').is_some_and(|(name, _)| name == *variable)
            })
        }));
    }
    let changed = settings.iter().fold(text.to_owned(), |text, ((_, key), value)| {
        // A key in the first column; quotes are as good as none.
        replaced(&text, &format!("{key}: \"{value}\""), |line| {
            line.split_once(':').is_some_and(|(name, _)| name.trim_matches(['"', '\'']) == *key)
        })
    });
    let read: Mapping = serde_norway::from_str(&changed).map_err(|error| error.to_string())?;
    for ((_, key), value) in settings {
        if read.get(key).and_then(Value::as_str) != Some(value) {
            return Err(format!("write {key}: \"{value}\" into the file by hand, and give the command again"));
        }
    }
    Ok(changed)
}

fn is_environment(text: &str) -> bool {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.clone().count() > 0
        && lines.clone().all(|line| line.split_once('=').is_some_and(|(name, _)| !name.contains(':')))
}

/// Returns the text with `line` in place of the lines that match, or at its end.
fn replaced(text: &str, line: &str, matches: impl Fn(&str) -> bool) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    let first = lines.iter().position(|line| matches(line.trim_end()));
    match first {
        Some(first) => {
            lines[first] = line;
            let mut position = 0;
            lines.retain(|line| {
                position += 1;
                position - 1 <= first || !matches(line.trim_end())
            });
        }
        None => lines.push(line),
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_files_keep_all_other_lines() {
        let text = "# etcd\nETCD_NAME=m1\nexport ETCD_INITIAL_CLUSTER_STATE=\"new\"\nETCD_INITIAL_CLUSTER=m1=http://a:1\nETCD_INITIAL_CLUSTER_TOKEN=t\n";
        assert_eq!(
            joining(text, "m1=http://a:1,m2=http://b:1").unwrap(),
            "# etcd\nETCD_NAME=m1\nETCD_INITIAL_CLUSTER_STATE=existing\nETCD_INITIAL_CLUSTER=m1=http://a:1,m2=http://b:1\nETCD_INITIAL_CLUSTER_TOKEN=t\n"
        );
        assert_eq!(
            joining("ETCD_NAME=m1", "m1=http://a:1").unwrap(),
            "ETCD_NAME=m1\nETCD_INITIAL_CLUSTER_STATE=existing\nETCD_INITIAL_CLUSTER=m1=http://a:1\n"
        );
    }

    #[test]
    fn yaml_files_keep_all_other_lines() {
        let text = "name: m1 # the first\n'initial-cluster-state': new\ninitial-cluster-token: t\npeer-transport-security:\n  client-cert-auth: true\n";
        assert_eq!(
            joining(text, "m1=http://a:1,m2=http://b:1").unwrap(),
            "name: m1 # the first\ninitial-cluster-state: \"existing\"\ninitial-cluster-token: t\npeer-transport-security:\n  client-cert-auth: true\ninitial-cluster: \"m1=http://a:1,m2=http://b:1\"\n"
        );
        // A value of several lines is not cut in two.
        assert!(
            joining("initial-cluster: >-\n  m1=http://a:1,\n  m2=http://b:1\nname: m1\n", "m1=http://a:1").is_err()
        );
    }
}
