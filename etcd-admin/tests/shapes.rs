//! The output of each command with `-o json`: names and kinds of all fields, as one golden file, so
//! that no script is broken by accident. `ETCD_ADMIN_RECORD_SHAPES=1` writes it anew.

use crate::servers::{cluster, runtime};
use crate::tool::Tool;
use serde_json::Value;
use std::path::Path;
use testbed::Server;

/// Names of fields with the kinds of their values. Of a list, the first one's; values say nothing
/// here.
fn shape(value: &Value, depth: usize) -> String {
    let indent = "  ".repeat(depth);
    match value {
        Value::Null => "null\n".to_owned(),
        Value::Bool(_) => "true or false\n".to_owned(),
        Value::Number(_) => "number\n".to_owned(),
        Value::String(_) => "text\n".to_owned(),
        Value::Array(values) => match values.first() {
            None => "list, empty\n".to_owned(),
            Some(first) => format!("list of {}", shape(first, depth)),
        },
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("{indent}  {name}: {}", shape(value, depth + 1)));
            format!("object\n{}", fields.collect::<String>())
        }
    }
}

#[test]
fn answers_keep_their_shape() {
    let (runtime, tool) = (runtime(), Tool::with_cas());
    let cluster = runtime.block_on(cluster(3));
    let at = format!("--endpoints {}", cluster.members.iter().map(Server::endpoint).collect::<Vec<_>>().join(","));
    tool.run(&format!("wait --for healthy {at}")).good();
    tool.run(&format!("put a b {at}")).good();
    std::fs::write(
        tool.path("cluster.yaml"),
        "name: t\ntoken: t\nmembers: [{name: h1, host: 127.0.0.1}, {name: h2, host: 127.0.0.2}, {name: h3, host: 127.0.0.3}]\ntls: {enabled: false}\n",
    )
    .unwrap();
    let pass = "--passphrase-file passphrase";
    let commands = [
        format!("status {at}"),
        format!("wait --for quorum {at}"),
        format!("doctor cluster {at}"),
        format!("roll restart {at}"),
        format!("leader show {at}"),
        format!("leader move --to m1 {at}"),
        format!("member ok-to-stop m1 {at}"),
        format!("member ok-to-remove m1 {at}"),
        format!("member add m4 --peer-urls http://127.0.0.1:1 --dry-run {at}"),
        format!("member remove m3 --dry-run {at}"),
        format!("member replace m3 --with m4 --peer-urls http://127.0.0.1:1 --dry-run {at}"),
        format!("maintenance reclaim --dry-run {at}"),
        format!("snapshot save one.db {at}"),
        "snapshot status one.db".to_owned(),
        "snapshot verify one.db".to_owned(),
        "snapshot list .".to_owned(),
        "snapshot copy one.db two.db".to_owned(),
        "snapshot prune . --keep-last 5".to_owned(),
        "snapshot restore one.db --dry-run --name h1 --initial-cluster h1=http://127.0.0.1:1 --data-dir new".to_owned(),
        "init render --out hosts".to_owned(),
        "init plan --member h1 --root host".to_owned(),
        "init apply --member h1 --root host".to_owned(),
        "preflight --member h1 --no-probe".to_owned(),
        "bench fsync --dir . --writes 10".to_owned(),
        format!("support bundle --config none --log none --out bundle --interval 1ms {at}"),
        "explain NOSPACE".to_owned(),
        "ca show".to_owned(),
        format!("cert issue client --cn alice {pass}"),
        "cert inspect client-alice.crt".to_owned(),
        "cert status .".to_owned(),
        "cert revoke client-alice.crt".to_owned(),
        format!("crl publish --kind client {pass}"),
        "crl show pki/client/crl.pem".to_owned(),
    ];
    let mut output = String::new();
    for args in commands {
        let ended = tool.run(&format!("-o json {args}"));
        let mut response: Value = serde_json::from_str(&ended.out)
            .unwrap_or_else(|error| panic!("{args}: {error}: {}{}", ended.out, ended.complaint));
        // A problem of the machine that runs the test, such as a full disk, is no part of the shape.
        if let Some(problems) = response.get_mut("problems") {
            *problems = Value::Array(Vec::new());
        }
        let verb = args.split(&at).next().unwrap_or_default().trim();
        output += &format!("etcd-admin {verb}\n{}\n", shape(&response, 0));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shapes.txt");
    if std::env::var_os("ETCD_ADMIN_RECORD_SHAPES").is_some() {
        std::fs::write(&path, &output).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(output == kept, "answers differ from {}:\n{output}", path.display());
}
