//! `pelago edge` and `pelago route`.

use api::edge::EdgesView;
use api::figures::TrafficView;
use api::gateway::{RouteView, RoutesView};

use super::top::{rate, success};
use crate::client::Target;
use crate::error::CommandError;
use crate::output::{Output, Tone};
use crate::table::{Cell, plain};
use crate::{Context, daemon, table};

pub(crate) async fn edges(context: &Context, output: &mut Output) -> Result<(), CommandError> {
    let client = daemon::ensure(context).await?;
    let target = Target::new(&["v1", "edges"]).with("application", context.application.as_deref());
    let view: EdgesView = client.get(target).await?;
    if output.is_json() {
        return output.json(&view);
    }
    if view.edges.is_empty() {
        return output.note("no call is declared; services say so with `calls` in pelago.yaml");
    }
    table::write(output, &EDGE_HEADING, &edge_rows(&view))
}

pub(crate) async fn routes(context: &Context, output: &mut Output) -> Result<(), CommandError> {
    let client = daemon::ensure(context).await?;
    let target = Target::new(&["v1", "routes"]).with("application", context.application.as_deref());
    let view: RoutesView = client.get(target).await?;
    if output.is_json() {
        return output.json(&view);
    }
    if view.routes.is_empty() {
        return output.note("there is no route; write them below `routes` in pelago.yaml");
    }
    table::write(output, &ROUTE_HEADING, &route_rows(&view))?;
    if view.addresses.is_empty() {
        output.note("the gateway does not listen; `pelago doctor` says why")?;
    }
    Ok(())
}

const EDGE_HEADING: [&str; 7] =
    ["APPLICATION", "CALLER", "CALLEE", "ADDRESS", "RATE", "SUCCESS", "POLICY"];

fn edge_rows(view: &EdgesView) -> Vec<Vec<Cell>> {
    let rows = view.edges.iter().map(|it| {
        let [rate, success] = use_of(it.traffic.as_ref());
        let address = it.address.as_deref().unwrap_or("-");
        vec![
            plain(&it.application),
            plain(&it.caller),
            plain(&it.callee),
            plain(address),
            rate,
            success,
            (it.policy.clone(), Tone::Faint),
        ]
    });
    rows.collect()
}

const ROUTE_HEADING: [&str; 8] =
    ["APPLICATION", "HOST", "PATH", "TARGET", "RATE", "SUCCESS", "URL", "DETAIL"];

fn route_rows(view: &RoutesView) -> Vec<Vec<Cell>> {
    let rows = view.routes.iter().map(|it| {
        let [rate, success] = use_of(it.traffic.as_ref());
        vec![
            plain(&it.application),
            plain(&it.host),
            plain(&it.path),
            plain(&it.target),
            rate,
            success,
            plain(it.urls.first().map_or("-", String::as_str)),
            (detail(it), Tone::Faint),
        ]
    });
    rows.collect()
}

/// What must hold beside host and path, then what else is done.
fn detail(route: &RouteView) -> String {
    let methods = (!route.methods.is_empty()).then(|| route.methods.join(" "));
    let headers =
        (!route.headers.is_empty()).then(|| format!("if {}", route.headers.join(" and ")));
    let parts = methods.into_iter().chain(headers).chain(route.flags.iter().cloned());
    parts.collect::<Vec<_>>().join(", ")
}

fn use_of(traffic: Option<&TrafficView>) -> [Cell; 2] {
    match traffic {
        Some(it) => [plain(&rate(it.total.rate)), success(it.total.success)],
        None => [plain("-"), plain("-")],
    }
}

#[cfg(test)]
mod tests {
    use api::edge::EdgeView;
    use api::figures::FiguresView;

    use super::*;
    use crate::arguments::Format;
    use crate::output::{Look, captured};

    #[test]
    fn a_row_for_each_call() {
        let edge = |callee: &str, traffic| EdgeView {
            application: "shop".to_owned(),
            caller: "web".to_owned(),
            callee: callee.to_owned(),
            address: (callee == "cart").then(|| "127.0.0.1:21000".to_owned()),
            policy: "timeout 1s, no retries".to_owned(),
            traffic,
        };
        let total = FiguresView { rate: 12.34, success: Some(0.9749), ..FiguresView::default() };
        let used = TrafficView { total, ..TrafficView::default() };
        let edges = vec![edge("cart", Some(used)), edge("orders", None)];
        let view = EdgesView { connected: true, window_s: 10.0, edges };
        let (mut output, page) = captured::output(Look::Plain, Format::Text);
        table::write(&mut output, &EDGE_HEADING, &edge_rows(&view)).unwrap();
        insta::assert_snapshot!(page.text(), @"
        APPLICATION  CALLER  CALLEE  ADDRESS          RATE    SUCCESS  POLICY
        shop         web     cart    127.0.0.1:21000  12.3/s  97.49%   timeout 1s, no retries
        shop         web     orders  -                -       -        timeout 1s, no retries
        ");
    }

    #[test]
    fn a_row_for_each_route() {
        let route = RouteView {
            application: "shop".to_owned(),
            host: "shop.localhost".to_owned(),
            path: "/api".to_owned(),
            methods: vec!["GET".to_owned(), "HEAD".to_owned()],
            headers: vec!["x-beta: 1".to_owned()],
            service: Some("orders".to_owned()),
            key: "GET,HEAD shop.localhost/api x-beta=1".to_owned(),
            target: "orders".to_owned(),
            urls: vec!["http://shop.localhost:8080/api".to_owned()],
            flags: vec!["strips prefix".to_owned()],
            policy: "timeout 1s".to_owned(),
            traffic: None,
        };
        let view = RoutesView { routes: vec![route], ..RoutesView::default() };
        let (mut output, page) = captured::output(Look::Plain, Format::Text);
        table::write(&mut output, &ROUTE_HEADING, &route_rows(&view)).unwrap();
        insta::assert_snapshot!(page.text(), @"
        APPLICATION  HOST            PATH  TARGET  RATE  SUCCESS  URL                             DETAIL
        shop         shop.localhost  /api  orders  -     -        http://shop.localhost:8080/api  GET HEAD, if x-beta: 1, strips prefix
        ");
    }
}
