//! The context of every command of etcdctl, and the checks of their arguments.

use crate::error::CtlError;
use crate::print::{self, Format, Printer};
use admin_client::{Client, Settings};
use config::ETCD_VERSION;

const API_VERSION: &str = "3.7";

/// The context of every command of etcdctl.
#[derive(Debug)]
pub struct Ctl {
    pub client: Client,
    pub(crate) printer: Printer,
}

impl Ctl {
    pub fn new(settings: Settings) -> Result<Self, CtlError> {
        let format = Format::parse(settings.write_out.as_deref().unwrap_or_default())?;
        let printer = Printer { format, hex: settings.hex, value_only: false };
        if settings.debug {
            print::tell(&format!("{settings:#?}"));
        }
        Ok(Self { client: Client::new(settings)?, printer })
    }
}

/// Prints the version whose behaviour this is.
pub(crate) fn version() -> Result<(), CtlError> {
    print::say(format!("etcdctl version: {ETCD_VERSION}\nAPI version: {API_VERSION}\n").as_bytes())
}

/// Refuses arguments where there are none to be given.
pub(super) fn none(args: &[String], text: &str) -> Result<(), CtlError> {
    if args.is_empty() { Ok(()) } else { Err(CtlError::arguments(text)) }
}

/// The one argument.
pub(super) fn one<'a>(args: &'a [String], text: &str) -> Result<&'a str, CtlError> {
    match args {
        [one] => Ok(one),
        _ => Err(CtlError::arguments(text)),
    }
}
