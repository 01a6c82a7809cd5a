//! `pelago exec`.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use api::StatusView;
use api::logs::ExecView;
use api::status::{InstanceStateView, InstanceView, ServiceView};

use crate::arguments::Exec;
use crate::client::Target;
use crate::error::CommandError;
use crate::output::Output;
use crate::{Context, daemon, meant};

/// Becomes the command, with the instance's environment, in its folder. Returns only if that fails.
pub(crate) async fn run(
    context: &Context,
    exec: &Exec,
    output: &mut Output,
) -> Result<(), CommandError> {
    let client = daemon::ensure(context).await?;
    let application = meant::application(context, &client, output).await?;
    let target = Target::new(&["v1", "status"]).with("application", Some(&application));
    let status: StatusView = client.get(target).await?;
    let instance = instance(&status, &exec.target).ok_or_else(|| {
        CommandError::wrong(format!(
            "{application} has no running instance of `{}`; `pelago ps` lists what there is",
            exec.target
        ))
    })?;
    let target = Target::new(&["v1", "applications", &application, "instances", instance, "exec"]);
    let view: ExecView = client.get(target).await?;
    let Some((program, arguments)) = exec.command.split_first() else { return Ok(()) };
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(&view.environment).current_dir(&view.folder);
    if let Some(term) = context.environment.get("TERM") {
        command.env("TERM", term);
    }
    let source = command.exec();
    Err(CommandError::File { path: PathBuf::from(program), verb: "run", source })
}

/// The instance of that name, or of the service of that name: one that is ready if there is one.
fn instance<'a>(status: &'a StatusView, target: &str) -> Option<&'a str> {
    let services = status.applications.first()?.services.iter();
    let instances =
        services.flat_map(|service| service.instances.iter().map(move |it| (service, it)));
    let is_meant =
        |(service, it): &(&ServiceView, &InstanceView)| service.name == target || it.id == target;
    let candidates: Vec<&InstanceView> = instances.filter(is_meant).map(|(_, it)| it).collect();
    let ready = candidates
        .iter()
        .find(|it| matches!(it.state, InstanceStateView::Ready | InstanceStateView::Running));
    ready.or(candidates.first()).map(|it| it.id.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::tests::{application, instance as view, service};
    use api::status::ServiceStateView;

    #[test]
    fn a_ready_instance_is_chosen_unless_one_is_named() {
        let mut web = service("web", ServiceStateView::Degraded);
        web.instances = vec![
            view("web.1", InstanceStateView::Stopping),
            view("web.2", InstanceStateView::Ready),
        ];
        let applications = vec![application(vec![web])];
        let status = StatusView { applications, ..StatusView::default() };
        assert_eq!(instance(&status, "web"), Some("web.2"));
        assert_eq!(instance(&status, "web.1"), Some("web.1"));
        assert_eq!(instance(&status, "cart"), None);
    }
}
