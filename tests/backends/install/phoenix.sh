#!/usr/bin/env bash
# Arize Phoenix: two minutes, 0.9 GB.
source "$(dirname "$0")/../installing.sh"
python_packages phoenix
