//! The `/etc` of every sandbox: enough for programs to start, nothing to tell.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Written by us; the name `sandbox` is what a program finds for any id it asks about.
const MADE: [(&str, &str); 6] = [
    ("passwd", "root:x:0:0:root:/:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n"),
    ("group", "root:x:0:\nnogroup:x:65534:\n"),
    ("hosts", "127.0.0.1 localhost sandbox\n::1 localhost\n"),
    ("hostname", "sandbox\n"),
    ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
    ("shells", "/bin/sh\n"),
];
/// No file of configuration is larger; a bundle of certificates is a quarter of a megabyte.
const MAX_BYTES: u64 = 4 << 20;
/// Taken from the host where it has them: the loader's cache, names of protocols, what time it
/// is here, where names are resolved, and whom TLS trusts.
const TAKEN: [&str; 11] = [
    "ld.so.cache",
    "ld.so.conf",
    "protocols",
    "services",
    "localtime",
    "timezone",
    "resolv.conf",
    "host.conf",
    "gai.conf",
    "mime.types",
    "ssl/openssl.cnf",
];
/// Whole folders taken from the host.
const FOLDERS: [&str; 4] =
    ["ssl/certs", "alternatives", "pki/tls/certs", "ca-certificates/extracted"];

/// Fills `dir`, which has to be empty.
///
/// # Errors
/// Writing to `dir`. What the host does not have, or does not let us read, is left out.
pub(crate) fn write(dir: &Path) -> io::Result<()> {
    for (name, text) in MADE {
        put(&dir.join(name), text.as_bytes())?;
    }
    for name in TAKEN {
        if let Ok(bytes) = fs::read(Path::new("/etc").join(name)) {
            put(&dir.join(name), &bytes)?;
        }
    }
    for name in FOLDERS {
        copy_folder(&Path::new("/etc").join(name), &dir.join(name))?;
    }
    Ok(())
}

/// Copies files and links, not what lies deeper: neither folder above has more.
fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    let Ok(entries) = fs::read_dir(from) else {
        return Ok(());
    };
    make_parents(to)?;
    fs::create_dir(to)?;
    open_to_all(to, 0o755)?;
    for entry in entries.flatten() {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        match fs::read_link(&source) {
            // A link whose goal every sandbox has too.
            Ok(goal) if goal.starts_with("/usr") || goal.is_relative() => {
                std::os::unix::fs::symlink(goal, target)?;
            }
            Ok(_) | Err(_) => copy_file(&source, &target)?,
        }
    }
    Ok(())
}

/// Copies a regular file that we may read; what is none, or is no configuration by its size, is left out.
fn copy_file(source: &Path, target: &Path) -> io::Result<()> {
    let is_small_file = |metadata: fs::Metadata| metadata.is_file() && metadata.len() <= MAX_BYTES;
    if !fs::metadata(source).is_ok_and(is_small_file) {
        return Ok(());
    }
    match fs::read(source) {
        Ok(bytes) => put(target, &bytes),
        Err(_) => Ok(()),
    }
}

fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    make_parents(path)?;
    fs::write(path, bytes)?;
    open_to_all(path, 0o644)
}

fn make_parents(path: &Path) -> io::Result<()> {
    let Some(parent) = path.parent().filter(|parent| !parent.exists()) else {
        return Ok(());
    };
    make_parents(parent)?;
    fs::create_dir(parent)?;
    open_to_all(parent, 0o755)
}

/// Whatever the mask of this process took away.
fn open_to_all(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_it_tells_who_uses_the_host() {
        let dir = tempfile::tempdir().expect("temporary folder");
        write(dir.path()).expect("write");
        let passwd = fs::read_to_string(dir.path().join("passwd")).expect("passwd");
        assert_eq!(passwd.lines().count(), 2);
        assert!(!dir.path().join("shadow").exists());
    }

    #[test]
    fn everything_in_it_can_be_read_by_all() {
        let dir = tempfile::tempdir().expect("temporary folder");
        write(dir.path()).expect("write");
        let mode = fs::metadata(dir.path().join("hosts")).expect("hosts").permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
    }
}
