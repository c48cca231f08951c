//! What Firecracker's API takes: methods, paths, fields and phases, as its OpenAPI document has them.
//!
//! All that the client asks for is here, with every field that the document gives it. A test compares this with the document.

/// How far a machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    BeforeBoot,
    Running,
    Paused,
}

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Text,
    Number,
    Flag,
    OneOf(&'static [&'static str]),
    Object(&'static Definition),
    List(&'static Definition),
    /// Names and texts of the caller's own.
    Texts,
}

/// A field of a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) is_required: bool,
}

/// A body, under its name in the document.
#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) name: &'static str,
    pub(crate) fields: &'static [Field],
}

/// A request.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) method: &'static str,
    /// A part in braces stands for a name, which the body repeats under the name in them.
    pub(crate) path: &'static str,
    pub(crate) body: Option<&'static Definition>,
    pub(crate) phases: &'static [Phase],
}

const fn needed(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, is_required: true }
}

const fn optional(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, is_required: false }
}

const BEFORE: &[Phase] = &[Phase::BeforeBoot];
const AFTER: &[Phase] = &[Phase::Running, Phase::Paused];
const ANY: &[Phase] = &[Phase::BeforeBoot, Phase::Running, Phase::Paused];

pub(crate) static ENDPOINTS: &[Endpoint] = &[
    Endpoint { method: "GET", path: "/", body: None, phases: ANY },
    Endpoint { method: "GET", path: "/version", body: None, phases: ANY },
    Endpoint { method: "PUT", path: "/machine-config", body: Some(&MACHINE), phases: BEFORE },
    Endpoint { method: "PUT", path: "/boot-source", body: Some(&BOOT_SOURCE), phases: BEFORE },
    Endpoint { method: "PUT", path: "/drives/{drive_id}", body: Some(&DRIVE), phases: BEFORE },
    Endpoint {
        method: "PUT",
        path: "/network-interfaces/{iface_id}",
        body: Some(&INTERFACE),
        phases: BEFORE,
    },
    Endpoint { method: "PUT", path: "/vsock", body: Some(&VSOCK), phases: BEFORE },
    Endpoint { method: "PUT", path: "/entropy", body: Some(&ENTROPY), phases: BEFORE },
    Endpoint { method: "PUT", path: "/balloon", body: Some(&BALLOON), phases: BEFORE },
    Endpoint { method: "PATCH", path: "/balloon", body: Some(&BALLOON_UPDATE), phases: AFTER },
    Endpoint { method: "GET", path: "/balloon/statistics", body: None, phases: AFTER },
    Endpoint { method: "PATCH", path: "/balloon/statistics", body: Some(&BALLOON_INTERVAL), phases: AFTER },
    Endpoint { method: "PUT", path: "/metrics", body: Some(&METRICS), phases: BEFORE },
    Endpoint { method: "PUT", path: "/logger", body: Some(&LOGGER), phases: BEFORE },
    Endpoint { method: "PUT", path: "/actions", body: Some(&ACTION), phases: ANY },
    Endpoint { method: "PATCH", path: "/vm", body: Some(&VM), phases: AFTER },
    Endpoint {
        method: "PUT",
        path: "/snapshot/create",
        body: Some(&SNAPSHOT_CREATE),
        phases: &[Phase::Paused],
    },
    Endpoint { method: "PUT", path: "/snapshot/load", body: Some(&SNAPSHOT_LOAD), phases: BEFORE },
];

static MACHINE: Definition = Definition {
    name: "MachineConfiguration",
    fields: &[
        needed("vcpu_count", Kind::Number),
        needed("mem_size_mib", Kind::Number),
        optional("smt", Kind::Flag),
        optional("track_dirty_pages", Kind::Flag),
        optional("cpu_template", Kind::OneOf(&["C3", "T2", "T2S", "T2CL", "T2A", "V1N1", "None"])),
        optional("huge_pages", Kind::OneOf(&["None", "Transparent", "2M"])),
    ],
};

static BOOT_SOURCE: Definition = Definition {
    name: "BootSource",
    fields: &[
        needed("kernel_image_path", Kind::Text),
        optional("initrd_path", Kind::Text),
        optional("boot_args", Kind::Text),
    ],
};

static DRIVE: Definition = Definition {
    name: "Drive",
    fields: &[
        needed("drive_id", Kind::Text),
        needed("is_root_device", Kind::Flag),
        optional("partuuid", Kind::Text),
        optional("cache_type", Kind::OneOf(&["Unsafe", "Writeback"])),
        optional("is_read_only", Kind::Flag),
        optional("path_on_host", Kind::Text),
        optional("rate_limiter", Kind::Object(&RATE_LIMITER)),
        optional("io_engine", Kind::OneOf(&["Sync", "Async"])),
        optional("socket", Kind::Text),
    ],
};

