//! The language and the references of everything that people read: no words that the glossary
//! avoids, no links, paths or commands that lead nowhere, no lines that do not fit.
//!
//! The words are read from the last section of `docs/glossary.md`. [`SOURCES`] lists the texts that
//! are searched.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The form of a searched text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Prose; code is left out, except for the comments in code blocks.
    Markdown,
    /// Text without markup, searched as a whole.
    Plain,
    /// Rust; the string literals before its tests are searched: help, errors and log messages.
    Strings,
}

/// Searched texts: a file, or a directory and the ending of its files at any depth, and their form.
///
/// Texts that people read belong here. In `ansible`, names of variables and options are texts, too.
const SOURCES: &[(&str, &str, Form)] = &[
    ("", "md", Form::Markdown),
    ("Makefile", "", Form::Plain),
    ("packaging/files", "yaml", Form::Plain),
    ("packaging/files", "yml", Form::Plain),
    ("packaging/files", "conf", Form::Plain),
    ("ansible", "yml", Form::Plain),
    ("ansible", "py", Form::Plain),
    ("systemd/examples", "conf", Form::Plain),
    ("systemd/usr/lib/systemd/catalog", "catalog", Form::Plain),
    ("etcd-admin/tests/help", "txt", Form::Plain),
    ("etcd-server/crates/config/tests/golden", "txt", Form::Plain),
    ("certs/src", "rs", Form::Strings),
    ("etcd-admin/src", "rs", Form::Strings),
    ("etcd-admin/crates", "rs", Form::Strings),
    ("etcd-server/src", "rs", Form::Strings),
    ("etcd-server/crates", "rs", Form::Strings),
];

/// Texts of other programs, which users search for as they are, and the former name of a flag.
const KEPT_TEXTS: &[&str] =
    &["unknown authority", "unknown certificate authority", ":authority", "|drill|", "|authority|"];

/// Directories that paths in documents may be relative to, beside that of the document.
const ROOTS: &[&str] = &["", "etcd-server", "etcd-server/crates", "etcd-server/tools"];
/// Endings by which a piece of code is recognised as a path of this repository.
const PATH_ENDINGS: &[&str] = &[".rs", ".sh", ".md", ".txt", ".toml", ".yml", ".proto", ".catalog"];
/// Characters in a line of prose.
const LINE_WIDTH: usize = 100;
/// Lines in the README.
const README_LINES: usize = 150;

/// Directories whose comments are measured.
const MEASURED: &[&str] = &["certs", "etcd-admin", "etcd-server"];
/// Doc comments of a thousand that may open with one of [`WEAK_OPENINGS`].
const WEAK_PER_THOUSAND: usize = 30;
const WEAK_OPENINGS: &[&str] =
    &["What", "Whether", "Who", "Whoever", "Whatever", "How", "Where", "Which", "Why", "Nothing", "So"];
/// Uses of "what" in ten thousand words of comments. Code bases in this field have 0 to 7.
const WHAT_PER_TEN_THOUSAND: usize = 15;

const GLOSSARY: &str = "docs/glossary.md";
const AVOIDED: &str = "## Words to avoid";

/// Ends a phrase: words on its two sides do not belong together.
const BREAK: &str = "|";

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(3)
        .expect("this crate is three directories below the top")
        .to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Adds the file at `directory`, or the files below it with this ending, sorted.
fn files(directory: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    if directory.is_file() {
        found.push(directory.to_owned());
        return;
    }
    let mut entries: Vec<_> =
        fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            files(&path, ending, found);
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
}

/// Markdown documents of the repository: path from the top, and text.
fn documents() -> Vec<(String, String)> {
    let top = top();
    let mut found = Vec::new();
    files(&top, "md", &mut found);
    let name = |path: &Path| path.strip_prefix(&top).expect("below the top").to_string_lossy().into_owned();
    found.iter().map(|path| (name(path), read(path))).collect()
}

