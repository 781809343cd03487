//! TLS configurations of both sides.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::ca::{CERTIFICATE_FILE, KEY_FILE};

/// A client that trusts the authorities in the file `ca` and no other.
///
/// # Errors
/// The file cannot be read or holds no certificate.
pub fn connector(ca: &Path) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca)? {
        roots
            .add(certificate)
            .with_context(|| format!("{} holds an unusable certificate", ca.display()))?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .context("no TLS version is usable")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A server with the certificate and key of `dir`.
///
/// # Errors
/// A file is missing, or key and certificate do not belong together.
pub fn acceptor(dir: &Path) -> Result<TlsAcceptor> {
    let chain = certificates(&dir.join(CERTIFICATE_FILE))?;
    let key_file = dir.join(KEY_FILE);
    let key = PrivateKeyDer::from_pem_file(&key_file)
        .map_err(|error| unreadable(&key_file, &error.to_string()))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .context("no TLS version is usable")?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .with_context(|| format!("certificate and key in {} do not match", dir.display()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(path, &error.to_string()))?;
    if certificates.is_empty() {
        return Err(unreadable(path, "it holds no certificate"));
    }
    Ok(certificates)
}

fn unreadable(path: &Path, why: &str) -> anyhow::Error {
    anyhow::anyhow!("cannot use {}: {why}; make the files with `messenger make-ca`", path.display())
}
