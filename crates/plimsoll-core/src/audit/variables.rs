//! The variables of the environment that the checks read. No other one is looked at: they may hold secrets.

/// Their names.
pub const VARIABLES: &[&str] = &[
    "GOMEMLIMIT",
    "GOTRACEBACK",
    "PYTHONTRACEMALLOC",
    "PYTHON_DISABLE_REMOTE_DEBUG",
    "MALLOC_ARENA_MAX",
    "MALLOC_CONF",
    "_RJEM_MALLOC_CONF",
    "HEAPPROFILE",
    "DOTNET_DbgEnableMiniDump",
    "DOTNET_DbgMiniDumpName",
    "DOTNET_GCHeapHardLimit",
    "DOTNET_GCHeapHardLimitPercent",
    "DOTNET_EnableDiagnostics",
    "COMPlus_DbgEnableMiniDump",
    "COMPlus_DbgMiniDumpName",
    "COMPlus_GCHeapHardLimit",
    "COMPlus_EnableDiagnostics",
];
