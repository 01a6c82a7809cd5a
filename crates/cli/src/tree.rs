//! An application as a tree of services, for a person who waits or looks.

use api::status::{
    ApplicationStateView, ApplicationView, InstanceStateView, ServiceStateView, ServiceView,
};

use crate::output::{Output, Tone, one_line};

/// What the state of a service means to whoever looks.
pub(crate) const fn tone_of_service(state: ServiceStateView) -> Tone {
    match state {
        ServiceStateView::Ready | ServiceStateView::Running | ServiceStateView::Completed => {
            Tone::Good
        }
        ServiceStateView::Unready | ServiceStateView::CrashLooping | ServiceStateView::Failed => {
            Tone::Bad
        }
        ServiceStateView::Stopped => Tone::Faint,
        ServiceStateView::Waiting
        | ServiceStateView::Starting
        | ServiceStateView::Degraded
        | ServiceStateView::Updating
        | ServiceStateView::Stopping => Tone::Busy,
    }
}

/// What the state of an instance means to whoever looks.
pub(crate) const fn tone_of_instance(state: InstanceStateView) -> Tone {
    match state {
        InstanceStateView::Ready | InstanceStateView::Running => Tone::Good,
        InstanceStateView::Unready => Tone::Bad,
        InstanceStateView::Created | InstanceStateView::Starting | InstanceStateView::Stopping => {
            Tone::Busy
        }
    }
}

/// What the state of an application means to whoever looks.
pub(crate) const fn tone_of_application(state: ApplicationStateView) -> Tone {
    match state {
        ApplicationStateView::Running => Tone::Good,
        ApplicationStateView::Degraded | ApplicationStateView::Failing => Tone::Bad,
        ApplicationStateView::Stopped => Tone::Faint,
        ApplicationStateView::Starting | ApplicationStateView::Stopping => Tone::Busy,
    }
}

const fn mark(state: ServiceStateView) -> &'static str {
    match state {
        ServiceStateView::Ready | ServiceStateView::Running | ServiceStateView::Completed => "✔",
        ServiceStateView::Unready | ServiceStateView::CrashLooping | ServiceStateView::Failed => {
            "✘"
        }
        ServiceStateView::Stopped => "·",
        ServiceStateView::Waiting => "…",
        _ => "◌",
    }
}

/// The lines of the tree.
pub(crate) fn lines(application: &ApplicationView, output: &Output) -> Vec<String> {
    let name = output.paint(Tone::Strong, &application.name);
    let state = application.state;
    let state = output.paint(tone_of_application(state), &state.to_string());
    let mut lines = vec![format!("{name}  {state}")];
    let widest = |of: fn(&ServiceView) -> usize| application.services.iter().map(of).max();
    let widths = Widths {
        name: widest(|it| it.name.chars().count()).unwrap_or(0),
        count: widest(|it| count(it).len()).unwrap_or(0),
    };
    let last = application.services.len().saturating_sub(1);
    for (at, service) in application.services.iter().enumerate() {
        let branch = if at == last { "└─" } else { "├─" };
        let line = line(service, &widths, output);
        lines.push(format!("{} {line}", output.paint(Tone::Faint, branch)));
    }
    lines
}

/// How wide the columns are.
struct Widths {
    name: usize,
    count: usize,
}

fn count(service: &ServiceView) -> String {
    format!("{}/{}", service.ready, service.replicas)
}

