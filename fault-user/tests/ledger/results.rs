//! What a trace comes to.

use fault_user::correlate::{Correlation, correlate};
use fault_user::ledger::build::build;
use fault_user::ledger::flow::FlowRecord;
use fault_user::report::model::SendReport;

use crate::trace::Trace;

impl Trace {
    pub fn flows(&self) -> Vec<FlowRecord> {
        build(&self.entries)
    }

    pub fn run(&self) -> Correlation {
        let result = correlate(&self.flows(), &self.messages, &self.facts);
        assert_eq!(result.verdicts.values().sum::<u64>(), result.sends.len() as u64);
        result
    }

    /// The entry of one message.
    pub fn verdict_of(&self, id: &str) -> SendReport {
        let all = self.run().sends;
        let mut of_id = all.into_iter().filter(|s| s.id.as_deref() == Some(id));
        of_id.next().unwrap_or_else(|| panic!("no entry for {id}"))
    }

    /// Entries of sends that no message claims.
    pub fn unlogged(&self) -> Vec<SendReport> {
        self.run().sends.into_iter().filter(|s| s.id.is_none()).collect()
    }
}
