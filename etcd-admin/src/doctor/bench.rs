//! `bench fsync`.

use super::args::FsyncArgs;
use super::disk::{measure, milliseconds};
use crate::cli::context::Context;
use admin_ui::error::CliError;
use admin_ui::output::{print_result, table};
use std::process::ExitCode;

pub(super) fn fsync(context: &Context, args: &FsyncArgs) -> Result<ExitCode, CliError> {
    if context.dry_run {
        let text =
            format!("would write {} times {} bytes to a file in {}\n", args.writes, args.bytes, args.dir.display());
        return admin_ui::output::say(&text).map(|()| ExitCode::SUCCESS);
    }
    let found = measure(&args.dir, args.writes, args.bytes, None)?;
    print_result(context.format, &found, || {
        let times = [found.p50_microseconds, found.p90_microseconds, found.p99_microseconds, found.max_microseconds];
        let row = [found.writes.to_string(), found.bytes.to_string()].into_iter().chain(times.map(milliseconds));
        table(&["WRITES", "BYTES", "P50", "P90", "P99", "MAX"], &[row.collect()])
    })?;
    Ok(ExitCode::SUCCESS)
}
