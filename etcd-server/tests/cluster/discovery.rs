//! Members that find each other: by signing up at another cluster, and by SRV records.

use crate::support::{OURS, PATIENCE, all_equal, put, settings};
use hickory_resolver::proto::op::{Message, MessageType};
use hickory_resolver::proto::rr::rdata::{A, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use testbed::{Cluster, Place, Server, Settings};

fn places(count: usize) -> Vec<Place> {
    (1..=count).map(|number| Place::free(format!("m{number}")).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_sign_up_at_another_cluster_and_the_fourth_is_one_too_many() {
    let registry = Cluster::start(settings(&[]), 1).await.unwrap();
    let endpoint = registry.members[0].endpoint();
    let flags: Vec<String> =
        ["--discovery-token", "hush", "--discovery-endpoints", &endpoint].map(str::to_owned).to_vec();
    refused(&flags, "discovery: size key not found");
    put(&mut registry.kv(0).await.unwrap(), "/_etcd/registry/hush/_config/size", "3").await.unwrap();
    let cluster = Cluster::start_at(settings(&[]), places(3), &flags).await.unwrap();
    put(&mut cluster.kv(2).await.unwrap(), "k", "v").await.unwrap();
    assert_eq!(cluster.list(0).await.unwrap().len(), 3);
    assert!(all_equal(&cluster.hashes().await.unwrap()));
    let log = refused(&flags, "discovery: cluster is full");
    assert!(log.contains("do not reuse discovery token"), "{log}");
}

/// A further member must not start, for this reason.
fn refused(flags: &[String], reason: &str) -> String {
    let mut member = Server::launch(settings(&[]), Place::free("late").unwrap(), flags.to_vec()).unwrap();
    let ended = member.wait_for_end(PATIENCE).unwrap();
    let log = member.log_tail();
    assert_eq!(ended.code(), Some(1), "{log}");
    assert!(log.contains(&format!("failed to join discovery cluster ({reason})")), "{log}");
    assert!(!member.data_dir().exists(), "nothing is made");
    log
}

/// A name server on an address of its own on loopback, for the domain `etcd.test`.
fn serve_names(socket: UdpSocket, ports: Vec<u16>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut buffer) {
            let Ok(asked) = Message::from_vec(&buffer[..length]) else { continue };
            let Some(query) = asked.queries.first() else { continue };
            let mut answer = Message::new(asked.metadata.id, MessageType::Response, asked.metadata.op_code);
            answer.queries.push(query.clone());
            let name = query.name().clone();
            let record = |data| Record::from_rdata(name.clone(), 60, data);
            if query.query_type() == RecordType::SRV && name.to_ascii() == "_etcd-server-blue._tcp.etcd.test." {
                let target = |number: usize| Name::from_ascii(format!("m{number}.etcd.test.")).unwrap();
                let srv = |(index, port): (usize, &u16)| RData::SRV(SRV::new(0, 0, *port, target(index + 1)));
                answer.answers.extend(ports.iter().enumerate().map(srv).map(record));
            } else if query.query_type() == RecordType::A {
                answer.answers.push(record(RData::A(A(Ipv4Addr::LOCALHOST))));
            }
            drop(socket.send_to(&answer.to_vec().unwrap(), client));
        }
    });
}

/// Returns a command that runs the daemon with a name server of its own, invisible to other
/// processes.
fn with_name_server(dir: &Path, address: Ipv4Addr) -> String {
    let resolver = dir.join("resolv.conf");
    std::fs::write(&resolver, format!("nameserver {address}\n")).unwrap();
    let command = dir.join("start");
    let mount = format!("mount --bind {} /etc/resolv.conf && exec {OURS} \"$@\"", resolver.display());
    std::fs::write(&command, format!("#!/bin/sh\nexec unshare --mount sh -c '{mount}' sh \"$@\"\n")).unwrap();
    std::fs::set_permissions(&command, std::fs::Permissions::from_mode(0o755)).unwrap();
    command.display().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_are_found_by_srv_records() {
    let address = Ipv4Addr::new(127, 53, 0, 53);
    let Ok(socket) = UdpSocket::bind((address, 53)) else {
        skip::report("port 53 cannot be bound here");
        return;
    };
    if !std::process::Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|status| status.success()) {
        skip::report("no mount namespaces here");
        return;
    }
    let places = places(3);
    serve_names(socket, places.iter().map(|place| place.peer_port).collect());
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { command: with_name_server(dir.path(), address), ..settings(&[]) };
    let flags = ["--discovery-srv", "etcd.test", "--discovery-srv-name", "blue"].map(str::to_owned);
    let cluster = Cluster::start_at(settings.clone(), places, &flags).await.unwrap();
    put(&mut cluster.kv(1).await.unwrap(), "k", "v").await.unwrap();
    let urls: Vec<_> = cluster.list(0).await.unwrap().into_iter().flat_map(|member| member.peer_ur_ls).collect();
    assert_eq!(urls.iter().filter(|url| url.contains(".etcd.test:")).count(), 3, "{urls:?}");
    // A server that is not in the records stays away.
    let mut stranger = Server::launch(settings, Place::free("stranger").unwrap(), flags.to_vec()).unwrap();
    assert_eq!(stranger.wait_for_end(PATIENCE).unwrap().code(), Some(1));
    let log = stranger.log_tail();
    assert!(log.contains("cannot find local etcd member \\\"stranger\\\" in SRV records"), "{log}");
}
