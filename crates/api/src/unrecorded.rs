//! What is known and could not be recorded, on its way to whoever asks how things are.

use model::instance::Exit;
use model::{ApplicationName, InstanceId};

use crate::status::{ApplicationStateView, InstanceStateView, ServiceStateView, StatusView};

/// An instance that has ended, which could not be recorded yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnrecordedEnd {
    /// Its application.
    pub application: ApplicationName,
    /// Which.
    pub instance: InstanceId,
    /// How it ended, if that is known.
    pub exit: Option<Exit>,
}

impl StatusView {
    /// Shows instances as ended whose end could not be recorded: nobody should be told that what is dead is ready.
    pub fn note_ends(&mut self, ends: &[UnrecordedEnd]) {
        for UnrecordedEnd { application, instance, exit } in ends {
            let name = application.as_str();
            let Some(application) = self.applications.iter_mut().find(|it| it.name == name) else {
                continue;
            };
            let (service, id) = (instance.service.as_str(), instance.to_string());
            let service = application.services.iter_mut().find(|it| it.name == service);
            let Some(service) = service else { continue };
            let Some(view) = service.instances.iter_mut().find(|it| it.id == id) else { continue };
            if view.state == InstanceStateView::Ready {
                service.ready = service.ready.saturating_sub(1);
            }
            view.state = InstanceStateView::Unready;
            let exit =
                exit.as_ref().map_or_else(|| "its process is gone".to_owned(), ToString::to_string);
            view.detail = format!(
                "ended ({exit}), which cannot be recorded; it is replaced when that is possible"
            );
            if service.ready == 0 {
                service.state = ServiceStateView::Unready;
                application.state = ApplicationStateView::Degraded;
            }
        }
    }
}
