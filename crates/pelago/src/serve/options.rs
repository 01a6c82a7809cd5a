//! What a data folder is served with: chosen once, and kept in the folder.
//!
//! Any command starts a control process where there is none, from any shell. If its options came from there, whoever
//! types `pelago status` after a crash could move the gateway. So they belong to the folder: an argument of
//! `pelago serve` changes one, and so does the environment of a `pelago serve` that a person or a service manager
//! starts. The environment of other commands counts only where nothing is stored.
//!
//! It refuses to guess: a file that cannot be read is an error, since a guess would move what runs.

use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

use cli::Context;
use cli::arguments::{Listen, LogFile, Serve};
use host::files;
use model::heads::{HeadSize, HeadTime};
use model::network::Networks;
use model::units::{Bytes, Share, parse_duration};
use telemetry::Says;

/// Where the API listens if nobody says otherwise.
const API: &str = "127.0.0.1:8640";
/// Where the gateway listens if nobody says otherwise: a port that needs no privilege, and that people
/// know as the second one of the web.
const GATEWAY: &str = "127.0.0.1:8080";
/// Where instances send what they measure if nobody says otherwise: OTLP's port, which SDKs try by themselves.
const COLLECTOR: &str = "127.0.0.1:4318";
/// Time telemetry is kept if nobody says otherwise.
const TELEMETRY_AGE: &str = "15d";
/// Telemetry kept on disk if nobody says otherwise.
const TELEMETRY_SIZE: &str = "5GiB";
/// What stands for no value where an option may have none.
const NONE: &str = "none";

/// The file in the data folder.
const FILE: &str = "options.json";
/// Bytes of that file, at most: each option is a word, an address or a path.
const FILE_BYTES_MAX: usize = 64 << 10;

/// Why options cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum OptionsError {
    #[error("{from} is `{value}`; {reason}")]
    Value { from: String, value: String, reason: String },
    #[error(
        "the options in {path} cannot be read; repair or remove it, and say them again: `pelago serve --gateway ..`"
    )]
    File { path: PathBuf, source: io::Error },
}

/// What a control process is to be, whole.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) listen: Listen,
    pub(super) gateway: Listen,
    pub(super) gateway_tls: Listen,
    pub(super) telemetry: Listen,
    pub(super) telemetry_age: std::time::Duration,
    pub(super) telemetry_size: Bytes,
    pub(super) remote_write: Option<String>,
    pub(super) proxy_workers: NonZeroU16,
    pub(super) access_log: LogFile,
    pub(super) access_log_sample: Share,
    pub(super) decision_log: LogFile,
    pub(super) proxy_protocol: bool,
    pub(super) trusted_proxies: Networks,
    pub(super) says: Says,
    pub(super) head_size: HeadSize,
    pub(super) head_timeout: HeadTime,
    /// All of them by name, as they are kept.
    texts: BTreeMap<String, String>,
}

impl Options {
    /// What was said now, else what is stored in `folder`, else what holds for everybody; stored from now on.
    pub(super) fn of(
        context: &Context,
        asked: &Serve,
        folder: &Path,
    ) -> Result<Self, OptionsError> {
        let stored = read(&folder.join(FILE))?;
        let options = Self::choose(context, asked, stored.clone())?;
        if options.texts != stored {
            options.store(folder);
        }
        Ok(options)
    }

    fn choose(
        context: &Context,
        asked: &Serve,
        stored: BTreeMap<String, String>,
    ) -> Result<Self, OptionsError> {
        let mut choice = Choice { context, is_command: asked.background, texts: stored };
        let path = |it: &LogFile| it.clone().within(&context.folder).to_string();
        Ok(Self {
            listen: choice.of("listen", asked.listen, None, API)?,
            gateway: choice.of("gateway", asked.gateway, Some("PELAGO_GATEWAY"), GATEWAY)?,
            gateway_tls: choice.of(
                "gateway-tls",
                asked.gateway_tls,
                Some("PELAGO_GATEWAY_TLS"),
                NONE,
            )?,
            telemetry: choice.of(
                "telemetry",
                asked.telemetry,
                Some("PELAGO_TELEMETRY"),
                COLLECTOR,
            )?,
            telemetry_age: choice.read(
                "telemetry-age",
                asked.telemetry_age.clone(),
                TELEMETRY_AGE,
                |it| parse_duration(it).map_err(|it| it.to_string()),
            )?,
            telemetry_size: choice.of(
                "telemetry-size",
                asked.telemetry_size.clone(),
                None,
                TELEMETRY_SIZE,
            )?,
            remote_write: choice.read("remote-write", asked.remote_write.clone(), NONE, |it| {
                Ok((it != NONE).then(|| it.to_owned()))
            })?,
            proxy_workers: choice.of("proxy-workers", asked.proxy_workers, None, "1")?,
            access_log: choice.of(
                "access-log",
                asked.access_log.as_ref().map(path),
                Some("PELAGO_ACCESS_LOG"),
                NONE,
            )?,
            access_log_sample: choice.of(
                "access-log-sample",
                asked.access_log_sample,
                None,
                "100%",
            )?,
            decision_log: choice.of(
                "decision-log",
                asked.decision_log.as_ref().map(path),
                None,
                NONE,
            )?,
            proxy_protocol: choice.of("proxy-protocol", asked.proxy_protocol, None, "false")?,
            trusted_proxies: choice.of(
                "trusted-proxies",
                asked.trusted_proxies.clone(),
                None,
                NONE,
            )?,
            says: Says {
                forwarded: choice.of("forwarded", asked.forwarded, None, "false")?,
                via: choice.of("via", asked.via, None, "false")?,
            },
            head_size: choice.of("head-size", asked.head_size, None, "16KiB")?,
            head_timeout: choice.of("head-timeout", asked.head_timeout, None, "10s")?,
            texts: choice.texts,
        })
    }

