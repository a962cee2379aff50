//! Where services come from: what the file and its recipe come to, what changes the hash, and
//! how a service is started with what the image knows.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeMap;

use kodo_config::cluster::{
    Bounds, Origin, ProbeKind, Recipe, Root, ServiceKind, StopSignal, User,
};
use kodo_config::start::{BYTES, Start};
use kodo_config::{Cluster, Diagnostic, Secret};

const RECIPE: &str = "debian = [\"a1\", \"b1\"]\nkeep = [\"/k\"]\ncommand = \"/bin/a\"\narguments = [\"-x\"]\n\
    environment = { A = \"1\", B = \"1\" }\nwritable = [\"/run/a\"]\nuser = 33\nfiles_at = \"/site\"\n\
    [probe]\npath = \"/health\"\nfall = 5\n";

/// A pair whose service has these lines; `recipe` is the text of every recipe's file.
fn parse(service: &str, recipe: &str) -> Result<Cluster, Vec<Diagnostic>> {
    let base = include_str!("good/minimal.toml");
    let name = "[[service]]\nname = \"web\"\n";
    assert!(base.contains(name));
    let text = base.replace(name, &format!("{name}{service}\n"));
    let load = |secret, path: &str| match (secret, path) {
        (Secret::Recipe, "./mine/recipe.toml") => Ok(recipe.to_owned()),
        _ => Err("none".to_owned()),
    };
    Cluster::parse("origins.toml", &text, &load)
}

fn root(service: &str) -> Root {
    let cluster = parse(service, RECIPE).unwrap_or_else(|items| panic!("{}", items[0]));
    match &cluster.services[0].kind {
        ServiceKind::Root(root) => (**root).clone(),
        ServiceKind::Builtin => panic!("{service} is built in"),
    }
}

