//! Compose files as people have them, each of a kind that came along wrongly (issue 12).

use std::fmt::Write as _;

use manifest::import::compose_beside;
use manifest::{Beside, Kind, detect};

use crate::beside::Texts;
use crate::environment;

/// What becomes of a Compose file beside others, without what every such file begins with.
fn told(name: &str, text: &str, files: &[(&'static str, &'static str)]) -> String {
    let (environment, files) = (environment(), Texts(files.iter().copied().collect()));
    let beside = Beside { environment: &environment, files: &files };
    let imported = match compose_beside(name, text, &beside) {
        Ok(imported) => imported,
        Err(problems) => return problems.to_string(),
    };
    let mut told = String::new();
    for line in imported.yaml.lines().filter(|it| !it.starts_with('#')) {
        writeln!(told, "{line}").unwrap();
    }
    for it in &imported.left_out {
        writeln!(told, "- {}: {}", it.key, it.why).unwrap();
    }
    writeln!(told, "{}", imported.warnings).unwrap();
    told
}

fn all(cases: &[(&str, &str)]) -> String {
    let mut all = String::new();
    for (name, text) in cases {
        writeln!(all, "## {name}\n{}", told("shop/compose.yaml", text, &[])).unwrap();
    }
    all
}

#[test]
fn ports() {
    let told = all(&[
        (
            "a database, and what is only called like one",
            "services:\n  db: {image: 'postgres:16', restart: always, ports: ['127.0.0.1:15432:5432']}\n  \
             ui: {image: mongo-express, restart: always, ports: ['8081:8081']}\n",
        ),
        (
            "mail and its page",
            "services:\n  mail: {image: mailhog, restart: always, ports: ['1025:1025', '8025:8025']}\n  \
             broker: {image: 'confluentinc/cp-server:7.6.0', restart: always, ports: ['9092:9092']}\n",
        ),
        (
            "udp and ranges",
            "services:\n  dns: {image: pihole, restart: always, ports: ['53:53/udp', '8000-8002:9000-9002'], \
             expose: ['99/udp']}\n",
        ),
        (
            "long form",
            "services:\n  a: {image: x, restart: always, ports: [{target: 80, published: '8080', \
             host_ip: 127.0.0.1, protocol: tcp}, {target: 81, protocol: udp}]}\n",
        ),
        ("no list", "services:\n  a: {image: x, restart: always, ports: {80: 80}}\n"),
        ("out of range", "services:\n  a: {image: x, restart: always, ports: ['70000:80']}\n"),
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn checks() {
    let told = all(&[
        (
            "another port, headers, a second command",
            "services:\n  a: {image: x, restart: always, ports: ['3000:3000'], healthcheck: {test: curl -f \
             http://localhost:9404/metrics}}\n  b: {image: x, restart: always, ports: ['4000:4000'], \
             healthcheck: {test: [CMD-SHELL, \"curl -f http://localhost:4000/a && test -f /ready\"]}}\n  \
             c: {image: x, restart: always, healthcheck: {test: [CMD, wget, --spider, \
             \"http://127.0.0.1:$${PORT}/h\"]}}\n",
        ),
        (
            "its own port",
            "services:\n  a: {image: x, restart: always, ports: ['8080:3000'], healthcheck: {test: [CMD, curl, \
             -f, 'http://localhost:3000/h'], timeout: 10s}}\n",
        ),
        (
            "no command",
            "services:\n  a: {image: x, restart: always, healthcheck: {test: [curl, x]}}\n",
        ),
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn names_and_values() {
    let told = all(&[
        (
            "dots",
            "services:\n  es: {image: elasticsearch, restart: always, environment: {discovery.type: single-node}}\n",
        ),
        (
            "dollar signs",
            "services:\n  a: {image: x, restart: always, environment: {HASH: '${H:-$2a$14$1l.x}', T: '5$', S: \
             '$(id -u)'}}\n",
        ),
        (
            "a name that is no host",
            "services:\n  postgres: {image: 'postgres:16', restart: always, environment: {POSTGRES_USER: \
             postgres, DB_HOST: postgres, AT: 'postgres:5432'}}\n",
        ),
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn what_is_lost_is_named() {
    let told = all(&[
        (
            "silent losses",
            "services:\n  a:\n    image: x\n    restart: always\n    hostname: h\n    container_name: c\n    \
             depends_on: {b: {condition: service_started, required: false, restart: true}}\n    deploy: \
             {resources: {limits: {pids: 5}, reservations: {cpus: '1', memory: 1G, devices: [{driver: \
             nvidia}]}}}\n  b: {image: y, restart: always}\n",
        ),
        (
            "mistakes",
            "services:\n  a: {image: x, restart: always, enviroment: {A: '1'}, depends_on: [bb]}\n  b: {image: \
             y, restart: always}\nvolume: {}\nx-own: 1\n",
        ),
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn files_are_merged() {
    let mut all = String::new();
    let mut add = |name: &str, text: &str, files: &[(&'static str, &'static str)]| {
        writeln!(all, "## {name}\n{}", told("shop/compose.yaml", text, files)).unwrap();
    };
    add(
        "documents",
        "services:\n  a: {image: x, restart: always}\n---\nservices:\n  b: {image: y, restart: always}\n",
        &[],
    );
    add(
        "override",
        "services:\n  a: {image: x, restart: always, environment: [A=1, B=1], ports: ['80:80'], command: [one]}\n",
        &[(
            "compose.override.yaml",
            "services:\n  a: {environment: {B: '2'}, ports: ['81:81'], command: [two]}\n  b: {image: y, \
             restart: always}\n",
        )],
    );
    add(
        "reset and override",
        "services:\n  a: {image: x, restart: always, ports: !reset null, command: !override [a]}\n",
        &[],
    );
    add(
        "an override that resets",
        "services:\n  a: {image: x, restart: always, ports: ['80:80'], environment: {A: '1', B: '1'}}\n",
        &[(
            "compose.override.yml",
            "services:\n  a: {ports: !reset [], environment: !override {C: '3'}}\n",
        )],
    );
    add(
        "extends",
        "services:\n  base: {image: x, restart: always, environment: {A: '1'}}\n  a: {extends: base, \
         environment: {B: '2'}}\n  c: {extends: {service: other, file: sub/c.yaml}, image: y}\n",
        &[
            (
                "sub/c.yaml",
                "services: {other: {extends: {service: root}, command: [run]}, root: {image: r, restart: always, \
             env_file: r.env}}\n",
            ),
            ("sub/r.env", "R=1"),
        ],
    );
    add(
        "include",
        "include: [db/compose.yaml]\nservices:\n  a: {image: x, restart: always, depends_on: [db]}\n",
        &[
            (
                "db/compose.yaml",
                "services: {db: {build: ./image, command: [run], restart: always, env_file: db.env}}\n",
            ),
            ("db/db.env", "A=1"),
        ],
    );
    add(
        "circles and what is not there",
        "include: [none.yaml]\nservices:\n  a: {extends: b, image: x}\n  b: {extends: a}\n  c: {extends: d, image: x}\n",
        &[],
    );
    insta::assert_snapshot!(all);
}

#[test]
fn yaml_as_others_read_it() {
    let text = "services:\n  a:\n    image:\tx\n    restart: always\n    command: [\n      \"start\"\n    ]\n    \
                environment: {\n      A: \"1\"\n    }\n  b: {image: y, restart: always}\n";
    let told = told("shop/compose.yaml", text, &[]);
    assert!(told.contains("command: [start]") && told.contains("b:"), "{told}");
    assert_eq!(detect("stack.yaml", "services: {a: {image: x}}"), Kind::Compose);
    assert_eq!(detect("stack.yaml", "name: a\nservices: {a: {image: x}}"), Kind::Pelago);
}

/// One instance is what a port of its own can have, also where that is written down.
#[test]
fn issue_12_a_service_that_says_it_is_one_keeps_its_port() {
    let of = |replicas: u8| {
        let text = format!(
            "services:\n  web: {{build: ., command: python3 app.py --port 5005, restart: always, ports: ['8000:5005'], deploy: \
             {{replicas: {replicas}}}}}\n"
        );
        told("shop/compose.yaml", &text, &[])
    };
    let one = of(1);
    assert!(one.contains("port: 5005") && !one.contains("cannot be taken twice"), "{one}");
    let two = of(2);
    assert!(!two.contains("port: 5005") && two.contains("cannot be taken twice"), "{two}");
}
