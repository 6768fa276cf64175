//! Watches: who holds each watched resource, for as long as the process lives.

use anyhow::Result;
use holdfast_client::LeaderState;

use crate::history::{Event, Seen};
use crate::workload::context::Context;

/// Until it is time to stop.
pub(crate) async fn run(context: &Context, resource: &str, first: usize) -> Result<()> {
    let mut view = context.client(first)?.watch(resource);
    let watch = context.name();
    let resource = resource.to_owned();
    context.recorder.record(Event::Watching { watch: watch.clone(), resource });
    loop {
        let observation = tokio::select! {
            observation = view.next() => observation?,
            () = context.stopped() => return Ok(()),
        };
        let seen = match observation.state {
            LeaderState::Led(leader) => Seen::Led { holder: leader.holder, term: leader.term },
            LeaderState::Vacant { last_term } => Seen::Vacant { last_term },
            LeaderState::Unknown(why) => Seen::Unknown { why: why.to_string() },
            _ => continue,
        };
        context.recorder.record(Event::Observed { watch: watch.clone(), seen });
    }
}
