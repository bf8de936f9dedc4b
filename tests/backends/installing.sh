# Sourced by install/<backend>.sh, which is called as: <script> FOLDER GO. Nothing here is fetched but by the ordinary
# clients of package registries.
set -euo pipefail
folder="$1"
go="$2"
mkdir -p "$folder"

# Debian packages, where this machine is a container of ours: elsewhere a package would start a service that stays.
packages() {
  local missing=()
  for name in "$@"; do
    dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q '^install ok' || missing+=("$name")
  done
  [[ ${#missing[@]} -eq 0 ]] && return
  if [[ "$(id -u)" != 0 || -d /run/systemd/system ]] || ! command -v apt-get >/dev/null; then
    echo "missing: ${missing[*]} (Debian packages; installed without asking only as root in a container)" >&2
    exit 1
  fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# A program from a Go module that is no library: its own go.mod and go.sum decide, as its makers build it.
# Arguments: module@version, package in it, 1 for cgo.
go_program() {
  local source
  source="$("$go" mod download -json "$1" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')"
  rm -rf "$folder/source"
  cp -r "$source" "$folder/source"
  chmod -R u+w "$folder/source"
  (cd "$folder/source" && CGO_ENABLED="$3" GOFLAGS=-buildvcs=false "$go" build -trimpath -ldflags '-s -w' \
    -o "$folder/$(basename "$folder")" "$2" 2> >(grep -v '^go: downloading' >&2))
  rm -rf "$folder/source"
}

# A Python environment of a backend's own, resolved apart from ours. Argument: the name in requirements-<name>.txt.
python_packages() {
  "$(command -v python3.11 || command -v python3)" -m venv "$folder"
  "$folder/bin/python" -m pip install -q 'pip>=25.1'
  "$folder/bin/python" -m pip install -q -r "$(dirname "$0")/../requirements-$1.txt"
}
