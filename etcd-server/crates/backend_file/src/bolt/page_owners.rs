//! The owners of pages: one bit for each page in use.

/// The claimed pages. A page is claimed once; a second claim shows a loop or two owners.
#[derive(Debug)]
pub(super) struct PageOwners {
    words: Vec<u64>,
    page_count: u64,
}

impl PageOwners {
    /// Returns claims for `page_count` pages, with only the two meta pages claimed.
    pub(super) fn new(page_count: u64) -> Self {
        let words =
            usize::try_from(page_count.div_ceil(64)).expect("pages in use were compared with the size of the file");
        let mut page_owners = Self { words: vec![0; words], page_count };
        page_owners.claim(0, 2);
        page_owners
    }

    /// Claims `span` pages from `first` on, which lie in the file; the number of the first that was
    /// claimed before.
    pub(super) fn claim(&mut self, first: u64, span: u64) -> Option<u64> {
        assert!(
            first + span <= self.page_count,
            "{span} pages from {first} on are claimed, and {} are in use",
            self.page_count
        );
        for page in first..first + span {
            let (word, bit) = place(page);
            if self.words[word] & bit != 0 {
                return Some(page);
            }
            self.words[word] |= bit;
        }
        None
    }

    /// Returns the first page without a claim.
    pub(super) fn unclaimed(&self) -> Option<u64> {
        (0..self.page_count).find(|page| {
            let (word, bit) = place(*page);
            self.words[word] & bit == 0
        })
    }
}

fn place(page: u64) -> (usize, u64) {
    (usize::try_from(page / 64).expect("the page lies in the file"), 1 << (page % 64))
}
