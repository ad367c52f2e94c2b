//! An encoder of DER, for valid and invalid certificates.

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OID: u8 = 0x06;
pub(crate) const UTF8: u8 = 0x0c;
pub(crate) const PRINTABLE: u8 = 0x13;
pub(crate) const T61: u8 = 0x14;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

pub(crate) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut encoded = vec![tag];
    if length < 128 {
        encoded.push(u8::try_from(length).unwrap());
    } else {
        let bytes = length.to_be_bytes();
        let digits: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
        encoded.push(0x80 | u8::try_from(digits.len()).unwrap());
        encoded.extend(digits);
    }
    encoded.extend(content);
    encoded
}

pub(crate) fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    element(SEQUENCE, &parts.concat())
}

/// `1.2.840.10045.2.1`.
pub(crate) fn oid(text: &str) -> Vec<u8> {
    let numbers: Vec<u32> = text.split('.').map(|number| number.parse().unwrap()).collect();
    let mut content = vec![u8::try_from(numbers[0] * 40 + numbers[1]).unwrap()];
    for number in &numbers[2..] {
        let groups = (0..5).rev().map(|group| number >> (7 * group) & 0x7f).skip_while(|group| *group == 0);
        let groups: Vec<u8> = groups.map(|group| u8::try_from(group).unwrap() | 0x80).collect();
        let (last, before) = groups.split_last().map_or((0, &[][..]), |(last, before)| (*last, before));
        content.extend(before);
        content.push(last & 0x7f);
    }
    element(OID, &content)
}

pub(crate) fn bits(content: &[u8]) -> Vec<u8> {
    element(BIT_STRING, &[&[0], content].concat())
}
