//! Who a service is: names of users and groups, looked up in its root's own files.

use crate::archive::Tree;
use kodo_config::cluster::User;
use kodo_config::start::Identity;

/// A line of `/etc/passwd` or `/etc/group`, by its fields.
fn lines(tree: &Tree, path: &str) -> Vec<Vec<String>> {
    let text = tree
        .content(path)
        .map(|content| String::from_utf8_lossy(content).into_owned());
    let text = text.unwrap_or_default();
    let fields = |line: &str| line.split(':').map(str::to_owned).collect();
    text.lines().map(fields).collect()
}

fn field(line: &[String], at: usize) -> &str {
    line.get(at).map_or("", String::as_str)
}

/// The user that the cluster file or its recipe names.
///
/// # Errors
/// When the root has no such user, or no service may be it.
pub fn of_file(tree: &Tree, user: &User) -> Result<Identity, String> {
    let identity = match user {
        User::Id(id) => user_of(tree, &id.to_string()),
        User::Name(name) => user_of(tree, name),
    }?;
    identity.allowed()?;
    Ok(identity)
}

/// The user of a container image: `user[:group]`. `None` is root, which no service is: it
/// then gets a user of its own.
///
/// # Errors
/// When the image has no such user or group.
pub fn of_image(tree: &Tree, text: &str) -> Result<Option<Identity>, String> {
    let (user, group) = text
        .split_once(':')
        .map_or((text, None), |(user, group)| (user, Some(group)));
    if user.is_empty() {
        return Ok(None);
    }
    let mut identity = user_of(tree, user)?;
    if let Some(group) = group {
        identity.group = group_of(tree, group)?;
        identity.groups.clear();
    }
    if identity.user == 0 {
        return Ok(None);
    }
    identity.allowed()?;
    Ok(Some(identity))
}

fn user_of(tree: &Tree, text: &str) -> Result<Identity, String> {
    let passwd = lines(tree, "/etc/passwd");
    let number = text.parse::<u32>().ok();
    let is = |line: &&Vec<String>| {
        field(line, 0) == text || number.is_some_and(|id| field(line, 2) == id.to_string())
    };
    let Some(line) = passwd.iter().find(is) else {
        let id = number.ok_or_else(|| format!("/etc/passwd of the root has no user {text}"))?;
        return Ok(Identity {
            user: id,
            group: id,
            groups: Vec::new(),
        });
    };
    let id = |at: usize| {
        let text = field(line, at);
        text.parse::<u32>()
            .map_err(|_| format!("/etc/passwd of the root has {text:?} for a number"))
    };
    let (name, group) = (field(line, 0), id(3)?);
    let member = |line: &&Vec<String>| field(line, 3).split(',').any(|member| member == name);
    let groups = lines(tree, "/etc/group");
    let groups = groups
        .iter()
        .filter(member)
        .filter_map(|line| field(line, 2).parse().ok());
    Ok(Identity {
        user: id(2)?,
        group,
        groups: groups
            .filter(|other| *other != group && *other != 0)
            .take(32)
            .collect(),
    })
}

fn group_of(tree: &Tree, text: &str) -> Result<u32, String> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let groups = lines(tree, "/etc/group");
    let line = groups.iter().find(|line| field(line, 0) == text);
    let id = line.and_then(|line| field(line, 2).parse().ok());
    id.ok_or_else(|| format!("/etc/group of the root has no group {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::default();
        let passwd = b"root:x:0:0:root:/root:/bin/sh\nwww:x:33:34::/:\nbad:x:y:1::/:\n";
        tree.file("etc/passwd", 0o644, passwd.to_vec(), "a");
        tree.file(
            "etc/group",
            0o644,
            b"root:x:0:www\nweb:x:34:www\nlog:x:4:a,www\n".to_vec(),
            "a",
        );
        tree
    }

    #[test]
    fn names_mean_what_the_root_says() {
        let www = Identity {
            user: 33,
            group: 34,
            groups: vec![4],
        };
        assert_eq!(of_file(&tree(), &User::Name("www".into())), Ok(www.clone()));
        assert_eq!(of_file(&tree(), &User::Id(33)), Ok(www.clone()));
        assert_eq!(of_image(&tree(), "33"), Ok(Some(www)));
        let log = Identity {
            user: 33,
            group: 4,
            groups: vec![],
        };
        assert_eq!(of_image(&tree(), "www:log"), Ok(Some(log)));
        let lone = of_image(&tree(), "1000:2000")
            .expect("a number")
            .expect("no root");
        assert_eq!((lone.user, lone.group), (1000, 2000));
    }

    #[test]
    fn nobody_becomes_root() {
        for text in ["", "0", "root", "root:web", "0:0"] {
            assert_eq!(of_image(&tree(), text), Ok(None), "{text}");
        }
        for text in ["ghost", "www:ghosts", "bad", "200"] {
            assert!(of_image(&tree(), text).is_err(), "{text}");
        }
        assert!(of_file(&tree(), &User::Name("root".into())).is_err());
    }
}
