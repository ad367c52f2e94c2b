//! JWTs with every method and every form of key file that etcd takes.

use auth::{AuthError, Identity, Jwt, JwtOptions, SignMethod, TokenOptionError};

const RSA: &[u8] = include_bytes!("keys/rsa.pem");
const RSA_PKCS1: &[u8] = include_bytes!("keys/rsa.pkcs1.pem");
const RSA_PUBLIC: &[u8] = include_bytes!("keys/rsa.pub.pem");
const EC256: &[u8] = include_bytes!("keys/ec256.pem");
const EC256_SEC1: &[u8] = include_bytes!("keys/ec256.sec1.pem");
const EC256_PUBLIC: &[u8] = include_bytes!("keys/ec256.pub.pem");
const EC256_OTHER_PUBLIC: &[u8] = include_bytes!("keys/ec256.other.pub.pem");
const EC384: &[u8] = include_bytes!("keys/ec384.pem");
const EC384_PUBLIC: &[u8] = include_bytes!("keys/ec384.pub.pem");
const EC521: &[u8] = include_bytes!("keys/ec521.pem");
const EC521_SEC1: &[u8] = include_bytes!("keys/ec521.sec1.pem");
const EC521_PUBLIC: &[u8] = include_bytes!("keys/ec521.pub.pem");
const ED: &[u8] = include_bytes!("keys/ed25519.pem");
const ED_PUBLIC: &[u8] = include_bytes!("keys/ed25519.pub.pem");
const SECRET: &[u8] = b"a shared secret";

const NOW: u64 = 1_800_000_000;

fn jwt(method: &str, public: Option<&[u8]>, private: Option<&[u8]>) -> Result<Jwt, TokenOptionError> {
    let options = JwtOptions { sign_method: SignMethod::named(method)?, ttl: std::time::Duration::from_secs(300) };
    Jwt::new(&options, public, private)
}

fn ann() -> Identity {
    Identity::new("ann", 42)
}

#[test]
fn every_method_makes_tokens_that_it_takes_until_they_expire() {
    let keys = [("RS", RSA, RSA_PUBLIC), ("PS", RSA, RSA_PUBLIC), ("HS", SECRET, b"" as &[u8])];
    let sized = keys.iter().flat_map(|(family, private, public)| {
        ["256", "384", "512"].map(|size| (format!("{family}{size}"), *private, *public))
    });
    let others = [
        ("ES256", EC256, EC256_PUBLIC),
        ("ES256", EC256_SEC1, EC256_PUBLIC),
        ("ES384", EC384, EC384_PUBLIC),
        ("ES512", EC521, EC521_PUBLIC),
        ("ES512", EC521_SEC1, EC521_PUBLIC),
        ("EdDSA", ED, ED_PUBLIC),
    ];
    let others = others.map(|(method, private, public)| (method.to_owned(), private, public));
    for (method, private, public) in sized.chain(others) {
        for public in [None, Some(public)] {
            let jwt = jwt(&method, public, Some(private)).unwrap();
            let token = jwt.make(&ann(), NOW).unwrap();
            assert_eq!(jwt.identity_of(&token, NOW + 299), Ok(ann()), "{method}");
            assert_eq!(jwt.identity_of(&token, NOW + 300), Err(AuthError::InvalidAuthToken), "{method}");
        }
    }
}

#[test]
fn the_public_key_alone_checks_but_does_not_make() {
    let maker = jwt("RS256", None, Some(RSA_PKCS1)).unwrap();
    let token = maker.make(&ann(), NOW).unwrap();
    let checker = jwt("RS256", Some(RSA_PUBLIC), None).unwrap();
    assert!(maker.can_sign() && !checker.can_sign());
    assert_eq!(checker.identity_of(&token, NOW), Ok(ann()));
    assert_eq!(checker.make(&ann(), NOW), Err(AuthError::VerifyOnlyKey));
}

#[test]
fn tokens_of_another_method_or_key_are_refused() {
    let checker = jwt("RS256", Some(RSA_PUBLIC), None).unwrap();
    // The public key is no secret, so a token signed with it must not pass.
    let forged = jwt("HS256", None, Some(RSA_PUBLIC)).unwrap().make(&ann(), NOW).unwrap();
    let other_hash = jwt("RS384", None, Some(RSA)).unwrap().make(&ann(), NOW).unwrap();
    let good = jwt("RS256", None, Some(RSA)).unwrap().make(&ann(), NOW).unwrap();
    let cut = &good[..good.len() - 4];
    // {"alg":"none","typ":"JWT"} with the claims of the good one.
    let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.", good.split('.').nth(1).unwrap());
    for token in [&forged, &other_hash, cut, &unsigned, "", "a.b.c", "abcdefghijklmnop.7"] {
        assert_eq!(checker.identity_of(token, NOW), Err(AuthError::InvalidAuthToken));
    }
}

