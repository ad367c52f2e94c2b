//! Alarms: conditions of members that stop writes until an operator has looked.

use prost::Message as _;
use proto::etcdserverpb::alarm_request::AlarmAction;
use proto::etcdserverpb::{AlarmMember, AlarmRequest, AlarmType};
use schema::{Batch, Cursor as _, Table, View};
use std::collections::BTreeSet;
use types::Fault;

/// The active alarms, by member and kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alarms {
    active: BTreeSet<(u64, i32)>,
}

impl Alarms {
    /// Reads the active alarms.
    pub fn load(view: &impl View) -> Result<Self, Fault> {
        let mut alarms = Self::default();
        let mut cursor = view.cursor(Table::Alarms, None)?;
        cursor.seek(&[])?;
        while let Some((stored, _)) = cursor.item() {
            let alarm = AlarmMember::decode(stored).map_err(|error| Fault::corrupt("alarm record", error))?;
            alarms.active.insert((alarm.member_id, alarm.alarm));
            cursor.next()?;
        }
        Ok(alarms)
    }

    /// Returns `true` if an alarm of this kind is active for any member.
    pub fn any(&self, kind: AlarmType) -> bool {
        self.active.iter().any(|(_, active)| *active == kind as i32)
    }

    /// All active alarms of a kind; [`AlarmType::None`] asks for all kinds.
    pub fn of(&self, kind: i32) -> Vec<AlarmMember> {
        let wanted = |active: i32| kind == AlarmType::None as i32 || kind == active;
        self.active
            .iter()
            .filter(|(_, alarm)| wanted(*alarm))
            .map(|(member_id, alarm)| AlarmMember { member_id: *member_id, alarm: *alarm })
            .collect()
    }

    /// Lists, raises or clears, and answers the alarms that the request was about.
    pub(crate) fn execute(&mut self, request: &AlarmRequest, batch: &mut dyn Batch) -> Vec<AlarmMember> {
        let alarm = AlarmMember { member_id: request.member_id, alarm: request.alarm };
        let key = (alarm.member_id, alarm.alarm);
        match AlarmAction::try_from(request.action) {
            Ok(AlarmAction::Get) => self.of(request.alarm),
            Ok(AlarmAction::Activate) if request.alarm != AlarmType::None as i32 => {
                if self.active.insert(key) {
                    batch.put(Table::Alarms, &alarm.encode_to_vec(), &[]);
                }
                vec![alarm]
            }
            Ok(AlarmAction::Deactivate) if self.active.remove(&key) => {
                batch.delete(Table::Alarms, &alarm.encode_to_vec());
                vec![alarm]
            }
            Ok(AlarmAction::Activate | AlarmAction::Deactivate) | Err(_) => Vec::new(),
        }
    }
}
