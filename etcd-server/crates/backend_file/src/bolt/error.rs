//! The reasons why a file is refused.

use types::Fault;

/// A file that cannot be read. No input leads to a panic instead.
#[derive(Debug, thiserror::Error)]
pub enum BoltError {
    /// The system refused a read.
    #[error("read {bytes} bytes at {offset}: {source}")]
    Io {
        /// The offset in the file.
        offset: u64,
        /// The number of requested bytes.
        bytes: usize,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// Neither meta page is right.
    #[error("neither meta page is right: page 0: {first}; page 1: {second}")]
    NoMeta {
        /// The defect of page 0.
        first: &'static str,
        /// The defect of page 1.
        second: &'static str,
    },
    /// The file ends before its last page.
    #[error("file has {has} bytes but its meta page records {needs}")]
    Truncated {
        /// Bytes that the file has.
        has: u64,
        /// Bytes that its pages need.
        needs: u64,
    },
    /// A page cannot be right.
    #[error("page {page}: {flaw}")]
    Page {
        /// The page's number. Inline buckets are counted to the page they lie in.
        page: u64,
        /// The defect.
        flaw: Flaw,
    },
    /// An item of the bucket `key` that etcd does not write so.
    #[error("bucket key, item {key}: {flaw}")]
    History {
        /// The item's key, escaped.
        key: String,
        /// The defect.
        flaw: &'static str,
    },
}

/// A defect of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The number in the header is another.
    #[error("its header has page {0}")]
    Id(u64),
    /// The flags are not those of a page expected here.
    #[error("its flags {0:#06x} do not fit its place")]
    Flags(u16),
    /// It, or a page that belongs to it, lies outside the pages in use.
    #[error("it is outside the {0} pages in use")]
    OutOfFile(u64),
    /// It runs over more pages than we agree to hold in memory.
    #[error("it claims {0} bytes")]
    TooLong(u64),
    /// Two places refer to it.
    #[error("it is referred to twice, or is listed as free though in use")]
    Shared,
    /// It has no reference, and the list of free pages does not have it.
    #[error("it is neither in use nor free")]
    Lost,
    /// An element reaches beyond the page, or into another.
    #[error("element {0} is outside the page or overlaps another")]
    Element(usize),
    /// A key is not above the one before.
    #[error("element {0} is out of order")]
    Order(usize),
    /// A key does not lie between the keys that its branch promises.
    #[error("element {0} is outside the range of its branch")]
    Range(usize),
    /// A key is empty or too long.
    #[error("element {0} has a key of {1} bytes")]
    KeyLength(usize, usize),
    /// A page without elements that is not a whole bucket.
    #[error("it is empty")]
    Empty,
    /// The tree has more heights than any real one.
    #[error("its tree is too high")]
    TooHigh,
    /// Data where a bucket is expected, or the reverse.
    #[error("element {0} has flags {1:#x}, which do not fit its place")]
    ElementFlags(usize, u32),
    /// The tree of names has more buckets than we agree to hold in memory.
    #[error("it holds one bucket too many")]
    TooManyBuckets,
    /// A bucket's header is cut short, or a bucket that stands in the tree of names itself is far
    /// too long for that.
    #[error("the bucket in element {0} is cut short or too long")]
    BucketHeader(usize),
    /// The list of free pages is longer than its page, or out of order.
    #[error("the list of free pages cannot be")]
    Freelist,
}

impl BoltError {
    pub(super) fn page(page: u64, flaw: Flaw) -> Self {
        Self::Page { page, flaw }
    }
}

/// For callers that cannot go on without the file.
impl From<BoltError> for Fault {
    fn from(error: BoltError) -> Self {
        match error {
            BoltError::Io { offset, bytes, source } => {
                Self::io(format!("read {bytes} bytes at {offset} of backend file"), source)
            }
            other @ (BoltError::NoMeta { .. }
            | BoltError::Truncated { .. }
            | BoltError::Page { .. }
            | BoltError::History { .. }) => Self::corrupt("backend file", other),
        }
    }
}
