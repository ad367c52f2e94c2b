//! The topics of `explain`. etcd's own texts stand as they are, letter by letter.

use admin_ui::error::EXIT_STATUSES;
use serde::Serialize;
use std::borrow::Cow;

#[derive(Clone, Debug, Serialize)]
pub(super) struct Topic {
    pub(super) kind: &'static str,
    pub(super) name: Cow<'static, str>,
    pub(super) meaning: Cow<'static, str>,
    pub(super) remedy: Cow<'static, str>,
}

const fn code(name: &'static str, meaning: &'static str, remedy: &'static str) -> Topic {
    Topic {
        kind: "exit code",
        name: Cow::Borrowed(name),
        meaning: Cow::Borrowed(meaning),
        remedy: Cow::Borrowed(remedy),
    }
}

const fn error(name: &'static str, meaning: &'static str, remedy: &'static str) -> Topic {
    Topic { kind: "error", name: Cow::Borrowed(name), meaning: Cow::Borrowed(meaning), remedy: Cow::Borrowed(remedy) }
}

const fn alarm(name: &'static str, meaning: &'static str, remedy: &'static str) -> Topic {
    Topic { kind: "alarm", name: Cow::Borrowed(name), meaning: Cow::Borrowed(meaning), remedy: Cow::Borrowed(remedy) }
}

const fn finding(name: &'static str, meaning: &'static str, remedy: &'static str) -> Topic {
    Topic { kind: "finding", name: Cow::Borrowed(name), meaning: Cow::Borrowed(meaning), remedy: Cow::Borrowed(remedy) }
}

/// Returns the exit statuses of this tool.
pub(super) fn exit_statuses() -> impl Iterator<Item = Topic> {
    EXIT_STATUSES.iter().map(|(status, meaning, remedy)| Topic {
        kind: "exit code",
        name: Cow::Owned(status.to_string()),
        meaning: Cow::Borrowed(meaning),
        remedy: Cow::Borrowed(remedy),
    })
}

