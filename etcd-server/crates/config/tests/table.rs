//! The table as a whole.

use std::collections::BTreeSet;

use config::{Kind, ignored, removed, row, rows};

#[test]
fn it_has_etcds_113_flags_and_ours_under_different_names() {
    let ours = ["auto-promote-learners", "check-config", "strict-file-checks", "use-h2-library"];
    assert!(ours.iter().all(|name| row(name).unwrap().help.ends_with("Not in etcd.")));
    let count = 113 + ours.len();
    let names: BTreeSet<_> = rows().map(|(_, row)| row.name).collect();
    assert_eq!((rows().count(), names.len()), (count, count));
    let variables: BTreeSet<_> = rows().map(|(_, row)| row.variable()).collect();
    assert_eq!(variables.len(), count);
    let paths: BTreeSet<_> = rows().map(|(_, row)| row.yaml_path()).filter(|path| !path.is_empty()).collect();
    assert_eq!(paths.len(), count - rows().filter(|(_, row)| row.yaml_path().is_empty()).count());
}

#[test]
fn names_that_are_gone_are_not_in_it() {
    assert_eq!(ignored().len(), 15);
    for name in ignored() {
        assert!(row(name).is_none(), "{name}");
    }
    for (_, row) in rows() {
        assert!(removed(row.name).is_none(), "{}", row.name);
    }
}

#[test]
fn what_replaces_a_removed_flag_exists() {
    for name in ["experimental-memory-mlock", "experimental-compact-hash-check-enabled", "discovery", "debug"] {
        let instead = removed(name).unwrap().instead;
        for word in instead.split(" and ") {
            let name = word.trim_start_matches("--").split('=').next().unwrap();
            assert!(row(name).is_some(), "{word}");
        }
    }
}

#[test]
fn help_texts_are_sentences() {
    for (_, row) in rows() {
        assert!(row.help.ends_with('.'), "{}", row.name);
        assert!(row.kind != Kind::Bool || matches!(row.default, "true" | "false"), "{}", row.name);
    }
}
