//! Mistakes people make, and every word that is said about them.

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
