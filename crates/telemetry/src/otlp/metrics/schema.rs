//! The fields of OTLP's metrics, for JSON.

use crate::otlp::json::{Kind, Schema};
use crate::otlp::value::{KEY_VALUE, RESOURCE, SCOPE};

/// `ExportMetricsServiceRequest`.
pub(super) static REQUEST: Schema = Schema {
    fields: &[(
        "resourceMetrics",
        1,
        Kind::Message(&Schema {
            fields: &[
                ("resource", 1, RESOURCE),
                (
                    "scopeMetrics",
                    2,
                    Kind::Message(&Schema {
                        fields: &[("scope", 1, SCOPE), ("metrics", 2, Kind::Message(&METRIC))],
                    }),
                ),
            ],
        }),
    )],
};

static METRIC: Schema = Schema {
    fields: &[
        ("name", 1, Kind::Text),
        ("description", 2, Kind::Text),
        ("unit", 3, Kind::Text),
        ("gauge", 5, data(&NUMBER_FIELDS)),
        ("sum", 7, data(&NUMBER_FIELDS)),
        ("histogram", 9, data(&HISTOGRAM_FIELDS)),
        ("exponentialHistogram", 10, data(&EXPONENTIAL_FIELDS)),
        ("summary", 11, data(&SUMMARY_FIELDS)),
    ],
};

/// The data of a metric; those that have no temporality and are not monotonic do not send them.
const fn data(fields: &'static Schema) -> Kind {
    Kind::Message(fields)
}

static NUMBER_FIELDS: Schema = Schema {
    fields: &[
        ("dataPoints", 1, Kind::Message(&NUMBER)),
        ("aggregationTemporality", 2, Kind::Varint),
        ("isMonotonic", 3, Kind::Bool),
    ],
};
static HISTOGRAM_FIELDS: Schema = Schema {
    fields: &[
        ("dataPoints", 1, Kind::Message(&HISTOGRAM)),
        ("aggregationTemporality", 2, Kind::Varint),
    ],
};
static EXPONENTIAL_FIELDS: Schema = Schema {
    fields: &[
        ("dataPoints", 1, Kind::Message(&EXPONENTIAL)),
        ("aggregationTemporality", 2, Kind::Varint),
    ],
};
static SUMMARY_FIELDS: Schema = Schema { fields: &[("dataPoints", 1, Kind::Message(&SUMMARY))] };

static NUMBER: Schema = Schema {
    fields: &[
        ("attributes", 7, KEY_VALUE),
        ("timeUnixNano", 3, Kind::Fixed64),
        ("asDouble", 4, Kind::Double),
        ("asInt", 6, Kind::Fixed64),
        ("exemplars", 5, Kind::Message(&EXEMPLAR)),
        ("flags", 8, Kind::Varint),
    ],
};
static HISTOGRAM: Schema = Schema {
    fields: &[
        ("attributes", 9, KEY_VALUE),
        ("timeUnixNano", 3, Kind::Fixed64),
        ("count", 4, Kind::Fixed64),
        ("sum", 5, Kind::Double),
        ("bucketCounts", 6, Kind::Fixed64),
        ("explicitBounds", 7, Kind::Double),
        ("exemplars", 8, Kind::Message(&EXEMPLAR)),
        ("flags", 10, Kind::Varint),
    ],
};
static EXPONENTIAL: Schema = Schema {
    fields: &[
        ("attributes", 1, KEY_VALUE),
        ("timeUnixNano", 3, Kind::Fixed64),
        ("count", 4, Kind::Fixed64),
        ("sum", 5, Kind::Double),
        ("scale", 6, Kind::Zigzag),
        ("zeroCount", 7, Kind::Fixed64),
        ("positive", 8, Kind::Message(&BUCKETS)),
        ("negative", 9, Kind::Message(&BUCKETS)),
        ("flags", 10, Kind::Varint),
        ("exemplars", 11, Kind::Message(&EXEMPLAR)),
        ("zeroThreshold", 14, Kind::Double),
    ],
};
static BUCKETS: Schema =
    Schema { fields: &[("offset", 1, Kind::Zigzag), ("bucketCounts", 2, Kind::Varint)] };
static SUMMARY: Schema = Schema {
    fields: &[
        ("attributes", 7, KEY_VALUE),
        ("timeUnixNano", 3, Kind::Fixed64),
        ("count", 4, Kind::Fixed64),
        ("sum", 5, Kind::Double),
        (
            "quantileValues",
            6,
            Kind::Message(&Schema {
                fields: &[("quantile", 1, Kind::Double), ("value", 2, Kind::Double)],
            }),
        ),
        ("flags", 8, Kind::Varint),
    ],
};
static EXEMPLAR: Schema = Schema {
    fields: &[
        ("timeUnixNano", 2, Kind::Fixed64),
        ("asDouble", 3, Kind::Double),
        ("spanId", 4, Kind::Hexadecimal),
        ("traceId", 5, Kind::Hexadecimal),
        ("asInt", 6, Kind::Fixed64),
    ],
};
