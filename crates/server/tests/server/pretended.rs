//! A platform without anything behind it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::change::{PlanView, Values};
use api::logs::{ExecView, Finding, LogLine, LogPage, LogQuery};
use api::request::{Accepted, Apply, At, EventQuery, Rollback, SetTraffic, Steer};
use api::rollout::RolloutView;
use api::spans::{SpanQuery, SpanView};
use api::traffic::{DrainingView, Traffic};
use api::unrecorded::UnrecordedEnd;
use api::{ApiError, ErrorKind, Platform};
use model::{Application, ApplicationName, Index, InstanceId, ServiceName, Timestamp};
use tokio::sync::watch;
use world::{Event, Recorded, World};

/// What tests see of a platform, and make it do.
#[derive(Debug)]
pub(crate) struct Inside {
    worlds: watch::Sender<Arc<World>>,
    history: Mutex<Vec<Recorded>>,
    /// How many wait for a change.
    waiting: watch::Sender<usize>,
    /// How often events were asked for.
    pub(crate) asked: AtomicUsize,
    /// Whether `events` always finds more.
    history_is: Length,
    /// Pages that `logs` answers with, in turn; then the last one goes on.
    pub(crate) pages: Mutex<Vec<LogPage>>,
    pub(crate) log_queries: Mutex<Vec<LogQuery>>,
    pub(crate) span_queries: Mutex<Vec<SpanQuery>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    AsItIs,
    Endless,
}

#[derive(Clone, Debug)]
pub(crate) struct Pretended(pub(crate) Arc<Inside>);

fn definition() -> Arc<Application> {
    Arc::new(Application::empty("shop".parse().unwrap()))
}

impl Pretended {
    pub(crate) fn new() -> Self {
        Self::with(Length::AsItIs)
    }

    /// One whose events never end.
    pub(crate) fn endless() -> Self {
        Self::with(Length::Endless)
    }

    fn with(history_is: Length) -> Self {
        let inside = Inside {
            worlds: watch::Sender::new(Arc::new(World::default())),
            history: Mutex::default(),
            waiting: watch::Sender::new(0),
            asked: AtomicUsize::new(0),
            history_is,
            pages: Mutex::default(),
            log_queries: Mutex::default(),
            span_queries: Mutex::default(),
        };
        let pretended = Self(Arc::new(inside));
        pretended.happens(Event::ApplicationApplied {
            definition: definition(),
            folder: "/srv/shop".to_owned(),
        });
        pretended
    }

    /// Folds one more event into the world.
    pub(crate) fn happens(&self, event: Event) {
        let mut world = World::clone(&self.world());
        let recorded = Recorded { index: world.index.next(), at: Timestamp::EPOCH, event };
        world.fold(&recorded).unwrap();
        self.0.history.lock().unwrap().push(recorded);
        self.0.worlds.send_replace(Arc::new(world));
    }

    pub(crate) fn stop_asked(&self) {
        self.happens(Event::StopAsked { application: "shop".parse().unwrap() });
    }

    /// Until somebody waits for a change.
    pub(crate) async fn is_waited_for(&self) {
        self.0.waiting.subscribe().wait_for(|it| 0 < *it).await.unwrap();
    }

    fn endless_events(&self, query: &EventQuery) -> Vec<Recorded> {
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        let event = Event::StopAsked { application: "shop".parse().unwrap() };
        let indexes = query.after.0 + 1..=query.after.0 + query.limit as u64;
        let recorded =
            |index| Recorded { index: Index(index), at: Timestamp::EPOCH, event: event.clone() };
        indexes.map(recorded).collect()
    }
}

const ACCEPTED: Accepted = Accepted { index: 7, releases: Vec::new(), baked: Vec::new() };

impl Platform for Pretended {
    fn world(&self) -> Arc<World> {
        Arc::clone(&self.0.worlds.borrow())
    }

    async fn changed(&self, after: Index) -> Arc<World> {
        let mut worlds = self.0.worlds.subscribe();
        if self.world().index <= after {
            self.0.waiting.send_modify(|it| *it += 1);
        }
        Arc::clone(&*worlds.wait_for(|it| after < it.index).await.unwrap())
    }

