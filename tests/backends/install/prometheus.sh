#!/usr/bin/env bash
# Prometheus with promtool, and amtool.
source "$(dirname "$0")/../installing.sh"
packages prometheus prometheus-alertmanager