/// Phrases to avoid, each as its words in lower case.
fn avoided(glossary: &str) -> Vec<Vec<String>> {
    let (_, section) = glossary.split_once(AVOIDED).expect("the glossary has its last section");
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = rows.map(|row| row.split(" | ").next().expect("a first column"));
    cells
        .flat_map(|cell| cell.split("`, `").map(|phrase| phrase.trim_matches('`').to_lowercase()))
        .map(|phrase| split(&phrase))
        .collect()
}

fn split(phrase: &str) -> Vec<String> {
    phrase.split_whitespace().map(str::to_owned).collect()
}

/// A text without inline code; each piece of code becomes a break.
fn without_code(line: &str) -> String {
    line.split('`')
        .enumerate()
        .map(|(place, part)| if place % 2 == 0 { part } else { BREAK })
        .collect::<Vec<_>>()
        .join(" ")
}

/// The code of a document: inline pieces, and the lines of blocks, joined where a line ends with a
/// backslash.
fn code(text: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    for (line, in_block) in lines(text) {
        let begun =
            pieces.last_mut().and_then(|piece| piece.strip_suffix('\\').map(str::to_owned).map(|begun| (piece, begun)));
        if in_block {
            match begun {
                Some((piece, begun)) => *piece = begun + line.trim(),
                None => pieces.push(line.to_owned()),
            }
        } else {
            pieces.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    pieces
}

/// The lines of a Markdown document, and which of them are in code blocks.
fn lines(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut fenced = false;
    text.lines().map(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (line, fenced || fence || line.starts_with("    "))
    })
}

/// Words in lower case with their line numbers; punctuation becomes a break.
fn words(text: &str, form: Form) -> Vec<(String, usize)> {
    let literals = if form == Form::Strings { literals(text) } else { String::new() };
    let text = if form == Form::Strings { &literals } else { text };
    let mut words = Vec::new();
    for ((line, in_block), number) in lines(text).zip(1..) {
        let prose = if form != Form::Markdown {
            line.to_owned()
        } else if in_block {
            line.split_once("# ").map_or("", |(_, comment)| comment).to_owned()
        } else {
            without_code(line)
        };
        let mut word = String::new();
        for letter in prose.chars().chain([' ']) {
            if letter.is_alphanumeric() || matches!(letter, '-' | '\'') {
                word.extend(letter.to_lowercase());
                continue;
            }
            if !word.is_empty() {
                // A possessive is the word itself.
                let plain = word.trim_end_matches("'s").trim_end_matches('\'').to_owned();
                words.push((plain, number));
                word.clear();
            }
            if !letter.is_whitespace() && !matches!(letter, '*' | '_' | '"') {
                words.push((BREAK.to_owned(), number));
            }
        }
        if prose.trim().is_empty() || in_block {
            words.push((BREAK.to_owned(), number));
        }
    }
    words
}

/// The string literals of a Rust file before its tests, each in its line, without placeholders.
fn literals(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]\nmod ").next().expect("a first part");
    let mut out = String::new();
    let mut letters = text.chars().peekable();
    let mut quoted = false;
    let mut before = ' ';
    while let Some(letter) = letters.next() {
        match (quoted, letter) {
            (_, '\n') => out.push('\n'),
            (true, '\\') => drop(letters.next().filter(|next| *next == '\n').map(|_| out.push('\n'))),
            // A placeholder is code; its lines are counted.
            (true, '{') => out.extend(
                letters.by_ref().take_while(|end| *end != '}').map(|inner| if inner == '\n' { '\n' } else { ' ' }),
            ),
            (_, '"') if before != '\'' => {
                quoted = !quoted;
                out.push('|');
            }
            (true, _) => out.push(letter),
            (false, '/') if letters.peek() == Some(&'/') => {
                letters.by_ref().take_while(|end| *end != '\n').for_each(drop);
                out.push('\n');
            }
            (false, _) => {}
        }
        before = letter;
    }
    KEPT_TEXTS.iter().fold(out, |out, text| out.replace(text, ""))
}

