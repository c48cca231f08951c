//! The closed set of requests: each with its method, its path, its body, and how long its answer may take.

use std::fmt;

use hyper::Method;
use serde::Serialize;

use super::Deadlines;
use super::bodies::{
    ActionType, Balloon, BalloonStatisticsUpdate, BalloonUpdate, BootSource, Drive, EntropyDevice,
    InstanceActionInfo, Logger, MachineConfiguration, Metrics, NetworkInterface, SnapshotCreate,
    SnapshotLoad, Vm, VmState, Vsock,
};

/// One request to Firecracker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    GetVersion,
    DescribeInstance,
    PutMachineConfiguration(MachineConfiguration),
    PutBootSource(BootSource),
    PutDrive(Drive),
    PutNetworkInterface(NetworkInterface),
    PutVsock(Vsock),
    PutEntropy,
    PutBalloon(Balloon),
    PatchBalloon(BalloonUpdate),
    GetBalloonStatistics,
    PatchBalloonStatistics(BalloonStatisticsUpdate),
    PutMetrics(Metrics),
    PutLogger(Logger),
    InstanceStart,
    SendCtrlAltDel,
    FlushMetrics,
    Pause,
    Resume,
    CreateSnapshot(SnapshotCreate),
    LoadSnapshot(SnapshotLoad),
}

/// An action as it goes over the wire.
pub(super) struct Wire {
    pub(super) method: Method,
    pub(super) path: String,
    /// JSON; empty for none.
    pub(super) body: Vec<u8>,
}

impl Action {
    pub(super) fn wire(&self) -> Wire {
        let get = |path: &str| Wire { method: Method::GET, path: path.to_owned(), body: Vec::new() };
        let act = |action_type| with_body(Method::PUT, "/actions", &InstanceActionInfo { action_type });
        let vm = |state| with_body(Method::PATCH, "/vm", &Vm { state });
        match self {
            Self::GetVersion => get("/version"),
            Self::DescribeInstance => get("/"),
            Self::PutMachineConfiguration(body) => with_body(Method::PUT, "/machine-config", body),
            Self::PutBootSource(body) => with_body(Method::PUT, "/boot-source", body),
            Self::PutDrive(body) => with_body(Method::PUT, &format!("/drives/{}", body.drive_id), body),
            Self::PutNetworkInterface(body) => {
                with_body(Method::PUT, &format!("/network-interfaces/{}", body.iface_id), body)
            }
            Self::PutVsock(body) => with_body(Method::PUT, "/vsock", body),
            Self::PutEntropy => with_body(Method::PUT, "/entropy", &EntropyDevice {}),
            Self::PutBalloon(body) => with_body(Method::PUT, "/balloon", body),
            Self::PatchBalloon(body) => with_body(Method::PATCH, "/balloon", body),
            Self::GetBalloonStatistics => get("/balloon/statistics"),
            Self::PatchBalloonStatistics(body) => with_body(Method::PATCH, "/balloon/statistics", body),
            Self::PutMetrics(body) => with_body(Method::PUT, "/metrics", body),
            Self::PutLogger(body) => with_body(Method::PUT, "/logger", body),
            Self::InstanceStart => act(ActionType::InstanceStart),
            Self::SendCtrlAltDel => act(ActionType::SendCtrlAltDel),
            Self::FlushMetrics => act(ActionType::FlushMetrics),
            Self::Pause => vm(VmState::Paused),
            Self::Resume => vm(VmState::Resumed),
            Self::CreateSnapshot(body) => with_body(Method::PUT, "/snapshot/create", body),
            Self::LoadSnapshot(body) => with_body(Method::PUT, "/snapshot/load", body),
        }
    }

    pub(super) fn deadline(&self, deadlines: &Deadlines) -> std::time::Duration {
        match self {
            Self::CreateSnapshot(_) | Self::LoadSnapshot(_) | Self::InstanceStart => deadlines.long,
            _ => deadlines.short,
        }
    }
}

fn with_body(method: Method, path: &str, body: &impl Serialize) -> Wire {
    let body = serde_json::to_vec(body).expect("the bodies hold nothing that JSON cannot");
    Wire { method, path: path.to_owned(), body }
}

/// What it does, to follow `cannot`.
impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::GetVersion => "ask for the version",
            Self::DescribeInstance => "ask for the state",
            Self::PutMachineConfiguration(_) => "set the size",
            Self::PutBootSource(_) => "set the kernel",
            Self::PutDrive(drive) => return write!(formatter, "add the drive `{}`", drive.drive_id),
            Self::PutNetworkInterface(interface) => {
                return write!(formatter, "add the network interface `{}`", interface.iface_id);
            }
            Self::PutVsock(_) => "add the vsock device",
            Self::PutEntropy => "add the entropy device",
            Self::PutBalloon(_) => "add the balloon",
            Self::PatchBalloon(_) => "resize the balloon",
            Self::GetBalloonStatistics => "ask for the balloon's statistics",
            Self::PatchBalloonStatistics(_) => "set the interval of the balloon's statistics",
            Self::PutMetrics(_) => "set the file for metrics",
            Self::PutLogger(_) => "set the log",
            Self::InstanceStart => "start the machine",
            Self::SendCtrlAltDel => "press Ctrl-Alt-Del",
            Self::FlushMetrics => "write the metrics",
            Self::Pause => "pause the machine",
            Self::Resume => "resume the machine",
            Self::CreateSnapshot(_) => "make the snapshot",
            Self::LoadSnapshot(_) => "load the snapshot",
        })
    }
}
