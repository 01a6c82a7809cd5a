//! Keys of Compose that have no counterpart, and why.

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It comes along, or means nothing.
    Carried,
    /// It does not, for this reason.
    LeftOut(&'static str),
    /// Compose does not know it either.
    Unknown,
}

/// The keys at the top.
pub(super) const TOP: [&str; 9] = [
    "name", "services", "version", "volumes", "networks", "secrets", "configs", "include", "models",
];
/// Keys of a service of which people mistake the letters; the others are found all the same.
pub(super) const SERVICE: [&str; 34] = [
    "image",
    "build",
    "command",
    "entrypoint",
    "environment",
    "env_file",
    "ports",
    "expose",
    "depends_on",
    "healthcheck",
    "restart",
    "deploy",
    "scale",
    "mem_limit",
    "cpus",
    "stop_grace_period",
    "stop_signal",
    "profiles",
    "container_name",
    "hostname",
    "volumes",
    "networks",
    "network_mode",
    "links",
    "labels",
    "secrets",
    "configs",
    "logging",
    "extends",
    "working_dir",
    "user",
    "privileged",
    "platform",
    "tmpfs",
];

/// What becomes of a key at the top.
pub(super) fn top(key: &str) -> Answer {
    Answer::LeftOut(match key {
        "name" | "services" | "version" | "include" => return Answer::Carried,
        key if key.starts_with("x-") => return Answer::Carried,
        "volumes" => {
            "data that outlives releases is a service's `data`, a folder told in `DATA_DIR`"
        }
        "networks" => "services reach what they name under `calls`; no networks are needed",
        "secrets" => "write `environment: {TOKEN: \"${env.TOKEN}\"}` to take one from your shell",
        "configs" => "write the values under `config`, or bake the files into an artifact",
        "models" => "there is no counterpart",
        _ => return Answer::Unknown,
    })
}

/// What becomes of a key of a service.
pub(super) fn service(key: &str) -> Answer {
    Answer::LeftOut(match key {
        "image" | "build" | "command" | "entrypoint" | "environment" | "ports" | "expose"
        | "depends_on" | "healthcheck" | "restart" | "deploy" | "scale" | "mem_limit" | "cpus"
        | "stop_grace_period" | "stop_signal" | "profiles" | "env_file" | "extends" => {
            return Answer::Carried;
        }
        key if key.starts_with("x-") => return Answer::Carried,
        "container_name" | "hostname" | "domainname" => {
            "an instance is called as its service; whoever calls it is told where it is"
        }
        "volumes" | "volumes_from" | "tmpfs" => {
            "files of a service are its artifact or image, and data lives in `resources`"
        }
        "networks" | "network_mode" | "dns" | "dns_search" | "dns_opt" | "extra_hosts" => {
            "services reach what they name under `calls`; no networks are needed"
        }
        "links" | "external_links" => "name the services it calls under `calls`",
        "labels" | "annotations" => "there are no labels; `owner` says who looks after a service",
        "secrets" => "write `environment: {TOKEN: \"${env.TOKEN}\"}` to take one from your shell",
        "configs" => "write the values under `config`, or bake the files into an artifact",
        "logging" => "logs of every service are collected as they are",
        "develop" => "files are not watched; `pelago up` takes in what has changed",
        "working_dir" => "a command runs in the copy of its artifact",
        "user" | "group_add" | "userns_mode" => "a process runs as whoever runs Pelago",
        "privileged"
        | "cap_add"
        | "cap_drop"
        | "security_opt"
        | "devices"
        | "sysctls"
        | "ulimits"
        | "pid"
        | "ipc"
        | "uts"
        | "cgroup"
        | "cgroup_parent"
        | "device_cgroup_rules"
        | "gpus"
        | "runtime"
        | "isolation"
        | "shm_size"
        | "oom_kill_disable"
        | "oom_score_adj" => "privileges and kernel settings of containers are not set",
        "init" | "tty" | "stdin_open" | "attach" => "an instance has no terminal",
        "platform" | "pull_policy" => "the image is taken as the machine's engine finds it",
        "mem_reservation" | "mem_swappiness" | "memswap_limit" | "cpu_shares" | "cpu_quota"
        | "cpu_period" | "cpuset" | "cpu_count" | "cpu_percent" | "cpu_rt_runtime"
        | "cpu_rt_period" | "blkio_config" | "pids_limit" => {
            "of limits there are `limits: {cpus, memory}`"
        }
        "read_only" => "an image's files may be written",
        "post_start" | "pre_stop" => "there are no hooks; `release_command` runs once per release",
        "label_file" | "credential_spec" | "storage_opt" | "mac_address" | "models"
        | "provider" | "use_api_socket" | "pre_start" | "cgroupns_mode" => {
            "there is no counterpart"
        }
        _ => return Answer::Unknown,
    })
}

/// Why a key below `deploy` does not come along; nothing for those that do.
pub(super) fn deploy(key: &str) -> Option<&'static str> {
    Some(match key {
        "replicas" | "resources" => return None,
        "update_config" | "rollback_config" => "how a new release takes over is under `update`",
        "restart_policy" => "what follows an exit is under `restart`",
        "placement" | "mode" | "endpoint_mode" => "where instances run is decided for you",
        "labels" => "there are no labels; `owner` says who looks after a service",
        _ => "there is no counterpart",
    })
}