pub(super) const TOPICS: &[Topic] = &[
    code(
        "78",
        "etcd-server refused its configuration or its data directory. systemd does not start it again, because that would not help.",
        "The last line of journalctl -u etcd-server names the setting or the file; then systemctl start etcd-server.",
    ),
    code("128", "etcdutl failed, as upstream's does.", "The line on standard error names what failed."),
    code(
        "134",
        "The process has aborted itself.",
        "The last lines of its log have the reason; report it with etcd-admin support bundle.",
    ),
    code(
        "137",
        "The process was killed: by an administrator, or for lack of memory.",
        "journalctl -k lists what the kernel killed.",
    ),
    code(
        "143",
        "The process was ended by SIGTERM before it was ready.",
        "systemctl status etcd-server shows what stopped it.",
    ),
    alarm(
        "NOSPACE",
        "A member has reached its quota; the cluster takes no writes but deletions and compactions.",
        "etcd-admin maintenance reclaim; then raise quota, or find the client that writes so much.",
    ),
    alarm(
        "CORRUPT",
        "A member's data differs from that of a majority; the cluster takes no writes.",
        "etcd-admin doctor cluster names it; etcd-admin member rebuild gives it fresh data. Disarm only then.",
    ),
    error(
        "context deadline exceeded",
        "No member responded in time. Common causes: a missing certificate flag, http for https, or a lost quorum.",
        "etcd-admin status names the step that broke.",
    ),
    error(
        "etcdserver: mvcc: database space exceeded",
        "The quota is reached, and an alarm holds off writes.",
        "etcd-admin maintenance reclaim, in which the order is right: compact, defragment, disarm.",
    ),
    error(
        "etcdserver: mvcc: required revision has been compacted",
        "A read or watch requested compacted history.",
        "Read the present state and watch from its revision, as clients do by themselves.",
    ),
    error(
        "etcdserver: mvcc: required revision is a future revision",
        "The requested revision does not exist yet: the cluster was restored from an older snapshot, or it is another cluster.",
        "Compare cluster ids with etcd-admin status; restore with raised revisions, which is the default of etcd-admin snapshot restore.",
    ),
    error(
        "etcdserver: no leader",
        "The member knows no leader.",
        "A majority is down or cut off: etcd-admin doctor host on each machine.",
    ),
    error(
        "etcdserver: not leader",
        "Only the leader serves this request.",
        "etcd-admin finds the leader; other clients must use its endpoint.",
    ),
    error(
        "etcdserver: leader changed",
        "Leadership moved while the read waited.",
        "Retry; if it happens often, check disk and network: etcd-admin bench fsync.",
    ),
    error(
        "etcdserver: request timed out, possibly due to previous leader failure",
        "The leader failed during the request; its outcome is unknown.",
        "Check whether it was applied, then retry.",
    ),
    error(
        "etcdserver: request timed out, possibly due to connection lost",
        "The member lost the leader, or the leader its followers.",
        "etcd-admin doctor cluster.",
    ),
    error(
        "etcdserver: request timed out",
        "No majority acknowledged in time: a slow disk, a slow network, or too much load.",
        "etcd-admin bench fsync on each host, then etcd-admin doctor cluster.",
    ),
    error(
        "etcdserver: too many requests",
        "More is committed than can be applied.",
        "Slow the writers down; measure the disk with etcd-admin bench fsync.",
    ),
    error(
        "etcdserver: request is too large",
        "A request is larger than max-request-bytes (1.5 MiB).",
        "Split it, or raise max-request-bytes on every member.",
    ),
    error(
        "etcdserver: too many operations in txn request",
        "A transaction has more operations than max-txn-ops (128).",
        "Split it, or raise max-txn-ops on every member.",
    ),
    error(
        "etcdserver: unhealthy cluster",
        "Members are not connected to each other for long enough for a change of members.",
        "Wait some seconds and retry; etcd-admin member add retries by itself.",
    ),
    error(
        "etcdserver: re-configuration failed due to not enough started members",
        "A member was added and never started, and one more would cost the quorum.",
        "Start it, or remove it: etcd-admin member list shows it as unstarted.",
    ),
    error(
        "etcdserver: can only promote a learner member which is in sync with leader",
        "The learner has not caught up.",
        "etcd-admin member promote waits for it.",
    ),
    error("etcdserver: can only promote a learner member", "It votes already.", "Nothing."),
    error(
        "etcdserver: too many learner members in cluster",
        "There is a learner already, and max-learners is 1.",
        "Promote or remove it first.",
    ),
    error(
        "etcdserver: Peer URLs already exists",
        "A member has these peer URLs.",
        "etcd-admin member list; a member that died is exchanged by etcd-admin member replace.",
    ),
    error("etcdserver: member not found", "No member has this id, or it was removed.", "etcd-admin member list."),
    error(
        "etcdserver: member ID already exist",
        "This id is in use, or was.",
        "Use another peer URL, or wait a second and add it again.",
    ),
    error(
        "etcdserver: rpc not supported for learner",
        "A learner serves status and serializable reads only.",
        "Use a voter, or promote the learner.",
    ),
    error(
        "etcdserver: corrupt cluster",
        "An alarm of corruption is raised.",
        "etcd-admin doctor cluster, then etcd-admin member rebuild of the one that differs.",
    ),
    error("etcdserver: server stopped", "The member is stopping.", "Use another endpoint."),
    error(
        "etcdserver: permission denied",
        "The user may not do this to this key.",
        "Show the permissions of a role with etcd-admin role get.",
    ),
    error(
        "etcdserver: user name is empty",
        "Authentication is enabled, and no user was given.",
        "Give --user, or --cert and --key where common names are users.",
    ),
    error(
        "etcdserver: authentication failed, invalid user ID or password",
        "The user or the password is wrong.",
        "If it is root's that is lost: etcd-admin auth rescue.",
    ),
    error(
        "etcdserver: invalid auth token",
        "The token has expired, or was issued by another member.",
        "Log in again; clients do so by themselves.",
    ),
    error(
        "etcdserver: revision of auth store is old",
        "Users or roles changed while the request was under way.",
        "Ask again.",
    ),
    error(
        "etcdserver: authentication is not enabled",
        "Authentication is disabled; no login is needed.",
        "etcd-admin auth enable, once there is a user root with the role root.",
    ),
    error(
        "etcdserver: root user does not exist",
        "Authentication needs a user root.",
        "etcd-admin user add root, etcd-admin user grant-role root root.",
    ),
    error(
        "etcdserver: requested lease not found",
        "The lease has expired or was revoked.",
        "Grant a new one; keep it alive more often than its time to live.",
    ),
    error(
        "certificate signed by unknown authority",
        "The other side's certificate is of a CA that is not trusted here.",
        "Give its bundle with --cacert; verify a host's files with etcd-admin cert verify.",
    ),
    error(
        "certificate has expired",
        "A certificate is past its end.",
        "Run etcd-admin init apply or cert renew; if all have expired, etcd-admin ca rescue.",
    ),
    error(
        "tls: first record does not look like a TLS handshake",
        "One side speaks TLS and the other does not.",
        "Write https:// or http:// as the member listens.",
    ),
    error(
        "cluster ID mismatch",
        "A member of another cluster, or of this one before a recovery, calls.",
        "Move its data directory away, and join it again.",
    ),
    error(
        "the member has been permanently removed from the cluster",
        "It was removed, and stays away.",
        "Move its data directory away, then run etcd-admin join.",
    ),
    finding("leader", "The cluster has a leader.", "A majority has to run and to reach each other."),
    finding(
        "quorum",
        "How many vote, and how many more may fail.",
        "Bring back or replace those that are away; keep an odd number.",
    ),
    finding("member", "How one member is.", "etcd-admin doctor host on its machine."),
    finding(
        "members",
        "Whether all list the same members.",
        "A member that keeps differing belongs to another cluster.",
    ),
    finding("content", "Whether all hold the same key space.", "etcd-admin member rebuild of the one that differs."),
    finding("space", "How much of the database is in use.", "etcd-admin maintenance reclaim."),
    finding("quota", "How near the quota is.", "Compact, delete, or raise the quota."),
    finding("version", "Whether all run the same version.", "etcd-admin roll upgrade."),
    finding("alarm", "Alarms that are raised.", "etcd-admin explain NOSPACE or CORRUPT."),
    finding(
        "connection",
        "The connections between the members, as each of them reports its own: two streams in each direction.",
        "The finding names the reason and its remedy: certificate, address, name, version or cluster id.",
    ),
    finding("endpoint", "An endpoint of the command that belongs to another cluster.", "Correct --endpoints."),
    finding(
        "disk",
        "Free space of the disk of a member.",
        "Make room before it is full: the member stops when a write fails.",
    ),
    finding(
        "owner",
        "The owner of the files below the data directory. Files of another user cannot be opened by the daemon; nothing is lost.",
        "The chown that the finding shows, then systemctl start etcd-server. Never run etcd-server as root there.",
    ),
    finding(
        "peer",
        "The peer URLs of the other members, tried from this host with its own certificate.",
        "The finding names the step that failed.",
    ),
    finding(
        "snapshot",
        "The timer of snapshots on this host and its last run. The leader's host saves, the others skip.",
        "journalctl -u etcd-snapshot.service has the reason of a failure; systemctl enable --now etcd-snapshot.timer",
    ),
    finding(
        "disk-sync",
        "How long a small write takes until it is on the disk.",
        "A faster disk, or longer heartbeat and election times.",
    ),
    finding(
        "revocation-list",
        "A listener with a revocation list refuses every certificate of a CA whose list is missing or has expired.",
        "etcd-admin crl publish where the CA's key is, then etcd-admin cert install on every member.",
    ),
    finding(
        "packages",
        "A distribution's etcd package was removed and not purged. Its purge deletes /var/lib/etcd.",
        "Move the data away, purge the package, move the data back.",
    ),
    finding("disk-space", "Free room below the data.", "A larger disk, or a smaller quota."),
    finding("disk-write", "Whether the disk can be written.", "Check permissions and mounts."),
    finding("file-system", "The filesystem of the data directory.", "A local one."),
    finding("clock", "Whether something keeps the clock right.", "chrony or systemd-timesyncd."),
    finding("port", "Whether a port can be had.", "Stop what holds it, or choose another one."),
    finding("name", "Whether a host's name is known here.", "DNS or /etc/hosts."),
    finding(
        "certificate",
        "Whether a certificate, its key and its CA fit.",
        "etcd-admin cert verify, etcd-admin init apply.",
    ),
    finding("tls", "Whether connections are encrypted.", "tls.enabled in cluster.yaml."),
    finding("configuration", "Whether the daemon would take its configuration.", "Mend what is named."),
    finding("process", "Whether a daemon uses the data.", "systemctl status etcd-server."),
    finding("unit", "How systemd saw the daemon last.", "journalctl -u etcd-server."),
    finding("data", "What a data directory holds.", "etcd-admin doctor offline."),
    finding("log", "Whether the log holds what was promised.", "etcd-admin member rebuild."),
    finding("membership", "Whether the data's member is one.", "Move it away before the member is added again."),
    finding("format", "Whose data it is.", "etcd-admin adopt."),
    finding("mode", "Permissions of the data directory.", "chmod 0700."),
    finding("migration", "Members of etcd and of this server are in one cluster.", "etcd-admin migrate status."),
    finding(
        "hold",
        "The cluster version is kept, so that members of etcd 3.5 or 3.6 may return.",
        "etcd-admin migrate commit releases it; etcd-admin migrate rollback returns to etcd.",
    ),
    finding("voters", "Enough members vote for one of them to be replaced.", "Add members first."),
    finding("downgrade", "A downgrade of the cluster is in progress.", "Finish it, or etcdctl downgrade cancel."),
    finding("v2-keys", "Keys of the v2 API, which etcd 3.6 and later do not have.", "Move them to the v3 API."),
    finding("setting", "A setting that has another value on another member.", "Set the same value on all members."),
    finding("data-dir", "The data directory that the configuration of an etcd names.", "Write its absolute path."),
    finding("wal-dir", "The log of an etcd beside its data directory.", "Move it into the data directory."),
    finding("file", "A file that the user etcd must read.", "chown, chmod, or another path."),
    finding("leases", "All members have the same leases.", "etcd-admin migrate rollback, if they differ."),
    finding("users", "All members have the same users.", "etcd-admin migrate rollback, if they differ."),
    finding("roles", "All members have the same roles.", "etcd-admin migrate rollback, if they differ."),
    finding("alarms", "All members have the same alarms.", "etcd-admin migrate verify again after some seconds."),
];
