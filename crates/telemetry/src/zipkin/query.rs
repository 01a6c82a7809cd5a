//! What Zipkin's page and its clients ask for: the parameters of `/api/v2/traces`.

use model::Timestamp;

use crate::traces::{Query, Term};

/// Traces in an answer if nobody says how many.
const LIMIT: usize = 10;

/// Why a question was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{parameter} is `{value}`, which is no {expected}")]
pub struct QueryError {
    /// The parameter.
    pub parameter: String,
    /// Its value.
    pub value: String,
    /// What it should be.
    pub expected: &'static str,
}

/// Reads the parameters of a search, in whatever order; those it does not know are left alone, as Zipkin does.
pub fn read_query<'a>(
    parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    now: Timestamp,
) -> Result<Query, QueryError> {
    let mut query = Query { limit: LIMIT, ..Query::default() };
    let (mut until_ms, mut lookback_ms) = (now.as_millis(), None);
    for (name, value) in parameters.into_iter().filter(|it| !it.1.is_empty()) {
        let number = || {
            value.parse::<u64>().map_err(|_invalid| QueryError {
                parameter: name.to_owned(),
                value: value.to_owned(),
                expected: "whole number",
            })
        };
        // The page sends `all` where it means that nothing is asked.
        let text = || Some(value.to_owned()).filter(|it| it != "all");
        match name {
            "serviceName" => query.service = text(),
            "spanName" => query.operation = text(),
            "remoteServiceName" => query.remote = text(),
            "annotationQuery" => {
                query.terms = Term::read_all(value);
                // Not everybody who fails says so in a tag; the answer does it for them.
                let before = query.terms.len();
                query.terms.retain(|it| *it != Term::Word("error".to_owned()));
                query.errors_only = query.terms.len() < before;
            }
            "minDuration" => query.duration_least_us = Some(number()?),
            "maxDuration" => query.duration_most_us = Some(number()?),
            "endTs" => until_ms = number()?,
            "lookback" => lookback_ms = Some(number()?),
            "limit" => query.limit = usize::try_from(number()?).unwrap_or(usize::MAX),
            _ => {}
        }
    }
    // Whoever asks for all until now asks for what has just come, too, by a clock that may be a little ahead.
    query.until_us = until_ms.saturating_mul(1_000).saturating_add(999);
    query.from_us = lookback_ms.map_or(0, |it| until_ms.saturating_sub(it).saturating_mul(1_000));
    Ok(query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read() {
        let now = Timestamp::from_millis(5_000);
        assert_eq!(read_query([], now), Ok(Query { until_us: 5_000_999, ..Query::default() }));
        let asked = [
            ("serviceName", "web"),
            ("spanName", "all"),
            ("remoteServiceName", ""),
            ("annotationQuery", "error and a=b"),
            ("minDuration", "7"),
            ("endTs", "4000"),
            ("lookback", "1500"),
            ("limit", "3"),
            ("other", "x"),
        ];
        assert_eq!(
            read_query(asked, now),
            Ok(Query {
                service: Some("web".to_owned()),
                terms: vec![Term::Tag("a".to_owned(), "b".to_owned())],
                errors_only: true,
                duration_least_us: Some(7),
                from_us: 2_500_000,
                until_us: 4_000_999,
                limit: 3,
                ..Query::default()
            })
        );
        let error = read_query([("limit", "many")], now).unwrap_err();
        assert_eq!(error.to_string(), "limit is `many`, which is no whole number");
    }
}
