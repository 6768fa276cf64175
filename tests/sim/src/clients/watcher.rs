//! A client that watches who leads, connects anew now and then with the highest term it has seen, and reads
//! slowly at times.

use super::pipe::pipe;
use super::{Client, at_replica, ballot, boot, resource};
use crate::history::{Record, Shown};
use crate::world::Sim;
use holdfast_proto::v1::WatchLeaderResponse;
use holdfast_proto::v1::watch_leader_response::State;
use holdfast_server::grpc::Teller;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;

pub(super) async fn run(client: Client) {
    let resource = client.any_resource();
    let mut highest = 0;
    loop {
        let sim = &client.sim;
        let watch = sim.with(|world| world.history.name());
        sim.hop().await;
        let opened = open(sim, client.any_replica(), resource, highest);
        if let Some(mut reader) = opened {
            sim.record(Record::Watching { watch, watcher: client.index, resource });
            // Until the end it stays with one.
            let patience = sim.span(Duration::from_secs(1), Duration::from_secs(15));
            let patience = if client.is_closing() { Duration::from_secs(3_600) } else { patience };
            let until = sim.now() + patience.as_nanos() as u64;
            loop {
                let told = tokio::select! {
                    biased;
                    told = reader.recv() => told,
                    () = sim.until(until) => None,
                };
                let Some(shown) = told else { break };
                if let Shown::Led(term) | Shown::Vacant(term) = shown {
                    highest = term.max(highest);
                }
                sim.record(Record::Shown { watch, watcher: client.index, resource, shown });
            }
            sim.record(Record::WatchOver { watch });
        }
        sim.sleep(sim.span(Duration::ZERO, Duration::from_millis(500))).await;
    }
}

/// What the replica does for a watch, in a program of its own.
fn open(sim: &Sim, replica: usize, index: usize, after: u64) -> Option<UnboundedReceiver<Shown>> {
    let (host, handle) = at_replica(sim, replica)?;
    let (told, reader) = pipe(sim);
    let serving = sim.clone();
    sim.spawn(host, async move {
        let sim = serving;
        let opened = boot(&sim, replica);
        let Ok(mut watch) = handle.watch(resource(index), ballot(after)).await else { return };
        let mut teller = Teller::new(ballot(after), opened);
        loop {
            let view = tokio::select! {
                biased;
                () = told.closed() => return,
                view = watch.changed() => view,
            };
            let Ok(view) = view else { return };
            if let Some(response) = teller.tell(&view, boot(&sim, replica))
                && told.send(shown(&response)).is_err()
            {
                return;
            }
            if sim.with(|world| world.unrest) && sim.often(20) {
                // A client that does not read.
                sim.sleep(sim.span(Duration::ZERO, Duration::from_secs(3))).await;
            }
        }
    });
    Some(reader)
}

fn shown(response: &WatchLeaderResponse) -> Shown {
    match &response.state {
        Some(State::Leader(leader)) => Shown::Led(leader.fencing_token),
        Some(State::Vacant(vacant)) => Shown::Vacant(vacant.last_fencing_token),
        Some(State::Unknown(_)) | None => Shown::Unknown,
    }
}
