//! etcdctl's commands and their flags. The number of arguments is checked where a command runs, in
//! etcdctl's words.

use clap::{ArgAction, Args, Subcommand};
use std::ffi::OsString;

/// Commands that this tool has under the same names.
#[derive(Debug, Subcommand)]
pub enum SharedCommand {
    /// Gets the key or a range of keys
    Get(GetArgs),
    /// Puts the given key into the store
    Put(PutArgs),
    /// Removes the specified key or range of keys [key, range_end)
    Del(DelArgs),
    /// Txn processes all the requests in one transaction
    Txn(TxnArgs),
    /// Compacts the event history in etcd
    Compaction(CompactionArgs),
    /// Watches events stream on keys or prefixes
    Watch(WatchArgs),
    /// Lease related commands
    #[command(subcommand)]
    Lease(LeaseCommand),
    /// Endpoint related commands
    Endpoint(EndpointArgs),
    /// Alarm related commands
    #[command(subcommand)]
    Alarm(AlarmCommand),
    /// Defragments the storage of the etcd members with given endpoints
    Defrag(ClusterFlag),
    /// Transfers leadership to another etcd cluster member
    MoveLeader(Plain),
    /// Enables or disables authentication
    #[command(subcommand)]
    Auth(AuthCommand),
    /// User related commands
    #[command(subcommand)]
    User(UserCommand),
    /// Role related commands
    #[command(subcommand)]
    Role(RoleCommand),
    /// Acquires a named lock
    Lock(LockArgs),
    /// Observes and participates in leader election
    Elect(ElectArgs),
    /// Commands for checking properties of the etcd cluster
    #[command(subcommand)]
    Check(CheckCommand),
    /// Makes a mirror at the destination etcd cluster
    MakeMirror(Box<MirrorArgs>),
    /// Downgrade related commands
    #[command(subcommand)]
    Downgrade(DowngradeCommand),
}

/// Commands that stand for something else in this tool, or that it has in another form.
#[derive(Debug, Subcommand)]
pub(crate) enum OwnCommand {
    /// Membership related commands
    #[command(subcommand)]
    Member(MemberCommand),
    /// Manages etcd node snapshots
    #[command(subcommand)]
    Snapshot(SnapshotCommand),
    /// Prints the version of etcdctl
    Version,
    /// Lists the global options
    Options,
    /// Generates the completion script for a shell
    Completion {
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

/// The command line of `etcdctl`.
#[derive(Debug, clap::Parser)]
#[command(name = "etcdctl", about = "A simple command line client for etcd3.", disable_version_flag = true)]
pub(crate) struct Etcdctl {
    #[command(flatten)]
    pub(crate) connection: admin_client::ConnectionArgs,
    #[command(subcommand)]
    pub(crate) command: EtcdctlCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EtcdctlCommand {
    #[command(flatten)]
    Shared(SharedCommand),
    #[command(flatten)]
    Own(OwnCommand),
}

/// Arguments and nothing else.
#[derive(Debug, Args)]
pub struct Plain {
    pub(crate) args: Vec<String>,
}

#[derive(Debug, Args)]
pub struct ClusterFlag {
    pub(crate) args: Vec<String>,
    /// Uses all endpoints from the cluster member list
    #[arg(long)]
    pub(crate) cluster: bool,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "they are etcdctl's flags")]
pub struct GetArgs {
    #[arg(value_name = "KEY [RANGE_END]")]
    pub(crate) args: Vec<OsString>,
    /// Linearizable (l) or serializable (s)
    #[arg(long, default_value = "l", value_name = "L|S")]
    pub(crate) consistency: String,
    /// Order of results: ASCEND or DESCEND
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) order: String,
    /// CREATE, KEY, MODIFY, VALUE or VERSION
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) sort_by: String,
    /// Maximum number of results
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub(crate) limit: i64,
    /// Gets keys with matching prefix
    #[arg(long)]
    pub(crate) prefix: bool,
    /// Gets keys that are greater than or equal to the given key
    #[arg(long)]
    pub(crate) from_key: bool,
    /// Revision to read at
    #[arg(long, default_value_t = 0, hide_default_value = true, allow_negative_numbers = true)]
    pub(crate) rev: i64,
    /// Gets only the keys
    #[arg(long)]
    pub(crate) keys_only: bool,
    /// Gets only the count
    #[arg(long)]
    pub(crate) count_only: bool,
    /// Writes only values, in the simple format
    #[arg(long)]
    pub(crate) print_value_only: bool,
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub(crate) min_create_rev: i64,
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub(crate) max_create_rev: i64,
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub(crate) min_mod_rev: i64,
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub(crate) max_mod_rev: i64,
    /// Receives the answer in parts
    #[arg(long)]
    pub(crate) stream: bool,
}

