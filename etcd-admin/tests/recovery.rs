//! Most members are lost for good: what survives becomes a new cluster, step by step, and the old
//! members stay out.

use crate::mistakes::StopsAtTheEnd;
use crate::servers::{cluster, our_daemon, runtime, settings};
use crate::tool::Tool;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use testbed::{Place, Server};

/// Every file below a directory with its length.
fn tree(dir: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(
                tree(&path).into_iter().map(|(below, length)| (Path::new(&entry.file_name()).join(below), length)),
            );
        } else {
            found.push((PathBuf::from(entry.file_name()), entry.metadata().unwrap().len()));
        }
    }
    found.sort();
    found
}

/// Starts members on the data that was made for them; returns when all answer.
async fn serve(tool: &Tool, places: &[Place]) -> Vec<Server> {
    let entries = places.iter().map(Place::entry).collect::<Vec<_>>().join(",");
    let mut members = Vec::new();
    for place in places {
        let flags = vec!["--initial-cluster".to_owned(), entries.clone()];
        let mut server = Server::launch(settings(&our_daemon()), place.clone(), flags).unwrap();
        server.kill();
        std::fs::remove_dir_all(server.data_dir()).ok();
        let copied =
            Command::new("cp").arg("-a").arg(tool.path("new").join(&place.name)).arg(server.data_dir()).status();
        assert!(copied.unwrap().success());
        server.relaunch().unwrap();
        members.push(server);
    }
    for member in &mut members {
        member.healthy().await.unwrap();
    }
    members
}

/// Gives the data to another user, as a daemon's user owns it where an operator is root. Others than
/// root cannot.
fn give_away(data_dir: &str) {
    drop(Command::new("chown").args(["-R", "54321:54321", data_dir]).stderr(std::process::Stdio::null()).status());
}

/// Copies the data as an interrupted `recover apply` has copied it.
fn lay_out_donor(tool: &Tool, data_dir: &str) {
    let donor = tool.path("donor");
    let copied = Command::new("cp").args(["-a", "--no-preserve=ownership", data_dir]).arg(&donor).status().unwrap();
    assert!(copied.success());
    std::fs::create_dir(tool.path("new/.recovery")).unwrap();
    std::fs::rename(donor, tool.path("new/.recovery/donor")).unwrap();
}

