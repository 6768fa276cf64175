//! Scanning: one step through the locks of one master.

use super::call::{Answer, CallId, MasterAnswer};
use super::{Operation, Place, Replica, call};
use crate::ids::MasterId;
use crate::master::Purpose;
use crate::script::{Body, Request};
use crate::step::Cause;
use crate::time::Now;

impl Replica {
    pub(super) fn begin_scan(&mut self, id: CallId, master: MasterId, request: Request, now: Now) {
        let operation = self.number();
        self.calls.insert(id, Place::Operation(operation));
        self.operations.insert(operation, Operation::Scan(id));
        let only = [master].into_iter().collect();
        let purpose = Purpose::Round { operation, round: 1 };
        self.fan_out_to(Cause::Call(id), only, purpose, &request, now);
    }

    pub(super) fn scan_reply(&mut self, call: CallId, master: MasterId, body: Body) {
        let answer = match body {
            Body::Scanned { cursor, resources } => Answer::Scanned { cursor, resources },
            other => {
                let answer = call::describe(Some(&other));
                Answer::NoQuorum(vec![MasterAnswer { master, answer }])
            }
        };
        self.answer(call, answer);
    }
}