static INTERFACE: Definition = Definition {
    name: "NetworkInterface",
    fields: &[
        needed("iface_id", Kind::Text),
        needed("host_dev_name", Kind::Text),
        optional("guest_mac", Kind::Text),
        optional("mtu", Kind::Number),
        optional("rx_rate_limiter", Kind::Object(&RATE_LIMITER)),
        optional("tx_rate_limiter", Kind::Object(&RATE_LIMITER)),
    ],
};

static RATE_LIMITER: Definition = Definition {
    name: "RateLimiter",
    fields: &[
        optional("bandwidth", Kind::Object(&TOKEN_BUCKET)),
        optional("ops", Kind::Object(&TOKEN_BUCKET)),
    ],
};

static TOKEN_BUCKET: Definition = Definition {
    name: "TokenBucket",
    fields: &[
        needed("refill_time", Kind::Number),
        needed("size", Kind::Number),
        optional("one_time_burst", Kind::Number),
    ],
};

static VSOCK: Definition = Definition {
    name: "Vsock",
    fields: &[
        needed("guest_cid", Kind::Number),
        needed("uds_path", Kind::Text),
        optional("vsock_id", Kind::Text),
    ],
};

static ENTROPY: Definition =
    Definition { name: "EntropyDevice", fields: &[optional("rate_limiter", Kind::Object(&RATE_LIMITER))] };

static BALLOON: Definition = Definition {
    name: "Balloon",
    fields: &[
        needed("amount_mib", Kind::Number),
        needed("deflate_on_oom", Kind::Flag),
        optional("stats_polling_interval_s", Kind::Number),
        optional("free_page_hinting", Kind::Flag),
        optional("free_page_reporting", Kind::Flag),
    ],
};

static BALLOON_UPDATE: Definition =
    Definition { name: "BalloonUpdate", fields: &[needed("amount_mib", Kind::Number)] };

static BALLOON_INTERVAL: Definition =
    Definition { name: "BalloonStatsUpdate", fields: &[needed("stats_polling_interval_s", Kind::Number)] };

static METRICS: Definition = Definition {
    name: "Metrics",
    fields: &[
        needed("metrics_path", Kind::Text),
        optional("emit_id", Kind::Flag),
        optional("properties", Kind::Texts),
    ],
};

static LOGGER: Definition = Definition {
    name: "Logger",
    fields: &[
        optional("level", Kind::OneOf(&["Error", "Warning", "Info", "Debug", "Trace", "Off"])),
        optional("log_path", Kind::Text),
        optional("show_level", Kind::Flag),
        optional("show_log_origin", Kind::Flag),
        optional("module", Kind::Text),
    ],
};

static ACTION: Definition = Definition {
    name: "InstanceActionInfo",
    fields: &[needed("action_type", Kind::OneOf(&["FlushMetrics", "InstanceStart", "SendCtrlAltDel"]))],
};

static VM: Definition =
    Definition { name: "Vm", fields: &[needed("state", Kind::OneOf(&["Paused", "Resumed"]))] };

static SNAPSHOT_CREATE: Definition = Definition {
    name: "SnapshotCreateParams",
    fields: &[
        needed("mem_file_path", Kind::Text),
        needed("snapshot_path", Kind::Text),
        optional("snapshot_type", Kind::OneOf(&["Full", "Diff"])),
    ],
};

static SNAPSHOT_LOAD: Definition = Definition {
    name: "SnapshotLoadParams",
    fields: &[
        needed("snapshot_path", Kind::Text),
        optional("enable_diff_snapshots", Kind::Flag),
        optional("track_dirty_pages", Kind::Flag),
        optional("mem_file_path", Kind::Text),
        optional("mem_backend", Kind::Object(&MEMORY_BACKEND)),
        optional("resume_vm", Kind::Flag),
        optional("network_overrides", Kind::List(&NETWORK_OVERRIDE)),
        optional("vsock_override", Kind::Object(&VSOCK_OVERRIDE)),
        optional("clock_realtime", Kind::Flag),
        optional("huge_pages", Kind::OneOf(&["Snapshot", "None", "Transparent", "2M"])),
    ],
};

static MEMORY_BACKEND: Definition = Definition {
    name: "MemoryBackend",
    fields: &[needed("backend_type", Kind::OneOf(&["File", "Uffd"])), needed("backend_path", Kind::Text)],
};

static NETWORK_OVERRIDE: Definition = Definition {
    name: "NetworkOverride",
    fields: &[needed("iface_id", Kind::Text), needed("host_dev_name", Kind::Text)],
};

static VSOCK_OVERRIDE: Definition =
    Definition { name: "VsockOverride", fields: &[needed("uds_path", Kind::Text)] };
