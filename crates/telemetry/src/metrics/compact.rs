//! Putting small blocks together: fewer files to look into, and texts kept once instead of many times.
//!
//! Blocks have levels by the time they span: each level spans about eight times the one below. When there are eight
//! neighbours of one level, they become one of the next. The new block is written whole before the old ones go; a
//! process that is killed in between leaves both, which hold the same samples, and a question sees each once.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use promql::Labels;

use super::block::{Block, BlockWriter};
use super::chunk::Samples;
use super::head;
use super::store::{Store, millis};
use crate::segment::Damage;

/// Blocks that become one.
const TOGETHER: usize = 8;
/// Bytes of blocks that become one, at most: it is put together in memory.
const BYTES_MAX: u64 = 32 << 20;

impl Store {
    /// Puts neighbours together where there are enough of them. Returns what could not be read.
    pub(super) fn compact(&self, now_ms: i64) -> io::Result<Vec<Damage>> {
        let Some(group) = group(&self.blocks(), millis(self.limits.block), now_ms) else {
            return Ok(Vec::new());
        };
        let mut series: BTreeMap<Labels, Samples> = BTreeMap::new();
        for block in &group {
            let read = block.visit_all(&mut |labels, samples| {
                let all = series.entry(labels).or_default();
                if all.times.last() < samples.times.first() {
                    all.times.extend_from_slice(&samples.times);
                    all.values.extend_from_slice(&samples.values);
                } else {
                    head::merge(all, samples);
                }
                ControlFlow::Continue(())
            });
            match read {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Ok(vec![self.set_aside(block, &error)?]);
                }
                Err(error) => return Err(error),
            }
        }
        let mut writer = BlockWriter::new();
        for (labels, samples) in &series {
            writer.add(labels, samples)?;
        }
        drop(series);
        let new = self.write(writer)?;
        let old: Vec<u64> = group.iter().map(|it| it.number).collect();
        self.replace(&old, new);
        for block in group {
            fs::remove_file(&block.path)?;
        }
        Ok(Vec::new())
    }
}

/// Blocks that should become one, oldest first.
fn group(blocks: &[Arc<Block>], unit_ms: i64, now_ms: i64) -> Option<Vec<Arc<Block>>> {
    let mut blocks = blocks.to_vec();
    blocks.sort_by_key(|it| (it.from_ms, it.number));
    let level = |it: &Block| {
        let units = (it.to_ms - it.from_ms) / unit_ms.max(1);
        units.max(1).ilog2() / TOGETHER.ilog2()
    };
    let mut group: Vec<Arc<Block>> = Vec::new();
    for block in blocks {
        // A block that came out of order is put with its neighbours when they are.
        let is_same = group.last().is_none_or(|it| level(it) == level(&block));
        if !is_same || now_ms < block.to_ms {
            group.clear();
        }
        let bytes: u64 = group.iter().map(|it| it.bytes).sum();
        if BYTES_MAX < bytes + block.bytes {
            // As large as it gets.
            if 1 < group.len() {
                return Some(group);
            }
            group.clear();
            if BYTES_MAX < block.bytes {
                continue;
            }
        }
        group.push(block);
        if group.len() == TOGETHER {
            return Some(group);
        }
    }
    None
}
