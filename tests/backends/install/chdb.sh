#!/usr/bin/env bash
# ClickHouse within a Python process: half a minute, 0.5 GB. Optional: there is no package of its server to run against.
source "$(dirname "$0")/../installing.sh"
python_packages chdb
