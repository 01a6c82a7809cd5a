//! What is asked: parameters of the query and of a form, and what they mean.

use axum::extract::FromRequest;
use axum::http::Request;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use model::Timestamp;
use promql::Matcher;
use promql::parse::{Expr, duration_ms, parse, parse_selector};

use super::answer::Refused;

/// The parameters of a request, those of its form before those of its query. A name may come several times.
#[derive(Debug)]
pub(super) struct Asked(Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Asked {
    type Rejection = Refused;

    async fn from_request(
        request: Request<axum::body::Body>,
        state: &S,
    ) -> Result<Self, Self::Rejection> {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
        let is_form =
            content_type.is_some_and(|it| it.starts_with("application/x-www-form-urlencoded"));
        let body = if is_form {
            let body = Bytes::from_request(request, state).await;
            body.map_err(|error| Refused::bad_data(error.body_text()))?
        } else {
            Bytes::new()
        };
        let pairs = form_urlencoded::parse(&body).chain(form_urlencoded::parse(query.as_bytes()));
        Ok(Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()))
    }
}

impl Asked {
    /// The first value of a parameter; an empty one counts as none.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|it| it.0 == name).map(|it| it.1.as_str());
        found.filter(|it| !it.is_empty())
    }

    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |it| it.0 == name).map(|it| it.1.as_str())
    }

    pub(super) fn expression(&self) -> Result<Expr, Refused> {
        let text = self.get("query").unwrap_or_default();
        parse(text).map_err(|error| wrong("query", &error.to_string()))
    }

    /// A moment in milliseconds since 1970.
    pub(super) fn time(&self, name: &str) -> Result<Option<i64>, Refused> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let found = time_ms(text);
        let refused = || wrong(name, &format!("cannot parse {text:?} to a valid timestamp"));
        found.map(Some).ok_or_else(refused)
    }

    /// A moment that must be said.
    pub(super) fn time_of(&self, name: &str) -> Result<i64, Refused> {
        let missing = || wrong(name, "cannot parse \"\" to a valid timestamp");
        self.time(name)?.ok_or_else(missing)
    }

    pub(super) fn duration_ms(&self, name: &str) -> Result<Option<i64>, Refused> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let seconds = text.parse::<f64>().ok().filter(|it| it.is_finite());
        let found = seconds.map(milliseconds).or_else(|| duration_ms(text));
        let refused = || wrong(name, &format!("cannot parse {text:?} to a valid duration"));
        found.map(Some).ok_or_else(refused)
    }

    /// How many are wanted at most; all, if nothing is said.
    pub(super) fn limit(&self) -> Result<usize, Refused> {
        let Some(text) = self.get("limit") else { return Ok(usize::MAX) };
        let found = text.parse().map_err(|_error| {
            wrong("limit", &format!("cannot parse {text:?} to a valid number"))
        })?;
        Ok(if found == 0 { usize::MAX } else { found })
    }

    /// Selectors, each a list of matchers of which all must fit.
    pub(super) fn selectors(&self) -> Result<Vec<Vec<Matcher>>, Refused> {
        let read = |text| {
            let selector =
                parse_selector(text).map_err(|error| wrong("match[]", &error.to_string()))?;
            Ok(selector.matchers)
        };
        self.all("match[]").map(read).collect()
    }

    /// The time between `start` and `end`; all there is, if nothing is said.
    pub(super) fn range(&self) -> Result<(i64, i64), Refused> {
        Ok((self.time("start")?.unwrap_or(i64::MIN), self.time("end")?.unwrap_or(i64::MAX)))
    }
}

fn wrong(name: &str, reason: &str) -> Refused {
    Refused::bad_data(format!("invalid parameter {name:?}: {reason}"))
}

/// Seconds since 1970, or RFC 3339.
fn time_ms(text: &str) -> Option<i64> {
    let seconds = text.parse::<f64>().ok().filter(|it| it.is_finite());
    let calendar = || i64::try_from(Timestamp::parse(text)?.as_millis()).ok();
    seconds.map(milliseconds).or_else(calendar)
}

#[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1_000.0).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(time_ms("1435781430.7812"), Some(1_435_781_430_781));
        assert_eq!(time_ms("2015-07-01T20:10:30.781Z"), Some(1_435_781_430_781));
        assert_eq!(time_ms("-1"), Some(-1_000));
        assert_eq!(time_ms("NaN"), None);
        assert_eq!(time_ms("yesterday"), None);
    }

    #[test]
    fn durations_and_limits() {
        let of = |pairs: &[(&str, &str)]| {
            Asked(
                pairs
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
            )
        };
        let asked =
            of(&[("step", "1m30s"), ("limit", "0"), ("match[]", "a"), ("match[]", "{b=\"1\"}")]);
        assert_eq!(asked.duration_ms("step").unwrap(), Some(90_000));
        assert_eq!(of(&[("step", "0.25")]).duration_ms("step").unwrap(), Some(250));
        assert_eq!(asked.limit().unwrap(), usize::MAX);
        assert_eq!(asked.selectors().unwrap().len(), 2);
        assert!(of(&[("step", "soon")]).duration_ms("step").is_err());
        assert!(of(&[("match[]", "{")]).selectors().is_err());
        assert_eq!(of(&[("time", "")]).time("time").unwrap(), None);
    }
}
