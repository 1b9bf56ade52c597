//! All certificates, and which one a client is shown.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use rustls::SignatureScheme;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::tls::pair::{Loaded, Pair, PairError};

/// What is served now, swapped whole: a handshake reads one table, whatever changes meanwhile.
#[derive(Debug)]
pub struct Certificates {
    pairs: Vec<Pair>,
    provider: Arc<CryptoProvider>,
    table: ArcSwap<Table>,
}

/// What came of looking at the files again.
#[derive(Debug, Default)]
pub(super) struct Reloaded {
    /// Pairs that are served in a new form.
    pub(super) changed: Vec<Pair>,
    /// Pairs that are served in their old form, and why.
    pub(super) kept: Vec<PairError>,
}

impl Certificates {
    /// Reads all pairs. The first one is for clients that name no host, or one that nobody has.
    ///
    /// # Errors
    /// The first pair that cannot be served.
    pub(super) fn load(pairs: Vec<Pair>, provider: Arc<CryptoProvider>) -> Result<Self, PairError> {
        let loaded: Result<Vec<_>, _> = pairs.iter().map(|pair| pair.load(&provider)).collect();
        let table = ArcSwap::from_pointee(Table::new(loaded?));
        Ok(Self { pairs, provider, table })
    }

    /// By which cryptography they are used.
    pub(super) fn provider(&self) -> &Arc<CryptoProvider> {
        &self.provider
    }

    /// Where they come from.
    pub(super) fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// Keys that everybody on this machine may read.
    pub(super) fn exposed(&self) -> impl Iterator<Item = &Pair> {
        let table = self.table.load();
        self.pairs
            .iter()
            .enumerate()
            .filter(move |(at, _)| table.loaded[*at].is_exposed)
            .map(|(_, pair)| pair)
    }

    /// Reads all pairs again; what cannot be served is kept as it was.
    pub(super) fn reload(&self) -> Reloaded {
        let before = self.table.load_full();
        let mut reloaded = Reloaded::default();
        let mut loaded = before.loaded.clone();
        for (pair, slot) in self.pairs.iter().zip(&mut loaded) {
            match pair.load(&self.provider) {
                Ok(new) if new.digest == slot.digest => {}
                Ok(new) => {
                    *slot = new;
                    reloaded.changed.push(pair.clone());
                }
                Err(error) => reloaded.kept.push(error),
            }
        }
        if !reloaded.changed.is_empty() {
            self.table.store(Arc::new(Table::new(loaded)));
        }
        reloaded
    }
}

impl Certificates {
    /// True when clients may be shown different ones.
    pub(super) fn are_several(&self) -> bool {
        self.pairs.len() > 1
    }

    /// Whether a request for `host`, with its port, belongs on a connection whose client was shown another certificate: not where
    /// that host has one of its own (RFC 9110 section 15.5.20).
    pub fn misdirects(&self, Shown(index): Shown, host: &str) -> bool {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        self.table.load().of(name).is_some_and(|owners| !owners.contains(&index))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let table = self.table.load();
        let index = table.find(hello.server_name(), hello.signature_schemes());
        Some(Arc::clone(&table.loaded.get(index)?.key))
    }
}

/// Which certificate a client was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown(usize);

/// The same choice for one client, who is remembered by it.
#[derive(Debug)]
pub(super) struct Choice {
    certificates: Arc<Certificates>,
    shown: OnceLock<Shown>,
}

impl Choice {
    pub(super) fn of(certificates: &Arc<Certificates>) -> Arc<Self> {
        Arc::new(Self { certificates: Arc::clone(certificates), shown: OnceLock::new() })
    }

    pub(super) fn shown(&self) -> Option<Shown> {
        self.shown.get().copied()
    }
}

impl ResolvesServerCert for Choice {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let table = self.certificates.table.load();
        let index = table.find(hello.server_name(), hello.signature_schemes());
        self.shown.get_or_init(|| Shown(index));
        Some(Arc::clone(&table.loaded.get(index)?.key))
    }
}

/// Certificates by the names that they are for.
#[derive(Debug)]
struct Table {
    /// One for each pair, in their order.
    loaded: Vec<Loaded>,
    /// By their place among them.
    by_name: HashMap<Box<str>, Vec<usize>>,
}

impl Table {
    fn new(loaded: Vec<Loaded>) -> Self {
        let mut by_name: HashMap<_, Vec<_>> = HashMap::new();
        for (index, certificate) in loaded.iter().enumerate() {
            for name in &certificate.names {
                by_name.entry(name.clone()).or_default().push(index);
            }
        }
        Self { loaded, by_name }
    }

