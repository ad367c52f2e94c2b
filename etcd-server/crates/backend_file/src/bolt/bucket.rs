//! The source of the writer: buckets whose items can be walked twice.

use bytes::Bytes;
use types::Fault;

/// A bucket's items in strictly ascending key order.
pub type Items<'a> = Box<dyn Iterator<Item = Result<(Bytes, Bytes), Fault>> + 'a>;

/// The lengths in bytes of a bucket's keys and values, in the order of its items.
pub type Lengths<'a> = Box<dyn Iterator<Item = Result<(usize, usize), Fault>> + 'a>;

/// One named bucket to be written. It is walked once for its lengths and once for its items, and
/// must give the same both times; where it does not, writing ends in a fault.
pub trait Bucket {
    /// The bucket's name.
    fn name(&self) -> &[u8];

    /// The items, from the first.
    fn items(&self) -> Result<Items<'_>, Fault>;

    /// The lengths of the items. Override it where lengths are cheaper to have than contents.
    fn lengths(&self) -> Result<Lengths<'_>, Fault> {
        Ok(Box::new(self.items()?.map(|item| item.map(|(key, value)| (key.len(), value.len())))))
    }
}

impl<B: Bucket + ?Sized> Bucket for Box<B> {
    fn name(&self) -> &[u8] {
        (**self).name()
    }

    fn items(&self) -> Result<Items<'_>, Fault> {
        (**self).items()
    }

    fn lengths(&self) -> Result<Lengths<'_>, Fault> {
        (**self).lengths()
    }
}

/// A bucket held in memory: for the small ones (`meta`, `members`, `alarm`…) and for tests.
#[derive(Clone, Debug, Default)]
pub struct MemoryBucket {
    name: Bytes,
    items: std::collections::BTreeMap<Bytes, Bytes>,
}

impl MemoryBucket {
    /// An empty bucket called `name`.
    pub fn new(name: impl Into<Bytes>) -> Self {
        Self { name: name.into(), items: std::collections::BTreeMap::new() }
    }

    /// Stores `value` under `key`, replacing a previous value.
    pub fn put(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.items.insert(key.into(), value.into());
    }
}

impl Bucket for MemoryBucket {
    fn name(&self) -> &[u8] {
        &self.name
    }

    fn items(&self) -> Result<Items<'_>, Fault> {
        Ok(Box::new(self.items.iter().map(|(key, value)| Ok((key.clone(), value.clone())))))
    }
}
