//! An etcd that asks who we are, and shows who it is.

use std::fs;
use std::path::Path;

use hatchway_tests::Etcd;
use hatchway_wire::catalog::Link;
use hatchway_wire::catalog::etcd::EtcdSource;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::followed::{Followed, config_with, route};

fn follow(etcd: &Etcd, words: &[&str]) -> Followed {
    Followed::start(EtcdSource::new(config_with(etcd, words), None))
}

/// Why it is lost.
#[track_caller]
fn why(source: &Followed) -> String {
    source.is_lost();
    match source.status().link {
        Link::Lost { why, .. } => why,
        other => panic!("{other:?}"),
    }
}

/// An authority in `folder`, and certificates of it for a server and a client.
fn certificates(folder: &Path) {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("random numbers");
    let issuer = CertifiedIssuer::self_signed(params, key).expect("the names are good");
    fs::write(folder.join("ca.pem"), issuer.pem()).expect("own folder");
    for name in ["server", "client"] {
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("an address");
        let key = KeyPair::generate().expect("random numbers");
        let certificate = params.signed_by(&key, &issuer).expect("the names are good");
        fs::write(folder.join(format!("{name}.pem")), certificate.pem()).expect("own folder");
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).expect("own folder");
    }
}

#[test]
fn a_password_is_shown_and_without_it_nothing_is_heard() {
    let mut etcd = Etcd::start();
    etcd.put("routes/a", &route("/a"));
    etcd.ask_for_password("gateway", "opensesame");
    assert!(why(&follow(&etcd, &[])).contains("user name is empty"));

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    fs::write(&file, "opensesame\n").expect("own folder");
    let file = file.display().to_string();
    let words = ["--etcd-user", "gateway", "--etcd-password-file", &file];
    let source = follow(&etcd, &words);
    source.serves(&["a=/a"]);
    etcd.put("routes/b", &route("/b"));
    source.serves(&["a=/a", "b=/b"]);
    // A new member knows no token of before.
    etcd.start_again();
    etcd.put("routes/b", &route("/b2"));
    source.serves(&["a=/a", "b=/b2"]);

    fs::write(&file, "wrong").expect("own folder");
    assert!(why(&follow(&etcd, &words)).contains("authentication failed"));
}

#[test]
fn both_show_their_certificates() {
    let folder = tempfile::tempdir().expect("a folder");
    certificates(folder.path());
    let etcd = Etcd::start_with_tls(folder.path());
    etcd.put("routes/a", &route("/a"));
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (ca, cert, key) = (file("ca.pem"), file("client.pem"), file("client.key"));
    let words = ["--etcd-ca", &ca, "--etcd-cert", &cert, "--etcd-key", &key];
    follow(&etcd, &words).serves(&["a=/a"]);
    // Without a certificate of ours, and with an authority that has not signed etcd's.
    why(&follow(&etcd, &["--etcd-ca", &ca]));
    let other = tempfile::tempdir().expect("a folder");
    certificates(other.path());
    let other = other.path().join("ca.pem").display().to_string();
    why(&follow(&etcd, &["--etcd-ca", &other, "--etcd-cert", &cert, "--etcd-key", &key]));
}
