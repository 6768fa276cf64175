//! The search: breadth first over all reachable states of a bounded model, with the shortest
//! counterexample. States are remembered as 64-bit fingerprints with a parent pointer; the trace is
//! rebuilt by replaying the model. Owns nothing about locks.

use std::hash::Hash;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use rustc_hash::FxBuildHasher;

use crate::fingerprint::fingerprint;
use crate::property::Property;

/// One enabled action: its label (empty unless asked for), the next state, a broken property.
pub(crate) type Step<S> = (String, S, Option<Property>);

/// A bounded transition system.
pub(crate) trait Model {
    type S: Copy + Hash + Eq;

    fn init(&self) -> Self::S;
    /// Pushes every enabled action of `s`; labels are built only if `labels`.
    fn next(&self, s: &Self::S, out: &mut Vec<Step<Self::S>>, labels: bool);
    /// The one state that stands for all those which differ only in the names of things.
    fn canonical(&self, s: Self::S) -> Self::S;
    fn show(&self, s: &Self::S) -> String;
}

/// What a search found.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) states: usize,
    pub(crate) depth: usize,
    /// False if the cap on states ended the search or a property broke.
    pub(crate) complete: bool,
    pub(crate) violation: Option<Property>,
    /// The shortest way to the violation, one action a line.
    pub(crate) trace: String,
}

/// How a search is bounded and watched.
#[derive(Clone, Copy)]
pub(crate) struct Limits<'a> {
    pub(crate) max_states: usize,
    /// Properties that are not required.
    pub(crate) ignore: &'a [Property],
    /// Told after every layer: states so far, depth.
    pub(crate) progress: &'a dyn Fn(usize, usize),
}

/// Explores `m` until a required property breaks, every state is known, or there are too many.
pub(crate) fn search<M: Model>(m: &M, limits: Limits<'_>) -> Outcome {
    let mut seen: HashMap<u64, u64, FxBuildHasher> = HashMap::with_hasher(FxBuildHasher);
    let init = m.canonical(m.init());
    seen.insert(fingerprint(&init), 0);
    let mut layer = vec![init];
    let mut depth = 0;
    let mut out = Vec::new();
    while !layer.is_empty() {
        let mut next_layer = Vec::new();
        for s in &layer {
            out.clear();
            m.next(s, &mut out, false);
            let from = fingerprint(s);
            for (_, ns, violation) in &out {
                if let Some(v) = *violation
                    && !limits.ignore.contains(&v)
                {
                    let trace = rebuild(m, &seen, from, ns, v);
                    let violation = Some(v);
                    let states = seen.len();
                    return Outcome { states, depth: depth + 1, complete: false, violation, trace };
                }
                let ns = m.canonical(*ns);
                if let Entry::Vacant(e) = seen.entry(fingerprint(&ns)) {
                    e.insert(from);
                    next_layer.push(ns);
                }
            }
            if seen.len() > limits.max_states {
                let (states, trace) = (seen.len(), String::new());
                return Outcome { states, depth, complete: false, violation: None, trace };
            }
        }
        layer = next_layer;
        depth += 1;
        (limits.progress)(seen.len(), depth);
    }
    Outcome { states: seen.len(), depth, complete: true, violation: None, trace: String::new() }
}

/// Replays the chain of fingerprints that ends in `last` and the broken action after it. Things keep
/// their names in a trace, so only the fingerprints are those of canonical states.
fn rebuild<M: Model>(
    m: &M,
    seen: &HashMap<u64, u64, FxBuildHasher>,
    last: u64,
    broken: &M::S,
    violation: Property,
) -> String {
    let named = |s: &M::S| fingerprint(&m.canonical(*s));
    let mut current = m.init();
    let first = named(&current);
    let mut chain = Vec::new();
    let mut f = last;
    while f != first {
        chain.push(f);
        f = seen[&f];
    }
    let mut trace = String::new();
    let mut out = Vec::new();
    for wanted in chain.iter().rev() {
        out.clear();
        m.next(&current, &mut out, true);
        if let Some((label, next, _)) = out.iter().find(|(_, n, _)| named(n) == *wanted) {
            trace += &format!("    {label}\n");
            current = *next;
        }
    }
    out.clear();
    m.next(&current, &mut out, true);
    let ends = |(_, n, v): &&Step<M::S>| named(n) == named(broken) && *v == Some(violation);
    if let Some((label, _, _)) = out.iter().find(ends) {
        trace += &format!("    {label}   <== breaks {violation}\n");
    }
    trace + &format!("    before that step:\n{}", m.show(&current))
}
