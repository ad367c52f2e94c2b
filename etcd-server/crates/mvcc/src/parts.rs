//! A range too large for memory: measured first, then read part by part.
//!
//! Both walks must see the same: they are made at one read point, whose revision compaction must
//! not pass between the first and the last.

use crate::range::{RangeOptions, from_key, push_kv};
use crate::record::Fields;
use crate::{MvccError, ReadPoint};
use bytes::{Bytes, BytesMut};
use schema::View;
use std::ops::ControlFlow;
use types::{Fault, KeyRange, MainRevision};

/// The measures of a response, and the part of it that is not read yet.
#[derive(Clone, Debug)]
pub struct Parts {
    options: RangeOptions,
    at: MainRevision,
    /// The range of the next part; `None` when all is read.
    rest: Option<KeyRange>,
    /// Keys that are still to be read.
    keys: u64,
    /// Bytes that are still to be read: the `kvs` fields of a `RangeResponse` one after another.
    pub bytes: u64,
    /// `true` if the limit leaves some out.
    pub more: bool,
    /// Keys in the whole range, regardless of the limit.
    pub count: u64,
}

impl ReadPoint {
    /// Measures a range. Nothing when it cannot be read in parts, because it is sorted, filtered or
    /// only counted.
    pub fn measure<V: View>(
        &self,
        view: &V,
        options: &RangeOptions,
    ) -> Result<Result<Option<Parts>, MvccError>, Fault> {
        if !options.is_plain() {
            return Ok(Ok(None));
        }
        let at = match self.resolve(options.revision) {
            Ok(at) => at,
            Err(error) => return Ok(Err(error)),
        };
        let source = self.source(view);
        let (mut keys, mut bytes, mut left_out) = (0, 0, None);
        let mut field = BytesMut::new();
        source.visit(&options.range, at, |record| {
            if options.limit.is_some_and(|limit| keys == limit as u64) {
                left_out = Some(from_key(&options.range, Fields::parse(record)?.key));
                return Ok(ControlFlow::Break(()));
            }
            field.clear();
            push_kv(&mut field, record, options)?;
            keys += 1;
            bytes += field.len() as u64;
            Ok(ControlFlow::Continue(()))
        })?;
        let behind = left_out.as_ref().map_or(Ok(0), |left_out| source.count(left_out, at))?;
        let rest = Some(options.range.clone());
        Ok(Ok(Some(Parts {
            options: options.clone(),
            at,
            rest,
            keys,
            bytes,
            more: left_out.is_some(),
            count: keys + behind,
        })))
    }
}

impl Parts {
    /// The revision at which it is read.
    pub fn revision(&self) -> MainRevision {
        self.at
    }

    /// Reads on until there are `bytes_min` or the answer ends; empty when it has ended. `point` is
    /// the one it was measured at.
    ///
    /// # Panics
    /// If more keys are read than were measured.
    pub fn next<V: View>(&mut self, point: &ReadPoint, view: &V, bytes_min: usize) -> Result<Bytes, Fault> {
        let Some(range) = self.rest.take() else { return Ok(Bytes::new()) };
        let mut encoded = BytesMut::with_capacity(bytes_min + bytes_min / 8);
        let (keys_max, mut keys) = (self.keys, 0);
        let (options, rest) = (&self.options, &mut self.rest);
        point.source(view).visit(&range, self.at, |record| {
            if keys == keys_max {
                return Ok(ControlFlow::Break(()));
            }
            if encoded.len() >= bytes_min {
                *rest = Some(from_key(&range, Fields::parse(record)?.key));
                return Ok(ControlFlow::Break(()));
            }
            push_kv(&mut encoded, record, options)?;
            keys += 1;
            Ok(ControlFlow::Continue(()))
        })?;
        let left = self.bytes.checked_sub(encoded.len() as u64);
        assert!(keys <= self.keys, "{keys} keys were read where {} were left", self.keys);
        self.keys -= keys;
        match left {
            Some(left) if self.rest.is_some() || (left, self.keys) == (0, 0) => self.bytes = left,
            _ => return Err(Fault::corrupt("range", "what is read differs from what was measured")),
        }
        Ok(encoded.freeze())
    }
}
