//! The keys of signed tokens: read at the start, and again when their files change or at SIGHUP.
//! Unusable files are logged once, and the loaded keys stay in use.

use api::{TokenStore, Tokens};
use arc_swap::ArcSwap;
use auth::{Jwt, JwtOptions, SignMethod, SimpleTokens, TokenOptionError};
use config::{JwtSettings, Settings, TokenKind};
use parking_lot::RwLock;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

/// Two calls of stat each time.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// The reason why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("--auth-token: {0}")]
    Option(#[from] TokenOptionError),
    #[error("--auth-token: {0}")]
    File(#[from] certs::Error),
}

/// Returns the kind of tokens in the settings, with their keys.
pub(crate) fn tokens(settings: &Settings) -> Result<Tokens, Refused> {
    let strict = settings.tls.strict_files;
    match &settings.auth.token {
        TokenKind::None => Ok(Tokens::None),
        TokenKind::Simple => Ok(Tokens::Simple(RwLock::new(SimpleTokens::new(settings.auth.simple_token_ttl)))),
        TokenKind::Jwt(jwt) => read(jwt, strict).map(|jwt| Tokens::Jwt(ArcSwap::from_pointee(jwt))),
    }
}

fn read(settings: &JwtSettings, strict: bool) -> Result<Jwt, Refused> {
    let sign_method = SignMethod::named(&settings.sign_method)?;
    let options = JwtOptions { sign_method, ttl: settings.ttl };
    if let Some(path) = &settings.private_key {
        match certs::files::check_private(path) {
            Err(error @ certs::Error::Exposed { .. }) if !strict => tracing::warn!(setting = "--auth-token", "{error}"),
            checked => checked?,
        }
    }
    let file = |path: &Option<PathBuf>| path.as_deref().map(certs::files::read).transpose();
    let (public, private) = (file(&settings.public_key)?, file(&settings.private_key)?);
    Ok(Jwt::new(&options, public.as_deref().map(Vec::as_slice), private.as_deref().map(Vec::as_slice))?)
}

/// The properties that distinguish a file from its earlier state, without reading it.
type Stamp = Option<(u64, u64, (i64, i64), (i64, i64))>;

fn stamp(path: &Path) -> Stamp {
    let found = std::fs::metadata(path).ok()?;
    Some((found.ino(), found.size(), (found.mtime(), found.mtime_nsec()), (found.ctime(), found.ctime_nsec())))
}

/// The files of the keys, as they were when they were last looked at.
pub(crate) struct TokenFiles {
    settings: JwtSettings,
    strict: bool,
    keeper: Arc<TokenStore>,
    seen: [Stamp; 2],
}

impl TokenFiles {
    /// Keeps the keys up to date for as long as the task lives. Where there are none the task ends
    /// at once.
    pub(crate) fn keep_fresh(settings: &Settings, keeper: Arc<TokenStore>) -> std::io::Result<JoinHandle<()>> {
        let TokenKind::Jwt(jwt) = &settings.auth.token else { return Ok(tokio::spawn(std::future::ready(()))) };
        let mut files = Self { settings: jwt.clone(), strict: settings.tls.strict_files, keeper, seen: [None; 2] };
        files.seen = files.stamps();
        let mut hangup = signal(SignalKind::hangup())?;
        Ok(tokio::spawn(async move {
            loop {
                let forced = tokio::select! {
                    _ = hangup.recv() => true,
                    () = tokio::time::sleep(LOOK_INTERVAL) => false,
                };
                files.look(forced);
            }
        }))
    }

    fn stamps(&self) -> [Stamp; 2] {
        [&self.settings.public_key, &self.settings.private_key].map(|path| path.as_deref().and_then(stamp))
    }

    fn look(&mut self, forced: bool) {
        let found = self.stamps();
        if found == self.seen && !forced {
            return;
        }
        // Recorded before reading: changes while it is read will be read again.
        self.seen = found;
        match read(&self.settings, self.strict) {
            Ok(keys) => {
                self.keeper.exchange_keys(keys);
                tracing::info!("reloaded the keys of tokens");
            }
            Err(error) => {
                tracing::warn!(%error, "changed keys of tokens cannot be used; those loaded before stay in use")
            }
        }
    }
}
