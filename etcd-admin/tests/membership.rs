//! Members come and go: careful, resumable, and never at the cost of the quorum.

use crate::servers::{cluster, our_daemon, runtime, settings};
use crate::tool::Tool;
use testbed::{Cluster, Place, Server};

/// The tool at members of the cluster that run.
fn at(tool: &Tool, cluster: &mut Cluster, args: &str) -> crate::tool::Ended {
    let endpoints: Vec<String> =
        cluster.members.iter_mut().filter_map(|member| member.is_running().then(|| member.endpoint())).collect();
    tool.run(&format!("{args} --endpoints {} --command-timeout 10s", endpoints.join(",")))
}

fn json(tool: &Tool, cluster: &mut Cluster, args: &str) -> serde_json::Value {
    serde_json::from_str(&at(tool, cluster, &format!("-o json {args}")).good()).unwrap()
}

/// Starts the member that the tool added.
fn launch(place: &Place, response: &serde_json::Value) -> Server {
    let flags =
        response["start_with"].as_array().unwrap().iter().flat_map(|flag| flag.as_str().unwrap().split_whitespace());
    let flags: Vec<String> = flags.map(str::to_owned).collect();
    let wanted = |name: &str| {
        flags.iter().position(|flag| flag == name).map(|at| [flags[at].clone(), flags[at + 1].clone()]).unwrap()
    };
    let flags = [wanted("--initial-cluster"), wanted("--initial-cluster-state")].concat();
    Server::launch(settings(&our_daemon()), place.clone(), flags).unwrap()
}

#[test]
fn three_become_four_become_three_and_a_dead_one_is_replaced() {
    let (runtime, tool) = (runtime(), Tool::new());
    let mut cluster = runtime.block_on(cluster(3));
    let status = json(&tool, &mut cluster, "status");
    assert_eq!(
        (status["healthy"].as_bool(), status["voters"].as_u64(), status["tolerated"].as_u64()),
        (Some(true), Some(3), Some(1)),
        "{status}"
    );
    at(&tool, &mut cluster, "member ok-to-stop m1").ends(0, "ok: stop m1");
    at(&tool, &mut cluster, "member ok-to-stop m1 m2").ends(3, "NOT OK");
    at(&tool, &mut cluster, "member ok-to-remove m3").ends(0, "2 of 2 voters remain");

    // Grow: an interrupted run is one that stops after any step; the next one goes on.
    let place = Place::free("m4").unwrap();
    let add = format!("member add m4 --peer-urls {} --no-wait", place.peer_url());
    at(&tool, &mut cluster, &format!("--dry-run {add}")).ends(0, "would add m4 as a learner");
    let added = json(&tool, &mut cluster, &add);
    assert_eq!(added["changed"], true);
    assert_eq!(json(&tool, &mut cluster, &add)["changed"], false, "the same again changes nothing");
    for (mistake, code, says) in [
        (
            format!("member add m5 --peer-urls {}", place.peer_url().replace(&place.peer_port.to_string(), "1")),
            5,
            "was added and never started",
        ),
        ("member add m6 --peer-urls https://127.0.0.1:1".to_owned(), 5, "all members have http peer URLs"),
        (format!("member add m6 --peer-urls {}", cluster.members[0].peer_url()), 5, "m1 has these peer URLs already"),
        ("member add m6 --peer-urls nonsense".to_owned(), 2, "nonsense"),
        ("member remove m".to_owned(), 5, "no member is called m; there are"),
        ("member remove abc".to_owned(), 0, "no member has the id abc (there are"),
        ("member promote nobody".to_owned(), 5, "no member is called nobody"),
        ("member remove m1".to_owned(), 9, "confirm with --yes"),
        ("leader move --to nobody".to_owned(), 5, "no member is called nobody"),
        (
            format!("member update m1 --peer-urls {}", cluster.members[1].peer_url()),
            5,
            "m2 has one of these peer URLs already",
        ),
    ] {
        at(&tool, &mut cluster, &mistake).ends(code, says);
    }
    cluster.members.push(launch(&place, &added));
    let promoted = json(&tool, &mut cluster, &format!("member add m4 --peer-urls {}", place.peer_url()));
    assert_eq!(promoted["changed"], true, "the first run's second half");
    assert_eq!(json(&tool, &mut cluster, "member promote m4")["changed"], false);
    assert_eq!(json(&tool, &mut cluster, "status")["voters"], 4);

    // Leadership.
    let moved = json(&tool, &mut cluster, "leader move --to m4");
    assert_eq!((moved["changed"].as_bool(), moved["to"].as_str()), (Some(true), Some("m4")));
    assert_eq!(json(&tool, &mut cluster, "leader move --to m4")["changed"], false);
    assert_eq!(json(&tool, &mut cluster, "leader show")["name"], "m4");

    // Shrink: the leader goes, and hands over before.
    let removed = json(&tool, &mut cluster, "member remove m4 --yes");
    assert_eq!(removed["steps"].as_array().unwrap().len(), 2, "{removed}");
    // A second run by id is done already; by name it may be a slip of the pen.
    let again = format!("member remove {} --yes", removed["id"].as_str().unwrap());
    assert_eq!(json(&tool, &mut cluster, &again)["changed"], false);
    at(&tool, &mut cluster, "member remove m4 --yes").ends(5, "no member is called m4");
    cluster.members.pop();

    // The first member dies. Changes that lose the quorum are refused; changes that restore it are not.
    let lost = cluster.members.remove(0);
    drop(lost);
    at(&tool, &mut cluster, "member remove m2 --yes").ends(5, "m2 stays: 2 of 2 voters are needed");
    at(&tool, &mut cluster, "member ok-to-stop m3").ends(3, "NOT OK");
    at(&tool, &mut cluster, "status").ends(3, "NOT HEALTHY");
    let place = Place::free("m5").unwrap();
    let replace = format!("member replace m1 --with m5 --peer-urls {} --yes", place.peer_url());
    let replaced = json(&tool, &mut cluster, &format!("{replace} --no-wait"));
    assert_eq!(replaced["changed"], true);
    cluster.members.push(launch(&place, &replaced));
    assert_eq!(json(&tool, &mut cluster, &replace)["changed"], true, "goes on where it stopped");
    assert_eq!(json(&tool, &mut cluster, &replace)["changed"], false);
    let status = json(&tool, &mut cluster, "status");
    assert_eq!((status["healthy"].as_bool(), status["voters"].as_u64()), (Some(true), Some(3)), "{status}");
    at(&tool, &mut cluster, "member list").ends(0, "m5");
}
