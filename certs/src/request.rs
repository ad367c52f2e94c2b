//! Signing requests: a key is born where it is used, and only its public half travels.

#![expect(clippy::wildcard_enum_match_arm, reason = "kinds of names are many, and two are signed")]

use crate::ca::to_pem;
use crate::{Error, Name, PrivateKey};
use rcgen::{
    CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType, DnValue, PublicKeyData as _,
    SanType, SubjectPublicKeyInfo,
};
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;

/// A request, with proof that its author holds the key.
#[derive(Debug)]
pub struct SigningRequest {
    pub common_name: String,
    pub names: Vec<Name>,
    der: Vec<u8>,
    public_key: SubjectPublicKeyInfo,
}

impl SigningRequest {
    /// A request for the key at hand.
    ///
    /// # Errors
    /// When a name cannot be written.
    pub fn create(common_name: &str, names: &[Name], key: &PrivateKey) -> Result<Self, Error> {
        let failed = |source: rcgen::Error| Error::make("make a signing request", &source);
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.subject_alt_names = names.iter().map(Name::to_rcgen).collect::<Result<_, _>>().map_err(failed)?;
        let request = params.serialize_request(key.pair()).map_err(failed)?;
        Self::from_der(request.der())
    }

    /// Reads a PEM or DER file and checks its signature.
    ///
    /// # Errors
    /// When it is damaged, not signed by its own key, or asks for a property that is never given:
    /// to be a CA, names of odd kinds.
    pub fn read(file: &[u8]) -> Result<Self, Error> {
        if file.first() == Some(&0x30) {
            return Self::from_der(&CertificateSigningRequestDer::from(file));
        }
        let der = CertificateSigningRequestDer::from_pem_slice(file);
        Self::from_der(&der.map_err(|_| Error::Request("no signing request in PEM form found".to_owned()))?)
    }

    fn from_der(der: &CertificateSigningRequestDer<'_>) -> Result<Self, Error> {
        let request =
            CertificateSigningRequestParams::from_der(der).map_err(|error| Error::Request(error.to_string()))?;
        if matches!(request.params.is_ca, rcgen::IsCa::Ca(_)) {
            return Err(Error::Request(
                "it requests a CA certificate, which is never signed from a request".to_owned(),
            ));
        }
        let names = request.params.subject_alt_names.iter().map(own_name).collect::<Result<_, _>>()?;
        let common_name = common_name(&request.params.distinguished_name)?;
        Ok(Self { common_name, names, der: der.to_vec(), public_key: public_key(der)? })
    }

    #[must_use]
    pub fn pem(&self) -> String {
        to_pem("CERTIFICATE REQUEST", &self.der)
    }

    /// Returns `true` if it was made with this key.
    #[must_use]
    pub fn is_of(&self, key: &PrivateKey) -> bool {
        self.public_key.subject_public_key_info() == key.public_key()
    }

    pub(crate) fn public_key(&self) -> &SubjectPublicKeyInfo {
        &self.public_key
    }
}

/// rcgen infers the kind of key from the signature's, which is wrong for a P-384 key that signed
/// with SHA-256, as openssl does.
fn public_key(der: &[u8]) -> Result<SubjectPublicKeyInfo, Error> {
    let (_, request) = X509CertificationRequest::from_der(der).map_err(|error| Error::Request(error.to_string()))?;
    let key = SubjectPublicKeyInfo::from_der(request.certification_request_info.subject_pki.raw);
    key.map_err(|_| Error::Request("its key is of a kind that TLS here does not know".to_owned()))
}

fn own_name(name: &SanType) -> Result<Name, Error> {
    match name {
        SanType::DnsName(host) => Name::parse(host.as_str()).map_err(|error| Error::Request(error.to_string())),
        SanType::IpAddress(address) => Ok(Name::Ip(*address)),
        other => Err(Error::Request(format!("only host names and addresses are signed, not {other:?}"))),
    }
}

fn common_name(name: &DistinguishedName) -> Result<String, Error> {
    match name.get(&DnType::CommonName) {
        Some(DnValue::Utf8String(text)) => Ok(text.clone()),
        Some(DnValue::PrintableString(text)) => Ok(text.as_str().to_owned()),
        Some(_) => Err(Error::Request("its common name is in an encoding that is not read".to_owned())),
        None => Err(Error::Request("it has no common name".to_owned())),
    }
}
