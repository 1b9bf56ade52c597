//! Tokens: who shows one may do what its line in a file says. The file has what a token is known by, and never the token.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use arc_swap::ArcSwap;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use sha2::{Digest, Sha256};

use super::guard::Role;
use crate::process::chain;
use crate::tls::Followed;

/// Begins every token, so that tools which look for secrets in the wrong places know one.
const PREFIX: &str = "hatchway_";

/// Of 256 random bits nobody guesses one, so that a plain digest is enough.
const TOKEN_BYTES: usize = 32;

/// Group and others may write.
const OTHERS_WRITE: u32 = 0o022;

type Sha = [u8; 32];

/// A file of tokens, read again when it changes.
///
/// A line is `NAME ROLE SHA256`; what follows `#` is for people. `hatchway token new` writes one.
#[derive(Debug)]
pub struct Tokens {
    path: PathBuf,
    current: ArcSwap<Vec<Token>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    name: Box<str>,
    role: Role,
    digest: Sha,
}

/// What is wrong with a file of tokens. Says nothing of its content.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It is not there, or not for us.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// Read or write.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others could give themselves a token.
    #[error("{}: other users can write to it: chmod go-w", path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
    },
    /// A line of it.
    #[error("{}:{line}: {why}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// 1-based.
        line: usize,
        /// What it should be.
        why: String,
    },
    /// Two of one name cannot be told apart in the history.
    #[error("{} has a token {name:?} already: take its line out, or choose another name", path.display())]
    Taken {
        /// Which file.
        path: PathBuf,
        /// Whose.
        name: String,
    },
    /// A name that would not be one in the file.
    #[error("{0:?} is no name of a token: use letters, digits and -_.@, at most 64")]
    Name(String),
}

impl Tokens {
    /// Reads the file.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn load(path: &Path) -> Result<Self, TokenError> {
        let current = ArcSwap::from_pointee(read(path)?);
        Ok(Self { path: path.to_owned(), current })
    }

    /// Whose token it is, and what they may do. Every digest is compared, each in the same time whatever it is.
    pub fn find(&self, token: &str) -> Option<(String, Role)> {
        let digest = Sha256::digest(token);
        let current = self.current.load();
        let mut found = None;
        for one in current.iter() {
            if verify_slices_are_equal(&one.digest, &digest).is_ok() {
                found = Some((one.name.to_string(), one.role));
            }
        }
        found
    }

    /// Writes a new token into the file at `path`, which may not be there yet, and gives the token: nobody can read it
    /// there.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn add(path: &Path, name: &str, role: Role) -> Result<String, TokenError> {
        if !is_name(name) {
            return Err(TokenError::Name(name.to_owned()));
        }
        let io = |source| TokenError::Io { what: "write", path: path.to_owned(), source };
        let before = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text.map_err(io)?,
        };
        if parse(path, &before)?.iter().any(|token| *token.name == *name) {
            return Err(TokenError::Taken { path: path.to_owned(), name: name.to_owned() });
        }
        let mut random = [0; TOKEN_BYTES];
        aws_lc_rs::rand::fill(&mut random).map_err(|error| io(io::Error::other(error)))?;
        let token = format!("{PREFIX}{}", hex(&random));
        let end = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
        let text = format!("{before}{end}{name} {role} {}\n", hex(&Sha256::digest(&token)));
        replace(path, &text).map_err(io)?;
        Ok(token)
    }
}

