//! A member's page of metrics.

use crate::client::Client;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const REQUEST: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
/// No member has so many figures.
const PAGE_BYTES_MAX: u64 = 16 << 20;

pub(super) async fn page(client: &Client) -> Result<String, String> {
    let asked = async {
        let mut stream = client.plain_stream().await.map_err(|broken| broken.to_string())?;
        stream.write_all(REQUEST).await.map_err(|error| error.to_string())?;
        let mut page = Vec::new();
        stream.take(PAGE_BYTES_MAX).read_to_end(&mut page).await.map_err(|error| error.to_string())?;
        Ok::<Vec<u8>, String>(page)
    };
    let limit = client.settings.command_timeout;
    let page = tokio::time::timeout(limit, asked).await.map_err(|_| format!("no answer within {limit:?}"))??;
    let page = String::from_utf8_lossy(&page).into_owned();
    match page.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.to_owned()),
        Some((head, _)) => Err(head.lines().next().unwrap_or_default().to_owned()),
        None => Err("the answer is not HTTP".to_owned()),
    }
}
