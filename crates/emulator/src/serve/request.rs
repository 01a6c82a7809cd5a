//! One request at a synthetic service: its turn, its work, its calls, its answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use behaviour::{Behaviour, CallEnd, Execution, Next, Outcome, Plan, PlannedCall};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use model::workload::Workload;
use model::{Rng, ServiceName};
use tokio::task::JoinSet;

use super::answer::{Answer, CallReport, VisitedReader, millis, visited};
use super::limits::Limits;
use super::trace_context::{REQUEST_ID, trace_context};
use super::turn::Turns;
use crate::alarm::Alarm;
use crate::clock::Clock;
use crate::pool::Pool;

/// What a service is made of.
pub(crate) struct Parts {
    pub(crate) name: ServiceName,
    pub(crate) instance: String,
    pub(crate) behaviour: Behaviour,
    pub(crate) workload: Workload,
    pub(crate) pools: Vec<Pool>,
    pub(crate) limits: Limits,
    pub(crate) clock: Clock,
    pub(crate) alarm: Alarm,
    pub(crate) rng: Rng,
}

/// What all requests of a service share.
pub(crate) struct Shared {
    pub(crate) name: ServiceName,
    pub(crate) limits: Limits,
    pub(crate) clock: Clock,
    pub(crate) turns: Arc<Turns>,
    behaviour: Arc<Behaviour>,
    /// The stream from which all its draws come.
    pub(crate) rng: Rng,
    instance: String,
    response_bytes: u64,
    /// One for each of the behaviour's callees, in their order.
    pools: Vec<Pool>,
    /// As many bytes as the largest request to a callee has; smaller ones are slices of it.
    body: Bytes,
    draws: Mutex<Draws>,
    stopping: AtomicBool,
}

/// Streams of their own, so that what a request does never depends on the headers it came with.
struct Draws {
    plans: Rng,
    patience: Rng,
    traces: Rng,
}

impl Shared {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { name, instance, behaviour, workload, pools, limits, clock, alarm, rng } = parts;
        let calls = workload.steps.iter().flat_map(|it| &it.parallel);
        let largest = calls.map(|it| it.request.0).max().unwrap_or(0);
        let behaviour = Arc::new(behaviour);
        let turns = Turns::new(&workload, Arc::clone(&behaviour), Clock::clone(&clock), alarm);
        let draws = Draws {
            plans: rng.child("plans"),
            patience: rng.child("patience"),
            traces: rng.child("traces"),
        };
        Self {
            name,
            instance,
            turns: Arc::new(turns),
            behaviour,
            response_bytes: workload.response.0,
            pools,
            body: vec![b'.'; usize::try_from(largest).unwrap_or(usize::MAX)].into(),
            draws: Mutex::new(draws),
            stopping: AtomicBool::new(false),
            limits,
            clock,
            rng,
        }
    }

    /// From now on it is unhealthy.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}

/// Answers one request.
pub(crate) async fn respond(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    if request.uri().path() == "/health" {
        return health(&shared);
    }
    let context = {
        let mut draws = shared.draws.lock().unwrap_or_else(PoisonError::into_inner);
        trace_context(request.headers(), &mut draws.traces)
    };
    let (status, answer) = match take_body(&shared, request).await {
        Ok(()) => work(&shared, &context).await,
        Err((status, error)) => (status, own_answer(&shared, error)),
    };
    if let Some(error) = &answer.error {
        tracing::debug!(service = %shared.name, %status, error, "request failed");
    }
    let json = answer.into_json(shared.response_bytes);
    let mut response = Response::new(Full::new(Bytes::from(json)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(id) = context.get(REQUEST_ID) {
        headers.insert(REQUEST_ID, id.clone());
    }
    response
}

fn health(shared: &Shared) -> Response<Full<Bytes>> {
    let (status, text) = if shared.stopping.load(Ordering::Relaxed) {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    } else {
        (StatusCode::OK, "ok\n")
    };
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

/// Reads the request's body to its end and forgets it.
async fn take_body(
    shared: &Shared,
    request: Request<Incoming>,
) -> Result<(), (StatusCode, String)> {
    let limit = shared.limits.body_bytes;
    let mut body = request.into_body();
    if body.is_end_stream() {
        return Ok(());
    }
    let too_large = || {
        let error = format!("a body may have {limit} bytes (limits.body_bytes)");
        (StatusCode::PAYLOAD_TOO_LARGE, error)
    };
    let all = async {
        let mut taken = 0_u64;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|it| (StatusCode::BAD_REQUEST, it.to_string()))?;
            taken += frame.data_ref().map_or(0, |it| it.len() as u64);
            if limit < taken {
                return Err(too_large());
            }
        }
        Ok(())
    };
    tokio::time::timeout(shared.limits.body_wait, all).await.unwrap_or_else(|_| {
        let error = "the body did not arrive in time (limits.body_wait)".to_owned();
        Err((StatusCode::REQUEST_TIMEOUT, error))
    })
}

/// What the service does for a request, from its turn to its answer.
async fn work<'a>(shared: &'a Arc<Shared>, context: &HeaderMap) -> (StatusCode, Answer<'a>) {
    let (plan, patience) = {
        let mut draws = shared.draws.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = Plan::draw(&shared.behaviour, &mut draws.plans);
        (plan, shared.behaviour.patience().map(|it| it.draw(&mut draws.patience)))
    };
    let _permit = match shared.turns.take(patience).await {
        Ok(permit) => permit,
        Err(error) => {
            return (StatusCode::SERVICE_UNAVAILABLE, own_answer(shared, error.to_string()));
        }
    };
    let mut execution = Execution::new(plan);
    shared.turns.work(execution.plan().work).await;

    let mut reports: Vec<Option<CallReport>> = Vec::new();
    reports.resize_with(execution.plan().calls().len(), || None);
    let mut next = execution.on_worked();
    let outcome = loop {
        let calls = match next {
            Next::Calls(calls) => calls,
            Next::Finish(outcome) => break outcome,
        };
        let mut running = JoinSet::new();
        let planned = execution.plan().calls().iter().enumerate();
        for (place, call) in planned.take(calls.end).skip(calls.start) {
            let call = make(Arc::clone(shared), *call, context.clone());
            running.spawn(async move { (place, call.await) });
        }
        next = Next::Finish(Outcome::Answered);
        while let Some(Ok((place, report))) = running.join_next().await {
            let answered = report.status.is_some_and(|it| it < 400);
            let end = if answered { CallEnd::Answered } else { CallEnd::Failed };
            if let Some(report_at) = reports.get_mut(place) {
                *report_at = Some(report);
            }
            if let Some(following) = execution.on_call_ended(place, end) {
                next = following;
            }
        }
    };
    finish(shared, outcome, reports)
}