/// Avoided phrases in a text, with their line numbers.
fn find(text: &str, form: Form, avoided: &[Vec<String>]) -> Vec<(usize, String)> {
    let words = words(text, form);
    let mut found = Vec::new();
    for place in 0..words.len() {
        for phrase in avoided {
            let here = words[place..].iter().map(|(word, _)| word).take(phrase.len());
            if here.eq(phrase.iter()) {
                found.push((words[place].1, phrase.join(" ")));
            }
        }
    }
    found
}

/// Fails with all complaints at once.
#[track_caller]
fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

#[test]
fn texts_use_no_avoided_words() {
    let top = top();
    let avoided = avoided(&read(&top.join(GLOSSARY)));
    let mut complaints = Vec::new();
    for (directory, ending, form) in SOURCES {
        let mut found = Vec::new();
        files(&top.join(directory), ending, &mut found);
        assert!(!found.is_empty(), "no file in {directory:?} ends with {ending}");
        let in_tests = |path: &Path| path.components().any(|part| part.as_os_str() == "tests");
        for path in found.into_iter().filter(|path| *form != Form::Strings || !in_tests(path)) {
            let text = read(&path);
            // The section that lists the words has to name them.
            let text = if path.ends_with(GLOSSARY) { text.split_once(AVOIDED).expect("the section").0 } else { &text };
            for (line, phrase) in find(text, *form, &avoided) {
                complaints.push(format!("{}:{line}: {phrase:?}: see {GLOSSARY}", path.display()));
            }
        }
    }
    none(&complaints);
}

#[test]
fn finds_avoided_words_in_prose_alone() {
    let avoided = avoided(&read(&top().join(GLOSSARY)));
    assert!(avoided.len() > 40, "the glossary has lost its words: {}", avoided.len());
    let found = |text: &str| find(text, Form::Markdown, &avoided).into_iter().map(|(line, _)| line).collect::<Vec<_>>();
    for bad in [
        "Folder of the data",
        "it waits for Nobody.",
        "a sending that breaks off is\n**gone on with** at the byte",
        "| `restore` | makes the cluster anew of it |",
        "    etcd-admin doctor   # what ails it",
        "the authorities' keys",
        "```\nmake repo # a folder that apt installs from\n```",
    ] {
        assert!(!found(bad).is_empty(), "{bad:?} is accepted");
    }
    for good in ["`folder.rs` and `nobody`", "    rm -r folder", "it is gone. On with the next"] {
        assert_eq!(found(good), [] as [usize; 0], "{good:?} is refused");
    }
    assert_eq!(found("one\ntwo\na folder"), [3], "the line is reported");
    let rust = "// a folder\nlet folder = text(\"no such \\\n  folder {folder}\");\n\n#[cfg(test)]\nmod tests { \"a folder\" }\n";
    assert_eq!(find(rust, Form::Strings, &avoided), [(3, "folder".to_owned())], "in string literals alone");
    assert_eq!(find("key: `a folder`", Form::Plain, &avoided), [(1, "folder".to_owned())], "plain text has no code");
}

#[test]
fn links_of_documents_lead_to_files() {
    let mut complaints = Vec::new();
    for (name, text) in documents() {
        let base = top().join(&name).parent().expect("a directory").to_owned();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            let path = link.split('#').next().expect("a path");
            if !link.starts_with("http") && !path.is_empty() && !base.join(path).exists() {
                complaints.push(format!("{name}: link to {link}"));
            }
        }
    }
    none(&complaints);
}

/// Returns `true` if `path` leaves out the `src` of a crate, as diagrams do: `replica/start.rs`.
fn in_crate(path: &str) -> bool {
    let (name, rest) = path.split_once('/').expect("a path with a directory");
    top().join("etcd-server/crates").join(name).join("src").join(rest).exists()
}

