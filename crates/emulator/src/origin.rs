//! Where a URL leads: an address to connect to, the `Host` to ask for, and the path.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hyper::Uri;
use hyper::header::HeaderValue;
use hyper::http::uri::PathAndQuery;

/// Why a URL cannot be called.
#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    /// Not a URL.
    #[error("`{0}` is not a URL; write for example `http://127.0.0.1:8080/path`")]
    NotAUrl(String),
    /// Not plain HTTP.
    #[error("`{0}` does not begin with `http://`, the only scheme spoken here")]
    NotHttp(String),
    /// Its host has no address.
    #[error("the host of `{url}` cannot be resolved")]
    Resolve {
        /// The URL.
        url: String,
        /// Why.
        source: std::io::Error,
    },
    /// Its host is known but has no address.
    #[error("the host of `{0}` has no address")]
    NoAddress(String),
}

/// A parsed and resolved URL.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    pub(crate) host: HeaderValue,
    pub(crate) path: PathAndQuery,
}

impl Origin {
    /// Parses `url` and looks its host up, once and for all.
    pub(crate) async fn resolve(url: &str) -> Result<Self, UrlError> {
        let not = || UrlError::NotAUrl(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| not())?;
        if uri.scheme_str() != Some("http") {
            return Err(UrlError::NotHttp(url.to_owned()));
        }
        let authority = uri.authority().ok_or_else(not)?;
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| not())?;
        let path = uri.path_and_query().cloned().ok_or_else(not)?;
        let name = authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = authority.port_u16().unwrap_or(80);
        Ok(Self { address: address(url, name, port).await?, host, path })
    }
}

async fn address(url: &str, name: &str, port: u16) -> Result<SocketAddr, UrlError> {
    if let Ok(ip) = name.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, port));
    }
    // RFC 6761, section 6.3: these names are this machine, whatever its resolver knows.
    if name == "localhost" || name.ends_with(".localhost") {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    let mut found = tokio::net::lookup_host((name, port))
        .await
        .map_err(|source| UrlError::Resolve { url: url.to_owned(), source })?;
    found.next().ok_or_else(|| UrlError::NoAddress(url.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn urls_lead_somewhere() {
        let origin = Origin::resolve("http://shop.localhost:8080/a?b=c").await.unwrap();
        assert_eq!(origin.address.to_string(), "127.0.0.1:8080");
        assert_eq!(origin.host, "shop.localhost:8080");
        assert_eq!(origin.path.as_str(), "/a?b=c");
        let origin = Origin::resolve("http://[::1]").await.unwrap();
        assert_eq!((origin.address.to_string().as_str(), origin.path.as_str()), ("[::1]:80", "/"));
        for url in ["", "nonsense", "https://shop.localhost", "http://"] {
            assert!(Origin::resolve(url).await.is_err(), "{url}");
        }
    }
}
