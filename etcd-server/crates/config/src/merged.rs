//! Stage two: one value for every setting, and its source. A file, or flags over variables;
//! defaults last.

use std::collections::BTreeMap;

use crate::feature_gate::FeatureGates;
use crate::given::{Given, Source};
use crate::table::rows;
use crate::url::Url;
use crate::value::Value;

/// A value for every row of the table.
///
/// The readers below name a row and its kind; a name or kind that the table does not have is a
/// mistake in this crate, found by the first test that builds `Settings`.
#[derive(Clone, Debug)]
pub struct Merged {
    values: BTreeMap<&'static str, (Value, Source)>,
    /// The file behind these values, if there was one.
    pub(crate) has_file: bool,
}

impl Merged {
    /// Applies the precedence.
    #[must_use]
    pub fn of(given: &Given) -> Self {
        let mut values = BTreeMap::new();
        for (_, row) in rows() {
            let default = row.kind.read(row.default).expect("the table's defaults can be read");
            values.insert(row.name, (default, Source::Default));
        }
        let sources = [(&given.variables, Source::Variable), (&given.flags, Source::Flag), (&given.file, Source::File)];
        for (assignments, source) in sources {
            for assignment in assignments {
                values.insert(assignment.row.name, (assignment.value.clone(), source));
            }
        }
        Self { values, has_file: given.file_path.is_some() }
    }

    /// Returns the source of a setting's value.
    #[must_use]
    pub fn source(&self, name: &str) -> Source {
        self.entry(name).1
    }

    /// True when any source named the setting.
    #[must_use]
    pub fn is_given(&self, name: &str) -> bool {
        self.source(name) != Source::Default
    }

    fn entry(&self, name: &str) -> &(Value, Source) {
        self.values.get(name).unwrap_or_else(|| unreachable!("no setting is named {name}"))
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        let Value::Text(text) = &self.entry(name).0 else { unreachable!("{name} is no text") };
        text
    }

    pub(crate) fn bool(&self, name: &str) -> bool {
        let Value::Bool(on) = self.entry(name).0 else { unreachable!("{name} is no boolean") };
        on
    }

    pub(crate) fn unsigned(&self, name: &str) -> u64 {
        let Value::Unsigned(number) = self.entry(name).0 else { unreachable!("{name} is not unsigned") };
        number
    }

    pub(crate) fn signed(&self, name: &str) -> i64 {
        let Value::Signed(number) = self.entry(name).0 else { unreachable!("{name} is not signed") };
        number
    }

    pub(crate) fn nanos(&self, name: &str) -> i64 {
        let Value::Nanos(nanos) = self.entry(name).0 else { unreachable!("{name} is no duration") };
        nanos
    }

    pub(crate) fn urls(&self, name: &str) -> &[Url] {
        let Value::Urls(urls) = &self.entry(name).0 else { unreachable!("{name} is no list of URLs") };
        urls
    }

    pub(crate) fn list(&self, name: &str) -> &[String] {
        let Value::List(words) = &self.entry(name).0 else { unreachable!("{name} is no list") };
        words
    }

    pub(crate) fn gates(&self, name: &str) -> &FeatureGates {
        let Value::Gates(gates) = &self.entry(name).0 else { unreachable!("{name} is no list of gates") };
        gates
    }
}