    /// The certificates for `name`; none where nobody has one.
    fn of(&self, name: &str) -> Option<&[usize]> {
        let name = name.to_ascii_lowercase();
        let exact = self.by_name.get(&*name);
        // `*` is one whole label, the first (RFC 9525 section 6.3).
        let wild = || self.by_name.get(&*format!("*.{}", name.split_once('.')?.1));
        exact.or_else(wild).map(Vec::as_slice)
    }

    /// The certificate for `name` with a key that the client can check, for a host may have one of each kind; else the first.
    fn find(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> usize {
        let owners = name.and_then(|name| self.of(name)).into_iter().flatten().copied();
        let is_usable = |key: &CertifiedKey| key.key.choose_scheme(schemes).is_some();
        owners.into_iter().find(|index| is_usable(&self.loaded[*index].key)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertifiedKey as Made, generate_simple_self_signed};
    use rustls::crypto::aws_lc_rs::default_provider;
    use tempfile::TempDir;

    use super::*;

    const SCHEMES: &[SignatureScheme] =
        &[SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::RSA_PSS_SHA256];

    /// A folder with a pair for each list of names.
    fn pairs(folder: &TempDir, hosts: &[&[&str]]) -> Vec<Pair> {
        hosts.iter().enumerate().map(|(index, names)| write(folder, index, names)).collect()
    }

    fn write(folder: &TempDir, index: usize, names: &[&str]) -> Pair {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let Made { cert, signing_key } = generate_simple_self_signed(names).unwrap();
        let pair = Pair {
            certificate: folder.path().join(format!("{index}.crt")),
            key: folder.path().join(format!("{index}.key")),
        };
        fs::write(&pair.certificate, cert.pem()).unwrap();
        fs::write(&pair.key, signing_key.serialize_pem()).unwrap();
        pair
    }

    fn load(pairs: Vec<Pair>) -> Result<Certificates, PairError> {
        Certificates::load(pairs, Arc::new(default_provider()))
    }

    fn found(certificates: &Certificates, name: Option<&str>) -> usize {
        certificates.table.load().find(name, SCHEMES)
    }

    #[test]
    fn a_client_is_shown_the_certificate_of_its_host_and_otherwise_the_first() {
        let folder = TempDir::new().unwrap();
        let hosts: &[&[&str]] = &[&["first.test"], &["a.test", "*.b.test"], &["x.b.test"]];
        let certificates = load(pairs(&folder, hosts)).unwrap();
        for (name, index) in [
            (Some("a.test"), 1),
            (Some("A.Test"), 1),
            (Some("y.b.test"), 1),
            (Some("x.b.test"), 2),
            (Some("b.test"), 0),
            (Some("z.y.b.test"), 0),
            (Some("nobody.test"), 0),
            (Some("test"), 0),
            (None, 0),
        ] {
            assert_eq!(found(&certificates, name), index, "{name:?}");
        }
    }

    #[test]
    fn what_cannot_be_served_is_told_by_file_and_reason() {
        let folder = TempDir::new().unwrap();
        let all = pairs(&folder, &[&["a.test"], &["b.test"]]);
        let said = |pair: &Pair| load(vec![pair.clone()]).unwrap_err().to_string();
        let mixed = Pair { key: all[1].key.clone(), ..all[0].clone() };
        assert!(said(&mixed).contains("1.key is not that of the certificate in"));
        let swapped = Pair { certificate: all[0].key.clone(), key: all[0].certificate.clone() };
        assert!(said(&swapped).contains("0.key holds no certificate"));
        let no_key = Pair { key: all[0].certificate.clone(), ..all[0].clone() };
        assert!(said(&no_key).contains("0.crt holds no private key"));
        fs::write(&all[0].key, "-----BEGIN PRIVATE KEY-----\n????\n-----END PRIVATE KEY-----\n")
            .unwrap();
        assert!(said(&all[0]).contains("0.key is malformed PEM"));
        fs::write(&all[0].key, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
            .unwrap();
        assert!(said(&all[0]).contains("the key in"), "{}", said(&all[0]));
        fs::remove_file(&all[0].key).unwrap();
        assert!(said(&all[0]).contains("cannot read"));
    }

    #[test]
    fn a_broken_pair_stays_as_it_was_and_the_others_change() {
        let folder = TempDir::new().unwrap();
        let all = pairs(&folder, &[&["a.test"], &["b.test"]]);
        let certificates = load(all.clone()).unwrap();
        let reloaded = certificates.reload();
        assert!(reloaded.changed.is_empty() && reloaded.kept.is_empty());

        fs::write(&all[0].key, "no key").unwrap();
        write(&folder, 1, &["b.test", "c.test"]);
        let reloaded = certificates.reload();
        assert_eq!(reloaded.changed, [all[1].clone()]);
        assert!(matches!(&reloaded.kept[..], [PairError::NoKey { path }] if *path == all[0].key));
        assert_eq!(found(&certificates, Some("a.test")), 0);
        assert_eq!(found(&certificates, Some("c.test")), 1);
    }
}
