//! A changed cluster file on its way to nodes that run: its text, the secrets that it names,
//! and which running files it may replace; sealed so that only who has a cluster key can
//! read it, forge it or use it again.
//!
//! Owns the bytes (`kodo file 1`, nonce, ChaCha20-Poly1305 of RFC 8439 over postcard) and their
//! bounds. The key is derived from the new file's first cluster key, which the running file must
//! accept anyway, or the nodes would not hear each other after the change: a file whose key
//! skips a step of a rotation cannot even be opened. A recording of an earlier change opens
//! nothing either, as it names other files to be replaced. Decodes anything without a panic; the
//! nonce is an argument.

use core::fmt;

use std::collections::BTreeMap;

use chacha20poly1305::aead::{AeadInOut, KeyInit, inout::InOutBuf};
use chacha20poly1305::{ChaCha20Poly1305, Nonce, Tag};
use hmac::{Hmac, Mac};
use kodo_engine::{Key, limits};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::secrets::{Loader, Secret};
use crate::{Cluster, Diagnostic};

/// Bytes of the largest bundle: thirty-two nodes with a page of comments each.
pub const LARGEST: usize = 128 * 1024;
/// Bytes of a nonce, which must be random.
pub const NONCE: usize = 12;
/// Running files that one bundle may replace: each node runs one.
const REPLACES: usize = limits::NODES;

const MAGIC: &[u8] = b"kodo file 1\0";
const TAG: usize = 16;

/// A cluster file's text and the texts of the secrets that it names.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    text: String,
    key: Option<String>,
    witness: Option<String>,
    tokens: Option<String>,
    /// By the paths that the file names.
    recipes: BTreeMap<String, String>,
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bundle").finish_non_exhaustive()
    }
}

/// Why bytes are no bundle for this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unopened {
    /// They do not begin as one, or are too many.
    NoBundle,
    /// No key of the running file opens it.
    Key,
    /// It was made to replace another file than the running one.
    Replaces,
}

impl fmt::Display for Unopened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unopened::NoBundle => {
                "this is not a cluster file as `kodo apply` sends it; apply it with a `kodo` of the node's version"
            }
            Unopened::Key => {
                "the file signs with a key that the running one does not accept, or it was damaged on its way; change keys in three steps: accept the new one, sign with it, drop the old one"
            }
            Unopened::Replaces => {
                "it was made to replace another file than the one that runs here; apply it again"
            }
        })
    }
}

impl std::error::Error for Unopened {}

/// More than [`LARGEST`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the file and its secrets have more than {} kB, which is all that a running node takes; shorten its comments",
            LARGEST / 1024
        )
    }
}

impl std::error::Error for TooLarge {}

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct Content {
    replaces: heapless::Vec<u64, REPLACES>,
    bundle: Bundle,
}

impl Bundle {
    /// Reads a cluster file and gathers what it names.
    ///
    /// # Errors
    /// As [`Cluster::parse`].
    pub fn gather(
        file: &str,
        text: &str,
        load: Loader<'_>,
    ) -> Result<(Bundle, Cluster), Vec<Diagnostic>> {
        let [key, witness, tokens] = [const { core::cell::RefCell::new(None) }; 3];
        let recipes = core::cell::RefCell::new(BTreeMap::new());
        let gathering = |secret: Secret, path: &str| {
            let content = load(secret, path)?;
            let place = match secret {
                Secret::Key => &key,
                Secret::Witness => &witness,
                Secret::Tokens => &tokens,
                Secret::Recipe => {
                    let text = content.clone();
                    recipes.borrow_mut().insert(path.to_owned(), text);
                    return Ok(content);
                }
            };
            *place.borrow_mut() = Some(content.clone());
            Ok(content)
        };
        let cluster = Cluster::parse(file, text, &gathering)?;
        let bundle = Bundle {
            text: text.to_owned(),
            key: key.into_inner(),
            witness: witness.into_inner(),
            tokens: tokens.into_inner(),
            recipes: recipes.into_inner(),
        };
        Ok((bundle, cluster))
    }

    /// Checks the file by the same rules as ever, its secrets from the bundle.
    ///
    /// # Errors
    /// As [`Cluster::parse`].
    pub fn cluster(&self, file: &str) -> Result<Cluster, Vec<Diagnostic>> {
        let load = |secret: Secret, path: &str| {
            let content = match secret {
                Secret::Key => &self.key,
                Secret::Witness => &self.witness,
                Secret::Tokens => &self.tokens,
                Secret::Recipe => &self.recipes.get(path).cloned(),
            };
            content
                .clone()
                .ok_or_else(|| "it is not in the bundle".to_owned())
        };
        Cluster::parse(file, &self.text, &load)
    }

    /// As plain bytes, for a process of the same node.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encoded(self)
    }

    /// From [`Bundle::to_bytes`]; `None` for anything else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Bundle> {
        whole(bytes)
    }

    /// Seals it with a cluster key, to replace files of these hashes.
    ///
    /// # Errors
    /// When it is too large to be taken by a node.
    pub fn seal(
        self,
        key: &Key,
        replaces: &[u64],
        nonce: [u8; NONCE],
    ) -> Result<Vec<u8>, TooLarge> {
        let content = Content {
            replaces: replaces.iter().copied().take(REPLACES).collect(),
            bundle: self,
        };
        let mut sealed = encoded(&content);
        if MAGIC.len() + NONCE + sealed.len() + TAG > LARGEST {
            return Err(TooLarge);
        }
        let tag = cipher(key)
            .encrypt_inout_detached(&Nonce::from(nonce), MAGIC, InOutBuf::from(&mut sealed[..]))
            .map_err(|_| TooLarge)?;
        Ok([MAGIC, &nonce, &sealed, &tag].concat())
    }

    /// Opens what was sealed with any of these keys to replace the file of this hash.
    ///
    /// # Errors
    /// Why it is not for this node.
    pub fn open(sealed: &[u8], keys: &[Key], running: u64) -> Result<Bundle, Unopened> {
        let rest = sealed.strip_prefix(MAGIC).ok_or(Unopened::NoBundle)?;
        let (nonce, rest) = rest
            .split_first_chunk::<NONCE>()
            .ok_or(Unopened::NoBundle)?;
        let (body, tag) = rest.split_last_chunk::<TAG>().ok_or(Unopened::NoBundle)?;
        if sealed.len() > LARGEST {
            return Err(Unopened::NoBundle);
        }
        let opened = keys.iter().find_map(|key| {
            let mut body = body.to_vec();
            cipher(key)
                .decrypt_inout_detached(
                    &Nonce::from(*nonce),
                    MAGIC,
                    InOutBuf::from(&mut body[..]),
                    &Tag::from(*tag),
                )
                .ok()?;
            Some(body)
        });
        let content: Content = whole(&opened.ok_or(Unopened::Key)?).ok_or(Unopened::NoBundle)?;
        if !content.replaces.contains(&running) {
            return Err(Unopened::Replaces);
        }
        Ok(content.bundle)
    }
}

/// One key for one purpose.
fn cipher(key: &Key) -> ChaCha20Poly1305 {
    let mac = Hmac::<Sha256>::new_from_slice(&key.0);
    let mac = mac.unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
    ChaCha20Poly1305::new(&mac.chain_update(b"kodo file").finalize().into_bytes())
}

fn encoded<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(value).unwrap_or_else(|error| unreachable!("plain data encodes: {error}"))
}

/// A value that is all of these bytes.
fn whole<'b, T: Deserialize<'b>>(bytes: &'b [u8]) -> Option<T> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Some(value),
        _ => None,
    }
}
