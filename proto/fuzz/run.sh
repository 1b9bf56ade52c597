#!/usr/bin/env bash
# Fuzzes every target, one after the other, and keeps what was found in corpus/, as few and as small inputs as
# reach all that is reached.
#
#   proto/fuzz/run.sh SECONDS WORK [TARGET...]
#
# SECONDS is for all targets together. WORK is a folder for builds and for all inputs of this and earlier runs.
set -euo pipefail
seconds=$1 work=$2
shift 2
cd "$(dirname "$0")/.."

# Longer inputs are slower and find nothing more: every decoder is done with a field or a frame before that.
readonly max_len=2048

# An end of ours counts as a crash of libFuzzer only where it is one.
readonly options=(-max_len="$max_len" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1)

targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(cargo +nightly fuzz list)

# fuzz TARGET ARGUMENTS...: libFuzzer's own arguments and folders.
fuzz() {
    local target=$1 folders=() flags=()
    shift
    for argument in "$@"; do
        case $argument in -*) flags+=("$argument") ;; *) folders+=("$argument") ;; esac
    done
    cargo +nightly fuzz run --target-dir "$work/build" "$target" "${folders[@]}" -- "${flags[@]}"
}

for target in "${targets[@]}"; do
    found=$work/found/$target kept=fuzz/corpus/$target fewest=$work/fewest/$target
    each=$((seconds / ${#targets[@]}))
    printf '\n=== %s for %s s\n' "$target" "$each"
    rm -rf "$fewest"
    mkdir -p "$found" "$fewest"
    words=()
    case $target in http*) words=(-dict=fuzz/http1.dict) ;; esac
    # New inputs go to the first folder.
    fuzz "$target" "$found" "$kept" "${options[@]}" "${words[@]}" -max_total_time="$each"
    # By what is reached and not by how often: a fifth of the inputs.
    fuzz "$target" "$fewest" "$kept" "$found" "${options[@]}" -set_cover_merge=1 -use_counters=0
    rm -rf "$kept"
    cp -r "$fewest" "$kept"
    printf '=== %s: %s inputs kept, %s bytes\n' "$target" \
        "$(find "$kept" -type f | wc -l)" "$(cat "$kept"/* | wc -c)"
done
