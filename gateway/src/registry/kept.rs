//! The nodes on this machine's disk, for a start without etcd.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use hatchway_proto::catalog::Nodes;

/// A file of nodes.
#[derive(Debug)]
pub struct Kept(PathBuf);

impl Kept {
    /// At a path whose folder this gateway has for itself.
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// What was kept last; nothing where nothing was, or where it is damaged, which is said.
    pub fn read(&self) -> Nodes {
        let read = fs::read(&self.0).and_then(|text| Ok(serde_json::from_slice(&text)?));
        match read {
            Ok(nodes) => nodes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Nodes::new(),
            Err(error) => {
                let path = self.0.display().to_string();
                tracing::error!(path, %error, "nodes on disk are not believed");
                Nodes::new()
            }
        }
    }

    /// Keeps `nodes` in the place of what was there. A disk that does not take them is said, and changes nothing else.
    pub fn write(&self, nodes: &Nodes) {
        if let Err(error) = self.replace(nodes) {
            let path = self.0.display().to_string();
            tracing::warn!(path, %error, "a start without etcd would not know the nodes of now");
        }
    }

    /// Whole or not at all: beside it, then in its place.
    fn replace(&self, nodes: &Nodes) -> io::Result<()> {
        let new = self.0.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(nodes)?)?;
        file.sync_all()?;
        fs::rename(&new, &self.0)?;
        let folder = self.0.parent().ok_or(io::ErrorKind::InvalidInput)?;
        File::open(folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use hatchway_proto::catalog::Registration;

    use super::*;

    #[test]
    fn what_was_kept_is_known_and_what_is_damaged_is_not_believed() {
        let folder = tempfile::tempdir().expect("a folder");
        let kept = Kept::at(folder.path().join("nodes.json"));
        assert_eq!(kept.read(), Nodes::new());
        let nodes = Nodes::from([("a".to_owned(), Registration::default())]);
        kept.write(&nodes);
        assert_eq!(kept.read(), nodes);
        fs::write(folder.path().join("nodes.json"), b"{\"a\": ").expect("it can be written");
        assert_eq!(kept.read(), Nodes::new());
    }
}
