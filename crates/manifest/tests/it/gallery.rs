//! Mistakes people make, and every word that is said about them.

use model::rollout::Strategy;
use model::stopping::StopSignal;

use crate::{environment, text};

fn problems(name: &str) -> String {
    let read = manifest::read("bad.yaml", &text(&format!("bad/{name}.yaml")), &environment());
    read.expect_err("the file is bad").to_string()
}

#[test]
fn structure() {
    insta::assert_snapshot!(problems("structure"));
}

#[test]
fn meaning() {
    insta::assert_snapshot!(problems("meaning"));
}

#[test]
fn behaviour() {
    insta::assert_snapshot!(problems("behaviour"));
}

#[test]
fn syntax() {
    insta::assert_snapshot!(problems("syntax"));
}

#[track_caller]
fn check(service: &str, expected: &str) {
    let text = format!("name: shop\nservices:\n  api: {{image: api}}\n  web:\n{service}");
    let problems = manifest::read("bad.yaml", &text, &environment()).expect_err("the file is bad");
    let messages: Vec<_> = problems.list().iter().map(|it| it.message.as_str()).collect();
    assert_eq!(messages, [expected]);
}

/// Issue 12: a second port.
#[test]
fn further_ports() {
    check(
        "    command: x\n    ports: ['80:80']\n",
        "`ports` is a list; write `port: 8080` for the port that requests come to and a route for \
         the outside, and only further ports here, by name: `{admin: any}`",
    );
    check(
        "    command: x\n    ports: {order-api: any, order_api: any}\n",
        "`PORT_ORDER_API` would tell this port, and tells the port `order-api`; choose another name",
    );
    check(
        "    command: x\n    port: 80\n    ports: {a: 80}\n",
        "port 80 is taken by `web`; choose another, or write `any` to be given one",
    );
    check(
        "    command: x\n    ports: {a: 80}\n    replicas: 2\n",
        "2 instances of `web` cannot all listen on port 80; write `any`, and each is given one",
    );
    check(
        "    command: x\n    metrics: {port: admin}\n",
        "there is no port `admin`; add it, as in `ports: {admin: any}`",
    );
    check(
        "    command: x\n    ports: {admin: any}\n    metrics: {port: admim}\n",
        "there is no port `admim`; did you mean `admin`?",
    );
    check("    command: x\n    ports: {a: many}\n", "`a` is `many`; did you mean `any`?");
    check(
        "    command: x ${PORT_ADMIN}\n",
        "an instance is not told `PORT_ADMIN`; add it to `environment`, or write \
         `${PORT_ADMIN:-default}`; it is told `OTEL_SERVICE_NAME`, `PELAGO_APPLICATION`, \
         `PELAGO_INSTANCE`, `PELAGO_RELEASE`, `PELAGO_SERVICE`, `PORT`, `TMPDIR`",
    );
}

/// Issue 12: what is for one instance at a time is replaced when that has ended.
#[test]
fn data_chooses_how_it_is_replaced() {
    let read = |data: &str| {
        let text = format!(
            "name: shop\ndefaults: {{update: {{strategy: canary}}}}\nservices:\n  db: {{command: 'x ${{DATA_DIR}}', \
             data: {data}, stop_signal: INT}}\n"
        );
        let read = manifest::read("good.yaml", &text, &environment()).unwrap();
        read.application.services.values().next().unwrap().clone()
    };
    let own = read("orders");
    assert_eq!((own.update.strategy, own.can_overlap()), (Strategy::Recreate, false));
    assert_eq!(own.stop_signal, StopSignal::Int);
    let shared = read("{name: uploads, shared: true}");
    assert_eq!((shared.update.strategy, shared.can_overlap()), (Strategy::Canary, true));
}

#[test]
fn data_and_its_replacement() {
    check(
        "    command: x\n    data: orders\n    update: {strategy: rolling}\n",
        "its data is for one instance at a time, and this lets two of them run; write `strategy: recreate`, or \
         `shared: true` in `data` if it can be shared",
    );
    let nameless = "    command: x\n    data: {shared: true}\n";
    check(nameless, "`data` has no `name`; add for example `name: uploads`");
    check(
        "    command: x\n    stop_signal: SIGKILL\n",
        "`SIGKILL` is no signal to stop by; write SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2 or SIGWINCH",
    );
}

/// What the file says of a variable that tells a port or a callee wins, but for an address in one piece.
#[test]
fn what_is_told_may_be_told_otherwise() {
    let text = "name: a\nservices:\n  port: {command: x}\n  web: {command: 'x ${PORT_ADMIN}', ports: {admin: any}, \
                calls: [port], environment: {PORT_ADMIN: 1, PORT_HOST: h}}\n";
    manifest::read("a.yaml", text, &environment()).unwrap();
    let colliding = text.replace("admin: any", "url: any, admin: any");
    let problems = manifest::read("a.yaml", &colliding, &environment()).unwrap_err();
    assert_eq!(
        problems.list()[0].message,
        "`PORT_URL` would tell this port, and tells where `port` is; choose another name"
    );
}

#[test]
fn values_in_the_clothes_of_others() {
    check(
        "    image: web\n    port: '80:81'\n",
        "`port` is `80:81`; write only 81, the one it has itself",
    );
    check(
        "    image: web\n    depends_on: api, web\n",
        "`depends_on` is `api, web`; write `[api, web]`",
    );
    check("    image: web\n    calls: api\n", "`calls` is `api`; write `[api]`");
    check("    image: web\n    environment: A=1 2\n", "`environment` is `A=1 2`; write `[A=1 2]`");
    check(
        "    image: web\n    environment:\n      - A: 1\n",
        "an item of `environment` is a mapping, and a text is meant; leave out the `-` before it, \
         or put it in quotes",
    );
    check("    image: web\n    owner: {a: b}\n", "`owner` is a mapping; a text is meant");
    check(
        "    image: web\n    healthcheck: /ready\n",
        "`healthcheck` is `/ready`; write `{path: /ready}`",
    );
    check(
        "    - name: web\n      image: web\n",
        "`web` is a list; write each item below its name, as in `web:`",
    );
}

/// Issue 12: what cannot be part of a request or of an argument was only refused by whoever was to use it.
#[test]
fn texts_that_go_elsewhere_are_one_line() {
    check("    command: \"x\\0y\"\n", "a NUL cannot stand in a text; remove it");
    check(
        "    command: x\n    healthcheck: {path: \"/a\\r\\nX: y\"}\n",
        "a path has no '\\r'; write it as a request does, a space as `%20`",
    );
    check(
        "    command: x\n    update: {webhook: \"http://a/\\nb\"}\n",
        "\"http://a/\\nb\" is no address to post to; write one that begins with `https://`",
    );
    check(
        "    command: x\n    metrics: \"/a\\nb\"\n",
        "\"/a\\nb\" is no path; write one such as `/metrics`",
    );
}
