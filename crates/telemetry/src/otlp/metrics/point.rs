//! Data points of the five kinds, read into one shape.

use super::exponential::{Buckets, Exponential, READ_MAX};
use crate::otlp::value::{Value, key_value};
use crate::protobuf::{self, Field, ProtobufError, unzigzag, varint};

/// Which data a metric has: the numbers of their fields in `Metric`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Gauge,
    Sum,
    Histogram,
    Exponential,
    Summary,
}

impl Shape {
    /// The shape with this number.
    pub(super) const fn of(number: u32) -> Option<Self> {
        match number {
            5 => Some(Self::Gauge),
            7 => Some(Self::Sum),
            9 => Some(Self::Histogram),
            10 => Some(Self::Exponential),
            11 => Some(Self::Summary),
            _ => None,
        }
    }

    /// The number of the flags.
    const fn flags(self) -> u32 {
        match self {
            Self::Gauge | Self::Sum | Self::Summary => 8,
            Self::Histogram | Self::Exponential => 10,
        }
    }

    const fn attributes(self) -> u32 {
        match self {
            Self::Gauge | Self::Sum | Self::Summary => 7,
            Self::Histogram => 9,
            Self::Exponential => 1,
        }
    }

    const fn exemplars(self) -> u32 {
        match self {
            Self::Gauge | Self::Sum => 5,
            Self::Histogram => 8,
            Self::Exponential => 11,
            // It has none, and no field has this number.
            Self::Summary => 0,
        }
    }
}

/// A data point.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct DataPoint<'a> {
    pub(super) attributes: Vec<(&'a str, Value<'a>)>,
    /// Nanoseconds since 1970, or 0.
    pub(super) time_ns: u64,
    /// Of a gauge or a sum.
    pub(super) value: f64,
    pub(super) count: u64,
    pub(super) sum: Option<f64>,
    /// A histogram's: bounds, or a summary's quantiles.
    pub(super) bounds: Vec<f64>,
    /// A histogram's, one more than bounds.
    pub(super) counts: Vec<u64>,
    /// A summary's, as many as bounds.
    pub(super) values: Vec<f64>,
    pub(super) exponential: Exponential,
    pub(super) exemplars: Vec<Exemplar>,
    /// Whether there is no value any more.
    pub(super) is_stale: bool,
}

/// One of the measurements that a data point counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Exemplar {
    pub(super) time_ns: u64,
    pub(super) value: f64,
    pub(super) trace: u128,
    pub(super) span: u64,
}

/// Exemplars of a data point that are read.
const EXEMPLARS_MAX: usize = 32;

impl<'a> DataPoint<'a> {
    /// Reads one.
    pub(super) fn read(field: &Field<'a>, shape: Shape) -> Result<Self, ProtobufError> {
        let mut point = Self::default();
        for field in field.message()? {
            let field = field?;
            if field.number == shape.attributes() {
                point.attributes.push(key_value(&field)?);
            } else if field.number == shape.flags() {
                point.is_stale = field.number()? & 1 != 0;
            } else if field.number == shape.exemplars() {
                if point.exemplars.len() < EXEMPLARS_MAX {
                    point.exemplars.push(exemplar(&field)?);
                }
            } else if field.number == 3 {
                point.time_ns = field.number()?;
            } else {
                match shape {
                    Shape::Gauge | Shape::Sum => point.number(&field)?,
                    Shape::Histogram => point.histogram(&field)?,
                    Shape::Exponential => point.exponential(&field)?,
                    Shape::Summary => point.summary(&field)?,
                }
            }
        }
        Ok(point)
    }

    fn number(&mut self, field: &Field<'a>) -> Result<(), ProtobufError> {
        match field.number {
            4 => self.value = field.double()?,
            6 => self.value = double(field.number()?.cast_signed()),
            _ => {}
        }
        Ok(())
    }

    fn histogram(&mut self, field: &Field<'a>) -> Result<(), ProtobufError> {
        match field.number {
            4 => self.count = field.number()?,
            5 => self.sum = Some(field.double()?),
            6 => fixed64s(field, &mut |it| self.counts.push(it))?,
            7 => fixed64s(field, &mut |it| self.bounds.push(f64::from_bits(it)))?,
            _ => {}
        }
        Ok(())
    }

    fn exponential(&mut self, field: &Field<'a>) -> Result<(), ProtobufError> {
        let histogram = &mut self.exponential;
        match field.number {
            4 => self.count = field.number()?,
            5 => self.sum = Some(field.double()?),
            6 => histogram.scale = signed(field)?,
            7 => histogram.zero_count = field.number()?,
            8 => histogram.positive = buckets(field)?,
            9 => histogram.negative = buckets(field)?,
            14 => histogram.zero_threshold = field.double()?,
            _ => {}
        }
        Ok(())
    }

    fn summary(&mut self, field: &Field<'a>) -> Result<(), ProtobufError> {
        match field.number {
            4 => self.count = field.number()?,
            5 => self.sum = Some(field.double()?),
            6 => {
                let (mut quantile, mut value) = (0.0, 0.0);
                for field in field.message()? {
                    let field = field?;
                    match field.number {
                        1 => quantile = field.double()?,
                        2 => value = field.double()?,
                        _ => {}
                    }
                }
                self.bounds.push(quantile);
                self.values.push(value);
            }
            _ => {}
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "a sample is a double")]
const fn double(number: i64) -> f64 {
    number as f64
}

/// A `sint32`.
fn signed(field: &Field<'_>) -> Result<i32, ProtobufError> {
    i32::try_from(unzigzag(field.number()?)).map_err(|_large| ProtobufError::Number)
}

/// Numbers of eight bytes, packed or not. More than [`READ_MAX`] are counted, which is too many.
fn fixed64s(field: &Field<'_>, visit: &mut dyn FnMut(u64)) -> Result<(), ProtobufError> {
    match field.value {
        protobuf::Value::Bytes(bytes) => {
            let (numbers, rest) = bytes.as_chunks::<8>();
            if !rest.is_empty() {
                return Err(ProtobufError::Torn);
            }
            numbers.iter().take(READ_MAX + 1).for_each(|it| visit(u64::from_le_bytes(*it)));
        }
        _ => visit(field.number()?),
    }
    Ok(())
}

fn buckets(field: &Field<'_>) -> Result<Buckets, ProtobufError> {
    let mut buckets = Buckets::default();
    for field in field.message()? {
        let field = field?;
        match (field.number, field.value) {
            (1, _) => buckets.offset = i64::from(signed(&field)?),
            (2, protobuf::Value::Bytes(mut bytes)) => {
                while !bytes.is_empty() && buckets.counts.len() <= READ_MAX {
                    buckets.counts.push(varint(&mut bytes)?);
                }
            }
            (2, _) if buckets.counts.len() <= READ_MAX => buckets.counts.push(field.number()?),
            _ => {}
        }
    }
    Ok(buckets)
}

fn exemplar(field: &Field<'_>) -> Result<Exemplar, ProtobufError> {
    let mut exemplar = Exemplar::default();
    for field in field.message()? {
        let field = field?;
        match field.number {
            2 => exemplar.time_ns = field.number()?,
            3 => exemplar.value = field.double()?,
            4 => exemplar.span = field.bytes()?.try_into().map_or(0, u64::from_be_bytes),
            5 => exemplar.trace = field.bytes()?.try_into().map_or(0, u128::from_be_bytes),
            6 => exemplar.value = double(field.number()?.cast_signed()),
            _ => {}
        }
    }
    Ok(exemplar)
}
