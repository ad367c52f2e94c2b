//! Decoding of header blocks (RFC 7541).
//!
//! A client repeats most of its fields from request to request: they are entries of its table. Each
//! entry is checked and classified once, when the client spells it out, and later blocks share it.
//! A block that is equal to an earlier one, with the same table, is not decoded again at all.

use crate::head::{Entry, Field, FieldNames, Head};
use crate::huffman;
use crate::static_table;
use std::collections::VecDeque;
use std::sync::Arc;

/// The size of the table that a client may use, in bytes: the default.
const TABLE_BYTES_MAX: usize = 4096;
/// The blocks that are remembered: a client has few kinds of calls.
const REMEMBERED_BLOCKS: usize = 4;
/// Longer blocks are not remembered.
const REMEMBERED_BYTES_MAX: usize = 512;
/// A header list that exceeds its limit this many times ends the connection.
const ABUSE_FACTOR: usize = 4;

/// A decoded header block.
#[derive(Clone, Debug)]
pub(crate) enum Block {
    Head(Arc<Head>),
    /// Some field is not permitted, or not there: an error of the stream.
    Malformed,
    /// The header list exceeds the limit.
    TooLarge,
}

/// The reason why the connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockError {
    /// The block cannot be decoded, and so no later one.
    Undecodable,
    /// The header list is beyond anything an honest client sends.
    Abusive,
}

#[derive(Debug)]
struct Remembered {
    block: Box<[u8]>,
    head: Arc<Head>,
}

/// The decoder of a connection with its table.
#[derive(Debug)]
pub(crate) struct Decoder {
    names: FieldNames,
    list_bytes_max: usize,
    /// The newest entry first.
    table: VecDeque<Arc<Entry>>,
    table_bytes: usize,
    table_bytes_max: usize,
    /// Blocks decoded with the present table.
    remembered: Vec<Remembered>,
    next_remembered: usize,
    name: Vec<u8>,
    value: Vec<u8>,
}

/// A block that is being decoded.
struct Decoding {
    head: Head,
    malformed: bool,
    list_bytes: usize,
}

impl Decoder {
    pub(crate) fn new(names: FieldNames, list_bytes_max: usize) -> Self {
        Self {
            names,
            list_bytes_max,
            table: VecDeque::new(),
            table_bytes: 0,
            table_bytes_max: TABLE_BYTES_MAX,
            remembered: Vec::new(),
            next_remembered: 0,
            name: Vec::new(),
            value: Vec::new(),
        }
    }

    /// Decodes a whole block.
    ///
    /// # Errors
    /// The connection has to end.
    pub(crate) fn decode(&mut self, block: &[u8]) -> Result<Block, BlockError> {
        if let Some(same) = self.remembered.iter().find(|remembered| &*remembered.block == block) {
            return Ok(Block::Head(Arc::clone(&same.head)));
        }
        let mut decoding = Decoding { head: Head::new(self.names), malformed: false, list_bytes: 0 };
        let (mut rest, mut changed, mut fields) = (block, false, 0);
        while let Some(first) = rest.first() {
            match first {
                0x80.. => {
                    let index = integer(&mut rest, 7)?;
                    let field = self.field(index)?;
                    self.take(&mut decoding, field)?;
                }
                0x40..=0x7f => {
                    let entry = self.literal(&mut rest, 6)?;
                    self.insert(&entry);
                    changed = true;
                    self.take(&mut decoding, Field::Entry(entry))?;
                }
                // A new size of the table comes before all fields.
                0x20..=0x3f => {
                    let bytes_max = integer(&mut rest, 5)?;
                    if bytes_max > TABLE_BYTES_MAX || fields > 0 {
                        return Err(BlockError::Undecodable);
                    }
                    self.table_bytes_max = bytes_max;
                    self.evict(0);
                    changed = true;
                    continue;
                }
                0x00..=0x1f => {
                    let entry = self.literal(&mut rest, 4)?;
                    self.take(&mut decoding, Field::Entry(entry))?;
                }
            }
            fields += 1;
        }
        if changed {
            self.remembered.clear();
        }
        Ok(self.finish(decoding, block, changed))
    }

    fn finish(&mut self, decoding: Decoding, block: &[u8], changed: bool) -> Block {
        if decoding.list_bytes > self.list_bytes_max {
            return Block::TooLarge;
        }
        if decoding.malformed {
            return Block::Malformed;
        }
        let head = Arc::new(decoding.head);
        if !changed && block.len() <= REMEMBERED_BYTES_MAX {
            let remembered = Remembered { block: block.into(), head: Arc::clone(&head) };
            if self.remembered.len() < REMEMBERED_BLOCKS {
                self.remembered.push(remembered);
            } else {
                self.remembered[self.next_remembered] = remembered;
                self.next_remembered = (self.next_remembered + 1) % REMEMBERED_BLOCKS;
            }
        }
        Block::Head(head)
    }

