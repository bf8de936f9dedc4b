#!/usr/bin/env bash
# Writes the Debian package of the wide distribution, for the machine it runs on.
# Usage: deb.sh GO PYTHON OUT. `make collector-wide` first. The same binary gives the same bytes (SOURCE_DATE_EPOCH, or 1980).
set -euo pipefail
umask 022
out="$(mkdir -p "$3" && cd "$3" && pwd)"
go="$(realpath -s "$(command -v "$1")")" python="$(realpath -s "$(command -v "$2")")"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

(cd ../tools/nfpm && GOTOOLCHAIN=local GOFLAGS=-buildvcs=false "$go" build -o bin/nfpm github.com/goreleaser/nfpm/v2/cmd/nfpm)
export VERSION ARCH LICENCES=build-wide/THIRD_PARTY_LICENSES SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-315532800}"
VERSION="$("$python" -c 'import runpy; print(runpy.run_path("../../otel_tokenomics/version.py")["__version__"])')"
ARCH="$("$go" env GOHOSTARCH)"
"$python" packaging/licences.py "$go" build-wide/otelcol-tokenomics >"$LICENCES"
rm -rf build-wide/share && mkdir build-wide/share
cp -r config.*.yaml fragments build-wide/share && rm build-wide/share/config.demo.yaml
../tools/nfpm/bin/nfpm package --config nfpm.yaml --packager deb --target "$out/"
