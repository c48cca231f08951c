//! Bearer tokens: JSON Web Tokens (RFC 7519) signed by HMAC with SHA-256, and nothing else.
//!
//! The algorithm is fixed here and never taken from a token: one that names another is refused before its signature is
//! looked at. Signatures are compared in constant time. `exp` is required, `nbf` is obeyed.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::Deserialize;
use serde_json::Value;

/// The shortest secret, in bytes: as long as what it signs with, as RFC 7518 demands.
pub const MIN_SECRET: usize = 32;

/// The longest secret, in bytes.
pub const MAX_SECRET: usize = 4096;

/// The longest token, in bytes.
const MAX_TOKEN: usize = 8192;

/// What signs and checks tokens.
pub struct Key {
    key: hmac::Key,
    audience: Option<String>,
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Key").field("audience", &self.audience).finish_non_exhaustive()
    }
}

/// A secret that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It can be guessed.
    #[error("the secret has {length} bytes; at least {MIN_SECRET} are needed")]
    TooShort {
        /// Its length in bytes, without a last newline.
        length: usize,
    },
    /// It is something else than a secret.
    #[error("the secret is longer than {MAX_SECRET} bytes")]
    TooLong,
}

/// Why a token is not accepted. Nothing of the token is in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no JSON Web Token.
    #[error("the token cannot be read")]
    Malformed,
    /// It names another algorithm, or extensions.
    #[error("the token is not signed by HS256")]
    Algorithm,
    /// Somebody else signed it.
    #[error("the token's signature is wrong")]
    Signature,
    /// It has no `exp`, or no valid one.
    #[error("the token has no expiry")]
    NoExpiry,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYet,
    /// It is meant for somebody else.
    #[error("the token is for another audience")]
    Audience,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    crit: Option<Value>,
}

#[derive(Deserialize)]
struct Claims {
    exp: Option<Value>,
    nbf: Option<Value>,
    aud: Option<Value>,
}

impl Key {
    /// A key of a secret, whose last newline does not count. With an audience, tokens must be meant for it.
    ///
    /// # Errors
    /// When the secret is too short or too long.
    pub fn new(secret: &[u8], audience: Option<String>) -> Result<Self, SecretError> {
        let secret = secret.strip_suffix(b"\n").unwrap_or(secret);
        let secret = secret.strip_suffix(b"\r").unwrap_or(secret);
        match secret.len() {
            length if length < MIN_SECRET => Err(SecretError::TooShort { length }),
            length if length > MAX_SECRET => Err(SecretError::TooLong),
            _ => Ok(Self { key: hmac::Key::new(hmac::HMAC_SHA256, secret), audience }),
        }
    }

