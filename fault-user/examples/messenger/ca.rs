//! The test certificate authority.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// File names inside the TLS directory.
pub const CA_FILE: &str = "ca.pem";
pub const CERTIFICATE_FILE: &str = "server.pem";
pub const KEY_FILE: &str = "server.key";

/// Makes an authority and a server certificate for the loopback names and `names`.
/// The authority's own key is thrown away: nothing else can ever be signed with it.
///
/// # Errors
/// A name that fits no certificate, or a file that cannot be written.
pub fn make(dir: &Path, names: &[String]) -> Result<()> {
    let (ca_pem, issuer) = authority().context("cannot make the test authority")?;
    let key = KeyPair::generate().context("cannot make the server's key")?;
    let certificate = server_params(names)?
        .signed_by(&key, &issuer)
        .context("cannot sign the server's certificate")?;
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    write(&dir.join(CA_FILE), &ca_pem, 0o644)?;
    write(&dir.join(CERTIFICATE_FILE), &certificate.pem(), 0o644)?;
    write(&dir.join(KEY_FILE), &key.serialize_pem(), 0o600)
}

fn authority() -> Result<(String, Issuer<'static, KeyPair>), rcgen::Error> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(DnType::CommonName, "messenger test authority");
    let key = KeyPair::generate()?;
    let pem = params.self_signed(&key)?.pem();
    Ok((pem, Issuer::new(params, key)))
}

fn server_params(names: &[String]) -> Result<CertificateParams> {
    let loopback = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let all: Vec<String> = loopback.into_iter().chain(names.iter().cloned()).collect();
    let mut params = CertificateParams::new(all).with_context(|| {
        format!("one of {names:?} is neither a DNS name nor an address; correct --name")
    })?;
    params.distinguished_name.push(DnType::CommonName, "messenger test server");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}