    /// Adds a field to a block. Beyond the limit of the list nothing is kept, but the table has to
    /// follow.
    fn take(&self, decoding: &mut Decoding, field: Field) -> Result<(), BlockError> {
        decoding.list_bytes += field.size();
        if decoding.list_bytes > self.list_bytes_max {
            decoding.head = Head::new(self.names);
            let abusive = decoding.list_bytes > self.list_bytes_max.saturating_mul(ABUSE_FACTOR);
            return if abusive { Err(BlockError::Abusive) } else { Ok(()) };
        }
        decoding.malformed |= !decoding.head.push(field);
        Ok(())
    }

    /// The field with an index from 1, in the fixed table or behind it in the client's.
    fn field(&self, index: usize) -> Result<Field, BlockError> {
        let position = index.checked_sub(1).ok_or(BlockError::Undecodable)?;
        if position < static_table::FIELDS.len() {
            return Ok(Field::Static(u8::try_from(position).unwrap_or(u8::MAX)));
        }
        let entry = self.table.get(position - static_table::FIELDS.len()).ok_or(BlockError::Undecodable)?;
        Ok(Field::Entry(Arc::clone(entry)))
    }

    fn literal(&mut self, rest: &mut &[u8], prefix_bits: u32) -> Result<Arc<Entry>, BlockError> {
        let index = integer(rest, prefix_bits)?;
        self.name.clear();
        self.value.clear();
        if index == 0 {
            string(rest, &mut self.name)?;
        } else {
            let field = self.field(index)?;
            self.name.extend_from_slice(field.name());
        }
        string(rest, &mut self.value)?;
        Ok(Arc::new(Entry::new(&self.name, &self.value, self.names)))
    }

    /// Adds an entry to the table. One that is larger than the table empties it.
    fn insert(&mut self, entry: &Arc<Entry>) {
        self.evict(entry.size());
        if entry.size() <= self.table_bytes_max {
            self.table_bytes += entry.size();
            self.table.push_front(Arc::clone(entry));
        }
    }

    /// Makes room for so many bytes.
    fn evict(&mut self, wanted: usize) {
        while self.table_bytes + wanted > self.table_bytes_max
            && let Some(oldest) = self.table.pop_back()
        {
            self.table_bytes -= oldest.size();
        }
    }
}