#[derive(Debug, Args)]
pub struct PutArgs {
    #[arg(value_name = "KEY [VALUE]")]
    pub(crate) args: Vec<OsString>,
    /// Lease, in hexadecimal, to attach to the key
    #[arg(long, default_value = "0")]
    pub(crate) lease: String,
    /// Returns the previous key and value
    #[arg(long)]
    pub(crate) prev_kv: bool,
    /// Updates the key using its current value
    #[arg(long)]
    pub(crate) ignore_value: bool,
    /// Updates the key using its current lease
    #[arg(long)]
    pub(crate) ignore_lease: bool,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "they are etcdctl's flags")]
pub struct DelArgs {
    #[arg(value_name = "KEY [RANGE_END]")]
    pub(crate) args: Vec<OsString>,
    /// Deletes keys with matching prefix
    #[arg(long)]
    pub(crate) prefix: bool,
    /// Returns deleted keys and values
    #[arg(long)]
    pub(crate) prev_kv: bool,
    /// Deletes keys that are greater than or equal to the given key
    #[arg(long)]
    pub(crate) from_key: bool,
    /// Deletes a range of keys without a delay
    #[arg(long)]
    pub(crate) range: bool,
}

#[derive(Debug, Args)]
pub struct TxnArgs {
    pub(crate) args: Vec<String>,
    /// Asks for the parts of the transaction
    #[arg(short, long)]
    pub(crate) interactive: bool,
}

#[derive(Debug, Args)]
pub struct CompactionArgs {
    #[arg(value_name = "REVISION", allow_negative_numbers = true)]
    pub(crate) args: Vec<String>,
    /// Waits until all old revisions are removed
    #[arg(long)]
    pub(crate) physical: bool,
}

