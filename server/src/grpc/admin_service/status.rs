//! GetClusterStatus: how the masters and this replica fare. Asks no master.

use super::{AdminApi, views};
use crate::auth::Permission;
use crate::grpc::convert::wire;
use crate::grpc::errors::Refusal;
use crate::grpc::origin::Origin;
use holdfast_engine::{MasterId, MasterState, MasterView};
use holdfast_proto::v1::{self, GetClusterStatusResponse, MasterStatus};
use std::time::Duration;

impl AdminApi {
    pub(super) async fn status(
        &self,
        origin: &Origin,
    ) -> Result<GetClusterStatusResponse, Refusal> {
        self.authorize(origin, Permission::Admin, None)?;
        let status = self.context.driver.status().await?;
        let masters = views(&status).map(|(id, view)| self.master_status(id, view)).collect();
        Ok(GetClusterStatusResponse {
            masters,
            has_quorum: status.has_quorum,
            locks: status.leases as u32,
            waiters: status.waiters as u32,
            streams: self.context.bounds.streams() as u32,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            quorum: self.context.params.quorum() as u32,
            master_count: self.context.params.masters as u32,
        })
    }

    fn master_status(&self, id: MasterId, view: &MasterView) -> MasterStatus {
        let (state, detail) = self.state_of(view);
        let mut status = MasterStatus {
            name: self.context.masters.name(id).to_owned(),
            state: state.into(),
            detail,
            round_trip: view.round_trip.and_then(wire),
            ..MasterStatus::default()
        };
        if let MasterState::Quarantined(remaining) = &view.state {
            status.quarantine_remaining = remaining.and_then(wire);
        }
        if let Some(session) = &view.session {
            status.run_id = session.run.0.as_ref().to_owned();
            status.version = session.version.as_ref().to_owned();
        }
        if let Some(micros) = view.clock_offset_micros {
            status.clock_offset = wire(Duration::from_micros(micros.unsigned_abs()));
            if let Some(offset) = status.clock_offset.as_mut().filter(|_| micros < 0) {
                (offset.seconds, offset.nanos) = (-offset.seconds, -offset.nanos);
            }
        }
        status
    }

    pub(super) fn state_of(&self, view: &MasterView) -> (v1::MasterState, String) {
        match &view.state {
            MasterState::Voting => {
                let remark = view.remark.as_deref().unwrap_or_default();
                (v1::MasterState::Voting, remark.to_owned())
            }
            MasterState::Quarantined(_) => {
                let why = "restarted, new or suspected: it may have forgotten leases";
                (v1::MasterState::Quarantined, why.to_owned())
            }
            MasterState::Unreachable(why) => {
                (v1::MasterState::Unreachable, self.context.masters.public(why))
            }
            MasterState::Misconfigured(why) => {
                (v1::MasterState::Misconfigured, self.context.masters.public(why))
            }
        }
    }
}
