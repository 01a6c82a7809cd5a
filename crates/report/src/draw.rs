//! Drawing: scales with nice ticks, SVG that never holds a number that is none, and plots made of both.

mod bars;
mod layers;
mod plot;
mod scale;
mod svg;

pub(crate) use bars::{axis, whisker};
pub(crate) use layers::{Graph, Layout};
pub(crate) use plot::{
    Axis, Band, Column, LABEL_LINE_PX, LABEL_LINES_MAX, Plot, Point, Series, legend,
};
pub(crate) use scale::Scale;
pub(crate) use svg::{Anchor, Svg, place};
