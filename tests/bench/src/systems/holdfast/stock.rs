//! Many held leases: takes as many locks as there are workers in the plan, and leaves them.

use std::process;

use anyhow::Result;
use holdfast_proto::v1::lock_service_client::LockServiceClient;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::channels;
use super::unary::acquire;
use crate::load::{MEASURED, MEASURING, Plan};
use crate::output;
use crate::sample::Figures;
use crate::systems::HELD_TTL;

/// How many ask at the same time.
const ASKING: usize = 64;

pub(in crate::systems) async fn fill(plan: &Plan) -> Result<Figures> {
    let channels = channels(&plan.addresses)?;
    let mut tasks = JoinSet::new();
    let began = Instant::now();
    output::result(MEASURING);
    for (first, channel) in (0..ASKING).zip(channels.iter().cycle()) {
        let mut client = LockServiceClient::new(channel.clone());
        let numbers = (first..plan.workers).step_by(ASKING);
        tasks.spawn(async move {
            for number in numbers {
                let resource = format!("held-{}-{number}", process::id());
                acquire(&mut client, &resource, HELD_TTL, Duration::ZERO).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    output::result(MEASURED);
    let cycles = plan.workers as f64;
    let rate = cycles / began.elapsed().as_secs_f64();
    Ok(Figures::from([("cycles".to_owned(), cycles), ("acquires_per_s".to_owned(), rate)]))
}
