//! The shape of one row of the table of settings.
//!
//! A row says everything that flag, environment, file, help and sample need; nothing else may
//! describe a setting.

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The flag's name without dashes. The variable is `ETCD_` and this name in upper case with
    /// underscores.
    pub name: &'static str,
    /// The kind of its text.
    pub kind: Kind,
    /// The default, spelled as on a command line.
    pub default: &'static str,
    /// One or two sentences for `--help` and the sample file.
    pub help: &'static str,
    /// Its place in the configuration file.
    pub yaml: Yaml,
    /// Its effect here.
    pub meaning: Meaning,
    /// True when its value must not be printed.
    pub secret: bool,
}

/// The kind of a setting's text. Go's rules for numbers, booleans and durations apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// As a flag it needs no value.
    Bool,
    /// Unsigned with the given number of bits, 32 or 64. etcd words the errors of the 32-bit kind
    /// differently.
    Unsigned(u32),
    /// Signed with 64 bits.
    Signed,
    /// `1h30m`; in a file an integer count of nanoseconds.
    Duration,
    /// Comma separated URLs, sorted, without duplicates; in a file one string too.
    Urls,
    /// As `Urls`, or `*`.
    Origins,
    /// Comma separated words; in a file one string too.
    CommaList,
    /// Comma separated words; in a file a sequence.
    List,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `Gate=true,Other=false`.
    Gates,
}

/// The place of a setting in the configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Yaml {
    /// At the top, under the flag's name.
    SameName,
    /// Under these keys, outermost first.
    Path(&'static [&'static str]),
    /// Nowhere: flag and variable only.
    Absent,
}

/// The effect of a setting here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    Used,
    /// Accepted with one warning, whose reason this is.
    NoEffect(&'static str),
    /// Accepted without effect, as in etcd, with etcd's warning.
    Deprecated(&'static str),
}

/// The headings of `--help`, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    Member,
    Clustering,
    Security,
    Auth,
    Monitoring,
    Logging,
    Tracing,
    Features,
    Unsafe,
    Control,
}

impl Section {
    /// The heading.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Member => "Member",
            Self::Clustering => "Clustering",
            Self::Security => "Security",
            Self::Auth => "Auth",
            Self::Monitoring => "Profiling and Monitoring",
            Self::Logging => "Logging",
            Self::Tracing => "Distributed tracing",
            Self::Features => "Features",
            Self::Unsafe => "Unsafe feature",
            Self::Control => "Control",
        }
    }
}

impl Row {
    pub(crate) const fn new(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Self {
        Self { name, kind, default, help, yaml: Yaml::SameName, meaning: Meaning::Used, secret: false }
    }

    pub(crate) const fn yaml(mut self, path: &'static [&'static str]) -> Self {
        self.yaml = Yaml::Path(path);
        self
    }

    pub(crate) const fn flag_only(mut self) -> Self {
        self.yaml = Yaml::Absent;
        self
    }

    pub(crate) const fn deprecated(mut self, warning: &'static str) -> Self {
        self.meaning = Meaning::Deprecated(warning);
        self
    }

    pub(crate) const fn no_effect(mut self, why: &'static str) -> Self {
        self.meaning = Meaning::NoEffect(why);
        self
    }

    pub(crate) const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// The environment variable of this setting.
    #[must_use]
    pub fn variable(&self) -> String {
        variable_of(self.name)
    }

    /// The keys under which the file has it, if it has it.
    #[must_use]
    pub fn yaml_path(&self) -> Vec<&'static str> {
        match self.yaml {
            Yaml::SameName => vec![self.name],
            Yaml::Path(path) => path.to_vec(),
            Yaml::Absent => Vec::new(),
        }
    }
}

/// The environment variable for a flag's name.
pub(crate) fn variable_of(name: &str) -> String {
    format!("ETCD_{}", name.to_ascii_uppercase().replace('-', "_"))
}
