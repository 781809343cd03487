//! The lines of `events.jsonl` that are no events: what was armed, what the apps said, how it ended. With
//! them the file has all that decisions and verdicts were made from; `docs/events.md` has each field.
#![expect(missing_docs, reason = "fields and variants whose name says it all")]

use fault_common::rule::{
    Chain, DELAY, Direction, LOSS_EVERY, LOSS_FIRST, LOSS_NTH, LOSS_RANDOM, NTH_LEN, Rule, VIA_FQ,
    VIA_HOOK, VIA_LINE,
};
use serde::{Deserialize, Serialize};

use super::audit::Counters;
use crate::outcome::AppMessage;

/// A line that is no event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Line {
    Armed(Armed),
    Message(AppMessage),
    End(End),
}

/// The rules at the hook from some moment on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Armed {
    /// After the flip, CLOCK_MONOTONIC, ns: packets may have met these rules a little earlier.
    pub ts: u64,
    /// Its number, from 1; `judged` of a packet names it.
    pub epoch: u64,
    /// Of the flows and directions that have any.
    pub chains: Vec<ArmedChain>,
}

/// The rules of one flow and direction, in stacking order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArmedChain {
    /// Flow index.
    pub flow: u32,
    #[serde(with = "direction")]
    pub direction: Direction,
    pub via: ArmedVia,
    /// The rule that closes the window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stall: Option<u32>,
    pub rules: Vec<ArmedRule>,
}

/// Where packets go that no rule here ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArmedVia {
    Hook,
    /// The TAP, which has the flow's other faults.
    Line,
    Fq,
}

/// A rule as the packet programs have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArmedRule {
    /// Index into the header's `rules`.
    pub id: u32,
    /// Number of the condition that a packet must fulfil (fault_common::rule::WHEN_*); 0: none.
    pub when: u32,
    #[serde(flatten)]
    pub does: ArmedFault,
}

/// What it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "does", rename_all = "snake_case")]
pub enum ArmedFault {
    /// Loses a packet with the probability p32 / 2^32.
    Random { p32: u64 },
    /// Loses every nth.
    Every { n: u64 },
    /// Loses the first n.
    First { n: u64 },
    /// Loses those with these numbers.
    Nth { numbers: Vec<u64> },
    /// Holds them, ns.
    Delay { ns: u64 },
}

/// How it ended, and what the kernel had counted by then.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// When the run was over, before faults were lifted; CLOCK_MONOTONIC, ns.
    pub ts: u64,
    /// The scenario's `late_after`, ns.
    pub late_after_ns: Option<u64>,
    /// Flows and directions whose faults were on then.
    pub armed: Vec<FlowDirection>,
    /// Where events were lost.
    pub gaps: Vec<LostEvents>,
    /// Events that were told of; each is a line.
    pub recorded: u64,
    pub counters: Counters,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowDirection {
    pub flow: u32,
    #[serde(with = "direction")]
    pub direction: Direction,
}

/// A time in which events of a socket were lost; both moments ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostEvents {
    pub cookie: Option<u64>,
    pub from: u64,
    pub to: u64,
}

impl Armed {
    /// The chain of a flow and direction, if it has rules.
    pub fn chain(&self, flow: u32, direction: Direction) -> Option<&ArmedChain> {
        self.chains.iter().find(|c| (c.flow, c.direction) == (flow, direction))
    }
}

impl ArmedChain {
    /// As the kernel has it.
    pub fn of(flow: u32, direction: Direction, chain: &Chain) -> Self {
        let rules = chain.rules.iter().take(chain.len as usize);
        Self {
            flow,
            direction,
            via: match chain.via {
                VIA_LINE => ArmedVia::Line,
                VIA_FQ => ArmedVia::Fq,
                _ => ArmedVia::Hook,
            },
            stall: chain.stall.checked_sub(1),
            rules: rules.filter_map(ArmedRule::of).collect(),
        }
    }

    /// For the kernel's own function. `None`: more rules than a chain has room for.
    pub fn to_chain(&self) -> Option<Chain> {
        let mut chain = Chain::EMPTY;
        chain.via = match self.via {
            ArmedVia::Hook => VIA_HOOK,
            ArmedVia::Line => VIA_LINE,
            ArmedVia::Fq => VIA_FQ,
        };
        chain.stall = self.stall.map_or(0, |id| id + 1);
        for rule in &self.rules {
            *chain.rules.get_mut(chain.len as usize)? = rule.to_rule()?;
            chain.len += 1;
        }
        Some(chain.sealed())
    }
}

impl ArmedRule {
    /// `None`: a kind that does nothing.
    fn of(rule: &Rule) -> Option<Self> {
        let does = match rule.kind {
            LOSS_RANDOM => ArmedFault::Random { p32: rule.p32 },
            LOSS_EVERY => ArmedFault::Every { n: rule.arg },
            LOSS_FIRST => ArmedFault::First { n: rule.arg },
            LOSS_NTH => {
                let numbers = rule.nth.iter().take(rule.nth_len as usize).copied().collect();
                ArmedFault::Nth { numbers }
            }
            DELAY => ArmedFault::Delay { ns: rule.arg },
            _ => return None,
        };
        Some(Self { id: rule.id, when: rule.when, does })
    }

    fn to_rule(&self) -> Option<Rule> {
        let rule = Rule { id: self.id, when: self.when, ..Rule::NONE };
        Some(match &self.does {
            ArmedFault::Random { p32 } => Rule { kind: LOSS_RANDOM, p32: *p32, ..rule },
            ArmedFault::Every { n } => Rule { kind: LOSS_EVERY, arg: *n, ..rule },
            ArmedFault::First { n } => Rule { kind: LOSS_FIRST, arg: *n, ..rule },
            ArmedFault::Nth { numbers } => {
                let mut nth = [0; NTH_LEN];
                nth.get_mut(..numbers.len())?.copy_from_slice(numbers);
                Rule { kind: LOSS_NTH, nth, nth_len: numbers.len() as u32, ..rule }
            }
            ArmedFault::Delay { ns } => Rule { kind: DELAY, arg: *ns, ..rule },
        })
    }
}

/// `egress` or `ingress`.
pub(super) mod direction {
    use fault_common::rule::Direction;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Word {
        Egress,
        Ingress,
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub fn serialize<S: Serializer>(direction: &Direction, to: S) -> Result<S::Ok, S::Error> {
        let word = match direction {
            Direction::Egress => Word::Egress,
            Direction::Ingress => Word::Ingress,
        };
        word.serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Direction, D::Error> {
        Ok(match Word::deserialize(from)? {
            Word::Egress => Direction::Egress,
            Word::Ingress => Direction::Ingress,
        })
    }
}
