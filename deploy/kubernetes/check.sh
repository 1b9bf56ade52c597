#!/usr/bin/env bash
# Holds what is here against the schemas of Kubernetes: wrong types, and fields that nobody knows, which a server would drop
# without a word. Then the same for what kustomize makes of every folder that can be applied.
#
#   deploy/kubernetes/check.sh VALIDATOR      the `kubernetes-validate` to use
set -euo pipefail
cd "$(dirname "$0")"

readonly validator=$1
# The oldest and the newest that are looked after.
readonly versions=(1.31 1.37)

validate() {
    local version
    for version in "${versions[@]}"; do
        "$validator" --strict --quiet --no-warn --kubernetes-version "$version" "$@"
    done
}

# What others define (Prometheus' operator, KEDA) and what only kustomize reads has no schema.
mapfile -t files < <(find . -name '*.yaml' -not -name kustomization.yaml -not -path './monitoring/*')
validate "${files[@]}"

if ! kubectl kustomize . >/dev/null 2>&1; then
    echo "deploy/kubernetes: not rendered, for kubectl is missing, or older than 1.21" >&2
    exit 0
fi
rendered=$(mktemp -d)
trap 'rm -rf "$rendered"' EXIT
for folder in gateway etcd node/daemonset node/statefulset node/scaling; do
    kubectl kustomize "$folder" >"$rendered/${folder//\//-}.yaml"
done
kubectl kustomize . >"$rendered/all.yaml"
validate "$rendered"/*.yaml
kubectl kustomize monitoring >/dev/null
