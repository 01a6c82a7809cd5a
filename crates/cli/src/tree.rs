//! An application as a tree of services, for a person who waits or looks.

use api::status::{
    ApplicationStateView, ApplicationView, InstanceStateView, ServiceStateView, ServiceView,
};

use crate::output::{Output, Tone};

/// What the state of a service means to whoever looks.
pub(crate) const fn tone_of_service(state: ServiceStateView) -> Tone {
    match state {
        ServiceStateView::Ready | ServiceStateView::Completed => Tone::Good,
        ServiceStateView::CrashLooping | ServiceStateView::Failed => Tone::Bad,
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
        InstanceStateView::Ready => Tone::Good,
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
        ApplicationStateView::Failing => Tone::Bad,
        ApplicationStateView::Stopped => Tone::Faint,
        ApplicationStateView::Starting | ApplicationStateView::Stopping => Tone::Busy,
    }
}

const fn mark(state: ServiceStateView) -> &'static str {
    match state {
        ServiceStateView::Ready | ServiceStateView::Completed => "✔",
        ServiceStateView::CrashLooping | ServiceStateView::Failed => "✘",
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
    let width = application.services.iter().map(|it| it.name.chars().count()).max().unwrap_or(0);
    let last = application.services.len().saturating_sub(1);
    for (at, service) in application.services.iter().enumerate() {
        let branch = if at == last { "└─" } else { "├─" };
        let line = line(service, width, output);
        lines.push(format!("{} {line}", output.paint(Tone::Faint, branch)));
    }
    lines
}

fn line(service: &ServiceView, width: usize, output: &Output) -> String {
    let tone = tone_of_service(service.state);
    let mark = output.paint(tone, mark(service.state));
    let state = output.paint(tone, &format!("{:<13}", service.state));
    let name = format!("{:<width$}", service.name);
    let count = format!("{}/{}", service.ready, service.replicas);
    let release = output.paint(Tone::Faint, &service.release);
    let mut line = format!("{mark} {name}  {state}  {count:<5}  {release}");
    let detail = match service.instances.as_slice() {
        _ if !service.detail.is_empty() => service.detail.clone(),
        [one] if service.state == ServiceStateView::Ready => one.url.clone(),
        _ => String::new(),
    };
    if !detail.is_empty() {
        line.push_str("  ");
        line.push_str(&output.paint(Tone::Faint, &detail));
    }
    line
}
