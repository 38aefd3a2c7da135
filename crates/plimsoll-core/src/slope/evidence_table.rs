//! Odds that a climb goes on to the level that kills, by what is known of the question.
//!
//! Made by `cargo run --release -p plimsoll-bench --bin calibrate -- --evidence`; do not edit. Learnt from:
//!
//! - simulated services, 218208 ticks
//! - virtual machines of 2013-7, as they are and with leaks, 8200 ticks: GWA-T-12 (Grid Workloads Archive), rnd, a file per machine
//! - pods, every second one, as they are and with leaks, 6949 ticks: github.com/alibaba/clusterdata, cluster-trace-v2026-GenAI: pod_memory_util_anon.csv and qps.csv; for research and study

use super::evidence::{Judge, Sign};

/// Odds that the climb goes on.
#[rustfmt::skip]
pub(super) static GOES_ON: Judge<'static> = Judge {
    signs: &[
        Sign { name: "spread", centre: -1.121, scale: 1.229, hidden: [0.142, -0.289, 0.251, -0.124, 0.348, -0.135, 0.106, -0.024], direct: 0.056 },
        Sign { name: "spread above", centre: 0.728, scale: 0.836, hidden: [0.063, 0.046, -0.012, 0.173, -0.010, -0.005, 0.003, 0.051], direct: -0.024 },
        Sign { name: "spread below", centre: 0.506, scale: 0.564, hidden: [-0.046, 0.224, 0.501, 0.012, 0.009, -0.264, -0.102, -0.075], direct: -0.014 },
        Sign { name: "median with never", centre: 1.121, scale: 1.403, hidden: [0.135, 0.035, 0.228, -0.112, 0.068, -0.335, -0.262, 0.047], direct: 0.009 },
        Sign { name: "share that dies", centre: 0.674, scale: 0.342, hidden: [0.559, 0.309, 0.030, -0.038, -0.482, 0.505, 0.102, 0.626], direct: 0.304 },
        Sign { name: "reach", centre: 1.773, scale: 2.176, hidden: [-0.197, -0.316, -0.451, 0.287, 0.164, -0.005, 0.024, 0.515], direct: -0.585 },
        Sign { name: "reach beside all", centre: 1.732, scale: 2.213, hidden: [-0.152, -0.381, -0.556, 0.333, 0.243, -0.102, 0.084, 0.300], direct: -0.399 },
        Sign { name: "blocks ahead", centre: 5.141, scale: 1.993, hidden: [-0.169, -0.477, -0.489, 0.170, 0.448, -0.142, 0.119, 0.866], direct: -0.538 },
        Sign { name: "blocks behind", centre: 3.368, scale: 0.898, hidden: [0.122, -0.248, -0.026, -0.198, 0.600, -0.253, 0.212, 0.736], direct: 0.152 },
        Sign { name: "wander", centre: -3.410, scale: 1.466, hidden: [0.010, -0.000, 0.064, 0.030, 0.206, -0.027, -0.015, 0.131], direct: 0.034 },
        Sign { name: "jumps", centre: 0.064, scale: 0.279, hidden: [0.034, 0.759, 0.083, -0.196, 0.019, -0.292, -0.145, 0.093], direct: -0.465 },
        Sign { name: "noise", centre: -4.414, scale: 1.145, hidden: [-0.363, 0.560, -0.030, -0.104, -0.091, 0.534, 0.321, 0.122], direct: 0.322 },
        Sign { name: "memory of the noise", centre: 0.386, scale: 0.252, hidden: [-0.229, 0.229, 0.531, -0.275, -0.343, 0.451, 0.183, -0.240], direct: -0.216 },
        Sign { name: "independent points", centre: 3.081, scale: 0.882, hidden: [0.359, 0.316, 0.532, 0.250, 0.190, -0.059, 0.079, -0.044], direct: 0.235 },
        Sign { name: "room", centre: -1.002, scale: 0.743, hidden: [-0.185, 0.341, 0.237, -0.334, -0.829, -0.230, -0.452, 0.354], direct: 0.030 },
        Sign { name: "rise", centre: -1.401, scale: 1.876, hidden: [0.004, -0.099, -0.032, 0.454, -0.013, 0.089, 0.185, -0.570], direct: -0.096 },
        Sign { name: "off the chord", centre: -2.293, scale: 1.852, hidden: [-0.409, -0.014, 0.081, -0.928, -0.194, -0.077, 0.578, -0.894], direct: -0.475 },
        Sign { name: "bend", centre: -0.267, scale: 0.738, hidden: [0.234, 0.196, -0.028, 0.037, -0.056, -0.161, -0.193, -0.075], direct: -0.071 },
        Sign { name: "largest move", centre: -2.773, scale: 1.408, hidden: [-0.266, -0.021, -0.137, -0.063, 0.048, -0.340, 0.025, 0.270], direct: -0.208 },
        Sign { name: "usual move", centre: -3.700, scale: 1.309, hidden: [-0.077, -0.070, -0.230, 0.293, -0.262, -0.157, 0.203, -0.104], direct: 0.174 },
        Sign { name: "few moves up", centre: -1.036, scale: 0.425, hidden: [-0.027, 0.499, 1.060, -0.592, -0.262, 0.490, 0.464, 0.262], direct: -0.553 },
        Sign { name: "few moves since", centre: -0.598, scale: 0.754, hidden: [-0.192, 0.400, 0.186, -0.234, -0.063, 0.138, 0.609, 0.090], direct: -0.580 },
        Sign { name: "residuals", centre: -2.996, scale: 1.688, hidden: [-0.048, -0.000, 0.006, 0.005, 0.101, -0.016, 0.222, 0.013], direct: -0.002 },
        Sign { name: "usual height", centre: 0.091, scale: 0.147, hidden: [0.569, -0.252, -0.281, -0.172, -0.120, -0.040, -0.384, -0.075], direct: -0.088 },
        Sign { name: "greatest height", centre: 0.169, scale: 0.249, hidden: [-0.145, -0.056, -0.169, 0.018, -0.106, 0.208, 0.035, 0.424], direct: 0.024 },
        Sign { name: "first touch", centre: -0.097, scale: 0.380, hidden: [0.230, -0.104, 0.109, -0.186, -0.099, -0.016, -0.388, -0.363], direct: 0.054 },
        Sign { name: "newest pace", centre: 0.122, scale: 1.124, hidden: [0.163, 0.098, -0.505, -0.109, -0.167, -0.137, -0.058, -0.049], direct: -0.211 },
        Sign { name: "recent pace", centre: -0.022, scale: 0.930, hidden: [-0.023, -0.064, 0.110, 0.129, -0.124, -0.284, -0.065, 0.054], direct: -0.133 },
        Sign { name: "plateau", centre: 0.243, scale: 0.276, hidden: [0.033, -0.307, -0.154, 0.062, 0.068, -0.146, -0.092, 0.240], direct: -0.045 },
        Sign { name: "new plateau", centre: 0.021, scale: 0.078, hidden: [0.284, 0.005, -0.029, -0.398, 0.879, 0.159, 0.098, 0.253], direct: -0.075 },
        Sign { name: "ever slower", centre: 0.109, scale: 0.190, hidden: [-0.245, 0.008, -0.693, 0.139, -0.226, 0.475, 0.054, -0.344], direct: 0.354 },
        Sign { name: "onset", centre: 0.116, scale: 0.275, hidden: [-0.289, -0.560, 0.317, -0.481, -0.321, 0.204, 0.264, -0.057], direct: -0.184 },
        Sign { name: "unknown load", centre: 0.011, scale: 0.053, hidden: [-0.201, 0.227, 0.265, -0.153, -0.093, -0.253, -0.013, 0.066], direct: -0.410 },
        Sign { name: "load now", centre: -0.011, scale: 0.139, hidden: [0.103, 0.038, -0.209, 0.145, -0.152, 0.097, -0.010, -0.019], direct: -0.014 },
        Sign { name: "load since", centre: -0.001, scale: 0.033, hidden: [0.569, 0.197, 0.343, -0.210, 0.169, -0.064, 0.464, 0.068], direct: -0.372 },
        Sign { name: "days of load", centre: 0.684, scale: 0.788, hidden: [0.538, 0.015, 0.241, 0.059, -0.477, 0.107, -0.027, 0.259], direct: -0.614 },
        Sign { name: "after collections", centre: 0.195, scale: 0.396, hidden: [-0.015, 0.123, -0.185, -0.018, -0.028, -0.196, -0.119, -0.106], direct: 0.013 },
        Sign { name: "restarts", centre: 0.154, scale: 0.361, hidden: [0.532, 0.302, 0.197, -0.213, -0.531, 0.284, -0.424, 0.399], direct: -0.735 },
        Sign { name: "onset seen", centre: 0.100, scale: 0.300, hidden: [0.062, -0.031, 0.083, -0.238, -0.856, 0.477, -0.126, -0.120], direct: -0.460 },
        Sign { name: "climb of all seen", centre: -0.041, scale: 0.227, hidden: [-0.485, -0.159, 0.045, 0.143, 0.487, -0.290, -0.133, 0.060], direct: 0.208 },
        Sign { name: "age unseen", centre: 0.234, scale: 0.420, hidden: [-0.086, -0.240, -0.269, 0.456, -1.078, -0.413, -0.503, 0.012], direct: -0.170 },
        Sign { name: "level", centre: 0.544, scale: 0.202, hidden: [-0.172, 0.179, 0.172, 0.306, 0.119, 0.225, 0.478, 0.132], direct: 0.563 },
        Sign { name: "rise of the limit", centre: -2.354, scale: 1.409, hidden: [-0.092, 0.027, 0.071, 0.315, -0.588, 0.028, -0.034, -0.388], direct: -0.069 },
        Sign { name: "slope of the limit", centre: -2.671, scale: 2.817, hidden: [0.429, 0.057, 0.193, 0.283, -0.087, 0.191, -0.027, -0.302], direct: 0.291 },
        Sign { name: "slope beside its spread", centre: 2.015, scale: 1.354, hidden: [0.681, 0.124, -0.153, -0.451, -0.128, 0.277, -0.076, -0.611], direct: -0.020 },
        Sign { name: "least slope", centre: 0.641, scale: 0.540, hidden: [0.438, -0.085, 0.321, -0.135, 0.213, 0.183, -0.047, -0.110], direct: 0.061 },
        Sign { name: "runs", centre: 0.427, scale: 0.694, hidden: [-0.029, -0.541, 0.141, -0.384, -0.036, -0.460, -0.196, 0.328], direct: -0.661 },
        Sign { name: "points", centre: 4.005, scale: 0.586, hidden: [0.505, 0.151, 1.027, 0.079, -0.340, 0.371, 0.224, -0.064], direct: -0.146 },
        Sign { name: "above the record", centre: 0.987, scale: 0.185, hidden: [-0.067, -0.641, 0.741, 0.124, 0.299, 0.072, -0.448, 0.359], direct: 0.426 },
        Sign { name: "given back", centre: -3.511, scale: 3.411, hidden: [-0.042, -0.215, -0.300, -0.007, -0.403, 0.332, 0.493, -0.006], direct: -0.128 },
        Sign { name: "earlier rise", centre: -8.818, scale: 1.776, hidden: [0.012, 0.225, -0.035, -0.489, -0.173, 0.244, 0.172, -0.280], direct: 0.064 },
        Sign { name: "straight up", centre: 0.664, scale: 0.338, hidden: [-0.380, -0.193, -0.141, 0.092, -0.064, -0.186, -0.407, 0.245], direct: -0.257 },
        Sign { name: "moves up", centre: 0.765, scale: 0.201, hidden: [-0.001, -0.235, 0.427, 0.686, 0.039, 0.016, 0.834, -0.004], direct: 0.805 },
    ],
    hidden: [-1.059, 0.143, 0.613, -0.532, 0.218, -0.172, -0.023, 0.671],
    direct: 1.182,
    outer: [1.234, 1.058, 1.153, -1.534, -1.185, 0.786, -1.053, 1.602],
};
