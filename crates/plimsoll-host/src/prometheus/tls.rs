//! Who is trusted over https, and who we say we are: certificates in PEM, of the user's own or the system's.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

/// Where systems keep whom they trust: Debian and Alpine, Fedora, SUSE.
const SYSTEM: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Certificates, as they stand in files.
#[derive(Clone, Default)]
pub struct Trust {
    /// Whom to trust in place of those whom the system trusts.
    pub authorities: Option<Vec<u8>>,
    /// Our certificate with its chain, and its key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// No certificate stands there.
    #[error("no certificate in PEM form is in {0}")]
    NoCertificate(&'static str),
    /// No key stands there that can be used without a passphrase.
    #[error("no private key in PEM form, without a passphrase, is in the key's file")]
    NoKey,
    /// The certificate and its key do not belong together, or are none.
    #[error("the certificate and the key cannot be used")]
    Identity(#[source] rustls::Error),
    /// There is nobody to trust.
    #[error(
        "this system says of nobody that he is to be trusted (SSL_CERT_FILE names a file of authorities)"
    )]
    Nobody,
}

/// The settings for https; they are looked at when the first address needs them.
pub(crate) fn config(trust: &Trust) -> Result<TlsConfig, TrustError> {
    let provider = Arc::new(ring::default_provider());
    let roots = match &trust.authorities {
        Some(pem) => certificates(pem, "the file of authorities")?,
        None => system()?,
    };
    let identity = match &trust.identity {
        Some((chain, key)) => Some(identity(chain, key, &provider)?),
        None => None,
    };
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .client_cert(identity)
        .unversioned_rustls_crypto_provider(provider)
        .build())
}

fn certificates(pem: &[u8], of: &'static str) -> Result<Vec<Certificate<'static>>, TrustError> {
    let certificate = |item| match item {
        Ok(PemItem::Certificate(c)) => Some(c),
        _ => None,
    };
    let found: Vec<_> = parse_pem(pem).filter_map(certificate).collect();
    if found.is_empty() { Err(TrustError::NoCertificate(of)) } else { Ok(found) }
}

/// Those whom the system trusts.
fn system() -> Result<Vec<Certificate<'static>>, TrustError> {
    let named = std::env::var_os("SSL_CERT_FILE");
    let places = named.as_deref().map(Path::new).into_iter().chain(SYSTEM.iter().map(Path::new));
    let read = places.filter_map(|path| fs::read(path).ok());
    let mut found = read.filter_map(|pem| certificates(&pem, "the system's file").ok());
    found.next().ok_or(TrustError::Nobody)
}

/// Our certificate; that it goes with its key is tried here, as the client would panic over it.
fn identity(chain: &[u8], key: &[u8], provider: &Arc<CryptoProvider>) -> Result<ClientCert, TrustError> {
    let chain = certificates(chain, "the certificate's file")?;
    let der: Vec<_> = chain.iter().map(|c| CertificateDer::from(c.der().to_vec())).collect();
    let tried = PrivateKeyDer::from_pem_slice(key).map_err(|_| TrustError::NoKey)?;
    CertifiedKey::from_der(der, tried, provider).map_err(TrustError::Identity)?;
    let key = PrivateKey::from_pem(key).map_err(|_| TrustError::NoKey)?;
    Ok(ClientCert::new_with_certs(&chain, key))
}
