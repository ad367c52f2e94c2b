//! The comparisons of a transaction.

use crate::range::Source;
use crate::record::Fields;
use crate::walk;
use proto::etcdserverpb::Compare;
use proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use schema::View;
use std::cmp::Ordering;
use std::ops::ControlFlow;
use types::{Fault, KeyRange};

impl<V: View> Source<'_, V> {
    /// Returns `true` if all comparisons hold on the newest revision, also if there are none.
    pub(crate) fn all_hold(&self, compares: &[Compare]) -> Result<bool, Fault> {
        for compare in compares {
            if !self.holds(compare)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A comparison over a range holds when it holds for every key in it; no key at all counts as
    /// one whose numbers are zero.
    fn holds(&self, compare: &Compare) -> Result<bool, Fault> {
        let range = KeyRange::from_wire(compare.key.clone(), compare.range_end.clone());
        let (mut found, mut all) = (false, true);
        let mut judge = |record: &[u8]| {
            found = true;
            all = holds_for(compare, &Fields::parse(record)?);
            Ok(if all { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        };
        if let Some(key) = range.as_single() {
            let version = walk::version_at(self.view, self.write_buffer, key, self.current)?;
            if let Some((_, record)) = version.filter(|(_, record)| !record.is_empty()) {
                judge(&record).map(drop)?;
            }
        } else {
            walk::live_records(self.view, self.write_buffer, &range, self.current, judge)?;
        }
        if found {
            return Ok(all);
        }
        // The value of a key that does not live compares with nothing, not even as "not equal"
        // (etcd: txn.go, applyCompare).
        Ok(compare.target != CompareTarget::Value as i32 && holds_for(compare, &Fields::default()))
    }
}

fn holds_for(compare: &Compare, fields: &Fields<'_>) -> bool {
    let operand = compare.target_union.as_ref();
    let number = |stored: i64, pick: fn(&TargetUnion) -> Option<i64>| stored.cmp(&operand.and_then(pick).unwrap_or(0));
    // An operand of another kind than the target counts as zero or empty.
    let ordering = match CompareTarget::try_from(compare.target) {
        Ok(CompareTarget::Version) => {
            number(fields.version, |union| if let TargetUnion::Version(n) = union { Some(*n) } else { None })
        }
        Ok(CompareTarget::Create) => {
            number(
                fields.create_revision,
                |union| if let TargetUnion::CreateRevision(n) = union { Some(*n) } else { None },
            )
        }
        Ok(CompareTarget::Mod) => {
            number(fields.mod_revision, |union| if let TargetUnion::ModRevision(n) = union { Some(*n) } else { None })
        }
        Ok(CompareTarget::Lease) => {
            number(fields.lease.0, |union| if let TargetUnion::Lease(n) = union { Some(*n) } else { None })
        }
        Ok(CompareTarget::Value) => match operand {
            Some(TargetUnion::Value(value)) => fields.value.cmp(value),
            _ => fields.value.cmp(&[]),
        },
        Err(_) => Ordering::Equal,
    };
    match CompareResult::try_from(compare.result) {
        Ok(CompareResult::Equal) => ordering.is_eq(),
        Ok(CompareResult::Greater) => ordering.is_gt(),
        Ok(CompareResult::Less) => ordering.is_lt(),
        Ok(CompareResult::NotEqual) => ordering.is_ne(),
        Err(_) => true,
    }
}