#[test]
fn es512_takes_no_other_algorithm_and_no_changed_claims() {
    let jwt = jwt("ES512", Some(EC521_PUBLIC), Some(EC521)).unwrap();
    let token = jwt.make(&ann(), NOW).unwrap();
    let [header, claims, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let other_claims = jwt.make(&Identity::new("root", 42), NOW).unwrap().split('.').nth(1).unwrap().to_owned();
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    let es256 = self::jwt("ES256", None, Some(EC256)).unwrap().make(&ann(), NOW).unwrap();
    let wrong = [
        format!("{header}.{other_claims}.{signature}"),
        format!("{none}.{claims}."),
        format!("{none}.{claims}.{signature}"),
        format!("{header}.{claims}."),
        format!("{header}.{claims}"),
        format!("{token}.{signature}"),
        es256,
    ];
    for token in wrong {
        assert_eq!(jwt.identity_of(&token, NOW), Err(AuthError::InvalidAuthToken), "{token}");
    }
    let checker = self::jwt("ES512", Some(EC521_PUBLIC), None).unwrap();
    assert_eq!(
        (checker.identity_of(&token, NOW), checker.make(&ann(), NOW)),
        (Ok(ann()), Err(AuthError::VerifyOnlyKey))
    );
}

/// Tokens that etcd 3.5.30 gave to root at auth revision 3, each with a life of five minutes, with
/// the keys of these tests: a method and a token per line. HS512 took the file of the larger EC key
/// as its secret.
const TOKENS_OF_ETCD: &str = include_str!("tokens_of_etcd.txt");

#[test]
fn tokens_that_etcd_made_are_taken() {
    let keys = [("RS256", RSA), ("PS384", RSA), ("ES384", EC384), ("ES512", EC521), ("HS512", EC521)];
    let lines: Vec<_> = TOKENS_OF_ETCD.lines().map(|line| line.split_once(' ').unwrap()).collect();
    assert_eq!(lines.len(), keys.len());
    for ((method, token), (expected, private)) in lines.into_iter().zip(keys) {
        assert_eq!(method, expected);
        let jwt = jwt(method, None, Some(private)).unwrap();
        assert_eq!(jwt.identity_of(token, 1_795_226_900), Ok(Identity::new("root", 3)), "{method}");
        assert_eq!(jwt.identity_of(token, 1_795_226_940), Err(AuthError::InvalidAuthToken), "{method}");
    }
}

/// Signs arbitrary claims as some other maker of tokens would.
fn signed(claims: &str) -> String {
    use base64::Engine;
    let text = |part: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(part);
    let message = format!("{}.{}", text(r#"{"alg":"HS256","typ":"JWT"}"#), text(claims));
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, jsonwebtoken::Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

#[test]
fn claims_of_other_makers_are_read_as_etcd_reads_them() {
    let jwt = jwt("HS256", None, Some(SECRET)).unwrap();
    let taken = [
        r#"{"username":"ann","revision":42}"#,
        r#"{"username":"ann","revision":42.0,"exp":1800000000.5,"nbf":1800000000}"#,
        r#"{"username":"ann","revision":42,"exp":1800000001,"aud":"somebody","iss":"me","iat":1900000000}"#,
    ];
    let refused = [
        r#"{"username":"ann"}"#,
        r#"{"revision":42}"#,
        r#"{"username":"ann","revision":"42"}"#,
        r#"{"username":"ann","revision":-1}"#,
        r#"{"username":7,"revision":42}"#,
        r#"{"username":"ann","revision":42,"exp":1800000000}"#,
        r#"{"username":"ann","revision":42,"exp":"soon"}"#,
        r#"{"username":"ann","revision":42,"nbf":1800000001}"#,
    ];
    for claims in taken {
        assert_eq!(jwt.identity_of(&signed(claims), NOW), Ok(ann()), "{claims}");
    }
    for claims in refused {
        assert_eq!(jwt.identity_of(&signed(claims), NOW), Err(AuthError::InvalidAuthToken), "{claims}");
    }
}

#[test]
fn wrong_key_files_are_refused_by_the_name_of_their_option() {
    let message = |method, public, private| jwt(method, public, private).unwrap_err().to_string();
    assert_eq!(message("RS256", None, None), "auth: missing key data: pub-key or priv-key in --auth-token");
    assert_eq!(message("HS256", Some(SECRET), None), "auth: missing key data: priv-key in --auth-token");
    let mismatch = "auth: public and private keys don't match: pub-key and priv-key in --auth-token";
    assert_eq!(message("ES256", Some(EC256_OTHER_PUBLIC), Some(EC256)), mismatch);
    let no_pem = "not a PEM file with such a key";
    let bad = |option, method, detail| {
        format!("auth: invalid auth options: {option} in --auth-token holds no key for sign-method={method}: {detail}")
    };
    assert_eq!(message("RS256", None, Some(SECRET)), bad("priv-key", "RS256", no_pem));
    assert_eq!(message("RS256", Some(SECRET), None), bad("pub-key", "RS256", no_pem));
    assert_eq!(message("EdDSA", Some(ED), None), bad("pub-key", "EdDSA", no_pem));
    assert_eq!(message("EdDSA", Some(RSA_PUBLIC), None), bad("pub-key", "EdDSA", no_pem));
    assert!(message("ES256", None, Some(EC384)).starts_with(&bad("priv-key", "ES256", "")));
    assert!(message("ES384", Some(EC256_PUBLIC), None).starts_with(&bad("pub-key", "ES384", "")));
    assert!(message("RS256", Some(EC256_PUBLIC), None).starts_with(&bad("pub-key", "RS256", "")));
    assert_eq!(message("ES512", None, Some(EC256)), bad("priv-key", "ES512", no_pem));
    assert_eq!(message("ES512", Some(EC256_PUBLIC), Some(EC521)), bad("pub-key", "ES512", no_pem));
    assert_eq!(message("ES512", None, None), "auth: missing key data: pub-key or priv-key in --auth-token");
}

#[test]
fn debug_shows_no_key() {
    let text = format!("{:?}", jwt("HS256", None, Some(SECRET)).unwrap());
    assert!(!text.contains("115") && !text.contains("secret"), "{text}");
}