/// Whoever reads it meanwhile sees the old lines or the new ones.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mode = fs::metadata(path).map_or(0o600, |metadata| metadata.mode() & 0o777);
    let mut file = tempfile::Builder::new().prefix(".tokens-").tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn read(path: &Path) -> Result<Vec<Token>, TokenError> {
    let io = |source| TokenError::Io { what: "read", path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(io)?;
    if metadata.mode() & OTHERS_WRITE != 0 {
        return Err(TokenError::Exposed { path: path.to_owned() });
    }
    parse(path, &fs::read_to_string(path).map_err(io)?)
}

fn parse(path: &Path, text: &str) -> Result<Vec<Token>, TokenError> {
    let mut tokens: Vec<Token> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let wrong = |why: String| TokenError::Line { path: path.to_owned(), line: index + 1, why };
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, role, digest] = words[..] else {
            if words.is_empty() {
                continue;
            }
            return Err(wrong(format!("has {} words, not NAME ROLE SHA256", words.len())));
        };
        if !is_name(name) {
            return Err(wrong(TokenError::Name(name.to_owned()).to_string()));
        }
        let role = role.parse().map_err(wrong)?;
        let not_hex = || wrong("the third word is no SHA-256 in 64 hexadecimal digits".to_owned());
        let digest = sha(digest).ok_or_else(not_hex)?;
        if tokens.iter().any(|token| *token.name == *name) {
            return Err(wrong(format!("{name} has a token already")));
        }
        tokens.push(Token { name: name.into(), role, digest });
    }
    Ok(tokens)
}

fn is_name(name: &str) -> bool {
    let is_inside = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(is_inside)
}

fn sha(digits: &str) -> Option<Sha> {
    let mut sha = Sha::default();
    if digits.len() != 2 * sha.len() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in sha.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(sha)
}

impl Followed for Tokens {
    fn files(&self) -> Vec<&Path> {
        vec![&self.path]
    }

    fn reload(&self) {
        match read(&self.path) {
            Ok(tokens) if tokens == **self.current.load() => {}
            Ok(tokens) => {
                tracing::info!(tokens = tokens.len(), "the tokens were replaced");
                self.current.store(tokens.into());
            }
            Err(error) => tracing::error!(
                error = %chain(&error),
                "the tokens are not replaced, and those before go on being good",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_line_until_the_line_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let one = Tokens::add(&path, "ci", Role::Operate).unwrap();
        let other = Tokens::add(&path, "grafana", Role::Read).unwrap();
        assert!(one.starts_with(PREFIX) && one != other);
        let tokens = Tokens::load(&path).unwrap();
        assert_eq!(tokens.find(&one), Some(("ci".to_owned(), Role::Operate)));
        assert_eq!(tokens.find(&other), Some(("grafana".to_owned(), Role::Read)));
        assert_eq!((tokens.find(""), tokens.find(&one[..one.len() - 1])), (None, None));

        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&one) && !text.contains(&one[PREFIX.len()..]), "{text}");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        fs::write(&path, text.replace("ci ", "# ci ")).unwrap();
        tokens.reload();
        assert_eq!((tokens.find(&one), tokens.find(&other).is_some()), (None, true));
        fs::write(&path, "garbage").unwrap();
        tokens.reload();
        assert!(tokens.find(&other).is_some(), "a mistake locks nobody out");
    }

    #[test]
    fn what_is_wrong_with_the_file_is_said_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let digest = "0".repeat(64);
        for (text, why) in [
            ("\nci operate".to_owned(), ":2: has 2 words, not NAME ROLE SHA256"),
            (format!("a/b read {digest}"), ":1: \"a/b\" is no name of a token"),
            (format!("ci admin {digest}"), ":1: \"admin\" is no role: write read or operate"),
            (format!("ci read {}", &digest[1..]), ":1: the third word is no SHA-256"),
            (format!("ci read {digest}\nci read {digest}"), ":2: ci has a token already"),
        ] {
            fs::write(&path, text).unwrap();
            let error = Tokens::load(&path).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        assert!(Tokens::load(&path).unwrap_err().to_string().contains("chmod go-w"));
        fs::remove_file(&path).unwrap();
        Tokens::add(&path, "ci", Role::Read).unwrap();
        assert!(matches!(Tokens::add(&path, "ci", Role::Read), Err(TokenError::Taken { .. })));
        assert!(matches!(Tokens::add(&path, "a b", Role::Read), Err(TokenError::Name(_))));
    }
}
