//! Peer URLs as `MemberAdd` takes them, and the normal form that goes into ids and records.

/// At least one URL is not as it must be, or there is none: "given member URLs are invalid".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} is not a member URL")]
pub struct BadUrls {
    /// The first offender; empty when none was given.
    pub url: String,
}

/// Checks and sorts URLs: http or https with host and port, unix or unixs; no path. Space around a
/// URL is dropped.
pub fn normalise(urls: &[String]) -> Result<Vec<String>, BadUrls> {
    if urls.is_empty() {
        return Err(BadUrls { url: String::new() });
    }
    let mut normal = urls
        .iter()
        .map(|url| normal_form(url).ok_or_else(|| BadUrls { url: url.clone() }))
        .collect::<Result<Vec<_>, _>>()?;
    normal.sort();
    Ok(normal)
}

fn normal_form(url: &str) -> Option<String> {
    let (scheme, rest) = url.trim().split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let sound = match scheme.as_str() {
        "http" | "https" => is_host_and_port(rest),
        "unix" | "unixs" => !rest.is_empty(),
        _other => false,
    };
    sound.then(|| format!("{scheme}://{rest}"))
}

/// The host may be empty, as in `http://:2380`; an IPv6 address must be in brackets.
fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let sound_host = match host.strip_prefix('[') {
        Some(address) => address.strip_suffix(']').is_some_and(|address| !address.contains(['[', ']'])),
        None => !host.contains([':', '[', ']']),
    };
    let plain = !text.contains(['/', '?', '#', '@', '%']) && !text.contains(char::is_whitespace);
    sound_host && plain && port.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_urls_are_sorted_and_trimmed() {
        let given = [
            " https://b:1".to_owned(),
            "http://[::1]:2380".to_owned(),
            "unix://sock:1".to_owned(),
            "HTTP://:1".to_owned(),
        ];
        assert_eq!(normalise(&given).unwrap(), ["http://:1", "http://[::1]:2380", "https://b:1", "unix://sock:1"]);
    }

    #[test]
    fn others_are_refused() {
        for url in [
            "",
            "http://a",
            "a:1",
            "ftp://a:1",
            "http://a:1/",
            "http://a:1/p",
            "http://::1:2380",
            "http://a:x",
            "http://a b:1",
        ] {
            assert!(normalise(&[url.to_owned()]).is_err(), "{url:?}");
        }
        assert!(normalise(&[]).is_err());
    }
}
