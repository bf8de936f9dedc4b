#!/usr/bin/env bash
# Builds a distribution. Usage: build.sh [path of the go command] [demo|wide|newest|full]
#   demo    builder-config.yaml         build/otelcol-tokenomics
#   wide    builder-config.wide.yaml    build-wide/otelcol-tokenomics
#   newest  builder-config.newest.yaml  build-newest/otelcol-tokenomics
#   full    builder-config.full.yaml    build-full/otelcol-tokenomics (untested)
# Nothing is built where no source is newer than the binary.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

go="${1:-go}"
go="$(command -v "$go")"
export GOTOOLCHAIN=local GOFLAGS=-buildvcs=false
# The builder calls "go" by name.
PATH="$(dirname "$go"):$PATH"
set_of="${2:-demo}"
# The builder builds the minor of the core that it is itself of.
case "$set_of" in
  demo) manifest=builder-config.yaml folder=build tools=../tools ;;
  wide) manifest=builder-config.wide.yaml folder=build-wide tools=../tools ;;
  newest) manifest=builder-config.newest.yaml folder=build-newest tools=../tools/newest ;;
  full) manifest=builder-config.full.yaml folder=build-full tools=../tools/newest ;;
  *) echo "build.sh: no such distribution: $set_of (demo, wide, newest, full)" >&2; exit 2 ;;
esac
binary="$folder/otelcol-tokenomics"

if [[ -x "$binary" && -z "$(find .. -path '../distribution/build*' -prune -o -path ../tools/bin -prune -o -type f \
  \( -name '*.go' -o -name 'go.mod' -o -name 'go.sum' -o -name 'pricebook.json' \) \
  ! -name '*_test.go' -newer "$binary" -print -quit)" && ! "$manifest" -nt "$binary" ]]; then
  echo "==> $binary is up to date"
  exit 0
fi

started=$SECONDS
step() { printf '==> %s (%d s so far)\n' "$1" "$((SECONDS - started))"; }

step "collector builder, from source"
(cd "$tools" && "$go" build -o bin/builder go.opentelemetry.io/collector/cmd/builder)

step "source of the distribution, and its modules"
"$tools/bin/builder" --config "$manifest" --skip-compilation

step "compiling (minutes from empty caches, seconds afterwards)"
(cd "$folder" && exec env CGO_ENABLED=0 "$go" build -trimpath -ldflags '-s -w' -o otelcol-tokenomics .) &
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