    /// Writes them down. On a disk that takes nothing they hold for this process all the same.
    fn store(&self, folder: &Path) {
        let text = serde_json::to_vec_pretty(&self.texts).map_err(io::Error::other);
        let stored =
            text.and_then(|it| files::write_whole_with_mode(&folder.join(FILE), &it, 0o600));
        if let Err(error) = stored {
            tracing::warn!(%error, "the options cannot be stored; the next control process may have others");
        }
    }

    /// All of them for a reader. An address that metrics are sent to may have a password in it.
    pub(super) fn describe(&self) -> String {
        let shown = |(name, value): (&String, &String)| match name.as_str() {
            "remote-write" if value != NONE => format!("{name} given"),
            _ => format!("{name} {value}"),
        };
        self.texts.iter().map(shown).collect::<Vec<_>>().join(", ")
    }
}

/// The choice among what was said, what is stored and what holds for everybody.
struct Choice<'a> {
    context: &'a Context,
    /// Whether a command started this process, for the want of one.
    is_command: bool,
    /// What is stored; each choice takes its place there.
    texts: BTreeMap<String, String>,
}

impl Choice<'_> {
    /// An option that is read as what it is called.
    fn of<T: std::str::FromStr<Err: std::fmt::Display>>(
        &mut self,
        name: &str,
        argument: Option<impl ToString>,
        variable: Option<&str>,
        otherwise: &str,
    ) -> Result<T, OptionsError> {
        let argument = argument.map(|it| it.to_string());
        let read = |it: &str| it.parse().map_err(|it: T::Err| it.to_string());
        self.one(name, (argument, variable), otherwise, read)
    }

    /// An option without a variable, that `read` reads.
    fn read<T>(
        &mut self,
        name: &str,
        argument: Option<String>,
        otherwise: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, OptionsError> {
        self.one(name, (argument, None), otherwise, read)
    }

    fn one<T>(
        &mut self,
        name: &str,
        (argument, variable): (Option<String>, Option<&str>),
        otherwise: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, OptionsError> {
        let stored = self.texts.get(name).cloned().map(|it| (format!("{name} in {FILE}"), it));
        let argument = argument.map(|it| (format!("--{name}"), it));
        let variable = variable.and_then(|it| Some((it.to_owned(), self.variable(it)?)));
        let said = if self.is_command {
            argument.or(stored).or(variable)
        } else {
            argument.or(variable).or(stored)
        };
        let (from, value) = said.unwrap_or_else(|| (name.to_owned(), otherwise.to_owned()));
        match read(&value) {
            Ok(meant) => {
                self.texts.insert(name.to_owned(), value);
                Ok(meant)
            }
            Err(reason) => Err(OptionsError::Value { from, value, reason }),
        }
    }

    /// A variable of the environment; the one that names a file is told whole, since the data plane runs in another
    /// folder.
    fn variable(&self, name: &str) -> Option<String> {
        let value = self.context.environment.get(name).filter(|it| !it.is_empty())?;
        if name != "PELAGO_ACCESS_LOG" {
            return Some(value.clone());
        }
        let file: LogFile = value.parse().ok()?;
        Some(file.within(&self.context.folder).to_string())
    }
}

fn read(path: &Path) -> Result<BTreeMap<String, String>, OptionsError> {
    let failed = |source| OptionsError::File { path: path.to_owned(), source };
    let Some(bytes) = files::read_if_there(path).map_err(failed)? else {
        return Ok(BTreeMap::new());
    };
    if FILE_BYTES_MAX < bytes.len() {
        return Err(failed(io::Error::other("it is longer than options can be")));
    }
    serde_json::from_slice(&bytes).map_err(|it| failed(it.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use cli::arguments::{Arguments, Command};

    fn serve(line: &str) -> Serve {
        match Arguments::parse_from(line.split_whitespace()).command {
            Command::Serve(serve) => serve,
            other => panic!("{other:?}"),
        }
    }

    /// What a control process is told by `line`, in an environment and a folder.
    fn chosen(line: &str, environment: &[(&str, &str)], folder: &Path) -> Result<Options, String> {
        let environment = environment.iter().map(|(name, it)| ((*name).into(), (*it).into()));
        let context = Context {
            environment: environment.collect(),
            folder: "/shop".into(),
            data: folder.to_owned(),
            program: "/bin/false".into(),
            now: || model::Timestamp::EPOCH,
            format: cli::arguments::Format::Text,
            application: None,
        };
        Options::of(&context, &serve(line), folder).map_err(|it| it.to_string())
    }

    #[track_caller]
    fn check(line: &str, environment: &[(&str, &str)], folder: &Path, gateway: &str) {
        let options = chosen(line, environment, folder).unwrap();
        assert_eq!(options.gateway.to_string(), gateway, "{line}");
    }

    const ELSEWHERE: &[(&str, &str)] = &[("PELAGO_GATEWAY", "127.0.0.1:2")];
    const COMMAND: &str = "pelago serve --background";

    #[test]
    fn options_belong_to_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        check("pelago serve --gateway 127.0.0.1:1", &[], folder.path(), "127.0.0.1:1");
        check(COMMAND, &[], folder.path(), "127.0.0.1:1");
        check(COMMAND, ELSEWHERE, folder.path(), "127.0.0.1:1");
        check("pelago serve", &[], folder.path(), "127.0.0.1:1");
        // Whoever serves on purpose says what holds from then on.
        check("pelago serve", ELSEWHERE, folder.path(), "127.0.0.1:2");
        check("pelago serve --gateway none", ELSEWHERE, folder.path(), "none");
        check(COMMAND, ELSEWHERE, folder.path(), "none");
    }

    #[test]
    fn what_held_for_everybody_goes_on_to_hold() {
        let folder = tempfile::tempdir().unwrap();
        check(COMMAND, &[], folder.path(), GATEWAY);
        check(COMMAND, ELSEWHERE, folder.path(), GATEWAY);
        let fresh = tempfile::tempdir().unwrap();
        check(COMMAND, ELSEWHERE, fresh.path(), "127.0.0.1:2");
    }

    #[test]
    fn every_option_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let line = "pelago serve --listen none --gateway-tls 127.0.0.1:3 --telemetry none \
                    --telemetry-age 2d --telemetry-size 1GiB --remote-write http://u:geheim@h/ \
                    --proxy-workers 2 --access-log a.log --access-log-sample 5% \
                    --decision-log decisions --proxy-protocol --trusted-proxies 10.0.0.0/8 \
                    --head-size 32KiB --head-timeout 20s --forwarded --via";
        let said = chosen(line, &[], folder.path()).unwrap();
        let kept = chosen("pelago serve", &[], folder.path()).unwrap();
        assert_eq!(said.texts, kept.texts);
        let paths = [&kept.access_log, &kept.decision_log].map(|it| it.clone().path().unwrap());
        assert_eq!(paths, [PathBuf::from("/shop/a.log"), PathBuf::from("/shop/decisions")]);
        assert!(kept.proxy_protocol && kept.says == (Says { forwarded: true, via: true }));
        assert_eq!(kept.trusted_proxies.to_string(), "10.0.0.0/8");
        assert_eq!((kept.head_size.bytes(), kept.head_timeout.get().as_secs()), (32 << 10, 20));
        assert_eq!((kept.proxy_workers.get(), kept.telemetry_size), (2, Bytes(1 << 30)));
        let shown = kept.describe();
        assert!(shown.contains("remote-write given") && !shown.contains("geheim"), "{shown}");
        let line = "pelago serve --remote-write none --decision-log none --proxy-protocol=false";
        let taken_back = chosen(line, &[], folder.path()).unwrap();
        assert_eq!((taken_back.remote_write, taken_back.proxy_protocol), (None, false));
        assert_eq!(taken_back.decision_log.path(), None);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let wrong = chosen("pelago serve", &[("PELAGO_GATEWAY", "80")], folder.path()).unwrap_err();
        assert!(wrong.starts_with("PELAGO_GATEWAY is `80`; write an address"), "{wrong}");
        std::fs::write(folder.path().join(FILE), r#"{"telemetry-age": "soon"}"#).unwrap();
        let wrong = chosen("pelago serve", &[], folder.path()).unwrap_err();
        assert!(wrong.starts_with("telemetry-age in options.json is `soon`; "), "{wrong}");
        std::fs::write(folder.path().join(FILE), "{").unwrap();
        let wrong = chosen("pelago serve", &[], folder.path()).unwrap_err();
        assert!(wrong.contains("options.json cannot be read"), "{wrong}");
    }
}