#[test]
fn paths_in_documents_exist() {
    let top = top();
    let mut complaints = Vec::new();
    for (name, text) in documents() {
        let own = Path::new(&name).parent().expect("a directory").to_owned();
        let roots: Vec<PathBuf> = ROOTS.iter().map(|root| top.join(root)).chain([top.join(own)]).collect();
        for path in code(&text).iter().flat_map(|code| code.split_whitespace()) {
            let path = path.trim_end_matches([':', ',']);
            let relative = path.contains('/') && !path.starts_with(['/', '~', '.', '$']);
            let plain = path.chars().all(|letter| letter.is_ascii_alphanumeric() || "/_-.".contains(letter));
            let ours = relative && plain && PATH_ENDINGS.iter().any(|ending| path.ends_with(ending));
            if ours && !roots.iter().any(|root| root.join(path).exists()) && !in_crate(path) {
                complaints.push(format!("{name}: path {path}"));
            }
        }
    }
    none(&complaints);
}

/// Names of the test binaries of all crates.
fn test_binaries() -> BTreeSet<String> {
    let mut manifests = Vec::new();
    files(&top(), "toml", &mut manifests);
    let mut names = BTreeSet::new();
    for manifest in manifests.iter().filter(|path| path.ends_with("Cargo.toml")) {
        let text = read(manifest);
        let named =
            text.split("[[test]]").skip(1).filter_map(|section| section.split("name = \"").nth(1)?.split('"').next());
        names.extend(named.map(str::to_owned));
        let tests = manifest.with_file_name("tests");
        if tests.is_dir() && !text.contains("autotests = false") {
            let files = fs::read_dir(tests).expect("a directory").map(|entry| entry.expect("an entry").path());
            names.extend(
                files
                    .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
                    .filter_map(|path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned())),
            );
        }
    }
    names
}

#[test]
fn commands_in_documents_exist() {
    let makefile = read(&top().join("Makefile"));
    let targets: BTreeSet<&str> = makefile
        .lines()
        .filter(|line| !line.starts_with(['\t', '#', '.']))
        .filter_map(|line| line.split_once(':'))
        .flat_map(|(names, _)| names.split(' '))
        .collect();
    let binaries = test_binaries();
    let mut complaints = Vec::new();
    for (name, text) in documents() {
        for piece in code(&text) {
            let words: Vec<&str> = piece.split('#').next().expect("the command").split_whitespace().collect();
            for pair in words.windows(2) {
                let known = match pair {
                    ["make", target] => targets.contains(target) || target.contains('='),
                    ["--test", test] => binaries.contains(*test) || *test == "NAME",
                    _ => true,
                };
                if !known {
                    complaints.push(format!("{name}: {}", pair.join(" ")));
                }
            }
        }
    }
    none(&complaints);
}

/// Help texts of etcd-admin by command, such as `snapshot save`; the empty name is the tool itself.
fn help_texts() -> BTreeMap<String, String> {
    let mut found = Vec::new();
    files(&top().join("etcd-admin/tests/help"), "txt", &mut found);
    let names = found.iter().map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned());
    names
        .zip(&found)
        .map(|(name, path)| (if name == "etcd-admin" { String::new() } else { name }, read(path)))
        .collect()
}

/// Complaint about a command line of etcd-admin whose command or flags its help does not have.
fn complaint(command_line: &str, helps: &BTreeMap<String, String>) -> Option<String> {
    let command_line = command_line.split(['#', ';', '|', '>']).next().expect("the command");
    let words: Vec<&str> = command_line.split_whitespace().skip(1).collect();
    let verbs: Vec<&str> =
        words.iter().copied().take_while(|word| word.starts_with(|letter: char| letter.is_ascii_lowercase())).collect();
    let (count, known) = (0..=verbs.len())
        .rev()
        .map(|count| (count, verbs[..count].join("-")))
        .find(|(_, name)| helps.contains_key(name))?;
    let help = &helps[&known];
    if help.contains("<COMMAND>") && count < verbs.len() {
        return Some(format!("{command_line}: no such command"));
    }
    let flags = words.iter().filter(|word| word.starts_with("--")).map(|word| word.split('=').next().expect("a flag"));
    flags.filter(|flag| !help.contains(flag)).map(|flag| format!("{command_line}: {known} has no {flag}")).next()
}

