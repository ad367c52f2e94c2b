//! Feature gates: names, defaults, stages, and permitted combinations.

use thiserror::Error;

use crate::go_number::parse_bool;

/// A feature that can be turned on or off. Names and defaults are those of etcd 3.7.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gate {
    StopGrpcServiceOnDefrag,
    InitialCorruptCheck,
    CompactHashCheck,
    TxnModeWriteWithSharedBuffer,
    LeaseCheckpoint,
    LeaseCheckpointPersist,
    SetMemberLocalAddr,
    FastLeaseKeepAlive,
    PriorityRequest,
}

/// The stage of a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GateStage {
    Alpha,
    Beta,
}

impl GateStage {
    /// The label of the metric `etcd_server_feature_enabled`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Alpha => "ALPHA",
            Self::Beta => "BETA",
        }
    }
}

impl Gate {
    pub const ALL: [Self; 9] = [
        Self::StopGrpcServiceOnDefrag,
        Self::InitialCorruptCheck,
        Self::CompactHashCheck,
        Self::TxnModeWriteWithSharedBuffer,
        Self::LeaseCheckpoint,
        Self::LeaseCheckpointPersist,
        Self::SetMemberLocalAddr,
        Self::FastLeaseKeepAlive,
        Self::PriorityRequest,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::StopGrpcServiceOnDefrag => "StopGRPCServiceOnDefrag",
            Self::InitialCorruptCheck => "InitialCorruptCheck",
            Self::CompactHashCheck => "CompactHashCheck",
            Self::TxnModeWriteWithSharedBuffer => "TxnModeWriteWithSharedBuffer",
            Self::LeaseCheckpoint => "LeaseCheckpoint",
            Self::LeaseCheckpointPersist => "LeaseCheckpointPersist",
            Self::SetMemberLocalAddr => "SetMemberLocalAddr",
            Self::FastLeaseKeepAlive => "FastLeaseKeepAlive",
            Self::PriorityRequest => "PriorityRequest",
        }
    }

    #[must_use]
    pub fn stage(self) -> GateStage {
        match self {
            Self::TxnModeWriteWithSharedBuffer | Self::FastLeaseKeepAlive => GateStage::Beta,
            Self::StopGrpcServiceOnDefrag
            | Self::InitialCorruptCheck
            | Self::CompactHashCheck
            | Self::LeaseCheckpoint
            | Self::LeaseCheckpointPersist
            | Self::SetMemberLocalAddr
            | Self::PriorityRequest => GateStage::Alpha,
        }
    }

    /// Beta features are on unless turned off.
    #[must_use]
    pub fn default_on(self) -> bool {
        self.stage() == GateStage::Beta
    }
}

/// The enabled features.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureGates {
    on: [bool; Gate::ALL.len()],
    given: [bool; Gate::ALL.len()],
}

/// The reason why a list of gates is refused. The texts are those of etcd's feature gates.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum GateError {
    #[error("unrecognized feature gate: {0}")]
    Unknown(String),
    #[error("missing bool value for {0}")]
    MissingValue(String),
    #[error("invalid value of {name}={value}, err: strconv.ParseBool: parsing {value:?}: invalid syntax")]
    Value { name: String, value: String },
}

impl Default for FeatureGates {
    fn default() -> Self {
        Self { on: Gate::ALL.map(Gate::default_on), given: [false; Gate::ALL.len()] }
    }
}

impl FeatureGates {
    /// Reads `Gate=true,Other=false`. `AllAlpha` and `AllBeta` set all gates of a stage; a gate
    /// named itself wins.
    pub(crate) fn parse(text: &str) -> Result<Self, GateError> {
        let mut gates = Self::default();
        let mut stages: Vec<(GateStage, bool)> = Vec::new();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let (name, value) = item.split_once('=').ok_or_else(|| GateError::MissingValue(item.to_owned()))?;
            let (name, value) = (name.trim(), value.trim());
            let on =
                parse_bool(value).ok_or_else(|| GateError::Value { name: name.to_owned(), value: value.to_owned() })?;
            match name {
                "AllAlpha" => stages.push((GateStage::Alpha, on)),
                "AllBeta" => stages.push((GateStage::Beta, on)),
                _ => {
                    let place = Gate::ALL.iter().position(|gate| gate.name() == name);
                    let place = place.ok_or_else(|| GateError::Unknown(name.to_owned()))?;
                    (gates.on[place], gates.given[place]) = (on, true);
                }
            }
        }
        for (stage, on) in stages {
            for (place, gate) in Gate::ALL.into_iter().enumerate() {
                if gate.stage() == stage && !gates.given[place] {
                    gates.on[place] = on;
                }
            }
        }
        Ok(gates)
    }

    #[must_use]
    pub fn is_on(&self, gate: Gate) -> bool {
        self.all().any(|(each, on)| each == gate && on)
    }

    /// Every gate and whether it is on, for the metric `etcd_server_feature_enabled`.
    pub fn all(&self) -> impl Iterator<Item = (Gate, bool)> {
        Gate::ALL.into_iter().zip(self.on)
    }

    /// True when the gate was named, not only meant by its stage.
    pub(crate) fn is_given(&self, gate: Gate) -> bool {
        Gate::ALL.into_iter().zip(self.given).any(|(each, given)| each == gate && given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_gate_wins_over_its_stage() {
        let gates = FeatureGates::parse("CompactHashCheck=false, AllAlpha=true,AllBeta=false").unwrap();
        assert!(!gates.is_on(Gate::CompactHashCheck));
        assert!(gates.is_on(Gate::LeaseCheckpoint));
        assert!(!gates.is_on(Gate::FastLeaseKeepAlive));
    }

    #[test]
    fn defaults_follow_the_stage() {
        let on: Vec<_> = FeatureGates::default().all().filter(|(_, on)| *on).map(|(gate, _)| gate.name()).collect();
        assert_eq!(on, ["TxnModeWriteWithSharedBuffer", "FastLeaseKeepAlive"]);
    }

    #[test]
    fn errors_are_etcds() {
        for (text, error) in [
            ("Foo=true", "unrecognized feature gate: Foo"),
            ("LeaseCheckpoint", "missing bool value for LeaseCheckpoint"),
            (
                "LeaseCheckpoint=x",
                r#"invalid value of LeaseCheckpoint=x, err: strconv.ParseBool: parsing "x": invalid syntax"#,
            ),
        ] {
            assert_eq!(FeatureGates::parse(text).unwrap_err().to_string(), error);
        }
    }
}