    async fn world_at(&self, at: At) -> Result<Arc<World>, ApiError> {
        match at {
            At::Index(Index(1)) => Ok(self.world()),
            other => Err(ApiError::new(ErrorKind::Gone, format!("{other} was let go"))),
        }
    }

    async fn events(&self, query: EventQuery) -> Result<Vec<Recorded>, ApiError> {
        if self.0.history_is == Length::Endless {
            return Ok(self.endless_events(&query));
        }
        let history = self.0.history.lock().unwrap();
        let found = history.iter().filter(|it| query.after < it.index).cloned();
        Ok(found.take(query.limit).collect())
    }

    async fn apply(&self, _: Apply) -> Result<Accepted, ApiError> {
        Ok(ACCEPTED)
    }

    async fn plan(&self, apply: Apply, _: Values) -> Result<PlanView, ApiError> {
        Ok(PlanView {
            application: apply.definition.name.to_string(),
            changes: Vec::new(),
            whole: Vec::new(),
        })
    }

    async fn stop(&self, application: ApplicationName) -> Result<Accepted, ApiError> {
        match application.as_str() {
            "shop" => Ok(ACCEPTED),
            other => Err(ApiError::no_application(other)),
        }
    }

    async fn start(&self, _: ApplicationName) -> Result<Accepted, ApiError> {
        Ok(ACCEPTED)
    }

    async fn remove(&self, _: ApplicationName) -> Result<Accepted, ApiError> {
        Ok(ACCEPTED)
    }

    async fn scale(
        &self,
        _: ApplicationName,
        _: ServiceName,
        _: u32,
    ) -> Result<Accepted, ApiError> {
        Ok(ACCEPTED)
    }

    async fn restart(
        &self,
        _: ApplicationName,
        _: Option<ServiceName>,
    ) -> Result<Accepted, ApiError> {
        Ok(ACCEPTED)
    }

    async fn set_traffic(
        &self,
        _: ApplicationName,
        _: ServiceName,
        _: SetTraffic,
    ) -> Result<Accepted, ApiError> {
        Ok(ACCEPTED)
    }

    async fn steer(
        &self,
        _: ApplicationName,
        _: ServiceName,
        _: Steer,
    ) -> Result<Accepted, ApiError> {
        Ok(ACCEPTED)
    }

    async fn roll_back(
        &self,
        _: ApplicationName,
        _: ServiceName,
        _: Rollback,
    ) -> Result<Accepted, ApiError> {
        Ok(ACCEPTED)
    }

    fn rollouts(&self) -> Vec<RolloutView> {
        Vec::new()
    }

    async fn logs(&self, query: LogQuery) -> Result<LogPage, ApiError> {
        self.0.log_queries.lock().unwrap().push(query);
        let mut pages = self.0.pages.lock().unwrap();
        Ok(match pages.len() {
            0 => LogPage { lines: vec![line("hello")], next: "web.1:1:6".to_owned() },
            1 => pages[0].clone(),
            _ => pages.remove(0),
        })
    }

    async fn exec(&self, _: ApplicationName, instance: InstanceId) -> Result<ExecView, ApiError> {
        let instance = instance.to_string();
        Ok(ExecView { instance, environment: BTreeMap::new(), folder: "/".to_owned() })
    }

    fn traffic(&self) -> Traffic {
        let gateway = vec!["http://127.0.0.1:8080".to_owned()];
        let window = Duration::from_secs(10);
        Traffic { connected: true, window, gateway, edges: Vec::new() }
    }

    fn spans(&self, query: &SpanQuery) -> Vec<SpanView> {
        self.0.span_queries.lock().unwrap().push(query.clone());
        Vec::new()
    }

    fn recording_problems(&self) -> Vec<String> {
        Vec::new()
    }

    fn unrecorded_ends(&self) -> Vec<UnrecordedEnd> {
        Vec::new()
    }

    fn draining(&self) -> Vec<DrainingView> {
        Vec::new()
    }

    async fn doctor(&self) -> Vec<Finding> {
        Vec::new()
    }

    fn shut_down(&self) {}
}

pub(crate) fn line(text: &str) -> LogLine {
    LogLine {
        at: Timestamp::EPOCH.to_string(),
        instance: "web.1".to_owned(),
        stream: "stdout".to_owned(),
        text: text.to_owned(),
    }
}
