#!/usr/bin/env bash
# Builds the distribution: build/otelcol-tokenomics. Usage: build.sh [path of the go command]
# Nothing is built where no source is newer than the binary.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

go="${1:-go}"
go="$(command -v "$go")"
export GOTOOLCHAIN=local GOFLAGS=-buildvcs=false
# The builder calls "go" by name.
PATH="$(dirname "$go"):$PATH"
binary=build/otelcol-tokenomics

if [[ -x "$binary" && -z "$(find .. -path ../distribution/build -prune -o -path ../tools/bin -prune -o -type f \
  \( -name '*.go' -o -name 'go.mod' -o -name 'go.sum' -o -name 'builder-config.yaml' -o -name 'pricebook.json' \) \
  ! -name '*_test.go' -newer "$binary" -print -quit)" ]]; then
  echo "==> $binary is up to date"
  exit 0
fi

started=$SECONDS
step() { printf '==> %s (%d s so far)\n' "$1" "$((SECONDS - started))"; }

step "collector builder, from source"
(cd ../tools && "$go" build -o bin/builder go.opentelemetry.io/collector/cmd/builder)

step "source of the distribution, and its modules"
tools="$(cd ../tools && pwd)"
"$tools/bin/builder" --config builder-config.yaml --skip-compilation

step "compiling (two to three minutes from empty caches, seconds afterwards)"
(cd build && exec env CGO_ENABLED=0 "$go" build -trimpath -ldflags '-s -w' -o otelcol-tokenomics .) &
compiler=$!
trap 'kill "$compiler" 2>/dev/null || true' EXIT
shown=$SECONDS
while kill -0 "$compiler" 2>/dev/null; do
  sleep 1
  if ((SECONDS - shown >= 20)); then
    step "still compiling"
    shown=$SECONDS
  fi
done
wait "$compiler"
trap - EXIT
touch "$binary"
step "done: collector/distribution/$binary"
