//! Members and versions as others read them.

use membership::{Member, Version, attributes_from_json, is_ready};
use types::MemberId;

#[test]
fn learner_is_ready_with_nine_tenths() {
    for (learner, leader, ready) in [
        (0, 0, true),
        (89, 100, false),
        (90, 100, true),
        (100, 100, true),
        (9, 11, false),
        (10, 11, true),
        (0, 1, false),
        (1, 1, true),
        (u64::MAX / 10 * 9, u64::MAX, false),
        (u64::MAX, u64::MAX, true),
    ] {
        assert_eq!(is_ready(learner, leader), ready, "{learner} of {leader}");
    }
}

#[test]
fn attributes_of_old_members_are_read() {
    for (json, expected) in [
        (r#"{"name":"m1","clientURLs":["http://a:1","http://b:2"]}"#, Some(("m1", &["http://a:1", "http://b:2"][..]))),
        (r#"{"name":"m1","clientURLs":null,"more":1}"#, Some(("m1", &[]))),
        ("{}", Some(("", &[]))),
        (r#"{"name":1}"#, None),
        ("{", None),
    ] {
        let read = attributes_from_json(json.as_bytes()).ok();
        let expected = expected
            .map(|(name, urls)| (name.to_owned(), urls.iter().map(|url| (*url).to_owned()).collect::<Vec<_>>()));
        assert_eq!(read, expected, "{json}");
    }
}

#[test]
fn member_is_answered_with_all_fields() {
    let urls = |text: &str| vec![format!("http://{text}")];
    let member = Member {
        id: MemberId(7),
        peer_urls: urls("p"),
        is_learner: true,
        name: "m".to_owned(),
        client_urls: urls("c"),
    };
    let wire = member.to_wire();
    assert_eq!((wire.id, wire.name.as_str(), wire.is_learner), (7, "m", true));
    assert_eq!((wire.peer_ur_ls, wire.client_ur_ls), (urls("p"), urls("c")));
}

#[test]
fn versions_have_a_short_form() {
    let version = Version::new(3, 12, 4);
    assert_eq!(
        (version.minor_text(), version.as_cluster(), version.to_string()),
        ("3.12".to_owned(), "3.12".to_owned(), "3.12.4".to_owned())
    );
}
