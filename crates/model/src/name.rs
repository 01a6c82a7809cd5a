//! Names people give: checked once, then trusted.
//!
//! One alphabet for all of them, chosen so that a name is also a DNS label, a path segment, a
//! label value and (in upper case) a part of an environment variable, without escaping.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

/// Bytes a name may have: the length of a DNS label (RFC 1035, section 2.3.4).
pub const NAME_BYTES_MAX: usize = 63;

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was written.
    #[error("a name cannot be empty")]
    Empty,
    /// More than [`NAME_BYTES_MAX`] bytes.
    #[error("the name `{0}` is longer than {NAME_BYTES_MAX} characters")]
    TooLong(String),
    /// A character outside the alphabet.
    #[error(
        "the name `{name}` contains {character:?}; use letters, digits, `-` and `_`, \
         beginning and ending with a letter or a digit"
    )]
    BadCharacter {
        /// The text as written.
        name: String,
        /// The first character that is not allowed where it stands.
        character: char,
    },
}

fn check(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    let last = text.chars().count() - 1;
    let stray = text.chars().enumerate().find(|(at, character)| {
        let edge = *at == 0 || *at == last;
        !(character.is_ascii_alphanumeric() || (!edge && matches!(character, '-' | '_')))
    });
    match stray {
        Some((_, character)) => Err(NameError::BadCharacter { name: text.to_owned(), character }),
        // Now a character is a byte.
        None if NAME_BYTES_MAX < text.len() => Err(NameError::TooLong(text.to_owned())),
        None => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $type(String);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                check(text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                check(&text).map_err(serde::de::Error::custom)?;
                Ok(Self(text))
            }
        }
    };
}

name! {
    /// The name of an application, unique on a machine.
    ApplicationName
}
name! {
    /// The name of a service, unique in its application (resources share the same space).
    ServiceName
}
name! {
    /// The name of a resource, unique in its application (services share the same space).
    ResourceName
}
name! {
    /// The name of a further port of a service's instances, unique in the service.
    PortName
}

name! {
    /// The name of a folder of data that outlives releases, unique in its application.
    DataName
}

impl PortName {
    /// The environment variable that tells an instance this port: `PORT_ADMIN` for `admin`.
    pub fn variable(&self) -> String {
        let own = variable(self.as_str(), "");
        String::from("PORT_") + &own
    }
}

/// The environment variable that tells a caller where `callee` is: `ORDER_API_URL` for `order-api`.
pub fn url_variable(callee: &str) -> String {
    variable(callee, "_URL")
}

/// The environment variable that tells a caller the address of a callee without a scheme: `DB_ADDRESS` for `db`.
pub fn address_variable(callee: &str) -> String {
    variable(callee, "_ADDRESS")
}

/// The environment variable that tells a caller the host of a callee: `DB_HOST` for `db`.
pub fn host_variable(callee: &str) -> String {
    variable(callee, "_HOST")
}

/// The environment variable that tells a caller the port of a callee: `DB_PORT` for `db`.
pub fn port_variable(callee: &str) -> String {
    variable(callee, "_PORT")
}

/// Every variable that tells where `callee` is.
pub fn callee_variables(callee: &str) -> [String; 4] {
    [url_variable, address_variable, host_variable, port_variable].map(|it| it(callee))
}

fn variable(callee: &str, suffix: &str) -> String {
    let sign = |it: char| if it.is_ascii_alphanumeric() { it.to_ascii_uppercase() } else { '_' };
    callee.chars().map(sign).chain(suffix.chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check_name(text: &str, error: Option<&str>) {
        let found = text.parse::<ServiceName>().err().map(|it| alloc::format!("{it}"));
        assert_eq!(found.as_deref(), error);
    }

    #[test]
    fn names_are_dns_labels() {
        check_name("cart", None);
        check_name("order-api_2", None);
        check_name("cassSubscriber", None);
        check_name("", Some("a name cannot be empty"));
        check_name(
            "-cart",
            Some(
                "the name `-cart` contains '-'; use letters, digits, `-` and `_`, \
                 beginning and ending with a letter or a digit",
            ),
        );
        assert!("a/b".parse::<ServiceName>().is_err());
        assert!("a.b".parse::<ServiceName>().is_err());
        assert!("ü".parse::<ServiceName>().is_err());
        assert!("a".repeat(63).parse::<ServiceName>().is_ok());
        assert!("a".repeat(64).parse::<ServiceName>().is_err());
        // 40 characters are not too many, only the wrong ones.
        let umlauts = "ü".repeat(40).parse::<ServiceName>();
        assert!(matches!(umlauts, Err(NameError::BadCharacter { .. })), "{umlauts:?}");
    }

    proptest! {
        #[test]
        fn names_need_no_escaping(text in prop_oneof![".{0,70}", "[a-zA-Z0-9_-]{0,70}"]) {
            if let Ok(name) = text.parse::<ServiceName>() {
                prop_assert_eq!(name.as_str(), text);
                prop_assert!((1..=NAME_BYTES_MAX).contains(&name.as_str().len()));
                let variable = url_variable(name.as_str());
                prop_assert!(variable.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_'));
            }
        }
    }

    #[test]
    fn url_variables() {
        assert_eq!(url_variable("order-api"), "ORDER_API_URL");
        assert_eq!(url_variable("cassSubscriber"), "CASSSUBSCRIBER_URL");
        assert_eq!(address_variable("order-db"), "ORDER_DB_ADDRESS");
        assert_eq!("order-grpc".parse::<PortName>().unwrap().variable(), "PORT_ORDER_GRPC");
    }
}
