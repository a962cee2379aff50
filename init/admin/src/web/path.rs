//! From the path of a request to a name below the directory.
//!
//! Owns decoding and the refusal of everything that is not a plain name; the kernel
//! checks again when the file is opened.

use super::limits;

/// A relative path of plain components, or empty for the directory itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plain {
    /// Components joined by `/`, without one at either end.
    pub name: String,
    /// The request asked for a directory: its path ended in `/`.
    pub directory: bool,
}

/// Decodes the path of a request (RFC 3986, 2.1). `None`: no file of ours has that name.
///
/// Refused are: broken escapes, bytes that are not UTF-8, control characters, empty
/// components (which also keeps redirects on this host), and components that begin with
/// a dot: neither `..` nor a forgotten `.git` is content.
pub(super) fn plain(path: &str) -> Option<Plain> {
    let rest = path.strip_prefix('/')?;
    let decoded = decode(rest)?;
    if decoded.len() > limits::PATH || decoded.chars().any(char::is_control) {
        return None;
    }
    let (name, directory) = match decoded.strip_suffix('/') {
        Some(name) => (name, true),
        None => (decoded.as_str(), decoded.is_empty()),
    };
    let sound = |part: &str| !part.is_empty() && !part.starts_with('.');
    if (!name.is_empty() || decoded.is_empty()) && (name.is_empty() || name.split('/').all(sound)) {
        Some(Plain {
            name: name.to_owned(),
            directory,
        })
    } else {
        None
    }
}

fn decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> Option<Plain> {
        Some(Plain {
            name: name.to_owned(),
            directory: false,
        })
    }

    fn directory(name: &str) -> Option<Plain> {
        Some(Plain {
            name: name.to_owned(),
            directory: true,
        })
    }

    #[test]
    fn plain_names_pass() {
        assert_eq!(plain("/"), directory(""));
        assert_eq!(plain("/a.css"), file("a.css"));
        assert_eq!(plain("/a/b"), file("a/b"));
        assert_eq!(plain("/a/b/"), directory("a/b"));
        assert_eq!(plain("/gr%C3%BC%C3%9Fe"), file("grüße"));
        assert_eq!(plain("/a%20b..c"), file("a b..c"));
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in [
            "",
            "a",
            "*",
            "//",
            "//evil.example/",
            "/a//b",
            "/..",
            "/../etc/passwd",
            "/a/../b",
            "/%2e%2e/etc/passwd",
            "/a/%2e%2e%2f%2e%2e/etc",
            "/%2fetc/passwd",
            "/.git/config",
            "/a/.",
            "/./a",
            "/a%00.html",
            "/%",
            "/%2",
            "/%zz",
            "/%ff",
            "/a%0d%0aX:y",
        ] {
            assert_eq!(plain(bad), None, "{bad:?}");
        }
        assert_eq!(plain(&format!("/{}", "a".repeat(limits::PATH + 1))), None);
    }
}
