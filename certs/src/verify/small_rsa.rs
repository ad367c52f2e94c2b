//! Signatures of RSA keys of 1024 to 2047 bits, as RFC 8017 has them checked: with public keys
//! only.
//!
//! aws-lc refuses such keys in most schemes, and TLS 1.3 signs with PSS alone, so certificates that
//! Go accepts could not be used. Nothing here sees a secret: number, exponent, message and
//! signature are public, so time does not matter. Numbers are crypto-bigint's, hashes sha2's.

use super::SchemeHash;
use crypto_bigint::modular::runtime_mod::{DynResidue, DynResidueParams};
use crypto_bigint::{Encoding as _, U64, U2048};
use sha2::{Sha256, Sha384, Sha512};

/// Sizes that are checked here; smaller ones Go refuses, larger ones are aws-lc's.
pub(super) const BITS: std::ops::Range<usize> = 1024..2048;
const EXPONENT_BITS: usize = 31;
const NUMBER_BYTES: usize = 256;

/// A public key of such a size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SmallRsa<'a> {
    /// Big-endian, without leading zeros.
    pub(super) modulus: &'a [u8],
    pub(super) exponent: &'a [u8],
}

impl SmallRsa<'_> {
    /// Returns `true` if `signature` is one of `message` by PKCS #1 version 1.5.
    pub(super) fn verifies_pkcs1(&self, hash: SchemeHash, message: &[u8], signature: &[u8]) -> bool {
        let Some(encoded) = self.open(signature) else { return false };
        let digest = digest(hash, &[message]);
        // 00 01 FF..FF 00, then the identifier of the hash and the hash.
        let tail = [&[0], hash.identifier(), &digest].concat();
        let Some(padding) = encoded.len().checked_sub(2 + tail.len()).filter(|padding| *padding >= 8) else {
            return false;
        };
        encoded == [&[0, 1], vec![0xff; padding].as_slice(), &tail].concat()
    }

    /// Returns `true` if `signature` is one of `message` by PSS, with a salt as long as the hash.
    pub(super) fn verifies_pss(&self, hash: SchemeHash, message: &[u8], signature: &[u8]) -> bool {
        let Some(encoded) = self.open(signature) else { return false };
        let digest = digest(hash, &[message]);
        let encoded_bits = self.bits() - 1;
        // With 8n + 1 bits the encoded message is a byte shorter than the number.
        let encoded = match encoded.len() - encoded_bits.div_ceil(8) {
            0 => encoded.as_slice(),
            _ if encoded[0] == 0 => &encoded[1..],
            _ => return false,
        };
        let hash_bytes = digest.len();
        let Some(block_bytes) = encoded.len().checked_sub(hash_bytes + 1).filter(|bytes| *bytes > hash_bytes) else {
            return false;
        };
        let (masked, rest) = encoded.split_at(block_bytes);
        let (inner, trailer) = rest.split_at(hash_bytes);
        let unused = 8 * encoded.len() - encoded_bits;
        if trailer != [0xbc] || u16::from(masked[0]) >> (8 - unused) != 0 {
            return false;
        }
        let mask = mask(hash, inner, block_bytes);
        let mut block: Vec<u8> = masked.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect();
        block[0] &= 0xff_u8.checked_shr(u32::try_from(unused).unwrap_or(8)).unwrap_or(0);
        // Zeros, 01, then the salt.
        let (before, salt) = block.split_at(block_bytes - hash_bytes);
        let Some((one, zeros)) = before.split_last() else { return false };
        *one == 1 && zeros.iter().all(|byte| *byte == 0) && self::digest(hash, &[&[0; 8], &digest, salt]) == inner
    }

    fn bits(&self) -> usize {
        let leading = self.modulus.first().map_or(0, |byte| byte.leading_zeros());
        self.modulus.len() * 8 - usize::try_from(leading).unwrap_or_default()
    }

    /// The signature raised to the exponent, as long as the modulus. `None` if key or signature are
    /// none.
    fn open(&self, signature: &[u8]) -> Option<Vec<u8>> {
        let is_odd = |number: &[u8]| number.last().is_some_and(|byte| byte & 1 == 1);
        if !BITS.contains(&self.bits())
            || !is_odd(self.modulus)
            || !is_odd(self.exponent)
            || signature.len() != self.modulus.len()
        {
            return None;
        }
        let exponent = number::<8>(self.exponent).map(U64::from_be_bytes)?;
        if exponent.bits_vartime() > EXPONENT_BITS || exponent <= U64::ONE {
            return None;
        }
        let modulus = U2048::from_be_bytes(number::<NUMBER_BYTES>(self.modulus)?);
        let base = U2048::from_be_bytes(number::<NUMBER_BYTES>(signature)?);
        if base >= modulus {
            return None;
        }
        let residue = DynResidue::new(&base, DynResidueParams::new(&modulus));
        let opened = residue.pow_bounded_exp(&exponent, EXPONENT_BITS).retrieve().to_be_bytes();
        Some(opened[NUMBER_BYTES - self.modulus.len()..].to_vec())
    }
}

