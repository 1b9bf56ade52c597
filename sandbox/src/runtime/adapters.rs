//! The programs that run around a function, inside its sandbox: embedded in this binary, written
//! out at start.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Interpreter;
use crate::folder::Folder;

macro_rules! adapter {
    ($path:literal) => {
        ($path, include_bytes!(concat!("adapters/", $path)))
    };
}

const FILES: &[(&str, &[u8])] = &[
    adapter!("node/answer.cjs"),
    adapter!("node/arguments.cjs"),
    adapter!("node/code.cjs"),
    adapter!("node/context.cjs"),
    adapter!("node/handler.cjs"),
    adapter!("node/heap.cjs"),
    adapter!("node/listen.cjs"),
    adapter!("node/log.cjs"),
    adapter!("node/problem.cjs"),
    adapter!("node/ready.cjs"),
    adapter!("node/record.cjs"),
    adapter!("node/stem.cjs"),
    adapter!("node/zygote/fitness.cjs"),
    adapter!("node/zygote/fork.cjs"),
    adapter!("node/zygote/life.cjs"),
    adapter!("node/zygote/random.cjs"),
    adapter!("node/zygote/trial.mjs"),
    adapter!("node/zygote/warm.cjs"),
    adapter!("python/app.py"),
    adapter!("python/handler.py"),
    adapter!("python/hatchway_adapter/__init__.py"),
    adapter!("python/hatchway_adapter/answer.py"),
    adapter!("python/hatchway_adapter/app.py"),
    adapter!("python/hatchway_adapter/arguments.py"),
    adapter!("python/hatchway_adapter/asgi.py"),
    adapter!("python/hatchway_adapter/asynchronous.py"),
    adapter!("python/hatchway_adapter/context.py"),
    adapter!("python/hatchway_adapter/handler.py"),
    adapter!("python/hatchway_adapter/loading.py"),
    adapter!("python/hatchway_adapter/log.py"),
    adapter!("python/hatchway_adapter/plain_wsgi.py"),
    adapter!("python/hatchway_adapter/problem.py"),
    adapter!("python/hatchway_adapter/ready.py"),
    adapter!("python/hatchway_adapter/server.py"),
    adapter!("python/hatchway_adapter/stem.py"),
    adapter!("python/hatchway_adapter/structured.py"),
    adapter!("python/hatchway_adapter/wsgi.py"),
    adapter!("python/hatchway_adapter/zygote.py"),
    adapter!("python/stem.py"),
];

/// Compiled from `zygote-node` by the build script.
const ADDON: (&str, &[u8]) =
    ("node/zygote/addon.node", include_bytes!(concat!(env!("OUT_DIR"), "/zygote.node")));

/// The installed adapters: a folder to mount into every sandbox that uses one.
#[derive(Clone, Debug)]
pub struct Adapters {
    pub dir: PathBuf,
}

/// Writes the adapters into a folder of this build below `dir`, which is made. What is there already is not touched, and those
/// of other builds stay: sandboxes that outlive the node that has started them may still read them. Every file is readable by
/// all, for a function runs under an identity of its own.
///
/// # Errors
/// Whatever the file system says.
pub fn install_adapters(dir: &Path) -> io::Result<Adapters> {
    // The folder around it may be a less privileged one's, who is not to lead us elsewhere.
    let all = Folder::make_own(dir)?;
    let build = build();
    let folder = Folder::make_own(&all.join(&build))?;
    let root = folder.path();
    let is_there = |(path, content): &(&str, &[u8])| {
        fs::read(root.join(path)).is_ok_and(|found| found == *content)
    };
    for (path, content) in FILES.iter().chain([&ADDON]).filter(|file| !is_there(file)) {
        let path = root.join(path);
        let parent = path.parent().expect("every adapter lies in a folder");
        fs::create_dir_all(parent)?;
        fs::write(&path, content)?;
        make_readable(&path, 0o644)?;
        // Their mode, too, is what this process's umask left of it.
        for folder in parent.ancestors().take_while(|folder| folder.starts_with(&root)) {
            make_readable(folder, 0o755)?;
        }
    }
    Ok(Adapters { dir: dir.join(build) })
}

/// The adapters of this build in a word.
fn build() -> String {
    let mut hasher = DefaultHasher::new();
    (FILES, ADDON).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

impl Adapters {
    /// Compiles the Python adapters for `python`, which saves some 10 ms at every cold start.
    ///
    /// # Errors
    /// When the compiler cannot be run or fails. The adapters work without, only slower.
    pub fn compile(&self, python: &Interpreter) -> io::Result<()> {
        let mut command = Command::new(&python.path);
        // Unchecked: a bind mount or a copy may change times, and nothing edits these files.
        command.args([
            "-S",
            "-s",
            "-m",
            "compileall",
            "-q",
            "-f",
            "--invalidation-mode",
            "unchecked-hash",
        ]);
        let folder = Folder::open(&self.dir)?;
        // The child goes there before it becomes the compiler, to whom the descriptor is closed.
        command.arg("python").current_dir(folder.path()).stdin(Stdio::null()).env_clear();
        let output = command.output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(io::Error::other(String::from_utf8_lossy(&output.stdout).into_owned()))
    }
}

fn make_readable(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files_below(dir: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(dir)
            .expect("the folder is there")
            .map(|entry| entry.expect("it can be read").path());
        let mut files: Vec<PathBuf> = entries
            .flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] })
            .collect();
        files.sort();
        files
    }

    #[test]
    fn every_adapter_is_embedded() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/runtime/adapters");
        let sources = files_below(&dir)
            .into_iter()
            .filter(|path| !path.components().any(|part| part.as_os_str() == "__pycache__"));
        let mut embedded: Vec<PathBuf> = FILES.iter().map(|(path, _)| dir.join(path)).collect();
        embedded.sort();
        assert_eq!(sources.collect::<Vec<_>>(), embedded);
    }

    #[test]
    fn everyone_may_read_the_adapters_and_those_in_use_are_not_touched() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().expect("a temporary folder can be made");
        let adapters = install_adapters(dir.path()).expect("the folder is ours");
        let (spoilt, used) =
            (adapters.dir.join("python/app.py"), adapters.dir.join("node/ready.cjs"));
        fs::write(&spoilt, "").expect("it is ours");
        let inode = |path: &Path| fs::metadata(path).expect("it is there").ino();
        let before = inode(&used);
        install_adapters(dir.path()).expect("the folder is ours");
        assert!(fs::metadata(&spoilt).is_ok_and(|data| data.len() > 0));
        assert_eq!(inode(&used), before);
        let files = files_below(&adapters.dir);
        assert_eq!(files.len(), FILES.len() + 1, "{files:?}");
        let mode = |path: &Path| {
            fs::metadata(path).expect("it was just written").permissions().mode() & 0o777
        };
        for file in files {
            assert_eq!((mode(&file), mode(file.parent().expect("it has one"))), (0o644, 0o755));
        }
    }
}
