//! May this request be asked at all? Checks that need no ordering.
