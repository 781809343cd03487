//! Tables that models name by index.

use fault_common::fate::{self, Distribution, Sample};

/// The tables of a plan, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tables {
    /// See [`fate::Tables::distributions`].
    pub distributions: Vec<Vec<i16>>,
    /// See [`fate::Tables::deliveries`].
    pub deliveries: Vec<Vec<u64>>,
    /// See [`fate::Tables::samples`].
    pub samples: Vec<Vec<Sample>>,
}

impl Tables {
    /// Lends the tables; make this once, not for each packet.
    pub fn lend(&self) -> Lent<'_> {
        Lent {
            distributions: self.distributions.iter().map(Vec::as_slice).collect(),
            deliveries: self.deliveries.iter().map(Vec::as_slice).collect(),
            samples: self.samples.iter().map(Vec::as_slice).collect(),
        }
    }

    pub(super) fn distribution(&mut self, table: Vec<i16>) -> Distribution {
        Distribution::Table(intern(&mut self.distributions, &table))
    }

    pub(super) fn delivery(&mut self, table: &[u64]) -> u32 {
        intern(&mut self.deliveries, table)
    }

    pub(super) fn sample(&mut self, table: &[Sample]) -> u32 {
        intern(&mut self.samples, table)
    }
}

fn intern<T: Clone + PartialEq>(tables: &mut Vec<Vec<T>>, table: &[T]) -> u32 {
    let at = tables.iter().position(|t| t == table).unwrap_or_else(|| {
        tables.push(table.to_vec());
        tables.len() - 1
    });
    at as u32
}

/// Borrowed tables in the form that decisions take.
#[derive(Debug, Clone)]
pub struct Lent<'a> {
    distributions: Vec<&'a [i16]>,
    deliveries: Vec<&'a [u64]>,
    samples: Vec<&'a [Sample]>,
}

impl Lent<'_> {
    /// As decisions take them.
    pub fn tables(&self) -> fate::Tables<'_> {
        fate::Tables {
            distributions: &self.distributions,
            deliveries: &self.deliveries,
            samples: &self.samples,
        }
    }
}