/// The answer to a request that ended with `outcome`.
fn finish(
    shared: &Shared,
    outcome: Outcome,
    reports: Vec<Option<CallReport>>,
) -> (StatusCode, Answer<'_>) {
    let (status, error) = match outcome {
        Outcome::Answered => (StatusCode::OK, None),
        Outcome::OwnError => {
            let error = "a synthetic error, as its behaviour has them".to_owned();
            (StatusCode::INTERNAL_SERVER_ERROR, Some(error))
        }
        Outcome::CalleeFailed { call } => {
            let failed = reports.get(call).and_then(Option::as_ref);
            (StatusCode::BAD_GATEWAY, failed.map(CallReport::failure))
        }
    };
    let calls: Vec<CallReport> = reports.into_iter().flatten().collect();
    let visited = visited(shared.name.as_str(), &calls);
    let service = shared.name.as_str();
    (status, Answer { service, instance: &shared.instance, error, calls, visited })
}

fn own_answer(shared: &Shared, error: String) -> Answer<'_> {
    let service = shared.name.as_str();
    Answer {
        service,
        instance: &shared.instance,
        error: Some(error),
        calls: Vec::new(),
        visited: vec![service.to_owned()],
    }
}

/// Makes one call and reports how it went.
async fn make(shared: Arc<Shared>, call: PlannedCall, context: HeaderMap) -> CallReport {
    let callee = shared.behaviour.callees().get(call.callee).map_or("", ServiceName::as_str);
    let began = (shared.clock)();
    let mut reader = VisitedReader::default();
    let result = match shared.pools.get(call.callee) {
        Some(pool) => {
            let request = call_request(&shared, pool, call, context);
            let exchange = pool.exchange(request, |piece| reader.push(piece));
            match tokio::time::timeout(shared.limits.call, exchange).await {
                Ok(Ok(status)) => Ok(status.as_u16()),
                Ok(Err(error)) => Err(model::chain(&error)),
                Err(_) => Err("no answer in time (limits.call)".to_owned()),
            }
        }
        None => Err("it is not known where it is".to_owned()),
    };
    let ms = millis((shared.clock)().since(began));
    let service = callee.to_owned();
    match result {
        Ok(status) => {
            let visited = reader.finish(callee);
            CallReport { service, status: Some(status), error: None, ms, visited }
        }
        Err(error) => {
            CallReport { service, status: None, error: Some(error), ms, visited: Vec::new() }
        }
    }
}

fn call_request(
    shared: &Shared,
    pool: &Pool,
    call: PlannedCall,
    context: HeaderMap,
) -> Request<Full<Bytes>> {
    let bytes = usize::try_from(call.request_bytes).unwrap_or(usize::MAX).min(shared.body.len());
    let mut request = Request::new(Full::new(shared.body.slice(..bytes)));
    *request.uri_mut() = Uri::from(pool.origin.path.clone());
    *request.headers_mut() = context;
    request.headers_mut().insert(HOST, pool.origin.host.clone());
    if 0 < bytes {
        *request.method_mut() = Method::POST;
        let content_type = HeaderValue::from_static("text/plain");
        request.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    request
}