fn line(service: &ServiceView, widths: &Widths, output: &Output) -> String {
    let tone = tone_of_service(service.state);
    let mark = output.paint(tone, mark(service.state));
    let state = output.paint(tone, &format!("{:<13}", service.state));
    let name = format!("{:<width$}", service.name, width = widths.name);
    let count = format!("{:<width$}", count(service), width = widths.count);
    let release = output.paint(Tone::Faint, &service.release);
    let mut line = format!("{mark} {name}  {state}  {count}  {release}");
    let detail = match service.instances.as_slice() {
        _ if !service.detail.is_empty() => one_line(&service.detail),
        [one] if service.state == ServiceStateView::Ready => one.url.clone(),
        _ => String::new(),
    };
    if !detail.is_empty() {
        line.push_str("  ");
        line.push_str(&output.paint(Tone::Faint, &detail));
    }
    line
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::arguments::Format;
    use crate::output::{Look, captured};
    use api::status::{EndedView, InstanceView};

    pub(crate) fn application(services: Vec<ServiceView>) -> ApplicationView {
        ApplicationView {
            name: "shop".to_owned(),
            state: ApplicationStateView::Starting,
            folder: "/srv/shop".to_owned(),
            applied_at: "2026-11-22T06:00:00.000Z".to_owned(),
            services,
            alerts: Vec::new(),
        }
    }

    pub(crate) fn service(name: &str, state: ServiceStateView) -> ServiceView {
        ServiceView {
            name: name.to_owned(),
            state,
            detail: String::new(),
            release: "r1".to_owned(),
            replicas: 1,
            ready: usize::from(state == ServiceStateView::Ready),
            waiting_for: Vec::new(),
            calls: Vec::new(),
            instances: Vec::new(),
            ended: Vec::new(),
        }
    }

    pub(crate) fn instance(id: &str, state: InstanceStateView) -> InstanceView {
        InstanceView {
            id: id.to_owned(),
            state,
            detail: String::new(),
            release: "r1".to_owned(),
            url: "http://127.0.0.1:20000".to_owned(),
            pid: Some(4_711),
            started_at: Some("2026-11-22T06:00:00.000Z".to_owned()),
        }
    }

    pub(crate) fn ended(id: &str, exit: &str) -> EndedView {
        EndedView {
            id: id.to_owned(),
            release: "r1".to_owned(),
            exit: exit.to_owned(),
            unasked: !exit.starts_with("scaled"),
            at: "2026-11-22T06:03:00.000Z".to_owned(),
        }
    }

    fn every_state() -> ApplicationView {
        let mut services: Vec<ServiceView> = [
            ("accounts", ServiceStateView::Waiting),
            ("basket", ServiceStateView::Starting),
            ("catalog", ServiceStateView::Ready),
            ("delivery", ServiceStateView::Degraded),
            ("edge", ServiceStateView::Updating),
            ("fraud", ServiceStateView::CrashLooping),
            ("gifts", ServiceStateView::Completed),
            ("history", ServiceStateView::Failed),
            ("inventory", ServiceStateView::Stopping),
            ("jobs", ServiceStateView::Stopped),
        ]
        .map(|(name, state)| service(name, state))
        .into();
        services[0].detail = "waits for catalog to be ready".to_owned();
        services[2].instances = vec![instance("catalog.1", InstanceStateView::Ready)];
        services[3].replicas = 1_000;
        services[3].ready = 998;
        services[5].detail = "exit code 1,\nand more".to_owned();
        application(services)
    }

    #[test]
    fn a_tree() {
        let (output, _) = captured::output(Look::Plain, Format::Text);
        insta::assert_snapshot!(lines(&every_state(), &output).join("\n"), @"
        shop  starting
        ├─ … accounts   waiting        0/1       r1  waits for catalog to be ready
        ├─ ◌ basket     starting       0/1       r1
        ├─ ✔ catalog    ready          1/1       r1  http://127.0.0.1:20000
        ├─ ◌ delivery   degraded       998/1000  r1
        ├─ ◌ edge       updating       0/1       r1
        ├─ ✘ fraud      crash-looping  0/1       r1  exit code 1, and more
        ├─ ✔ gifts      completed      0/1       r1
        ├─ ✘ history    failed         0/1       r1
        ├─ ◌ inventory  stopping       0/1       r1
        └─ · jobs       stopped        0/1       r1
        ");
    }

    #[test]
    fn colours_only_in_a_terminal() {
        let view = application(vec![service("web", ServiceStateView::Failed)]);
        let coloured = |look| {
            let (output, _) = captured::output(look, Format::Text);
            output.finished(&lines(&view, &output).join(" ")).contains('\u{1b}')
        };
        assert!(coloured(Look::Terminal) && !coloured(Look::Plain));
    }
}