/// Takes an integer (RFC 7541, section 5.1). Larger ones than any block holds are refused.
fn integer(rest: &mut &[u8], prefix_bits: u32) -> Result<usize, BlockError> {
    let (first, mut more) = rest.split_first().ok_or(BlockError::Undecodable)?;
    let mask = (1_usize << prefix_bits) - 1;
    let mut value = usize::from(*first) & mask;
    if value == mask {
        let mut shift = 0;
        loop {
            let (byte, behind) = more.split_first().filter(|_| shift <= 21).ok_or(BlockError::Undecodable)?;
            more = behind;
            value += usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    *rest = more;
    Ok(value)
}

/// Takes a string and appends it to `out` (RFC 7541, section 5.2).
fn string(rest: &mut &[u8], out: &mut Vec<u8>) -> Result<(), BlockError> {
    let coded = rest.first().is_some_and(|first| first & 0x80 != 0);
    let length = integer(rest, 7)?;
    let (text, behind) = rest.split_at_checked(length).ok_or(BlockError::Undecodable)?;
    *rest = behind;
    if !coded {
        out.extend_from_slice(text);
        return Ok(());
    }
    if huffman::decode_into(text, out) { Ok(()) } else { Err(BlockError::Undecodable) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoder() -> Decoder {
        Decoder::new(&["custom-key", "cache-control"], 1 << 16)
    }

    fn shown(block: &Block) -> String {
        let Block::Head(head) = block else { return format!("{block:?}") };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut shown = format!(
            "{} {} {} {}",
            text(head.method()),
            text(head.scheme()),
            text(head.path()),
            text(head.authority().unwrap_or_default())
        );
        for (name, value) in head.fields() {
            shown += &format!(" {}={}", text(name), text(value));
        }
        shown
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    /// RFC 7541, appendix C.3 and C.4: three requests on one connection, plain and in Huffman's
    /// code. The sizes are those of the table behind each.
    #[test]
    fn decodes_requests_of_the_specification() {
        let plain = [
            "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "8286 84be 5808 6e6f 2d63 6163 6865",
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        ];
        let coded = [
            "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
            "8286 84be 5886 a8eb 1064 9cbf",
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        ];
        for blocks in [plain, coded] {
            let mut decoder = decoder();
            let expected = [
                ("GET http / www.example.com", 57),
                ("GET http / www.example.com cache-control=no-cache", 110),
                ("GET https /index.html www.example.com custom-key=custom-value", 164),
            ];
            for (block, (head, table_bytes)) in blocks.into_iter().zip(expected) {
                let decoded = decoder.decode(&hex(block)).unwrap();
                assert_eq!((shown(&decoded).as_str(), decoder.table_bytes), (head, table_bytes));
            }
        }
    }

    /// RFC 7541, appendix C.2, and the integers of C.1.
    #[test]
    fn decodes_representations_of_the_specification() {
        for (block, head, table_bytes) in [
            ("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", " custom-key=custom-header", 55),
            ("040c 2f73 616d 706c 652f 7061 7468", " /sample/path ", 0),
            ("1008 7061 7373 776f 7264 0673 6563 7265 74", " password=secret", 0),
            ("82", "GET   ", 0),
        ] {
            let mut decoder = decoder();
            let decoded = decoder.decode(&hex(block)).unwrap();
            assert_eq!((shown(&decoded).trim(), decoder.table_bytes), (head.trim(), table_bytes));
        }
        for (bytes, prefix_bits, value) in [("0a", 5, 10), ("1f9a0a", 5, 1337), ("2a", 8, 42)] {
            assert_eq!(integer(&mut &hex(bytes)[..], prefix_bits), Ok(value));
        }
    }

    /// RFC 7541, appendix C.5: a table of 256 bytes evicts entries. They are fields of responses,
    /// so the blocks are malformed requests, but the table follows.
    #[test]
    fn evicts_entries_as_in_the_specification() {
        let mut decoder = decoder();
        decoder.table_bytes_max = 256;
        let blocks = [
            (
                "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
                222,
            ),
            ("4803 3330 37c1 c0bf", 222),
            (
                "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
                215,
            ),
        ];
        for (block, table_bytes) in blocks {
            assert!(matches!(decoder.decode(&hex(block)), Ok(Block::Malformed)));
            assert_eq!(decoder.table_bytes, table_bytes);
        }
        let newest: Vec<_> =
            decoder.table.iter().map(|entry| String::from_utf8_lossy(entry.name()).into_owned()).collect();
        assert_eq!(newest, ["set-cookie", "content-encoding", "date"]);
    }

    #[test]
    fn refuses_blocks_that_cannot_be_decoded() {
        for block in [
            "80",             // index 0
            "be",             // an entry that is not there
            "ff80808080 01",  // an integer beyond all bounds
            "82 20",          // a new size behind a field
            "3fe2 1f",        // a size of 4,097
            "40 05 61",       // a string without its end
            "40 81 00 01 61", // a name with bad padding
            "7f",             // an index without its end
            "41",             // no value
        ] {
            assert!(decoder().decode(&hex(block)).is_err(), "{block}");
        }
    }

    #[test]
    fn malformed_fields_do_not_disturb_the_table() {
        for block in [
            "40 01 41 01 61",             // upper case
            "40 00 01 61",                // no name
            "40 01 61 01 00",             // a control character
            "40 03 3a7878 01 61",         // an unknown pseudo-field
            "48 03 323030",               // the status of a response
            "40 07 75706772616465 01 61", // upgrade
            "82 82",                      // twice
            "40 01 78 01 79 82",          // behind a regular field
            "5c 01 78",                   // a length that is no number
            "5c 01 31 0f0d 01 32",        // two lengths
        ] {
            let mut decoder = decoder();
            assert!(matches!(decoder.decode(&hex(block)), Ok(Block::Malformed)), "{block}");
            assert_eq!(decoder.table.len(), usize::from(!block.starts_with('8')), "{block}");
        }
    }

    #[test]
    fn remembers_blocks_until_the_table_changes() {
        let mut decoder = decoder();
        decoder.decode(&hex("40 01 78 01 31")).unwrap();
        let [first, second] = [0, 1].map(|_| decoder.decode(&hex("82 86 84 be")).unwrap());
        assert!(matches!((&first, &second), (Block::Head(a), Block::Head(b)) if Arc::ptr_eq(a, b)));
        decoder.decode(&hex("40 01 78 01 32")).unwrap();
        let third = decoder.decode(&hex("82 86 84 be")).unwrap();
        assert_eq!((shown(&first), shown(&third)), ("GET http /  x=1".to_owned(), "GET http /  x=2".to_owned()));
        for number in 0..20_u8 {
            decoder.decode(&[0x82, 0, 1, b'x', 1, b'a' + number]).unwrap();
        }
        assert_eq!(decoder.remembered.len(), REMEMBERED_BLOCKS);
    }

    #[test]
    fn refuses_lists_beyond_the_limit_and_ends_at_abuse() {
        let mut decoder = Decoder::new(&[], 1000);
        decoder.decode(&[&[0x40, 1, b'x', 100][..], &[b'x'; 100]].concat()).unwrap();
        assert!(matches!(decoder.decode(&[0xbe; 7]), Ok(Block::Head(_))));
        assert!(matches!(decoder.decode(&[0xbe; 8]), Ok(Block::TooLarge)));
        assert!(matches!(decoder.decode(&[0xbe; 31]), Err(BlockError::Abusive)));
    }
}
