//! TLS at the gateway: certificates from files, or from an authority of this machine's own.
//!
//! A folder holds pairs `NAME.crt` and `NAME.key` (PEM). A certificate is used for the host names its
//! file is called by (`shop.example.crt`; `_.shop.example.crt` stands for `*.shop.example`), `default.crt` for
//! every other. Where there is no pair at all, an authority is made there once, `authority.crt`, which
//! people can let their browsers trust, and it signs a certificate for each name that is asked for.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

/// Names the authority keeps certificates for; whoever asks for more gets them made each time.
const NAMES_MAX: usize = 1_000;

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file or the folder cannot be read or written.
    #[error("{path} cannot be used")]
    File {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{path} is no certificate or key in PEM: {reason}")]
    Pem {
        /// The path.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The local authority could not be made.
    #[error("no local authority could be made: {0}")]
    Authority(String),
}

/// A folder of certificates.
#[derive(Debug)]
pub(crate) struct Source {
    folder: PathBuf,
    seen: Option<BTreeMap<PathBuf, SystemTime>>,
}

impl Source {
    pub(crate) const fn new(folder: PathBuf) -> Self {
        Self { folder, seen: None }
    }

    /// A configuration with what is in the folder, if that has changed since the last time.
    pub(crate) fn changed(&mut self) -> Result<Option<Arc<ServerConfig>>, TlsError> {
        let file = |source| TlsError::File { path: self.folder.clone(), source };
        fs::create_dir_all(&self.folder).map_err(file)?;
        let now = files(&self.folder).map_err(file)?;
        if self.seen.as_ref() == Some(&now) {
            return Ok(None);
        }
        // Also when it fails below: it is said once, and tried again when somebody has changed something.
        self.seen = Some(now.clone());
        let resolver = Resolver::read(&self.folder, now.keys())?;
        // What was just made there is no news.
        self.seen = Some(files(&self.folder).map_err(file)?);
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|error| TlsError::Authority(error.to_string()))?
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Some(Arc::new(config)))
    }
}

fn files(folder: &Path) -> io::Result<BTreeMap<PathBuf, SystemTime>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if path.extension().is_some_and(|it| it == "crt" || it == "key") {
            found.insert(path, entry.metadata()?.modified()?);
        }
    }
    Ok(found)
}

/// Chooses a certificate by the name a client asks for.
#[derive(Debug)]
struct Resolver {
    by_name: BTreeMap<String, Arc<CertifiedKey>>,
    authority: Option<Authority>,
}

impl Resolver {
    fn read<'a>(folder: &Path, files: impl Iterator<Item = &'a PathBuf>) -> Result<Self, TlsError> {
        let mut by_name = BTreeMap::new();
        for path in files.filter(|it| it.extension().is_some_and(|it| it == "crt")) {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
            if name == AUTHORITY {
                continue;
            }
            by_name.insert(name.replacen("_.", "*.", 1), Arc::new(read_pair(path)?));
        }
        let authority = if by_name.is_empty() { Some(Authority::open(folder)?) } else { None };
        Ok(Self { by_name, authority })
    }

    fn find(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        let wild = || {
            let (_, rest) = name.split_once('.')?;
            self.by_name.get(&format!("*.{rest}"))
        };
        let found = self.by_name.get(&name).or_else(wild);
        let found = found.or_else(|| self.by_name.get("default")).map(Arc::clone);
        found.or_else(|| self.authority.as_ref()?.certificate(&name))
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // Who asks for no name means an address.
        self.find(hello.server_name().unwrap_or("localhost"))
    }
}

fn read_pair(path: &Path) -> Result<CertifiedKey, TlsError> {
    let wrong = |path: &Path, reason: String| TlsError::Pem { path: path.to_owned(), reason };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| wrong(path, error.to_string()));
    let key_path = path.with_extension("key");
    let key = PrivateKeyDer::from_pem_file(&key_path)
        .map_err(|error| wrong(&key_path, error.to_string()))?;
    certified(chain?, key).map_err(|reason| wrong(path, reason))
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, String> {
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|it| it.to_string())
}

/// What the authority's files are called by.
const AUTHORITY: &str = "authority";

/// An authority that this machine alone has.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    made: Mutex<BTreeMap<String, Arc<CertifiedKey>>>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Authority")
    }
}