#[test]
fn lists_add_to_the_recipe_and_words_replace_it() {
    let plain = root("recipe = \"./mine/\"");
    assert_eq!(plain.recipe, Some(Recipe::Directory("./mine".into())));
    assert_eq!(
        *plain.origin.get_ref(),
        Origin::Debian(vec!["a1".into(), "b1".into()])
    );
    assert_eq!(
        (plain.user, plain.command.as_deref()),
        (Some(User::Id(33)), Some("/bin/a"))
    );
    let own = root(
        "recipe = \"./mine\"\ndebian = [\"c1\", \"a1\"]\nkeep = [\"/l\"]\ncommand = \"/bin/c\"\narguments = []\n\
         environment = { B = \"2\" }\nwritable = [\"/tmp\"]\nuser = \"www\"\ndirectory = \"/w\"",
    );
    let packages = ["a1", "b1", "c1"].map(String::from);
    assert_eq!(*own.origin.get_ref(), Origin::Debian(packages.to_vec()));
    assert_eq!(
        (own.keep, own.writable),
        (
            vec!["/k".to_owned(), "/l".into()],
            vec!["/run/a".to_owned(), "/tmp".into()]
        )
    );
    assert_eq!(
        (own.command.as_deref(), own.arguments),
        (Some("/bin/c"), Some(vec![]))
    );
    let environment =
        [("A", "1"), ("B", "2")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(own.environment, BTreeMap::from(environment));
    assert_eq!(own.user, Some(User::Name("www".into())));
}

#[test]
fn a_recipe_advises_the_probe() {
    let probe = |service| parse(service, RECIPE).unwrap().services[0].probe.clone();
    let page = |path: &str, status, body: Option<&str>| ProbeKind::Http {
        path: path.into(),
        status,
        body: body.map(str::to_owned),
    };
    let advised = probe("recipe = \"./mine\"");
    assert_eq!(advised.kind, page("/health", None, None));
    assert_eq!((advised.fall, advised.rise), (5, 1));
    let own = probe("recipe = \"./mine\"\n[service.probe]\npath = \"/\"\nstatus = 204");
    assert_eq!((own.kind, own.fall), (page("/", Some(204), None), 5));
    let own = probe("recipe = \"./mine\"\n[service.probe]\nbody = \"well\"");
    assert_eq!(own.kind, page("/health", None, Some("well")));
    let own = probe("recipe = \"./mine\"\n[service.probe]\nkind = \"tcp\"");
    assert_eq!((own.kind, own.fall), (ProbeKind::Tcp, 5));
    // A recipe that asks for a connection, and a service that names a page.
    let (recipe, _) = RECIPE.split_once("path").unwrap();
    let over_tcp = format!("{recipe}kind = \"tcp\"");
    for (words, kind) in [
        ("", ProbeKind::Tcp),
        ("[service.probe]\npath = \"/x\"", page("/x", None, None)),
    ] {
        let cluster = parse(&format!("recipe = \"./mine\"\n{words}"), &over_tcp).unwrap();
        assert_eq!(cluster.services[0].probe.kind, kind);
    }
}

#[test]
fn a_recipe_advises_bounds_and_the_signal() {
    let recipe = format!("memory = \"64M\"\npids = 100\nstop_signal = \"SIGQUIT\"\n{RECIPE}");
    let service = |words: &str| {
        let cluster = parse(&format!("recipe = \"./mine\"\n{words}"), &recipe).unwrap();
        let service = &cluster.services[0];
        (service.bounds, service.stop_signal)
    };
    let bounds = |memory: u64, pids, cpu| Bounds {
        memory: Some(memory << 20),
        pids,
        cpu,
    };
    assert_eq!(service(""), (bounds(64, 100, None), StopSignal::Quit));
    assert_eq!(
        service("memory = \"1G\"\ncpu = 150\nstop_signal = \"SIGWINCH\""),
        (bounds(1024, 100, Some(150)), StopSignal::Winch)
    );
    // The built-in server has bounds of its own too, and ends as it always did.
    let cluster = parse("memory = \"8M\"", RECIPE).unwrap();
    let service = &cluster.services[0];
    assert_eq!(service.bounds, bounds(8, 512, None));
    assert_eq!(service.stop_signal, StopSignal::Term);
}

#[test]
fn paths_of_a_recipe_are_its_own() {
    let origin = |recipe: &str| {
        let cluster = parse("recipe = \"./mine\"", recipe).unwrap();
        let ServiceKind::Root(root) = &cluster.services[0].kind else {
            panic!("built in")
        };
        root.origin.get_ref().clone()
    };
    assert_eq!(
        origin("program = \"bin/x\""),
        Origin::Program("./mine/bin/x".into())
    );
    assert_eq!(
        origin("oci = \"/opt/x.tar\""),
        Origin::Oci("/opt/x.tar".into())
    );
}

#[test]
fn mistakes_of_a_recipe_are_told_where_it_is_named() {
    for (recipe, why) in [
        (
            "debian = [\"X\"]",
            "./mine/recipe.toml:1:11: error: \"X\" is not the name",
        ),
        ("debian = ", "./mine/recipe.toml:1:10"),
        ("packages = []", "the recipe has no key `packages`"),
        ("[probe]\nfall = 0", "would judge before asking"),
        ("command = 3", "must be an absolute path"),
    ] {
        let items = parse("recipe = \"./mine\"", recipe).unwrap_err();
        let told = items[0].to_string();
        assert!(
            told.contains("the recipe `./mine` has a mistake") && told.contains(why),
            "{told}"
        );
    }
    let items = parse("recipe = \"./mine\"", "keep = [\"/x\"]").unwrap_err();
    assert!(
        items[0]
            .to_string()
            .contains("neither the recipe nor the service has an origin"),
        "{}",
        items[0]
    );
}

#[test]
fn what_is_started_is_hashed_and_who_said_it_is_not() {
    let hash = |service: &str| parse(service, RECIPE).unwrap().file_hash();
    let base = hash("recipe = \"./mine\"");
    let mut seen = vec![base];
    for line in [
        "debian = [\"c1\"]",
        "keep = [\"/l\"]",
        "command = \"/bin/b\"",
        "arguments = [\"-y\"]",
        "environment = { A = \"2\" }",
        "directory = \"/w\"",
        "writable = [\"/tmp\"]",
        "user = 34",
        "memory = \"64M\"",
        "pids = 64",
        "cpu = 50",
        "stop_signal = \"SIGQUIT\"",
    ] {
        let hash = hash(&format!("recipe = \"./mine\"\n{line}"));
        assert!(!seen.contains(&hash), "{line}");
        seen.push(hash);
    }
    let (words, probe) = RECIPE.split_once("[probe]").unwrap();
    assert_eq!(
        hash(&format!("{words}files = \"s\"\n[service.probe]{probe}")),
        hash("recipe = \"./mine\"\nfiles = \"s\"")
    );
    assert_eq!(hash("recipe = \"./mine\"\ncommand = \"/bin/a\""), base);
}

#[test]
fn the_file_comes_before_the_image() {
    let start = Start {
        entrypoint: vec!["/bin/web".into(), "-e".into()],
        arguments: vec!["serve".into()],
        environment: BTreeMap::from([("PATH".into(), "/opt".into()), ("X".into(), "1".into())]),
        directory: Some("/app".into()),
        identity: None,
    };
    let launch = |service: &str| root(service).launch(&start).unwrap();
    let image = launch("oci = \"i.tar\"");
    assert_eq!(image.arguments, ["/bin/web", "-e", "serve"]);
    assert_eq!(image.environment, ["PATH=/opt", "X=1"]);
    assert_eq!(image.directory, "/app");
    assert_eq!(
        launch("oci = \"i.tar\"\narguments = [\"x\"]").arguments,
        ["/bin/web", "-e", "x"]
    );
    let own = launch(
        "oci = \"i.tar\"\ncommand = \"/bin/own\"\nenvironment = { X = \"2\" }\ndirectory = \"/\"",
    );
    assert_eq!(
        (own.command.as_str(), own.arguments),
        ("/bin/own", vec!["/bin/own".to_owned()])
    );
    assert_eq!(
        (own.environment[1].as_str(), own.directory.as_str()),
        ("X=2", "/")
    );
    assert!(
        root("oci = \"i.tar\"")
            .launch(&Start::default())
            .unwrap_err()
            .contains("nothing says")
    );
    let long = Start {
        arguments: vec!["x".repeat(BYTES)],
        ..start
    };
    assert!(
        root("oci = \"i.tar\"")
            .launch(&long)
            .unwrap_err()
            .contains("bytes long")
    );
}

#[test]
fn ready_recipes_are_found_without_a_loader() {
    for (name, _) in kodo_config::recipe::READY {
        let root = root(&format!("recipe = \"{name}\""));
        assert!(matches!(root.origin.get_ref(), Origin::Debian(_)), "{name}");
    }
}
