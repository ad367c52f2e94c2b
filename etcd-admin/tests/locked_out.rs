//! Root's password is lost: the way back in, by a member that is stopped, with the others running.

use crate::servers::{cluster, runtime};
use crate::tool::Tool;
use testbed::Server;

#[test]
fn root_comes_back_in_and_nothing_else_changes() {
    let (runtime, tool) = (runtime(), Tool::new());
    let mut cluster = runtime.block_on(cluster(3));
    let entries = cluster.members.iter().map(|member| member.place().entry()).collect::<Vec<_>>().join(",");
    let others = cluster.members[1..].iter().map(Server::endpoint).collect::<Vec<_>>().join(",");
    let at = format!("--endpoints {others} --command-timeout 30s");
    for args in ["user add root:lost", "role add root", "user grant-role root root", "put a b", "auth enable"] {
        tool.run(&format!("{args} {at}")).good();
    }
    tool.run(&format!("get a {at} --user root:guess")).ends(6, "invalid user ID or password");
    let member = &mut cluster.members[0];
    let place = member.place().clone();
    let text = format!(
        "name: {}\ndata-dir: {}\nlisten-client-urls: {client}\nadvertise-client-urls: {client}\nlisten-peer-urls: {peer}\n\
         initial-advertise-peer-urls: {peer}\ninitial-cluster: {entries}\nheartbeat-interval: 100\nelection-timeout: 1000\n",
        place.name,
        member.data_dir().display(),
        client = member.endpoint(),
        peer = place.peer_url(),
    );
    std::fs::write(tool.path("etcd.yaml"), text).unwrap();
    certs::files::create(&tool.path("password"), b"found again\n", 0o600).unwrap();
    let rescue = "auth rescue --config etcd.yaml --new-password-file password";
    tool.run(rescue).ends(5, "is in use");
    member.kill();
    tool.run(rescue).ends(9, "confirm with --yes");
    tool.run(&format!("{rescue} --yes --dry-run")).ends(0, "would start member");
    tool.run("auth rescue --config etcd.yaml --yes").ends(2, "--new-password-file");
    let text = tool.json(&format!("{rescue} --yes"));
    assert_eq!((text["changed"].as_bool(), text["disabled"].as_bool()), (Some(true), Some(false)), "{text}");
    // All members know the new password, and the old one is gone.
    for other in &cluster.members[1..] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_etcd-admin"));
        command.args([
            "get",
            "a",
            "--print-value-only",
            "--user",
            "root",
            "--password",
            "found again",
            "--command-timeout",
            "30s",
        ]);
        let out = command.args(["--endpoints", &other.endpoint()]).env_clear().output().unwrap();
        assert_eq!(String::from_utf8_lossy(&out.stdout), "b\n", "{}", String::from_utf8_lossy(&out.stderr));
    }
    tool.run(&format!("get a {at} --user root:lost")).ends(6, "invalid user ID or password");
    // Or nobody has to log in any more; then there is nothing left to rescue.
    assert_eq!(tool.json("auth rescue --config etcd.yaml --disable --yes")["changed"], true);
    tool.run(&format!("get a {at}")).ends(0, "b");
    assert_eq!(tool.json("auth rescue --config etcd.yaml --disable --yes")["changed"], false);
    cluster.members[0].relaunch().unwrap();
    runtime.block_on(cluster.members[0].healthy()).unwrap();
}
