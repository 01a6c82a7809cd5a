//! From results to responses.

use api::{ApiError, ErrorKind};
use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// An error as a response: its status, and itself as JSON.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) ApiError);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(self.0)).into_response()
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

macro_rules! from_rejection {
    ($($rejection:ident),*) => {
        $(impl From<$rejection> for Failure {
            fn from(rejection: $rejection) -> Self {
                let kind = match rejection.status() {
                    StatusCode::PAYLOAD_TOO_LARGE => ErrorKind::TooLarge,
                    _ => ErrorKind::Invalid,
                };
                Self(ApiError::new(kind, rejection.body_text()))
            }
        })*
    };
}

from_rejection!(JsonRejection, PathRejection, QueryRejection);

/// A parameter that is not right.
pub(crate) fn invalid(message: impl Into<String>) -> Failure {
    Failure(ApiError::new(ErrorKind::Invalid, message))
}
