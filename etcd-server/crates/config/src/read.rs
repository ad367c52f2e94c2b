//! The shell: the process's arguments, variables and configuration file. Everything else in this
//! crate is pure.

use std::ffi::OsString;
use std::io::Read;
use std::net::{IpAddr, UdpSocket};
use std::path::Path;

use crate::error::ConfigError;
use crate::load::{Environment, Start, load};

/// No configuration is larger; a larger file is the wrong file.
const FILE_BYTES_MAX: u64 = 1 << 20;

struct Machine;

/// Reads and checks the settings of this process.
pub fn read() -> Result<Start, ConfigError> {
    let text =
        |word: OsString| word.into_string().map_err(|word| ConfigError::NotText(word.to_string_lossy().into_owned()));
    let words = std::env::args_os().skip(1).map(text).collect::<Result<Vec<_>, _>>()?;
    // A variable that is not text cannot be one of ours.
    let variables: Vec<_> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    load(&words, &variables, &Machine)
}

impl Environment for Machine {
    fn read_file(&self, path: &Path) -> Result<String, String> {
        let reason = |error: std::io::Error| error.to_string();
        let file = std::fs::File::open(path).map_err(reason)?;
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(reason)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            Err("larger than 1 MiB, which no configuration is".to_owned())
        } else {
            decode(bytes)
        }
    }

    /// Connecting a UDP socket sends nothing, but makes the system choose the address that the
    /// default route has.
    fn default_host(&self) -> Option<IpAddr> {
        let socket = UdpSocket::bind(("0.0.0.0", 0)).ok()?;
        // An address reserved for documentation: routed like any far one.
        socket.connect(("192.0.2.1", 9)).ok()?;
        socket
            .local_addr()
            .ok()
            .map(|address| address.ip())
            .filter(|host| !host.is_unspecified() && !host.is_loopback())
    }
}

/// UTF-8, or UTF-16 behind a byte order mark, as some editors write it and YAML allows.
fn decode(bytes: Vec<u8>) -> Result<String, String> {
    let units: Vec<u16> = match bytes.get(..2) {
        Some([0xff, 0xfe]) => bytes[2..].chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect(),
        Some([0xfe, 0xff]) => bytes[2..].chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect(),
        Some(_) | None => return String::from_utf8(bytes).map_err(|_| "stream did not contain valid UTF-8".to_owned()),
    };
    String::from_utf16(&units).map_err(|_| "stream did not contain valid UTF-16".to_owned())
}