#[derive(Debug, Args)]
pub struct WatchArgs {
    #[arg(value_name = "KEY [RANGE_END]")]
    pub(crate) args: Vec<OsString>,
    /// Reads watch requests from the input
    #[arg(short, long)]
    pub(crate) interactive: bool,
    #[command(flatten)]
    pub(crate) request: WatchFlags,
    /// Command to run for every event
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

// The flags of a line of an interactive watch; no doc comment, which clap would take for the help
// of `watch`.
#[derive(Clone, Debug, Args)]
pub(crate) struct WatchFlags {
    /// Watches a prefix
    #[arg(long)]
    pub(crate) prefix: bool,
    /// Revision to start watching at
    #[arg(long, default_value_t = 0, hide_default_value = true, allow_negative_numbers = true)]
    pub(crate) rev: i64,
    /// Gets the previous key and value of each event
    #[arg(long)]
    pub(crate) prev_kv: bool,
    /// Gets periodic notifications of progress
    #[arg(long)]
    pub(crate) progress_notify: bool,
}

#[derive(Debug, Subcommand)]
pub enum LeaseCommand {
    /// Creates leases
    Grant(Numbers),
    /// Revokes leases
    Revoke(Plain),
    /// Gets lease information
    Timetolive {
        args: Vec<String>,
        /// Gets keys attached to this lease
        #[arg(long)]
        keys: bool,
    },
    /// Lists all active leases
    List,
    /// Keeps leases alive (renew)
    KeepAlive {
        args: Vec<String>,
        /// Renews it once and ends
        #[arg(long)]
        once: bool,
    },
}

/// Arguments of which one may be below zero.
#[derive(Debug, Args)]
pub struct Numbers {
    #[arg(allow_negative_numbers = true)]
    pub(crate) args: Vec<String>,
}

#[derive(Debug, Args)]
pub struct EndpointArgs {
    /// Uses all endpoints from the cluster member list
    #[arg(long, global = true)]
    pub(crate) cluster: bool,
    #[command(subcommand)]
    pub(crate) command: EndpointCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EndpointCommand {
    /// Checks the healthiness of the endpoints
    Health(Plain),
    /// Prints out the status of the endpoints
    Status(Plain),
    /// Prints the hash of the history of each endpoint
    Hashkv {
        args: Vec<String>,
        /// Maximum revision to hash; all if it is 0
        #[arg(long, default_value_t = 0, hide_default_value = true)]
        rev: i64,
    },
}

#[derive(Debug, Subcommand)]
pub enum AlarmCommand {
    /// Lists all alarms
    List(Plain),
    /// Disarms all alarms
    Disarm(Plain),
}

#[derive(Debug, Subcommand)]
pub enum AuthCommand {
    /// Enables authentication
    Enable(Plain),
    /// Disables authentication
    Disable(Plain),
    /// Returns authentication status
    Status(Plain),
}

#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Adds a new user
    Add {
        #[arg(value_name = "NAME or NAME:PASSWORD")]
        args: Vec<String>,
        /// Prompt for the password on the terminal; otherwise read it from standard input
        #[arg(long, action = ArgAction::Set, num_args(0..=1), require_equals(true), default_missing_value = "true", default_value = "true")]
        interactive: bool,
        /// Supplies the password
        #[arg(long, default_value = "", hide_default_value = true)]
        new_user_password: String,
        /// Creates a user without password, known by certificates only
        #[arg(long)]
        no_password: bool,
    },
    /// Deletes a user
    Delete(Plain),
    /// Gets detailed information of a user
    Get {
        args: Vec<String>,
        /// Shows permissions of roles granted to the user
        #[arg(long)]
        detail: bool,
    },
    /// Lists all users
    List(Plain),
    /// Changes password of user
    Passwd {
        args: Vec<String>,
        /// Prompt for the password on the terminal; otherwise read it from standard input
        #[arg(long, action = ArgAction::Set, num_args(0..=1), require_equals(true), default_missing_value = "true", default_value = "true")]
        interactive: bool,
    },
    /// Grants a role to a user
    GrantRole(Plain),
    /// Revokes a role from a user
    RevokeRole(Plain),
}

#[derive(Debug, Subcommand)]
pub enum RoleCommand {
    /// Adds a new role
    Add(Plain),
    /// Deletes a role
    Delete(Plain),
    /// Gets detailed information of a role
    Get(Plain),
    /// Lists all roles
    List(Plain),
    /// Grants a key to a role
    GrantPermission(PermissionArgs),
    /// Revokes a key from a role
    RevokePermission(PermissionArgs),
}

#[derive(Debug, Args)]
pub struct PermissionArgs {
    pub(crate) args: Vec<String>,
    /// The permission is of a prefix
    #[arg(long)]
    pub(crate) prefix: bool,
    /// The permission is of all keys from the given one on
    #[arg(long)]
    pub(crate) from_key: bool,
}

#[derive(Debug, Args)]
pub struct LockArgs {
    #[arg(value_name = "NAME [COMMAND]")]
    pub(crate) args: Vec<OsString>,
    /// Time to live of the session, in seconds
    #[arg(long, default_value_t = 10, allow_negative_numbers = true)]
    pub(crate) ttl: i64,
}

#[derive(Debug, Args)]
pub struct ElectArgs {
    #[arg(value_name = "NAME [PROPOSAL]")]
    pub(crate) args: Vec<OsString>,
    /// Observes, and does not take part
    #[arg(short, long)]
    pub(crate) listen: bool,
}

#[derive(Debug, Subcommand)]
pub enum CheckCommand {
    /// Checks the performance of the cluster
    #[command(mut_arg("prefix", |prefix| prefix.help("Prefix of the keys that are written [default: /etcdctl-check-perf/]")))]
    Perf(CheckArgs),
    /// Checks the memory usage of holding data at one endpoint
    #[command(mut_arg("prefix", |prefix| prefix.help("Prefix of the keys that are written [default: /etcdctl-check-datascale/]")))]
    Datascale(CheckArgs),
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Workload: s(mall), m(edium), l(arge), xl (xLarge)
    #[arg(long, default_value = "s")]
    pub(crate) load: String,
    /// Prefix of the keys that are written
    #[arg(long)]
    pub(crate) prefix: Option<String>,
    /// Compacts when the test is finished
    #[arg(long)]
    pub(crate) auto_compact: bool,
    /// Defragments when the test is finished
    #[arg(long)]
    pub(crate) auto_defrag: bool,
}

#[derive(Debug, Args)]
pub struct MirrorArgs {
    #[arg(value_name = "DESTINATION")]
    pub(crate) args: Vec<String>,
    /// Prefix of the keys to mirror
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) prefix: String,
    /// Revision to start from; older changes are not copied
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub(crate) rev: i64,
    /// Requests of one transaction at the destination
    #[arg(long, default_value_t = 128)]
    pub(crate) max_txn_ops: u64,
    /// Prefix at the destination, in place of the other
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) dest_prefix: String,
    /// Mirrors to the root of the destination
    #[arg(long)]
    pub(crate) no_dest_prefix: bool,
    #[arg(long)]
    pub(crate) dest_cert: Option<std::path::PathBuf>,
    #[arg(long)]
    pub(crate) dest_key: Option<std::path::PathBuf>,
    #[arg(long)]
    pub(crate) dest_cacert: Option<std::path::PathBuf>,
    /// Connect to the destination without TLS [default: true]
    #[arg(long, num_args(0..=1), require_equals(true), default_missing_value = "true", value_parser = admin_ui::go_flags::boolean)]
    pub(crate) dest_insecure_transport: Option<bool>,
    #[arg(long)]
    pub(crate) dest_user: Option<String>,
    #[arg(long)]
    pub(crate) dest_password: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum DowngradeCommand {
    /// Checks whether the cluster may be downgraded
    Validate(Plain),
    /// Starts a downgrade
    Enable(Plain),
    /// Cancels the ongoing downgrade
    Cancel(Plain),
}

#[derive(Debug, Subcommand)]
pub(crate) enum MemberCommand {
    /// Adds a member into the cluster
    Add {
        #[arg(value_name = "NAME")]
        args: Vec<String>,
        /// Peer URLs of the new member, separated by commas
        #[arg(long, default_value = "", hide_default_value = true, value_name = "URLS")]
        peer_urls: String,
        /// The new member does not vote
        #[arg(long)]
        learner: bool,
    },
    /// Removes a member from the cluster
    Remove(Plain),
    /// Updates a member in the cluster
    Update {
        args: Vec<String>,
        /// Peer URLs of the member, separated by commas
        #[arg(long, default_value = "", hide_default_value = true, value_name = "URLS")]
        peer_urls: String,
    },
    /// Lists all members in the cluster
    List {
        /// Linearizable (l) or serializable (s)
        #[arg(long, default_value = "l")]
        consistency: String,
    },
    /// Promotes a non-voting member in the cluster
    Promote(Plain),
}

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// Stores an etcd node backend snapshot to a given file
    Save(Plain),
}
