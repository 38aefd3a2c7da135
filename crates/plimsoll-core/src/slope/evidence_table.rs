//! Odds that a climb goes on to the level that kills, by what is known of the question.
//!
//! Made by `cargo run --release -p plimsoll-bench --bin calibrate -- --evidence`; do not edit. Learnt from:
//!
//! - simulated services, 216483 ticks
//! - simulated services, several of each side by side, 20021 ticks
//! - virtual machines of 2013-7, as they are and with leaks, 8136 ticks: GWA-T-12 (Grid Workloads Archive), rnd, a file per machine
//! - pods, every second one, as they are and with leaks, 6863 ticks: github.com/alibaba/clusterdata, cluster-trace-v2026-GenAI: pod_memory_util_anon.csv and qps.csv; for research and study

use super::evidence::{Judge, Sign};

/// Odds that the climb goes on.
#[rustfmt::skip]
pub(super) static GOES_ON: Judge<'static> = Judge {
    signs: &[
        Sign { name: "spread", centre: -1.139, scale: 1.220, hidden: [-0.297, 0.042, -0.172, -0.208, -0.084, 0.244, 0.307, -0.227], direct: -0.226 },
        Sign { name: "spread above", centre: 0.710, scale: 0.823, hidden: [-0.167, 0.211, -0.101, -0.110, -0.158, -0.147, -0.056, 0.371], direct: -0.146 },
        Sign { name: "spread below", centre: 0.494, scale: 0.554, hidden: [-0.096, -0.067, 0.335, -0.246, 0.219, -0.044, -0.397, 0.006], direct: 0.036 },
        Sign { name: "median with never", centre: 1.096, scale: 1.394, hidden: [0.050, -0.151, 0.212, -0.295, 0.224, 0.245, -0.156, -0.127], direct: 0.014 },
        Sign { name: "share that dies", centre: 0.680, scale: 0.339, hidden: [0.590, 0.468, 0.399, -0.256, -0.373, -0.030, -0.672, 0.889], direct: 0.652 },
        Sign { name: "reach", centre: 1.738, scale: 2.136, hidden: [-0.401, -0.383, -0.327, 0.316, 0.383, -0.404, 0.221, 0.430], direct: -0.268 },
        Sign { name: "reach beside all", centre: 1.699, scale: 2.170, hidden: [-0.240, -0.529, -0.573, 0.507, 0.458, -0.423, 0.391, 0.404], direct: -0.287 },
        Sign { name: "blocks ahead", centre: 5.114, scale: 1.947, hidden: [-0.446, -0.543, -0.271, 0.400, 0.358, -0.457, 0.306, 0.770], direct: -0.332 },
        Sign { name: "blocks behind", centre: 3.376, scale: 0.885, hidden: [0.036, -0.262, 0.200, 0.121, -0.118, 0.082, 0.127, 0.536], direct: -0.057 },
        Sign { name: "wander", centre: -3.376, scale: 1.480, hidden: [-0.049, -0.090, 0.099, -0.090, -0.124, 0.091, 0.006, 0.019], direct: -0.138 },
        Sign { name: "jumps", centre: 0.063, scale: 0.273, hidden: [-0.374, 0.488, 0.149, 0.121, -0.047, 0.167, -0.540, 0.327], direct: -0.423 },
        Sign { name: "noise", centre: -4.397, scale: 1.142, hidden: [0.141, 0.439, -0.076, -0.243, -0.216, 0.279, -0.286, 0.105], direct: 0.148 },
        Sign { name: "memory of the noise", centre: 0.385, scale: 0.254, hidden: [-0.109, 0.272, 0.316, 0.036, -0.082, 0.242, -0.317, 0.240], direct: -0.182 },
        Sign { name: "independent points", centre: 3.120, scale: 0.928, hidden: [0.137, -0.260, 0.018, -0.236, -0.129, -0.078, -0.000, 0.507], direct: 0.041 },
        Sign { name: "room", centre: -1.004, scale: 0.737, hidden: [0.043, 0.439, 0.243, -0.130, -0.192, 0.632, 0.248, 0.203], direct: 0.099 },
        Sign { name: "rise", centre: -1.362, scale: 1.840, hidden: [-0.325, -0.114, -0.074, 0.446, -0.020, -0.334, 0.155, -0.312], direct: -0.030 },
        Sign { name: "off the chord", centre: -2.307, scale: 1.807, hidden: [-0.541, 0.159, 0.053, 0.676, 0.032, 0.918, 0.512, -0.580], direct: -0.395 },
        Sign { name: "bend", centre: -0.256, scale: 0.716, hidden: [0.234, 0.505, -0.097, -0.058, -0.004, 0.183, 0.060, -0.246], direct: -0.170 },
        Sign { name: "largest move", centre: -2.763, scale: 1.394, hidden: [-0.011, -0.119, 0.096, 0.175, -0.020, -0.017, 0.001, 0.044], direct: -0.310 },
        Sign { name: "usual move", centre: -3.691, scale: 1.296, hidden: [0.149, 0.163, -0.038, -0.030, 0.222, -0.273, -0.198, -0.338], direct: 0.238 },
        Sign { name: "few moves up", centre: -1.041, scale: 0.421, hidden: [0.080, 0.278, 0.725, -0.491, -0.066, 0.346, -0.319, 0.667], direct: -0.436 },
        Sign { name: "few moves since", centre: -0.609, scale: 0.747, hidden: [-0.049, 0.374, 0.233, 0.043, 0.089, 0.064, -0.098, -0.107], direct: -0.489 },
        Sign { name: "residuals", centre: -3.013, scale: 1.653, hidden: [0.063, 0.358, -0.305, 0.051, -0.144, 0.067, -0.115, 0.525], direct: -0.223 },
        Sign { name: "usual height", centre: 0.092, scale: 0.145, hidden: [0.118, 0.217, -0.620, 0.197, 0.247, 0.098, 0.137, 0.213], direct: 0.248 },
        Sign { name: "greatest height", centre: 0.173, scale: 0.250, hidden: [0.296, 0.003, 0.244, -0.334, 0.102, -0.266, -0.033, 0.193], direct: -0.203 },
        Sign { name: "first touch", centre: -0.105, scale: 0.386, hidden: [-0.143, 0.245, -0.338, -0.039, 0.098, -0.111, 0.247, 0.058], direct: 0.128 },
        Sign { name: "newest pace", centre: 0.103, scale: 1.116, hidden: [0.087, -0.042, -0.546, 0.297, -0.017, -0.019, 0.260, 0.055], direct: 0.018 },
        Sign { name: "recent pace", centre: -0.040, scale: 0.913, hidden: [0.060, -0.185, 0.098, 0.064, -0.141, -0.110, -0.278, 0.055], direct: -0.117 },
        Sign { name: "plateau", centre: 0.242, scale: 0.276, hidden: [0.233, -0.286, -0.366, -0.202, -0.506, -0.252, 0.861, 0.449], direct: 0.223 },
        Sign { name: "new plateau", centre: 0.018, scale: 0.076, hidden: [0.262, 0.167, 0.098, -0.132, -0.181, 0.240, -0.129, -0.010], direct: -0.161 },
        Sign { name: "ever slower", centre: 0.112, scale: 0.193, hidden: [-0.011, -0.045, -0.170, -0.050, -0.415, -0.453, 0.122, -0.147], direct: 0.172 },
        Sign { name: "onset", centre: 0.115, scale: 0.274, hidden: [-0.039, -0.421, 0.503, -0.405, 0.339, 0.211, 0.034, -0.095], direct: -0.347 },
        Sign { name: "unknown load", centre: 0.010, scale: 0.051, hidden: [0.011, 0.041, 0.164, -0.515, 0.126, 0.319, -0.827, -0.301], direct: -0.486 },
        Sign { name: "load now", centre: -0.010, scale: 0.133, hidden: [0.138, 0.188, 0.037, 0.797, -0.215, -0.102, 0.589, -0.208], direct: 0.394 },
        Sign { name: "load since", centre: -0.001, scale: 0.032, hidden: [0.402, 0.097, 0.459, 0.085, 0.298, 0.234, -0.031, -0.009], direct: -0.460 },
        Sign { name: "days of load", centre: 0.630, scale: 0.778, hidden: [0.422, 0.095, 0.155, 0.336, -0.274, -0.174, -0.340, 0.425], direct: -0.239 },
        Sign { name: "after collections", centre: 0.179, scale: 0.383, hidden: [-0.145, 0.109, 0.015, 0.336, 0.141, -0.000, 0.010, -0.060], direct: 0.143 },
        Sign { name: "restarts", centre: 0.158, scale: 0.365, hidden: [0.312, 0.332, 1.416, -0.021, -0.901, 0.394, -0.223, -0.097], direct: -0.724 },
        Sign { name: "onset seen", centre: 0.099, scale: 0.298, hidden: [0.097, -0.373, 0.431, -0.029, -0.796, 0.327, 0.377, -0.039], direct: -0.312 },
        Sign { name: "climb of all seen", centre: -0.039, scale: 0.219, hidden: [0.278, -0.439, -0.113, 0.037, 0.459, -0.185, 0.072, 0.405], direct: 0.098 },
        Sign { name: "age unseen", centre: 0.234, scale: 0.421, hidden: [-0.219, -0.338, -0.625, 0.394, -0.638, -0.418, 0.075, 0.159], direct: 0.354 },
        Sign { name: "level", centre: 0.546, scale: 0.200, hidden: [-0.029, -0.106, 0.027, 0.092, 0.123, -0.450, 0.062, 0.430], direct: 0.297 },
        Sign { name: "rise of the limit", centre: -2.318, scale: 1.375, hidden: [-0.358, 0.136, 0.052, 0.521, -0.172, 0.014, 0.303, -0.050], direct: -0.008 },
        Sign { name: "slope of the limit", centre: -2.516, scale: 2.812, hidden: [0.572, -0.338, -0.027, -0.027, 0.172, -0.524, 0.087, -1.324], direct: 0.360 },
        Sign { name: "slope beside its spread", centre: 2.042, scale: 1.344, hidden: [0.261, -0.043, -0.200, 0.373, -0.800, 0.260, -0.151, -0.345], direct: 0.188 },
        Sign { name: "least slope", centre: 0.650, scale: 0.533, hidden: [0.576, 0.152, -0.296, -0.244, -0.497, 0.007, 0.172, -0.359], direct: 0.237 },
        Sign { name: "runs", centre: 0.449, scale: 0.722, hidden: [0.216, 0.083, -0.571, -1.121, 0.033, 0.372, 0.724, 0.162], direct: -0.961 },
        Sign { name: "points", centre: 4.028, scale: 0.625, hidden: [0.995, 0.173, 0.467, -1.431, -0.449, -0.198, -0.646, -0.222], direct: -0.130 },
        Sign { name: "above the record", centre: 0.988, scale: 0.178, hidden: [0.219, -0.479, -0.234, -0.090, -0.036, -0.261, 0.176, 0.353], direct: 0.571 },
        Sign { name: "given back", centre: -3.530, scale: 3.365, hidden: [0.158, -0.196, -0.028, 0.704, -0.140, 0.054, 0.119, -0.167], direct: -0.055 },
        Sign { name: "earlier rise", centre: -8.835, scale: 1.739, hidden: [-0.093, 0.104, -0.507, 0.237, -0.386, 0.315, -0.178, -0.250], direct: 0.029 },
        Sign { name: "straight up", centre: 0.667, scale: 0.334, hidden: [-0.440, 0.052, -0.157, -0.142, -0.547, -0.026, -0.093, 0.305], direct: -0.275 },
        Sign { name: "moves up", centre: 0.768, scale: 0.198, hidden: [0.600, -0.575, -0.008, -0.324, 0.283, -0.634, -0.240, -0.369], direct: 0.615 },
    ],
    hidden: [-0.232, -0.047, 0.085, -1.150, 0.667, 0.882, 0.439, 0.954],
    direct: 0.806,
    outer: [0.823, 0.795, 0.852, -1.159, -1.056, 1.612, -0.917, 1.549],
};