    /// Checks a token at `now`, in seconds since 1970.
    ///
    /// # Errors
    /// When it is not accepted.
    pub fn verify(&self, token: &str, now: f64) -> Result<(), TokenError> {
        if token.len() > MAX_TOKEN {
            return Err(TokenError::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        let header: Header = decode(header)?;
        if header.alg != "HS256" || header.crit.is_some() {
            return Err(TokenError::Algorithm);
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenError::Signature)?;
        hmac::verify(&self.key, signed.as_bytes(), &signature).map_err(|_| TokenError::Signature)?;
        let claims: Claims = decode(claims)?;
        // A time that is no number is no time: the token is refused rather than valid for ever.
        let expiry = claims.exp.as_ref().and_then(Value::as_f64).ok_or(TokenError::NoExpiry)?;
        if now >= expiry {
            return Err(TokenError::Expired);
        }
        if let Some(not_before) = &claims.nbf
            && not_before.as_f64().is_none_or(|not_before| now < not_before)
        {
            return Err(TokenError::NotYet);
        }
        match &self.audience {
            Some(audience) if !is_for(claims.aud.as_ref(), audience) => Err(TokenError::Audience),
            _ => Ok(()),
        }
    }

    /// A token that expires at `expiry`, in seconds since 1970, for this key's audience.
    pub fn sign(&self, expiry: u64) -> String {
        let mut claims = serde_json::json!({ "exp": expiry });
        if let Some(audience) = &self.audience {
            claims["aud"] = Value::from(audience.as_str());
        }
        self.sign_parts(r#"{"alg":"HS256","typ":"JWT"}"#, &claims.to_string())
    }

    fn sign_parts(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = hmac::sign(&self.key, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn decode<T: for<'a> Deserialize<'a>>(part: &str) -> Result<T, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenError::Malformed)
}

/// Whether a claim names the audience: alone, or among others.
fn is_for(claim: Option<&Value>, audience: &str) -> bool {
    match claim {
        Some(Value::String(name)) => name == audience,
        Some(Value::Array(names)) => names.iter().any(|name| name.as_str() == Some(audience)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::{Key, SecretError, TokenError};

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
    const HEADER: &str = r#"{"alg":"HS256"}"#;
    const NOW: f64 = 1000.0;

    fn key() -> Key {
        Key::new(SECRET, None).unwrap()
    }

    fn check(header: &str, claims: &str, expected: Result<(), TokenError>) {
        let token = key().sign_parts(header, claims);
        assert_eq!(key().verify(&token, NOW), expected, "{header} {claims}");
    }

    #[test]
    fn times_are_obeyed() {
        check(HEADER, r#"{"exp":1001}"#, Ok(()));
        check(HEADER, r#"{"exp":1000.5}"#, Ok(()));
        check(HEADER, r#"{"exp":1000}"#, Err(TokenError::Expired));
        check(HEADER, r#"{"exp":-1}"#, Err(TokenError::Expired));
        check(HEADER, "{}", Err(TokenError::NoExpiry));
        check(HEADER, r#"{"exp":null}"#, Err(TokenError::NoExpiry));
        check(HEADER, r#"{"exp":"2000"}"#, Err(TokenError::NoExpiry));
        check(HEADER, r#"{"exp":2000,"nbf":1000}"#, Ok(()));
        check(HEADER, r#"{"exp":2000,"nbf":1001}"#, Err(TokenError::NotYet));
        check(HEADER, r#"{"exp":2000,"nbf":"soon"}"#, Err(TokenError::NotYet));
        check(HEADER, r#"{"exp":2000,"sub":"me","aud":"anybody"}"#, Ok(()));
    }

    #[test]
    fn no_other_algorithm_is_accepted() {
        for header in [
            r#"{"alg":"none"}"#,
            r#"{"alg":"None"}"#,
            r#"{"alg":"HS384"}"#,
            r#"{"alg":"RS256"}"#,
            r#"{"alg":"hs256"}"#,
            r#"{"alg":""}"#,
            r#"{"alg":"HS256","crit":["exp"]}"#,
        ] {
            check(header, r#"{"exp":2000}"#, Err(TokenError::Algorithm));
        }
        check("{}", r#"{"exp":2000}"#, Err(TokenError::Malformed));
        check("[]", r#"{"exp":2000}"#, Err(TokenError::Malformed));
        check(r#"{"alg":1}"#, r#"{"exp":2000}"#, Err(TokenError::Malformed));
        let token = key().sign_parts(r#"{"alg":"none"}"#, r#"{"exp":2000}"#);
        let unsigned = token.rsplit_once('.').unwrap().0;
        assert_eq!(key().verify(&format!("{unsigned}."), NOW), Err(TokenError::Algorithm));
    }

    #[test]
    fn the_signature_must_be_ours() {
        let other = Key::new(b"another secret of thirty-two bytes", None).unwrap();
        assert_eq!(key().verify(&other.sign(2000), NOW), Err(TokenError::Signature));
        let token = key().sign(2000);
        assert_eq!(key().verify(&token, NOW), Ok(()));
        let unsigned = token.rsplit_once('.').unwrap().0;
        for wrong in
            [format!("{unsigned}."), format!("{unsigned}.AAAA"), format!("{token}="), format!("{token}A")]
        {
            assert_eq!(key().verify(&wrong, NOW), Err(TokenError::Signature), "{wrong}");
        }
        for broken in ["", ".", "..", "a.b", "a.b.c", "\u{e4}.\u{e4}.\u{e4}", unsigned] {
            assert_eq!(key().verify(broken, NOW), Err(TokenError::Malformed), "{broken}");
        }
        assert_eq!(key().verify(&"a".repeat(9000), NOW), Err(TokenError::Malformed));
    }

    #[test]
    fn a_token_of_another_program_is_accepted() {
        // The example of RFC 7515, appendix A.1.
        let secret = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
        let secret = base64::Engine::decode(&super::URL_SAFE_NO_PAD, secret).unwrap();
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9\
                     .eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ\
                     .dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let key = Key::new(&secret, None).unwrap();
        assert_eq!(key.verify(token, 1_300_819_379.0), Ok(()));
        assert_eq!(key.verify(token, 1_300_819_380.0), Err(TokenError::Expired));
    }

    #[test]
    fn the_audience_is_checked_where_one_is_configured() {
        let key = Key::new(SECRET, Some("machines".to_owned())).unwrap();
        let check = |claims: &str, expected| {
            assert_eq!(key.verify(&key.sign_parts(HEADER, claims), NOW), expected, "{claims}");
        };
        assert_eq!(key.verify(&key.sign(2000), NOW), Ok(()));
        check(r#"{"exp":2000,"aud":"machines"}"#, Ok(()));
        check(r#"{"exp":2000,"aud":["others","machines"]}"#, Ok(()));
        check(r#"{"exp":2000,"aud":["others"]}"#, Err(TokenError::Audience));
        check(r#"{"exp":2000,"aud":[]}"#, Err(TokenError::Audience));
        check(r#"{"exp":2000,"aud":1}"#, Err(TokenError::Audience));
        check(r#"{"exp":2000}"#, Err(TokenError::Audience));
    }

    #[test]
    fn a_secret_is_long_enough() {
        let check = |secret: &[u8], expected| assert_eq!(Key::new(secret, None).err(), expected);
        check(b"", Some(SecretError::TooShort { length: 0 }));
        check(b"\n", Some(SecretError::TooShort { length: 0 }));
        check(&SECRET[1..], Some(SecretError::TooShort { length: 31 }));
        check(SECRET, None);
        check(&[7; 5000], Some(SecretError::TooLong));
        let with_newline = [SECRET, b"\r\n"].concat();
        assert_eq!(key().verify(&Key::new(&with_newline, None).unwrap().sign(2000), NOW), Ok(()));
    }

    proptest! {
        #[test]
        fn nothing_but_our_own_tokens_is_accepted(token in "[A-Za-z0-9_.-]{0,300}", flip in 0_usize..200, bit in 0_u8..7) {
            prop_assert!(key().verify(&token, NOW).is_err());
            let mut ours = key().sign(2000).into_bytes();
            let at = flip % ours.len();
            ours[at] ^= 1 << bit;
            // The last character of the signature has bits that mean nothing, which the decoder refuses.
            prop_assert!(std::str::from_utf8(&ours).is_ok_and(|token| key().verify(token, NOW).is_err()));
        }
    }
}