#[test]
fn one_of_three_survives_and_nothing_that_it_held_is_lost() {
    let (runtime, tool) = (runtime(), Tool::new());
    let mut cluster = runtime.block_on(cluster(3));
    let endpoint = cluster.members[0].endpoint();
    let lines: String = (0..100).map(|number| format!("put key{number:03} value\n")).collect();
    for round in 0..3 {
        tool.run_with(&format!("etcdctl --endpoints {endpoint} txn"), &format!("\n{lines}put round {round}\n\n\n"))
            .good();
    }
    let survivor = cluster.members[0].data_dir().display().to_string();
    let plan =
        |more: &str| format!("recover plan {survivor} --output-dir new --initial-cluster x=http://127.0.0.1:1 {more}");
    tool.run(&format!("recover inspect {survivor}")).ends(7, "is in use: stop its member first");
    tool.run(&plan(&format!("--endpoints {endpoint}"))).ends(0, "Nothing to do");

    // Two are gone with their data; the third is killed where it stands.
    cluster.members.truncate(1);
    cluster.members[0].kill();
    give_away(&survivor);
    let found = tool.json(&format!("recover inspect {survivor} /nowhere"));
    assert_eq!(
        (found["survivors"][0]["name"].as_str(), found["lost"].as_array().unwrap().len()),
        (Some("m1"), 1),
        "{found}"
    );
    let places = ["r1", "r2", "r3"].map(|name| Place::free(name).unwrap());
    let entries = places.each_ref().map(Place::entry).join(",");
    let plan = format!("recover plan {survivor} --output-dir new --initial-cluster {entries} --endpoints {endpoint}");
    tool.run(&plan).ends(0, "Next: etcd-admin recover apply");
    tool.run(&plan).ends(5, "is there already");
    tool.run("recover apply recovery-plan.json").ends(9, "confirm with --yes");
    let before = tree(Path::new(&survivor));
    tool.run("recover apply recovery-plan.json --yes").ends(0, "is ready");

    let plan = std::fs::read_to_string(tool.path("recovery-plan.json")).unwrap();
    let new_id = serde_json::from_str::<serde_json::Value>(&plan).unwrap()["cluster_id"].as_str().unwrap().to_owned();
    let aside = PathBuf::from(format!("{survivor}.aside-{new_id}"));
    assert!(!Path::new(&survivor).exists() && tree(&aside) == before);

    // The same again changes nothing; an interruption before each step is made good.
    assert_eq!(tool.json("recover apply recovery-plan.json --yes")["changed"], false);
    for (journal, gone) in [
        (r#"{"done":["copied","recovered","restored"],"revision":REV,"hash_kv":0}"#, vec![]),
        (r#"{"done":["copied","recovered"],"revision":REV,"hash_kv":0}"#, vec!["new/r2"]),
        (r#"{"done":["copied"],"revision":0,"hash_kv":0}"#, vec!["new/r1", "new/r2", "new/r3", "new/recovered.db"]),
        (r#"{"done":[],"revision":0,"hash_kv":0}"#, vec!["new/r1", "new/r2", "new/r3", "new/recovered.db"]),
    ] {
        let journaled = std::fs::read_to_string(tool.path("recovery-plan.journal")).unwrap();
        let revision = serde_json::from_str::<serde_json::Value>(&journaled).unwrap()["revision"].to_string();
        std::fs::write(tool.path("recovery-plan.journal"), journal.replace("REV", &revision)).unwrap();
        for path in gone {
            let path = tool.path(path);
            if path.is_dir() { std::fs::remove_dir_all(path).unwrap() } else { std::fs::remove_file(path).unwrap() }
        }
        std::fs::rename(&aside, &survivor).unwrap();
        if journal.contains("[\"copied\"]") {
            lay_out_donor(&tool, &survivor);
        }
        assert_eq!(tool.json("recover apply recovery-plan.json --yes")["changed"], true, "{journal}");
    }
    assert!(!Path::new(&survivor).exists() && tree(&aside) == before, "what survived is beside its place, as it was");
    let note = std::fs::read_to_string(aside.with_extension(format!("{}.note", aside.extension().unwrap().display())))
        .unwrap();
    assert!(note.contains("The data of member m1 ("), "{note}");

    let members = runtime.block_on(serve(&tool, &places));
    let endpoints = members.iter().map(Server::endpoint).collect::<Vec<_>>().join(",");
    tool.run(&format!("recover verify recovery-plan.json --endpoints {endpoints}")).ends(0, "serves with 3 members");
    let ctl = |args: &str| tool.run(&format!("etcdctl --endpoints {endpoints} {args}")).good();
    assert_eq!(ctl("get round --print-value-only"), "2\n");
    assert_eq!(ctl("get key --prefix --keys-only").split_whitespace().count(), 100);
    ctl("put after recovery");
}

/// Puts one after another, and tells the last that was acknowledged; at most one came after it.
fn write(tool: &Tool, endpoints: &str, stop: &AtomicBool) -> u64 {
    let mut acknowledged = 0;
    while !stop.load(Ordering::Relaxed) {
        let put = format!("etcdctl --endpoints {endpoints} put count {} --command-timeout 2s", acknowledged + 1);
        if tool.run(&put).code == Some(0) {
            acknowledged += 1;
        }
    }
    acknowledged
}

#[test]
fn three_of_five_are_destroyed_under_load_and_the_newest_survivor_leads_out() {
    let (runtime, tool) = (runtime(), Tool::new());
    let mut cluster = runtime.block_on(cluster(5));
    let endpoints = cluster.members[..3].iter().map(Server::endpoint).collect::<Vec<_>>().join(",");
    // The last one is down early, and so knows less than the others.
    tool.run(&format!("etcdctl --endpoints {endpoints} put early x")).good();
    cluster.members[4].kill();
    let (writer, stop) = (Tool::new(), AtomicBool::new(false));
    let acknowledged = std::thread::scope(|scope| {
        let written = scope.spawn(|| write(&writer, &endpoints, &stop));
        let (begun, stopped) = (Instant::now(), StopsAtTheEnd(&stop));
        while tool
            .run(&format!("etcdctl --endpoints {endpoints} get count --print-value-only"))
            .out
            .trim()
            .parse()
            .unwrap_or(0)
            < 20
        {
            assert!(begun.elapsed() < Duration::from_secs(120), "nothing is written");
        }
        for member in &mut cluster.members[..3] {
            member.kill();
            std::fs::remove_dir_all(member.data_dir()).unwrap();
        }
        drop(stopped);
        written.join().unwrap()
    });
    cluster.members[3].kill();
    let lost = Instant::now();
    let (newest, oldest) =
        (cluster.members[3].data_dir().display().to_string(), cluster.members[4].data_dir().display().to_string());
    // The new members live where three of the old ones did.
    let places = [0, 1, 2].map(|member: usize| cluster.members[member].place().clone());
    let entries = places.each_ref().map(Place::entry).join(",");
    let found = tool.json(&format!("recover inspect {oldest} {newest}"));
    assert_eq!(found["survivors"][0]["name"], "m4", "{found}");
    tool.run(&format!("recover plan {oldest} {newest} --output-dir new --initial-cluster {entries}")).good();
    tool.run("recover apply recovery-plan.json --yes").good();
    let members = runtime.block_on(serve(&tool, &places));
    let endpoints = members.iter().map(Server::endpoint).collect::<Vec<_>>().join(",");
    tool.run(&format!("recover verify recovery-plan.json --endpoints {endpoints}")).ends(0, "serves with 3 members");
    println!(
        "served again {:?} after three of five were lost, with {acknowledged} puts acknowledged before",
        lost.elapsed()
    );

    let output: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(tool.path("recovery-plan.journal")).unwrap()).unwrap();
    let count = tool.run(&format!("etcdctl --endpoints {endpoints} get count --print-value-only")).good();
    let count: u64 = count.trim().parse().unwrap();
    // It voted with the quorum at times only: what it did not hold is lost, and nothing else.
    assert!(count <= acknowledged + 1, "{count} of {acknowledged}: {output}");
    // The first revision is 1, and one key was put before. A put whose outcome the writer did not
    // learn may have been made twice, so the versions of the key are counted.
    let kept = tool.run(&format!("etcdctl --endpoints {endpoints} get count -w json")).good();
    let kept: serde_json::Value = serde_json::from_str(&kept).unwrap();
    let versions = kept["kvs"][0]["version"].as_u64().unwrap();
    assert_eq!(Some(versions + 2), output["revision"].as_u64(), "{output}");
    must_stay_out(&mut cluster.members[4], &oldest, &members[0]);
}

/// An old member that comes back on its own data is told by each of the new ones that it is of
/// another cluster.
fn must_stay_out(old: &mut Server, data: &str, new: &Server) {
    let aside = std::fs::read_dir(Path::new(data).parent().unwrap()).unwrap().flatten();
    let aside = aside
        .map(|entry| entry.path())
        .find(|path| path.is_dir() && path.display().to_string().contains(".aside-"))
        .unwrap();
    std::fs::rename(aside, data).unwrap();
    old.relaunch().unwrap();
    let begun = Instant::now();
    while !old.log_tail().contains("cluster ID mismatch") {
        assert!(old.is_running() && begun.elapsed() < Duration::from_secs(120), "nobody objects: {}", old.log_tail());
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = Tool::new().run(&format!("etcdctl --endpoints {} member list -w json", new.endpoint())).good();
    let output: serde_json::Value = serde_json::from_str(&output).unwrap();
    let names: Vec<_> =
        output["members"].as_array().unwrap().iter().map(|member| member["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
}
