#!/bin/sh
# Truth against what `plimsoll read` says, per collector at hand: a program that leaks 3 MiB/s and one that leaks nothing.
# Usage: run.sh PLIMSOLL [SEED…]; JAVA17 and JAVA25 name the java programs. A seed takes a minute and a half: its programs
# run side by side, each about a fifth of a processor.
set -eu
plimsoll=$(realpath "$1")
shift
here=$(cd "$(dirname "$0")" && pwd)
java17=${JAVA17:-java}
java25=${JAVA25:-java}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
# Compiled beforehand: what starts late would seem to grow.
javac -d "$out" "$here/GcFloor.java"

# one NAME JAVA LEAK SEED FLAGS…
one() {
    name=$1 java=$2 leak=$3 seed=$4
    shift 4
    # The leak fills the heap in less than a minute; that there is none takes longer to see.
    if [ "$leak" = 0 ]; then seconds=60; else seconds=30; fi
    log=$out/$name.$leak.$seed.log
    if ! "$java" "$@" -version >/dev/null 2>&1; then
        echo "SKIPPED: $name: $java does not have it" >&2
        return
    fi
    truth=$("$java" "$@" -Xmx256m "-Xlog:gc*:file=$log:uptime,level,tags:filecount=0" -cp "$out" GcFloor \
        leak="$leak" seed="$seed" churn=262144 seconds="$seconds" |
        awk '$2 > 5 { if (!n++) { t = $2; b = $3 } T = $2; B = $3 } END { printf "%.2f", (B - b) / (T - t) / 1048576 }')
    "$plimsoll" read "$log" --output json | python3 "$here/row.py" "$name" "$seed" "$truth" >"$log.row"
}

for seed in "${@:-1}"; do
    for leak in 3072 0; do
        one serial-25 "$java25" "$leak" "$seed" -XX:+UseSerialGC &
        one parallel-25 "$java25" "$leak" "$seed" -XX:+UseParallelGC &
        one g1-25 "$java25" "$leak" "$seed" -XX:+UseG1GC &
        one z-25 "$java25" "$leak" "$seed" -XX:+UseZGC &
        one z-17 "$java17" "$leak" "$seed" -XX:+UseZGC &
        one shenandoah-25 "$java25" "$leak" "$seed" -XX:+UseShenandoahGC &
        one shen-gen-25 "$java25" "$leak" "$seed" -XX:+UseShenandoahGC -XX:ShenandoahGCMode=generational &
        wait
    done
done
cat "$out"/*.row | python3 "$here/table.py"
