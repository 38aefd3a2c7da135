//! Recognising HotSpot: its library is mapped, whatever the launcher is called.

use crate::runtime::detect::{Recognition, base};
use crate::target::RuntimeKind;

/// How a JVM is recognised.
pub(in crate::runtime) static RECOGNITION: Recognition = Recognition {
    kind: RuntimeKind::Jvm,
    // A launcher that has just begun has not mapped its runtime yet.
    detect: |e| e.maps("libjvm.so") || e.exe == "java",
    name: main_class,
    flags: &[
        "-Xmx",
        "-Xms",
        "-Xlog:gc",
        "-Xloggc:",
        "-XX:MaxDirectMemorySize=",
        "-XX:MaxMetaspaceSize=",
        "-XX:MaxRAMPercentage=",
        "-XX:NativeMemoryTracking=",
        "-XX:+HeapDumpOnOutOfMemoryError",
        "-XX:HeapDumpPath=",
        "-XX:+Use",
        "-XX:-Use",
        "-XX:+PerfDisableSharedMem",
        "-XX:-HeapDumpOnOutOfMemoryError",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:+CrashOnOutOfMemoryError",
        "-XX:OnOutOfMemoryError=",
        "-XX:+DisableAttachMechanism",
    ],
    variables: &["JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"],
};

/// Options that are followed by a value of their own.
const WITH_VALUE: [&str; 7] =
    ["-cp", "-classpath", "--class-path", "-p", "--module-path", "--add-opens", "--add-exports"];

/// The jar behind `-jar`, or the first argument that is no option and no option's value.
fn main_class(args: &[String]) -> Option<String> {
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if arg == "-jar" {
            return rest.next().map(|jar| base(jar));
        } else if WITH_VALUE.contains(&arg.as_str()) {
            rest.next();
        } else if !arg.starts_with('-') {
            return Some(arg.rsplit('.').next().unwrap_or(arg).to_owned()).filter(|n| !n.is_empty());
        }
    }
    None
}