impl Authority {
    /// Reads its key, or makes it.
    fn open(folder: &Path) -> Result<Self, TlsError> {
        let key_path = folder.join(format!("{AUTHORITY}.key"));
        let path = folder.join(format!("{AUTHORITY}.crt"));
        let wrong = |error: rcgen::Error| TlsError::Authority(error.to_string());
        let key = match fs::read_to_string(&key_path) {
            Ok(text) => KeyPair::from_pem(&text).map_err(wrong)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = KeyPair::generate().map_err(wrong)?;
                let certificate = authority_params().self_signed(&key).map_err(wrong)?;
                write(&key_path, &key.serialize_pem(), 0o600)?;
                write(&path, &certificate.pem(), 0o644)?;
                key
            }
            Err(source) => return Err(TlsError::File { path: key_path, source }),
        };
        Ok(Self { issuer: Issuer::new(authority_params(), key), made: Mutex::default() })
    }

    fn certificate(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let mut made = self.made.lock().ok()?;
        if let Some(known) = made.get(name) {
            return Some(Arc::clone(known));
        }
        match self.make(name) {
            Ok(certified) => {
                let certified = Arc::new(certified);
                if made.len() < NAMES_MAX {
                    made.insert(name.to_owned(), Arc::clone(&certified));
                }
                Some(certified)
            }
            Err(reason) => {
                tracing::warn!(name, reason, "no certificate could be made");
                None
            }
        }
    }

    fn make(&self, name: &str) -> Result<CertifiedKey, String> {
        let mut names = vec![name.to_owned()];
        if name == "localhost" {
            names.extend(["127.0.0.1".to_owned(), "::1".to_owned()]);
        }
        let mut params = CertificateParams::new(names).map_err(|it| it.to_string())?;
        params.distinguished_name = named(name);
        params.not_before = rcgen::date_time_ymd(2024, 1, 1);
        params.not_after = rcgen::date_time_ymd(2044, 1, 1);
        let key = KeyPair::generate().map_err(|it| it.to_string())?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(|it| it.to_string())?;
        let key = PrivateKeyDer::try_from(key.serialize_der())?;
        certified(vec![certificate.der().clone()], key)
    }
}

/// The same at every start, so that what it signed then is still good now.
fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name = named("Pelago local authority");
    params.not_before = rcgen::date_time_ymd(2024, 1, 1);
    params.not_after = rcgen::date_time_ymd(2044, 1, 1);
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), TlsError> {
    let file = |source| TlsError::File { path: path.to_owned(), source };
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode);
    let mut opened = options.open(path).map_err(file)?;
    io::Write::write_all(&mut opened, text.as_bytes()).map_err(file)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_made_once_and_signs_for_every_name() {
        let folder = tempfile::tempdir().unwrap();
        let mut source = Source::new(folder.path().to_owned());
        assert!(source.changed().unwrap().is_some());
        assert!(source.changed().unwrap().is_none());
        let made = fs::read(folder.path().join("authority.crt")).unwrap();
        let again = Authority::open(folder.path()).unwrap();
        let first = again.certificate("shop.localhost").unwrap();
        assert!(Arc::ptr_eq(&first, &again.certificate("shop.localhost").unwrap()));
        assert!(again.certificate("localhost").is_some());
        assert_eq!(fs::read(folder.path().join("authority.crt")).unwrap(), made);
        let mode = fs::metadata(folder.path().join("authority.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn files_are_used_for_the_names_they_are_called_by() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["shop.example", "_.shop.example", "default"] {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![name.replace('_', "*")]).unwrap();
            let certificate = params.self_signed(&key).unwrap();
            let path = folder.path().join(format!("{name}.crt"));
            fs::write(&path, certificate.pem()).unwrap();
            fs::write(path.with_extension("key"), key.serialize_pem()).unwrap();
        }
        let files = files(folder.path()).unwrap();
        let resolver = Resolver::read(folder.path(), files.keys()).unwrap();
        let is = |asked: &str, name: &str| {
            Arc::ptr_eq(&resolver.find(asked).unwrap(), &resolver.by_name[name])
        };
        assert!(is("SHOP.example", "shop.example"));
        assert!(is("a.shop.example", "*.shop.example"));
        assert!(is("a.b.shop.example", "default"));
        fs::write(folder.path().join("shop.example.key"), "nonsense").unwrap();
        let error = Resolver::read(folder.path(), files.keys()).unwrap_err().to_string();
        assert!(error.contains("shop.example.key"), "{error}");
    }
}
