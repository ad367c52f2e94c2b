//! A member's page of metrics.

use super::Client;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const REQUEST: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
/// No member has so many figures.
const PAGE_BYTES_MAX: u64 = 16 << 20;

impl Client {
    /// The page of metrics of the endpoint in use, within the time that a command has.
    pub(crate) async fn metrics_page(&self) -> Result<String, String> {
        let limit = self.settings.command_timeout;
        let page = tokio::time::timeout(limit, self.fetch()).await.map_err(|_| format!("no answer within {limit:?}"))??;
        let page = String::from_utf8_lossy(&page).into_owned();
        match page.split_once("\r\n\r\n") {
            Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.to_owned()),
            Some((head, _)) => Err(head.lines().next().unwrap_or_default().to_owned()),
            None => Err("the answer is not HTTP".to_owned()),
        }
    }

    async fn fetch(&self) -> Result<Vec<u8>, String> {
        let mut stream = self.plain_stream().await.map_err(|broken| broken.to_string())?;
        stream.write_all(REQUEST).await.map_err(|error| error.to_string())?;
        // Without it an encrypted stream may keep the request to itself.
        stream.flush().await.map_err(|error| error.to_string())?;
        let mut page = Vec::new();
        stream.take(PAGE_BYTES_MAX).read_to_end(&mut page).await.map_err(|error| error.to_string())?;
        Ok(page)
    }
}
