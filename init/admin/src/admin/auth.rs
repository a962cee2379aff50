//! Who is asking.
//!
//! Owns the comparison of tokens. Only hashes are kept here: reading this process's
//! memory or the node's image gives nobody a token.

use ctutils::CtEq;
use sha2::{Digest, Sha256};

use super::Name;

/// One operator's token, as the node knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Whose it is, for the log.
    pub name: Name,
    /// SHA-256 of the token's bytes.
    pub sha256: [u8; 32],
}

/// The name that belongs to a token, if any. Its time depends on neither the token nor
/// the place of its match.
pub(super) fn identify<'t>(tokens: &'t [Token], presented: &str) -> Option<&'t Name> {
    let hash: [u8; 32] = Sha256::digest(presented.as_bytes()).into();
    tokens.iter().fold(None, |found, token| {
        if token.sha256.ct_eq(&hash).to_bool() {
            Some(&token.name)
        } else {
            found
        }
    })
}

/// The token of an `Authorization` header. The scheme's case does not matter (RFC 9110, 11.1).
pub(super) fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(name: &str, secret: &str) -> Token {
        let sha256 = Sha256::digest(secret.as_bytes()).into();
        Token {
            name: name.try_into().unwrap(),
            sha256,
        }
    }

    #[test]
    fn knows_each_by_its_own() {
        let tokens = [token("anna", "one"), token("ben", "two")];
        assert_eq!(identify(&tokens, "one"), Some(&tokens[0].name));
        assert_eq!(identify(&tokens, "two"), Some(&tokens[1].name));
        assert_eq!(identify(&tokens, "three"), None);
        assert_eq!(identify(&tokens, ""), None);
        assert_eq!(identify(&[], "one"), None);
    }

    #[test]
    fn reads_the_header() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer  abc "), Some("abc"));
        for bad in ["", "abc", "Bearer", "Bearer ", "Basic abc"] {
            assert_eq!(bearer(bad), None, "{bad:?}");
        }
    }
}
