//! Single requests on keys.

use crate::InvalidRequest;
use proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use proto::etcdserverpb::{DeleteRangeRequest, PutRequest, RangeRequest};

/// A range needs a key and sort values that exist.
pub fn check_range(request: &RangeRequest) -> Result<(), InvalidRequest> {
    if request.key.is_empty() {
        return Err(InvalidRequest::EmptyKey);
    }
    let known = SortOrder::try_from(request.sort_order).is_ok() && SortTarget::try_from(request.sort_target).is_ok();
    if known { Ok(()) } else { Err(InvalidRequest::InvalidSortOption) }
}

/// A put needs a key, and nothing that it says to ignore.
pub fn check_put(request: &PutRequest) -> Result<(), InvalidRequest> {
    if request.key.is_empty() {
        return Err(InvalidRequest::EmptyKey);
    }
    if request.ignore_value && !request.value.is_empty() {
        return Err(InvalidRequest::ValueProvided);
    }
    if request.ignore_lease && request.lease != 0 {
        return Err(InvalidRequest::LeaseProvided);
    }
    Ok(())
}

/// A deletion needs a key.
pub fn check_delete_range(request: &DeleteRangeRequest) -> Result<(), InvalidRequest> {
    if request.key.is_empty() { Err(InvalidRequest::EmptyKey) } else { Ok(()) }
}