#[test]
fn etcd_admin_commands_in_documents_exist() {
    let helps = help_texts();
    assert!(
        complaint("etcd-admin snapshot burn x", &helps).is_some()
            && complaint("etcd-admin status --colour", &helps).is_some()
    );
    assert_eq!(complaint("etcd-admin snapshot save --dir x # --no", &helps), None);
    let mut complaints = Vec::new();
    for (name, text) in documents() {
        // A name in a column, such as that of a directory, is followed by blanks.
        let is_command_line =
            |piece: &String| piece.trim_start().strip_prefix("etcd-admin ").is_some_and(|rest| !rest.starts_with(' '));
        let command_lines = code(&text).into_iter().filter(is_command_line);
        complaints
            .extend(command_lines.filter_map(|line| complaint(&line, &helps)).map(|found| format!("{name}: {found}")));
    }
    none(&complaints);
}

#[test]
fn lines_of_documents_fit() {
    let mut complaints = Vec::new();
    for (name, text) in documents() {
        for (number, (line, in_block)) in (1..).zip(lines(&text)) {
            // Output of commands and rows of tables cannot be broken.
            if line.chars().count() > LINE_WIDTH && !in_block && !line.starts_with('|') {
                complaints.push(format!("{name}:{number}: {} characters", line.chars().count()));
            }
        }
        if name == "README.md" && text.lines().count() > README_LINES {
            complaints.push(format!("{name}: {} lines", text.lines().count()));
        }
    }
    none(&complaints);
}

/// The counts of a crate's comments.
#[derive(Debug, Default)]
struct Comments {
    words: usize,
    whats: usize,
    docs: usize,
    weak: Vec<String>,
}

impl Comments {
    /// Adds the comments of a source file; `name` is for complaints.
    fn add(&mut self, name: &str, source: &str) {
        let mut in_doc = false;
        for line in source.lines().map(str::trim_start) {
            let doc = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"));
            let Some(comment) = doc.or_else(|| line.strip_prefix("//")) else {
                in_doc = false;
                continue;
            };
            let mut words = comment
                .split(|letter: char| !letter.is_alphabetic() && letter != '\'')
                .filter(|word| !word.is_empty())
                .peekable();
            if doc.is_some() && !in_doc {
                self.docs += 1;
                self.weak.extend(
                    words.peek().filter(|word| WEAK_OPENINGS.contains(word)).map(|_| format!("{name}: {comment}")),
                );
            }
            in_doc = doc.is_some();
            for word in words {
                self.words += 1;
                self.whats += usize::from(word.eq_ignore_ascii_case("what"));
            }
        }
    }
}

#[test]
fn comments_open_with_nouns_or_verbs() {
    let mut comments = Comments::default();
    for directory in MEASURED {
        let mut sources = Vec::new();
        files(&top().join(directory), "rs", &mut sources);
        sources.iter().for_each(|path| comments.add(&path.display().to_string(), &read(path)));
    }
    let Comments { words, whats, docs, weak } = comments;
    assert!(docs > 5_000 && words > 50_000, "comments are found: {docs} with {words} words");
    assert!(
        weak.len() * 1_000 < docs * WEAK_PER_THOUSAND,
        "{} of {docs} doc comments:\n{}",
        weak.len(),
        weak.join("\n")
    );
    assert!(whats * 10_000 < words * WHAT_PER_TEN_THOUSAND, "{whats} times \"what\" in {words} words of comments");
}

#[test]
fn counts_weak_openings_of_doc_comments() {
    let mut comments = Comments::default();
    comments.add(
        "x",
        "/// What it is.\n/// What else.\nlet a = 1; // what\n//! Whether.\n/// Returns `true`.\n// What, too.\n///\n",
    );
    assert_eq!((comments.docs, comments.weak.len(), comments.whats, comments.words), (3, 2, 3, 10));
}