/// The bytes of a number, with zeros in front.
fn number<const BYTES: usize>(bytes: &[u8]) -> Option<[u8; BYTES]> {
    let mut number = [0; BYTES];
    let start = BYTES.checked_sub(bytes.len())?;
    number[start..].copy_from_slice(bytes);
    Some(number)
}

fn digest(hash: SchemeHash, parts: &[&[u8]]) -> Vec<u8> {
    fn of<D: sha2::Digest>(parts: &[&[u8]]) -> Vec<u8> {
        let mut digest = D::new();
        parts.iter().for_each(|part| digest.update(part));
        digest.finalize().to_vec()
    }
    match hash {
        SchemeHash::Sha256 => of::<Sha256>(parts),
        SchemeHash::Sha384 => of::<Sha384>(parts),
        SchemeHash::Sha512 => of::<Sha512>(parts),
    }
}

/// MGF1.
fn mask(hash: SchemeHash, seed: &[u8], bytes: usize) -> Vec<u8> {
    let mut mask = Vec::with_capacity(bytes + 64);
    let mut counter: u32 = 0;
    while mask.len() < bytes {
        mask.extend(digest(hash, &[seed, &counter.to_be_bytes()]));
        counter += 1;
    }
    mask.truncate(bytes);
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by openssl with keys of three sizes: modulus, signature by PKCS #1 with SHA-256, hash
    /// of PSS, signature by PSS.
    const MADE: [(&str, &str, SchemeHash, &str); 3] = [
        (
            "c25aea4898c32c866d83cd1e2e2b831aaa27d11c5f4dd203730de9507fabd03a50fbbdae4234dfb4019ecadb74a83d6aad7bf5c3697aae7214fc2dc73eefcb1b4074a3efb396ea5af31e596341d903c17266d666cf260b8a8a1d95e8d7bf3c9a17da0ba2fdd8feaa366907a8ceeea3caf2e2c6a9aa89380a33d9f5a5846c695d",
            "b1efd5bdf0d12759eb39467f02bada3e373c3dc7eb0700f1ac43085b54446e9e9c07deca299f1cd0e381939927c21c18e0a9f0f2f9ed951740b9b556b816b9b6987f02b21d7e69bc68a48b93e263092df94b3b8ad316930f27b112ea9305c56af202eba2ac022370424418dbb6a51112d1ce802c3b418a0577d573e36a8c9cf5",
            SchemeHash::Sha256,
            "b27cbab456c5e85fa3c33da2256433257fdd45cd4613e937f82e863e8672bc4183f260ebecd6dcd1421241a309e4993d1e7e1503b17d1064972e79e51389b1fdb37ccf6bbb32c050afc499e8471c60c8c940645d10faf73ef9e707deb408c54c346aefd0365fe159c0d2e90082dcc3fecaa045f2e8c406561d20a3c44b168c49",
        ),
        (
            "156a3d1fb6b80d7995b24da60bedfc1013801e3346a6707c6f61cab02a61f6e383427d775d2fe88802c629675627c2ebbe7c03c373776b5ea5a063cb04d097160428086f96db36ef887ba03a4f654cb813e60f2f11973ce2aaf4a2be2fa371ad51798cfa048388f79ac70fb44e232575b03ac6539e5245e4ab6c9d3bbf4bd3555",
            "015123f430fd2c8b8ad66be7ff1bfe06fd22915796a220feef6e41f8b90f340c1c30a871e2b5fd656746a3b5687bcfa6adc03b54cb6f5327f48fa916719a91274dd657d0fadf0d57e6d0608515ace4ddcd53988eb829c74a687672ffa88e724e2889682fbdf4c7fc4c0ba282c2809a995a5b5c0ed209053710204e3cded6a12a92",
            SchemeHash::Sha384,
            "00e751afea58b5164a5eb4828cdd10dbeefab6d6411d2f53e15266e1b356a76313454402f68ca02a749167d5bfc7224ec67daa413759e14c0631bf1768ff78379358278c8cc4d47d645e3e3fd930abb41701f9431c512d28acdfc9a58def5556778fbda20fb26871307ea62f4dbbc2121ea7d392a5c873b8f841291abd940671e9",
        ),
        (
            "5a22a4232faec7347d63da62da7f4ca1c0688adb0f8d2eeecbf17d8b6d528c89fd4b52b30b8d9ea636eae018bbc51095532216d436f8775731ec3bdf9943ecde5664f6c8391792329e4b2eff1a73a74cbaa5b8f1fad9e36738d0f1a73ca9cef2bd8e767040104507d03a6615ec9796b8bba3e9dce200efaad32c5b9483fe97635d792264630683f7a77b7d734c17bf1137adb632033ec796ab21b2aca9d5c3834aa3b2c95f731db53e39b40f6980e60f73c4e8d1ff15dd2bd997be19ec74d22033f1a54e3cec0b2a7dcd679cac8ef6bbdaee7eb1d84fdafe34d1dc89b7b8207bef18a4c4ac148a0ebcdac632108059c06a1adda6e43ab8ece528c5364218ef23",
            "3a0b65ae3c5e0e3cc87e4dd37b6e58432fa31e268c7faf7f7a3a054c0b936266a0ae557b4c92a43880f84d0d609c11123a508fdee1c3dbb2a933c03760d34a7084881078ab504311db0e9df12924ed1fb12546217fb94971bcd55a7ca56028d68593179d966f3bed02137b90e23a3bc626b2fb1890c01c6edd0a46b640a2c41f507f18ee56b4224eea8559e90906d9e89d2e1fa80007e3aee47c1c4794724361de31d3cb049abe7f679dcbea8c303460cb600e92cc2b3e9065c20e61b35076a48d7ccee569de9679922b43985555725cae16e510eb695033d6730a133ab71a9982771b34921bcfde1a9bb43964387df35ff6e5fd6fc1048d02babc49c5e989c3",
            SchemeHash::Sha384,
            "3a17eaae33f755a8f47b4e399cb8d041913c7b0698bf6067843a67387aa204d0867376c9dead6e1ac24b6f44ad5e7d558547dad7f6fff0e660f24c26359603697d4063efa68d616658d549082e599d578adcef7a78a4df89dc74f8ff1fa9b6673081afde825b457a176d1ea3fa6bdc6cf7cec85cf2f88288f21d081d95c305b255768fe5355b6ed2a5d07c214fb0194071c30f278fd89718c32152e1960dbccc86d3ecab9a13ffe6820ac43343d2f18e4498162ced76a9e60e9214597ee7d092914f496473acf056a2da8cc9b2aa536abcd90959c955e65ffeeb3e41cd0b5f9d70d858d7a4551d7becba43db9797e5c91e9e444a90c050129f8759672db2d250",
        ),
    ];
    const MESSAGE: &[u8] = b"the message";

    fn bytes(hex: &str) -> Vec<u8> {
        let digits = if hex.len() % 2 == 1 { format!("0{hex}") } else { hex.to_owned() };
        (0..digits.len() / 2).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn verifies_what_openssl_signs_and_nothing_else() {
        for (modulus, pkcs1, hash, pss) in MADE {
            let (modulus, pkcs1, pss) = (bytes(modulus), bytes(pkcs1), bytes(pss));
            let key = SmallRsa { modulus: &modulus, exponent: &[1, 0, 1] };
            assert!(key.verifies_pkcs1(SchemeHash::Sha256, MESSAGE, &pkcs1));
            assert!(key.verifies_pss(hash, MESSAGE, &pss));
            assert!(
                !key.verifies_pkcs1(SchemeHash::Sha384, MESSAGE, &pkcs1)
                    && !key.verifies_pkcs1(SchemeHash::Sha256, b"another", &pkcs1)
            );
            assert!(!key.verifies_pss(SchemeHash::Sha512, MESSAGE, &pss) && !key.verifies_pss(hash, b"another", &pss));
            assert!(!key.verifies_pkcs1(SchemeHash::Sha256, MESSAGE, &pss) && !key.verifies_pss(hash, MESSAGE, &pkcs1));
            for at in 0..pss.len() {
                for bit in [0x01, 0x80] {
                    let (mut pkcs1, mut pss) = (pkcs1.clone(), pss.clone());
                    pkcs1[at] ^= bit;
                    pss[at] ^= bit;
                    assert!(
                        !key.verifies_pkcs1(SchemeHash::Sha256, MESSAGE, &pkcs1)
                            && !key.verifies_pss(hash, MESSAGE, &pss)
                    );
                }
            }
            let longer = [&[0], pss.as_slice()].concat();
            assert!(
                !key.verifies_pss(hash, MESSAGE, &longer)
                    && !key.verifies_pss(hash, MESSAGE, &pss[1..])
                    && !key.verifies_pss(hash, MESSAGE, &[])
            );
            let number_and_more = U2048::from_be_bytes(number::<NUMBER_BYTES>(&pss).unwrap());
            let number_and_more = number_and_more
                .wrapping_add(&U2048::from_be_bytes(number::<NUMBER_BYTES>(&modulus).unwrap()))
                .to_be_bytes();
            assert!(
                !key.verifies_pss(hash, MESSAGE, &number_and_more[NUMBER_BYTES - modulus.len()..]),
                "not below the modulus"
            );
        }
    }

    #[test]
    fn refuses_keys_that_are_none() {
        let (modulus, _, hash, pss) = MADE[0];
        let (modulus, pss) = (bytes(modulus), bytes(pss));
        let mut even = modulus.clone();
        *even.last_mut().unwrap() &= 0xfe;
        for (modulus, exponent) in [
            (even.as_slice(), &[1, 0, 1][..]),
            (&modulus[1..], &[1, 0, 1]),
            (&[], &[1, 0, 1]),
            (&modulus, &[]),
            (&modulus, &[1]),
            (&modulus, &[2]),
            (&modulus, &[0x80, 0, 0, 1]),
            (&modulus, &[1; 9]),
        ] {
            assert!(!SmallRsa { modulus, exponent }.verifies_pss(hash, MESSAGE, &pss), "{exponent:?}");
        }
    }
}
