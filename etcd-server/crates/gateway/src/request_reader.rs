//! Cuts the JSON messages out of a request body, which may arrive in any pieces, with or without
//! line breaks between messages.
//!
//! Holds the text of one message (at most `Limits::text_bytes_max`) and one piece of the body; asks
//! for the next piece when it is needed, so a slow service slows the client down. Each message has
//! its time from first byte to last.

use bytes::{Buf as _, Bytes};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use tokio::time::Instant;

use crate::json_decode;
use crate::json_scanner::{Scanner, Step};
use crate::limits::Limits;
use crate::response::{Body, BoxError};

/// The reason why the next message cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("{0}")]
    Malformed(String),
    #[error("grpc: received message larger than max ({bytes} vs. {bytes_max})")]
    TooLarge { bytes: u64, bytes_max: usize },
    #[error("request body was not received in time")]
    TooSlow,
    #[error("read request body: {0}")]
    Broken(BoxError),
}

/// The time that the body may be silent before a message begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// One message is all there is: its time runs from the start of the request.
    Once,
    /// Messages come when they come.
    Stream,
}

#[derive(Debug)]
pub(crate) struct RequestReader {
    body: Body,
    piece: Bytes,
    descriptor: MessageDescriptor,
    limits: Limits,
    pace: Pace,
}

impl RequestReader {
    pub(crate) fn new(body: Body, descriptor: MessageDescriptor, limits: Limits, pace: Pace) -> RequestReader {
        RequestReader { body, piece: Bytes::new(), descriptor, limits, pace }
    }

    /// The next message, or `None` at the end of the body.
    pub(crate) async fn next(&mut self) -> Result<Option<DynamicMessage>, ReadError> {
        let Some(text) = self.next_value().await? else {
            return Ok(None);
        };
        let message =
            json_decode::decode(&self.descriptor, &text).map_err(|error| ReadError::Malformed(error.to_string()))?;
        let (bytes, bytes_max) = (message.encoded_len(), self.limits.message_bytes_max);
        if bytes > bytes_max { Err(ReadError::TooLarge { bytes: bytes as u64, bytes_max }) } else { Ok(Some(message)) }
    }

    async fn next_value(&mut self) -> Result<Option<Vec<u8>>, ReadError> {
        let mut scanner = Scanner::new();
        let mut value = Vec::new();
        let mut deadline = (self.pace == Pace::Once).then(|| Instant::now() + self.limits.body_timeout);
        if self.pace == Pace::Once {
            self.check_announced_size()?;
        }
        loop {
            if self.take_from_piece(&mut scanner, &mut value)? {
                return Ok(Some(value));
            }
            if !value.is_empty() && deadline.is_none() {
                deadline = Some(Instant::now() + self.limits.body_timeout);
            }
            match self.next_piece(deadline).await? {
                Some(piece) => self.piece = piece,
                None if value.is_empty() => return Ok(None),
                None if scanner.complete_at_end() => return Ok(Some(value)),
                None => return Err(ReadError::Malformed("unexpected EOF".to_owned())),
            }
        }
    }

    /// Moves bytes of the current piece to `value`; true when the value is whole.
    fn take_from_piece(&mut self, scanner: &mut Scanner, value: &mut Vec<u8>) -> Result<bool, ReadError> {
        let (mut start, mut end, mut whole) = (0, 0, false);
        for byte in &self.piece {
            match scanner.feed(*byte).map_err(|error| ReadError::Malformed(error.to_string()))? {
                Step::Before => start += 1,
                Step::Inside => {}
                Step::Last => whole = true,
                Step::After => {
                    whole = true;
                    break;
                }
            }
            end += 1;
            if whole {
                break;
            }
        }
        value.extend_from_slice(&self.piece[start..end]);
        self.piece.advance(end);
        self.check_size(value.len() as u64)?;
        Ok(whole)
    }

    async fn next_piece(&mut self, deadline: Option<Instant>) -> Result<Option<Bytes>, ReadError> {
        loop {
            let frame = match deadline {
                Some(deadline) => {
                    tokio::time::timeout_at(deadline, self.body.frame()).await.map_err(|_| ReadError::TooSlow)?
                }
                None => self.body.frame().await,
            };
            match frame.transpose().map_err(ReadError::Broken)?.map(http_body::Frame::into_data) {
                None => return Ok(None),
                Some(Ok(piece)) => return Ok(Some(piece)),
                Some(Err(_trailers)) => {}
            }
        }
    }

    fn check_announced_size(&self) -> Result<(), ReadError> {
        self.check_size(self.body.size_hint().lower())
    }

    fn check_size(&self, bytes: u64) -> Result<(), ReadError> {
        let bytes_max = self.limits.text_bytes_max;
        if bytes > bytes_max as u64 { Err(ReadError::TooLarge { bytes, bytes_max }) } else { Ok(()) }
    }
}
